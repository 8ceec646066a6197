# A text of 300 MB for every text that the API takes, and the longest header over HTTP: an answer or an error at
# once, and no backend dies.  Measured is the function, within the server.
use strict;
use warnings;
use AuthService;
use Test::More;
use Time::HiRes qw(time);

my $s = AuthService->start('long');
$s->register('ann@example.com');
my $pair = $s->login('ann@example.com');
$s->sql("SELECT auth.allow_api('auth_service_shim')");
# One that lies compressed in a table is not to be unpacked.
$s->sql("CREATE TABLE long (t text); INSERT INTO long SELECT repeat('a', 300000000)");
my $started = $s->sql('SELECT pg_postmaster_start_time()');

# What is called, what it answers (an SQLSTATE, or what is not NULL), and what the long text is made of.
my @calls = (
    [ 'auth.authenticate(x)', 'U401B' ],
    [ 'auth.authenticate(x)', 'U401B', "'$pair->{access_token}' || repeat(' ', 300000000)" ],
    [ 'auth.verify_token(x)', 'NULL' ],
    [ 'auth.verify_token(x)', 'NULL', "repeat('a.', 150000000)" ],
    [ 'auth.refresh(x)', 'NULL' ],
    [ 'auth.refresh(x)', 'NULL', "'$pair->{refresh_token}' || repeat('=', 300000000)" ],
    [ 'auth.authenticate(t) FROM long', 'U401B' ],
    [ 'auth.verify_token(t) FROM long', 'NULL' ],
    [ 'auth.refresh(t) FROM long', 'NULL' ],
    [ "auth.introspect(t) ->> 'active' FROM long", 'false' ],
    [ 'auth.revoke_token(t) IS NULL FROM long', 'false' ],
    [ "auth.login(x, 'Secret123')", 'NULL' ],
    [ "auth.login(x, 'Secret123')", 'NULL', "'\"' || repeat(U&'\\0041\\030a', 100000000) || '\"\@example.com'" ],
    [ "auth.login('ann\@example.com', x)", 'NULL' ],
    [ "auth.login('nobody\@example.com', x)", 'NULL' ],
    [ "auth.register(x, 'Secret123')", 'U422B' ],
    [ "auth.register(x, 'Secret123')", 'U422B', "'a\@' || repeat('a.', 150000000) || 'com'" ],
    [ "auth.register('b\@example.com', x)", 'U422D' ],
    [ "auth.register('b\@example.com', 'Secret123', x)", 'U422I' ],
    [ "auth.change_password(x, 'Secret123', 'Secret124')", 'false' ],
    [ "auth.change_password('ann\@example.com', x, 'Secret124')", 'false' ],
    [ "auth.change_password('ann\@example.com', 'Secret123', x)", 'U422D' ],
    [ "auth.import_signing_key(x, repeat('a', 40), '1 day')", '22023' ],
    [ "auth.import_signing_key('HS256', x, '1 day')", '22023' ],
    [ "auth.import_signing_key('RS256', x, '1 day')", '22023' ],
    [ "auth.import_signing_key('ES256', x, '1 day')", '22023', "'-----BEGIN PUBLIC KEY-----' || repeat(E'\\nAAAA', 60000000)" ],
    [ 'auth.rotate_signing_key(x)', '22023' ],
    [ 'auth.drop_signing_key(x)', 'false' ],
    # Out of the table: a variable of 300 MB PostgreSQL copies for each query.
    [ '(SELECT count(*) FROM long, auth.list_users(email => t, first_name => t, last_name => t))', 'U422A' ],
    [ '(SELECT count(*) FROM long, auth.list_users(sort_by => t))', 'U422A' ],
    [ '(SELECT count(*) FROM long, auth.list_users(sort_order => t))', 'U422A' ],
    [ '(SELECT count(*) FROM long, auth.list_users(cursor => t))', 'U422A' ],
    [ '(SELECT count(*) FROM long, auth.audit(action => t))', '0' ]);
foreach (@calls)
{
    my ($call, $wanted, $long) = @$_;
    $long //= "repeat('a', 300000000)";
    my ($out, $err) = ('', '');
    $s->node->psql('auth_service', "SELECT auth.verify_token('x');
        DO \$\$
        DECLARE
            x text := $long;
            result text;
            began timestamptz := clock_timestamp();
        BEGIN
            BEGIN
                result := $call;
                result := coalesce(result, 'NULL');
            EXCEPTION WHEN OTHERS THEN result := SQLSTATE;
            END;
            RAISE NOTICE 'answer % %', result, round(extract(epoch FROM clock_timestamp() - began) * 1000);
        END \$\$", stdout => \$out, stderr => \$err);
    my ($answer, $milliseconds) = $err =~ /answer (\S+) (\d+)/;
    is($answer, $wanted, "$call: " . ($long =~ /^repeat\('a', 3/ ? '300 MB' : '300 MB of another kind')) or diag $err;
    cmp_ok($milliseconds, '<', 200, "in $milliseconds ms");
}
is($s->sql('SELECT pg_postmaster_start_time()'), $started, 'no backend died');

# The longest header that the front reads, and the first that it does not.
foreach my $length (4096, 4097, 15_000, 15_900, 17_000, 300_000)
{
    foreach my $token ('a' x $length, 'a.' x ($length / 2), "$pair->{access_token}." . 'a' x ($length - length $pair->{access_token}))
    {
        my $began = time;
        my ($answer) = $s->raw("GET /users/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer $token\r\n\r\n", 5);
        my $took = time - $began;
        my ($status) = $answer =~ m{^HTTP/1\.1 (\d+)};
        like($status // 'closed', $length < 16_000 ? qr/^401$/ : qr/^(?:400|413|431|closed)$/, "a token of $length bytes");
        cmp_ok($took, '<', 0.2, sprintf 'in %.0f ms', 1000 * $took);
    }
}
is($s->request('GET', '/users/me', token => $pair->{access_token})->{status}, 200, 'and the service goes on');
done_testing();
