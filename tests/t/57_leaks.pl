# What a long mix of requests and calls, most of them bad, leaves behind in the shim and in the server's sessions: neither memory
# nor descriptors, threads or connections.  make leaks runs it with LEAK_REQUESTS=200000.
use strict;
use warnings;
use AuthService;
use IO::Socket::INET;
use List::Util qw(max);
use POSIX ();
use Test::More;

my $requests = $ENV{LEAK_REQUESTS} || 6000;
my $workers = 4;
# With the usual 4 MB a session that carries over what the index of substrings has collected keeps a megabyte or two of what that takes.
my $s = AuthService->new('growth', conf => "log_statement = none\nlog_min_messages = fatal\ngin_pending_list_limit = 64kB\n");
$s->command('init-db');
$s->sql("ALTER DATABASE auth_service SET auth_service.bcrypt_cost = 4; ALTER DATABASE auth_service SET auth_service.throttle_address_failures = 0");
# Its log would be larger than all else here.
$s->shim('--threads=16', '--pool-size=2', '--log-level=error');
my $shim = $s->{shims}[0]{pid};
my @accounts = map { "user$_\@example.com" } 1 .. 20;
$s->register($_) foreach @accounts;

sub bytes { my ($pid) = @_; my ($kb) = slurp_status($pid) =~ /^RssAnon:\s+(\d+)/m; return $kb }
sub slurp_status { open my $f, '<', "/proc/$_[0]/status" or return ''; local $/; return scalar <$f> }
sub count_in { my @entries = glob "/proc/$shim/$_[0]/*"; return scalar @entries }
sub backends { return split /\n/, $s->sql("SELECT pid FROM pg_stat_activity WHERE usename = 'auth_service_shim' ORDER BY pid") }

# One connection that the client gives up, at some byte of its request or before its answer.
sub give_up
{
    my ($token, $n) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->{port}) or return;
    my $request = "PUT /users/profile HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer $token\r\nContent-Type: application/json\r\nContent-Length: 38\r\n\r\n"
      . '{"first_name":"Ann","last_name":"Bee"}';
    local $SIG{PIPE} = 'IGNORE';
    $socket->syswrite(substr $request, 0, 1 + $n * 37 % length $request);
}

my @bodies = ('{', '[]', '{"email":1}', '{"email":"a","email":"b","password":"c"}', "{\"email\":\"\xff\"}", '"', '', ('[' x 3000), '{"email":"' . ('a' x 3000) . '"}');

# So many requests of a worker; what each status was answered how often.
sub work
{
    my ($worker, $count, $seed) = @_;
    my %seen;
    my %json = ('Content-Type' => 'application/json');
    my ($socket, $pair);
    # In one write: with two the client's kernel waits for a delayed acknowledgement between them.
    my $ask = sub {
        my ($method, $path, %more) = @_;
        my $body = $more{content} // '';
        $socket //= IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->{port}) // die "connect: $!";
        $socket->syswrite("$method $path HTTP/1.1\r\nHost: a\r\n" . join('', map { "$_: $more{headers}{$_}\r\n" } keys %{ $more{headers} // {} })
              . ($method eq 'GET' ? '' : 'Content-Length: ' . length($body) . "\r\n") . "\r\n$body") // die "write: $!";
        my ($answer, $length) = ('');
        while (!defined $length || length $answer < $length)
        {
            sysread($socket, $answer, 65536, length $answer) or die "no answer to $method $path";
            $length = $+[0] + $1 if !defined $length && $answer =~ /^Content-Length: (\d+)\r\n.*?\r\n\r\n/msi;
        }
        my ($status) = $answer =~ /^HTTP\S+ (\d+)/;
        $socket = undef if $answer =~ /^Connection: close/mi;
        $seen{$status}++;
        return { status => $status, content => substr $answer, index($answer, "\r\n\r\n") + 4 };
    };
    foreach my $i (1 .. $count)
    {
        my $email = $accounts[ ($worker * 5 + $i / 500) % @accounts ];
        my %as = (Authorization => 'Bearer ' . ($pair ? $pair->{access_token} : 'none'));
        my $n = $seed + $worker * 1_000_000 + $i;
        my $kind = $i % 40;
        if ($kind == 1 || !$pair)
        {
            my $answer = $ask->('POST', '/auth/login', headers => \%json, content => qq({"email":"$email","password":"Secret123"}));
            $pair = JSON::PP::decode_json($answer->{content}) if $answer->{status} == 200;
        }
        elsif ($kind == 2 || $kind == 22)
        {
            my $answer = $ask->('POST', '/auth/refresh', headers => \%json, content => qq({"refresh_token":"$pair->{refresh_token}"}));
            $pair = $answer->{status} == 200 ? JSON::PP::decode_json($answer->{content}) : undef;
        }
        elsif ($kind == 3) { $ask->('POST', '/auth/login', headers => \%json, content => qq({"email":"nobody$n\@example.com","password":"Secret124"})) }
        elsif ($kind == 4) { $ask->('POST', '/auth/refresh', headers => \%json, content => '{"refresh_token":"' . ('A' x 76) . '"}') }
        elsif ($kind == 5) { $ask->('PUT', '/users/profile', headers => { %json, %as }, content => '{"first_name":"Ann","last_name":"Bee"}') }
        elsif ($kind == 6) { $ask->('PUT', '/users/profile', headers => { %json, %as }, content => '{"first_name":"","last_name":"Bee"}') }
        elsif ($kind == 7) { $ask->('GET', "/nothing/$n") }
        elsif ($kind == 8) { $ask->('PATCH', '/users/me') }
        elsif ($kind < 18) { $ask->('POST', '/auth/register', headers => \%json, content => $bodies[ $i % @bodies ]) }
        elsif ($kind < 20) { $ask->('GET', '/users/me', headers => { Authorization => 'Bearer ' . substr($pair->{access_token}, 0, -2) . 'AA' }) }
        elsif ($kind == 20) { $ask->('PUT', '/users/balance', headers => { %json, %as, 'Idempotency-Key' => "key-$n" }, content => '{"amount":1}') }
        elsif ($kind == 21) { $ask->('PUT', '/users/balance', headers => { %json, %as }, content => '{"amount":-9000000000}') }
        elsif ($kind == 23 && $i % 400 == 23) { $ask->('POST', '/auth/register', headers => \%json, content => qq({"email":"new$n\@example.com","password":"Secret123"})) }
        elsif ($kind == 23) { $ask->('POST', '/auth/register', headers => \%json, content => qq({"email":"$email","password":"Secret123"})) }
        elsif ($kind < 27) { give_up($pair->{access_token}, $n); $seen{'given up'}++ }
        elsif ($kind == 27) { $ask->('POST', '/auth/logout', headers => \%as); $pair = undef }
        elsif ($kind == 28) { $ask->('GET', '/openapi.json') }
        elsif ($kind == 29) { $ask->('POST', '/auth/introspect', headers => { 'Content-Type' => 'application/x-www-form-urlencoded', %as }, content => 'token=a.b.c') }
        elsif ($kind == 30) { $ask->('GET', '/users/?limit=x', headers => \%as) }
        else { $ask->('GET', '/users/me', headers => \%as) }
    }
    return join ' ', map { "$_: $seen{$_}" } sort keys %seen;
}

sub run
{
    my ($count, $seed) = @_;
    my %all;
    foreach ($s->parallel($workers, sub { work($_[0], int($count / $workers), $seed) }))
    {
        die $_ if /^died/;
        $all{$1} += $2 while /([\w ]+?): (\d+) ?/g;
    }
    # Until the server has seen that all clients are gone.
    for (1 .. 100) { last if count_in('fd') <= ($s->{baseline} ? $s->{baseline}[0] : 0); select undef, undef, undef, $s->{baseline} ? 0.1 : 0.02 }
    return \%all;
}

# A session's memory grows by a megabyte in its first 200,000 requests, and by a tenth of that in the 400,000 after them: so as many
# come first as are measured then.
my $warm = $requests;
run($warm, 0);
my @backends = backends();
$s->{baseline} = [ count_in('fd'), count_in('task') ];
my $before = bytes($shim);
my %before = map { $_ => bytes($_) } @backends;
my $all = run($requests, 500_000_000);
my $total = 0;
$total += $_ foreach values %$all;
note join ', ', map { "$_: $all->{$_}" } sort keys %$all;
is(join(' ', grep { !/^(?:[24]\d\d|given up)$/ } sort keys %$all), '', "$total requests: all answers are 2xx or 4xx");
my $growth = bytes($shim) - $before;
# AddressSanitizer keeps what is freed, up to 256 MB, and finds leaks itself.
cmp_ok($growth, '<', $ENV{ASAN_OPTIONS} ? 262_144 : 1024, "the shim, after $warm: $growth KB more than $before");
is(join(' ', backends()), join(' ', @backends), 'the connections are the same ones');
# Each gets some room once, at a request of a kind that may come to one of them late: what one had before is no leak of another.
my $largest = max(values %before);
foreach my $pid (@backends)
{
    my $now = bytes($pid);
    cmp_ok($now - $largest, '<', 1024, "a session of its: $now KB, $before{$pid} before; the largest was $largest");
}
cmp_ok(count_in('fd'), '<=', $s->{baseline}[0], "descriptors: $s->{baseline}[0] at most");
is(count_in('task'), $s->{baseline}[1], "threads: $s->{baseline}[1]");

# ---- One session, calls that fail somewhere behind the libraries' allocations ----------------------------------

$s->sql("SELECT auth.register('gone\@example.com', 'Secret123'), auth.register('blocked\@example.com', 'Secret123')");
my %token = map { $_ => $s->sql("SELECT access_token FROM auth.login('$_\@example.com', 'Secret123')") } 'user1', 'gone', 'blocked';
my $refresh = $s->sql("SELECT refresh_token FROM auth.login('blocked\@example.com', 'Secret123')");
$s->sql("SELECT auth.block_user(id) FROM auth.users WHERE email = 'blocked\@example.com'; DELETE FROM auth.sessions USING auth.users u WHERE user_id = u.id AND email = 'gone\@example.com';
    DELETE FROM auth.users WHERE email = 'gone\@example.com'");
# Logins that are cut short count as failures.
$s->sql('ALTER DATABASE auth_service SET auth_service.throttle_account_failures = 0');
# No temporary one, whose pages lie in the session's own memory.
$s->sql('CREATE TABLE late (id bigint UNIQUE DEFERRABLE INITIALLY IMMEDIATE)');
my $signing = do { open my $f, '<', 'tests/tokens.sql' or die; local $/; <$f> };
my @calls = (
    "PERFORM auth.authenticate(overlay('$token{user1}' PLACING 'AAAA' FROM length('$token{user1}') - 10))",
    'PERFORM auth.authenticate(twice)',
    'PERFORM auth.authenticate(no_json)',
    "PERFORM auth.authenticate('$token{gone}')",
    "PERFORM auth.authenticate('$token{blocked}')",
    "PERFORM auth.refresh('$refresh')",
    "PERFORM auth.authenticate('$token{user1}'); PERFORM auth.update_profile('', 'x')",
    "PERFORM auth.authenticate('$token{user1}'); INSERT INTO late VALUES (auth.uid()), (auth.uid())",
    "PERFORM auth.authenticate('$token{user1}'); PERFORM auth._arguments('{\"a\":', 'a!')",
    "PERFORM auth.verify_token('$token{user1}')",
);
my $loop = "DO \$\$
    DECLARE
        head text := '{\"alg\":\"HS256\",\"typ\":\"at+jwt\",\"kid\":\"' || (SELECT kid FROM auth.signing_keys LIMIT 1) || '\"}';
        secret bytea := (SELECT k.secret FROM auth.signing_keys k LIMIT 1);
        twice text := pg_temp.sign(head, '{\"iss\":\"auth_service\",\"sub\":\"1\",\"sub\":\"2\"}', secret);
        no_json text := pg_temp.sign(head, '{\"iss\":\"auth_service\",\"sub\":[[[[[[[[[\"1\"', secret);
    BEGIN
        FOR i IN 1 .. COUNT LOOP
            BEGIN
                CASE i % " . @calls . join('', map { " WHEN $_ THEN $calls[$_];" } 0 .. $#calls) . " END CASE;
                RAISE EXCEPTION 'undo';
            EXCEPTION WHEN OTHERS THEN NULL;
            END;
            IF i % 5000 = 0 THEN COMMIT; END IF;
        END LOOP;
    END \$\$;\n";
my $timeouts = join "\n", 'SET auth_service.bcrypt_cost = 9; SET statement_timeout = 2;',
    (("SELECT auth.login('user1\@example.com', 'Secret123'); SELECT auth.change_password('user1\@example.com', 'Secret123', 'Secret1234');") x ($requests / 400)),
    'SET statement_timeout = 0; SET auth_service.bcrypt_cost = 4;';
my $rss = "SELECT 'rss', substring(pg_read_file('/proc/self/status') FROM 'RssAnon:\\s+(\\d+)');\n";
my ($out, $err) = ('', '');
{
    local %ENV = (%ENV, $s->environment);
    my $warm_up = $loop =~ s/COUNT/$warm/r;
    my $measured = $loop =~ s/COUNT/$requests/r;
    my $script = "$signing\n$warm_up$timeouts\n$rss$measured$timeouts\n$rss";
    IPC::Run::run([ 'psql', '-XAtq' ], '<', \$script, '>', \$out, '2>', \$err);
}
my @rss = $out =~ /^rss\|(\d+)/mg;
my $cancelled = () = $err =~ /canceling statement due to statement timeout/g;
cmp_ok($cancelled, '>', $requests / 400, "one session: $cancelled statements ended by their time");
# (A time that is up in the last moment of a statement is called a request.)
is(join("\n", grep { /ERROR/ && !/statement timeout|user request/ } split /\n/, $err), '', 'and no other error came out');
cmp_ok(($rss[1] // 1e9) - ($rss[0] // 0), '<', 1024, "$requests calls that failed: " . (($rss[1] // 0) - ($rss[0] // 0)) . ' KB more');
done_testing();
