# Memory that runs out in the shim while it serves: each answer is the one that it should be, a 503, or none; the shim lives on,
# and nobody gets what is another's.
use strict;
use warnings;
use AuthService;
use IO::Select;
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'a sanitizer has a malloc of its own' if $ENV{ASAN_OPTIONS};

my $folder = PostgreSQL::Test::Utils::tempdir;
system('gcc', '-shared', '-fPIC', '-O1', '-o', "$folder/shim_faults.so", 'tests/shim_faults.c') == 0 or die 'cannot build tests/shim_faults.c';
my $control = "$folder/control";

# What fails from now on.
sub faults
{
    my ($per_million, $countdown, $more) = @_;
    open my $f, (-e $control ? '+<:raw' : '>:raw'), $control or die;
    syswrite $f, pack 'l3', $per_million, $countdown, $more;
}

# How many have, all in all.
sub failed
{
    open my $f, '<:raw', $control or die;
    read $f, my $bytes, 16;
    return (unpack 'l4', $bytes)[3];
}

my $s = AuthService->new('shimfaults');
$s->command('init-db');
$s->sql("ALTER DATABASE auth_service SET auth_service.bcrypt_cost = 4; ALTER DATABASE auth_service SET auth_service.throttle_address_failures = 0");
faults(0, 0, 0);
PostgreSQL::Test::Utils::append_to_file($control, pack 'l', 0);
{
    local @ENV{qw(LD_PRELOAD SHIM_FAULTS)} = ("$folder/shim_faults.so", $control);
    # Six: brief calls share a connection.
    $s->shim('--threads=16', '--pool-size=6', '--request-timeout=3');
}
my $shim = $s->{shims}[0]{pid};
sub count_in { my @entries = glob "/proc/$shim/$_[0]/*"; return scalar @entries }

my @accounts;
foreach my $i (0 .. 4)
{
    my $email = "user$i\@example.com";
    $s->register($email);
    push @accounts, { email => $email, %{ $s->login($email) } };
}

# One request on a connection of its own or the one before's: its status and body, or 0 where none came.
my $socket;
sub ask
{
    my ($method, $path, $more, $body) = @_;
    $body //= '';
    $socket //= IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->{port}) or return (0, '');
    local $SIG{PIPE} = 'IGNORE';
    $socket->syswrite("$method $path HTTP/1.1\r\nHost: a\r\n$more" . ($method eq 'GET' ? '' : 'Content-Length: ' . length($body) . "\r\n") . "\r\n$body");
    my ($answer, $length) = ('');
    while (!defined $length || length $answer < $length)
    {
        if (!IO::Select->new($socket)->can_read(20)) { $socket = undef; return ('hangs', $answer) }
        if (!sysread $socket, $answer, 65536, length $answer) { $socket = undef; return $answer eq '' ? (0, '') : ('cut', $answer) }
        $length = $+[0] + ($1 // 0) if !defined $length && $answer =~ /^HTTP.*?(?:^Content-Length: (\d+)\r\n.*?)?\r\n\r\n/msi;
    }
    return ('more', $answer) if length $answer > $length;
    my ($status) = $answer =~ /^HTTP\S+ (\d+)/;
    $socket = undef if $answer =~ /^Connection: close/mi;
    return ($status, $answer =~ s/.*?\r\n\r\n//sr);
}

my $json = "Content-Type: application/json\r\n";
my $form = "Content-Type: application/x-www-form-urlencoded\r\n";

# Requests, what they should be answered, and what has to be in that answer.
sub requests
{
    my ($me, $n) = @_;
    my $as = "Authorization: Bearer $me->{access_token}\r\n";
    my $bad = 'Authorization: Bearer ' . substr($me->{access_token}, 0, -2) . "AA\r\n";
    return (
        [ 200, qr/"email":"\Q$me->{email}\E"/, 'GET', '/users/me', $as ],
        [ 200, qr/"email":"\Q$me->{email}\E"/, 'PUT', '/users/profile', "$as$json", qq({"first_name":"N$n","last_name":"Bee"}) ],
        [ 401, qr/U401B/, 'GET', '/users/me', $bad ],
        [ 401, qr/U401A/, 'GET', '/users/me', '' ],
        [ 200, qr/"access_token":/, 'POST', '/auth/login', $form, "username=$me->{email}&password=Secret123" ],
        [ 401, qr/Invalid credentials/, 'POST', '/auth/login', $json, qq({"email":"nobody$n\@example.com","password":"Secret124"}) ],
        [ 401, qr/Refresh token/, 'POST', '/auth/refresh', $json, '{"refresh_token":"' . ('A' x 76) . '"}' ],
        [ 422, qr/"loc":\["body","email"\]/, 'POST', '/auth/register', $json, '{"email":"a","password":"Secret123"}' ],
        [ 422, qr/json_invalid/, 'POST', '/auth/register', $json, '{' ],
        [ 404, qr/Not Found/, 'GET', "/nothing/$n", '' ],
        [ 405, qr/Method/, 'PATCH', '/users/me', $as ],
        [ 200, qr/"new_balance" : \d+/, 'PUT', '/users/balance', "$as${json}Idempotency-Key: $n\r\n", '{"amount":1}' ],
        [ 200, qr/"active": true/, 'POST', '/auth/introspect', "$as$form", "token=$me->{refresh_token}" ],
        [ 200, qr/"openapi"/, 'GET', '/openapi.json', '' ],
        [ 200, qr/"sessions"|"id"/, 'GET', '/auth/sessions', $as ],
        [ 404, qr/Not found/, 'GET', '/users/?limit=5&email=%40', $as ],
        [ 413, qr/too large/, 'POST', '/auth/register', $json, 'x' x 70000 ],
        [ 400, qr/Transfer-Encoding/, 'POST', '/auth/register', "Transfer-Encoding: chunked\r\n", 'GET /users/me HTTP/1.1' ],
    );
}

# Ask all of them once; what was wrong, and how many had their answer, a 503, or none.
sub round
{
    my ($me, $n) = @_;
    my ($wrong, %count) = ('', good => 0, refused => 0, none => 0);
    foreach (requests($me, $n))
    {
        my ($expected, $content, @request) = @$_;
        my ($status, $body) = ask(@request);
        my $others = $body =~ /user(\d)\@/ && "user$1\@example.com" ne $me->{email};
        if ($status eq $expected && $body =~ $content && !$others) { $count{good}++ }
        elsif ($status eq '503' && !$others) { $count{refused}++ }
        elsif ($status eq '0') { $count{none}++ }
        else { $wrong .= "$request[0] $request[1]: $status " . substr($body, 0, 200) . '; ' }
    }
    return "$count{good} $count{refused} $count{none} $wrong";
}

my $before = 0;
sub tally
{
    my ($what, @lines) = @_;
    my ($good, $refused, $none, $wrong) = (0, 0, 0, '');
    foreach (@lines)
    {
        /^(\d+) (\d+) (\d+) (.*)/ or die $_;
        $good += $1; $refused += $2; $none += $3;
        $wrong .= "$4\n" if $4 ne '';
    }
    faults(0, 0, 0);
    my $failed = failed() - $before;
    $before += $failed;
    is($wrong, '', "$what: $failed allocations failed; $good answers, $refused times 503, $none none");
    ok(kill(0, $shim), "$what: the shim lives");
    return ($good, $failed);
}

my ($good) = tally('enough memory', round($accounts[0], 0));
is($good, scalar(my @all = requests($accounts[0], 0)), 'enough memory: every answer is the one that it should be');
my @baseline = (count_in('fd'), count_in('task'));

# One allocation, and one with those that follow, wherever it is in a request, or in making a connection to the database.
foreach my $more (0, 3, 1000)
{
    my @lines;
    foreach my $nth (1 .. 40)
    {
        faults(0, $nth * ($nth > 20 ? 7 : 1), $more);
        push @lines, round($accounts[0], "$more-$nth");
    }
    tally('the nth allocation' . ($more ? " and $more more" : ''), @lines);
}

# Any, while four clients ask.
foreach my $per_million (500, 5000, 50000)
{
    faults($per_million, 0, 0);
    my @lines = $s->parallel(4, sub {
        my ($i) = @_;
        $socket = undef;
        my @mine = map { round($accounts[$i], "$per_million-$_") } 1 .. 15;
        my @sum = (0, 0, 0, '');
        foreach (@mine) { /^(\d+) (\d+) (\d+) (.*)/; $sum[0] += $1; $sum[1] += $2; $sum[2] += $3; $sum[3] .= $4 }
        return join ' ', @sum;
    });
    tally("$per_million of a million", @lines);
}

# And then there is memory again.
$socket = undef;
my $again = '';
for (1 .. 20) { $again = round($accounts[0], 'again'); last if $again =~ /^18 0 0 $/; select undef, undef, undef, 0.2 }
is($again, '18 0 0 ', 'afterwards: every answer is the one that it should be');
$socket = undef;
for (1 .. 50) { last if count_in('fd') <= $baseline[0] + 5; select undef, undef, undef, 0.1 }
# The pool's other connections to the database may have come since.
cmp_ok(count_in('fd'), '<=', $baseline[0] + 5, "descriptors: as before, $baseline[0], or five more");
is(count_in('task'), $baseline[1], "threads: $baseline[1]");
unlike($s->server_log, qr/PANIC|terminated by signal/, 'the server saw nothing of it');
is($s->stop_shim, 0, 'the shim ends as it should');
done_testing();
