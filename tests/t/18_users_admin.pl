# Balances, deletion, administration and lists over HTTP.
use strict;
use utf8;
use warnings;
use AuthService;
use Test::More;

my $s = AuthService->start('admin');

sub answers
{
    my ($answer, $status, $json, $what) = @_;
    is($answer->{status}, $status, "$what: status") or diag $answer->{content};
    is_deeply($answer->{json}, $json, "$what: body") if defined $json;
}

# The list of a 422 as "loc type" words.
sub problems
{
    my ($answer) = @_;
    return join ' ', $answer->{status}, ref $answer->{json}{detail} ? map { join('.', @{ $_->{loc} }) . ":$_->{type}" } @{ $answer->{json}{detail} } : ();
}

my $not_found = { detail => 'Not found', code => 'U404A' };
my $no_user = { detail => 'User not found', code => 'U404B' };

$s->command(\"Secret123\n", 'create-admin', 'root@example.com');
my $root_id = $s->sql("SELECT id FROM auth.users WHERE email = 'root\@example.com'");
my $admin = $s->login('root@example.com')->{access_token};
my $ann_id = $s->register('ann@example.com');
my $ann = $s->login('ann@example.com')->{access_token};

# ---- Balance.
answers($s->request('GET', '/users/balance', token => $ann), 200, { balance => 0 }, 'balance: at first');
sub change
{
    my ($token, $amount, %headers) = @_;
    return $s->request('PUT', '/users/balance', token => $token, json => { amount => $amount }, headers => \%headers);
}
answers(change($ann, 500), 200, { new_balance => 500 }, 'balance: adds');
answers(change($ann, -200), 200, { new_balance => 300 }, 'balance: takes');
answers(change($ann, '7'), 200, { new_balance => 307 }, 'balance: a string of digits, as pydantic takes it');
answers(change($ann, 0), 200, { new_balance => 307 }, 'balance: nothing');
answers(change($ann, -308), 400, { detail => 'Unable to update balance', code => 'U400C' }, 'balance: never below zero');
answers($s->request('PUT', '/users/balance', token => $ann, body => '{"amount":9223372036854775807}', type => 'application/json'), 400,
    { detail => 'Unable to update balance', code => 'U400C' }, 'balance: never beyond a bigint');
answers(change($ann, 10, 'Idempotency-Key' => 'first'), 200, { new_balance => 317 }, 'balance: with a key') for 1 .. 3;
answers(change($ann, 1), 200, { new_balance => 318 }, 'balance: without one');
answers(change($ann, 10, 'idempotency-key' => 'first'), 200, { new_balance => 317 }, 'balance: the key\'s answer stays');
answers(change($ann, 11, 'Idempotency-Key' => 'first'), 409, { detail => 'Idempotency key was used with another amount', code => 'U409A' },
    'balance: a key with another amount');
is(problems(change($ann, 1, 'Idempotency-Key' => 'x' x 256)), '422 header.Idempotency-Key:value_error', 'balance: a key that is too long');
is(problems(change($ann, 1, 'Idempotency-Key' => '')), '422 header.Idempotency-Key:value_error', 'balance: an empty key');
answers($s->request('GET', '/users/balance', token => $ann), 200, { balance => 318 }, 'balance: the sum');
answers(change($admin, 1), 403, { detail => 'Admin users cannot have an active balance', code => 'U403B' }, 'balance: an admin has none');
foreach (
    [ '{}', 'missing' ], [ '{"amount":null}', 'int_type' ], [ '{"amount":1.5}', 'int_from_float' ], [ '{"amount":"x"}', 'int_parsing' ],
    [ '{"amount":[]}', 'int_type' ], [ '{"amount":true}', 'int_type' ], [ '{"amount":9223372036854775808}', 'int_parsing_size' ],
    [ '{"amount":1,"amount":1}', 'value_error' ])
{
    my ($body, $type) = @$_;
    is(problems($s->request('PUT', '/users/balance', token => $ann, body => $body, type => 'application/json')), "422 body.amount:$type", "balance: $body");
}
is($s->sql("SELECT sum(amount) FROM auth.balance_entries WHERE user_id = $ann_id"), 318, 'balance: the ledger');
# Blanks behind a header's value are no part of it.
my @blanks = map { (split /\r\n\r\n/, ($s->raw("PUT /users/balance HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $ann \r\nIdempotency-Key: blank$_\r\nContent-Type: application/json \r\nContent-Length: 12\r\nConnection: close\r\n\r\n{\"amount\":1}"))[0])[1] } '', ' ', '   ';
is("@blanks", join(' ', ('{"new_balance" : 319}') x 3), 'Idempotency-Key: with blanks behind it, the same key');
$s->request('PUT', '/users/balance', token => $ann, json => { amount => -1 });

# ---- Who may: 401 before 404 before 422, on every route of an admin's.
my @admins = map { [ split / / ] } 'GET /users/', 'GET /users', 'GET /users/deleted', 'POST /admin/block/5', 'POST /admin/unblock/5', 'POST /admin/restore/5',
  'PUT /admin/users/5/role', 'PUT /admin/users/5/balance', 'GET /admin/audit', 'GET /admin/check', 'HEAD /admin/check',
  'GET /users?limit=0', 'GET /users?id=x', 'GET /users/deleted?limit=x', 'POST /admin/block/x', 'PUT /admin/users/x/role', 'GET /admin/audit?cursor=x';
foreach (@admins)
{
    my ($method, $path) = @$_;
    my %body = $method eq 'PUT' ? (json => {}) : ();
    my ($none, $bad, $user) = map { $s->request($method, $path, %body, %$_) } {}, { token => 'x' }, { token => $ann };
    is("$none->{status} $bad->{status} $user->{status}", '401 401 404', "$method $path: nobody, a bad token, a user");
    next if $method eq 'HEAD';
    is_deeply([ $none->{json}{detail}, $bad->{json}{detail}, $user->{json} ], [ 'Not authenticated', 'Could not validate credentials', $not_found ],
        "$method $path: their words");
}
my @no_body = map { $s->request('PUT', '/admin/users/5/role', body => 'x', type => 'text/plain', %$_) } {}, { token => 'x' }, { token => $ann }, { token => $admin };
is(join(' ', map { $_->{status} } @no_body), '401 401 404 415', 'a body of another media type: who asks comes first');
is($s->sql("SELECT count(*) FROM auth.audit_log WHERE action = 'refused' AND actor_id = $ann_id"), @admins + 1, 'every refusal is recorded');
is($s->sql("SELECT string_agg(DISTINCT detail ->> 'action', ', ') FROM auth.audit_log WHERE action = 'refused' AND detail ->> 'action' ~ 'block'"),
    'POST /admin/block/{user_id}, POST /admin/unblock/{user_id}', 'with the route, not with what was sent');
$s->raw("GET /admin/check HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $ann\r\nX-Request-ID: refused-1\r\nUser-Agent: p\xffrobe\r\nConnection: close\r\n\r\n");
is($s->sql("SELECT host(ip), user_agent, user_id FROM auth.audit_log WHERE request_id = 'refused-1'"), "127.0.0.1|p?robe|$ann_id", 'and where it came from');
# Who ends his session, or is blocked, in that moment does not escape the log.
my $probe_id = $s->register('probe@example.com');
my $refusals = 0;
foreach my $round (1 .. 10)
{
    my $probe = $s->login('probe@example.com')->{access_token};
    $refusals += grep { $_ eq '404' } $s->parallel(5, sub { return $_[0] == 3 ? $s->request('POST', '/auth/logout', token => $probe)->{status} x 2 : $s->request('GET', '/admin/check', token => $probe)->{status} });
}
cmp_ok($refusals, '>', 5, 'refused, while the session ends');
is($s->sql("SELECT count(*) FROM auth.audit_log WHERE action = 'refused' AND actor_id = $probe_id"), $refusals, 'each of them is recorded');
my $probe = $s->login('probe@example.com')->{access_token};
$s->sql("UPDATE auth.users SET blocked_at = now() WHERE id = $probe_id");
is($s->request('GET', '/admin/check', token => $probe)->{status}, 403, 'a blocked one: refused as such');
is($s->sql("SELECT count(*) FROM auth.audit_log WHERE action = 'refused' AND actor_id = $probe_id"), $refusals + 1, 'and recorded');
$s->sql("DELETE FROM auth.users WHERE id = $probe_id");
unlike($s->shim_log, qr/not recorded/, 'no refusal was not recorded');

# ---- Administration.
answers($s->request('GET', '/admin/check', token => $admin), 200, { message => 'Welcome, admin root@example.com!' }, 'check');
my $bob_id = $s->register('bob@example.com');
my $bob = $s->login('bob@example.com');
foreach (qw(block unblock restore))
{
    answers($s->request('POST', "/admin/$_/999999", token => $admin), 404, $no_user, "$_: nobody");
    is(problems($s->request('POST', "/admin/$_/abc", token => $admin)), '422 path.user_id:int_parsing', "$_: no number");
    is(problems($s->request('POST', "/admin/$_/9223372036854775808", token => $admin)), '422 path.user_id:int_parsing_size', "$_: too large a number");
    is(problems($s->request('POST', "/admin/$_/5%00", token => $admin)), '422 path.user_id:int_parsing', "$_: a NUL");
    is(problems($s->request('POST', "/admin/$_/5+", token => $admin)), "422 path.user_id:int_parsing", "$_: a plus is no blank in a path");
    is($s->request('POST', "/admin/$_/%ff", token => $admin)->{status}, 400, "$_: bad UTF-8");
    is($s->request('POST', "/admin/$_/$bob_id/", token => $admin)->{status}, 404, "$_: a slash too many");
    is($s->request('POST', "/admin/$_/", token => $admin)->{status}, 404, "$_: no segment");
    my $r = $s->request('GET', "/admin/$_/$bob_id", token => $admin);
    is("$r->{status} $r->{headers}{allow}", '405 POST', "$_: GET");
}
answers($s->request('POST', "/admin/block/$bob_id?user_id=$ann_id", token => $admin), 200, { message => "User $bob_id has been blocked." }, 'block');
is($s->request('GET', '/users/me', token => $bob->{access_token})->{status}, 403, 'block: felt by an existing token');
is($s->request('POST', '/auth/refresh', json => { refresh_token => $bob->{refresh_token} })->{status}, 401, 'block: and by its refresh token');
answers($s->request('POST', '/auth/login', form => [ username => 'bob@example.com', password => 'Secret123' ]), 403,
    { detail => 'Your account is blocked.', code => 'U403A' }, 'block: no login');
answers($s->request('POST', "/admin/unblock/%3" . substr($bob_id, 0, 1) . substr($bob_id, 1), token => $admin), 200,
    { message => "User $bob_id has been unblocked." }, 'unblock: a path with percent signs');
$bob = $s->login('bob@example.com')->{access_token};
ok($bob, 'unblock: login');
answers($s->request('PUT', "/admin/users/$bob_id/role", token => $admin, json => { role => 'admin' }), 200, { message => "User $bob_id is now admin." }, 'role');
is($s->request('GET', '/admin/check', token => $bob)->{status}, 200, 'role: felt by an existing token');
answers($s->request('PUT', "/admin/users/$bob_id/role", token => $admin, json => { role => 'user' }), 200, { message => "User $bob_id is now user." }, 'role: back');
is($s->request('GET', '/admin/check', token => $bob)->{status}, 404, 'role: and that too');
answers($s->request('PUT', '/admin/users/999999/role', token => $admin, json => { role => 'user' }), 404, $no_user, 'role: nobody');
is(problems($s->request('PUT', "/admin/users/$bob_id/role", token => $admin, json => { role => 'root' })), '422 body.role:enum', 'role: none');
is(problems($s->request('PUT', '/admin/users/x/role', token => $admin, json => { role => 'user' })), '422 path.user_id:int_parsing', 'role: no number');
is(problems($s->request('PUT', "/admin/users/$bob_id/role", token => $admin, json => { role => 'user', user_id => 5 })), '200', 'role: more members are no matter');
is($s->request('PUT', "/admin/users/$bob_id/role", token => $admin)->{status}, 415, 'role: no body');

sub admin_change
{
    my ($id, $amount, %headers) = @_;
    return $s->request('PUT', "/admin/users/$id/balance", token => $admin, json => { amount => $amount }, headers => \%headers);
}
answers(admin_change($bob_id, 40, 'Idempotency-Key' => 'k'), 200, { new_balance => 40 }, 'admin\'s change') for 1, 2;
answers(admin_change($bob_id, 41, 'Idempotency-Key' => 'k'), 409, undef, 'admin\'s change: another amount');
answers(admin_change($bob_id, -41), 400, { detail => 'Unable to update balance', code => 'U400C' }, 'admin\'s change: below zero');
answers(admin_change(999999, 1), 404, $no_user, 'admin\'s change: nobody');
answers(admin_change($root_id, 1), 403, undef, 'admin\'s change: an admin has none');

# ---- Deletion.
answers($s->request('DELETE', '/users/me', token => $admin), 403, { detail => 'Admin cannot delete their own account.', code => 'U403C' }, 'delete: an admin');
answers($s->request('DELETE', '/users/me'), 401, undef, 'delete: nobody');
answers($s->request('DELETE', '/users/me', token => $bob), 200, { message => 'Account successfully deleted' }, 'delete');
is($s->request('GET', '/users/me', token => $bob)->{status}, 401, 'delete: felt by an existing token');
answers($s->request('POST', '/auth/login', form => [ username => 'bob@example.com', password => 'Secret123' ]), 401,
    { detail => 'Invalid credentials', code => 'U401C' }, 'delete: no login');
my $r = $s->request('GET', '/users/deleted', token => $admin);
is($r->{status}, 200, 'deleted');
is_deeply([ map { "$_->{id} $_->{email} $_->{balance}" } @{ $r->{json}{deleted_users} } ], ["$bob_id bob\@example.com 40"], 'deleted: the user is there');
ok($r->{json}{deleted_users}[0]{is_deleted}, 'deleted: is_deleted');
unlike($r->{content}, qr/\$2|password|hash/, 'deleted: no hash');
answers($s->request('POST', "/admin/block/$bob_id", token => $admin), 404, $no_user, 'block: a deleted user is none');
my $bob2_id = $s->register('bob@example.com');
isnt($bob2_id, $bob_id, 'delete: the e-mail can register again, as somebody else');
answers($s->request('POST', "/admin/restore/$bob_id", token => $admin), 400,
    { detail => 'A user with this email already exists', code => 'U400A' }, 'restore: the e-mail is taken');
$s->request('DELETE', '/users/me', token => $s->login('bob@example.com')->{access_token});
answers($s->request('POST', "/admin/restore/$bob_id", token => $admin), 200, { message => "User $bob_id has been restored." }, 'restore');
answers($s->request('GET', '/users/balance', token => $s->login('bob@example.com')->{access_token}), 200, { balance => 40 }, 'restore: with the balance');

# ---- Lists.
$s->sql("INSERT INTO auth.users (email, email_normalized, last_name, balance, created_at, updated_at, last_activity_at)
         SELECT e, e, 'O''Neil%_', i % 5, now(), now(), CASE WHEN i % 3 > 0 THEN now() - i % 4 * interval '1 minute' END
         FROM (SELECT i, 'many' || i || '\@example.org' FROM generate_series(1, 25) i) m (i, e)");
my $all = $s->sql('SELECT count(*) FROM auth.users WHERE deleted_at IS NULL');

# Every page of a list, one after the other: the rows' ids, and how many pages.
sub pages
{
    my ($path, $rows) = @_;
    my ($cursor, @ids, $count);
    do
    {
        my $answer = $s->request('GET', $path . ($path =~ /\?/ ? '&' : '?') . 'limit=4' . (defined $cursor ? "&cursor=$cursor" : ''), token => $admin);
        is($answer->{status}, 200, "$path: a page") or return;
        push @ids, $rows->($answer->{json});
        $cursor = $answer->{json}{next_cursor};
        $count++;
    } while (defined $cursor && $count < 100);
    return \@ids, $count;
}
my $users = sub { @{ $_[0]{order} } };
my %orders = ('' => 'id', '?sort_order=desc' => 'id DESC', '?sort_by=balance' => 'balance, id', '?sort_by=balance&sort_order=desc' => 'balance DESC, id DESC',
    '?sort_by=last_activity_at' => 'last_activity_at NULLS FIRST, id', '?sort_by=last_activity_at&sort_order=desc' => 'last_activity_at DESC NULLS LAST, id DESC');
foreach my $query (sort keys %orders)
{
    foreach my $path ('/users', '/users/')
    {
        my ($ids, $count) = pages("$path$query", $users);
        is("@$ids", $s->sql("SELECT string_agg(id::text, ' ' ORDER BY $orders{$query}) FROM auth.users WHERE deleted_at IS NULL"), "$path$query: all, in order");
        is($count, int(($all + 3) / 4), "$path$query: pages");
    }
}
$r = $s->request('GET', '/users?sort_order=desc', token => $admin);
is_deeply([ $r->{content} =~ /"(\d+)" : \{/g ], $r->{json}{order}, 'users: the object itself is in order');
is_deeply([ sort { $a <=> $b } keys %{ $r->{json}{users} } ], [ sort { $a <=> $b } @{ $r->{json}{order} } ], 'users: order has every id');
is($r->{json}{users}{$_}{user_id}, $_, "users: $_ is under its id") foreach $ann_id, $root_id;
is($r->{json}{users}{$ann_id}{balance}, 318, 'users: balance');
is($r->{json}{next_cursor}, undef, 'users: no cursor behind the last');
unlike($r->{content}, qr/\$2|password|hash/, 'users: no hash');

$s->request('PUT', '/users/profile', token => $ann, json => { first_name => 'Änn+ß', last_name => "O'Neil 100%" });
$s->request('POST', "/admin/block/$bob_id", token => $admin);
foreach (
    [ "id=$ann_id", $ann_id ], [ "id=+$ann_id", $ann_id ], [ 'id=999999', '' ], [ 'first_name=%C3%84NN', $ann_id ], [ 'first_name=nn%2B', $ann_id ],
    [ 'last_name=neil+100%25', $ann_id ], [ 'last_name=100%25', $ann_id ], [ 'last_name=1%250', '' ], [ 'email=ANN@', $ann_id ], [ 'email=ann%40example.com', $ann_id ],
    [ 'email=%00', '' ], [ 'role=admin', $root_id ], [ 'is_blocked=true', $bob_id ], [ 'is_blocked=1', $bob_id ], [ 'is_blocked=yes&role=user', $bob_id ],
    [ 'is_blocked=false&role=admin', $root_id ], [ 'is_blocked=true&role=admin', '' ], [ 'unknown=1&role=admin', $root_id ], [ '&&role=admin&', $root_id ],
    [ 'first_name=&role=admin', $root_id ], [ 'rol%65=admin', $root_id ], [ "user_id=5&id=$ann_id", $ann_id ], [ 'role=admin&idempotency_key=x', $root_id ])
{
    my ($query, $wanted) = @$_;
    my $answer = $s->request('GET', "/users?$query", token => $admin);
    is(join(' ', $answer->{status}, @{ $answer->{json}{order} // [] }), "200 $wanted" =~ s/ $//r, "users: $query");
    is_deeply($answer->{json}{users}, {}, "users: $query: an empty object") if $wanted eq '';
}
foreach (
    [ 'limit=0', 'limit:greater_than_equal' ], [ 'limit=-1', 'limit:greater_than_equal' ], [ 'limit=1001', 'limit:less_than_equal' ],
    [ 'limit=99999999999', 'limit:less_than_equal' ], [ 'limit=-99999999999', 'limit:greater_than_equal' ], [ 'limit=', 'limit:int_parsing' ],
    [ 'limit', 'limit:int_parsing' ], [ 'limit=1.5', 'limit:int_parsing' ], [ 'limit=1&limit=2', 'limit:value_error' ], [ 'limit=99999999999999999999', 'limit:int_parsing_size' ],
    [ 'id=x', 'id:int_parsing' ], [ 'id=1%00', 'id:int_parsing' ], [ 'id=1;', 'id:int_parsing' ], [ "id='", 'id:int_parsing' ], [ 'is_blocked=maybe', 'is_blocked:bool_parsing' ],
    [ 'role=root', 'role:enum' ], [ 'role=', 'role:enum' ], [ 'sort_by=password_hash', 'sort_by:enum' ], [ 'sort_by=id;--', 'sort_by:enum' ],
    [ 'sort_order=up', 'sort_order:enum' ], [ 'cursor=x', 'cursor:value_error' ], [ 'cursor=', 'cursor:value_error' ], [ 'cursor=%00', 'cursor:value_error' ],
    [ 'id=x&role=y&limit=z', 'id:int_parsing query.role:enum query.limit:int_parsing' ])
{
    my ($query, $wanted) = @$_;
    is(problems($s->request('GET', "/users?$query", token => $admin)), "422 query.$wanted", "users: $query");
}
is($s->request('GET', '/users?email=%ff', token => $admin)->{status}, 400, 'users: bad UTF-8');
is($s->request('GET', '/users?' . 'a&' x 6000, token => $admin)->{status}, 200, 'users: a long query');
my $cursor = $s->request('GET', '/users?limit=1', token => $admin)->{json}{next_cursor};
is(problems($s->request('GET', "/users?cursor=$cursor&sort_by=balance", token => $admin)), '422 query.cursor:value_error', 'users: the cursor of another list');
is(problems($s->request('GET', "/users/deleted?$_->[0]", token => $admin)), "422 query.$_->[1]", "deleted: $_->[0]")
  foreach [ 'limit=0', 'limit:greater_than_equal' ], [ 'limit=x', 'limit:int_parsing' ], [ 'cursor=x', 'cursor:value_error' ];

$s->sql("UPDATE auth.users SET deleted_at = now() - id * interval '1 second' WHERE email LIKE 'many%'");
my ($deleted, $count) = pages('/users/deleted', sub { map { $_->{id} } @{ $_[0]{deleted_users} } });
is("@$deleted", $s->sql("SELECT string_agg(id::text, ' ' ORDER BY deleted_at DESC, id DESC) FROM auth.users WHERE deleted_at IS NOT NULL"), 'deleted: all pages');

# ---- The audit log.
my ($entries) = pages('/admin/audit', sub { map { $_->{id} } @{ $_[0]{entries} } });
is("@$entries", $s->sql("SELECT string_agg(id::text, ' ' ORDER BY id DESC) FROM auth.audit_log"), 'audit: all pages');
$r = $s->request('GET', "/admin/audit?action=block_user&actor_id=$root_id&user_id=$bob_id", token => $admin, headers => { 'X-Request-ID' => 'x' });
is(scalar @{ $r->{json}{entries} }, 2, 'audit: filters');
is_deeply([ map { ref $_ || $_ } @{ $r->{json}{entries}[0] }{qw(action actor_id user_id ip user_agent db_role)} ],
    [ 'block_user', $root_id + 0, $bob_id, '127.0.0.1', "HTTP-Tiny/$HTTP::Tiny::VERSION", 'auth_service_shim' ], 'audit: who, whom, from where');
like($r->{json}{entries}[0]{request_id}, qr/^[0-9a-f]{32}$/, 'audit: under which request id');
$s->request('POST', '/auth/login', form => [ username => 'ann@example.com', password => 'Wrong123' ], headers => { 'X-Request-ID' => 'wrong-1' });
is($s->sql("SELECT count(*) FROM auth.audit_log WHERE request_id = 'wrong-1' AND host(ip) = '127.0.0.1'"), 1, 'audit: a failed login and its request');
is(problems($s->request('GET', "/admin/audit?$_->[0]", token => $admin)), "422 query.$_->[1]", "audit: $_->[0]")
  foreach [ 'user_id=x', 'user_id:int_parsing' ], [ 'actor_id=x', 'actor_id:int_parsing' ], [ 'limit=0', 'limit:greater_than_equal' ], [ 'cursor=x', 'cursor:value_error' ];

unlike($s->shim_log, qr/Neil|%25|cursor=|root\@/, 'nothing of a path or a query is in the log');
done_testing();
