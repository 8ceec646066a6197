# A sweep for secrets: every route is called with good and bad input, all logging is on, and then passwords, tokens,
# hashes and keys, each there once in the world, are looked for wherever they could have got to.  What a place may
# have is said with it; that the search finds what is there is seen where that is allowed.
use strict;
use warnings;
use AuthService;
use File::Find ();
use JSON::PP ();
use MIME::Base64 qw(decode_base64url);
use PostgreSQL::Test::Utils;
use Sentinels;
use Test::More;
use Time::HiRes qw(sleep time);
use Wire;

my $secrets = Sentinels->new;
# A password: its middle is looked for, what is around it takes another form in each encoding.
sub password { return "Aa1'\"%\\ \x{fc}" . $secrets->word($_[0] // 'password') }

my $folder = PostgreSQL::Test::Utils::tempdir;
my $key_file = "$folder/key";
my $kek = join '', map { chr int rand 256 } 1 .. 32;
$secrets->add('key-encryption key', 'as bytes', $kek);
open(my $f, '>', $key_file) or die;
print $f unpack('H*', $kek) . "\n";
close $f;

my $explains_parameters = qx(pg_config --version) =~ / (\d+)/ && $1 >= 16 ? "auto_explain.log_parameter_max_length = -1\n" : '';
my $s = AuthService->new('secrets', conf => $explains_parameters . <<'CONF');
shared_preload_libraries = 'pg_stat_statements'
session_preload_libraries = 'auto_explain'
pg_stat_statements.track = all
pg_stat_statements.track_planning = on
auto_explain.log_min_duration = 0
auto_explain.log_nested_statements = on
auto_explain.log_verbose = on
log_statement = all
log_min_duration_statement = 0
log_min_error_statement = debug5
log_error_verbosity = verbose
log_min_messages = debug1
log_parameter_max_length = -1
log_parameter_max_length_on_error = -1
log_connections = on
log_disconnections = on
track_activity_query_size = 65536
wal_level = logical
wal_keep_size = 1GB
max_wal_senders = 3
CONF

# ---- init-db, with a password for the shim's role, which it then needs ----------------------------------------

my $shim_password = $secrets->word('shim\'s database password');
{
    local $ENV{AUTH_SERVICE_SHIM_PASSWORD} = $shim_password;
    is(($s->command('init-db'))[0], 0, 'init-db');
}
my $verifier = $s->sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'auth_service_shim'");
like($verifier, qr/^SCRAM-SHA-256\$/, 'the role has a verifier');
$secrets->add('verifier of the shim\'s password', 'stored key', $verifier =~ /\$([^\$:]+):[^:]+$/);
my $hba = $s->node->data_dir . '/pg_hba.conf';
my $rules = slurp_file($hba);
open($f, '>', $hba) or die;
print $f "local all auth_service_shim scram-sha-256\n$rules";
close $f;
$s->node->reload;
$s->sql('CREATE EXTENSION pg_stat_statements; ALTER DATABASE auth_service SET auth_service.bcrypt_cost = 4; ALTER DATABASE auth_service SET auth_service.throttle_address_failures = 0;'
      . ' ALTER DATABASE auth_service SET auth_service.throttle_account_failures = 0');
$s->sql(q(CREATE SCHEMA api; CREATE FUNCTION api.count(n integer, secret text) RETURNS integer LANGUAGE sql STABLE RETURN n));
is(($s->command('init-db', '--rpc-schema=api'))[0], 0, 'init-db again, with functions of the application');
$s->sql('GRANT EXECUTE ON FUNCTION api.count TO auth_service_shim, auth_service_anonymous');

my $admin_password = password();
{
    utf8::encode(my $line = "$admin_password\n");
    is(($s->command(\$line, 'create-admin', 'root@example.com'))[0], 0, 'create-admin');
}

local $ENV{POSTGRES_PASSWORD} = $shim_password;
$s->shim('--log-level=debug', '--log-format=json', '--rpc-schema=api');
my @shim_logs = $s->{shims}[-1]{log};

# What others see of a statement while it runs, all the time.
my $activity_file = "$folder/activity";
my $poller = fork() // die;
if ($poller == 0)
{
    my %environment = $s->environment;
    $ENV{$_} = $environment{$_} foreach keys %environment;
    open(STDOUT, '>', $activity_file) or die;
    open(STDIN, '-|', q(printf 'SELECT query FROM pg_stat_activity WHERE pid <> pg_backend_pid() \\\\watch 0.01\\n')) or die;
    exec('psql', '-XAtq', '-f', '-') or POSIX::_exit(127);
}

# ---- Calls, and what was answered ------------------------------------------------------------------------------

use constant SOME => 30; # of tokens and keys: each is looked for in nine forms

my @answers; # [label, text, who may learn of bob]
my %issues = map { $_ => 1 } 'POST /auth/login', 'POST /auth/refresh';

sub call
{
    my ($who, $method, $path, %options) = @_;
    my $answer = $s->request($method, $path, %options);
    my $text = join "\n", map({ "$_: " . (ref $answer->{headers}{$_} ? "@{ $answer->{headers}{$_} }" : $answer->{headers}{$_}) } sort keys %{ $answer->{headers} }), $answer->{content} // '';
    my $name = "$method " . $path =~ s/\?.*//sr;
    push @answers, [ "$name for $who: $answer->{status}", $text, $issues{$name} && $answer->{status} == 200, $who ];
    note_tokens($answer->{json}) if $issues{$name} && $answer->{status} == 200;
    return $answer;
}

# The signature of one, the tag of the other: what nobody else can make.
sub note_tokens
{
    my ($pair) = @_;
    my ($signature) = $pair->{access_token} =~ /([^.]+)$/;
    my $number = $secrets->count('access token') / 2;
    return if $number >= SOME;
    $secrets->add('access token', "no. $number", $signature);
    $secrets->add('access token', "no. $number, its bytes", decode_base64url($signature));
    $secrets->add('refresh token', "no. $number", substr $pair->{refresh_token}, -20);
    $secrets->add('refresh token', "no. $number, its bytes", substr decode_base64url($pair->{refresh_token}), -16);
    return;
}

# Hashes and keys, as they are in the tables at this moment.
sub note_tables
{
    my ($moment) = @_;
    my %statement = (
        hash => "SELECT encode(right(password_hash, 53)::bytea, 'hex') FROM auth.users WHERE password_hash IS NOT NULL ORDER BY id DESC",
        'session key' => "SELECT encode(refresh_key, 'hex') FROM auth.sessions WHERE sealed_by IS NULL ORDER BY created_at",
        'signing key' => "SELECT encode(secret, 'hex') FROM auth.signing_keys WHERE sealed_by IS NULL");
    foreach my $kind (sort keys %statement)
    {
        my @values = split /\n/, $s->sql("$statement{$kind} LIMIT " . SOME);
        $secrets->add($kind, "$moment, no. $_", pack 'H*', $values[$_]) foreach 0 .. $#values;
    }
    return;
}

my $bob = $secrets->word('another user');
my %password = map { $_ => password() } 'ann', 'bob';
my %email = (ann => 'ann@example.com', bob => "$bob\@example.com", root => 'root@example.com');
$password{root} = $admin_password;
my %id = map { $_ => call($_, 'POST', '/auth/register', json => { email => $email{$_}, password => $password{$_}, first_name => "First $_", last_name => "Last $_" })->{json}{id} } 'ann', 'bob';
call('ann', 'POST', '/auth/register', json => { email => $email{ann}, password => password() });
call('nobody', 'POST', '/auth/register', json => { email => 'c@example.com', password => password(), first_name => '' });
call('nobody', 'POST', '/auth/register', json => { email => 'no mail', password => password() });
call('nobody', 'POST', '/auth/register', json => { email => password(), password => $password{ann} });

sub login { my ($who) = @_; return call($who, 'POST', '/auth/login', form => [ username => $email{$who}, password => $password{$who} ])->{json} }
call('nobody', 'POST', '/auth/login', form => [ username => $email{ann}, password => password() ]);
call('nobody', 'POST', '/auth/login', json => { email => $email{ann}, password => password() });
call('nobody', 'POST', '/auth/login', json => { email => 'nobody@example.com', password => password() });
call('nobody', 'POST', '/auth/login', json => { email => password(), password => 'x' });
call('nobody', 'POST', '/auth/login', json => { email => $email{ann}, password => password() . 'x' x 80 });

my $pair = login('ann');
my $old = $pair;
$pair = call('ann', 'POST', '/auth/refresh', json => { refresh_token => $old->{refresh_token} })->{json};
call('ann', 'POST', '/auth/refresh', json => { refresh_token => $old->{refresh_token} }); # within the time of grace
my $third = call('ann', 'POST', '/auth/refresh', json => { refresh_token => $pair->{refresh_token} })->{json};
call('ann', 'POST', '/auth/refresh', json => { refresh_token => $old->{refresh_token} }); # reuse: ends the session
call('ann', 'POST', '/auth/refresh', json => { refresh_token => $_->{refresh_token} . 'x' }) foreach $old, $third;
call('ann', 'GET', '/users/me', token => $third->{access_token});
my $new = password();
call('ann', 'POST', '/auth/change-password', json => { email => $email{ann}, old_password => $password{ann}, new_password => 'weak' });
call('ann', 'POST', '/auth/change-password', json => { email => $email{ann}, old_password => password(), new_password => $new });
call('ann', 'POST', '/auth/change-password', json => { email => 'nobody@example.com', old_password => password(), new_password => $new });
is(call('ann', 'POST', '/auth/change-password', json => { email => $email{ann}, old_password => $password{ann}, new_password => $new })->{status}, 200, 'a changed password');
$password{ann} = $new;
note_tables('at first');

# ---- Every route, as everybody, with secrets in every place ------------------------------------------------------

my %path_value = (user_id => $id{ann}, session_id => '00000000-0000-0000-0000-000000000000', function => 'count');
my @bodies = (
    {},
    sub { return (json => { map { $_ => password() } qw(email username password old_password new_password refresh_token token amount role n secret first_name[]) }) },
    sub { return (body => '{"password":"' . password(), type => 'application/json') },
    sub { return (body => '["' . password() . '"]', type => 'application/json') },
    sub { return (body => '{"password":"' . password() . '\u0000","secret":1}', type => 'application/json') },
    sub { return (form => [ map { $_ => password() } qw(username password token token_type_hint) ]) },
    sub { return (body => 'password=%ff' . password(), type => 'application/x-www-form-urlencoded') },
    sub { return (body => password(), type => 'text/plain') });
# With the application's functions in it.
$s->{openapi} = OpenAPI->new($s->request('GET', '/openapi.json')->{content});
my $document = $s->openapi->document;
my %operations = map { my $path = $_; map { ("$_ $path" => 1) } grep { /^(?:get|put|post|delete)$/ } keys %{ $document->{paths}{$path} } } keys %{ $document->{paths} };
foreach my $operation (sort keys %operations)
{
    my ($method, $path) = split / /, uc($operation) =~ s/ .*//sr . $operation =~ s/^\w+//r;
    my $number = 0;
    foreach my $body (@bodies)
    {
        my @who = $number++ < 2 ? ('nobody', 'ann', 'root', 'garbage') : ('ann', 'root');
        foreach my $who (@who)
        {
            # A session of its own, since many of these calls end it; nobody's account goes.
            my $token = $who eq 'nobody' ? undef : $who eq 'garbage' ? $secrets->word('password') : login($who)->{access_token};
            next if "$method $path" eq 'DELETE /users/me' && $who eq 'ann';
            my %given = ref $body eq 'CODE' ? $body->() : ();
            utf8::encode($given{body}) if defined $given{body} && $given{body} !~ /%ff/;
            utf8::encode($given{body}) if defined $given{body} && utf8::is_utf8($given{body});
            my $value = $path =~ s/\{(\w+)\}/$path_value{$1}/gr;
            $value .= '?' . join '&', map { "$_=" . percent(password()) } qw(limit cursor user_id id role password access_token n secret) if $number == 2;
            call($who, $method, $value, %given, defined $token ? (token => $token) : (), headers => { 'Idempotency-Key' => key(), 'Accept' => '*/*' });
        }
    }
    my $in_path = $path =~ s/\{(\w+)\}/percent(password())/er;
    call('root', $method, $in_path, token => login('root')->{access_token}) if $in_path ne $path;
}
sub percent { my ($text) = @_; utf8::encode($text); return $text =~ s/([^A-Za-z0-9._~-])/sprintf '%%%02X', ord $1/ger }
sub key { return $secrets->word('idempotency key') }

# What succeeds on the way: balances, roles, the lists, a block, deletion and return.
my %token = map { $_ => login($_)->{access_token} } 'ann', 'bob', 'root';
is(call('ann', 'PUT', '/users/balance', token => $token{ann}, json => { amount => 5 }, headers => { 'Idempotency-Key' => key() })->{status}, 200, 'a balance');
is(call('root', 'GET', '/users/', token => $token{root})->{status}, 200, 'the list of users');
is(call('root', 'GET', '/admin/audit', token => $token{root})->{status}, 200, 'the audit log');
is(call('ann', 'POST', '/auth/introspect', token => $token{ann}, form => [ token => $token{ann} ])->{status}, 200, 'introspection');
is(call('ann', 'POST', '/auth/introspect', token => $token{ann}, form => [ token => $token{bob} ])->{json}{active} ? 1 : 0, 0, 'introspection of another\'s');
is(call('nobody', 'POST', '/auth/revoke', form => [ token => login('bob')->{refresh_token} ])->{status}, 200, 'revocation');
is(call('ann', 'POST', '/rpc/count', token => $token{ann}, json => { n => 5, secret => password() })->{content}, '5', 'a function of the application');
call('ann', 'POST', '/rpc/count', token => $token{ann}, json => { n => password(), secret => 'x' });
is(call('root', 'POST', "/admin/block/$id{bob}", token => $token{root})->{status}, 200, 'a block');
call('bob', 'GET', '/users/me', token => $token{bob});
is(call('bob', 'POST', '/auth/login', form => [ username => $email{bob}, password => $password{bob} ])->{status}, 403, 'a blocked login');
call('root', 'POST', "/admin/unblock/$id{bob}", token => $token{root});
is(call('bob', 'DELETE', '/users/me', token => login('bob')->{access_token})->{status}, 200, 'a deletion');
is(call('root', 'POST', "/admin/restore/$id{bob}", token => $token{root})->{status}, 200, 'and the way back');
note_tables('behind all routes');

# Of HTTP itself.
$s->raw("GET /users/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $token{ann}\r\nContent-Length: 5abc\r\n\r\n");
$s->raw("POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"password\":\"" . percent(password()));

# ---- Errors that are PostgreSQL's own ------------------------------------------------------------------------------

$s->sql(q(ALTER TABLE auth.users ADD CONSTRAINT regress_no_such_name CHECK (first_name <> 'Fails')));
is(call('ann', 'PUT', '/users/profile', token => login('ann')->{access_token}, json => { first_name => 'Fails', last_name => 'x' })->{status}, 400, 'a CHECK that fails');
call('nobody', 'POST', '/auth/register', json => { email => 'd@example.com', password => password(), first_name => 'Fails' });
$s->sql('ALTER TABLE auth.users DROP CONSTRAINT regress_no_such_name');
$s->sql('ALTER TABLE auth.sessions ADD CONSTRAINT regress_no_session CHECK (false) NOT VALID');
call('nobody', 'POST', '/auth/login', form => [ username => $email{ann}, password => $password{ann} ]);
$s->sql('ALTER TABLE auth.sessions DROP CONSTRAINT regress_no_session');
$s->sql('ALTER DATABASE auth_service SET auth_service.bcrypt_cost = 14; ALTER ROLE auth_service_shim IN DATABASE auth_service SET statement_timeout = 100');
$s->stop_shim;
$s->shim('--log-level=debug', '--log-format=text', '--rpc-schema=api');
push @shim_logs, $s->{shims}[-1]{log};
is(call('nobody', 'POST', '/auth/login', form => [ username => 'nobody@example.com', password => password() ])->{status}, 504, 'a login that takes too long');
$s->sql('ALTER DATABASE auth_service SET auth_service.bcrypt_cost = 4; ALTER ROLE auth_service_shim IN DATABASE auth_service SET statement_timeout = 6000');
$s->stop_shim;
$s->shim('--log-level=debug', '--log-format=text', '--rpc-schema=api');
push @shim_logs, $s->{shims}[-1]{log};
$_ = login('ann') foreach my $once;

# ---- In SQL: bound, by a role whose parameters are not logged, and by one whose are ---------------------------------

$s->sql(q(CREATE ROLE regress_76_quiet LOGIN; CREATE ROLE regress_76_loud LOGIN; SELECT auth.allow_api('regress_76_quiet'); SELECT auth.allow_api('regress_76_loud');
    ALTER ROLE regress_76_quiet SET log_parameter_max_length = 0; ALTER ROLE regress_76_quiet SET log_parameter_max_length_on_error = 0;
    ALTER ROLE regress_76_quiet SET auto_explain.log_min_duration = -1));
sub bound
{
    my ($role, $statement, @values) = @_;
    utf8::encode($_) foreach @values;
    return Wire->new($s->node, 'auth_service', $role)->pipeline([ $statement, @values ], ['SYNC']);
}
bound('regress_76_loud', 'SELECT auth.login($1, $2)', 'ann@example.com', password('password that is logged'));
{
    my $password = password();
    my @register = ('SELECT auth.register($1, $2)', 'sql@example.com', $password);
    like(bound('regress_76_quiet', @register), qr/^\d+$/, 'SQL: a registration');
    is(bound('regress_76_quiet', @register), 'U400A', 'SQL: which is refused the second time');
    is(bound('regress_76_quiet', 'SELECT auth.register($1, $2)', 'no mail', $password), 'U422B', 'SQL: another refusal');
    my ($access, $refresh) = split / /, bound('regress_76_quiet', 'SELECT access_token, refresh_token FROM auth.login($1, $2)', 'sql@example.com', $password);
    note_tokens({ access_token => $access, refresh_token => $refresh });
    is(bound('regress_76_quiet', 'SELECT auth.login($1, $2)', 'sql@example.com', password()), 'NULL', 'SQL: a wrong password');
    like(bound('regress_76_quiet', 'SELECT auth.authenticate($1)', $access), qr/^\d+$/, 'SQL: an identity');
    is(bound('regress_76_quiet', 'SELECT auth.authenticate($1)', "${access}x"), 'U401B', 'SQL: a bad token');
    is(bound('regress_76_quiet', 'SELECT auth.change_password($1, $2, $3)', 'sql@example.com', $password, password()), 't', 'SQL: another password');
    # A row that a constraint refuses, hash and all: neither the caller nor the log sees it.
    $s->sql(q(ALTER TABLE auth.users ADD CONSTRAINT regress_no_such_mail CHECK (email <> 'refused@example.com')));
    my ($out, $err) = ('', '');
    $s->node->psql('auth_service', "\\set VERBOSITY verbose\nSET ROLE regress_76_quiet; SELECT auth.register('refused\@example.com', 'Secret123')", stdout => \$out, stderr => \$err);
    like($err, qr/23514/, 'SQL: a row that a constraint refuses');
    unlike($err, qr/Failing row contains/, 'SQL: is not told to who asked');
    ok($s->server_log !~ /Failing row contains/, 'SQL: nor to the log');
    $s->sql('ALTER TABLE auth.users DROP CONSTRAINT regress_no_such_mail');
}
note_tables('at last');

# ---- Keys at rest -----------------------------------------------------------------------------------------------

$s->node->append_conf('postgresql.conf', "auth_service.key_encryption_command = 'cat $key_file'");
$s->node->reload;
for (1 .. 100) { last if $s->sql('SELECT auth.uid() IS NULL; SHOW auth_service.key_encryption_command') =~ /cat/; sleep 0.02; }
cmp_ok($s->sql('SELECT auth.seal_signing_keys()'), '>', 0, 'keys are sealed');
$s->sql("SELECT auth.rotate_signing_key('$_')") foreach 'ES256', 'RS256', 'EdDSA', 'HS256';
$s->stop_shim;
$s->shim('--log-level=debug', '--log-format=json');
push @shim_logs, $s->{shims}[-1]{log};
my $sealed = login('ann');
is(call('ann', 'POST', '/auth/refresh', json => { refresh_token => $sealed->{refresh_token} })->{status}, 200, 'and used');
call('nobody', 'GET', '/.well-known/jwks.json');

# ---- Where they could have got to -----------------------------------------------------------------------------------

# Processes, while they run.
my %process;
foreach my $pid ($s->{shims}[-1]{pid}, split /\n/, $s->sql('SELECT pid FROM pg_stat_activity'))
{
    $process{$_} .= join '', map { eval { slurp_file($_) } // '' } "/proc/$pid/$_" foreach 'environ', 'cmdline', 'status';
}
cmp_ok(length $process{environ}, '>', 100, 'environments are there to be read');
kill 'TERM', $poller;
waitpid $poller, 0;
my $statements = $s->sql('SELECT query FROM pg_stat_statements');
like($statements, qr/auth\.login\(/, 'pg_stat_statements has our calls');
like($statements, qr/INSERT INTO auth\.sessions/, 'and our own statements');
like(slurp_file($activity_file), qr/auth\.login\(/, 'pg_stat_activity was looked at while they ran');

my %environment = $s->environment;
local %ENV = (%ENV, %environment);
foreach ([ 'pg_dump', '-f', "$folder/plain.sql" ], [ 'pg_dump', '-Fc', '-Z0', '-f', "$folder/custom" ], [ 'pg_dump', '--inserts', '-f', "$folder/inserts.sql" ],
    [ 'pg_dumpall', '-f', "$folder/all.sql" ], [ 'pg_basebackup', '-D', "$folder/backup", '-Ft', '-X', 'fetch', '-c', 'fast' ])
{
    my ($out, $err) = ("", "");
    IPC::Run::run($_, ">", \$out, "2>", \$err) or fail("@$_: $err");
}
my @wal = glob $s->node->data_dir . '/pg_wal/0*';
my $waldump = "$folder/waldump";
system("pg_waldump '$wal[0]' '$wal[-1]' >'$waldump' 2>/dev/null");
my $wal_text = slurp_file($waldump);
cmp_ok(length $wal_text, '>', 10_000, 'pg_waldump printed something');

# In a place: what it may have, of which kinds something must be there, or the search would find nothing anywhere.
sub place
{
    my ($what, $found, $allowed, @must) = @_;
    my %allowed = map { $_ => 1 } @$allowed;
    my @bad = grep { my ($kind) = /^(.*?): /; !$allowed{$kind} } sort keys %$found;
    ok(!@bad, "$what: nothing secret" . (@$allowed ? ' but ' . join ', ', @$allowed : '')) or diag join "\n", map { "$what has $_, $found->{$_}" } @bad[ 0 .. ($#bad < 20 ? $#bad : 20) ];
    foreach my $kind (@must) { ok(scalar(grep { /^\Q$kind\E: / } keys %$found), "$what: the search finds a $kind"); }
    return;
}
foreach my $kind ('password', 'access token', 'refresh token', 'hash', 'session key', 'signing key', 'key-encryption key', 'shim\'s database password', 'idempotency key', 'another user')
{
    cmp_ok($secrets->count($kind), '>', 0, 'to be looked for: ' . $secrets->count($kind) . " of kind $kind");
}
note scalar(@answers) . ' answers, ' . $secrets->count('password') . ' passwords';

my $server = $secrets->in_files($s->node->logfile);
place('server log', $server, [ 'another user', 'password that is logged' ], 'password that is logged');
place('shim log', $secrets->in_files(@shim_logs), []);
place('pg_stat_activity', $secrets->in_files($activity_file), []);
place('pg_stat_statements', $secrets->in_bytes($statements), []);
place('pg_waldump', $secrets->in_bytes($wal_text), []);
my @at_rest = ('hash', 'session key', 'signing key', 'another user', 'idempotency key');
place('WAL', $secrets->in_files(@wal), [ @at_rest, 'verifier of the shim\'s password' ], 'hash', 'session key', 'signing key');
place('pg_dump', $secrets->in_files("$folder/plain.sql", "$folder/inserts.sql", "$folder/custom"), \@at_rest, 'hash', 'session key');
place('pg_dumpall', $secrets->in_files("$folder/all.sql"), [ @at_rest, 'verifier of the shim\'s password' ], 'hash', 'verifier of the shim\'s password');
place('a base backup', $secrets->in_files(glob "$folder/backup/*"), [ @at_rest, 'verifier of the shim\'s password' ], 'hash', 'session key');
place("$_ of the shim and of backends", $secrets->in_bytes($process{$_}), []) foreach 'environ', 'cmdline', 'status';

# Answers: a token where it is issued, an e-mail of another user's for an admin.
my %bad;
foreach (@answers)
{
    my ($label, $text, $issues, $who) = @$_;
    foreach my $found (keys %{ $secrets->in_bytes($text) })
    {
        next if $issues && $found =~ /^(?:access|refresh) token: /;
        next if $found =~ /^another user: / && $who =~ /^(?:bob|root)$/;
        $bad{"$label has $found"}++;
    }
}
is(join("\n", sort keys %bad), '', 'answers: nothing secret but what was asked for');
unlike(join('', map { $_->[1] } @answers), qr/\$2[aby]\$|postgres(?:ql)?:|password_hash|refresh_key/i, 'answers: no hash, no word of the tables');
done_testing();
