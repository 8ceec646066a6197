# A million rows: a policy "owner = auth.uid()" costs what a literal costs, by sequential scan, by index
# and in parallel.  An idle machine gives 3 percent; here it is 6, tried again where the machine was busy.
# A call of uid() a row costs 8 percent and more, so this fails where the planner support does not work.
use strict;
use warnings;
use AuthService;
use List::Util qw(min);
use Test::More;

my $s = AuthService->new('rls_speed', conf => "shared_buffers = 256MB\n");
$s->command('init-db');
$s->sql('ALTER DATABASE auth_service SET auth_service.bcrypt_cost = 4');
$s->sql(<<'SQL');
CREATE ROLE regress_app LOGIN; SELECT auth.allow_api('regress_app');
SELECT auth.register('ann@example.com', 'Secret123');
CREATE TABLE literal (id int, owner bigint, note text);
INSERT INTO literal SELECT i, i % 20 + 1, 'note ' || i FROM generate_series(1, 1000000) i;
CREATE TABLE policy (LIKE literal); INSERT INTO policy TABLE literal;
CREATE TABLE either (LIKE literal); INSERT INTO either TABLE literal;
CREATE TABLE either_literal (LIKE literal); INSERT INTO either_literal TABLE literal;
CREATE TABLE claim (LIKE literal); INSERT INTO claim TABLE literal;
CREATE POLICY own ON literal USING (owner = 1);
CREATE POLICY own ON policy USING (owner = auth.uid());
CREATE POLICY own ON either USING (auth.role() = 'admin' OR owner = auth.uid());
CREATE POLICY own ON either_literal USING (id = -1 OR owner = 1);
CREATE POLICY own ON claim USING (owner = (SELECT (auth.jwt() ->> 'sub')::bigint));
SELECT format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY; GRANT SELECT ON %1$I TO regress_app', t)
    FROM unnest('{literal,policy,either,either_literal,claim}'::text[]) t \gexec
-- The best of runs in turn, in milliseconds: the machine may be busy.
CREATE FUNCTION compare(queries text[], runs int) RETURNS float[] LANGUAGE plpgsql AS $$
DECLARE
    started timestamptz;
    took float[] := '{}';
    result float[] := '{}';
BEGIN
    FOR run IN 0 .. runs LOOP
        FOR q IN 1 .. cardinality(queries) LOOP
            started := clock_timestamp();
            EXECUTE queries[q];
            IF run > 0 THEN
                took := took || EXTRACT(EPOCH FROM clock_timestamp() - started)::float * 1000;
            END IF;
        END LOOP;
    END LOOP;
    FOR q IN 1 .. cardinality(queries) LOOP
        result := result || (SELECT min(t) FROM unnest(took) WITH ORDINALITY u (t, n)
                             WHERE (n - 1) % cardinality(queries) = q - 1);
    END LOOP;
    RETURN result;
END $$;
VACUUM ANALYZE;
SQL
my $token = $s->sql(q(SELECT access_token FROM auth.login('ann@example.com', 'Secret123')));

# The times of queries after one another, as the application's role with an identity.
sub durations
{
    my ($settings, $runs, @queries) = @_;
    my $list = join ', ', map { "'$_'" } @queries;
    my $out = $s->node->safe_psql('auth_service', "BEGIN; $settings; SET ROLE regress_app;
        SELECT auth.authenticate('$token') \\g /dev/null\nSELECT array_to_string(compare(ARRAY[$list], $runs), ' '); COMMIT;");
    return split / /, $out;
}

# The ratio of the second query's best time to the first one's, of so many tries as it takes.
sub ratio
{
    my ($limit, @arguments) = @_;
    my @best = (1e9, 1e9);
    foreach my $try (1 .. 24)
    {
        # Where a table's pages lie makes some percent as well: they are laid anew.
        if ($try == 9 || $try == 17) { $s->sql('VACUUM FULL literal, policy, either, either_literal, claim'); $s->sql('VACUUM ANALYZE'); @best = (1e9, 1e9) }
        my @took = durations(@arguments);
        @best = map { min($best[$_], $took[$_]) } 0, 1;
        note sprintf '%.2f ms, %.2f ms: %.3f', @best, $best[1] / $best[0];
        last if $try > 1 && $best[1] <= $limit * $best[0];
    }
    return $best[1] / $best[0];
}

my $serial = 'SET LOCAL max_parallel_workers_per_gather = 0';
my $parallel = 'SET LOCAL max_parallel_workers_per_gather = 2';
my @count = map { "SELECT count(*) FROM $_" } qw(literal policy);
my @notes = map { "SELECT max(note) FROM $_" } qw(literal policy);
cmp_ok(ratio(1.06, $serial, 11, @count), '<=', 1.06, 'a sequential scan: count');
cmp_ok(ratio(1.06, $serial, 11, @notes), '<=', 1.06, 'a sequential scan: values');
cmp_ok(ratio(1.06, $serial, 11, "SELECT count(*) FROM literal", "SELECT count(*) FROM claim"), '<=', 1.06, 'a sequential scan: a claim, in a sub-select');
cmp_ok(ratio(1.06, $serial, 11, "SELECT count(*) FROM either_literal", "SELECT count(*) FROM either"), '<=', 1.06, 'a sequential scan: an admin, or who owns it');
# Two workers on a machine with other work: times vary more than what is measured.
cmp_ok(ratio(1.25, $parallel, 11, @count), '<=', 1.25, 'a parallel scan');
$s->sql('CREATE INDEX ON literal (owner); CREATE INDEX ON policy (owner); VACUUM ANALYZE literal, policy');
# Here nothing is done for each row: it is whether the index is used, and where the pages lie makes up to 8 percent.
cmp_ok(ratio(1.25, $serial, 21, @notes), '<=', 1.25, 'an index, 50,000 rows');
# What is left for a short query is its planning: an InitPlan costs microseconds.
$s->sql('CREATE INDEX ON literal (id); CREATE INDEX ON policy (id)');
my ($one, $two) = durations($serial, 2000, map { "SELECT note FROM $_ WHERE id = 20" } qw(literal policy));
cmp_ok($two - $one, '<', 0.2, 'one row by its key: no 0.2 ms more');
done_testing();
