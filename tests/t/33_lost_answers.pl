# A client whose answers are lost: connections are cut at random bytes between it and the shim, and between
# the shim and PostgreSQL.  It asks again with the token that it has, and so never ends up without a good
# one; and nobody is ever given two successors of one token.  ROUNDS=5000 for as many refreshes
# (make soak-refresh), SEED=... to repeat a run.
use strict;
use warnings;
use AuthService;
use CuttingProxy;
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use MIME::Base64 qw(decode_base64url);
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;
use Time::HiRes qw(sleep time);

my $clients = 4;
my $rounds = int(($ENV{ROUNDS} || 200) / $clients);
my $seed = $ENV{SEED} || time ^ $$;
diag "seed $seed, " . $rounds * $clients . ' rounds' if $ENV{ROUNDS} || $ENV{SEED};

my $s = AuthService->new('lost', conf => "listen_addresses = '127.0.0.1'\n");
$s->command('init-db');
$s->sql('ALTER DATABASE auth_service SET auth_service.bcrypt_cost = 4');
my $record = "$PostgreSQL::Test::Utils::tmp_check/lost_answers_tokens";
my $proxy = CuttingProxy->start($s->node->port, seed => $seed, bytes => 12_000, stall => 0.02, record => $record);
# What a stalled connection holds up is answered with 503 after the timeout, within the grace period.
my $port = $s->shim('--database-host=127.0.0.1', '--database-port=' . $proxy->port, '--pool-size=4', '--database-timeout=2', '--log-level=error');
local $SIG{PIPE} = 'IGNORE';

# Send a request; sent: how many bytes of it, before the connection is closed (undef: all).
sub send_request
{
    my ($token, $sent) = @_;
    my $body = qq({"refresh_token":"$token"});
    my $request = "POST /auth/refresh HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or return;
    $socket->syswrite(defined $sent ? substr $request, 0, int($sent * length $request) : $request);
    hang_up($socket) if defined $sent;
    return $socket;
}
sub hang_up { my ($socket) = @_; setsockopt($socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0)) if rand() < 0.5; close $socket }

# What comes back, or the first bytes of it.
sub read_answer
{
    my ($socket, $limit) = @_;
    my $select = IO::Select->new($socket);
    my $all = '';
    while (length $all < $limit && $select->can_read(15))
    {
        $socket->sysread(my $bytes, $limit - length $all < 4096 ? $limit - length $all : 4096) or last;
        $all .= $bytes;
    }
    hang_up($socket);
    return $all;
}

# What other tabs have sent.
my @others;

# One try: (status, token pair), or nothing where the answer is not whole.
sub attempt
{
    my ($token) = @_;
    my $dice = rand;
    # Another tab, at the same moment.
    push @others, send_request($token) if rand() < 0.2;
    my $socket = send_request($token, $dice < 0.2 ? rand : undef);
    return if !$socket || $dice < 0.2;
    my $answer = read_answer($socket, $dice < 0.4 ? 1 + int rand 1100 : 1e6);
    my ($status, $length, $body) = $answer =~ /^HTTP\/1\.1 (\d+) .*?\r\nContent-Length: (\d+)\r\n.*?\r\n\r\n(.*)/s or return;
    return length $body == $length ? ($status, eval { JSON::PP->new->utf8->decode($body) }) : ();
}

sub place { my ($token) = @_; my (undef, undef, undef, $sid, $counter) = unpack 'C N N a16 Q>', decode_base64url($token); return unpack('H*', $sid) . " $counter" }

my @begun;
foreach my $i (1 .. $clients)
{
    $s->sql("SELECT auth.register('user$i\@example.com', 'Secret123')");
    push @begun, $s->sql("SELECT refresh_token FROM auth.login('user$i\@example.com', 'Secret123')");
}
my $began = time;
my @results = $s->parallel($clients, sub {
    my ($i) = @_;
    srand($seed + $i);
    my $token = $begun[ $i - 1 ];
    my ($tries, $slowest, %statuses, @given) = (0, 0);
    foreach my $round (1 .. $rounds)
    {
        my $from = time;
        while (1)
        {
            my ($status, $pair) = attempt($token);
            $tries++;
            $statuses{ $status // 'lost' }++;
            return "round $round: refused after " . sprintf('%.1f', time - $from) . " s: $token" if ($status // 0) == 401;
            if (($status // 0) == 200) { $token = $pair->{refresh_token}; push @given, $token; last }
            return "round $round: no answer for a minute" if time - $from > 60;
        }
        # They have their answers, or none, before the client goes on.
        read_answer($_, 1e6) foreach grep { defined } splice @others;
        $slowest = time - $from if time - $from > $slowest;
    }
    # The end of it all: the list of what was given, so that it can be held against what was sent.
    return JSON::PP->new->canonical->encode({ tries => $tries, slowest => $slowest, statuses => \%statuses, given => \@given });
});
my $took = time - $began;

my (%successors, %seen);
open(my $file, '<', $record) or die;
chomp, $seen{$_} = 1, $successors{ place($_) }{$_} = 1 while <$file>;
my %sum;
foreach my $i (1 .. $clients)
{
    my $result = eval { JSON::PP->new->decode($results[ $i - 1 ]) };
    ok($result, "client $i: $rounds rounds, and never without a good token") or diag($results[ $i - 1 ]), next;
    my @given = @{ $result->{given} };
    is(scalar(grep { !$seen{$_} } @given), 0, "client $i: all that it was given the proxy has seen");
    my ($counter) = $given[-1] && place($given[-1]) =~ / (\d+)$/;
    is($counter, $rounds, "client $i: one step of the counter a round");
    is($s->sql("SELECT count(*) || ' ' || max(refresh_counter) FROM auth.sessions WHERE user_id = $i"), "1 $rounds", "client $i: one session, which is as far");
    is($s->sql("SELECT auth.introspect('$given[-1]') ->> 'active'"), 'true', "client $i: its last token is good");
    $sum{$_} += $result->{statuses}{$_} foreach keys %{ $result->{statuses} };
    $sum{slowest} = $result->{slowest} if $result->{slowest} > ($sum{slowest} // 0);
}
is(join(' ', grep { keys %{ $successors{$_} } != 1 } sort keys %successors), '', 'no token has ever had two successors');
is(scalar keys %successors, $rounds * $clients, 'and each has had one');
cmp_ok($sum{lost}, '>', $rounds, 'answers were lost on the way to the client');
cmp_ok(($sum{503} // 0) + ($sum{504} // 0), '>', $rounds / 10, 'and on the way to the shim');
cmp_ok($sum{slowest}, '<', 10, 'no round took as long as the grace period');
my $slowest = delete $sum{slowest};
diag sprintf '%d rounds in %.0f s, the slowest %.1f s; answers: %s', $rounds * $clients, $took, $slowest, join ', ', map { "$sum{$_} x $_" } sort keys %sum if $ENV{ROUNDS};
is(scalar(grep { /PANIC|terminated by signal|was terminated/ } split /\n/, $s->server_log), 0, 'no backend has died');
done_testing();
