# The life of a user over HTTP, as a client of the service before us does it.
use strict;
use utf8;
use warnings;
use AuthService;
use Test::More;

my $s = AuthService->start('flow');

sub answers
{
    my ($answer, $status, $json, $what) = @_;
    is($answer->{status}, $status, "$what: status");
    is_deeply($answer->{json}, $json, "$what: body") if defined $json;
}

answers($s->request('GET', '/'), 200, { message => 'auth_service is running' }, 'GET /');
answers($s->request('GET', '/health/live'), 200, { status => 'live' }, 'live');
answers($s->request('GET', '/health/ready'), 200, { status => 'ready' }, 'ready');

my $r = $s->request('POST', '/auth/register', json => { email => 'ann@example.com', password => 'Secret123' });
answers($r, 200, { email => 'ann@example.com', id => 1 }, 'register');
answers($s->request('POST', '/auth/register', json => { email => 'Ann@example.com', password => 'Secret123' }),
    400, { detail => 'A user with this email already exists', code => 'U400A' }, 'register: taken');
$r = $s->request('POST', '/auth/register',
    json => { email => 'named@example.com', password => 'Secret123', first_name => 'Ná', last_name => 'Med', role => 'admin' });
is($r->{status}, 200, 'register: with names');
is($s->sql("SELECT first_name || last_name || role FROM auth.users WHERE email = 'named\@example.com'"), 'NáMeduser',
    'register: names are kept, a role is not taken');

# Login, by form and by JSON.
foreach (
    [ form => [ username => 'ann@example.com', password => 'Secret123' ] ],
    [ form => [ grant_type => 'password', username => 'ANN@example.com', password => 'Secret123', scope => '' ] ],
    [ json => { email => 'ann@example.com', password => 'Secret123' } ],
    [ json => { username => 'ann@example.com', password => 'Secret123' } ])
{
    $r = $s->request('POST', '/auth/login', @$_);
    is($r->{status}, 200, "login by $_->[0]");
    is_deeply([ sort keys %{ $r->{json} } ], [qw(access_token expires_in refresh_token token_type)], 'login: members');
    is($r->{json}{token_type}, 'bearer', 'login: token_type');
    is($r->{headers}{'cache-control'}, 'no-store', 'login: no-store');
}
my ($access, $refresh) = @{ $r->{json} }{qw(access_token refresh_token)};
is($s->sql("SELECT host(ip) || ' ' || left(user_agent, 9) FROM auth.sessions LIMIT 1"), '127.0.0.1 HTTP-Tiny',
    'login: the session knows address and user agent');
foreach (
    [ form => [ username => 'ann@example.com', password => 'Wrong123' ] ],
    [ form => [ username => 'nobody@example.com', password => 'Secret123' ] ],
    [ form => [ username => '', password => '' ] ],
    [ json => { email => 'ann@example.com', password => 'secret123' } ])
{
    $r = $s->request('POST', '/auth/login', @$_);
    answers($r, 401, { detail => 'Invalid credentials', code => 'U401C' }, 'login: wrong');
    is($r->{headers}{'www-authenticate'}, 'Bearer realm="auth_service"', 'login: wrong: WWW-Authenticate');
}

# Profile.
answers($s->request('GET', '/auth/me', token => $access), 200, { user_id => '1' }, 'GET /auth/me');
$r = $s->request('GET', '/users/me', token => $access);
is($r->{status}, 200, 'GET /users/me');
is_deeply([ sort keys %{ $r->{json} } ],
    [qw(balance created_at email first_name id is_blocked last_activity_at last_name role updated_at)], 'GET /users/me: members');
like($r->{json}{created_at}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00$/, 'GET /users/me: times are ISO 8601 in UTC');
like($r->{content}, qr/"id":1,.*"is_blocked":false,"balance":0,/, 'GET /users/me: types');
answers($s->request('GET', '/users/profile', token => $access), 403, { detail => 'Profile incomplete', code => 'U403D' }, 'profile: incomplete');
foreach ({}, { first_name => 'Ann' }, { first_name => '', last_name => 'Lee' }, { first_name => undef, last_name => 'Lee' })
{
    answers($s->request('PUT', '/users/profile', token => $access, json => $_), 400,
        { detail => 'Unable to update profile', code => 'U400B' }, 'PUT profile: incomplete');
}
$r = $s->request('PUT', '/users/profile', token => $access, json => { first_name => "Ann \"\\\x{1F600}", last_name => 'Lee' });
is($r->{status}, 200, 'PUT profile');
is($r->{json}{first_name}, "Ann \"\\\x{1F600}", 'PUT profile: any characters');
answers($s->request('GET', '/users/profile', token => $access), 200, $r->{json}, 'GET profile');
$r = $s->request('HEAD', '/users/profile', token => $access);
is("$r->{status} '$r->{content}'", "200 ''", 'HEAD profile: no body');
cmp_ok($r->{headers}{'content-length'}, '>', 100, 'HEAD profile: the length that GET has');

# Refresh.
$r = $s->request('POST', '/auth/refresh', json => { refresh_token => $refresh });
is($r->{status}, 200, 'refresh');
isnt($r->{json}{refresh_token}, $refresh, 'refresh: rotates');
answers($s->request('GET', '/auth/me', token => $r->{json}{access_token}), 200, { user_id => '1' }, 'refresh: the new access token');
is($s->request('POST', '/auth/refresh', json => { refresh_token => $refresh })->{json}{refresh_token}, $r->{json}{refresh_token},
    'refresh: a lost answer can be had again');
foreach ('x', '', $access, 'x' x 10000)
{
    answers($s->request('POST', '/auth/refresh', json => { refresh_token => $_ }), 401,
        { detail => 'Refresh token is invalid or expired', code => 'U401D' }, 'refresh: none of ours');
}

# Logout: felt by the very next request, also by the refresh token.
my $pair = $s->login('ann@example.com');
answers($s->request('POST', '/auth/logout', token => $pair->{access_token}), 200, { message => 'Logged out' }, 'logout');
$r = $s->request('GET', '/users/me', token => $pair->{access_token});
answers($r, 401, { detail => 'Could not validate credentials', code => 'U401B' }, 'logout: the access token is dead');
is($r->{headers}{'www-authenticate'}, 'Bearer realm="auth_service", error="invalid_token"', 'logout: WWW-Authenticate');
is($s->request('POST', '/auth/refresh', json => { refresh_token => $pair->{refresh_token} })->{status}, 401, 'logout: the refresh token too');
is($s->request('POST', '/auth/logout', token => $pair->{access_token})->{status}, 401, 'logout: once');
is($s->request('GET', '/auth/me', token => $access)->{status}, 200, 'logout: the other sessions live');
answers($s->request('POST', '/auth/logout-all', token => $access), 200, { message => 'Logged out' }, 'logout-all');
is($s->sql('SELECT count(*) FROM auth.sessions WHERE user_id = 1'), 0, 'logout-all: no session is left');

# Change of the password.
my @pairs = map { $s->login('ann@example.com') } 1 .. 3;
my %change = (email => 'ann@example.com', old_password => 'Secret123', new_password => 'Newsecret1');
foreach ({ %change, old_password => 'Wrong123' }, { %change, email => 'nobody@example.com' }, { %change, email => 'no mail' })
{
    answers($s->request('POST', '/auth/change-password', json => $_), 401, { detail => 'Old password is incorrect', code => 'U401E' },
        'change-password: wrong');
}
is($s->request('GET', '/auth/me', token => $pairs[0]{access_token})->{status}, 200, 'change-password: wrong ends nothing');
answers($s->request('POST', '/auth/change-password', json => \%change), 200, { message => 'Password updated successfully' }, 'change-password');
foreach (@pairs)
{
    is($s->request('GET', '/auth/me', token => $_->{access_token})->{status}, 401, 'change-password: ends every session');
    is($s->request('POST', '/auth/refresh', json => { refresh_token => $_->{refresh_token} })->{status}, 401, 'and its refresh token');
}
is($s->login('ann@example.com')->{detail}, 'Invalid credentials', 'change-password: the old one is over');
ok($s->login('ann@example.com', 'Newsecret1')->{access_token}, 'change-password: the new one works');

# Blocked.
$pair = $s->login('ann@example.com', 'Newsecret1');
$s->sql('UPDATE auth.users SET blocked_at = now() WHERE id = 1');
answers($s->request('GET', '/users/me', token => $pair->{access_token}), 403, { detail => 'Your account is blocked.', code => 'U403A' }, 'blocked: an existing token');
answers($s->request('POST', '/auth/login', form => [ username => 'ann@example.com', password => 'Newsecret1' ]), 403,
    { detail => 'Your account is blocked.', code => 'U403A' }, 'blocked: login');

# Request ids.
is($s->request('GET', '/', headers => { 'X-Request-ID' => 'abc-1.2_Z' })->{headers}{'x-request-id'}, 'abc-1.2_Z', 'request id: the client\'s');
foreach ('a b', 'x' x 65, "a\"b", '')
{
    like($s->request('GET', '/', headers => { 'X-Request-ID' => $_ })->{headers}{'x-request-id'}, qr/^[0-9a-f]{32}$/, 'request id: a new one');
}

done_testing();
