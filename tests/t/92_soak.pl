# Mixed load with faults: clients that know what each answer must be (SoakClient.pm) while the server and the shim
# are stopped, killed, frozen and crowded.  Only 2xx, 4xx and 503 are seen, each right; afterwards all is as it was
# before.  `make soak` goes on for an hour; SEED repeats its order of faults.
use strict;
use warnings;
use AuthService;
use Faults;
use JSON::PP ();
use List::Util qw(max min shuffle sum0);
use SoakClient;
use Test::More;
use Time::HiRes qw(sleep time);

my $is_short = !$ENV{SOAK_SECONDS};
my $seconds = $ENV{SOAK_SECONDS} // 18;
my $every = $ENV{FAULT_EVERY} // 30;
my $clients = $is_short ? 6 : 16;
my $seed = $ENV{SEED} // time % 1000000;
srand $seed;
note "SEED=$seed";

my @arguments = ('--pool-size=12', '--hash-slots=4', '--maintenance-interval=2');
my $s = AuthService->start('soak', fsync => !$is_short, conf => "restart_after_crash = on\n", arguments => [ '--threads=512', @arguments ]);
my $node = $s->node;
my $shim_role = 'auth_service_shim';
# A test's own delays are no reuse of a token.
$s->sql('ALTER DATABASE auth_service SET auth_service.refresh_token_grace = 900');
$s->sql("SELECT auth.set_role(auth.register('root\@example.com', 'Secret123'), 'admin')");
$s->end_backends;
# A user whose login is asked for by the hundred.
$s->register('flood@example.com');

# ---- Faults: each returns when its cause has gone ----

sub psql { $node->psql('auth_service', $_[0], on_error_die => 0, timeout => 30) }
sub freeze { my @pids = Faults::family(Faults::postmaster($node)); kill 'STOP', @pids; sleep $_[0]; kill 'CONT', @pids; return }
my $frozen = 'server: frozen for 12 s'; # longer than a call waits
my %faults = (
    'server: restarted' => sub { $node->restart },
    'server: stopped (immediate)' => sub { $node->stop('immediate'); sleep 1; $node->start },
    'server: killed' => sub { Faults::kill_server($node); Faults::start_server($node) },
    'server: the postmaster killed' => sub {
        my @pids = Faults::family(Faults::postmaster($node));
        kill 'KILL', $pids[0];
        Faults::wait_for_end(@pids);
        Faults::start_server($node);
    },
    'server: a backend killed' => sub { my @backends = Faults::backends($node, $shim_role) or return; kill 'KILL', $backends[ rand @backends ]; sleep 0.2 },
    'server: backends terminated' => sub { psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '$shim_role'") foreach 1 .. 3 },
    'server: frozen for 3 s' => sub { freeze(3) },
    $frozen => sub { freeze(12) },
    'server: out of connections' => sub {
        psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '$shim_role'");
        my @taken = Faults::take_connections($node, $shim_role, 'auth_service');
        psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '$shim_role' AND application_name <> ''");
        sleep 3;
        close $_ foreach @taken;
    },
    'server: read-only for 3 s' => sub { psql('ALTER SYSTEM SET default_transaction_read_only = on'); $node->reload; sleep 3; psql('SET transaction_read_only = off; SET default_transaction_read_only = off; ALTER SYSTEM RESET default_transaction_read_only'); $node->reload },
    'server: reloaded' => sub { $node->reload },
    'server: keys rotated' => sub { psql('SELECT auth.rotate_signing_key()') },
    'server: maintained' => sub { psql('SELECT auth.maintain()') foreach 1 .. 20 },
    'shim: SIGTERM, and a new one' => sub { is(Faults::end_shim($s, 'TERM'), 0, 'SIGTERM: exit status 0'); Faults::replace_shim($s, @arguments) },
    'shim: killed, and a new one' => sub { Faults::end_shim($s, 'KILL'); Faults::replace_shim($s, @arguments) },
    'shim: SIGHUP' => sub { kill 'HUP', $s->{shims}[-1]{pid} },
    'clients: 200 slow ones' => sub { my @slow = Faults::slow_connections($s->{port}, 200, "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Le"); sleep 4 },
    'clients: a flood of logins' => sub {
        my $body = 'username=flood%40example.com&password=Secret123';
        my @flood = Faults::slow_connections($s->{port}, 150, "POST /auth/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: " . length($body) . "\r\n\r\n$body");
        sleep 3;
    });
my @order = $is_short ? ('shim: killed, and a new one', 'server: killed', 'server: a backend killed', 'server: read-only for 3 s') : ();

# ---- Load ----

my $json = JSON::PP->new->canonical;
my $begin = time;
my $end = $begin + $seconds;
my $results = "$PostgreSQL::Test::Utils::tmp_check/soak";
mkdir $results;
my @pids;
foreach my $i (1 .. $clients)
{
    my $pid = fork() // die "fork: $!";
    push @pids, $pid and next if $pid;
    srand $seed + $i;
    $s->{http} = HTTP::Tiny->new(timeout => 60, keep_alive => 1);
    my $client = SoakClient->new(server => $s, number => $i, admin => 'root@example.com', pause => $is_short ? 0.02 : 0.06);
    my $seen = eval { $client->run($end) } // { tally => {}, events => [], wrong => ["client $i died: $@"], slowest => 0 };
    open(my $file, '>', "$results/$i") or POSIX::_exit(1);
    print $file $json->encode($seen);
    close $file;
    POSIX::_exit(0);
}

# What the shim and its server have while clients are at work; shims of a long run are replaced in its first half only.
sub wait_until_ready { my $wait = time + 30; sleep 0.02 while $s->request('GET', '/health/ready')->{status} != 200 && time < $wait; return }
sub shim_usage { return Faults::usage($s->{shims}[-1]{pid}) }
my @windows;
my ($half, @later);
sleep min($every, $is_short ? 2 : 5);
# Each thread's first request of a kind makes memory its own, stack most of it: after that a shim is as large as it
# gets, and what it gets beyond that would be a leak.
sub use_threads
{
    my %as = (token => $s->login('flood@example.com')->{access_token}, headers => { Connection => 'close' });
    my @kinds = (
        [ 'GET', '/users/me' ],
        [ 'GET', '/openapi.json' ],
        [ 'PUT', '/users/profile', json => { first_name => 'A', last_name => 'B' } ],
        [ 'POST', '/auth/register', json => { email => 'x' } ],
        [ 'POST', '/auth/refresh', json => {} ]);
    foreach my $kind (@kinds) { $s->request(@$kind, %as) foreach 1 .. 1200 }
    return;
}
sub fault
{
    my ($name) = @_;
    my $window = { name => $name, begin => time };
    $faults{$name}->();
    $window->{gone} = time;
    wait_until_ready();
    $window->{ready} = time;
    push @windows, $window;
    push @later, shim_usage()->{memory} if $half;
    return $window;
}
while (1)
{
    @order = shuffle(sort keys %faults) if !@order && !$is_short;
    my $name = shift @order // last;
    next if $half && $name =~ /^shim: .* new one/;
    last if time + 15 > $end && !$is_short;
    my $window = fault($name);
    sleep max(0, min($is_short ? 0.8 : $every - (time - $window->{begin}), $end - time - 3));
    next if $half || time < $begin + $seconds / 2 || $is_short;
    fault($_) foreach 'clients: 200 slow ones', 'clients: a flood of logins';
    use_threads();
    $half = shim_usage();
}
waitpid $_, 0 foreach @pids;

# ---- What was seen ----

my (%tally, %status, @events, @wrong);
foreach my $i (1 .. $clients)
{
    my $seen = eval { $json->decode(PostgreSQL::Test::Utils::slurp_file("$results/$i")) } // { wrong => ["client $i left nothing"] };
    foreach my $action (keys %{ $seen->{tally} }) { $tally{$action}{$_} += $seen->{tally}{$action}{$_}, $status{$_} += $seen->{tally}{$action}{$_} foreach keys %{ $seen->{tally}{$action} } }
    push @events, @{ $seen->{events} // [] };
    push @wrong, @{ $seen->{wrong} };
    $tally{slowest} = max($tally{slowest} // 0, $seen->{slowest} // 0);
}
my $slowest = delete $tally{slowest};
is(scalar @wrong, 0, 'no wrong answer') or diag join "\n", @wrong[ 0 .. min($#wrong, 40) ];

# A failure belongs to the fault in whose time it was asked.  Without an answer are only those of a shim that ended.
my @strays;
foreach my $event (sort { $a->[0] <=> $b->[0] } @events)
{
    my ($from, $to, $action, $code, $text) = @$event;
    my ($window) = grep { $to >= $_->{begin} && $from <= $_->{ready} + 0.5 } @windows;
    my $may = $window && ($code == 503 || ($code == 599 && $window->{name} =~ /^shim: .* new one/));
    $window->{failures}{$code}++ if $window;
    push @strays, sprintf('%.3f to %.3f, %s: %s %s (%s)', $from - $begin, $to - $begin, $action, $code, $text, $window ? $window->{name} : 'no fault') if !$may;
}
is(scalar @strays, 0, 'each failure is a 503 in the time of a fault') or diag join "\n", @strays[ 0 .. min($#strays, 40) ];
my @slow = map { sprintf '%s: %.1f s', $_->{name}, $_->{ready} - $_->{gone} } grep { $_->{ready} - $_->{gone} > 5 } @windows;
is("@slow", '', 'after each fault the service recovers within 5 s');
cmp_ok($slowest, '<', 20, sprintf 'no answer takes long (%.1f s)', $slowest);
my $requests = sum0(values %status);
cmp_ok($requests, '>', 20 * $seconds, 'there was load');
cmp_ok(scalar @windows, '>=', $is_short ? 4 : 1, 'there were faults');

# ---- All is as it was ----

wait_until_ready();
sleep 1;
is($s->sql('SELECT count(*) FROM auth.users u WHERE balance <> (SELECT coalesce(sum(amount), 0) FROM auth.balance_entries e WHERE e.user_id = u.id)'), 0, 'balances are the sums of their entries');
is($s->sql("SELECT count(*) FROM auth.users u WHERE (SELECT count(*) FROM auth.audit_log a WHERE a.user_id = u.id AND action = 'register') <> 1"), 0, 'each account has its row in the audit log');
cmp_ok($s->sql("SELECT count(*) FROM pg_stat_activity WHERE usename = '$shim_role'"), '<=', 12, 'connections: as many as the pool has');
is($s->sql("SELECT count(*) FROM pg_stat_activity WHERE usename = '$shim_role' AND state <> 'idle'"), 0, 'connections: all of them idle');
is($s->sql("SELECT count(*) FROM pg_locks WHERE locktype IN ('advisory', 'tuple') OR NOT granted"), 0, 'locks: none is left');
is($s->sql(q(SELECT deadlocks FROM pg_stat_database WHERE datname = 'auth_service')), 0, 'no deadlock since the last start');
is(join(' ', grep { $_ > 48 * 1024 } map { Faults::usage($_)->{memory} } Faults::backends($node, $shim_role)), '', 'memory: no backend has grown');
my $now = shim_usage();
Faults::end_shim($s, 'TERM');
Faults::replace_shim($s, @arguments);
wait_until_ready();
use_threads() if !$is_short;
my $fresh = shim_usage();
is($now->{threads}, $fresh->{threads}, "threads: as many as a new shim has ($fresh->{threads})");
# Clients' kept-alive connections have ended with them; the server's are there.
cmp_ok($now->{descriptors}, '<=', $fresh->{descriptors} + 12, "descriptors: as many as a new shim has ($fresh->{descriptors}), and the pool's");
my $room = $ENV{ASAN_OPTIONS} ? 262_144 : $is_short ? 16384 : 8192; # AddressSanitizer keeps what is freed
cmp_ok($now->{memory}, '<', $fresh->{memory} + $room, "memory: $now->{memory} kB, a new shim has $fresh->{memory}");
# It has no course upwards: its middle in the last quarter, against that of the quarter before.
if (@later >= 8)
{
    my @quarters = map { my @sorted = sort { $a <=> $b } @$_; $sorted[ @sorted / 2 ] } [ @later[ 0 .. @later / 2 - 1 ] ], [ @later[ @later / 2 .. $#later ] ];
    cmp_ok($quarters[1] - $quarters[0], '<', 2048, "memory: $quarters[1] kB in the last quarter, $quarters[0] in the one before");
    diag "memory of the shim in the second half, in kB: @later";
}
my $log = $s->shim_log;
my %sqlstates;
$sqlstates{$1}++ while $log =~ /"sqlstate":"(\w+)"/g;
is(join(' ', grep { /^(?:40|XX|26|0A|42)/ } sort keys %sqlstates), '', 'the shim: no deadlock, and no error that is nobody\'s');
is(join("\n", grep { /"status":5(?!03)/ } split /\n/, $log), '', 'the shim: no other failure');
unlike($s->server_log, qr/PANIC|segfault|terminated by signal (?!9)|invalid page|could not (?:read|write)/, 'the server has died of nothing else') or diag join "\n", $s->server_log =~ /(.*(?:PANIC|segfault|terminated by signal [^9]|invalid page|could not (?:read|write)).*)/g;
my @fatal = grep { !/terminating |the database system is |connection slots|too many (?:clients|connections)|connection to client lost/ } $s->server_log =~ /FATAL:  (.*)/g;
is(join(' | ', @fatal), '', 'nor of anything that was no fault of the test\'s');
$s->sql('CREATE EXTENSION amcheck');
# A failure is written outside of transactions: a crash between its row and the row's place in the index leaves the row.
is($s->sql(q(SELECT count(bt_index_check(indexrelid, relname !~ '^login_throttle')) > 10 FROM pg_index i JOIN pg_class c ON c.oid = indexrelid JOIN pg_am a ON a.oid = relam
    WHERE amname = 'btree' AND relnamespace = 'auth'::regnamespace)), 't', 'the indexes agree with their tables');
is($s->sql(q(SELECT count(*) FROM pg_class c, LATERAL verify_heapam(c.oid) v WHERE relkind = 'r' AND relnamespace = 'auth'::regnamespace)), 0, 'and the tables are whole');

# ---- The summary ----

my @table = sprintf '%d requests in %d s by %d clients, SEED=%d: %s', $requests, $seconds, $clients, $seed, join ', ', map { "$status{$_} x $_" } sort keys %status;
push @table, sprintf '  %-20s %s', $_, do { my $n = $tally{$_}; join ', ', map { "$n->{$_} x $_" } sort keys %$n } foreach sort keys %tally;
foreach my $name (sort keys %faults)
{
    my @these = grep { $_->{name} eq $name } @windows or next;
    my %n;
    foreach my $w (@these) { $n{$_} += $w->{failures}{$_} foreach keys %{ $w->{failures} // {} } }
    push @table, sprintf '  %2d x %-32s slowest recovery %4.1f s  %s', scalar @these, $name, max(map { $_->{ready} - $_->{gone} } @these), join ', ', map { "$n{$_} x $_" } sort keys %n;
}
$is_short ? note join "\n", @table : diag join "\n", @table;
done_testing();
