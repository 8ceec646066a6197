# What the shim logs: one line an answer, JSON or text, whatever the client sends, and never a secret.
use strict;
use warnings;
use AuthService;
use IO::Pty;
use IO::Select;
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $s = AuthService->start('log', arguments => [ '--request-timeout=1', '--log-level=debug' ]);

# The lines of the last shim that have this message, once so many are there: an answer comes before its line.
sub lines
{
    my ($message, $count) = @_;
    my @found;
    for (my $begin = time; time - $begin < 5; sleep 0.02)
    {
        @found = grep { $_->{message} eq $message } map { JSON::PP->new->utf8->decode($_) } split /\n/, $s->shim_log;
        last if @found >= $count;
    }
    return @found;
}

my ($started) = lines('started', 1);
like($started->{version}, qr/^\d+\.\d+/, 'a line says that it started');

# ---- A whole flow, failing calls too: each answer has its line --------------------------------------------

my @expected;
sub answered
{
    my ($method, $path, $route, $user_id, %options) = @_;
    my $answer = $s->request($method, $path, %options);
    push @expected, { method => $method, route => $route, user_id => $user_id, status => $answer->{status},
        request_id => $answer->{headers}{'x-request-id'}, sqlstate => ref $answer->{json} eq 'HASH' ? $answer->{json}{code} : undef };
    return $answer;
}

my %secret = (password => 'Sesame9Xyzzy', 'another password' => 'Sesame8Abcde', email => 'secret.ann@example.com', name => 'Annsecretname', query => 'querysecret', path => 'pathsecret');
my %account = (email => $secret{email}, password => $secret{password});
my $me = answered('POST', '/auth/register', '/auth/register', undef, json => { %account, first_name => $secret{name}, last_name => 'B' })->{json}{id};
answered('POST', '/auth/register', '/auth/register', undef, json => \%account);
answered('POST', '/auth/register', '/auth/register', undef, json => { email => $secret{email}, password => 'Sesame' });
my $pair = answered('POST', '/auth/login', '/auth/login', undef, form => [ username => $secret{email}, password => $secret{password} ])->{json};
answered('POST', '/auth/login', '/auth/login', undef, json => { email => $secret{email}, password => "$secret{password}x" });
my $token = $pair->{access_token};
answered('GET', "/users/me?access_token=$token&$secret{query}=1", '/users/me', $me, token => $token);
answered('HEAD', '/users/me', '/users/me', $me, token => $token);
answered('PUT', '/users/profile', '/users/profile', $me, token => $token, json => { first_name => $secret{name}, last_name => 'B' });
answered('PUT', '/users/profile', '/users/profile', $me, token => $token, json => { first_name => $secret{name} });
answered('PUT', '/users/profile', '/users/profile', undef, token => $token, body => $secret{password}, type => 'text/plain');
answered('GET', "/auth/me?access_token=$token", '/auth/me', undef);
answered('GET', '/auth/me', '/auth/me', undef, token => "${token}x");
answered('GET', '/auth/me', '/auth/me', undef, headers => { Authorization => "Basic $secret{password}" });
answered('GET', "/$secret{path}/$token?$secret{query}", undef, undef, token => $token);
answered('POST', "/admin/block/$secret{path}?$secret{query}", '/admin/block/{user_id}', $me, token => $token);
answered('GET', "/users?email=$secret{email}&limit=$secret{query}", '/users', $me, token => $token);
answered('DELETE', '/auth/login', undef, undef, body => $secret{password});
my $next = answered('POST', '/auth/refresh', '/auth/refresh', undef, json => { refresh_token => $pair->{refresh_token} })->{json};
answered('POST', '/auth/refresh', '/auth/refresh', undef, json => { refresh_token => "$pair->{refresh_token}x" });
answered('POST', '/auth/change-password', '/auth/change-password', undef, json => { email => $secret{email}, old_password => $secret{password}, new_password => $secret{'another password'} });
$next = $s->login($secret{email}, $secret{'another password'});
answered('POST', '/auth/logout', '/auth/logout', $me, token => $next->{access_token});
answered('GET', $_, $_, undef) foreach '/', '/health/live', '/health/ready';
answered('GET', '/', '/', undef, headers => { 'X-Request-ID' => 'my-own_id.1' });
is($expected[-1]{request_id}, 'my-own_id.1', "a client's request id is taken");
# An error of PostgreSQL's own: its words are in the line.
$s->sql('REVOKE EXECUTE ON FUNCTION auth.me() FROM auth_service_shim');
my $third = $s->login($secret{email}, $secret{'another password'});
answered('GET', '/users/me', '/users/me', $me, token => $third->{access_token});
is($expected[-1]{status}, 403, 'a call that PostgreSQL refuses');

my %by_id = map { $_->{request_id} => $_ } lines('request', @expected + 2);
is(scalar keys %by_id, @expected + 2, 'every answer of the flow has one line');
foreach my $expected (@expected)
{
    my $line = $by_id{ $expected->{request_id} };
    my $what = "$expected->{method} " . ($expected->{route} // 'elsewhere') . ": $expected->{status}";
    like(delete $line->{time}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, "$what: when");
    like(delete $line->{duration_ms}, qr/^\d+(\.\d+)?$/, "$what: how long");
    is(delete $line->{remote_address}, '127.0.0.1', "$what: from where");
    my $error = delete $line->{error};
    is(defined $error, $expected->{status} == 403, "$what: " . ($error // 'no error'));
    # A 422 has its code in the log alone; some codes are the front's own, and no SQLSTATE.
    my $sqlstate = delete $line->{sqlstate};
    my $code = (delete $expected->{sqlstate}) // '';
    like($sqlstate // '', $expected->{status} == 422 ? qr/^U422.$/ : $code =~ /^U401/ ? qr/^(?:$code)?$/ : qr/^$code$/, "$what: SQLSTATE");
    is_deeply($line, { level => defined $error ? 'warning' : 'info', message => 'request', map { defined $expected->{$_} ? ($_ => $expected->{$_}) : () } keys %$expected },
        "$what: and nothing else") or diag explain $line;
}

# ---- What HTTP itself refuses --------------------------------------------------------------------------------

my $head = "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
foreach (
    [ 400, 'POST', "${head}Content-Length: 5abc\r\nX-Request-ID: notthis\r\n\r\n" ],
    [ 400, 'GET', "GET /$secret{path} HTTP/1.1\r\n\r\n" ],
    [ 400, undef, "BREW /$secret{path} HTTP/1.1\r\nHost: x\r\n\r\n" ],
    [ 400, undef, "\x1b]0;evil\x07\r\n\r\n" ],
    [ 408, undef, "GET /$secret{path} HTTP/1.1\r\nHost:" ],
    [ 408, 'POST', "${head}Content-Length: 50\r\n\r\n{\"password\":\"$secret{password}\"" ],
    [ 413, 'POST', "${head}Content-Length: 10000000\r\nConnection: close\r\n\r\n" ],
    [ 417, 'POST', "${head}Content-Length: 5\r\nExpect: tea\r\n\r\n" ],
    [ 505, undef, "GET /$secret{path} HTTP/2.0\r\nHost: x\r\n\r\n" ])
{
    my ($status, $method, $bytes) = @$_;
    my $before = lines('request', 0);
    my ($answer) = $s->raw($bytes, 3);
    my ($id) = $answer =~ /^X-Request-ID: (\w+)/m;
    my @new = lines('request', $before + 1);
    is(scalar @new, $before + 1, "$status of HTTP: one line");
    is($new[-1]{status}, $status, "$status of HTTP: which has it");
    is($new[-1]{request_id}, $id, "$status of HTTP: and the id that the client got");
    is($new[-1]{method}, $method, "$status of HTTP: and the method, if there is one");
    is($new[-1]{route}, undef, "$status of HTTP: and no route");
    is($new[-1]{level}, $status >= 500 ? 'error' : 'info', "$status of HTTP: its level");
}

# ---- Bytes that want to be a line of their own, or to steer a terminal ----------------------------------------

my $forged = '{"level":"error","message":"forged"}';
foreach my $bytes ("\r\n$forged\r\n", "\n$forged", "\e[2J", "\xc2\x9b2J", "\xff\xfe", "\xe2\x80\xa8$forged", '"', '%0d%0a', '\\', ' ' x 4000)
{
    $s->raw("GET /$bytes HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 0.3);
    $s->raw("GET / HTTP/1.1\r\nHost: x\r\nX-Request-ID: a${bytes}b\r\nUser-Agent: $bytes\r\nConnection: close\r\n\r\n", 0.3);
    $s->raw("G$bytes / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 0.3);
    $s->request('POST', '/auth/login', form => [ username => "a$bytes\@b.co", password => $bytes ]);
    $s->request('POST', '/auth/login', body => "{\"email\":\"a$bytes\",\"password\":\"x\"}", type => 'application/json');
}
# PostgreSQL quotes such bytes in its errors; the database's name is one that is in the log's way.
my $name = "no\n\e[31m\x{202e} $forged";
utf8::encode(my $bytes = $name);
$s->shim("--database-name=$bytes");
$s->request('GET', '/health/ready');
my ($refused) = lines('no connection to the database', 1);
like($refused->{error}, qr/database "\Q$name\E" does not exist/, "the server's words arrive whole");
unlike($s->shim_log, qr/[^\x20-\x7e\n]/, 'with nothing in them but printable ASCII');
$s->stop_shim;
$s->{port} = $s->{shims}[-1]{port};

# ---- All lines so far -----------------------------------------------------------------------------------------

my $log = $s->shim_log;
unlike($log, qr/[^\x20-\x7e\n]/, 'nothing but printable ASCII came of all the rest');
is(scalar(grep { !eval { JSON::PP->new->utf8->decode($_); 1 } } split /\n/, $log), 0, 'and every line is JSON');
unlike($log, qr/forged/, 'and nothing that was sent');
unlike($log, qr/\Q$secret{$_}\E/i, "no $_ in the log") foreach sort keys %secret;
foreach my $pair ($pair, $next, $third)
{
    unlike($log, qr/\Q$pair->{$_}\E/, "no $_ in the log") foreach qw(access_token refresh_token);
    my ($signature) = $pair->{access_token} =~ /([^.]+)$/;
    unlike($log, qr/\Q$signature\E/, 'nor its signature');
}

# ---- Lines of many at the same time ----------------------------------------------------------------------------

my $before = () = lines('request', 0);
$s->parallel(16, sub { $s->request('GET', $_ % 2 ? '/' : '/health/ready', headers => { 'X-Request-ID' => "p$_[0].$_" }) foreach 1 .. 100 });
my @all = lines('request', $before + 1600);
is(scalar @all, $before + 1600, 'in parallel: a line an answer, each whole');
my %seen = map { ($_->{request_id} // '') => 1 } @all;
is(scalar(grep { /^p\d+\.\d+$/ } keys %seen), 1600, 'in parallel: and each its own');

# ---- Levels and forms ------------------------------------------------------------------------------------------

$s->shim('--log-level=warning');
$s->request('GET', '/');
$s->request('GET', '/nowhere');
$s->request('GET', '/users/me', token => $third->{access_token});
my @lines = lines('request', 1);
is(join(' ', map { "$_->{level} $_->{status}" } @lines), 'warning 403', 'warning: what is worth one');
is(scalar(split /\n/, $s->shim_log), 1, 'warning: and nothing else, no start');
$s->stop_shim;

{
    local $ENV{AUTH_SERVICE_LOG_FORMAT} = 'text';
    $s->shim('--database-name=no "such"');
}
$s->request('GET', '/', headers => { 'X-Request-ID' => 'abc' });
$s->request('GET', '/health/ready');
my $text = '';
for (my $begin = time; time - $begin < 5 && $text !~ /ready/; sleep 0.02) { $text = $s->shim_log }
my $when = qr/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/;
like($text, qr{^$when info request request_id=abc method=GET route=/ status=200 duration_ms=\d+\.\d{3} remote_address=127\.0\.0\.1$}m, 'text: a request');
like($text, qr{^$when error no connection to the database error=".*database \\"no \\"such\\"\\" does not exist\\u000a"$}m, 'text: words with blanks are quoted');
like($text, qr{^$when warning request .* error="no connection to the database, or it was lost"$}m, 'text: an error');
is(scalar(grep { !/^$when (?:info|warning|error) [^\x00-\x1f\x7f-\xff]+$/ } split /\n/, $text), 0, 'text: every line begins like that');
$s->stop_shim;

# On a terminal it is text without being asked.
SKIP:
{
    my $terminal = do { local $SIG{__WARN__} = sub { }; eval { IO::Pty->new } };
    diag('no case of a terminal: this system has none to give (/dev/pts)') if !$terminal;
    skip 'no terminal', 1 if !$terminal;
    $s->shim({ log => $terminal->slave });
    is(IO::Select->new($terminal)->can_read(5) ? scalar <$terminal> =~ s/\r?\n//r =~ /^$when info \S/ : undef, 1, 'on a terminal: text');
    $s->stop_shim;
}

my ($status, $out, $err) = $s->command('serve', '--log-level=loud');
is("$status$err", qq(2auth-service: --log-level (AUTH_SERVICE_LOG_LEVEL) takes one of error, warning, info, debug, not "loud"\n), 'a level that is none');
($status, $out) = $s->command('--help');
like($out, qr/--log-format=auto\|json\|text, AUTH_SERVICE_LOG_FORMAT/, '--help lists the words');
my $port = $s->shim;
($status, $out, $err) = $s->command('serve', "--port=$port");
like(JSON::PP::decode_json($err)->{message}, qr/^cannot listen on 127\.0\.0\.1:$port: Address already in use/, 'a start that fails is a line as well');
is($status, 1, 'and an exit status');

# ---- A reader who does not read, or is gone ---------------------------------------------------------------------

pipe(my $read, my $write) or die;
$s->shim({ log => $write }, '--threads=4');
close $write;
my $longest = 0;
foreach (1 .. 2000)
{
    my $begin = time;
    my $answer = $s->request('GET', '/');
    $answer->{status} == 200 or is($answer->{status}, 200, 'a full pipe: answered');
    $longest = time - $begin if time - $begin > $longest;
}
cmp_ok($longest, '<', 3, 'a full pipe: keeps nobody waiting');
my $got = '';
$read->blocking(0);
my $drain = sub { while (sysread $read, $got, 65536, length $got) { } };
$drain->();
$s->request('GET', '/');
for (my $begin = time; time - $begin < 5 && $got !~ /lost/; sleep 0.02) { $drain->() }
my @read = map { JSON::PP->new->utf8->decode($_) } split /\n/, $got;
my ($lost) = grep { $_->{message} eq 'log lines were lost' } @read;
is($lost->{count} + grep({ $_->{message} eq 'request' } @read), 2001, 'read again: what was lost is counted');
close $read;
is($s->request('GET', '/')->{status}, 200, 'a closed pipe: answered') foreach 1 .. 3;
is($s->stop_shim, 0, 'a closed pipe: ends in order');

done_testing();
