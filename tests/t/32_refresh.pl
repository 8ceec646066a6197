# Refresh, proven: 64 clients with one token at the same moment, what happens after the grace period, that a
# dead session stays dead after a crash, and the two limits of a session.
use strict;
use warnings;
use AuthService;
use Test::More;
use Time::HiRes qw(sleep);

my $clients = 64;
my $s = AuthService->start('refresh', fsync => 1, arguments => [ '--pool-size=32', '--threads=128' ]);
is($s->sql('SHOW fsync'), 'on', 'fsync is on');
$s->register('ann@example.com');

sub refresh { my ($token) = @_; return $s->request('POST', '/auth/refresh', json => { refresh_token => $token }) }
sub tally { my %n; $n{$_}++ foreach @_; return join ', ', map { "$n{$_} x $_" } sort keys %n }
sub shift_use { my ($by) = @_; $s->sql("UPDATE auth.sessions SET last_used_at = last_used_at - interval '$by'") }

my (@dead, @living);
foreach my $round (1 .. 3)
{
    $s->sql('DELETE FROM auth.sessions');
    my $pair = $s->login('ann@example.com');
    my $token = $pair->{refresh_token};
    foreach my $step (1 .. 2)
    {
        my @all = $s->parallel($clients, sub { my $r = refresh($token); return "$r->{status} $r->{json}{refresh_token} " . ($r->{headers}{'x-refresh-token-reuse'} // 'step') . " $r->{json}{access_token}" });
        my @fields = map { [ split / / ] } @all;
        is(tally(map { $_->[0] } @fields), "$clients x 200", "round $round, step $step: all get 200");
        my %successors = map { $_->[1] => 1 } @fields;
        is(scalar keys %successors, 1, "round $round, step $step: and the same successor");
        is(tally(map { $_->[2] } @fields), ($clients - 1) . ' x grace-period, 1 x step', "round $round, step $step: one of them as a step");
        is($s->sql('SELECT count(*), sum(refresh_counter) FROM auth.sessions'), "1|$step", "round $round, step $step: one step of the counter");
        is(scalar(grep { $s->request('GET', '/auth/me', token => $_->[3])->{status} != 200 } @fields[ 0, -1 ]), 0, "round $round, step $step: the access tokens are good");
        ($token) = keys %successors;
    }
    my $before = $token;
    my $last = refresh($before)->{json};
    push @living, [$last] if $round == 3;
    last if $round == 3;
    # The same again after the grace period: whoever comes first ends the session, for everybody.
    shift_use('11 seconds');
    my @all = $s->parallel($clients, sub { my $r = refresh($before); return $r->{status} });
    is(tally(@all), "$clients x 401", "round $round: after the grace period: refused");
    is($s->sql('SELECT count(*) FROM auth.sessions'), 0, "round $round: and the session is over");
    is(refresh($last->{refresh_token})->{status}, 401, "round $round: its current refresh token too");
    is($s->request('GET', '/auth/me', token => $last->{access_token})->{status}, 401, "round $round: and its access token");
    push @dead, $last;
}
is($s->sql("SELECT count(*) FROM auth.audit_log WHERE action = 'refresh_reused'"), 2, 'each of those is in the audit log once');

# A request that waits in the shim for a connection, and is overtaken by two steps: it is judged as of when
# it came.  One that comes after them is a theft.
{
    my %token = map { $_ => $s->sql("SELECT refresh_token FROM auth.login('ann\@example.com', 'Secret123')") } 0, 'held';
    my $first = $s->{port};
    $s->shim('--pool-size=1');
    my $holder = $s->node->background_psql('auth_service');
    $holder->query_safe('BEGIN; SELECT count(*) FROM (SELECT FROM auth.sessions FOR UPDATE) s');
    my @all = $s->parallel(3, sub {
        my ($i) = @_;
        if ($i == 1) { return refresh($token{held})->{status} }
        sleep 0.02 while $s->sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == 0;
        if ($i == 2) { my $r = refresh($token{0}); return "$r->{status} " . ($r->{headers}{'x-refresh-token-reuse'} // 'none') . " $r->{json}{refresh_token}" }
        sleep 0.5; # until it waits for the connection
        $holder->query_safe("SELECT refresh_token AS t FROM auth.refresh('$token{0}') \\gset\nSELECT refresh_token AS t FROM auth.refresh(:'t') \\gset\nCOMMIT;");
        return 'done';
    });
    is($all[0], 200, 'overtaken: the connection was held');
    my $current = $s->sql("SELECT refresh_counter FROM auth.sessions WHERE refresh_counter = 2");
    is($current, 2, 'overtaken: by two steps');
    like($all[1], qr/^200 grace-period /, 'overtaken: forgiven');
    my $next = refresh((split / /, $all[1])[2]);
    is($next->{status}, 200, 'overtaken: with the current token');
    is(refresh($token{0})->{status}, 401, 'replayed: refused');
    is(refresh($next->{json}{refresh_token})->{status}, 401, 'replayed: ends the session');
    $s->stop_shim;
    $s->{port} = $first;
    $s->sql('DELETE FROM auth.sessions WHERE refresh_counter < 2');
}
# Whoever sends the head early and the token late gains nothing by it.
{
    my $token = $s->login('ann@example.com')->{refresh_token};
    my $body = JSON::PP::encode_json({ refresh_token => $token });
    my $early = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->{port}) or die;
    $early->syswrite("POST /auth/refresh HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: " . length($body) . "\r\nConnection: close\r\n\r\n");
    is(refresh($token)->{status}, 200, 'held back: the step');
    sleep 3;
    $s->sql("UPDATE auth.sessions SET last_used_at = last_used_at - interval '8 seconds' WHERE refresh_counter = 1");
    $early->syswrite($body);
    like(<$early>, qr{^HTTP/1\.1 401 }, 'held back: judged as of when the token came');
}
$s->sql("DELETE FROM auth.audit_log WHERE action = 'refresh_reused'");

# A theft that is noticed in the very moment before a crash.
my $stolen = $s->login('ann@example.com');
push @dead, refresh($stolen->{refresh_token})->{json};
$s->sql("UPDATE auth.sessions SET last_used_at = last_used_at - interval '11 seconds' WHERE refresh_counter = 1");
is(refresh($stolen->{refresh_token})->{status}, 401, 'a reuse');
my @processes = split /\n/, $s->sql('SELECT pid FROM pg_stat_activity');
$s->node->kill9;
sleep 0.05 while grep { kill 0, $_ } @processes;
$s->node->start;
sleep 0.05 while $s->request('GET', '/health/ready')->{status} != 200;
foreach (@dead)
{
    is(refresh($_->{refresh_token})->{status}, 401, 'after a crash: a dead session stays dead');
    is($s->request('GET', '/auth/me', token => $_->{access_token})->{status}, 401, 'after a crash: its access token too');
}
my $living = $living[0][0];
is($s->request('GET', '/auth/me', token => $living->{access_token})->{status}, 200, 'after a crash: a living session lives');
my $next = refresh($living->{refresh_token});
is($next->{status}, 200, 'after a crash: and goes on');

# The limits, by shifted columns: 7 days without a use, 30 in all, however often it is used.
shift_use('6 days 23 hours');
$next = refresh($next->{json}{refresh_token});
is($next->{status}, 200, 'idle: less than 7 days');
shift_use('7 days');
is(refresh($next->{json}{refresh_token})->{status}, 401, 'idle: 7 days');
my $pair = $s->login('ann@example.com');
my $expires = $s->sql('SELECT max(expires_at) FROM auth.sessions');
my $token = $pair->{refresh_token};
foreach (1 .. 5)
{
    $s->sql("UPDATE auth.sessions SET expires_at = expires_at - interval '5 days 23 hours', created_at = created_at - interval '5 days 23 hours',
        last_used_at = last_used_at - interval '5 days 23 hours'");
    my $r = refresh($token);
    is($r->{status}, 200, 'lifetime: a session in use, 6 days later');
    $token = $r->{json}{refresh_token};
}
$s->sql("UPDATE auth.sessions SET expires_at = expires_at - interval '6 hours', last_used_at = last_used_at - interval '6 hours'");
is(refresh($token)->{status}, 401, 'lifetime: 30 days');

# Without rotation: one token, from 64 clients too, and for as long as it is used.
$s->sql('ALTER DATABASE auth_service SET auth_service.refresh_token_rotation = off');
$s->end_backends;
sleep 0.05 while $s->request('GET', '/health/ready')->{status} != 200;
$pair = $s->login('ann@example.com');
my @all = $s->parallel($clients, sub { my $r = refresh($pair->{refresh_token}); return "$r->{status} " . ($r->{json}{refresh_token} eq $pair->{refresh_token} ? 'same' : 'other') . ' ' . ($r->{headers}{'x-refresh-token-reuse'} // 'none') });
is(tally(@all), "$clients x 200 same none", 'without rotation: all get the same token, and no reuse');
shift_use('6 days');
is(refresh($pair->{refresh_token})->{json}{refresh_token}, $pair->{refresh_token}, 'without rotation: later, too');
shift_use('6 days');
is(refresh($pair->{refresh_token})->{status}, 200, 'without rotation: a use prolongs it');
shift_use('7 days');
is(refresh($pair->{refresh_token})->{status}, 401, 'without rotation: until it is idle');
is($s->sql("SELECT deadlocks FROM pg_stat_database WHERE datname = 'auth_service'"), 0, 'no deadlock');
done_testing();
