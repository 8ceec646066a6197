# Who hashes a password stands in a line of his own, in which networks take turns, with a bound and an end; who waits for a
# lock does not take everybody's connections; a hash that is cut off leaves nothing behind.
use strict;
use warnings;
use AuthService;
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Siege;
use Test::More;
use Time::HiRes qw(sleep time);

my $s = AuthService->start('admission');
$s->sql('ALTER DATABASE auth_service SET auth_service.throttle_account_failures = 0');
$s->register("$_\@example.com") foreach qw(ann bob);
my %token = map { $_ => $s->login("$_\@example.com")->{access_token} } qw(ann bob);
$s->request('PUT', '/users/balance', token => $token{ann}, json => { amount => 1000 });

# An unknown e-mail costs as much as a new hash.
sub cost
{
    $s->sql("ALTER DATABASE auth_service SET auth_service.bcrypt_cost = $_[0]");
    $s->end_backends;
}
sub guess { return $s->request('POST', '/auth/login', form => [ username => "nobody$_[0]\@example.com", password => 'x' ]) }
sub guesses { return $s->sql("SELECT count(*) FROM auth.audit_log WHERE action = 'login_failed'") }

# A guess on a connection of its own that nobody waits for.
sub post_guess
{
    my $body = "username=nobody$_[0]%40example.com&password=x";
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->{port}) or die "connect: $!";
    $socket->syswrite("POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: "
          . length($body) . "\r\n\r\n$body");
    return $socket;
}

# ---- The line ------------------------------------------------------------------------------------
cost(12);
$s->shim('--pool-size=4', '--hash-slots=1', '--threads=64');
guess(0);
my $begin = time;
guess(0);
my $once = time - $begin;
my @order = map { (split ' ')[1] } sort { $a <=> $b } $s->parallel(6, sub {
    sleep 0.05 * $_[0];
    return guess($_[0])->{status} == 401 ? sprintf('%.3f %d', time, $_[0]) : 'not served';
});
is("@order", '1 2 3 4 5 6', 'first come, first served');

my @answers = $s->parallel(24, sub {
    my $began = time;
    my $answer = guess($_[0]);
    return join ' ', $answer->{status}, $answer->{headers}{'retry-after'} // 0, sprintf('%.2f', time - $began);
});
my @refused = map { [split] } grep { /^503/ } @answers;
cmp_ok(scalar @refused, '>=', 3, 'the line has a bound: 503');
my @tries = map { $_->[1] } grep { $_->[2] < $once + 1 } @refused;
ok(@tries && !(grep { $_ < 9 * $once || $_ > 2 + 36 * $once } @tries), sprintf('Retry-After tells how long the line is: @tries, 17 wait, and one takes %.2f s', $once)) or diag join "\n", @answers;
is(scalar(grep { !/^(401|503)/ } @answers), 0, 'and no other answer');

# Many connections of one network, and one of another: each network has its turn, also where the line is full.
# What the others got, and how long the one waited each time.
sub one_and_many
{
    my ($what, $port, $request, @headers) = @_;
    # Refusals without a pause would leave hashing no processor.
    local $Siege::pause = 0.05;
    my $siege = Siege->begin($port, 40, $request);
    sleep 1;
    my @waited = map {
        my $began = time;
        my $answer = $s->request('POST', '/auth/login', form => [ username => 'one@example.com', password => 'x' ], headers => {@headers});
        $answer->{status} == 401 ? time - $began : "$answer->{status} after " . (time - $began);
    } 1 .. 5;
    my $seen = $siege->end;
    is(scalar(grep { /after/ } @waited), 0, "$what: the one is served each time") or diag "@waited";
    like($seen, qr/^401:\d+ 503:\d+$/, "$what: and so are the many, in turn");
    note "$what: waited @{[ map { /after/ ? $_ : sprintf '%.2f', $_ } @waited ]}; the many got $seen";
    return;
}
{
    local $Siege::from = '127.7.0.1';
    one_and_many('40 connections from one address', $s->{port}, 'login');
}
$s->shim('--pool-size=4', '--hash-slots=1', '--threads=64', '--trusted-proxy=127.0.0.0/8');
one_and_many('40 addresses of one network, behind a proxy', $s->{port}, sub {
    my $body = '{"email":"nobody@example.com","password":"x"}';
    return "POST /auth/login HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 2001:db8:0:1::$_[0]\r\nContent-Type: application/json\r\nContent-Length: "
      . length($body) . "\r\n\r\n$body";
}, 'X-Forwarded-For' => '2001:db8:0:2::1');

# Clients that have gone: none of them gets a hash, nor keeps anybody out of a line that is full of them.
$s->shim('--pool-size=4', '--hash-slots=1', '--threads=32');
guess(0);
my $before = guesses();
my $first = post_guess(0);
sleep 0.05;
my @gone = map { post_guess($_) } 1 .. 9;
sleep 0.1;
close $_ foreach @gone;
is(guess('after')->{status}, 401, 'a line full of clients who have gone: another gets in');
cmp_ok(guesses() - $before, '<=', 3, 'and nothing was hashed for them');
close $first;

# One connection for all.
$s->shim('--pool-size=1', '--hash-slots=4');
is(join(' ', sort $s->parallel(4, sub { return $_[0] > 2 ? $s->request('GET', '/users/me', token => $token{bob})->{status} : guess($_[0])->{status} })),
    '200 200 401 401', 'a pool of one serves hashes and others in turn');

# ---- A row that is locked ------------------------------------------------------------------------
$s->shim('--pool-size=6', '--hash-slots=2');
$s->login('bob@example.com');
my $lock = $s->node->background_psql('auth_service');
$lock->query_safe("BEGIN; SELECT FROM auth.users WHERE email = 'ann\@example.com' FOR UPDATE");
@answers = $s->parallel(23, sub {
    if ($_[0] <= 20)
    {
        my $answer = $s->request('PUT', '/users/balance', token => $token{ann}, json => { amount => 1 });
        return "$answer->{status} " . ($answer->{headers}{'retry-after'} // '-');
    }
    sleep 0.3;
    my $slowest = 0;
    foreach (1 .. 20)
    {
        my $began = time;
        my $answer =
            $_[0] == 21 ? $s->request('GET', '/users/me', token => $token{bob})
          : $_[0] == 22 ? $s->request('GET', '/health/ready')
          :               $s->request('POST', '/auth/login', form => [ username => 'bob@example.com', password => 'Secret123' ]);
        return "$answer->{status} $answer->{content}" if $answer->{status} != 200;
        $slowest = time - $began if $slowest < time - $began;
        sleep 0.06;
    }
    return $slowest;
});
my ($reads, $health, $logins) = splice @answers, 20;
is(join(' ', grep { $_ ne '503 1' } @answers), '', '20 that wait for a locked row: 503 with Retry-After');
cmp_ok($reads, '<', 0.5, 'and another user is served meanwhile');
cmp_ok($health, '<', 0.5, 'and so is /health/ready');
cmp_ok($logins, '<', 2, 'and so are logins');
$lock->query_safe('COMMIT');
is($s->request('PUT', '/users/balance', token => $token{ann}, json => { amount => 1 })->{json}{new_balance}, 1001, 'unlocked: served, and none of those was carried out');

# The whole table: every connection waits.
$lock->query_safe('BEGIN; LOCK TABLE auth.users IN ACCESS EXCLUSIVE MODE');
@answers = $s->parallel(14, sub {
    return $s->request('GET', '/auth/sessions', token => $token{bob})->{status} if $_[0] <= 12;
    sleep 0.5;
    my $began = time;
    my $status = $s->request('GET', $_[0] == 13 ? '/health/ready' : '/health/live')->{status};
    return time - $began < 1 ? $status : "$status too late";
});
is($answers[12], 503, 'every connection waits: /health/ready says so within a second');
is($answers[13], 200, 'and /health/live is well');
is(scalar(grep { $_ != 503 } @answers[ 0 .. 11 ]), 0, 'and the others are told');
$lock->query_safe('COMMIT');
$lock->quit;
is($s->request('GET', '/users/me', token => $token{bob})->{status}, 200, 'unlocked: served');

# ---- A hash that is cut off ------------------------------------------------------------------------
cost(15);
$s->shim('--pool-size=2', '--hash-slots=1');
my $hashing = q(FROM pg_stat_activity WHERE usename = 'auth_service_shim' AND state = 'active' AND query LIKE '%auth.login%');
foreach ([ 'pg_cancel_backend', 504 ], [ 'pg_terminate_backend', 503 ], [ 'pg_cancel_backend', 504 ])
{
    my ($function, $wanted) = @$_;
    my @both = $s->parallel(2, sub {
        return guess(1)->{status} if $_[0] == 1;
        $s->node->poll_query_until('auth_service', "SELECT EXISTS (SELECT $hashing)") or return 'no hash';
        $s->sql("SELECT $function(pid) $hashing");
        return time;
    });
    is($both[0], $wanted, "$function within a hash: $wanted");
    cmp_ok(time - $both[1], '<', 1, "$function: at once");
}
$s->sql("ALTER ROLE auth_service_shim IN DATABASE auth_service SET statement_timeout = '50ms'");
$s->end_backends;
$begin = time;
is(guess(1)->{status}, 504, 'statement_timeout within a hash: 504') foreach 1 .. 3;
cmp_ok(time - $begin, '<', 2, 'statement_timeout: at once');
is($s->sql("SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.usename = 'auth_service_shim'"), 0, 'no lock is left');
$s->sql("ALTER ROLE auth_service_shim IN DATABASE auth_service RESET statement_timeout");
cost(4);
is(guess(1)->{status}, 401, 'and the place in the lane is free') foreach 1 .. 2;

# A client that goes in the middle of its hash: it ends, and the next one on that connection has his own answer.
cost(12);
guess(0);
$before = guesses();
my $socket = post_guess(2);
$s->node->poll_query_until('auth_service', "SELECT EXISTS (SELECT $hashing)");
close $socket;
is($s->request('GET', '/auth/me', token => $token{ $_ })->{json}{user_id}, $_ eq 'ann' ? 1 : 2, "a client that goes: $_ has an own answer") foreach qw(ann bob ann bob);
$s->node->poll_query_until('auth_service', "SELECT count(*) = $before + 1 FROM auth.audit_log WHERE action = 'login_failed'");
is(guesses(), $before + 1, 'a client that goes in the middle of the hash: it ends, and counts');
done_testing();
