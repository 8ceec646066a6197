/* SPDX-License-Identifier: MIT
 *
 * planner_support.c: makes policies that call uid(), role() or jwt() as fast as a constant.
 *
 * PostgreSQL calls a STABLE function once a row of a sequential scan, which made a policy
 * "owner = auth.uid()" 8 percent slower than a literal.  People therefore write "(SELECT auth.uid())",
 * which the planner makes an InitPlan, run once a scan.  Here the planner asks us about each call, and
 * we answer with that InitPlan, where it is right and where it helps:
 *
 * - in queries on tables with policies, not all of them small,
 * - where calls stand in policies, WHERE and ON only, and
 * - unless the value matters for the plan: a call the planner can run to estimate how many rows a user
 *   owns, an InitPlan it cannot, and takes the average.  Where this user is far from it, the call stays.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "nodes/plannodes.h"
#include "nodes/supportnodes.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planmain.h"
#include "optimizer/planner.h"
#include "optimizer/subselect.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"
#include "utils/syscache.h"

#include "base/compat.h"

/* So many times more or fewer rows than the average are worth a call a row. */
#define SKEW_MAX 2.0

/* An InitPlan costs 10 us to plan, a call 3 ns: with fewer rows in a table it is not worth it. */
#define SMALL_TABLE_ROWS 5000.0

PG_FUNCTION_INFO_V1(auth_service_identity_support);

typedef struct SkewSearch {
    PlannerInfo *root;
    Oid function;
} SkewSearch;

/* ---- Whether an InitPlan helps -------------------------------------------------------------- */

/* How many rows the table has for the planner; -1: not known. */
static double
TableRows(const RangeTblEntry *rte)
{
    HeapTuple relation = SearchSysCache1(RELOID, ObjectIdGetDatum(rte->relid));
    double rows = -1.0;

    if (HeapTupleIsValid(relation)) {
        rows = ((Form_pg_class)GETSTRUCT(relation))->reltuples;
        ReleaseSysCache(relation);
    }
    return rows;
}

/* Whether a table with policies is not, or may not be, small. */
static bool
IsWorthwhile(PlannerInfo *root)
{
    ListCell *cell;

    foreach (cell, root->parse->rtable) {
        const RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

        if (rte->securityQuals != NIL) {
            /* A parent's children are not counted. */
            double rows = rte->rtekind == RTE_RELATION && !rte->inh ? TableRows(rte) : -1.0;

            if (rows < 0 || rows >= SMALL_TABLE_ROWS)
                return true;
        }
    }
    return false;
}

static bool
CallsFunction(Node *node, void *function)
{
    if (node == NULL)
        return false;
    if (IsA(node, FuncExpr) && ((FuncExpr *)node)->funcid == *(Oid *)function)
        return true;
    return expression_tree_walker(node, CallsFunction, function);
}

/* Whether the planner expects far more or fewer rows with this value in the column than with any. */
static bool
IsSkewed(const SkewSearch *search, const OpExpr *clause, Var *column, Node *other, bool is_left)
{
    const RangeTblEntry *rte = rt_fetch(column->varno, search->root->parse->rtable);
    VariableStatData stats = {.var = (Node *)column,
                              .vartype = column->vartype,
                              .atttype = column->vartype,
                              .atttypmod = column->vartypmod};
    Node *value = estimate_expression_value(search->root, other);
    double exact;
    double average;

    if (!IsA(value, Const) || ((Const *)value)->constisnull || rte->rtekind != RTE_RELATION)
        return false;
    stats.statsTuple = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(rte->relid),
                                       Int16GetDatum(column->varattno), BoolGetDatum(rte->inh));
    if (!HeapTupleIsValid(stats.statsTuple))
        return false;
    stats.freefunc = ReleaseSysCache;
    stats.rel = makeNode(RelOptInfo);
    stats.rel->rtekind = RTE_RELATION;
    stats.rel->tuples = Max(TableRows(rte), 1.0);
    exact = var_eq_const(&stats, clause->opno, clause->inputcollid, ((Const *)value)->constvalue,
                         /* constisnull */ false, is_left, /* negate */ false);
    average = var_eq_non_const(&stats, clause->opno, clause->inputcollid, other, is_left,
                               /* negate */ false);
    ReleaseVariableStats(stats);
    return exact > SKEW_MAX * average || average > SKEW_MAX * exact;
}

/* Whether the node has "column = <the function's value>" where that user's share is far from others'. */
static bool
FindSkew(Node *node, void *context)
{
    SkewSearch *search = context;

    if (node == NULL)
        return false;
    if (IsA(node, OpExpr) && list_length(((OpExpr *)node)->args) == 2 &&
        get_oprrest(((OpExpr *)node)->opno) == F_EQSEL) {
        OpExpr *clause = (OpExpr *)node;
        int side;

        for (side = 0; side < 2; side++) {
            Node *column = strip_implicit_coercions(list_nth(clause->args, side));
            Node *other = list_nth(clause->args, 1 - side);

            if (IsA(column, Var) && ((Var *)column)->varlevelsup == 0 &&
                ((Var *)column)->varattno > 0 && CallsFunction(other, &search->function) &&
                !contain_var_clause(other) && !contain_subplans(other))
                return IsSkewed(search, clause, (Var *)column, other, side == 0);
        }
    }
    return expression_tree_walker(node, FindSkew, context);
}

static bool
ValueMatters(PlannerInfo *root, Oid function)
{
    SkewSearch search = {root, function};
    ListCell *cell;

    foreach (cell, root->parse->rtable) {
        if (FindSkew((Node *)lfirst_node(RangeTblEntry, cell)->securityQuals, &search))
            return true;
    }
    return FindSkew((Node *)root->parse->jointree, &search);
}

/* ---- Whether an InitPlan is right ----------------------------------------------------------- */

/*
 * Whether the function is called anywhere but in policies, WHERE and ON.  A list, HAVING and what is sorted or
 * grouped by are compared with one another as expressions, and each is simplified by itself; so there the
 * calls have to stay as they are, and for one look at them those in WHERE as well.
 */
static bool
IsCalledElsewhere(const Query *parse, Oid function)
{
    Query rest = *parse;
    ListCell *cell;

    rest.jointree = NULL;
    foreach (cell, parse->rtable) {
        const RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

        if (CallsFunction((Node *)rte->functions, &function) ||
            CallsFunction((Node *)rte->values_lists, &function) ||
            CallsFunction((Node *)rte->tablesample, &function))
            return true;
    }
    return query_tree_walker(&rest, CallsFunction, &function, QTW_IGNORE_RANGE_TABLE);
}

static bool
IsOuterPlaceHolder(Node *node, void *nothing)
{
    if (node == NULL)
        return false;
    if (IsA(node, PlaceHolderVar) && ((PlaceHolderVar *)node)->phlevelsup > 0)
        return true;
    return expression_tree_walker(node, IsOuterPlaceHolder, nothing);
}

/*
 * Whether the query has expressions of a query around it that are put there to be evaluated in that one: a
 * parameter of this one has no value there.
 */
static bool
HasOuterPlaceHolders(Query *parse)
{
    ListCell *cell;

    foreach (cell, parse->rtable) {
        const RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

        if (IsOuterPlaceHolder((Node *)rte->securityQuals, NULL) ||
            IsOuterPlaceHolder((Node *)rte->functions, NULL) ||
            IsOuterPlaceHolder((Node *)rte->values_lists, NULL) ||
            IsOuterPlaceHolder((Node *)rte->tablesample, NULL))
            return true;
    }
    return query_tree_walker(parse, IsOuterPlaceHolder, NULL, QTW_IGNORE_RANGE_TABLE);
}

/*
 * Whether this is the moment, and the query the one, in which an InitPlan can stand for a call.
 *
 * It belongs into the query level whose expressions are being simplified, which is the request's root
 * only at one moment: after subqueries were pulled up (before it may be a root that is thrown away) and
 * before paths are made (there the planner asks about CHECK constraints too, of which a call tells that
 * they prove nothing, and a parameter does not).  qual_security_level, the number of policies and the like
 * over a table, is found out at the beginning of that moment, simple_rel_array at its end.  Where there is
 * no query at all, as in a CHECK, a DEFAULT or an estimate, root is NULL or empty.  The level is 0 for
 * "SELECT auth.uid()" as well, so that this does not go on for ever.
 *
 * With grouping sets what is grouped by is NULL in some rows wherever it stands, which the planner finds by
 * comparing expressions, of inlined functions too: no call may change there.
 */
static bool
IsRight(PlannerInfo *root, Oid function)
{
    return root != NULL && root->parse != NULL && root->qual_security_level > 0 &&
           root->simple_rel_array == NULL && root->parse->groupingSets == NIL &&
           !IsCalledElsewhere(root->parse, function) && !HasOuterPlaceHolders(root->parse);
}

/* ---- The InitPlan -------------------------------------------------------------------------- */

/* The InitPlan of this query level that has nothing but this call, or NULL. */
static const SubPlan *
FindInitPlan(PlannerInfo *root, const FuncExpr *call)
{
    ListCell *cell;

    foreach (cell, root->init_plans) {
        const SubPlan *node = lfirst(cell);
        const Plan *plan = list_nth(root->glob->subplans, node->plan_id - 1);

        if (node->subLinkType == EXPR_SUBLINK && IsA(plan, Result) && plan->lefttree == NULL &&
            plan->qual == NIL && ((const Result *)plan)->resconstantqual == NULL &&
            list_length(plan->targetlist) == 1) {
            const Node *value = (const Node *)linitial_node(TargetEntry, plan->targetlist)->expr;

            if (IsA(value, FuncExpr) && ((const FuncExpr *)value)->funcid == call->funcid)
                return node;
        }
    }
    return NULL;
}

/* Plan "SELECT <call>" as an InitPlan of this query level; the parameter that has its value. */
static Param *
MakeInitPlan(PlannerInfo *root, const FuncExpr *call)
{
    Query *query = makeNode(Query);
    PlannerInfo *subroot;
    Plan *plan;
    Param *param;

    query->commandType = CMD_SELECT;
    query->canSetTag = true;
    query->jointree = makeFromExpr(NIL, NULL);
    query->targetList =
        list_make1(makeTargetEntry((Expr *)copyObjectImpl(call), 1, pstrdup("identity"), false));
    subroot = CompatSubqueryPlanner(root->glob, query, root);
    plan =
        create_plan(subroot, fetch_upper_rel(subroot, UPPERREL_FINAL, NULL)->cheapest_total_path);
    param = SS_make_initplan_output_param(root, call->funcresulttype, -1, call->funccollid);
    SS_make_initplan_from_plan(root, subroot, plan, param);
    llast_node(SubPlan, root->init_plans)->parallel_safe = plan->parallel_safe;
    return param;
}

/*
 * SQL function: _identity_support(request internal) returns internal
 *
 * The planner's question what could stand for a call of uid(), role() or jwt(): an InitPlan's parameter,
 * or NULL where the call is to stay.
 */
Datum
auth_service_identity_support(PG_FUNCTION_ARGS)
{
    const SupportRequestSimplify *request = (SupportRequestSimplify *)PG_GETARG_POINTER(0);
    PlannerInfo *root;
    const SubPlan *known;

    if (!IsA(request, SupportRequestSimplify) || !IsRight(request->root, request->fcall->funcid))
        PG_RETURN_POINTER(NULL);
    root = request->root;
    known = FindInitPlan(root, request->fcall);
    if (known != NULL) {
        Param *param = makeNode(Param);

        param->paramkind = PARAM_EXEC;
        param->paramid = linitial_int(known->setParam);
        param->paramtype = known->firstColType;
        param->paramtypmod = known->firstColTypmod;
        param->paramcollid = known->firstColCollation;
        param->location = -1;
        PG_RETURN_POINTER(param);
    }
    if (!IsWorthwhile(root) || ValueMatters(root, request->fcall->funcid))
        PG_RETURN_POINTER(NULL);
    PG_RETURN_POINTER(MakeInitPlan(root, request->fcall));
}
