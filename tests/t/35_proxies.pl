# Whose address is the client's: what proxies write in X-Forwarded-For counts where the peer is one that is
# trusted, and there only back to the first that is not.
use strict;
use warnings;
use AuthService;
use Test::More;

my $s = AuthService->start('proxies');
$s->register('ann@example.com');

# The address in the log's line, and in the session, of a login with these lines in its head.
sub address
{
    my (@lines) = @_;
    my $body = '{"email":"ann@example.com","password":"Secret123"}';
    my $head = join '', map { "$_\r\n" } 'POST /auth/login HTTP/1.1', 'Host: x', 'Content-Type: application/json', 'Connection: close',
      'Content-Length: ' . length $body, @lines;
    my ($bytes) = $s->raw("$head\r\n$body");
    like($bytes, qr/^HTTP\/1\.1 200/, 'logged in') or diag $bytes;
    my @log = grep { /"request"/ } split /\n/, $s->shim_log;
    my ($logged) = $log[-1] =~ /"remote_address":"([^"]*)"/;
    my $stored = $s->sql('SELECT host(ip) FROM auth.sessions ORDER BY created_at DESC LIMIT 1');
    return $logged eq $stored ? $logged : "$logged in the log, $stored in the session";
}

my $forged = 'X-Forwarded-For: 192.0.2.1';
is(address($forged, 'X-Real-IP: 192.0.2.1', 'Forwarded: for=192.0.2.1', 'X-Client-IP: 192.0.2.1', 'CF-Connecting-IP: 192.0.2.1'),
    '127.0.0.1', 'no proxy is trusted: nothing of it counts');
$s->shim('--trusted-proxy=10.0.0.0/8,192.0.2.0/24');
is(address($forged), '127.0.0.1', 'others are trusted: neither');

$s->shim('--trusted-proxy=127.0.0.1, 10.0.0.0/8,2001:db8:1::/48');
foreach (
    [ 'no header', '127.0.0.1' ],
    [ 'other headers', '127.0.0.1', 'X-Real-IP: 192.0.2.1', 'Forwarded: for=192.0.2.1' ],
    [ 'one address', '192.0.2.1', $forged ],
    [ 'what the client claimed before', '192.0.2.7', 'X-Forwarded-For: 192.0.2.1, 198.51.100.3, 192.0.2.7' ],
    [ 'other trusted proxies', '192.0.2.7', 'X-Forwarded-For: 192.0.2.1, 192.0.2.7, 10.1.2.3, 10.255.255.255' ],
    [ 'nobody but trusted proxies', '10.1.2.3', 'X-Forwarded-For: 10.1.2.3,10.0.0.1' ],
    [ 'the first that is not in the network', '11.0.0.0', 'X-Forwarded-For: 192.0.2.1, 11.0.0.0,10.0.0.1' ],
    [ 'several headers', '192.0.2.7', 'X-Forwarded-For: 192.0.2.1', 'x-forwarded-for: 192.0.2.7', 'X-FORWARDED-FOR: 10.0.0.1' ],
    [ 'IPv6', '2001:db8::1', 'X-Forwarded-For: 2001:DB8:0:0::1' ],
    [ 'a trusted proxy of IPv6', '192.0.2.1', 'X-Forwarded-For: 192.0.2.1, 2001:db8:1:ffff::5' ],
    [ 'one that is none', '2001:db8:2::5', 'X-Forwarded-For: 192.0.2.1, 2001:db8:2::5' ],
    [ 'IPv4 in IPv6', '192.0.2.1', 'X-Forwarded-For: ::ffff:192.0.2.1' ],
    [ 'a trusted one so', '192.0.2.1', 'X-Forwarded-For: 192.0.2.1, ::ffff:10.0.0.1' ],
    [ 'ports and brackets', '2001:db8::1', 'X-Forwarded-For: 192.0.2.1, [2001:db8::1]:443, 10.0.0.1:65535, [2001:db8:1::2]' ],
    [ 'a port', '192.0.2.1', 'X-Forwarded-For: 192.0.2.1:80' ],
    [ 'blanks', '192.0.2.1', "X-Forwarded-For:   192.0.2.1  ,  10.0.0.1  " ],
    map { [ "'$_->[0]' is no address", $_->[1], "X-Forwarded-For: $_->[0]" ] } (
        [ 'unknown', '127.0.0.1' ], [ '', '127.0.0.1' ], [ ',', '127.0.0.1' ], [ '192.0.2.1,', '127.0.0.1' ], [ '192.0.2.1, unknown, 10.0.0.1', '10.0.0.1' ],
        [ '192.0.2.1 192.0.2.2', '127.0.0.1' ], [ '192.0.2', '127.0.0.1' ], [ '192.0.2.256', '127.0.0.1' ], [ '192.0.2.01', '127.0.0.1' ], [ '3221225985', '127.0.0.1' ],
        [ '0xc0.0.2.1', '127.0.0.1' ], [ '192.0.2.1:', '127.0.0.1' ], [ '192.0.2.1:x', '127.0.0.1' ], [ '192.0.2.1/8', '127.0.0.1' ], [ '[192.0.2.1]', '127.0.0.1' ],
        [ '[2001:db8::1', '127.0.0.1' ], [ '2001:db8::1]', '127.0.0.1' ], [ '[2001:db8::1]x', '127.0.0.1' ], [ '[2001:db8::1]:', '127.0.0.1' ], [ 'fe80::1%eth0', '127.0.0.1' ],
        [ '::1::2', '127.0.0.1' ], [ "'; DROP TABLE auth.users; --", '127.0.0.1' ], [ 'localhost', '127.0.0.1' ], [ '"192.0.2.1"', '127.0.0.1' ], [ '1' x 200, '127.0.0.1' ],
        [ '192.0.2.1,' x 1000 . '10.0.0.1', '192.0.2.1' ]))
{
    my ($what, $wanted, @lines) = @$_;
    is(address(@lines), $wanted, substr($what, 0, 80));
}

# And it is what guessing is counted by: one client behind the proxy is throttled, another is not, and what
# the first writes into the header himself changes nothing.
$s->sql('ALTER DATABASE auth_service SET auth_service.throttle_address_failures = 5');
$s->shim('--trusted-proxy=127.0.0.1');
sub guess
{
    my ($number, $forwarded) = @_;
    return $s->request('POST', '/auth/login', json => { email => "nobody$number\@example.com", password => 'Wrong123' },
        headers => { 'X-Forwarded-For' => $forwarded })->{status};
}
is(join(' ', map { guess($_, "198.51.100.$_, 203.0.113.1") } 1 .. 7), '401 401 401 401 401 429 429', 'a client who guesses is throttled, whoever he claims to be');
is(guess(8, '203.0.113.2'), 401, 'another one is not');
$s->sql('ALTER DATABASE auth_service SET auth_service.throttle_address_failures = 0');

# Networks of every width.
foreach ([ '127.0.0.0/8', 1 ], [ '127.0.0.1/32', 1 ], [ '0.0.0.0/0', 1 ], [ '126.0.0.0/7', 1 ], [ '127.0.0.2/31', 0 ], [ '127.0.0.0/31', 1 ], [ '128.0.0.0/1', 0 ], [ '::ffff:127.0.0.1', 1 ], [ '::/0', 1 ], [ '::1', 0 ])
{
    my ($network, $is_in) = @$_;
    $s->shim("--trusted-proxy=$network");
    my ($bytes) = $s->raw("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n");
    my $wanted = $is_in ? '203.0.113.9' : '127.0.0.1';
    like($s->shim_log, qr/"route":"\/".*"remote_address":"\Q$wanted\E"/, "127.0.0.1 is " . ($is_in ? '' : 'not ') . "in $network");
    $s->stop_shim;
}
foreach ('proxy.example.com', '10.0.0.0/33', '10.0.0/8', '10.0.0.0/', '10.0.0.0/-1', '10.0.0.0/8x', '::/129', '10.0.0.1:80', '[::1]', '10.0.0.1;10.0.0.2', '*')
{
    my ($status, undef, $error) = $s->command('serve', "--trusted-proxy=$_");
    is($status, 2, "refused: $_");
    like($error, qr/--trusted-proxy takes addresses and networks .*"\Q$_\E"/, 'and said so');
}
done_testing();
