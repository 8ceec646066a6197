# SPDX-License-Identifier: MIT
#
# SoakClient.pm: a client that owns some accounts, does with them what users and admins do, and knows what each
# answer must be: nobody else touches them.
#
# A request that has no answer (a lost connection, 503) may have been carried out or not.  The client waits until
# the service is well, and asks the same again until there is an answer; each action knows what that may be then.
package SoakClient;

use strict;
use warnings;

use HTTP::Tiny;
use Time::HiRes qw(sleep time);

my $TOKEN_AGE = 600;      # older access tokens are renewed before they are used, in seconds
my $WRONG_PASSWORDS = 3;  # so many are tried for an account between two right ones: the throttle begins at 5
my $ACCOUNTS = 4;

sub new
{
    my ($class, %self) = @_; # server, number, admin (e-mail), pause
    return bless { %self, users => [], serial => 0, tally => {}, events => [], wrong => [], slowest => 0 }, $class;
}

# ---- Requests ----

# One request; dies where the answer is not as the OpenAPI document has it.
sub once
{
    my ($self, $action, $method, $path, %options) = @_;
    my $begin = time;
    my $answer = eval { $self->{server}->request($method, $path, %options) };
    my $problem = $@;
    my $took = time - $begin;
    if (!$answer) { $self->wrong("$action: $problem"); $answer = { status => 0, headers => {}, content => '', json => {} } }
    $self->{tally}{$action}{ $answer->{status} }++;
    $self->{slowest} = $took if $took > $self->{slowest};
    # HTTP::Tiny may try again by itself after a connection was closed; the new one starts clean.
    push @{ $self->{events} }, [ $begin, $begin + $took, $action, $answer->{status}, substr($answer->{content}, 0, 120) ] if $answer->{status} >= 500;
    $self->wrong("$action: 503 without Retry-After") if $answer->{status} == 503 && ($answer->{headers}{'retry-after'} // '') !~ /^[1-9]\d*$/;
    return $answer;
}

# Ask until there is an answer; it, and how often there was none.
sub ask
{
    my ($self, @request) = @_;
    my $again = 0;
    while (1)
    {
        my $answer = $self->once(@request);
        return ($answer, $again) if $answer->{status} !~ /^(?:503|599)$/;
        $again++;
        # What was sent may still be on its way: it gets a second, and the second request comes after it.
        do { sleep 1; $self->{server}{http} = HTTP::Tiny->new(timeout => 60, keep_alive => 1) }
            while $self->once('ready', 'GET', '/health/ready')->{status} != 200;
    }
}

sub wrong
{
    my ($self, $text) = @_;
    push @{ $self->{wrong} }, sprintf('%.3f client %d: %s', time, $self->{number}, $text) if @{ $self->{wrong} } < 20;
    return;
}

# Note where an answer is none of these: 'status' or 'status code'.
sub expect
{
    my ($self, $what, $answer, @allowed) = @_;
    my $status = $answer->{status};
    my $code = ref $answer->{json} eq 'HASH' ? $answer->{json}{code} // '' : '';
    return 1 if grep { $_ eq $status || $_ eq "$status $code" } @allowed;
    $self->wrong("$what: $status " . substr($answer->{content}, 0, 200) . ' where ' . join(' or ', @allowed) . ' was due');
    return 0;
}

sub expect_fields
{
    my ($self, $what, $got, %wanted) = @_;
    foreach (sort keys %wanted)
    {
        my ($g, $w) = map { defined $_ ? "$_" : 'null' } ref $got eq 'HASH' ? $got->{$_} : undef, $wanted{$_};
        $self->wrong("$what: $_ is $g, not $w") if $g ne $w;
    }
    return;
}

# ---- Accounts and sessions ----

sub living { return grep { $_->{alive} } @{ $_[0]{sessions} } }

sub end_sessions
{
    my ($user) = @_;
    $_->{alive} = 0 foreach @{ $user->{sessions} };
    $user->{orphans} = 0; # sessions of logins whose answer was lost, at most
    return;
}

sub new_user
{
    my ($self, $email, $failures) = @_;
    my $n = ++$self->{serial};
    my $user = { email => $email // "soak$self->{number}.$n\@example.com", password => "Secret00$n", sessions => [], orphans => 0,
        failures => $failures // 0, balance => 0, first_name => undef, last_name => undef, blocked => 0 };
    my ($answer, $again) = $self->ask('register', 'POST', '/auth/register', json => { email => $user->{email}, password => $user->{password} });
    $self->expect('register', $answer, '200', $again ? '400 U400A' : ()) or return;
    $user->{id} = $answer->{json}{id};
    push @{ $self->{users} }, $user;
    $self->login($user);
    return;
}

sub keep_pair
{
    my ($session, $pair) = @_;
    @$session{qw(access refresh at)} = ($pair->{access_token}, $pair->{refresh_token}, time);
    return;
}

sub login
{
    my ($self, $user) = @_;
    my ($answer, $again) = $self->ask('login', 'POST', '/auth/login', json => { email => $user->{email}, password => $user->{password} });
    # A 403 is no failure for the throttle.
    return $self->expect('login of a blocked user', $answer, '403 U403A') if $user->{blocked};
    $self->expect('login', $answer, '200') or return;
    $user->{failures} = 0;
    $user->{orphans} += $again;
    # The oldest model of a dead session is dropped.
    shift @{ $user->{sessions} } if @{ $user->{sessions} } > 6 && !$user->{sessions}[0]{alive};
    push @{ $user->{sessions} }, my $session = { alive => 1 };
    keep_pair($session, $answer->{json});
    return;
}

# A session that lives, with an access token that is not too old.
sub session
{
    my ($self, $user) = @_;
    my @living = living($user);
    if (!@living)
    {
        $self->login($user);
        @living = living($user) or return;
    }
    my $session = $living[ rand @living ];
    $self->refresh($user, $session) if time - $session->{at} > $TOKEN_AGE;
    return $session->{alive} ? $session : undef;
}

sub refresh
{
    my ($self, $user, $session) = @_;
    my ($answer) = $self->ask('refresh', 'POST', '/auth/refresh', json => { refresh_token => $session->{refresh} });
    if (!$session->{alive}) { $self->expect('refresh of a session that has ended', $answer, '401 U401D'); return }
    # Asked again it is a step, or the one that was taken.
    if (!$self->expect('refresh', $answer, '200')) { $session->{alive} = 0; return }
    ($session->{older}, $session->{before}) = ($session->{before}, $session->{refresh});
    keep_pair($session, $answer->{json});
    return;
}

sub admin_token
{
    my ($self) = @_;
    if (!$self->{admin_session} || time - $self->{admin_session}{at} > $TOKEN_AGE)
    {
        my ($answer) = $self->ask('login', 'POST', '/auth/login', form => [ username => $self->{admin}, password => 'Secret123' ]);
        $self->expect('login of the admin', $answer, '200') or return 'none';
        keep_pair($self->{admin_session} = {}, $answer->{json});
    }
    return $self->{admin_session}{access};
}

# ---- Actions: each by a user that is not blocked, with a living session, unless it says otherwise ----

sub check_me
{
    my ($self, $user, $session) = @_;
    my ($answer) = $self->ask('me', 'GET', '/users/me', token => $session->{access});
    if ($user->{blocked}) { $self->expect('me of a blocked user', $answer, '403 U403A', '401 U401B'); return }
    if (!$session->{alive}) { $self->expect('me of a session that has ended', $answer, '401 U401B'); return }
    $self->expect('me', $answer, '200') or return;
    $user->{id} //= $answer->{json}{id}; # where the answer to the registration was lost
    $self->expect_fields('me', $answer->{json}, (map { $_ => $user->{$_} } qw(id email first_name last_name balance)), role => 'user');
    return;
}

my %actions = (
    me => [ 30, \&check_me ],
    refresh => [ 14, \&refresh ],
    again => [ 4, sub {
        my ($self, $user, $session) = @_;
        return if !$session->{before} || time - $session->{at} > 60;
        my ($answer) = $self->ask('refresh again', 'POST', '/auth/refresh', json => { refresh_token => $session->{before} });
        $self->expect('refresh within the grace period', $answer, '200') or return;
        $self->wrong('refresh within the grace period: another successor') if $answer->{json}{refresh_token} ne $session->{refresh};
    } ],
    reuse => [ 1, sub {
        my ($self, $user, $session) = @_;
        return if !$session->{older};
        my ($answer) = $self->ask('reuse', 'POST', '/auth/refresh', json => { refresh_token => $session->{older} });
        $self->expect('refresh with a token that was used long ago', $answer, '401 U401D');
        $session->{alive} = 0;
    } ],
    balance => [ 16, sub {
        my ($self, $user, $session) = @_;
        my ($amount, $key) = (int(rand 200) - 80 || 1, "key$self->{number}." . ++$self->{serial});
        my ($answer) = $self->ask('balance', 'PUT', '/users/balance', token => $session->{access}, json => { amount => $amount }, headers => { 'Idempotency-Key' => $key });
        return $self->expect('balance below zero', $answer, '400 U400C') if $user->{balance} + $amount < 0;
        $self->expect('balance', $answer, '200') or return;
        $user->{balance} += $amount;
        $self->expect_fields('balance', $answer->{json}, new_balance => $user->{balance});
        $user->{change} = [ $amount, $key, $user->{balance} ];
    } ],
    replay => [ 4, sub {
        my ($self, $user, $session) = @_;
        my ($amount, $key, $balance) = @{ $user->{change} // return };
        my ($answer) = $self->ask('balance again', 'PUT', '/users/balance', token => $session->{access}, json => { amount => $amount }, headers => { 'Idempotency-Key' => $key });
        $self->expect_fields('balance with a key that was used', $answer->{json}, new_balance => $balance) if $self->expect('balance with a key that was used', $answer, '200');
    } ],
    profile => [ 8, sub {
        my ($self, $user, $session) = @_;
        my @names = ("First" . ++$self->{serial}, "Last$self->{serial}");
        my ($answer) = $self->ask('profile', 'PUT', '/users/profile', token => $session->{access}, json => { first_name => $names[0], last_name => $names[1] });
        $self->expect('profile', $answer, '200') or return;
        @$user{qw(first_name last_name)} = @names;
        $self->expect_fields('profile', $answer->{json}, first_name => $names[0], email => $user->{email});
    } ],
    sessions => [ 5, sub {
        my ($self, $user, $session) = @_;
        my ($answer) = $self->ask('sessions', 'GET', '/auth/sessions', token => $session->{access});
        $self->expect('sessions', $answer, '200') or return;
        my ($least, $count) = (scalar living($user), ref $answer->{json} eq 'ARRAY' ? scalar @{ $answer->{json} } : scalar @{ $answer->{json}{sessions} // [] });
        $self->wrong("sessions: $count, not $least to " . ($least + $user->{orphans})) if $count < $least || $count > $least + $user->{orphans};
    } ],
    login => [ 6, sub {
        my ($self, $user) = @_;
        $self->login($user) if living($user) < 4;
    } ],
    wrong_password => [ 3, sub {
        my ($self, $user) = @_;
        return if $user->{failures} >= $WRONG_PASSWORDS;
        my ($answer, $again) = $self->ask('wrong password', 'POST', '/auth/login', json => { email => $user->{email}, password => 'Wrong1234' });
        $user->{failures} += 1 + $again;
        $self->expect('login with a wrong password', $answer, '401 U401C', $user->{failures} > 5 ? '429 U429A' : ());
    } ],
    logout => [ 4, sub {
        my ($self, $user, $session) = @_;
        my ($answer, $again) = $self->ask('logout', 'POST', '/auth/logout', token => $session->{access});
        $self->expect('logout', $answer, '200', $again ? '401 U401B' : ());
        $session->{alive} = 0;
    } ],
    logout_all => [ 1, sub {
        my ($self, $user, $session) = @_;
        my ($answer, $again) = $self->ask('logout all', 'POST', '/auth/logout-all', token => $session->{access});
        $self->expect('logout of all', $answer, '200', $again ? '401 U401B' : ());
        end_sessions($user);
    } ],
    dead => [ 8, sub {
        my ($self, $user) = @_;
        my ($dead) = grep { !$_->{alive} } reverse @{ $user->{sessions} } or return;
        return if time - $dead->{at} > $TOKEN_AGE;
        rand() < 0.5 ? $self->check_me($user, $dead) : $self->refresh($user, $dead);
    } ],
    change_password => [ 2, sub {
        my ($self, $user) = @_;
        return if $user->{failures} >= $WRONG_PASSWORDS;
        my $new = 'Changed' . ++$self->{serial};
        my ($answer, $again) = $self->ask('change password', 'POST', '/auth/change-password', json => { email => $user->{email}, old_password => $user->{password}, new_password => $new });
        # Asked again, the old one may not be it any more: then it has been changed.
        $self->expect('change of the password', $answer, '200', $again ? '401 U401E' : ()) or return;
        $user->{failures} = $answer->{status} == 200 ? 0 : $user->{failures} + $again;
        $user->{password} = $new;
        end_sessions($user);
    } ],
    not_admin => [ 2, sub {
        my ($self, $user, $session) = @_;
        my ($answer) = $self->ask('not an admin', 'GET', '/admin/check', token => $session->{access});
        $self->expect('admin check of a user', $answer, '404 U404A');
    } ],
    taken => [ 1, sub {
        my ($self, $user) = @_;
        my ($answer) = $self->ask('taken', 'POST', '/auth/register', json => { email => $user->{email}, password => 'Secret123' });
        $self->expect('registration of a taken e-mail', $answer, '400 U400A');
    } ],
    delete => [ 1, sub {
        my ($self, $user, $session) = @_;
        my ($answer) = $self->ask('delete', 'DELETE', '/users/me', token => $session->{access});
        # HTTP::Tiny asks again by itself where a connection is closed; the login below tells.
        $self->expect('deletion', $answer, '200', '401 U401B');
        end_sessions($user);
        @{ $self->{users} } = grep { $_ != $user } @{ $self->{users} };
        ($answer) = $self->ask('login', 'POST', '/auth/login', json => { email => $user->{email}, password => $user->{password} });
        $self->expect('login of a deleted user', $answer, '401 U401C');
        $self->check_me($user, $_) foreach grep { time - $_->{at} < $TOKEN_AGE } @{ $user->{sessions} };
        # The address is free again; what has failed counts for it.
        $user->{failures} < 2 ? $self->new_user($user->{email}, $user->{failures} + 1) : $self->new_user;
    } ],
    list => [ 3, sub {
        my ($self, $user) = @_;
        return if !$user->{id};
        my ($answer) = $self->ask('list', 'GET', "/users/?id=$user->{id}", token => $self->admin_token);
        $self->expect('list', $answer, '200') or return;
        my $listed = $answer->{json}{users}{ $user->{id} };
        $self->expect_fields('list', $listed, user_id => $user->{id}, map { $_ => $user->{$_} } qw(email first_name balance));
        $self->wrong('list: block') if ($listed->{block} ? 1 : 0) != $user->{blocked};
    } ],
    block => [ 1, sub {
        my ($self, $user) = @_;
        return if !$user->{id};
        my ($answer) = $self->ask('block', 'POST', "/admin/block/$user->{id}", token => $self->admin_token);
        $self->expect('block', $answer, '200') or return;
        end_sessions($user);
        $user->{blocked} = 1;
    } ]);

# What is done with a blocked user: nothing works but what an admin does.
sub with_blocked
{
    my ($self, $user) = @_;
    my $what = rand;
    my @young = grep { time - $_->{at} < $TOKEN_AGE } @{ $user->{sessions} };
    if ($what < 0.2)
    {
        my ($answer) = $self->ask('unblock', 'POST', "/admin/unblock/$user->{id}", token => $self->admin_token);
        $user->{blocked} = 0 if $self->expect('unblock', $answer, '200');
    }
    elsif ($what < 0.4) { $self->login($user) }
    elsif ($what < 0.6) { $actions{list}[1]->($self, $user) }
    elsif (@young) { $what < 0.8 ? $self->check_me($user, $young[-1]) : $self->refresh($user, $young[-1]) }
    return;
}

sub act
{
    my ($self) = @_;
    return $self->new_user if @{ $self->{users} } < $ACCOUNTS;
    my $user = $self->{users}[ rand @{ $self->{users} } ];
    return $self->with_blocked($user) if $user->{blocked};
    my $session = $self->session($user) or return;
    my @names = sort keys %actions;
    my $total = 0;
    $total += $actions{$_}[0] foreach @names;
    my $pick = rand $total;
    foreach (@names)
    {
        next if ($pick -= $actions{$_}[0]) >= 0;
        $actions{$_}[1]->($self, $user, $session);
        last;
    }
    return;
}

# Work until a moment; then each account is as the model has it.  What was seen.
sub run
{
    my ($self, $end) = @_;
    while (time < $end)
    {
        $self->act;
        sleep rand $self->{pause};
    }
    foreach my $user (@{ $self->{users} })
    {
        $self->check_me($user, $_) foreach grep { time - $_->{at} < $TOKEN_AGE } @{ $user->{sessions} };
        if ($user->{blocked}) { $self->login($user); next }
        $self->session($user) or next;
        $self->check_me($user, (living($user))[-1]);
        $actions{$_}[1]->($self, $user, (living($user))[-1]) foreach qw(replay sessions list);
    }
    return { map { $_ => $self->{$_} } qw(tally events wrong slowest) };
}

1;
