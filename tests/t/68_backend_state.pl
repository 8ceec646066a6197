# What tens of thousands of bad tokens, keys and rotations leave behind in one session: no memory, and nothing in
# OpenSSL's queue of errors, which the session's own TLS reads.
use strict;
use warnings;
use AuthService;
use PostgreSQL::Test::Utils;
use Test::More;

my $s = AuthService->new('state', conf => "listen_addresses = '127.0.0.1'\n");
my $data = $s->node->data_dir;
system('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-subj', '/CN=localhost', '-keyout', "$data/server.key", '-out', "$data/server.crt",
    '-batch') == 0 or die;
chmod 0600, "$data/server.key";
$s->node->append_conf('postgresql.conf', "ssl = on\nlog_statement = none");
append_to_file("$data/pg_hba.conf", "hostssl all all 127.0.0.1/32 trust\n");
$s->node->restart;
$s->command('init-db');
$s->sql("ALTER DATABASE auth_service SET auth_service.bcrypt_cost = 4; SELECT auth.register('ann\@example.com', 'Secret123')");

my @tokens;
foreach my $algorithm (qw(HS256 ES256 RS256 EdDSA))
{
    $s->sql("SELECT auth.rotate_signing_key('$algorithm')");
    push @tokens, $s->sql("SELECT access_token FROM auth.login('ann\@example.com', 'Secret123')");
}
my $list = join ', ', map { "'$_'" } @tokens;
my $work = "DO \$\$
    DECLARE
        token text;
        bad text;
        i int;
    BEGIN
        FOREACH token IN ARRAY ARRAY[$list] LOOP
            -- A wrong signature, another's, none, one of zeros, claims that are not signed, and a good one.
            FOREACH bad IN ARRAY ARRAY[overlay(token PLACING 'AAAA' FROM length(token) - 10), token || 'A', split_part(token, '.', 1) || '.' || split_part(token, '.', 2) || '.',
                split_part(token, '.', 1) || '.' || split_part(token, '.', 2) || '.' || repeat('A', length(split_part(token, '.', 3))),
                split_part(token, '.', 1) || '.e30.' || split_part(token, '.', 3), token] LOOP
                FOR i IN 1..COUNT LOOP
                    PERFORM auth.verify_token(bad);
                END LOOP;
                ASSERT (auth.verify_token(bad) IS NOT NULL) = (bad = token);
            END LOOP;
        END LOOP;
        FOR i IN 1..COUNT / 4 LOOP
            BEGIN PERFORM auth.import_signing_key('RS256', '-----BEGIN PUBLIC KEY-----' || chr(10) || 'AAAA' || chr(10) || '-----END PUBLIC KEY-----', '1 day');
            EXCEPTION WHEN invalid_parameter_value THEN NULL; END;
            BEGIN PERFORM auth.import_signing_key('ES256', 'x' || i, '1 day');
            EXCEPTION WHEN invalid_parameter_value THEN NULL; END;
            PERFORM auth.jwks();
        END LOOP;
    END \$\$;
    DO \$\$ BEGIN FOR i IN 1..COUNT / 20 LOOP PERFORM auth.rotate_signing_key((ARRAY['HS256', 'ES256', 'EdDSA'])[1 + i % 3]); PERFORM auth.login('ann\@example.com', 'Secret123'); PERFORM auth.drop_signing_key(kid) FROM auth.signing_keys
        WHERE NOT is_active AND created_at < (SELECT max(created_at) FROM auth.signing_keys) AND kid NOT IN (SELECT convert_from(decode(rpad(translate(p, '-_', '+/'), (length(p) + 3) / 4 * 4, '='), 'base64'), 'UTF8')::jsonb->>'kid' FROM unnest(ARRAY[$list]) t, split_part(t, '.', 1) p); END LOOP; END \$\$;
    SELECT 'rss', substring(pg_read_file('/proc/self/status') FROM 'RssAnon:\\s+(\\d+)'), length(repeat('x', 100000));";
my ($out, $err) = ('', '');
{
    local %ENV = (%ENV, $s->environment, PGHOST => '127.0.0.1', PGSSLMODE => 'require');
    IPC::Run::run([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1' ], '<', \(($work =~ s/COUNT/300/gr) . ($work =~ s/COUNT/2000/gr) . "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid();"), '>', \$out, '2>', \$err);
}
is($err, '', 'over TLS: no error');
like($out, qr/^t$/m, 'it was TLS');
my ($before, $after) = $out =~ /^rss\|(\d+)/mg;
cmp_ok($after - $before, '<', 512, sprintf 'memory: %d KB more after 48,000 tokens, 1,000 bad keys and 100 rotations', $after - $before) or diag $out;
unlike($s->server_log, qr/SSL error|SSL_ERROR/, 'the server had no trouble with TLS');
done_testing();
