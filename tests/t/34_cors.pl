# Pages of other origins: nothing of CORS is answered until origins are configured, and then only to those,
# exactly as they are written.
use strict;
use warnings;
use AuthService;
use Test::More;

my $s = AuthService->start('cors');
my $app = 'https://app.example.com';
my $local = 'http://localhost:3000';
$s->register('ann@example.com');
my $token = $s->login('ann@example.com')->{access_token};

# The headers of CORS in an answer, by name.
sub cors
{
    my ($answer) = @_;
    return { map { $_ => $answer->{headers}{$_} } grep { /^access-control-|^vary$/ } keys %{ $answer->{headers} } };
}

sub preflight
{
    my ($path, $origin, $method) = @_;
    return $s->request('OPTIONS', $path, headers => { Origin => $origin, 'Access-Control-Request-Method' => $method // 'GET',
        'Access-Control-Request-Headers' => 'authorization, x-anything' });
}

# Off.
foreach my $origin ($app, 'null', '*')
{
    my $answer = preflight('/users/me', $origin);
    is($answer->{status}, 405, "not configured: a preflight from $origin is a wrong method");
    is_deeply(cors($answer), {}, 'and nothing of CORS is answered');
    is_deeply(cors($s->request('GET', '/users/me', token => $token, headers => { Origin => $origin })), {}, "nor to a request from $origin");
}

# What is refused at the start.
foreach ('*', 'null', 'app.example.com', 'https://', 'https://app.example.com/', 'https://app.example.com/x', 'https://app.example.com?x', 'https://App.example.com',
    'HTTPS://app.example.com', 'https://*.example.com', 'https://a@app.example.com', 'https://app.example.com:443', 'http://app.example.com:80',
    'https://app.example.com:0', 'https://app.example.com:', 'https://app.example.com:99999', 'https://app.example.com:8x', 'https://[::1', 'https://a.example.com;https://b.example.com',
    "https://app.example.com,https://b.example.com/", 'https://' . 'a' x 300 . '.com', "https://a\r\nX: y")
{
    my ($status, undef, $error) = $s->command('serve', "--cors-origins=$_");
    is($status, 2, 'refused: ' . substr($_, 0, 60));
    like($error, qr/^auth-service: --cors-origins: "/, 'and said why');
}

# On.
$s->shim("--cors-origins=$app, $local,http://[::1]:8080,capacitor://localhost");
my %allowed = (
    vary => 'Origin', 'access-control-allow-headers' => 'Authorization, Content-Type, Idempotency-Key, X-Request-ID', 'access-control-max-age' => 7200,
    'access-control-expose-headers' => 'X-Request-ID, Retry-After, X-Refresh-Token-Reuse, WWW-Authenticate');
foreach my $origin ($app, $local, 'http://[::1]:8080', 'capacitor://localhost')
{
    my $answer = preflight('/users/me', $origin, 'DELETE');
    is($answer->{status}, 204, "a preflight from $origin");
    is_deeply(cors($answer), { %allowed, 'access-control-allow-origin' => $origin, 'access-control-allow-methods' => 'GET, HEAD, DELETE' },
        'is told the methods of that path, and what may be sent and read');
    is($answer->{headers}{'x-content-type-options'}, 'nosniff', 'beside what every answer has');
}
is(preflight($_->[0], $app)->{headers}{'access-control-allow-methods'}, $_->[1], "the methods of $_->[0]")
  foreach [ '/auth/login', 'POST' ], [ '/users/balance', 'GET, HEAD, PUT' ], [ '/admin/block/5', 'POST' ], [ '/', 'GET, HEAD' ], [ '/users/me?x=y', 'GET, HEAD, DELETE' ];
is(preflight('/nowhere', $app)->{status}, 404, 'a path that is not there has none');
my $plain = $s->request('OPTIONS', '/users/me', headers => { Origin => $app });
is($plain->{status}, 405, 'OPTIONS without the question is no preflight');

foreach (
    [ 'a right answer', 200, GET => '/users/me', token => $token ], [ 'a 401', 401, GET => '/users/me' ], [ 'a 404', 404, GET => '/nowhere' ], [ 'a 405', 405, PUT => '/users/me' ],
    [ 'a 415', 415, POST => '/auth/login', body => 'x', type => 'text/plain' ], [ 'a 413', 413, POST => '/auth/login', body => 'x' x 70000, type => 'application/json' ],
    [ 'a 422', 422, POST => '/auth/login', body => '{', type => 'application/json' ])
{
    my ($what, $status, $method, $path, %options) = @$_;
    my $answer = $s->request($method, $path, %options, headers => { Origin => $app });
    is($answer->{status}, $status, "$what: $status");
    is_deeply(cors($answer), { map { $_ => $_ eq 'access-control-allow-origin' ? $app : $allowed{$_} } qw(vary access-control-allow-origin access-control-expose-headers) },
        "$what: the page may read it");
}

# Others, also those that look like them.
foreach my $origin ('null', '*', '', 'https://evil.example', "$app.evil.example", "https://evilapp.example.com", 'http://app.example.com', "$app:8443", 'https://APP.example.com',
    "$app/", 'https://app.example.co', "$app, $local", 'http://localhost', 'http://localhost:30000', 'http://localhost:300', substr($app, 1))
{
    my $answer = preflight('/users/me', $origin);
    is($answer->{status}, 405, "a preflight from '$origin'");
    is_deeply(cors($answer), { vary => 'Origin' }, 'is told nothing');
    $answer = $s->request('GET', '/users/me', token => $token, headers => { Origin => $origin });
    is($answer->{status}, 200, 'a request from there is answered as any');
    is_deeply(cors($answer), { vary => 'Origin' }, 'but no page may read it');
}
is_deeply(cors($s->request('GET', '/')), { vary => 'Origin' }, 'a request without an origin');
my ($bytes) = $s->raw("GET / HTTP/1.1\r\nHost: x\r\nOrigin: $app\r\nOrigin: https://evil.example\r\n\r\n");
like($bytes, qr{^HTTP/1\.1 400 (?!.*Allow-Origin)}s, 'two origins');
done_testing();
