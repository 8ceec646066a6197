# Memory that runs out at any moment never makes a bad token good, nor a bad signature, ends no backend, and leaves no token good
# that was said to be revoked.
use strict;
use warnings;
use AuthService;
use MIME::Base64 qw(encode_base64url decode_base64url);
use PostgreSQL::Test::Utils;
use Test::More;

my $folder = PostgreSQL::Test::Utils::tempdir;
my ($include) = map { chomp; $_ } qx(pg_config --includedir-server);
system('gcc', '-shared', '-fPIC', '-O1', "-I$include", '-o', "$folder/faults.so", 'tests/faults.c') == 0 or die 'cannot build tests/faults.c';

my $s = AuthService->new('faults');
$s->command('init-db');
# Failures are counted, and none is too many.
$s->sql('ALTER DATABASE auth_service SET auth_service.bcrypt_cost = 4; ALTER DATABASE auth_service SET auth_service.throttle_account_failures = 1000');
$s->node->stop;
{ local $ENV{LD_PRELOAD} = "$folder/faults.so"; $s->node->start; }
$s->sql("CREATE FUNCTION fault(nth int, lasting bool) RETURNS bool LANGUAGE c AS '$folder/faults.so';
    CREATE FUNCTION failures() RETURNS int LANGUAGE c AS '$folder/faults.so'");
$s->sql("SELECT auth.register('ann\@example.com', 'Secret123')");
is($s->sql("SELECT auth.verify_token('a.b.c') IS NULL; SELECT fault(0, false)"), "t\nt", 'allocations can be made to fail, also those of jansson');
my $started = $s->sql('SELECT pg_postmaster_start_time()');

foreach my $algorithm (qw(HS256 ES256 RS256 EdDSA))
{
    my $kid = $s->sql("SELECT auth.rotate_signing_key('$algorithm')");
    my $good = $s->sql("SELECT access_token FROM auth.login('ann\@example.com', 'Secret123')");
    my ($header, $claims, $signature) = split /\./, $good;
    my $text = decode_base64url($claims);
    $text =~ s/"role":"user"/"role":"admin"/ or die;
    # The signature of a token that was good a moment ago, which may still lie about in memory.
    my $forged = join '.', $header, encode_base64url($text), $signature;
    my $none = join '.', encode_base64url(qq({"alg":"none","typ":"at+jwt","kid":"$kid"})), encode_base64url($text), '';
    my ($code, $out, $err) = $s->node->psql(
        'auth_service',
        "DO \$\$
        DECLARE
            said jsonb;
            bad int := 0; good int := 0; refused int := 0; raised int := 0; hit int;
            token text;
            is_good bool;
        BEGIN
            FOR nth IN 1..60 LOOP
                FOREACH token IN ARRAY ARRAY['$good', '$forged', '$none', 'a.b.c'] LOOP
                    FOR lasting IN 0..1 LOOP
                        is_good := token = '$good';
                        -- Each as the first of its kind in a session, and as one of many.
                        BEGIN
                            said := auth.verify_token('$good');
                            PERFORM fault(nth, lasting = 1);
                            said := auth.verify_token(token);
                            hit := failures();
                            IF said IS NULL THEN refused := refused + 1;
                            ELSIF is_good THEN good := good + 1;
                            ELSE bad := bad + 1;
                            END IF;
                        EXCEPTION WHEN OTHERS THEN
                            hit := failures();
                            raised := raised + 1;
                        END;
                    END LOOP;
                END LOOP;
            END LOOP;
            RAISE NOTICE 'bad % good % refused % raised %', bad, good, refused, raised;
        END \$\$");
    my ($bad, $was_good, $refused, $raised) = $err =~ /bad (\d+) good (\d+) refused (\d+) raised (\d+)/;
    is($bad, 0, "$algorithm: no bad token is good") or diag $err;
    cmp_ok($was_good, '>', 0, "the good one is, where enough memory is left ($was_good times; $refused refusals, $raised errors)");
    # The first token of a session: libraries are opened, keys read.  (The server itself ends a session that cannot
    # define its settings.)
    my %tally;
    foreach my $nth (map { $_ * 3 } 1 .. 40)
    {
        my ($said, $problem) = ('', '');
        $s->node->psql('auth_service', "SELECT fault($nth, false); SELECT auth.verify_token('$forged'); SELECT failures(); SELECT 'ends'", stdout => \$said, stderr => \$problem);
        $tally{ $said =~ /"role"/ ? 'good' : $said =~ /ends/ ? 'refused' : $problem =~ /ERROR|FATAL:  out of memory/ ? 'raised' : "lost: $problem" }++;
    }
    is((join ' ', grep { !/^(?:refused|raised)$/ } sort keys %tally), '', "$algorithm: nor as the first of a session");
    # Signing: what comes out is good, or nothing does.
    my $tokens = '';
    foreach my $nth (map { $_ * 4 } 1 .. 30)
    {
        my ($said, $problem) = ('', '');
        $s->node->psql('auth_service', "SELECT access_token FROM auth.login('ann\@example.com', 'Secret123'); SELECT fault($nth, false); SELECT access_token FROM auth.login('ann\@example.com', 'Secret123')", stdout => \$said, stderr => \$problem);
        $tokens .= "$said\n";
    }
    my @tokens = $tokens =~ /^(eyJ.*)$/mg;
    is($s->sql('SELECT count(*) FROM unnest(ARRAY[' . join(',', map { "'$_'" } @tokens) . ']) t WHERE auth.verify_token(t) IS NULL'), 0, scalar(@tokens) . ' signed meanwhile are all good');
}

# ---- Every other call that tokens or keys go through ----------------------------------------------------------

# The server with a key-encryption key, so that what is made is sealed, and opened again.
my $kek = "$folder/kek";
PostgreSQL::Test::Utils::append_to_file($kek, ('0123456789abcdef' x 4) . "\n");
chmod 0600, $kek;
$s->node->append_conf('postgresql.conf', "auth_service.key_encryption_command = 'cat $kek'");
$s->node->reload;
$s->node->poll_query_until('auth_service', "SELECT current_setting('auth_service.key_encryption_command') <> ''") or die;
$s->sql("SELECT auth.rotate_signing_key('ES256'); SELECT auth.seal_signing_keys()");
$s->sql("SELECT auth.register('eve\@example.com', 'Secret123')");
my $pem = qx(openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 2>/dev/null | openssl pkey -pubout);

# A call, what is made ready for it with enough memory, and what holds when it has answered.
my @calls = (
    [ 'login', '', "(auth.login('ann\@example.com', 'Secret123')).access_token", "auth.verify_token(said) IS NOT NULL" ],
    [ 'login, wrong password', '', "(auth.login('ann\@example.com', 'Secret124')).access_token", 'said IS NULL' ],
    [ 'refresh', "given := (auth.login('ann\@example.com', 'Secret123')).refresh_token", '(auth.refresh(given)).access_token', 'auth.verify_token(said) IS NOT NULL' ],
    # A character of its tag.
    [ 'refresh, forged', "given := (auth.login('ann\@example.com', 'Secret123')).refresh_token; given := overlay(given PLACING CASE substr(given, 70, 1) WHEN 'A' THEN 'B' ELSE 'A' END FROM 70)",
        '(auth.refresh(given)).access_token', 'said IS NULL' ],
    [ 'introspect, access', "given := (auth.login('ann\@example.com', 'Secret123')).access_token; PERFORM auth.authenticate(given)", "auth.introspect(given)->>'active'", "said = 'true'" ],
    [ 'introspect, refresh', "PERFORM auth.authenticate((auth.login('ann\@example.com', 'Secret123')).access_token); given := (auth.login('ann\@example.com', 'Secret123')).refresh_token",
        "auth.introspect(given)->>'active'", "said = 'true'" ],
    [ "introspect, another's", "PERFORM auth.authenticate((auth.login('eve\@example.com', 'Secret123')).access_token); given := (auth.login('ann\@example.com', 'Secret123')).refresh_token",
        "auth.introspect(given)->>'active'", "said = 'false'" ],
    (map { [ "revoke_token, access of $_", "PERFORM auth.rotate_signing_key('$_'); given := (auth.login('ann\@example.com', 'Secret123')).access_token", "auth.revoke_token(given)::text",
        'auth.verify_token(given) IS NULL' ] } qw(HS256 ES256 RS256 EdDSA)),
    [ 'revoke_token, refresh', "given := (auth.login('ann\@example.com', 'Secret123')).refresh_token", "auth.revoke_token(given)::text", '(auth.refresh(given)).access_token IS NULL' ],
    [ 'jwks', '', "auth.jwks()->>'keys'", "jsonb_array_length(said::jsonb) > 0 AND said !~ '\"d\"'" ],
    (map { [ "rotate_signing_key $_", '', "auth.rotate_signing_key('$_')", "auth.verify_token((auth.login('ann\@example.com', 'Secret123')).access_token) IS NOT NULL" ] } qw(HS256 ES256 EdDSA)),
    [ 'import_signing_key HS256', '', "auth.import_signing_key('HS256', 'another secret of 32 bytes, at least', '1 day')", "said LIKE 'imported-%'" ],
    [ 'import_signing_key ES256', '', "auth.import_signing_key('ES256', '$pem', '1 day')", "said LIKE 'imported-%'" ],
    [ 'import_signing_key, none', '', "auth.import_signing_key('ES256', 'x', '1 day')", 'false' ],
    [ 'seal_signing_keys', '', 'auth.seal_signing_keys()::text', "said::int >= 0" ],
);

my $all_hit = 0;
foreach (@calls)
{
    my ($name, $before, $call, $good) = @$_;
    $before .= ';' if $before;
    my ($code, $out, $err) = $s->node->psql(
        'auth_service',
        "DO \$\$
        DECLARE
            said text; given text; is_good bool;
            bad int := 0; done int := 0; raised int := 0; lost int := 0; hit int; hits int := 0; codes text := '';
        BEGIN
            -- Once with enough memory: the key-encryption key is read then, and the keys.
            $before
            BEGIN said := $call; EXCEPTION WHEN invalid_parameter_value THEN NULL; END;
            FOR nth IN 1..40 LOOP
                FOR lasting IN 0..1 LOOP
                    BEGIN
                        $before
                        BEGIN
                            PERFORM fault(nth, lasting = 1);
                            said := $call;
                            hit := failures();
                            hits := hits + hit;
                            is_good := $good;
                            -- With memory that ran out, NULL and false are no answers but errors; a refusal is.
                            IF is_good THEN done := done + 1;
                            ELSIF hit > 0 AND (said IS NULL OR said = 'false') THEN lost := lost + 1;
                            ELSE bad := bad + 1; codes := codes || format(' nth %s hit %s said %s', nth, hit, left(said, 20));
                            END IF;
                        EXCEPTION WHEN OTHERS THEN
                            hits := hits + failures();
                            raised := raised + 1;
                            IF position(SQLERRM in codes) = 0 THEN codes := codes || ' ' || SQLSTATE || ' ' || SQLERRM; END IF;
                        END;
                        -- Nothing of a round stays: neither keys nor sessions.
                        RAISE EXCEPTION 'undo' USING ERRCODE = 'UNDOX';
                    EXCEPTION WHEN SQLSTATE 'UNDOX' THEN NULL;
                    END;
                END LOOP;
            END LOOP;
            RAISE NOTICE 'bad % done % lost % raised % hits % codes%', bad, done, lost, raised, hits, codes;
        END \$\$");
    my ($bad, $done, $lost, $raised, $hits, $codes) = $err =~ /bad (\d+) done (\d+) lost (\d+) raised (\d+) hits (\d+) codes(.*)/;
    is($bad, 0, "$name: done " . ($done // '?') . ", refused " . ($lost // '?') . ", raised " . ($raised // '?') . ", $hits failures;$codes") or diag $err;
    $all_hit += $hits // 0;
}
cmp_ok($all_hit, '>', 500, "$all_hit allocations failed");
is($s->sql('SELECT pg_postmaster_start_time()'), $started, 'no backend died');
unlike($s->server_log, qr/terminated by signal/, 'nor crashed');
done_testing();
