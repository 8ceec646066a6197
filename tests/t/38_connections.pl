# More connections than descriptors, storms of them, readers who do not read, and signals: nothing spins,
# nothing leaks, nobody else notices.
use strict;
use warnings;
use AuthService;
use IO::Select;
use IO::Socket::INET;
use List::Util qw(max);
use POSIX ();
use Socket qw(SOL_SOCKET SO_RCVBUF);
use Test::More;
use Time::HiRes qw(sleep time);

my $s = AuthService->start('connections');
$s->register('ann@example.com');
my $token = $s->login('ann@example.com')->{access_token};
local $SIG{PIPE} = 'IGNORE';

sub shim { return $s->{shims}[-1]{pid} }
sub descriptors { my @all = glob '/proc/' . shim() . '/fd/*'; return scalar @all }

# Seconds of processor time that the shim has used.
sub cpu
{
    open(my $file, '<', '/proc/' . shim() . '/stat') or die;
    my @fields = split ' ', (split /\) /, <$file>)[1];
    return ($fields[11] + $fields[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

sub resident
{
    open(my $file, '<', '/proc/' . shim() . '/status') or die;
    return (map { /^VmRSS:\s+(\d+)/ } <$file>)[0];
}

sub connection
{
    my (%options) = @_;
    return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->{port}, Timeout => 2, %options);
}

# A request on a connection of its own: seconds until it was answered with 200, or undef.
sub ask
{
    my ($patience) = @_;
    my $begin = time;
    my $socket = connection() or return;
    $socket->syswrite("GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    IO::Select->new($socket)->can_read($patience // 5) && $socket->sysread(my $bytes, 65536) or return;
    return $bytes =~ /^HTTP\/1\.1 200/ ? time - $begin : undef;
}

# Out of descriptors: accept() fails at once, and so would the next one, and the next.
$s->shim({ descriptors => 64 }, '--pool-size=4');
like($s->shim_log, qr/"level":"warning","message":"fewer threads than asked for: too few descriptors","threads":\d+/, 'few descriptors: the log says what comes of it');
my @idle = grep { $_ } map { connection() } 1 .. 200;
sleep 0.5;
my $used = cpu();
my $began = time;
my @took = map { sleep 0.1; ask() } 1 .. 20;
my $share = (cpu() - $used) / (time - $began);
cmp_ok($share, '<', 0.2, sprintf 'few descriptors, 200 idle connections: %.0f %% of a core', 100 * $share);
is(scalar(grep { defined } @took), 20, 'and others are served');
cmp_ok(max(map { $_ // 99 } @took), '<', 1, 'within a second');
cmp_ok(descriptors(), '<', 64, 'with descriptors to spare');
@idle = ();
ok(defined ask(), 'and after they are gone');
my ($status) = do { local $s->{shims} = [ @{ $s->{shims} } ]; eval { $s->shim({ descriptors => 20 }) }; $@ =~ /too few descriptors/ };
ok($status, 'where there are too few to do anything, it says so');

# Readers who do not read: answers of many megabytes, asked for in one write, a small window.
$s->shim('--threads=16', '--request-timeout=2', '--keep-alive-timeout=2');
my $many = "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" x 300;
my @deaf = map { my $x = connection() or die; setsockopt $x, SOL_SOCKET, SO_RCVBUF, 2048; $x->blocking(0); $x->syswrite($many); $x } 1 .. 40;
sleep 0.3;
@took = map { sleep 0.05; ask() } 1 .. 20;
is(scalar(grep { defined } @took), 20, 'more deaf clients than threads: others are served');
cmp_ok(max(map { $_ // 99 } @took), '<', 1.5, 'soon');
@deaf = ();

# A storm: as many connections as can be made, closed at once, reset, or left with half a head.
$s->shim('--keep-alive-timeout=1', '--request-timeout=1');
ask() foreach 1 .. 200;
my ($descriptors, $memory) = (descriptors(), resident());
sub storm
{
    my ($seconds) = @_;
    my @pids = map { my $kind = $_; fork() // die "fork: $!" or do {
        my $end = time + $seconds;
        my $count = 0;
        while (time < $end)
        {
            my $socket = connection(Timeout => 1) or next;
            $socket->syswrite("GET / HTTP/1.1\r\nHo") if $kind > 0;
            $socket->sockopt(Socket::SO_LINGER(), pack 'ii', 1, 0) if $kind > 1;
            $count++;
        }
        POSIX::_exit(0);
    } } 0 .. 2;
    my @took;
    my $end = time + $seconds;
    while (time < $end) { push @took, ask(); sleep 0.05 }
    waitpid $_, 0 foreach @pids;
    return @took;
}
@took = storm(3);
is(scalar(grep { !defined } @took), 0, 'a storm: others are served');
sleep 1.5;
ok((ask() // 99) < 1, 'and after it');
cmp_ok(descriptors(), '<=', $descriptors + 4, 'the descriptors are back');
my $after_one = resident();
storm(2);
sleep 1.5;
# AddressSanitizer keeps what was freed.
cmp_ok(resident(), '<', ($ENV{ASAN_OPTIONS} ? 10 : 1.1) * $after_one, "the memory does not grow with storms ($memory, $after_one, " . resident() . ' kB)');

# Signals, a thousand a second, that nobody asked for.
$s->shim;
my $pid = shim();
my @signals = ('HUP', 'USR1', 'USR2', 'CHLD', 'PIPE', 'ALRM', 'WINCH', 'CONT');
my $sender = fork() // die "fork: $!";
if ($sender == 0)
{
    local $SIG{TERM} = 'DEFAULT';
    for (my $i = 0; ; $i++) { kill $signals[ $i % @signals ], $pid; sleep 0.001 }
}
my $end = time + 3;
my %seen;
while (time < $end)
{
    $seen{ $s->request('GET', '/users/me', token => $token)->{status} }++;
    $seen{ $s->request('POST', '/auth/login', form => [ username => 'ann@example.com', password => 'Secret123' ])->{status} }++;
}
kill 'KILL', $sender;
waitpid $sender, 0;
is(join(' ', keys %seen), '200', "a thousand signals a second: each of $seen{200} requests was answered");
is($s->stop_shim, 0, 'and SIGTERM ends it as always');
done_testing();
