# Heads of every kind, byte by byte: how long they may be, which targets there are, what no request of ours
# is, and that whatever is refused is refused in the one form, in JSON, with a line in the log that nothing
# in it can break.  What AuthService::raw gets is held against the OpenAPI document.
use strict;
use warnings;
use AuthService;
use JSON::PP ();
use Test::More;

my $s = AuthService->start('heads', arguments => ['--keep-alive-timeout=3']);
$s->register('ann@example.com');
my $token = $s->login('ann@example.com')->{access_token};
my $next = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n";

# The statuses of what comes back, and whether the connection was closed.
sub statuses { my ($bytes, $closed) = $s->raw($_[0], $_[1]); return (join(' ', $bytes =~ m{HTTP/1\.1 (\d+)}g), $closed, $bytes) }

# A request that is answered, and the next one on the connection too.
sub goes_on { my ($what, $wanted, $bytes) = @_; my ($got, $closed) = statuses($bytes . $next); ok($got eq "$wanted 200" && !$closed, "$what: $wanted, and goes on") or diag $got }

# One that is refused: the connection ends with it.
sub ends { my ($what, $wanted, $bytes) = @_; my ($got, $closed) = statuses($bytes . $next); ok($got =~ /^(?:$wanted)$/ && $closed, "$what: $wanted, and ends") or diag "$got, closed: $closed" }

# Limits.
my $line = "GET / HTTP/1.1\r\n";
my $host = "Host: x\r\n";
goes_on('63 headers', 200, $line . $host . join('', map { "H$_: x\r\n" } 1 .. 62) . "\r\n");
ends("$_ headers", 400, $line . $host . join('', map { "H$_: x\r\n" } 2 .. $_) . "\r\n") foreach 64, 65, 200;
goes_on('a name of 8 KB', 200, "$line$host" . 'n' x 8192 . ": x\r\n\r\n");
goes_on('a value of 15 KB', 200, "$line${host}A: " . 'a' x 15360 . "\r\n\r\n");
goes_on('a head of 16384 bytes', 200, "$line${host}A: " . 'a' x (16384 - length("$line${host}A: ")) . "\r\n\r\n");
ends('a byte more', 431, "$line${host}A: " . 'a' x (16385 - length("$line${host}A: ")) . "\r\n\r\n");
ends('a head of 31 KB', 431, "$line${host}A: " . 'a' x 31000 . "\r\n\r\n");
ends('a head of 100 KB', '4\d\d', "$line${host}A: " . 'a' x 100_000 . "\r\n\r\n");
goes_on('a target of 12288 bytes', 200, 'GET /?' . 'q' x 12287 . " HTTP/1.1\r\n$host\r\n");
ends('a longer one', 414, 'GET /?' . 'q' x 12288 . " HTTP/1.1\r\n$host\r\n");
ends('a path of 15 KB', 414, 'GET /' . 'p' x 15360 . " HTTP/1.1\r\n$host\r\n");

# Targets that are none of ours.
ends('OPTIONS *', 204, "OPTIONS * HTTP/1.1\r\n$host\r\n");
ends('GET *', 400, "GET * HTTP/1.1\r\n$host\r\n");
ends('another server', 421, "GET http://example.com/ HTTP/1.1\r\n$host\r\n");
ends('another server with a body', 421, "POST http://example.com/auth/login HTTP/1.1\r\n${host}Content-Length: " . length($next) . "\r\n\r\n");
ends("OPTIONS * with two Hosts", 400, "OPTIONS * HTTP/1.1\r\n$host$host\r\n");
ends('an authority', 400, "CONNECT example.com:443 HTTP/1.1\r\n$host\r\n");
ends("a target of '$_'", 400, "GET $_ HTTP/1.1\r\n$host\r\n") foreach 'auth/me', '\\auth\\me', 'http://', 'mailto:a@b.co', '?x', '.';
my (undef, undef, $bytes) = statuses("OPTIONS * HTTP/1.1\r\n$host\r\n");
like($bytes, qr/\r\nAllow: GET, HEAD, POST, PUT, DELETE\r\n/, 'OPTIONS *: what there is');
(undef, undef, $bytes) = statuses("GET http://example.com/ HTTP/1.1\r\n$host\r\n");
like($bytes, qr/\r\nConnection: close\r\n\r\n\{"detail":"Misdirected Request"\}$/s, 'another server: said so in JSON');

# Other protocols.
ends('HTTP/2 without asking', '400|505', "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
ends("Upgrade: $_", 200, "${line}${host}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: $_\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n") foreach 'h2c', 'HTTP/2.0', 'TLS/1.0', 'websocket';
ends('a web socket', 404, "GET /socket HTTP/1.1\r\n${host}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
ends('a web socket to what there is', 200, "GET /health/live HTTP/1.1\r\n${host}Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
ends("version $_", '400|505', "GET / $_\r\n$host\r\n") foreach 'HTTP/0.9', 'HTTP/1.2', 'HTTP/3', 'HTTP/1.10', 'http/1.1', 'HTTPS/1.1', 'ICY';
ends("method $_", '400|405', "$_ / HTTP/1.1\r\n$host\r\n") foreach 'get', 'GETS', 'G', 'TRACE', 'TRACK', 'DEBUG', "G\xe9T", 'GET,POST', '';
goes_on("method $_", 405, "$_ / HTTP/1.1\r\n$host\r\n") foreach 'PROPFIND', 'MKCOL', 'PATCH', 'DELETE', 'PUT';

# Percent signs and bytes: a path is what was sent, never what it may mean.
foreach ([ '/auth/me', 200 ], [ '/auth%2Fme', 404 ], [ '/%61uth/me', 404 ], [ '/auth/me%00', 404 ], [ '/auth/me%0d%0aX:%20y', 404 ], [ '/auth/%c0%af..', 404 ], [ '/auth\\me', 404 ],
    [ '/auth/me/%2e%2e/me', 404 ], [ '/auth/me%', 404 ], [ '/auth/me#x', 404 ], [ '/auth/me?%00%0d%0a', 200 ], [ '/%%%%', 404 ], [ '/auth//me', 404 ], [ '/../auth/me', 404 ], [ '/auth/me;x=1', 404 ])
{
    goes_on("GET $_->[0]", $_->[1], "GET $_->[0] HTTP/1.1\r\n${host}Authorization: Bearer $token\r\n\r\n");
}
foreach ("/auth/m\xc3\xa9", "/auth/me\xff", "/auth/me?\xc0\xaf")
{
    my ($got) = statuses("GET $_ HTTP/1.1\r\n${host}Authorization: Bearer $token\r\n\r\n");
    like($got, qr/^(?:200|4\d\d)$/, 'raw bytes above 127: ' . $got);
}
ends('a raw NUL in the path', 400, "GET /auth/me\0.css HTTP/1.1\r\n$host\r\n");
ends('a raw ESC in the path', 400, "GET /\e[2J HTTP/1.1\r\n$host\r\n");

# HEAD wherever there is GET: the head of GET's answer, no byte of its body, and the next answer in its place.
my $document = JSON::PP->new->decode($s->request('GET', '/openapi.json')->{content});
my @paths = grep { $document->{paths}{$_}{get} && !/\{/ } sort keys %{ $document->{paths} };
cmp_ok(scalar @paths, '>', 10, 'there are routes with GET');
foreach my $path (@paths, '/docs', '/nowhere')
{
    my %head;
    foreach my $method ('HEAD', 'GET')
    {
        my (undef, $closed, $all) = statuses("$method $path HTTP/1.1\r\n${host}Authorization: Bearer $token\r\n\r\n$next");
        my ($head, $rest) = $all =~ /^(.*?\r\n)\r\n(.*)$/s;
        like($rest, $method eq 'HEAD' ? qr/^HTTP\/1\.1 200 OK\r\n/ : qr/^(?!HTTP\/1\.1).*HTTP\/1\.1 200 OK\r\n/s, "$method $path: the next answer is where it belongs");
        $head =~ s/^(?:Date|X-Request-ID): [^\r]*\r\n//mg;
        $head =~ s/^Content-Length: \d+\r\n//mg if $path eq '/users/me' || $head =~ /^HTTP\/1\.1 404/; # a time, an id
        $head{$method} = $head;
    }
    is($head{HEAD}, $head{GET}, "HEAD $path: the head of GET's answer");
}

# A hundred logins in one write, then what is none: each is answered, in order, and the last is refused.
my $login = '{"email":"ann@example.com","password":"Secret123"}';
my $post = "POST /auth/login HTTP/1.1\r\n${host}Content-Type: application/json\r\nContent-Length: " . length($login) . "\r\n";
my $hundred = join '', map { "${post}X-Request-ID: login-$_\r\n\r\n$login" } 1 .. 100;
my ($got, $closed, $all) = statuses("$hundred${post}A : b\r\n\r\n$login$next", 10);
is($got, '200 ' x 100 . '400', 'a hundred logins and a malformed one: as many answers');
is(join(' ', $all =~ /X-Request-ID: login-(\d+)/g), join(' ', 1 .. 100), 'in order');
ok($closed, 'and then it is closed');

# The log: one line of JSON each, whatever was in the request.
my $before = () = $s->shim_log =~ /\n/g;
foreach my $evil ("%0d%0a{\"level\":\"error\"}", "%1b[2J", "\xe2\x80\xa8", '"}', "\\", '%n%s')
{
    $s->raw("GET /$evil?$evil HTTP/1.1\r\n${host}User-Agent: $evil\r\nReferer: $evil\r\nX-Request-ID: $evil\r\nX-Forwarded-For: $evil\r\nOrigin: $evil\r\nConnection: close\r\n\r\n");
}
my @lines = split /\n/, $s->shim_log;
is(@lines - $before, 6, 'six requests, six lines');
ok((!grep { !eval { JSON::PP->new->decode($_) } } @lines[ $before .. $#lines ]), 'of JSON each');
ok((!grep { /2J|level.*level|\\n|\xe2|%/ } @lines[ $before .. $#lines ]), 'with nothing of what was sent in them');
done_testing();
