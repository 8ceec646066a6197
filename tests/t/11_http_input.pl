# Wrong input of every kind: a 4xx in the form of the contract, never a 5xx; and nothing secret in a log.
use strict;
use warnings;
use AuthService;
use Test::More;

my $secret = 'Sesame9Xyzzy';
my $s = AuthService->start('input', conf => "log_statement = all\nlog_min_error_statement = debug5\n");
my $id = $s->register('ann@example.com', $secret);
my $token = $s->login('ann@example.com', $secret)->{access_token};

# The list of a 422 as [loc, type] pairs.
sub problems
{
    my ($answer) = @_;
    return [ map { [ join('.', @{ $_->{loc} }), $_->{type} ] } @{ $answer->{json}{detail} } ];
}

# Bodies.
foreach (
    [ 'nothing', '', [ [ 'body', 'missing' ] ] ],
    [ 'white space', " \n", [ [ 'body', 'missing' ] ] ],
    [ 'half an object', '{"email":"x@example.com","password":"' . $secret, [ [ 'body', 'json_invalid' ] ] ],
    [ 'an array', "[\"$secret\"]", [ [ 'body', 'dict_type' ] ] ],
    [ 'a string', "\"$secret\"", [ [ 'body', 'dict_type' ] ] ],
    [ 'null', 'null', [ [ 'body', 'dict_type' ] ] ],
    [ 'an empty object', '{}', [ [ 'body.email', 'missing' ], [ 'body.password', 'missing' ] ] ],
    [ 'a number', "{\"email\":5,\"password\":\"$secret\"}", [ [ 'body.email', 'string_type' ] ] ],
    [ 'a null', "{\"email\":null,\"password\":\"$secret\"}", [ [ 'body.email', 'string_type' ] ] ],
    [ 'an object', "{\"email\":\"a\@b.co\",\"password\":{\"a\":\"$secret\"}}", [ [ 'body.password', 'string_type' ] ] ],
    [ 'a member twice', "{\"email\":\"a\@b.co\",\"email\":\"c\@b.co\",\"password\":\"$secret\"}", [ [ 'body.email', 'value_error' ] ] ],
    [ 'a raw NUL', "{\"email\":\"a\@b.co\",\"password\":\"$secret\0\"}", [ [ 'body', 'json_invalid' ] ] ],
    [ 'an escaped NUL', "{\"email\":\"a\@b.co\",\"password\":\"$secret\\u0000\"}", [ [ 'body', 'json_invalid' ] ] ],
    [ 'half a surrogate pair', "{\"email\":\"a\@b.co\",\"password\":\"$secret\\ud800\"}", [ [ 'body', 'json_invalid' ] ] ],
    [ 'a bad e-mail', "{\"email\":\"ab.co\",\"password\":\"$secret\"}", [ [ 'body.email', 'value_error' ] ] ],
    [ 'a bad password', '{"email":"a@b.co","password":"Sh0rt"}', [ [ 'body.password', 'value_error' ] ] ],
    [ 'both', '{"email":"","password":"12345678Aaa\u00e9' . 'x' x 80 . '"}', [ [ 'body.email', 'value_error' ], [ 'body.password', 'value_error' ] ] ])
{
    my ($what, $body, $wanted) = @$_;
    my $answer = $s->request('POST', '/auth/register', body => $body, type => 'application/json');
    is($answer->{status}, 422, "$what: 422");
    is_deeply(problems($answer), $wanted, "$what: the list") or diag $answer->{content};
    unlike($answer->{content}, qr/$secret/, "$what: nothing of the input comes back");
}
foreach (
    [ 'bad UTF-8', "{\"email\":\"a\@b.co\",\"password\":\"$secret\xff\"}", 400 ],
    [ 'overlong UTF-8', "{\"email\":\"a\@b.co\",\"password\":\"$secret\xc0\xaf\"}", 400 ],
    [ 'deep nesting', '[' x 65000, 400 ],
    [ '64 KiB and a byte', '{"email":"' . 'x' x 65535 . '"}', 413 ],
    [ '1 MB', '{"password":"' . $secret x 100000 . '"}', 413 ])
{
    my ($what, $body, $status) = @$_;
    my $answer = $s->request('POST', '/auth/register', body => $body, type => 'application/json');
    is($answer->{status}, $status, "$what: $status");
    ok($answer->{json} && $answer->{json}{detail}, "$what: in JSON") or diag $answer->{content};
}
is($s->request('GET', '/health/ready')->{status}, 200, 'and the service is well');

# The same body for every route that takes one.
foreach my $path ('/auth/register', '/auth/login', '/auth/refresh', '/auth/change-password')
{
    is($s->request('POST', $path, body => '{', type => 'application/json')->{status}, 422, "$path: malformed JSON");
    is($s->request('POST', $path, json => {})->{status}, 422, "$path: nothing given");
}
foreach my $path ('/users/profile', '/users/balance')
{
    is($s->request('PUT', $path, token => $token, body => '{', type => 'application/json')->{status}, 422, "$path: malformed JSON");
    is($s->request('PUT', $path, token => $token, body => "{\"amount\":1}\0", type => 'application/json')->{status}, 422, "$path: a NUL");
    is($s->request('PUT', $path, body => "{\"amount\":1}\0", type => 'application/json')->{status}, 401, "$path: who asks comes first");
    is($s->request('PUT', $path, token => 'x', body => '{', type => 'application/json')->{status}, 401, "$path: also before the body");
    is($s->request('PUT', $path, token => $token, form => [ amount => 1 ])->{status}, 415, "$path: a form");
}
is($s->request('PUT', '/users/profile', token => $token, json => { first_name => 5, last_name => 'x' })->{status}, 422, 'PUT profile: a number');

# Forms.
foreach (
    [ 'nothing', '', 422 ],
    [ 'no password', 'username=ann%40example.com', 422 ],
    [ 'no value', 'username&password', 401 ],
    [ 'a field twice', 'username=a&username=b&password=c', 422 ],
    [ 'bad percent signs', 'username=%zz%4&password=%', 401 ],
    [ 'a NUL', "username=ann%40example.com&password=$secret%00", 422 ],
    [ 'bad UTF-8', 'username=%ff&password=x', 400 ],
    [ 'plus and blank', "username=ann%40example.com&password=+", 401 ],
    [ 'empty pairs', "&&username=ann%40example.com&&password=$secret&", 200 ])
{
    my ($what, $body, $status) = @$_;
    is($s->request('POST', '/auth/login', body => $body, type => 'application/x-www-form-urlencoded')->{status}, $status, "form: $what: $status");
}

# Media types.
my $good = "{\"email\":\"ann\@example.com\",\"password\":\"$secret\"}";
foreach (
    [ 'application/json', 200 ], [ 'Application/JSON; charset=UTF-8', 200 ], [ 'application/json;charset="utf-8"', 200 ],
    [ 'application/json; version=1', 200 ], [ 'application/json;charset=utf-8;', 200 ], [ 'application/json; version=1; charset=utf-16', 415 ],
    [ 'application/json; charset=utf-16', 415 ], [ 'text/plain', 415 ], [ 'application/jsonx', 415 ], [ 'multipart/form-data; boundary=x', 415 ], [ '', 415 ])
{
    is($s->request('POST', '/auth/login', body => $good, type => $_->[0])->{status}, $_->[1], "Content-Type '$_->[0]': $_->[1]");
}
is($s->request('POST', '/auth/login', body => $good, type => 'application/json', headers => { 'Content-Encoding' => 'gzip' })->{status}, 415, 'Content-Encoding');
my $form = $s->request('POST', '/auth/register', form => [ email => 'a@b.co', password => $secret ]);
is($form->{status}, 415, 'a form where only JSON is taken');
like($form->{content}, qr/has to be application\/json, in UTF-8/, 'and what is taken is told');
like($s->request('POST', '/auth/login', body => $good, type => 'text/plain')->{content}, qr/has to be application\/json or application\/x-www-form-urlencoded, in UTF-8/, 'where a form is, too');

# Authorization.
foreach (
    [ undef, 401, 'U401A' ], [ '', 401, 'U401A' ], [ 'Bearer', 401, 'U401A' ], [ 'Bearer ', 401, 'U401A' ], [ 'Basic YTpi', 401, 'U401A' ],
    [ $token, 401, 'U401A' ], [ 'Bearer x', 401, 'U401B' ], [ "Bearer $token x", 401, 'U401B' ], [ "Bearer  $token", 401, 'U401B' ],
    [ "Bearer a,b", 401, 'U401B' ], [ "bearer $token", 200, undef ], [ "BEARER $token", 200, undef ], [ 'Bearer ' . 'x' x 15000, 401, 'U401B' ])
{
    my ($value, $status, $code) = @$_;
    my $answer = $s->request('GET', '/auth/me', headers => { defined $value ? (Authorization => $value) : () });
    my $what = 'Authorization ' . (defined $value ? "'" . substr($value, 0, 20) . "'" : 'missing');
    is($answer->{status}, $status, "$what: $status");
    is($answer->{json}{code}, $code, "$what: code");
    is($answer->{headers}{'www-authenticate'}, $status == 200 ? undef : $code eq 'U401A' ? 'Bearer realm="auth_service"' : 'Bearer realm="auth_service", error="invalid_token"', "$what: WWW-Authenticate");
}
is($s->request('GET', "/auth/me?access_token=$token")->{status}, 401, 'a token in the query is none');
is($s->request('GET', "/users/me?$_", token => $token)->{status}, 200, 'a query that nobody asked for: ' . substr($_, 0, 20))
  foreach '', '?', '&', '=', '%', '%00', 'id=%ff', 'x' x 8000;

# Methods and paths.
my %methods = ('/auth/register' => 'POST', '/auth/login' => 'POST', '/auth/refresh' => 'POST', '/auth/logout' => 'POST', '/auth/logout-all' => 'POST',
    '/auth/change-password' => 'POST', '/auth/me' => 'GET, HEAD', '/users/me' => 'GET, HEAD, DELETE', '/users/profile' => 'GET, HEAD, PUT', '/' => 'GET, HEAD',
    '/health/live' => 'GET, HEAD', '/health/ready' => 'GET, HEAD', '/openapi.json' => 'GET, HEAD', '/users/balance' => 'GET, HEAD, PUT',
    '/users' => 'GET, HEAD', '/users/' => 'GET, HEAD', '/users/deleted' => 'GET, HEAD', '/admin/block/5' => 'POST', '/admin/unblock/%35' => 'POST',
    '/admin/restore/x' => 'POST', '/admin/users/5/role' => 'PUT', '/admin/users/5/balance' => 'PUT', '/admin/audit' => 'GET, HEAD', '/admin/check' => 'GET, HEAD');
foreach my $path (sort keys %methods)
{
    foreach my $method (qw(GET HEAD POST PUT PATCH DELETE OPTIONS))
    {
        my $answer = $s->request($method, $path);
        my $allowed = grep { $_ eq $method } split /, /, $methods{$path};
        is($answer->{status} == 405 ? 1 : 0, $allowed ? 0 : 1, "$method $path: " . ($allowed ? 'there' : '405'));
        is($answer->{headers}{allow}, $methods{$path}, "$method $path: Allow") if !$allowed;
    }
}
foreach ('/auth', '/auth/', '/auth/me/', '/auth/me/x', '//auth/me', '/./auth/me', '/auth/../auth/me', '/auth%2fme', '/AUTH/ME', '/auth/me;v=1',
    '/auth/me%00', '/auth/me.css', '/users//', '/users/5', '/users/me/', '/admin', '/admin/', '/admin/block', '/admin/block/', '/admin/block//', '/admin/block/5/',
    '/admin/block/5/x', '/admin/users//role', '/admin/users/5/', '/admin/users/5/roles', '/admin/users/5/6/role', '/admin/users/{user_id}', '/admin/blocks/5', '/openapi.json/', '/index.html', '/.htpasswd', '/../../etc/passwd', '/%2e%2e/%2e%2e/etc/passwd', '/' . 'x' x 8000)
{
    my $answer = $s->request('GET', $_, token => $token);
    is($answer->{status}, 404, 'GET ' . substr($_, 0, 40) . ': 404');
    is_deeply($answer->{json}, { detail => 'Not Found' }, 'in JSON');
}

# What was logged.
is($s->sql('SELECT count(*) FROM auth.users'), 1, 'no account came of all this');
foreach ([ server => $s->server_log ], [ shim => $s->shim_log ])
{
    my ($whose, $log) = @$_;
    unlike($log, qr/Sesame/, "no password in the log of the $whose");
    unlike($log, qr/\Q$token\E/, "no token in the log of the $whose");
    unlike($log, qr/PANIC|terminated by signal|server process .* was terminated/, "no crash in the log of the $whose");
}
done_testing();
