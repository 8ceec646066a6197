# Two ways in which a role that may call the API could read what the tables hold: the plans of our
# statements, which anybody may have printed, and privileges that others were given by default.
use strict;
use warnings;
use AuthService;
use Test::More;

my $s = AuthService->new('leaks');
# A role for reports, as many databases have one.
$s->node->safe_psql('template1', 'CREATE ROLE reports; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reports;
    ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO reports; ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO reports');
$s->node->safe_psql('postgres', 'CREATE DATABASE auth_service TEMPLATE template1');
$s->command('init-db');
is($s->sql("SELECT has_table_privilege('reports', 'pg_class', 'SELECT'), (SELECT count(*) FROM pg_default_acl)"), 't|3', 'default privileges: they are there');
is($s->sql("SELECT count(*) FROM pg_class WHERE relnamespace = 'auth'::regnamespace AND relkind = 'r' AND has_table_privilege('reports', oid, 'SELECT')"), 0,
    'default privileges: open no table of ours');
is($s->sql("SELECT has_sequence_privilege('reports', 'auth.users_id_seq', 'USAGE,SELECT,UPDATE')"), 'f', 'default privileges: nor the sequence');
is($s->sql("SELECT string_agg(oid::regprocedure::text, ' ' ORDER BY oid::regprocedure::text) FROM pg_proc WHERE pronamespace = 'auth'::regnamespace AND has_function_privilege('reports', oid, 'EXECUTE')"),
    'auth.jwt() auth.role() auth.uid()', 'default privileges: nor a function that PUBLIC may not call');

# Every statement of ours, each with its plan, as constants would be planned, sent to the client.
$s->sql("ALTER DATABASE auth_service SET auth_service.bcrypt_cost = 4; CREATE ROLE plain LOGIN; SELECT auth.allow_api('plain')");
my $printed = '';
foreach my $mode ('force_custom_plan', 'auto', 'force_generic_plan')
{
    my ($out, $err) = ('', '');
    $s->node->psql('auth_service', "SET ROLE plain; SET plan_cache_mode = $mode; SET debug_print_parse = on; SET debug_print_rewritten = on;
        SET debug_print_plan = on; SET debug_pretty_print = off; SET client_min_messages = debug5;
        SELECT auth.register('$mode\@example.com', 'Secret123');
        SELECT access_token AS a, refresh_token AS r FROM auth.login('$mode\@example.com', 'Secret123') \\gset
        SELECT refresh_token AS r FROM auth.refresh(:'r') \\gset
        BEGIN; SELECT auth.authenticate(:'a'); SELECT auth.update_profile('A', 'B'); SELECT auth.me(); COMMIT;
        SELECT auth.change_password('$mode\@example.com', 'Secret123', 'Secret124');
        SELECT access_token AS a FROM auth.login('$mode\@example.com', 'Secret124') \\gset",
        stdout => \$out, stderr => \$err);
    $printed .= $err;
}
like($printed, qr/:constvalue/, 'plans: are printed, with their constants');
like($printed, qr/signing_keys|sessions/, 'plans: those of our statements');
# A constant is printed as its bytes, signed.
sub as_constant { return join ' ', unpack 'c*', pack 'H*', substr $_[0], 0, 32 }
my %secrets = (
    'a signing key' => "SELECT encode(secret, 'hex') FROM auth.signing_keys",
    'a refresh key' => "SELECT encode(refresh_key, 'hex') FROM auth.sessions",
    'a hash' => "SELECT encode(right(password_hash, 32)::bytea, 'hex') FROM auth.users");
foreach my $what (sort keys %secrets)
{
    my @values = split /\n/, $s->sql($secrets{$what});
    cmp_ok(scalar @values, '>', 0, "plans: there is $what");
    is(scalar(grep { my $c = as_constant($_); $printed =~ /\Q$c\E/ } @values), 0, "plans: but in none of them");
}
done_testing();
