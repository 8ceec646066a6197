# The database goes and comes back: 503 with Retry-After while it is away, and nothing to restart.
use strict;
use warnings;
use AuthService;
use Test::More;
use Time::HiRes qw(sleep time);

my $s = AuthService->start('down');
$s->register('ann@example.com');
my $token = $s->login('ann@example.com')->{access_token};
is($s->request('GET', '/users/me', token => $token)->{status}, 200, 'at first');

sub recovers
{
    my ($what) = @_;
    my $begin = time;
    sleep 0.05 while $s->request('GET', '/health/ready')->{status} != 200 && time - $begin < 10;
    cmp_ok(time - $begin, '<', 5, "$what: recovers by itself");
    my @failed = grep { $s->request('GET', '/users/me', token => $token)->{status} != 200 } 1 .. 40;
    is(scalar @failed, 0, "$what: and no request fails after that");
}

foreach my $mode ('fast', 'immediate')
{
    $s->node->stop($mode);
    foreach my $path ('/users/me', '/health/ready')
    {
        my $begin = time;
        my $answer = $s->request('GET', $path, token => $token);
        is($answer->{status}, 503, "stopped ($mode): $path: 503");
        is($answer->{headers}{'retry-after'}, 1, "stopped ($mode): $path: Retry-After");
        cmp_ok(time - $begin, '<', 2, "stopped ($mode): $path: at once");
        unlike($answer->{content}, qr/socket|server|connection to/, "stopped ($mode): $path: nothing of libpq's words");
    }
    is($s->request('GET', '/health/live')->{status}, 200, "stopped ($mode): live");
    $s->node->start;
    recovers("stopped ($mode)");
}

# Restarted between two requests: the idle connections are found dead before they are used.
$s->node->restart;
is($s->request('GET', '/users/me', token => $token)->{status}, 200, 'restarted: the first request after it is served');
$s->end_backends;
is($s->request('GET', '/users/me', token => $token)->{status}, 200, 'backends terminated: served');

# Started before the database.
$s->node->stop;
$s->shim;
is($s->request('GET', '/health/ready')->{status}, 503, 'started before the database: 503');
$s->node->start;
recovers('started before the database');

# It ends in order: what is under way is answered first.
$s->sql('ALTER DATABASE auth_service SET auth_service.bcrypt_cost = 14');
$s->end_backends;
my $shim = $s->{shims}[-1]{pid};
my @answers = $s->parallel(3, sub {
    if ($_[0] == 3)
    {
        $s->node->poll_query_until('auth_service', "SELECT count(*) = 2 FROM pg_stat_activity WHERE usename = 'auth_service_shim' AND state = 'active'");
        kill 'TERM', $shim;
        return 'sent';
    }
    return $s->request('POST', '/auth/register', json => { email => "last$_[0]\@example.com", password => 'Secret123' })->{status};
});
is("@answers", '200 200 sent', 'SIGTERM: the requests under way are answered');
waitpid $shim, 0;
is($?, 0, 'SIGTERM: exit status 0');
pop @{ $s->{shims} };

# Also while clients go on asking: what was accepted is answered whole, or not at all.
$s->sql('ALTER DATABASE auth_service SET auth_service.bcrypt_cost = 8');
$s->shim;
$shim = $s->{shims}[-1]{pid};
my $begin = time;
@answers = $s->parallel(9, sub {
    if ($_[0] == 9) { sleep 1; kill 'TERM', $shim; return 'sent' }
    while (time - $begin < 6)
    {
        my $answer = $s->request('POST', '/auth/login', form => [ username => 'ann@example.com', password => 'Secret123' ]);
        next if $answer->{status} == 200;
        return 'refused' if $answer->{status} == 503 && $answer->{headers}{connection} eq 'close';
        return $answer->{status} == 599 && $answer->{content} !~ /timed out/i ? 'gone' : "$answer->{status} $answer->{content}";
    }
    return 'goes on';
});
waitpid $shim, 0;
is($?, 0, 'SIGTERM under load: exit status 0');
cmp_ok(time - $begin, '<', 6, 'SIGTERM under load: soon');
is(scalar(grep { !/^(refused|gone|sent)$/ } @answers), 0, 'SIGTERM under load: nobody is left waiting') or diag join "\n", @answers;
pop @{ $s->{shims} };

# Out of descriptors: slow clients are got rid of all the same.
$s->shim({ descriptors => 80 }, '--request-timeout=2');
my @slow = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->{port}) } 1 .. 100;
local $SIG{PIPE} = 'IGNORE';
$_ && $_->syswrite("POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n") foreach @slow;
$begin = time;
while (time - $begin < 5) { $_ && $_->syswrite('x') foreach @slow; sleep 0.5 }
is($s->request('GET', '/health/ready')->{status}, 200, 'out of descriptors: served again after the deadline');
done_testing();
