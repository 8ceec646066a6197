# An update from every older version, with data, ends in the catalog of a new installation; accounts,
# passwords, sessions and tokens outlive it.
use strict;
use warnings;
use AuthService;
use Test::More;

my $s = AuthService->new('upgrade');
my %older;
foreach (glob 'sql/updates/auth_service--*--*.sql')
{
    my ($from, $to) = /--([\d.]+)--([\d.]+)\.sql$/ or die;
    $older{$from} = $to;
}
cmp_ok(scalar keys %older, '>', 0, 'there are older versions');
my ($current) = PostgreSQL::Test::Utils::slurp_file('auth_service.control') =~ /default_version = '(.*)'/;

# All that a version has made, as text without object ids.
my $catalog = <<'SQL';
SELECT line FROM (
    SELECT 'class ' || concat_ws(' ', oid::regclass, relkind, relpersistence, relacl, obj_description(oid, 'pg_class'), relnatts)
    FROM pg_class WHERE relnamespace = 'auth'::regnamespace
    UNION ALL SELECT 'column ' || concat_ws(' ', attrelid::regclass, attnum, attname, format_type(atttypid, atttypmod), attnotnull, attidentity,
        attcollation::regcollation, pg_get_expr(adbin, adrelid), col_description(attrelid, attnum))
    FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid LEFT JOIN pg_attrdef d ON adrelid = attrelid AND adnum = attnum
    WHERE relnamespace = 'auth'::regnamespace AND attnum > 0
    UNION ALL SELECT 'index ' || pg_get_indexdef(indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = indexrelid WHERE relnamespace = 'auth'::regnamespace
    UNION ALL SELECT 'constraint ' || concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint WHERE connamespace = 'auth'::regnamespace
    UNION ALL SELECT 'function ' || concat_ws(' ', pg_get_functiondef(oid), proacl, proowner::regrole, obj_description(oid, 'pg_proc')) FROM pg_proc WHERE pronamespace = 'auth'::regnamespace
    UNION ALL SELECT 'type ' || concat_ws(' ', oid::regtype, typtype, typacl, obj_description(oid, 'pg_type')) FROM pg_type WHERE typnamespace = 'auth'::regnamespace
    UNION ALL SELECT 'label ' || concat_ws(' ', enumtypid::regtype, enumsortorder, enumlabel) FROM pg_enum WHERE enumtypid::regtype::text LIKE 'auth.%'
    UNION ALL SELECT 'event trigger ' || concat_ws(' ', evtname, evtevent, evtfoid::regproc, evtenabled, evttags, evtowner::regrole, obj_description(oid, 'pg_event_trigger')) FROM pg_event_trigger
    UNION ALL SELECT 'identity ' || oid::regclass || ' ' || relreplident::text FROM pg_class WHERE relnamespace = 'auth'::regnamespace AND relkind = 'r'
    UNION ALL SELECT 'sequence ' || concat_ws(' ', seqrelid::regclass, seqtypid::regtype, seqstart, seqincrement, seqmax, seqmin, seqcache, seqcycle) FROM pg_sequence JOIN pg_class c ON c.oid = seqrelid WHERE relnamespace = 'auth'::regnamespace
    UNION ALL SELECT 'schema ' || concat_ws(' ', nspname, nspacl) FROM pg_namespace WHERE nspname = 'auth'
    UNION ALL SELECT 'config ' || t.o::regclass || ' ' || c FROM pg_extension, unnest(extconfig, extcondition) t (o, c) WHERE extname = 'auth_service'
    UNION ALL SELECT 'extension ' || concat_ws(' ', extversion, extrelocatable, extnamespace::regnamespace) FROM pg_extension WHERE extname = 'auth_service'
    UNION ALL SELECT 'member ' || pg_describe_object(classid, objid, 0) FROM pg_depend
    WHERE deptype = 'e' AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'auth_service')) x (line) ORDER BY line COLLATE "C"
SQL

# The rows of each table, by the columns that it had before: a count and a digest of each.
sub contents
{
    my ($name, %columns) = @_;
    return { map { $_ => $s->node->safe_psql($name, "SELECT count(*), md5(string_agg(r::text, ',' ORDER BY r::text)) FROM (SELECT $columns{$_} FROM $_) r") } keys %columns };
}
sub columns_of
{
    my ($name) = @_;
    return map { split /\|/ } split /\n/, $s->node->safe_psql($name, "SELECT attrelid::regclass || '|' || string_agg(quote_ident(attname), ', ' ORDER BY attnum)
        FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = 'auth'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped GROUP BY attrelid");
}

sub database
{
    my ($name, @statements) = @_;
    $s->node->safe_psql('postgres', "CREATE DATABASE $name");
    $s->node->safe_psql($name, "SET client_min_messages = warning; $_") foreach @statements;
    return $s->node->safe_psql($name, $catalog);
}
# Somebody's default privileges must not reach our tables and functions.
$s->node->safe_psql('postgres', 'CREATE ROLE regress_reports; CREATE ROLE auth_service_shim LOGIN');
my $greedy = 'ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO regress_reports; ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO regress_reports;
    ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO regress_reports';
my $allow = q(SELECT auth.allow_api('auth_service_shim'));
my $fresh = database('fresh', $greedy, 'CREATE EXTENSION auth_service CASCADE', $allow);
unlike($fresh, qr/regress_reports/, 'a new installation: default privileges do not reach it');
like($fresh, qr/^extension $current /m, "a new installation has $current");

my $hash = q('$2a$04$' || substr(crypt('Secret123', gen_salt('bf', 4)), 8));
# As those versions made it, whose scripts do not any more: the index of substrings, and what that required.
my $trgm = q(CREATE EXTENSION pg_trgm; CREATE INDEX users_substring_idx ON auth.users USING gin
    (email gin_trgm_ops, first_name gin_trgm_ops, last_name gin_trgm_ops) WHERE deleted_at IS NULL;
    INSERT INTO pg_depend SELECT 'pg_extension'::regclass, a.oid, 0, 'pg_extension'::regclass, b.oid, 0, 'n'
    FROM pg_extension a, pg_extension b WHERE a.extname = 'auth_service' AND b.extname = 'pg_trgm');
foreach my $version (sort keys %older)
{
    (my $name = "from_$version") =~ tr/./_/;
    # With what the first version's tables take; later ones have them too.
    database($name, $greedy, "CREATE EXTENSION auth_service VERSION '$version' CASCADE",
        "INSERT INTO auth.users (email, email_normalized, password_hash, role, balance, created_at, updated_at)
         SELECT e, e, $hash, CASE WHEN i = 3 THEN 'admin' ELSE 'user' END::auth.user_role, i % 2 * 50, now(), now()
         FROM (SELECT i, 'user' || i || '\@example.com' FROM generate_series(1, 1000) i) x (i, e)",
        "INSERT INTO auth.signing_keys (kid, algorithm, secret, is_active, created_at) VALUES ('k', 'HS256', decode(repeat('ab', 32), 'hex'), true, now())",
        $version =~ /^1\.[12]$/ ? $trgm : (),
        "INSERT INTO auth.sessions (user_id, id, refresh_key, refresh_counter, refresh_nonce, previous_nonce, created_at, last_used_at, expires_at, user_agent, ip)
         SELECT id, gen_random_uuid(), decode(repeat('ab', 32), 'hex'), id % 3, id, id, now(), now(), now() + '1 day', 'agent ' || id, '192.0.2.1' FROM auth.users",
        # Only the first version knows no ledger and no log, and the third was the first with hooks.
        $version eq '1.0' ? () : ('INSERT INTO auth.balance_entries (user_id, number, amount, balance, created_at) SELECT id, 1, balance, balance, now() FROM auth.users WHERE balance > 0',
            "INSERT INTO auth.audit_log (at, action, user_id, db_role, detail) SELECT now(), 'login', id, 'postgres', '{\"a\": 1}' FROM auth.users"),
        $version =~ /^1\.[01]$/ ? () : "INSERT INTO auth.hooks VALUES ('delete', 'public', 'on_delete')");
    my %columns = columns_of($name);
    my $before = contents($name, %columns);
    cmp_ok(scalar(grep { $before->{$_} =~ /^[1-9]/ } keys %columns), '>=', $version eq '1.0' ? 3 : 5, "$version: its tables have rows");
    $s->node->safe_psql($name, "SET client_min_messages = warning; $_") foreach 'ALTER EXTENSION auth_service UPDATE', $allow;
    is($s->node->safe_psql($name, $catalog), $fresh, "$version: the update ends in the catalog of a new installation");
    is_deeply(contents($name, %columns), $before, "$version: and every row is as it was");
    is($s->node->safe_psql($name, 'SELECT count(*), sum(balance), (SELECT sum(amount) FROM auth.balance_entries) FROM auth.users'), '1000|25000|25000',
        "$version: every account is there, and the ledger has the balances");
    $s->{database} = $name;
    $s->shim;
    my $pair = $s->login('user1@example.com');
    is($s->request('GET', '/users/balance', token => $pair->{access_token})->{json}{balance}, 50, "$version: a password works, and the new functions");
    is($s->sql("SELECT count(*) FROM auth.list_users(email => 'user99')"), 11, "$version: a list");
    is($s->sql('SET client_min_messages = warning; DROP EXTENSION IF EXISTS pg_trgm; SELECT count(*) FROM auth.users'), 1000, "$version: what it required can go");
    $s->stop_shim;
}

# What we require belongs to somebody who could drop it, and us with it.
$s->node->safe_psql('postgres', 'CREATE ROLE regress_alice LOGIN; CREATE DATABASE strange; GRANT CREATE ON DATABASE strange TO regress_alice');
$s->node->safe_psql('strange', 'SET ROLE regress_alice; CREATE SCHEMA alice; CREATE EXTENSION pgcrypto SCHEMA alice');
my (undef, undef, $refused) = $s->node->psql('strange', 'CREATE EXTENSION auth_service CASCADE');
like($refused, qr/ERROR:  extension "pgcrypto" or its schema "alice" belongs to another role/, 'an extension of a stranger is not built on');
$s->node->safe_psql('strange', 'GRANT CREATE ON SCHEMA public TO regress_alice; SET ROLE regress_alice; DROP SCHEMA alice CASCADE; CREATE EXTENSION pgcrypto SCHEMA public');
(undef, undef, $refused) = $s->node->psql('strange', 'CREATE EXTENSION auth_service CASCADE');
like($refused, qr/belongs to another role/, 'nor in our schema');
$s->node->safe_psql('strange', 'DROP EXTENSION pgcrypto; SET client_min_messages = warning; CREATE EXTENSION auth_service CASCADE');

# A library that is newer than the schema says so, and does nothing.
$s->node->safe_psql('postgres', 'CREATE DATABASE behind');
my ($first) = sort keys %older;
$s->node->safe_psql('behind', "SET client_min_messages = warning; CREATE EXTENSION auth_service VERSION '$first' CASCADE");
my ($status, $out, $err) = $s->node->psql('behind', q(SELECT auth.login('user1@example.com', 'Secret123')));
like($err, qr/extension "auth_service" has version \Q$first\E in this database, its library \Q$current\E.*ALTER EXTENSION auth_service UPDATE/s, 'a schema that is behind: said clearly');
($status, $out, $err) = $s->node->psql('behind', 'ALTER EXTENSION auth_service UPDATE; SELECT auth.uid() IS NULL; SELECT auth.login(\'x\', \'y\') IS NULL');
is($out, "t\nt", 'and an update mends it within the session') or diag $err;

# init-db does it too.
$s->node->safe_psql('postgres', 'CREATE DATABASE auth_service');
$s->{database} = 'auth_service';
$s->sql("SET client_min_messages = warning; CREATE EXTENSION auth_service VERSION '$first' CASCADE");
is(join('', ($s->command('init-db'))[ 0, 1 ]), "0updated extension auth_service from $first to $current\nmade role auth_service_anonymous\n", 'init-db updates');
is(join('', ($s->command('init-db'))[ 0, 1 ]), '0', 'init-db: once');
done_testing();
