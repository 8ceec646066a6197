# Keys at rest: with a key-encryption key a dump alone forges nothing, neither access nor refresh tokens; a wrong
# or missing one fails closed and changes nothing; it can be put in later, and changed.
use strict;
use warnings;
use AuthService;
use Digest::SHA qw(hmac_sha256);
use JSON::PP ();
use MIME::Base64 qw(decode_base64 encode_base64url decode_base64url);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $s = AuthService->start('kek');
my $folder = PostgreSQL::Test::Utils::tempdir;

# What the command prints from now on, to sessions that begin now.
my $file = "$folder/key";
sub keys_are
{
    open(my $f, '>', $file) or die;
    print $f map { "$_\n" } @_;
    close $f;
}
sub command_is
{
    my ($command, $no_shim) = @_;
    $s->node->append_conf('postgresql.conf', "auth_service.key_encryption_command = '" . $command =~ s/'/''/gr =~ s/\\/\\\\/gr . "'");
    $s->node->reload;
    # Until a new session sees it.
    my $seen = '';
    for (1 .. 100) { last if ($seen = $s->sql('SELECT auth.uid() IS NULL; SHOW auth_service.key_encryption_command')) eq "t\n$command"; select undef, undef, undef, 0.02; }
    return if $no_shim;
    $s->stop_shim;
    $s->shim;
}
sub status { my ($token) = @_; return $s->request('GET', '/users/me', token => $token)->{status} }
sub refresh { my ($token) = @_; return $s->request('POST', '/auth/refresh', json => { refresh_token => $token }) }
sub try_sql
{
    my ($sql) = @_;
    my ($code, $out, $err) = $s->node->psql('auth_service', "\\set VERBOSITY verbose\n$sql");
    return $code == 0 ? $out : $err =~ /ERROR:  (\w+: .*)/ ? $1 : $err;
}
my $login = q(SELECT access_token IS NOT NULL FROM auth.login('ann@example.com', 'Secret123'));

# Before: keys as they are.
$s->register('ann@example.com');
my $before = $s->login('ann@example.com');
$s->sql("SELECT auth.rotate_signing_key('ES256')");
my $es256 = $s->login('ann@example.com');

# Turned on: what is there goes on; new sessions are sealed at once, keys when told.
my $one = unpack 'H*', join '', map { chr int rand 256 } 1 .. 32;
keys_are($one);
command_is("cat $file");
is(status($before->{access_token}), 200, 'turned on: a token of before is good');
is(refresh($before->{refresh_token})->{status}, 200, 'a session of before is refreshed');
my $sealed = $s->login('ann@example.com');
is($s->sql('SELECT count(*), count(sealed_by) FROM auth.sessions'), '3|1', 'a new session is sealed');
is($s->sql('SELECT count(sealed_by) FROM auth.signing_keys'), '0', 'the keys are not yet');
is(try_sql('SELECT auth.seal_signing_keys(); SELECT auth.seal_signing_keys()'), "2\n0", 'seal_signing_keys');
is($s->sql('SELECT count(sealed_by) FROM auth.signing_keys'), '2', 'now they are');
is((join ' ', map { status($_->{access_token}) } $before, $es256, $sealed), '200 200 200', 'all tokens are good');
$s->stop_shim;
$s->shim;
is((join ' ', map { status($_->{access_token}) } $before, $es256, $sealed), '200 200 200', 'also for sessions that have not met the keys');
$sealed = refresh($sealed->{refresh_token})->{json};
is(status($sealed->{access_token}), 200, 'a sealed session is refreshed');
is($s->request('POST', '/auth/introspect', token => $sealed->{access_token}, form => [ token => $sealed->{refresh_token} ])->{json}{active}, JSON::PP::true, 'and its refresh token introspected');
foreach my $algorithm (qw(HS256 RS256 EdDSA HS256))
{
    $s->sql("SELECT auth.rotate_signing_key('$algorithm')");
    is(status($s->login('ann@example.com')->{access_token}), 200, "a new $algorithm key signs");
}
is($s->sql('SELECT count(*) FILTER (WHERE sealed_by IS NULL) FROM auth.signing_keys'), 0, 'new keys are sealed');
$s->sql("SELECT auth.import_signing_key('HS256', repeat('x', 40), '1 day')");
is($s->sql('SELECT count(*) FILTER (WHERE sealed_by IS NULL) FROM auth.signing_keys'), 0, 'imported ones too');
$s->sql("SELECT auth.import_signing_key('HS256', repeat('x', 40), '1 day')");
is($s->sql("SELECT count(*) FROM auth.audit_log WHERE action = 'seal_signing_keys'"), 2, 'the audit log tells');

# What is sealed belongs to its kid.
my @hs256 = split /\n/, $s->sql("SELECT kid FROM auth.signing_keys WHERE algorithm = 'HS256' AND imported_until IS NULL ORDER BY created_at");
$s->sql("UPDATE auth.signing_keys SET secret = (SELECT secret FROM auth.signing_keys WHERE kid = '$hs256[0]') WHERE kid = '$hs256[1]'");
my $swapped = $s->sql("SELECT kid FROM auth.signing_keys WHERE kid = '$hs256[1]'");
like(try_sql("UPDATE auth.signing_keys SET signs_from = 'infinity' WHERE kid <> '$swapped'; $login"), qr/^XX001: a sealed signing key does not open/, 'a sealed secret under another kid does not open');
$s->sql("UPDATE auth.signing_keys SET signs_from = created_at; DELETE FROM auth.signing_keys WHERE kid = '$swapped'");

# A dump, with all that is in it: each stretch of bytes as an HMAC's key, and each as half of one.
my $victim = $s->login('ann@example.com');
my $dump = $s->node->safe_psql('auth_service', 'SELECT 1') && do {
    my $out = '';
    local %ENV = (%ENV, $s->environment);
    IPC::Run::run([ 'pg_dump', 'auth_service' ], '>', \$out) or die;
    $out;
};
like($dump, qr/^COPY auth\.signing_keys/m, 'the dump has the keys');
unlike($dump, qr/$one|\Q${\ encode_base64url(pack 'H*', $one)}\E/, 'but not the key-encryption key');
my ($rows) = $dump =~ /^COPY auth\.signing_keys.*?;\n(.*?)\n\\\.$/ms;
my @bytes = map { pack 'H*', $_ } $dump =~ /\\\\x([0-9a-f]{16,})/g;
push @bytes, map { $_, pack('H*', $_) } $rows =~ /\b(?:imported-)?([0-9a-f]{24})\b/g;
my %secrets;
foreach my $bytes (@bytes)
{
    $secrets{$bytes} = 1;
    $secrets{ substr $bytes, $_, 32 } = 1 foreach 0 .. (length($bytes) > 200 ? 0 : length $bytes) - 1;
}
cmp_ok(scalar keys %secrets, '>', 100, 'things to try: ' . keys %secrets);
my ($head, $claims) = split /\./, $victim->{access_token};
my $forged_claims = decode_base64url($claims);
$forged_claims =~ s/"role":"user"/"role":"admin"/ or die;
my @forged;
foreach my $secret (keys %secrets)
{
    my $input = "$head." . encode_base64url($forged_claims);
    push @forged, "$input." . encode_base64url(hmac_sha256($input, $secret));
}
$s->sql('CREATE TABLE forged (token text)');
$s->sql('INSERT INTO forged VALUES ' . join ',', map { "('$_')" } @forged);
is($s->sql('SELECT count(auth.verify_token(token)) FROM forged'), 0, 'no access token');
# The next refresh token but one of the victim's session, whose numbers the dump has.
my $raw = decode_base64url($victim->{refresh_token});
my ($session) = map { pack 'H*', tr/-//dr } $s->sql('SELECT id FROM auth.sessions ORDER BY created_at DESC LIMIT 1');
is(substr($raw, 9, 16), $session, 'the victim\'s session');
my @refresh;
foreach my $secret (keys %secrets)
{
    foreach my $key ($secret, hmac_sha256($secret, ''), hmac_sha256($secret, $secret), hmac_sha256($session, $secret), hmac_sha256($secret . $session, ''), hmac_sha256($secret . $session, $secret))
    {
        push @refresh, encode_base64url(substr($raw, 0, 41) . substr hmac_sha256(substr($raw, 0, 41), $key), 0, 16);
    }
}
$s->sql('TRUNCATE forged');
$s->sql('INSERT INTO forged VALUES ' . join ',', map { "('$_')" } @refresh);
is($s->sql('SELECT count((auth.refresh(token)).access_token) FROM forged'), 0, 'no refresh token');
# That all of this is no blank: without the key-encryption key, it does forge.
my $plain = AuthService->start('plain');
$plain->register('ann@example.com');
my $pair = $plain->login('ann@example.com');
my ($secret) = map { pack 'H*', $_ } $plain->sql("SELECT encode(secret, 'hex') FROM auth.signing_keys");
my ($input) = $pair->{access_token} =~ /(.*)\./;
is($plain->request('GET', '/users/me', token => "$input." . encode_base64url(hmac_sha256($input, $secret)))->{status}, 200, 'without one a dump forges access tokens');
my ($refresh_key) = map { pack 'H*', $_ } $plain->sql("SELECT encode(refresh_key, 'hex') FROM auth.sessions");
$raw = decode_base64url($pair->{refresh_token});
is(encode_base64url(substr($raw, 0, 41) . substr hmac_sha256(substr($raw, 0, 41), $refresh_key), 0, 16), $pair->{refresh_token}, 'and refresh tokens');
undef $plain;

# The key-encryption key is changed: the new one first, the old one behind it, then everything sealed anew.
my $two = encode_base64url(join '', map { chr int rand 256 } 1 .. 48);
keys_are($two, $one);
command_is("cat $file ");
is(status($victim->{access_token}), 200, 'changed: tokens are good');
is(try_sql('SELECT auth.seal_signing_keys() > 4'), 't', 'sealed with the new one');
my $newer = $s->login('ann@example.com');
keys_are($two);
command_is("cat $file");
is((join ' ', map { status($_->{access_token}) } $victim, $newer, $es256), '200 200 200', 'the old one is gone: access tokens are good');
is(refresh($newer->{refresh_token})->{status}, 200, 'sessions since then are refreshed');
is(refresh($victim->{refresh_token})->{status}, 503, 'older ones need the old one');
keys_are($two, $one);
command_is("cat $file ");
is(refresh($victim->{refresh_token})->{status}, 200, 'and go on when it is back');

# A session that runs meanwhile looks again, when it meets what a newer key has sealed.
my $three = unpack 'H*', join '', map { chr int rand 256 } 1 .. 32;
keys_are($three, $two, $one);
is($s->sql('SELECT auth.seal_signing_keys() > 4'), 't', 'sealed with a third, while the shim runs');
$s->sql("SELECT auth.rotate_signing_key('HS256')");
select undef, undef, undef, 10.1;
is($s->request('POST', '/auth/login', form => [ username => 'ann@example.com', password => 'Secret123' ])->{status}, 200, 'the shim\'s sessions get it too');

# What seals sessions changes with what sealed the keys, in sessions that run too, and at once.
sub seals { return $s->sql('SELECT encode(sealed_by, \'hex\') FROM auth.sessions ORDER BY created_at DESC LIMIT 1') }
my $four = unpack 'H*', join '', map { chr int rand 256 } 1 .. 32;
my $warm = $s->node->background_psql('auth_service', on_error_stop => 0);
$warm->query($login);
my $sealed_before = seals();
keys_are($four, $three, $two, $one);
$warm->query($login);
is(seals(), $sealed_before, 'another key comes first: until the keys are sealed with it, the old one seals sessions');
is($s->sql('SELECT auth.seal_signing_keys() > 4'), 't', 'they are');
is($warm->query($login), 't', 'a session that runs: logs in');
isnt(seals(), $sealed_before, 'and seals with the new one');
is(seals(), $s->sql("SELECT encode(sealed_by, 'hex') FROM auth.signing_keys WHERE is_active"), 'which is that of the keys');
# A command that prints another database's key seals nothing, neither for who has the signing key in memory nor for operators.
my $count = $s->sql('SELECT count(*) FROM auth.sessions');
keys_are('cd' x 32);
$s->node->reload;
select undef, undef, undef, 0.5;
$warm->query($login);
is($s->sql('SELECT count(*) FROM auth.sessions'), $count, 'another key: no session is made in a session that runs');
like(try_sql('SELECT auth.rotate_signing_key()'), qr/^55000/, 'nor a signing key');
$warm->quit;
keys_are($four, $three, $two, $one);
$s->node->reload;
$newer = $s->login('ann@example.com');
# A command that fails is not run for every token.
command_is("echo x >>$folder/runs; [ ! -e $folder/fail ] && cat $file", 1);
$warm = $s->node->background_psql('auth_service', on_error_stop => 0);
$warm->query($login);
$s->sql("UPDATE auth.signing_keys SET sealed_by = '\\x0011223344556677' WHERE NOT is_active AND algorithm = 'HS256' AND imported_until IS NULL AND kid <> (SELECT kid FROM auth.signing_keys WHERE is_active)");
my ($lost) = split /\n/, $s->sql("SELECT kid FROM auth.signing_keys WHERE sealed_by = '\\x0011223344556677' LIMIT 1");
my $unread = encode_base64url(qq({"alg":"HS256","typ":"at+jwt","kid":"$lost"})) . '.e30.' . encode_base64url('x' x 32);
open(my $fail, '>', "$folder/fail") or die;
close $fail;
select undef, undef, undef, 10.1;
my $runs = () = slurp_file("$folder/runs") =~ /x/g;
$warm->query("SELECT auth.verify_token('$unread')") for 1 .. 5;
my $more = () = slurp_file("$folder/runs") =~ /x/g;
is($more - $runs, 1, 'a failing command: once in 10 seconds');
$warm->quit;
unlink "$folder/fail";
$s->sql("UPDATE auth.signing_keys SET sealed_by = (SELECT sealed_by FROM auth.signing_keys WHERE is_active) WHERE sealed_by = '\\x0011223344556677'");
command_is("cat $file ");

# Wrong, missing, failing: closed, and nothing is changed.
sub checksum { return $s->sql("SELECT md5(string_agg(x::text, '' ORDER BY x::text)) FROM (SELECT k::text FROM auth.signing_keys k UNION ALL SELECT s::text FROM auth.sessions s) x(x)") }
my $sum = checksum();
my $started = $s->sql('SELECT pg_postmaster_start_time()');
keys_are('ab' x 32);
command_is("cat $file");
like(try_sql($login), qr/^55000: a key in the database is sealed with a key-encryption key that is not here/, 'another key: said clearly');
is($s->request('POST', '/auth/login', form => [ username => 'ann@example.com', password => 'Secret123' ])->{status}, 503, 'over HTTP a 503');
is(status($victim->{access_token}), 503, 'a token of HS256 is not good, and not called bad');
is(status($es256->{access_token}), 200, 'one of ES256 is: the public key is not sealed');
is(refresh($newer->{refresh_token})->{status}, 503, 'a refresh token is not called bad either');
like(try_sql('SELECT auth.seal_signing_keys()'), qr/^55000/, 'and nothing is sealed over');
foreach (
    [ 'true', qr/^38000: \S+ does not print a key/ ], [ 'false', qr/^38000: \S+ failed/ ], [ "cat $file; exit 3", qr/^38000: \S+ failed/ ],
    [ 'kill -9 $$', qr/^38000: \S+ failed/ ], [ '/no/such/program', qr/^38000: \S+ failed/ ],
    [ 'echo short', qr/does not print a key/ ], [ 'echo ' . 'ab' x 31, qr/does not print a key/ ], [ 'echo ' . 'x' x 64, qr/is not here/ ], [ 'echo ' . '!' x 64, qr/does not print a key/ ],
    [ 'head -c 8000 /dev/zero | tr "\0" a', qr/prints too much/ ], [ 'yes', qr/prints too much/ ], [ 'printf "a\0b"', qr/NUL/ ],
    [ "for i in 1 2 3 4 5; do cat $file; done", qr/does not print a key/ ])
{
    my ($command, $problem) = @$_;
    command_is($command, 1);
    my $began = time;
    like(try_sql($login), $problem, substr "$command: refused", 0, 60);
    cmp_ok(time - $began, '<', 5, 'at once') or diag time - $began;
}
# It hangs: the statement can be cancelled, and it ends by itself.
command_is('sleep 987651', 1);
my $began = time;
like(try_sql("SET statement_timeout = '500ms'; $login"), qr/^57014/, 'a command that hangs: cancelled');
cmp_ok(time - $began, '<', 5, 'soon');
$began = time;
like(try_sql($login), qr/^38000: \S+ did not end in time/, 'or given up');
cmp_ok(time - $began, '<', 15, 'in 10 s');
command_is('exec >&-; sleep 987651', 1);
like(try_sql("SET statement_timeout = '500ms'; $login"), qr/^57014/, 'it closes its output and hangs: cancelled');
my @left = grep { my $f; open($f, '<', $_) && (<$f> // '') =~ /987651/ } glob '/proc/[0-9]*/cmdline';
is("@left", '', 'nothing of it is left');
command_is('');
like(try_sql($login), qr/^55000: .* that is not here/, 'none set: said clearly');
is(checksum(), $sum, 'nothing was changed by all this');
is($s->sql('SELECT pg_postmaster_start_time()'), $started, 'and no backend died');

# A session cannot set it, nor can a database or a role.
like(try_sql("SET auth_service.key_encryption_command = 'true'; SELECT auth.uid()"), qr/^55P02|^$/, 'SET');
like(try_sql("SELECT auth.uid(); ALTER DATABASE auth_service SET auth_service.key_encryption_command = 'touch $folder/ran'"), qr/^55P02/, 'ALTER DATABASE');
$s->sql("SELECT 1", undef);
{
    local $ENV{PGOPTIONS} = "-c auth_service.key_encryption_command=touch\\ $folder/ran";
    $s->node->psql('auth_service', $login);
}
ok(!-e "$folder/ran", 'PGOPTIONS');
{
    # It must not fall back to the default either: what is made then would not be sealed.
    $s->node->append_conf('postgresql.conf', 'auth_service.password_min_length = 20');
    $s->node->reload;
    $s->sql("CREATE ROLE regress_weak LOGIN; SELECT auth.allow_api('regress_weak')");
    foreach my $setting ('key_encryption_command=true', 'password_min_length=1')
    {
        local $ENV{PGOPTIONS} = "-c auth_service.$setting";
        my ($code, $out, $err) = $s->node->psql('auth_service', "\\set VERBOSITY sqlstate\nSELECT auth.register('weak\@example.com', 'Secret123')", extra_params => [ '-U', 'regress_weak' ]);
        like($err, qr/ERROR:  42501/, "PGOPTIONS $setting of an ordinary role: refused");
    }
    $s->node->append_conf('postgresql.conf', 'auth_service.password_min_length = 8');
    $s->node->reload;
}

# Restored where the key-encryption key is not: new keys, and everybody logs in anew.
is($s->sql("SELECT auth.rotate_signing_key('HS256') IS NOT NULL"), 't', 'without it: a new key');
is(status($s->login('ann@example.com')->{access_token}), 200, 'one can log in');
$s->sql("SELECT auth.drop_signing_key(kid) FROM auth.signing_keys WHERE sealed_by IS NOT NULL; DELETE FROM auth.sessions WHERE sealed_by IS NOT NULL");
is((join ' ', status($victim->{access_token}), status($es256->{access_token}), refresh($newer->{refresh_token})->{status}), '401 401 401', 'tokens of before are refused');
# The imported key's row stays, sealed with what is lost, and holds nothing up.
keys_are('ef' x 32);
command_is("cat $file", 1);
is(try_sql('SELECT auth.seal_signing_keys()'), '1', 'a new key-encryption key seals what can be read');
like(try_sql("SELECT auth.import_signing_key('HS256', repeat('y', 40), '1 day')"), qr/^imported-/, 'another import');
done_testing();
