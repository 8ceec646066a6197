# More slow and idle clients than threads, and logins without end: /health answers within a second, and
# another user within 100 ms, on a connection of his own each time.
use strict;
use warnings;
use AuthService;
use Faults;
use IO::Socket::INET;
use List::Util qw(max);
use Siege;
use Test::More;
use Time::HiRes qw(sleep time);

my $s = AuthService->start('crowd', throttle => 0, arguments => ['--threads=32']);
$s->register('ann@example.com');
my $token = $s->login('ann@example.com')->{access_token};
my $me = "GET /users/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $token\r\nConnection: close\r\n\r\n";
my $health = "GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

# Seconds; the sanitizers make the shim that much slower.
my $patience = $ENV{ASAN_OPTIONS} ? 5 : 1;

# Ask on a new connection: (status or 0, seconds).
sub ask
{
    my ($request) = @_;
    my $begin = time;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->{port}, Timeout => 10) or return (0, time - $begin);
    $socket->syswrite($request);
    my $all = '';
    my $select = IO::Select->new($socket);
    1 while $select->can_read(10) && $socket->sysread($all, 65536, length $all);
    my $took = time - $begin;
    return ($all =~ m{^HTTP/1\.1 (\d+)} ? $1 : 0, $took);
}

# Ask both for so many seconds: what was not answered 200, and the times, sorted.
sub ask_both
{
    my ($seconds) = @_;
    my (%bad, @me, @health);
    my $end = time + $seconds;
    while (time < $end)
    {
        my ($status, $took) = ask($me);
        $bad{"/users/me $status"}++ if $status != 200;
        push @me, $took;
        ($status, $took) = ask($health);
        $bad{"/health/ready $status"}++ if $status != 200;
        push @health, $took;
        sleep 0.02;
    }
    return (\%bad, [ sort { $a <=> $b } @me ], [ sort { $a <=> $b } @health ]);
}

# The same, which must be fast; once more where the machine may have had other work.
sub watch
{
    my ($what, $seconds) = @_;
    my ($bad, $me, $health);
    foreach (1 .. 4)
    {
        ($bad, $me, $health) = ask_both($seconds);
        last if %$bad || ($me->[ 0.9 * $#$me ] < 0.1 * $patience && $health->[-1] < $patience);
    }
    is_deeply($bad, {}, "$what: every answer is 200");
    cmp_ok($health->[-1], '<', $patience, "$what: /health within a second");
    # Nearly always: it is 99 of 100 where the machine has no other work.
    cmp_ok($me->[ 0.9 * $#$me ], '<', 0.1 * $patience, "$what: another user within 100 ms");
    note sprintf '%s: %d; /users/me median %.1f ms, p99 %.1f, max %.1f; /health max %.1f', $what, scalar @$me,
      1000 * $me->[ @$me / 2 ], 1000 * $me->[ 0.99 * $#$me ], 1000 * $me->[-1], 1000 * $health->[-1];
    return;
}

watch('nobody else', 1);
foreach ([ 32, 'as many as threads' ], [ 300, 'nine times as many' ])
{
    my $siege = Siege->begin($s->{port}, $_->[0]);
    sleep 0.5;
    watch("32 threads, slow clients: $_->[1]", 3);
}
# Logins without end.
sub with_logins
{
    my ($what) = @_;
    my $logins = Siege->begin($s->{port}, 64, 'login');
    sleep 0.5;
    watch("$what, 64 logins", 2);
    my $seen = $logins->end;
    note "$what: the logins got $seen";
    like($seen, qr/\b401:/, "$what: there were logins");
    unlike($seen, qr/\b(?!401|408|503)\d\d\d:/, "$what: which got 401, 408 or 503");
}
$s->sql('ALTER DATABASE auth_service SET auth_service.bcrypt_cost = 10');
with_logins('32 threads');
{
    my $siege = Siege->begin($s->{port}, 100);
    with_logins('32 threads, 100 slow clients');
}
$s->shim('--threads=512');
{
    my $siege = Siege->begin($s->{port}, 560);
    with_logins('512 threads, 560 slow clients');
}
$s->shim('--threads=32');

foreach ([ 0, 'silent' ], [ 1, 'slow heads' ], [ 2, 'slow bodies' ], [ 3, 'idle' ])
{
    my $siege = Siege->begin($s->{port}, 100, $_->[0]);
    sleep 0.5;
    watch("32 threads, 100 clients, $_->[1]", 1.5);
}

# Who reads nothing has no more time than who sends nothing.
{
    my $siege = Siege->begin($s->{port}, 60, 'deaf');
    sleep 0.5;
    watch('32 threads, 60 clients, deaf', 3);
}

# A database that does not answer: what needs it is refused once nearly all threads wait for it, and what
# does not is answered as ever.
my $psql = $s->node->background_psql('auth_service');
$psql->query_safe('BEGIN');
$psql->query_safe('LOCK TABLE auth.users, auth.sessions');
my @waiting = map {
    my $x = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->{port}) or die;
    $x->syswrite($me);
    $x
} 1 .. 60;
my @live = map { sleep 0.1; [ ask("GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") ] } 1 .. 20;
is(scalar(grep { $_->[0] == 200 } @live), 20, 'the database hangs, 60 requests wait: /health/live is answered');
cmp_ok(max(map { $_->[1] } @live), '<', $patience, 'within a second');
note sprintf 'the database hangs: /health/live max %.1f ms', 1000 * max(map { $_->[1] } @live);
$psql->query_safe('COMMIT');
sleep 0.6;
is((ask($me))[0], 200, 'until it answers again');
$psql->quit;

# A database that is frozen, and more clients than threads without end, on each way to it: also on those of a body of a
# kind that is not taken, and of the document.
my $live = "GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
$s->shim('--threads=32', '--rpc-schema=public');
foreach (
    [ 'a body of no good kind', "PUT /users/profile HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}" ],
    [ 'the document', "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" ])
{
    my ($what, $request) = @$_;
    ask($me) foreach 1 .. 3;
    my @processes = Faults::family(Faults::postmaster($s->node));
    kill 'STOP', @processes;
    my @took;
    my $siege = Siege->begin($s->{port}, 64, sub { return $request });
    foreach (1 .. 4)
    {
        @took = map { sleep 0.1; [ ask($live) ] } 1 .. 20;
        last if max(map { $_->[1] } @took) < $patience;
    }
    my $seen = $siege->end;
    kill 'CONT', @processes;
    is(scalar(grep { $_->[0] == 200 } @took), 20, "frozen, 64 clients, $what: /health/live is answered");
    cmp_ok(max(map { $_->[1] } @took), '<', $patience, "frozen, 64 clients, $what: within a second");
    like($seen, qr/^503:\d+$/, "frozen, 64 clients, $what: which got 503");
    note sprintf 'frozen, %s: /health/live max %.1f ms; the others got %s', $what, 1000 * max(map { $_->[1] } @took), $seen;
    for (1 .. 100) { last if (ask($me))[0] == 200; sleep 0.1 }
}
is((ask($me))[0], 200, 'frozen: until it is not');
done_testing();
