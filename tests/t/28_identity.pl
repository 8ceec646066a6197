# The identity in every corner: one row a corner.  tests/pgtap/05_identity.sql has the ways in which a
# transaction ends; here are those that need a server's settings, several sessions, a table with
# policies, or the wire.
use strict;
use warnings;
use AuthService;
use Test::More;
use Wire;

my $s = AuthService->new('identity', conf => "max_prepared_transactions = 5\n");
$s->command('init-db');
$s->sql('ALTER DATABASE auth_service SET auth_service.bcrypt_cost = 4');
$s->sql(<<'SQL');
CREATE ROLE regress_app LOGIN; SELECT auth.allow_api('regress_app');
CREATE ROLE regress_other LOGIN; GRANT regress_other TO regress_app; SELECT auth.allow_api('regress_other');
SELECT auth.register(e, 'Secret123') FROM unnest(ARRAY['ann@example.com', 'bob@example.com']) e;
CREATE TABLE notes (owner bigint NOT NULL DEFAULT auth.uid(), note text);
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON notes USING (owner = auth.uid()) WITH CHECK (owner = auth.uid());
INSERT INTO notes SELECT 1 + i % 2, 'note ' || i FROM generate_series(1, 4) i;
-- One that is big enough for plans of all shapes: a third is Ann's, a third Bob's.
CREATE TABLE big (id int, owner bigint);
INSERT INTO big SELECT i, i % 3 FROM generate_series(1, 30000) i;
ALTER TABLE big ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON big USING (owner = auth.uid());
ANALYZE big;
CREATE TABLE plain (owner bigint DEFAULT auth.uid(), note text);
CREATE TABLE seen (who text, at text);
CREATE FUNCTION note_identity() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS
    $$ BEGIN INSERT INTO seen VALUES (COALESCE(auth.uid()::text, 'nobody'), TG_ARGV[0]); RETURN NULL; END $$;
CREATE TABLE watched (x int);
CREATE TRIGGER now AFTER INSERT ON watched FOR EACH ROW EXECUTE FUNCTION note_identity('now');
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON watched DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_identity('commit');
CREATE FUNCTION who() RETURNS text LANGUAGE sql STABLE AS $$ SELECT COALESCE(auth.uid()::text, 'nobody') $$;
CREATE FUNCTION who_definer() RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$ SELECT COALESCE(auth.uid()::text, 'nobody') $$;
CREATE FUNCTION who_settings() RETURNS text LANGUAGE plpgsql SET work_mem = '1MB' SET search_path = pg_catalog AS $$ BEGIN RETURN COALESCE(auth.uid()::text, 'nobody'); END $$;
CREATE FUNCTION become_definer(token text) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$ SELECT auth.authenticate(token) $$;
CREATE FUNCTION count_definer() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$ SELECT count(*) FROM notes $$;
CREATE VIEW notes_of_owner AS SELECT * FROM notes;
CREATE VIEW notes_of_caller WITH (security_invoker) AS SELECT * FROM notes;
CREATE TABLE forced (owner bigint); INSERT INTO forced VALUES (1), (2);
ALTER TABLE forced ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY, OWNER TO regress_app;
CREATE POLICY own ON forced USING (owner = auth.uid());
CREATE PROCEDURE commits(token text, INOUT inside text DEFAULT NULL) LANGUAGE plpgsql AS
    $$ BEGIN PERFORM auth.authenticate(token); inside := who(); COMMIT; inside := inside || ' ' || who(); END $$;
CREATE PROCEDURE rolls_back(token text, INOUT inside text DEFAULT NULL) LANGUAGE plpgsql AS
    $$ BEGIN PERFORM auth.authenticate(token); ROLLBACK; inside := who(); PERFORM auth.authenticate(token); inside := inside || ' ' || who(); END $$;
CREATE PROCEDURE calls(token text, INOUT inside text DEFAULT NULL) LANGUAGE plpgsql AS
    $$ BEGIN PERFORM auth.authenticate(token); CALL commits(token, inside); inside := inside || ' ' || who(); END $$;
GRANT ALL ON ALL TABLES IN SCHEMA public TO regress_app, regress_other;
SQL
my %token = map { $_->[0] => $s->sql("SELECT access_token FROM auth.login('$_->[1]\@example.com', 'Secret123')") } [ A => 'ann' ], [ B => 'bob' ];

# "be A;" authenticates as Ann, without a line of output; "who;" prints who it is then.
sub script
{
    my ($text) = @_;
    $text =~ s/'([AB])'/'$token{$1}'/g;
    $text =~ s/\bbe ([AB]);/SELECT auth.authenticate('$token{$1}') \\g \/dev\/null\n/g;
    $text =~ s/\bwho;/SELECT who();/g;
    return $text;
}

# What a script prints, as the application's role; a SQLSTATE where a statement fails, and it goes on.
sub prints
{
    my ($text) = @_;
    my ($status, $out, $err) = $s->node->psql('auth_service', script($text), on_error_stop => 0,
        extra_params => [ '--username', 'regress_app', '--set', 'VERBOSITY=sqlstate' ]);
    my @states = $err =~ /ERROR:  (\w{5})/g;
    (my $line = $out) =~ s/\n/ /g;
    return join ' ', grep { length } $line, @states;
}

my $do = 'DO $$ BEGIN PERFORM auth.authenticate(%s); %s END $$;';
foreach (
    # Subtransactions.
    [ 'an exception block undoes authenticate', q(BEGIN; be A; DO $$ BEGIN PERFORM auth.authenticate('B'); RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN NULL; END $$; who;), '1' ],
    [ 'and leaves nobody where nobody was', q(BEGIN; DO $$ BEGIN PERFORM auth.authenticate('B'); RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN NULL; END $$; who;), 'nobody' ],
    [ 'within its handler, it is undone already', q(BEGIN; be A; DO $$ BEGIN PERFORM auth.authenticate('B'); RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN PERFORM set_config('x.who', who(), true); END $$; SELECT current_setting('x.who');), '1' ],
    [ 'an exception block that succeeds keeps it', q(BEGIN; be A; DO $$ BEGIN PERFORM auth.authenticate('B'); EXCEPTION WHEN division_by_zero THEN NULL; END $$; who;), '2' ],
    [ 'savepoints in savepoints', 'BEGIN; be A; SAVEPOINT s; be B; SAVEPOINT t; be A; who; ROLLBACK TO t; who; ROLLBACK TO s; who;', '1 2 1' ],
    [ 'a refused token, and back to the savepoint', q(BEGIN; be A; SAVEPOINT s; SELECT auth.authenticate('x'); ROLLBACK TO s; who;), '1 U401B' ],
    [ 'a cancelled statement, and back to the savepoint', q(BEGIN; be A; SAVEPOINT s; SET LOCAL statement_timeout = 50; SELECT auth.authenticate('B'), pg_sleep(20); ROLLBACK TO s; who;), '1 57014' ],
    [ 'a cancelled statement of its own', q(SET statement_timeout = 50; SELECT auth.authenticate('B'), pg_sleep(20); RESET statement_timeout; who;), 'nobody 57014' ],
    [ 'logout in a savepoint that is undone', 'BEGIN; be A; SAVEPOINT s; SELECT auth.logout() \g /dev/null'."\n".'who; ROLLBACK TO s; who; ROLLBACK;', 'nobody 1' ],

    # Transactions that end within a statement.
    [ 'DO with COMMIT', q(DO $$ BEGIN PERFORM auth.authenticate('A'); COMMIT; PERFORM set_config('x.who', who(), false); END $$; SELECT current_setting('x.who'); who;), 'nobody nobody' ],
    [ 'DO: who authenticates after COMMIT ends with DO', q(DO $$ BEGIN COMMIT; PERFORM auth.authenticate('A'); PERFORM set_config('x.who', who(), false); END $$; SELECT current_setting('x.who'); who;), '1 nobody' ],
    [ 'a procedure with COMMIT', q(CALL commits('A'); who;), '1 nobody nobody' ],
    [ 'a procedure with ROLLBACK', q(CALL rolls_back('A'); who;), 'nobody 1 nobody' ],
    [ 'a procedure in a procedure', q(CALL calls('A'); who;), '1 nobody nobody nobody' ],
    [ 'COMMIT AND CHAIN, twice', 'BEGIN; be A; COMMIT AND CHAIN; who; be B; COMMIT AND CHAIN; who;', 'nobody nobody' ],
    [ 'COMMIT of a failed transaction AND CHAIN', 'BEGIN; be A; SELECT 1/0; COMMIT AND CHAIN; who;', 'nobody 22012' ],

    # Several statements in one message.
    [ 'one message: COMMIT within', q(BEGIN\; SELECT auth.authenticate('A')\; SELECT who()\; COMMIT\; SELECT who();), '1 1 nobody' ],
    [ 'one message: an error within', q(SELECT auth.authenticate('A')\; SELECT 1/0\; SELECT who(); who;), '1 nobody 22012' ],
    [ 'one message: a transaction that it begins stays', q(SELECT auth.authenticate('A')\; BEGIN; who; COMMIT; who;), '1 1 nobody' ],

    # Cursors.
    [ 'a cursor WITH HOLD has its rows from its COMMIT', 'BEGIN; be A; DECLARE c CURSOR WITH HOLD FOR SELECT owner, who() FROM notes; COMMIT; who; FETCH ALL c;', 'nobody 1|1 1|1' ],
    [ 'another user does not see into it later', 'BEGIN; be A; DECLARE c CURSOR WITH HOLD FOR SELECT owner FROM notes; COMMIT; BEGIN; be B; FETCH ALL c; SELECT owner FROM notes;', '1 1 2 2' ],
    [ 'a cursor declared by nobody', 'BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT owner FROM notes; COMMIT; BEGIN; be A; FETCH ALL c; who;', '1' ],
    [ 'a cursor across a savepoint', 'BEGIN; be A; DECLARE c CURSOR FOR SELECT owner FROM notes; FETCH 1 c; SAVEPOINT s; SELECT 1/0; ROLLBACK TO s; FETCH 1 c; who;', '1 1 1 22012' ],

    # Triggers and defaults.
    [ 'a trigger, and a deferred one at COMMIT', 'TRUNCATE seen; BEGIN; be A; INSERT INTO watched VALUES (1); COMMIT; who; TABLE seen;', 'nobody 1|now 1|commit' ],
    [ 'a deferred one at COMMIT AND CHAIN', 'TRUNCATE seen; BEGIN; be A; INSERT INTO watched VALUES (1); COMMIT AND CHAIN; who; TABLE seen;', 'nobody 1|now 1|commit' ],
    [ 'a deferred one after logout', 'TRUNCATE seen; BEGIN; be A; SAVEPOINT s; INSERT INTO watched VALUES (1); be B; SET CONSTRAINTS ALL IMMEDIATE; TABLE seen; ROLLBACK;', '1|now 2|commit' ],
    [ 'a DEFAULT', 'BEGIN; be A; INSERT INTO notes (note) VALUES (1) RETURNING owner; ROLLBACK;', '1' ],
    [ 'a DEFAULT in COPY', "BEGIN; be B; COPY plain (note) FROM STDIN;\nx\n\\.\nTABLE plain; ROLLBACK;", '2|x' ],
    [ 'WITH CHECK', 'BEGIN; be A; INSERT INTO notes (owner) VALUES (2);', '42501' ],
    [ 'WITH CHECK: UPDATE and MERGE', 'BEGIN; be A; UPDATE notes SET note = upper(note) RETURNING owner; SAVEPOINT s; UPDATE notes SET owner = 2; ROLLBACK TO s; MERGE INTO notes n USING (VALUES (1), (2)) v (owner) ON n.owner = v.owner WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN DO NOTHING; SELECT count(*) FROM notes; ROLLBACK; SELECT who();', '1 1 0 nobody 42501' ],

    # Plans that are kept.
    (map {
        my $setting = $_;
        [ "a generic plan with a policy ($setting)", "SET plan_cache_mode = force_generic_plan; SET $setting; PREPARE q AS SELECT count(*), min(owner), max(owner) FROM big; BEGIN; be A; EXECUTE q; be B; EXECUTE q; COMMIT; EXECUTE q; BEGIN; be A; EXECUTE q;",
            '10000|1|1 10000|2|2 0|| 10000|1|1' ]
    } 'max_parallel_workers_per_gather = 0', 'min_parallel_table_scan_size = 0; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0'),
    [ 'a plan that a role without policies made', 'PREPARE q AS SELECT count(*) FROM forced; BEGIN; be A; EXECUTE q; SET LOCAL ROLE regress_other; EXECUTE q;', '1 1' ],

    # Roles and settings.
    [ 'SET ROLE and RESET ROLE', 'BEGIN; be A; SET ROLE regress_other; who; SELECT count(*) FROM notes; RESET ROLE; who; SET LOCAL ROLE regress_other; who; COMMIT; who;', '1 2 1 1 nobody' ],
    [ 'SET SESSION AUTHORIZATION', 'BEGIN; be A; SET SESSION AUTHORIZATION regress_app; who; RESET SESSION AUTHORIZATION; who;', '1 1' ],
    [ 'RESET of the setting', 'BEGIN; be A; SAVEPOINT s; RESET auth_service.identity; ROLLBACK TO s; SET LOCAL auth_service.identity TO DEFAULT; ROLLBACK TO s; who;', '1 42501 42501' ],
    [ 'DISCARD within the transaction', 'BEGIN; be A; DISCARD PLANS; DISCARD SEQUENCES; DISCARD TEMP; who; SELECT count(*) FROM notes;', '1 2' ],
    [ 'DISCARD ALL', 'BEGIN; be A; COMMIT; DISCARD ALL; who; BEGIN; be A; who;', 'nobody 1' ],
    [ 'SECURITY DEFINER reads it', 'BEGIN; be A; SELECT who_definer();', '1' ],
    [ 'SECURITY DEFINER sets it', q(BEGIN; SELECT become_definer('B') \g /dev/null
        who;), '2' ],
    [ 'SECURITY DEFINER passes the policies of tables that its owner owns', 'BEGIN; be A; SELECT count_definer();', '4' ],
    [ 'a function with SET clauses reads it', 'BEGIN; be A; SELECT who_settings(); who;', '1 1' ],
    [ 'row_security = off is an error, not all rows', 'BEGIN; be A; SET LOCAL row_security = off; SELECT count(*) FROM notes;', '42501' ],
    [ 'FORCE ROW LEVEL SECURITY binds the owner', 'SELECT count(*) FROM forced; BEGIN; be A; SELECT owner FROM forced;', '0 1' ],
    [ 'a view shows its owner\'s rows, with security_invoker the caller\'s', 'BEGIN; be A; SELECT count(*) FROM notes_of_owner; SELECT count(*) FROM notes_of_caller;', '4 2' ],
    [ 'READ ONLY', 'BEGIN READ ONLY; be A; who; be B; who;', '1 2' ],
    [ 'SERIALIZABLE', 'BEGIN ISOLATION LEVEL SERIALIZABLE; be A; who; COMMIT; who;', '1 nobody' ],

    # Prepared transactions.
    [ 'PREPARE TRANSACTION', q(BEGIN; be A; INSERT INTO notes (note) VALUES ('two-phase'); PREPARE TRANSACTION 'a'; who; COMMIT PREPARED 'a'; who; BEGIN; be A; SELECT owner FROM notes WHERE note = 'two-phase'; DELETE FROM notes WHERE note = 'two-phase'; COMMIT;), 'nobody nobody 1' ],
    [ 'PREPARE TRANSACTION: deferred triggers run there', q(TRUNCATE seen; BEGIN; be A; INSERT INTO watched VALUES (1); PREPARE TRANSACTION 'a'; ROLLBACK PREPARED 'a'; BEGIN; be B; INSERT INTO watched VALUES (1); PREPARE TRANSACTION 'b'; COMMIT PREPARED 'b'; who; TABLE seen;), 'nobody 2|now 2|commit' ],
    [ 'PREPARE TRANSACTION of a login', q(BEGIN; SELECT access_token AS t FROM auth.login('ann@example.com', 'Secret123') \gset
        PREPARE TRANSACTION 'l'; SELECT auth.verify_token(:'t') IS NULL; COMMIT PREPARED 'l'; SELECT auth.verify_token(:'t') IS NULL;), 't f' ],
    [ 'PREPARE TRANSACTION of a login that is undone', q(BEGIN; SELECT access_token AS t FROM auth.login('ann@example.com', 'Secret123') \gset
        PREPARE TRANSACTION 'l'; ROLLBACK PREPARED 'l'; SELECT auth.verify_token(:'t') IS NULL;), 't' ],
  )
{
    my ($what, $text, $expected) = @$_;
    is(prints($text), $expected, $what);
}
my ($forced) = $s->sql(q(SELECT name FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query')));
is(prints("SET $forced = on; BEGIN; be A; SELECT count(*), min(owner), max(owner) FROM big; be B; SELECT count(*), min(owner), auth.uid(), auth.role(), auth.jwt() ->> 'sub' FROM big GROUP BY 3, 4, 5;"),
    '10000|1|1 10000|2|2|user|2', "$forced");

# COMMIT PREPARED by another session, which is somebody else then.
prints(q(BEGIN; be A; INSERT INTO watched VALUES (1); INSERT INTO notes (note) VALUES ('prepared'); PREPARE TRANSACTION 'elsewhere';));
is(prints(q(COMMIT PREPARED 'elsewhere'; who;)), 'nobody', 'COMMIT PREPARED in another session: it is nobody');
is($s->sql(q(SELECT owner FROM notes WHERE note = 'prepared')), 1, 'and the row is who prepared it');

# A switch of users within a transaction is in the audit log.
sub switches { return $s->sql(q(SELECT COALESCE(string_agg(concat_ws('>', actor_id, user_id) || ' ' || db_role, ', ' ORDER BY id), '') FROM auth.audit_log WHERE action = 'switch_identity')) }
foreach (
    [ 'the same user again', 'BEGIN; be A; be A; COMMIT;', '' ],
    [ 'a switch that is undone by its savepoint', 'BEGIN; be A; SAVEPOINT s; be B; ROLLBACK TO s; COMMIT;', '' ],
    [ 'somebody after a logout', q(SELECT access_token AS t FROM auth.login('ann@example.com', 'Secret123') \gset
        BEGIN; SELECT auth.authenticate(:'t') \g /dev/null
        SELECT auth.logout() \g /dev/null
        be B; COMMIT;), '' ],
    [ 'in a read-only transaction nothing can be recorded', 'BEGIN READ ONLY; be A; be B; COMMIT;', '' ],
    [ 'another user', 'BEGIN; be A; be B; COMMIT;', '1>2 regress_app' ],
    [ 'and back', 'BEGIN; be A; be B; be A; COMMIT;', '1>2 regress_app, 2>1 regress_app' ])
{
    my ($what, $text, $expected) = @$_;
    $s->sql(q(DELETE FROM auth.audit_log WHERE action = 'switch_identity'));
    prints($text);
    is(switches(), $expected, "a switch is recorded: $what");
}

# A foreign key to auth.users: who may make one, and what it does.
$s->sql(q(CREATE ROLE regress_tables; CREATE SCHEMA tables AUTHORIZATION regress_tables; GRANT USAGE ON SCHEMA tables TO regress_app));
my $make = 'CREATE TABLE tables.owned (owner bigint NOT NULL REFERENCES auth.users (id)); GRANT ALL ON tables.owned TO regress_app';
my (undef, undef, $denied) = $s->node->psql('auth_service', "SET ROLE regress_tables; $make");
like($denied, qr/permission denied for table users/, 'a foreign key: not without a privilege');
$s->sql('GRANT REFERENCES (id) ON auth.users TO regress_tables');
$s->sql($make, 'regress_tables');
is($s->sql(q(SELECT bool_or(has_any_column_privilege('regress_tables', 'auth.users', 'SELECT')))), 'f', 'a foreign key: REFERENCES (id) is enough, and reads nothing');
is(prints('INSERT INTO tables.owned VALUES (1); INSERT INTO tables.owned VALUES (999); TABLE tables.owned;'), '1 23503', 'a foreign key: others add rows without that privilege, for users that there are');
$s->sql(q(SELECT auth.register('carl@example.com', 'Secret123')));
my $carl = $s->sql(q(SELECT access_token FROM auth.login('carl@example.com', 'Secret123')));
is(prints("INSERT INTO tables.owned VALUES (3); BEGIN; SELECT auth.authenticate('$carl') \\g /dev/null\nSELECT auth.delete_me() \\g /dev/null\nCOMMIT; INSERT INTO tables.owned VALUES (3); SELECT count(*) FROM tables.owned WHERE owner = 3;"),
    '2', 'a foreign key: holds for a deleted account, whose row stays');
my (undef, undef, $guard) = $s->node->psql('auth_service', 'DROP EXTENSION auth_service');
like($guard, qr/cannot drop extension auth_service because other objects depend on it/, 'a foreign key: DROP EXTENSION does not pass over it');
my $login = $s->node->background_psql('auth_service');
$login->query_safe(q(BEGIN; SELECT auth.login('bob@example.com', 'Secret123')));
is(prints("SET lock_timeout = '2s'; INSERT INTO tables.owned VALUES (2) RETURNING owner;"), '2', 'a foreign key: does not wait for a login that is under way');
$login->quit;

# The wire: pipelines and portals.
my $wire = Wire->new($s->node, 'auth_service', 'regress_app');
my @authenticate = ('SELECT auth.authenticate($1)', $token{A});
is($wire->pipeline([@authenticate], ['SELECT who()'], ['SYNC'], ['SELECT who()'], ['SYNC']), '1 1 / nobody', 'a pipeline: one transaction up to Sync');
is($wire->pipeline([@authenticate], ['SYNC'], ['SELECT who()'], ['SYNC']), '1 / nobody', 'a pipeline of two Syncs');
is($wire->pipeline([@authenticate], ['SELECT 1/0'], ['SELECT who()'], ['SYNC'], ['SELECT who()'], ['SYNC']), '1 22012 / nobody', 'a pipeline: an error skips what is behind it');
is($wire->pipeline([@authenticate], ['COPY notes FROM STDIN'], ['SYNC']), '1 0A000', 'COPY FROM into a table with policies is refused');
is($wire->pipeline(['BEGIN'], [@authenticate], ['SYNC'], ['SELECT who()'], ['SYNC'], ['COMMIT'], ['SELECT who()'], ['SYNC']), '1 / 1 / nobody', 'a pipeline in a transaction block');
is($wire->pipeline([@authenticate], ['PORTAL', 'p', 'SELECT owner FROM notes'], ['FETCH', 'p', 1], ['FETCH', 'p', 5], ['SYNC'], ['FETCH', 'p', 5], ['SYNC']),
    '1 1 suspended 1 1 / 34000', 'a portal goes on with the same user, and ends with the transaction');
is($wire->pipeline(['BEGIN'], [@authenticate], ['PORTAL', 'q', 'SELECT owner FROM big LIMIT 4'], ['FETCH', 'q', 2], ['SYNC'], ['SELECT who()'], ['FETCH', 'q', 9], ['SYNC'], ['COMMIT'], ['SYNC']),
    '1 1 1 suspended / 1 1 1 / ', 'a portal across Syncs of a transaction block');
done_testing();
