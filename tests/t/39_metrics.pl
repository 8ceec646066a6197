# The operator's listener: /metrics in Prometheus' format, where everything is counted exactly, and /health; answered while
# everybody else's threads are taken and while the database is down, and not kept up by slow clients.
use strict;
use warnings;
use AuthService;
use IO::Select;
use IO::Socket::INET;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket qw(AF_INET INADDR_LOOPBACK IPPROTO_TCP SOCK_STREAM SOL_SOCKET SO_RCVBUF TCP_MAXSEG pack_sockaddr_in);
use Test::More;
use Time::HiRes qw(sleep time);

local $SIG{PIPE} = 'IGNORE';
my $s = AuthService->start('metrics', arguments => [ '--maintenance-interval=0' ]);
my $slow = $ENV{ASAN_OPTIONS} ? 5 : 2;
my $admin;

sub connection { return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $_[0] // $admin, Timeout => 5) }

# What comes back for these bytes until the connection is closed, or patience ends.
sub talk
{
    my ($bytes, $port) = @_;
    my $socket = connection($port) or return '';
    $socket->syswrite($bytes);
    my ($all, $until) = ('', time + 20);
    while (IO::Select->new($socket)->can_read($until - time)) { $socket->sysread($all, 65536, length $all) or last }
    return $all;
}
sub get { my ($path, $method) = @_; return talk(($method // 'GET') . " $path HTTP/1.1\r\nHost: x\r\n\r\n") }
sub status { return $_[0] =~ m{\AHTTP/1\.1 (\d+) } ? $1 : 0 }

# A text in the format, read as strictly as promtool does: {name{labels}: value}; dies where it is not good.
sub parse
{
    my ($text) = @_;
    my (%family, %done, %value, $current);
    $text =~ /\n\z/ or die "no newline at its end\n";
    foreach my $line (split /\n/, $text)
    {
        if ($line =~ /^# HELP ([a-z_]+) (\S.*\.)$/)
        {
            die "$1 twice\n" if $family{$1};
            $current = $1;
            $family{$current} = {};
        }
        elsif ($line =~ /^# TYPE ([a-z_]+) (counter|gauge|histogram)$/)
        {
            die "TYPE of $1 does not follow its HELP\n" if $1 ne $current || $family{$1}{type};
            $family{$1}{type} = $2;
            die "$1: a counter, and only that, ends with _total\n" if ($2 eq 'counter') != ($1 =~ /_total$/);
        }
        else
        {
            my ($name, $labels, $number) = $line =~ /^([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\[\\"n])*",?)+)\})? (\d+(?:\.\d+)?)$/ or die "not a sample: $line\n";
            my $base = $family{$current}{type} eq 'histogram' ? $name =~ s/_(?:bucket|sum|count)$//r : $name;
            die "$line: not behind its TYPE\n" if $base ne $current;
            my $key = defined $labels ? "$name\{$labels}" : $name;
            die "$key twice\n" if exists $value{$key};
            $value{$key} = $number;
        }
    }
    return \%value;
}

sub metrics
{
    my $answer = get('/metrics');
    my ($head, $body) = $answer =~ /\A(.*?)\r\n\r\n(.*)\z/s or return {};
    return parse($body);
}

# How many sockets the shim listens on.
sub listeners
{
    my $pid = $s->{shims}[-1]{pid};
    my %own = map { (readlink // '') =~ /^socket:\[(\d+)\]/ ? ($1 => 1) : () } glob "/proc/$pid/fd/*";
    return scalar grep { my @fields = split; $fields[3] eq '0A' && $own{ $fields[9] } } split /\n/, slurp_file("/proc/$pid/net/tcp");
}

# ---- Where it is ---------------------------------------------------------------------------------
is($s->request('GET', '/metrics')->{status}, 404, 'without --admin-port: not on the public port');
is(listeners(), 1, 'and nobody listens but there');
$admin = PostgreSQL::Test::Cluster::get_free_port();
$s->shim("--admin-port=$admin", '--threads=16', '--pool-size=7', '--hash-slots=1', '--request-timeout=3', '--maintenance-interval=1', '--rpc-schema=public');
is($s->request('GET', '/metrics')->{status}, 404, 'with it: nor there');
is(listeners(), 2, 'but there is another listener');
my $answer = get('/metrics');
like($answer, qr{\AHTTP/1\.1 200 OK\r\n.*^Content-Type: text/plain; version=0\.0\.4; charset=utf-8\r\n}ms, 'it is on the operator\'s');
like($answer, qr/^Connection: close\r\n/m, 'which closes after each answer');
ok(eval { parse($answer =~ s/\A.*?\r\n\r\n//sr) }, 'the format') or diag $@;
like(get('/metrics', 'HEAD'), qr{\AHTTP/1\.1 200 OK\r\n.*\r\nContent-Length: [1-9]\d+\r\n.*\r\n\r\n\z}s, 'HEAD: without the body');
like(get('/metrics', 'POST'), qr{\AHTTP/1\.1 405 .*^Allow: GET, HEAD\r\n.*\{"detail":"Method Not Allowed"\}\z}ms, 'POST: 405');
like(get('/health/live', 'POST'), qr{\AHTTP/1\.1 405 .*\{"detail":"Method Not Allowed"\}\z}s, 'also of /health');
like(get($_), qr{\AHTTP/1\.1 200 .*\r\n\r\n\{.*\}\z}s, $_) foreach qw(/health/live /health/ready);
like(get($_), qr{\AHTTP/1\.1 404 .*\{"detail":"Not Found"\}\z}s, "$_: 404") foreach qw(/ /users/me /auth/login /openapi.json /docs /metrics/ /Metrics /%6detrics);
foreach (
    [ 'folded', "GET /metrics HTTP/1.1\r\nHost: x\r\n folded: x\r\n\r\n", 400 ],
    [ 'no Host', "GET /metrics HTTP/1.1\r\n\r\n", 400 ],
    [ 'chunked', "GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 ],
    [ 'two lengths', "GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", 400 ],
    [ 'a body', "GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 413 ],
    [ 'a long target', 'GET /' . 'x' x 13000 . " HTTP/1.1\r\nHost: x\r\n\r\n", 414 ],
    [ 'a long head', "GET /metrics HTTP/1.1\r\nHost: x\r\nX: " . 'x' x 17000 . "\r\n\r\n", 431 ],
    [ 'another server', "GET http://example.com:1/metrics HTTP/1.1\r\nHost: x\r\n\r\n", 421 ],
    [ 'OPTIONS *', "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 204 ],
    [ 'no HTTP', "hello\r\n\r\n", 400 ])
{
    my ($what, $bytes, $status) = @$_;
    is(status(talk($bytes)), $status, "$what: $status, as on the other port");
}
my $two = talk("GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n" x 2);
is(scalar(() = $two =~ m{HTTP/1\.1 }g), 1, 'one request a connection');
my @started = ([ '--admin-port=70000' ], [ "--admin-port=$s->{port}", "--port=$s->{port}" ], [ "--admin-port=$admin", '--admin-host=example' ], [ "--admin-port=$admin" ]);
like(join(' ', map { ($s->command('serve', @$_, $_->[1] && $_->[1] =~ /--port/ ? () : '--port=' . PostgreSQL::Test::Cluster::get_free_port()))[2] } @started),
    qr/--admin-port \(AUTH_SERVICE_ADMIN_PORT\) takes a number from 0 to 65535.*--admin-port and --port are the same, $s->{port} .*--admin-host takes an IPv4 address, not "example".*cannot listen on 127\.0\.0\.1:$admin: Address already in use \(--admin-port chooses another\)/s,
    'ports and addresses that cannot be');

# ---- What is counted -----------------------------------------------------------------------------
my $before = metrics();
sub requests { my ($m, $route, $method, $status) = @_; return $m->{qq(auth_service_http_requests_total{route="$route",method="$method",status="$status"})} // 0 }
is(scalar(grep { /"\/metrics"/ } keys %$before), 0, 'the operator\'s own requests are not counted');
is(requests($before, '/health/live', 'GET', 200), 0, 'nor are those for /health there');
is($before->{qq(auth_service_build_info{version="$1"})}, 1, 'the version') if slurp_file('auth_service.control') =~ /default_version *= *'(.*)'/;

$s->register('ann@example.com');
my $token = $s->login('ann@example.com')->{access_token};
my @asked = (
    [ 7, '/users/me', 'GET', 200, sub { $s->request('GET', '/users/me', token => $token) } ],
    [ 3, '/users/me', 'GET', 401, sub { $s->request('GET', '/users/me', token => 'x') } ],
    [ 2, '/users/me', 'HEAD', 200, sub { $s->request('HEAD', '/users/me', token => $token) } ],
    [ 4, '/auth/login', 'POST', 401, sub { $s->request('POST', '/auth/login', form => [ username => 'nobody@example.com', password => 'Secret123' ]) } ],
    [ 2, '/auth/login', 'POST', 422, sub { $s->request('POST', '/auth/login', json => {}) } ],
    [ 5, '/admin/block/{user_id}', 'POST', 404, sub { $s->request('POST', '/admin/block/1', token => $token) } ],
    [ 3, '/rpc/{function}', 'GET', 404, sub { $s->request('GET', '/rpc/secret_' . $_[0], token => $token) } ],
    [ 6, 'none', 'GET', 404, sub { $s->request('GET', "/private/$_[0]") } ],
    [ 1, 'none', 'other', 404, sub { $s->request('PATCH', '/private') } ],
    [ 2, 'none', 'PUT', 405, sub { $s->request('PUT', '/users/me') } ],
    [ 2, '/', 'GET', 200, sub { $s->request('GET', '/') } ],
    [ 2, '/docs', 'HEAD', 404, sub { $s->request('HEAD', '/docs') } ]);
@asked = grep { $_->[1] ne '/docs' } @asked if $s->request('GET', '/docs')->{status} == 200;
$before = metrics();
foreach my $row (@asked) { $row->[4]->($_) foreach 1 .. $row->[0] }
my $after = metrics();
foreach my $row (@asked)
{
    my ($count, $route, $method, $status) = @$row;
    is(requests($after, $route, $method, $status) - requests($before, $route, $method, $status), $count, "$method $route $status: $count");
}
sub total { my ($m, $pattern) = @_; my $sum = 0; $sum += $m->{$_} foreach grep { /$pattern/ } keys %$m; return $sum }
my $all = 0;
$all += $_->[0] foreach @asked;
is(total($after, qr/^auth_service_http_requests_total/) - total($before, qr/^auth_service_http_requests_total/), $all, "and nothing else: $all in all");
my $text = join "\n", keys %$after;
unlike($text, qr/ann|nobody|private|secret|PATCH|eyJ/, 'no label has anything of a client\'s');

# Each histogram: buckets that grow, the last one the count, and a sum that fits.
my %counts;
foreach my $key (grep { /_seconds_count/ } keys %$after)
{
    my ($labels) = $key =~ /\{(.*)\}/;
    my @buckets = sort { ($a->[0] eq '+Inf') <=> ($b->[0] eq '+Inf') || ($a->[0] eq '+Inf' ? 0 : $a->[0] <=> $b->[0]) }
      map { /_seconds_bucket\{\Q$labels\E,le="(.*?)"\}/ ? [ $1, $after->{$_} ] : () } keys %$after;
    my ($bad, $last, $least, $most, $edge) = ('', 0, 0, 0, 0);
    foreach (@buckets)
    {
        $bad .= "$_->[0] falls " if $_->[1] < $last;
        $least += ($_->[1] - $last) * $edge;
        $most += ($_->[1] - $last) * ($_->[0] eq '+Inf' ? 1000 : $_->[0]);
        ($last, $edge) = ($_->[1], $_->[0]);
    }
    my $sum = $after->{"auth_service_http_request_duration_seconds_sum{$labels}"};
    $bad .= 'count ' if $after->{$key} != $last || @buckets != 14 || $buckets[-1][0] ne '+Inf';
    $bad .= "sum $sum is not within $least and $most" if $sum < $least || $sum > $most;
    is($bad, '', "the histogram of $labels");
    is($after->{$key}, total($after, qr/^auth_service_http_requests_total\{\Q$labels\E,/), "counts the requests of $labels");
}
is($after->{auth_service_database_connections_limit}, 7, 'the pool: its limit');
cmp_ok($after->{auth_service_database_connections}, '>=', 1, 'the pool: what is open');
cmp_ok($after->{auth_service_database_connections}, '<=', 7, 'the pool: not more than that');
is($after->{auth_service_database_connections}, $after->{auth_service_database_connections_idle}, 'the pool: and idle');
is($after->{auth_service_database_connections_made_total}, $after->{auth_service_database_connections}, 'the pool: they were made');
is($after->{auth_service_hash_slots}, 1, 'the slots for hashes');
is($after->{auth_service_http_threads}, 16, 'the threads');
is($after->{auth_service_http_threads_in_use}, 1, 'of which the test has one');
is($after->{$_}, 0, $_) foreach qw(auth_service_http_requests_in_progress auth_service_database_waiting auth_service_hash_slots_in_use auth_service_hash_waiting auth_service_log_lines_lost_total auth_service_reloads_total);
my $pid = $s->{shims}[-1]{pid};
cmp_ok(abs($after->{process_start_time_seconds} - time), '<', 300, 'when it started');
my ($resident) = slurp_file("/proc/$pid/status") =~ /^VmRSS:\s+(\d+) kB/m;
cmp_ok(abs($after->{process_resident_memory_bytes} / 1024 - $resident), '<', $resident / 2, 'the memory');
cmp_ok(abs($after->{process_open_fds} - (my @fds = glob "/proc/$pid/fd/*")), '<=', 2, 'the descriptors');
cmp_ok($after->{process_cpu_seconds_total}, '>', 0, 'the processor time');
for (1 .. 100) { last if metrics()->{auth_service_maintenance_runs_total} > 0; sleep 0.1 }
cmp_ok(metrics()->{auth_service_maintenance_runs_total}, '>', 0, 'maintenance');

# The page has the same names.
my ($section) = slurp_file('docs/operations.md') =~ /^## Metrics\n(.*)/ms;
my %named = map { $_ => 1 } map { /`((?:auth_service|process)_\w+)`/g } grep { /^\|/ } split /\n/, $section;
my %names = map { s/\{.*//r =~ s/_seconds\K_(?:bucket|sum|count)$//r => 1 } keys %$after;
is(join(' ', sort keys %names), join(' ', sort keys %named), 'docs/operations.md has each of them');

# Many at once: none is lost.
$before = metrics();
my @done = $s->parallel(8, sub { $s->request('GET', '/health/live') foreach 1 .. 100; return 'done' });
is(requests(metrics(), '/health/live', 'GET', 200) - requests($before, '/health/live', 'GET', 200), 800, 'eight clients at once: each request is counted');

# Without a head: no method, and no duration.
talk("hello\r\n\r\n", $s->{port});
is(requests(metrics(), 'none', 'none', 400), 1, 'what was refused before it was a request');

# ---- What is the case ----------------------------------------------------------------------------
# A user whom a transaction keeps: who changes him waits, and then gets 503.  The first time makes the connections, which
# takes its time.
my $body = '{"first_name":"A","last_name":"B"}';
my ($psql, $now, @waiting, $made);
foreach my $round (1, 2)
{
    $made = metrics();
    $psql = $s->node->background_psql('auth_service');
    $psql->query_safe(q(BEGIN; SELECT FROM auth.users WHERE email = 'ann@example.com' FOR UPDATE));
    @waiting = map { my $x = connection($s->{port}) or die;
        $x->syswrite("PUT /users/profile HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer $token\r\nContent-Type: application/json\r\nContent-Length: " . length($body) . "\r\n\r\n$body"); $x } 1 .. 6;
    for (1 .. 100) { $now = metrics(); last if $now->{auth_service_database_waiting} >= 2 && $now->{auth_service_http_requests_in_progress} == 6; sleep 0.02 }
    last if $round == 2;
    $_->sysread(my $bytes, 65536) foreach @waiting;
    $psql->quit;
}
is($now->{auth_service_http_requests_in_progress}, 6, 'six requests are under way');
# Maintenance, which comes each second here, may wait as well.
like($now->{auth_service_database_waiting}, qr/^[23]$/, 'two of them wait for a connection');
is($now->{auth_service_database_connections} - $now->{auth_service_database_connections_idle}, 4, 'four have one');
cmp_ok($now->{auth_service_http_threads_in_use}, '>=', 6, 'and six a thread');
$_->sysread(my $bytes, 65536) foreach @waiting;
@waiting = ();
$psql->quit;
my $locked = metrics();
sub unavailable { my ($m) = @_; return $m->{qq(auth_service_http_unavailable_total{reason="database"})} + $m->{qq(auth_service_http_unavailable_total{reason="pool"})} }
is(unavailable($locked) - unavailable($made), 6, '503 by reason: a lock, and no connection');
is(requests($locked, '/users/profile', 'PUT', 503) - requests($made, '/users/profile', 'PUT', 503), 6, 'and by status');

# More logins at once than there are places: who got 503, and why.
$s->sql('ALTER DATABASE auth_service SET auth_service.bcrypt_cost = 11');
$s->end_backends;
sub refused { my ($m, $reason) = @_; return $m->{qq(auth_service_http_unavailable_total{reason="$reason"})} }
$before = metrics();
my @statuses = $s->parallel(14, sub { $s->request('POST', '/auth/login', form => [ username => 'nobody@example.com', password => 'Secret123' ])->{status} });
$after = metrics();
my $turned_away = grep { $_ == 503 } @statuses;
cmp_ok($turned_away, '>', 0, "14 logins, one slot: $turned_away got 503");
is(requests($after, '/auth/login', 'POST', 503) - requests($before, '/auth/login', 'POST', 503), $turned_away, 'as is counted');
my ($hashing, $threads) = map { refused($after, $_) - refused($before, $_) } qw(hashing threads);
cmp_ok($hashing, '>', 0, "503 by reason: no slot to hash ($hashing)");
is($hashing + $threads, $turned_away, "or too many threads at work ($threads)");
is($after->{auth_service_hash_refused_total} - $before->{auth_service_hash_refused_total}, $hashing, 'slots that were refused');

# ---- Who is in others' way -----------------------------------------------------------------------
sub timed { my ($code) = @_; my $begin = time; my $result = $code->(); return ($result, time - $begin) }
{
    my @held = map { my $x = connection($s->{port}) or die; $x->syswrite("GET / HTTP/1.1\r\nHo"); $x } 1 .. 16;
    for (1 .. 100) { last if metrics()->{auth_service_http_threads_in_use} == 16; sleep 0.02 }
    my ($m, $took) = timed(\&metrics);
    is($m->{auth_service_http_threads_in_use}, 16, 'all threads are held by slow clients: it answers');
    cmp_ok($took, '<', $slow, 'at once');
}
$s->node->stop('immediate');
my ($m, $took) = timed(\&metrics);
ok($m->{process_open_fds}, 'the database is down: it answers');
cmp_ok($took, '<', $slow, 'at once');
is($s->request('GET', '/users/me', token => $token)->{status}, 503, 'others get 503') foreach 1 .. 3;
is(status(get('/health/ready')), 503, '/health/ready, too');
is(status(get('/health/live')), 200, 'but not /health/live');
my $down = metrics();
is($down->{qq(auth_service_http_unavailable_total{reason="connection"})} - $m->{qq(auth_service_http_unavailable_total{reason="connection"})}, 3, '503 by reason: no connection');
cmp_ok($down->{auth_service_database_connection_failures_total}, '>', 0, 'attempts to connect that failed');
is($down->{auth_service_database_connections}, 0, 'no connection is open');
for (1 .. 50) { last if metrics()->{auth_service_maintenance_failures_total} > 0; sleep 0.1 }
cmp_ok(metrics()->{auth_service_maintenance_failures_total}, '>', 0, 'maintenance has failed');
$s->node->start;
for (1 .. 100) { last if $s->request('GET', '/users/me', token => $token)->{status} == 200; sleep 0.1 }
is($s->request('GET', '/users/me', token => $token)->{status}, 200, 'the database is back');

# Slow clients here: who sends no head in time gives way to others, and everybody ends with the time of a request.
my $alone = connection();
$alone->syswrite("GET /metrics HTTP/1.1\r\nHo");
my (undef, $ended) = timed(sub {
    my $until = time + 4 * $slow + 4;
    while (time < $until) { last if IO::Select->new($alone)->can_read(0.2); $alone->syswrite('x') }
});
cmp_ok($ended, '>', 2, 'a slow head is waited for');
cmp_ok($ended, '<', 3 + 2 * $slow, 'for as long as --request-timeout says, however often a byte comes');
$alone = connection();
$alone->syswrite("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n");
$alone->sysread($answer, 65536);
is(status($answer), 413, 'a slow body: it is not waited for');
(undef, $ended) = timed(sub {
    my $until = time + 4 * $slow + 4;
    while (time < $until) { last if IO::Select->new($alone)->can_read(0.2); $alone->syswrite('x') }
});
cmp_ok($ended, '<', 3 + 2 * $slow, 'nor taken in for longer than that');
{
    my @slow = map { my $x = connection() or die; $x->syswrite("GET /metrics HTTP/1.1\r\nHo"); $x } 1 .. 12;
    ($m, $took) = timed(\&metrics);
    ok($m->{process_open_fds}, 'six slow clients a thread: it answers');
    cmp_ok($took, '<', 2 + $slow, 'soon');
    ($answer, $took) = timed(sub { $s->request('GET', '/users/me', token => $token) });
    is($answer->{status}, 200, 'and so does the other');
    cmp_ok($took, '<', $slow, 'at once');
}

# Who does not take the answer: the buffers are made small.
{
    my @deaf = map {
        socket my $x, AF_INET, SOCK_STREAM, 0 or die;
        setsockopt $x, IPPROTO_TCP, TCP_MAXSEG, 536;
        setsockopt $x, SOL_SOCKET, SO_RCVBUF, 2048;
        connect $x, pack_sockaddr_in($admin, INADDR_LOOPBACK) or die;
        syswrite $x, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
        $x
    } 1 .. 2;
    sleep 0.2;
    ($m, $took) = timed(\&metrics);
    ok($m->{process_open_fds}, 'two deaf clients: it answers');
    cmp_ok($took, '<', 3 + 2 * $slow, 'when their time is over');
    note sprintf 'two deaf clients: %.2f s', $took;
}

# ---- Signals -------------------------------------------------------------------------------------
kill 'HUP', $pid;
for (1 .. 100) { last if metrics()->{auth_service_reloads_total} == 1; sleep 0.05 }
$now = metrics();
is($now->{auth_service_reloads_total}, 1, 'SIGHUP: counted');
is(requests($now, '/users/me', 'HEAD', 200), 2, 'and what was counted before stays');
{
    my $held = connection($s->{port});
    $held->syswrite("PUT /users/profile HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $token\r\nContent-Type: application/json\r\nContent-Length: " . length($body) . "\r\n\r\n");
    for (1 .. 100) { last if metrics()->{auth_service_http_requests_in_progress} == 1; sleep 0.02 }
    my $silent = connection();
    kill 'TERM', $pid;
    for (1 .. 100) { last if $s->shim_log =~ /"message":"stopping"/; sleep 0.02 }
    sleep 0.05;
    is(status(get('/health/ready')), 503, 'SIGTERM: not ready');
    is(status(get('/health/live')), 200, 'but alive, as long as a request is under way');
    is(metrics()->{auth_service_http_requests_in_progress}, 1, 'which is told');
    $held->syswrite($body);
    $held->sysread(my $bytes, 65536);
    is(status($bytes), 200, 'and answered');
    my $begin = time;
    waitpid $pid, 0;
    is($?, 0, 'then it ends in order');
    cmp_ok(time - $begin, '<', 3 + $slow, 'and waits for no slow client of the operator\'s');
    ok(!connection(), 'nobody listens any more');
    pop @{ $s->{shims} };
}
done_testing();
