# A client of the service before us: every call that it knows, and what it reads of the answers.  To run it
# against that service itself: SEED_URL=http://... SEED_ADMIN=e-mail:password prove -Itests/perl tests/t/26_seed_client.pl
# (the differences that are wanted are marked "ours").
use strict;
use warnings;
use HTTP::Tiny;
use JSON::PP ();
use Test::More;

# Our own server, where none is named.
BEGIN { require AuthService if !$ENV{SEED_URL} }
my ($url, $ours) = ($ENV{SEED_URL}, 0);
my ($admin, $admin_password) = split /:/, $ENV{SEED_ADMIN} // '', 2;
my $run = time . $$;
if (!$url)
{
    our $s = AuthService->start('seed_client');
    ($url, $admin, $admin_password, $ours) = ("http://127.0.0.1:$s->{port}", 'root@example.com', 'Secret123', 1);
    $s->command(\"$admin_password\n", 'create-admin', $admin);
}
my $http = HTTP::Tiny->new(timeout => 60);

# A call; checks the status and that the answer has these members: a value is compared, a pattern matched.
sub call
{
    my ($what, $method, $path, $options, $status, $wanted) = @_;
    my %headers = $options->{token} ? (Authorization => "Bearer $options->{token}") : ();
    my $content = $options->{json} ? JSON::PP->new->utf8->encode($options->{json}) : $options->{form} ? $http->www_form_urlencode($options->{form}) : undef;
    $headers{'Content-Type'} = $options->{json} ? 'application/json' : 'application/x-www-form-urlencoded' if defined $content;
    my $answer = $http->request($method, "$url$path", { headers => \%headers, defined $content ? (content => $content) : () });
    is($answer->{status}, $status, "$what: status") or diag $answer->{content};
    my $json = eval { JSON::PP->new->utf8->decode($answer->{content}) };
    foreach (sort keys %{ $wanted // {} })
    {
        my ($have, $want) = ($json->{$_}, $wanted->{$_});
        if (ref $want eq 'Regexp') { like($have, $want, "$what: $_") }
        elsif (ref $want eq 'CODE') { ok($want->($have), "$what: $_") or diag explain $have }
        else { is_deeply($have, $want, "$what: $_") }
    }
    return $json;
}
my $token_text = qr/^\S{20,}$/;
my $time = qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/;
my ($ann, $bob) = ("ann$run\@example.com", "bob$run\@example.com");

call('root', 'GET', '/', {}, 200, { message => qr/./ });

# Registration.
call('register', 'POST', '/auth/register', { json => { email => $_, password => 'Secret123' } }, 200, { email => $_ }) foreach $ann, $bob;
call('register: taken', 'POST', '/auth/register', { json => { email => $ann, password => 'Secret123' } }, 400, { detail => 'A user with this email already exists' });
sub has_problem { my ($field) = @_; return { detail => sub { ref $_[0] eq 'ARRAY' && grep { "@{ $_->{loc} }" eq "body $field" && length $_->{msg} && length $_->{type} } @{ $_[0] } } } }
call("register: $_->[0]", 'POST', '/auth/register', { json => $_->[1] }, 422, has_problem($_->[2]))
  foreach [ 'no e-mail', { password => 'Secret123' }, 'email' ], [ 'a bad e-mail', { email => 'x', password => 'Secret123' }, 'email' ], [ 'no password', { email => 'x@example.com' }, 'password' ],
  map { [ "password $_", { email => "p$run\@example.com", password => $_ }, 'password' ] } 'Short1', 'nouppercase1', 'NOLOWERCASE1', 'NoDigitHere';

# Login, refresh, logout.
my $pair = call('login', 'POST', '/auth/login', { form => [ username => $ann, password => 'Secret123' ] }, 200, { access_token => $token_text, refresh_token => $token_text, token_type => 'bearer' });
call('login: wrong', 'POST', '/auth/login', { form => [ username => $ann, password => 'Wrong1234' ] }, 401, { detail => 'Invalid credentials' });
call('login: unknown', 'POST', '/auth/login', { form => [ username => "no$run\@example.com", password => 'Secret123' ] }, 401, { detail => 'Invalid credentials' });
call('login: no password', 'POST', '/auth/login', { form => [ username => $ann ] }, 422, has_problem('password'));
my $next = call('refresh', 'POST', '/auth/refresh', { json => { refresh_token => $pair->{refresh_token} } }, 200, { access_token => $token_text, token_type => 'bearer' });
call('refresh: nonsense', 'POST', '/auth/refresh', { json => { refresh_token => 'x' } }, 401, {});
my $token = $next->{access_token};
call('me', 'GET', '/auth/me', { token => $token }, 200, { user_id => qr/^\d+$/ });
call('no token', $_->[0], $_->[1], {}, 401, { detail => 'Not authenticated' })
  foreach [ GET => '/auth/me' ], [ POST => '/auth/logout' ], [ GET => '/users/profile' ], [ GET => '/users/balance' ], [ DELETE => '/users/me' ], [ GET => '/users/' ], [ GET => '/admin/check' ];
call('bad token', 'GET', '/auth/me', { token => 'x.y.z' }, 401, { detail => 'Could not validate credentials' });
call('logout', 'POST', '/auth/logout', { token => $token }, 200, { message => 'Logged out' });
call('ours: logout ends the access token', 'GET', '/auth/me', { token => $token }, 401, {}) if $ours;
call('ours: and the refresh token', 'POST', '/auth/refresh', { json => { refresh_token => $next->{refresh_token} } }, 401, {}) if $ours;

# The password.
call('change_password: wrong', 'POST', '/auth/change-password', { json => { email => $ann, old_password => 'Wrong1234', new_password => 'Secret124' } }, 401, { detail => 'Old password is incorrect' });
call('change_password', 'POST', '/auth/change-password', { json => { email => $ann, old_password => 'Secret123', new_password => 'Secret124' } }, 200, { message => 'Password updated successfully' });
call('login: the old password', 'POST', '/auth/login', { form => [ username => $ann, password => 'Secret123' ] }, 401, { detail => 'Invalid credentials' });
$token = call('login: the new one', 'POST', '/auth/login', { form => [ username => $ann, password => 'Secret124' ] }, 200, {})->{access_token};

# Profile and balance.
call('profile: incomplete', 'GET', '/users/profile', { token => $token }, 403, { detail => 'Profile incomplete' });
call('profile: one name', 'PUT', '/users/profile', { token => $token, json => { first_name => 'Ann' } }, 400, { detail => 'Unable to update profile' });
my %profile = (id => qr/^\d+$/, email => $ann, first_name => 'Ann', last_name => 'Lee', is_blocked => sub { !$_[0] }, balance => 0, created_at => $time, updated_at => $time, role => 'user');
call('profile: both', 'PUT', '/users/profile', { token => $token, json => { first_name => 'Ann', last_name => 'Lee' } }, 200, \%profile);
my $id = call('profile', 'GET', '/users/profile', { token => $token }, 200, { %profile, last_activity_at => sub { !defined $_[0] || $_[0] =~ $time } })->{id};
call('balance', 'GET', '/users/balance', { token => $token }, 200, { balance => 0 });
call('balance: add', 'PUT', '/users/balance', { token => $token, json => { amount => 250 } }, 200, { new_balance => 250 });
call('balance: take', 'PUT', '/users/balance', { token => $token, json => { amount => -50 } }, 200, { new_balance => 200 });
call('balance: too much', 'PUT', '/users/balance', { token => $token, json => { amount => -201 } }, 400, { detail => 'Unable to update balance' });
call('balance: no number', 'PUT', '/users/balance', { token => $token, json => { amount => 'x' } }, 422, has_problem('amount'));

# Somebody who is not an admin.
call("$_->[1] is no user's", @$_, { token => $token }, 404, { detail => 'Not found' })
  foreach [ GET => '/users/' ], [ GET => '/users' ], [ GET => '/users/deleted' ], [ POST => "/admin/block/$id" ], [ POST => "/admin/unblock/$id" ], [ GET => '/admin/check' ];

# An admin.
my $root = call('admin: login', 'POST', '/auth/login', { form => [ username => $admin, password => $admin_password ] }, 200, {})->{access_token};
call('admin: check', 'GET', '/admin/check', { token => $root }, 200, { message => "Welcome, admin $admin!" });
call('admin: balance', 'PUT', '/users/balance', { token => $root, json => { amount => 1 } }, 403, { detail => 'Admin users cannot have an active balance' });
call('admin: delete', 'DELETE', '/users/me', { token => $root }, 403, { detail => 'Admin cannot delete their own account.' });
my $is_ann = sub {
    my $user = $_[0]{$id} or return 0;
    return $user->{user_id} == $id && $user->{first_name} eq 'Ann' && $user->{last_name} eq 'Lee' && $user->{balance} == 200 && $user->{role} eq 'user' && !$user->{block}
      && !defined $user->{block_at} && $user->{created_at} =~ $time && $user->{updated_at} =~ $time && exists $user->{last_activity_at};
};
call("admin: $_", 'GET', $_, { token => $root }, 200, { users => $is_ann })
  foreach "/users/?id=$id", "/users?id=$id", "/users/?id=$id&first_name=aN", "/users/?id=$id&last_name=EE", "/users/?id=$id&is_blocked=false", "/users/?id=$id&sort_by=balance&sort_order=desc",
  "/users/?first_name=ann&last_name=lee&sort_by=last_activity_at&sort_order=desc";
call("admin: $_ does not fit", 'GET', $_, { token => $root }, 200, { users => {} }) foreach "/users/?id=$id&first_name=x", "/users/?id=$id&is_blocked=true";
call("admin: $_ is bad", 'GET', $_, { token => $root }, 422, { detail => sub { ref $_[0] eq 'ARRAY' && $_[0][0]{loc}[0] eq 'query' } }) foreach '/users/?id=x', '/users/?sort_by=email', '/users/?sort_order=up', '/users/?is_blocked=maybe';
call('admin: block', 'POST', "/admin/block/$id", { token => $root }, 200, { message => "User $id has been blocked." });
call('blocked: login', 'POST', '/auth/login', { form => [ username => $ann, password => 'Secret124' ] }, 403, { detail => 'Your account is blocked.' });
call('ours: blocked: wrong password', 'POST', '/auth/login', { form => [ username => $ann, password => 'Wrong1234' ] }, 401, { detail => 'Invalid credentials' }) if $ours;
call('ours: blocked: the token', 'GET', '/auth/me', { token => $token }, 403, { detail => 'Your account is blocked.' }) if $ours;
call('admin: the blocked one', 'GET', "/users/?id=$id&is_blocked=true", { token => $root }, 200, { users => sub { $_[0]{$id}{block} && $_[0]{$id}{block_at} =~ $time } });
call('admin: unblock', 'POST', "/admin/unblock/$id", { token => $root }, 200, { message => "User $id has been unblocked." });
call("admin: $_ nobody", 'POST', "/admin/$_/99999999", { token => $root }, 404, { detail => 'User not found' }) foreach qw(block unblock);
call('admin: no number', 'POST', '/admin/block/x', { token => $root }, 422, { detail => sub { $_[0][0]{loc}[0] eq 'path' } });

# Deletion.
$token = call('login again', 'POST', '/auth/login', { form => [ username => $ann, password => 'Secret124' ] }, 200, {})->{access_token};
call('delete', 'DELETE', '/users/me', { token => $token }, 200, { message => 'Account successfully deleted' });
call('deleted: login', 'POST', '/auth/login', { form => [ username => $ann, password => 'Secret124' ] }, $ours ? 401 : 403, {});
call('deleted: not listed', 'GET', "/users/?id=$id", { token => $root }, 200, { users => {} });
my $list = call('deleted: listed there', 'GET', '/users/deleted', { token => $root }, 200, { deleted_users => sub { grep { $_->{id} == $id && $_->{email} eq $ann } @{ $_[0] } } });
is((grep { /hash/ } map { keys %$_ } @{ $list->{deleted_users} }), 0, 'ours: deleted: no password hash') if $ours;
call('deleted: the e-mail registers again', 'POST', '/auth/register', { json => { email => $ann, password => 'Secret123' } }, 200, { email => $ann });
$token = call('deleted: and is somebody new', 'POST', '/auth/login', { form => [ username => $ann, password => 'Secret123' ] }, 200, {})->{access_token};
isnt(call('the new one', 'GET', '/auth/me', { token => $token }, 200, {})->{user_id}, $id, 'ours: a new id') if $ours;
done_testing();
