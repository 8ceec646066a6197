# What make bench judges by: wrk's answers that failed are none, a bound of a ratio is held against each round's ceiling, and
# bench/load.c counts what a server really answered.
use strict;
use warnings;
use lib 'bench';
use AuthService;
use Bench ();
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep);

# ---- Reading wrk ------------------------------------------------------------------------------------

my $wrk = <<'WRK';
  2 threads and 32 connections
  Latency Distribution
     50%    2.48ms
     75%    3.00ms
     90%    4.10ms
     99%  950.00us
  40000 requests in 2.00s, 10.00MB read
Requests/sec:  20000.00
Transfer/sec:      5.00MB
WRK
my $clean = Bench::parse_wrk($wrk);
is_deeply([ @$clean{qw(answers rate failed p50 p99)} ], [ 40000, 20000, 0, 2.48, 0.95 ], 'wrk: answers, rate, none failed, times in ms');
my $bad = Bench::parse_wrk($wrk =~ s/^Req/  Socket errors: connect 0, read 2, write 0, timeout 1\n  Non-2xx or 3xx responses: 10000\nReq/mr);
is_deeply([ @$bad{qw(answers rate failed refused)} ], [ 30000, 15000, 10003, 10000 ], 'wrk: refused answers do not count, and are told, as errors are');
ok(!eval { Bench::parse_wrk("unable to connect to 127.0.0.1:1 Connection refused\n"); 1 }, 'wrk: no figures, no result');

# ---- Judging ----------------------------------------------------------------------------------------

is(Bench::median(5, 1, 3), 3, 'median');
is(Bench::median(4, 1, 3, 2), 2.5, 'median of an even number');
is(Bench::spread(8, 10, 12), 0.4, 'spread: from the least to the most, by the median');
is(Bench::harmonic(30, 60), 20, 'what two steps in a row reach');
foreach (
    [ { figures => [ 80, 40 ], ceilings => [ 100, 50 ], bound => '>= 0.75 of the ceiling' }, 1, 'a ratio in each round: slow rounds make no difference' ],
    [ { figures => [ 70, 35 ], ceilings => [ 100, 50 ], bound => '>= 0.75 of the ceiling' }, 0, 'a ratio that is missed' ],
    [ { figures => [16_000], bound => '>= 15,000' }, 1, 'a number' ],
    [ { figures => [14_999], bound => '>= 15,000' }, 0, 'a number that is missed' ],
    [ { figures => [ 20, 25, 90 ], bound => '<= 25' }, 1, 'at most' ],
    [ { figures => [ 20, 26, 26 ], bound => '<= 25' }, 0, 'more than at most' ],
    [ { figures => [1], wish => '>= 15,000' }, undef, 'a wish is not judged' ])
{
    my ($row, $holds, $what) = @$_;
    my $got = Bench::row(what => 'x', unit => '', %$row)->{holds};
    is(defined $got ? $got ? 1 : 0 : undef, $holds, "verdict: $what");
}

# ---- load.c -----------------------------------------------------------------------------------------

my $s = AuthService->start('bench');
my $program = "$PostgreSQL::Test::Utils::tmp_check/bench_load";
is(system($ENV{CC} // 'cc', '-std=gnu11', '-Wall', '-Wextra', '-Werror', '-O2', '-o', $program, 'bench/load.c'), 0, 'load.c builds');
$s->register('ann@example.com');
my $token = $s->login('ann@example.com')->{access_token};

# So many clients with this token, for a second.
sub load
{
    my ($token, $clients, $rate) = @_;
    my $file = "$PostgreSQL::Test::Utils::tmp_check/bench_requests";
    open(my $out, '>', $file) or die;
    print $out "GET /users/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $token\r\n\r\n";
    close $out;
    return JSON::PP::decode_json(scalar qx("$program" $s->{port} $clients 1 $rate "$file"));
}

# How many lines of the shim's log are answers of this status.
sub logged { my ($status) = @_; return scalar(() = $s->shim_log =~ /"status":$status,/g) }
# The same when all that were under way are in the log.
sub settled
{
    my ($status) = @_;
    my ($before, $now) = (-1, logged($status));
    while ($now != $before) { sleep 0.3; ($before, $now) = ($now, logged($status)) }
    return $now;
}

my $before = logged(200);
my $load = load($token, 8, 0);
is($load->{failed}, 0, 'without a rate: nothing failed');
cmp_ok($load->{least}, '>', 0, 'each client had answers');
cmp_ok($load->{least}, '<=', $load->{median}, 'the slowest no more than the median');
cmp_ok(abs(logged(200) - $before - $load->{rate}), '<=', 8, 'it counts what was answered, but for what was under way');
$before = settled(200);
$load = load($token, 4, 50);
is($load->{failed}, 0, 'with a rate: nothing failed');
cmp_ok(abs($load->{rate} - 50), '<=', 1, 'it keeps the rate');
cmp_ok(abs(settled(200) - $before - 50), '<=', 1, 'the shim has seen as many');
cmp_ok($load->{p50}, '<=', $load->{p99}, 'and tells times');
$load = load('x.y.z', 4, 50);
cmp_ok($load->{failed}, '>=', 49, 'refused answers are failures');
is($load->{rate}, 0, 'and no answers');

# Frozen for half a second: what was due then has waited, though it was sent late.
my $pid = $s->{shims}[-1]{pid};
my $freezer = fork() // die;
if ($freezer == 0)
{
    select undef, undef, undef, 0.2;
    kill 'STOP', $pid;
    select undef, undef, undef, 0.5;
    kill 'CONT', $pid;
    POSIX::_exit(0);
}
$load = load($token, 1, 100);
waitpid $freezer, 0;
cmp_ok($load->{max}, '>=', 400, 'time counts from when a request was due');
cmp_ok($load->{p50}, '>=', 5, 'of those too that waited for the one client');
is($load->{failed}, 0, 'and all were answered in the end');
done_testing();
