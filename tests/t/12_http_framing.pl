# Where a request ends: civetweb drops headers silently, so a request whose head was not understood to
# the last byte must be refused and its connection closed, or its body becomes the next request
# (RFC 9112, 11.2).  Each case carries a second request where a body would be: one answer only.
use strict;
use warnings;
use AuthService;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(sleep time);

my $s = AuthService->start('framing', arguments => [ '--request-timeout=2', '--keep-alive-timeout=2' ]);
my $smuggled = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n";
my $length = length $smuggled;
my $post = "POST /auth/logout HTTP/1.1\r\nHost: x\r\n";

sub answers { my ($bytes) = @_; return $bytes =~ m{HTTP/1\.1 (\d+)}g }

foreach (
    [ 'a folded line', "${post}A: b\r\n folded\r\nContent-Length: $length\r\n\r\n" ],
    [ 'a line folded by a tab', "${post}A: b\r\n\tfolded\r\nContent-Length: $length\r\n\r\n" ],
    [ 'a line without a name', "$post: x\r\nContent-Length: $length\r\n\r\n" ],
    [ 'a line without a colon', "${post}nonsense\r\nContent-Length: $length\r\n\r\n" ],
    [ 'a name with a blank', "${post}A b: x\r\nContent-Length: $length\r\n\r\n" ],
    [ 'a blank before the colon', "${post}Content-Length : $length\r\n\r\n" ],
    [ '64 headers before it', $post . join('', map { "H$_: x\r\n" } 1 .. 63) . "Content-Length: $length\r\n\r\n" ],
    [ '200 headers before it', $post . join('', map { "H$_: x\r\n" } 1 .. 200) . "Content-Length: $length\r\n\r\n" ],
    [ 'an empty line before it', "\r\n${post}\r\n" ],
    [ 'a blank before it', " ${post}\r\n" ],
    [ 'the end of a head before it', "\r\n\r\n${post}Content-Length: $length\r\n\r\n" ],
    [ 'nothing but ends of heads', "\r\n\r\n\r\n\r\n" ],
    [ 'a lone LF', "${post}A: b\nContent-Length: $length\r\n\r\n" ],
    [ 'two lone LFs', "POST /auth/logout HTTP/1.1\nHost: x\n\n" ],
    [ 'a lone CR', "${post}A: b\rContent-Length: $length\r\n\r\n" ],
    [ 'a folded first line', "POST /auth/logout HTTP/1.1\r\n Host: x\r\nContent-Length: $length\r\n\r\n" ],
    [ 'two lengths', "${post}Content-Length: 0\r\nContent-Length: $length\r\n\r\n" ],
    [ 'two equal lengths', "${post}Content-Length: $length\r\nContent-Length: $length\r\n\r\n" ],
    [ 'chunked', "${post}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" ],
    [ 'chunked and a length', "${post}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" ],
    [ 'a length and chunked', "${post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" ],
    [ 'identity', "${post}Transfer-Encoding: identity\r\nContent-Length: $length\r\n\r\n" ],
    [ 'identity and chunked', "${post}Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" ],
    [ 'xchunked', "${post}Transfer-Encoding: xchunked\r\n\r\n" ],
    [ 'no Host', "POST /auth/logout HTTP/1.1\r\n\r\n" ],
    [ 'two Hosts', "${post}Host: y\r\n\r\n" ],
    [ 'a Host with a blank', "POST /auth/logout HTTP/1.1\r\nHost: a b\r\n\r\n" ],
    [ 'a Host with a comma', "POST /auth/logout HTTP/1.1\r\nHost: a,b\r\n\r\n" ],
    [ 'two Authorizations', "${post}Authorization: Bearer x\r\nAuthorization: Bearer y\r\n\r\n" ],
    [ 'two Idempotency-Keys', "${post}Idempotency-Key: x\r\nIdempotency-Key: x\r\n\r\n" ],
    [ 'two blanks behind the method', "POST  /auth/logout HTTP/1.1\r\nHost: x\r\n\r\n" ],
    [ 'a NUL', "${post}A: b\0c\r\n\r\n" ],
    [ 'a control character', "${post}A: b\x01c\r\n\r\n" ],
    [ 'no version', "POST /auth/logout\r\nHost: x\r\n\r\n" ],
    [ 'an unknown method', "BREW / HTTP/1.1\r\nHost: x\r\n\r\n" ],
    [ 'rubbish', "\x16\x03\x01\x02\x00\r\n\r\n" ],
    map { [ "a length of '$_'", "${post}Content-Length: $_\r\n\r\n" ] }
      ('5abc', '+5', '-0', '-1', '0x5', '5,5', '5 5', '', '1e1', '٥', '99999999999999999999', '18446744073709551621'))
{
    my ($what, $head) = @$_;
    my ($bytes, $closed) = $s->raw($head . $smuggled);
    is(join(' ', answers($bytes)), '400', "$what: 400, and no second answer");
    ok($closed, "$what: closed");
    like($bytes, qr/Connection: close\r\n(?:.*\r\n)?\r\n\{"detail":"[^"]+"\}$/s, "$what: said so, in JSON");
}
my ($bytes, $closed) = $s->raw("GET / HTTP/2.0\r\nHost: x\r\n\r\n$smuggled");
is(join(' ', answers($bytes)), '505', 'another version: 505');
($bytes, $closed) = $s->raw("GET / HTTP/1.1\r\nHost: x\r\nA: " . 'a' x 20000 . "\r\n\r\n");
like(join(' ', answers($bytes)), qr/^4\d\d$/, 'a head of 20 KB: 4xx');
ok($closed, 'a head of 20 KB: closed');

# What is fine stays open.
foreach (
    [ '63 headers', "GET / HTTP/1.1\r\nHost: x\r\n" . join('', map { "H$_: x\r\n" } 1 .. 62) . "\r\n" ],
    [ 'an empty value', "GET / HTTP/1.1\r\nHost: x\r\nA:\r\n\r\n" ],
    [ 'blanks around a value', "GET / HTTP/1.1\r\nHost:   x\r\n\r\n" ],
    [ 'a query', "GET /?a=b HTTP/1.1\r\nHost: x\r\n\r\n" ],
    [ 'a length of 0', "${post}Content-Length: 0\r\n\r\n" ],
    [ 'a body nobody reads', "${post}Content-Length: 5\r\n\r\nabcde" ],
    [ 'a 404 with a body', "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde" ],
    [ 'a 405 with a body', "DELETE / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde" ],
    [ 'Connection: keep-alive, twice', "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\nConnection: closed, keep-alive\r\n\r\n" ],
    [ 'HEAD', "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n" ],
    [ 'absolute form', "GET http://127.0.0.1:$s->{port}/ HTTP/1.1\r\nHost: x\r\n\r\n" ])
{
    my ($what, $request) = @$_;
    ($bytes, $closed) = $s->raw($request . $smuggled);
    my @answers = answers($bytes);
    is(scalar @answers, 2, "$what: and the next request is answered") or diag $bytes;
    ok(!$closed, "$what: the connection stays");
}
foreach ([ 'HTTP/1.0', "GET / HTTP/1.0\r\n\r\n" ], [ 'Connection: close', "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" ],
    map({ [ "Connection: $_", "GET / HTTP/1.1\r\nHost: x\r\n" . join('', map { "Connection: $_\r\n" } split m{ / }) . "\r\n" ] }
      'keep-alive / close', 'close / keep-alive', 'keep-alive, close', 'Keep-Alive / x,Close', 'keep-alive / x / close , y'),
    [ 'an upgrade', "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n\r\n" ])
{
    ($bytes, $closed) = $s->raw($_->[1]);
    like($bytes, qr/^HTTP\/1\.1 200 OK\r\n.*Connection: close/s, "$_->[0]: answered");
    ok($closed, "$_->[0]: and closed");
}

# A hundred in one write, then one that is malformed.
($bytes, $closed) = $s->raw($smuggled x 100 . "GET / HTTP/1.1\r\n\r\n" . $smuggled, 1);
my @answers = answers($bytes);
is(scalar @answers, 101, 'pipelined: every one is answered, up to the malformed one');
is($answers[-1], 400, 'pipelined: which is refused');

# Expectations.
my $login = '{"email":"a@b.co","password":"x"}';
my $head = "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: " . length($login) . "\r\n";
($bytes) = $s->raw("${head}Expect: 100-continue\r\n\r\n$login");
is(join(' ', answers($bytes)), '100 401', 'Expect: 100-continue');
($bytes, $closed) = $s->raw("${head}Expect: tea\r\n\r\n$login");
is(join(' ', answers($bytes)), '417', 'Expect: something else');

# Too large: answered at once, without waiting for the body, and whole for who sends it all.
my $begin = time;
($bytes, $closed) = $s->raw("POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n\r\n", 0.3);
is(join(' ', answers($bytes)), '413', '10 GB announced: 413');
cmp_ok(time - $begin, '<', 1, '10 GB announced: at once');

# Bodies that do not come, or byte by byte, end at the deadline; others are served meanwhile.
sub open_slow { my $x = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->{port}) or die; $x->syswrite($_[0]); return $x }
($bytes, $closed) = $s->raw("${head}\r\n{", 5);
is(join(' ', answers($bytes)), '408', 'a body that stops: 408');
my @slow = map { open_slow("${head}\r\n") } 1 .. 120;
$begin = time;
local $SIG{PIPE} = 'IGNORE';
my ($slowest, $gone) = (0, 0);
while (time - $begin < 4)
{
    $_->syswrite('{') foreach @slow;
    my $asked = time;
    is($s->request('GET', '/health/ready')->{status}, 200, 'slow bodies: /health/ready is answered') if $slowest == 0;
    $s->request('GET', '/health/ready');
    my $took = time - $asked;
    $slowest = $took if $took > $slowest;
    sleep 0.3;
}
cmp_ok($slowest, '<', 1, 'slow bodies: within a second');
foreach (@slow)
{
    my $got = '';
    my $select = IO::Select->new($_);
    while ($select->can_read(1)) { last if !$_->sysread($got, 65536, length $got) }
    $gone++ if $got =~ /^HTTP\/1\.1 408/;
}
is($gone, 120, 'slow bodies: each got its 408');

# A head that does not end, and idle connections.
foreach ([ 'half a head', "GET / HTTP/1.1\r\nHost:", 408 ], [ 'an idle connection', $smuggled, 200 ])
{
    $begin = time;
    ($bytes, $closed) = $s->raw($_->[1], 6);
    ok($closed && time - $begin < 5, "$_->[0]: closed in time");
    is(join(' ', answers($bytes)), $_->[2], "$_->[0]: $_->[2]");
}

# White space before a request: civetweb skips it and parses on behind what it has received, where another
# client's request may still stand in the thread's buffer.  One thread, so that the buffer is the same.
$s->shim('--threads=1', '--request-timeout=2');
my $private = "GET /health/live HTTP/1.1\r\nHost: x\r\nX-Request-ID: VICTIM\r\n";
my $first = "${private}X-Fill: " . 'a' x 200 . "\r\n\r\n";
my $second = "${private}Connection: close\r\n\r\n";
foreach my $blanks (' ' x (length($first) - 4) . "\r\n\r\n", "\r\n" x (length($first) / 2) . "\r\n", "\n" x length($first))
{
    ($bytes) = $s->raw("$first$second", 1);
    is(join(' ', answers($bytes)), '200 200', 'a thread of its own: the victim is answered');
    ($bytes, $closed) = $s->raw($blanks, 1);
    unlike($bytes, qr/VICTIM|"status":"live"/, 'and who sends white space after it gets nothing of his');
    ok($closed, 'but is closed');
}
done_testing();
