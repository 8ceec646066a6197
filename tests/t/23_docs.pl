# The page /docs: what is served, under which headers, and nothing else; without a database, and without
# the viewer's files.  Stand-ins are served here: scripts/viewer gets the real ones.
use strict;
use warnings;
use AuthService;
use PostgreSQL::Test::Utils;
use Test::More;

my $s = AuthService->new('docs');
my $folder = PostgreSQL::Test::Utils::tempdir();
my %viewer = ('swagger-ui-bundle.js' => 'x' x 1_500_000, 'swagger-ui.css' => '.a{}', 'favicon-32x32.png' => "\x89PNG\r\n\0");
append_to_file("$folder/$_", $viewer{$_}) foreach keys %viewer;
append_to_file("$folder/secret.txt", 'Sesame');
$s->shim("--docs-dir=$folder", '--database-name=nowhere');

my $policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
foreach (
    [ '/docs', 'text/html; charset=utf-8', qr{<script src="docs/init\.js" defer></script>} ],
    [ '/docs/init.js', 'text/javascript; charset=utf-8', qr/SwaggerUIBundle\(\{/ ],
    [ '/docs/swagger-ui-bundle.js', 'text/javascript; charset=utf-8', $viewer{'swagger-ui-bundle.js'} ],
    [ '/docs/swagger-ui.css', 'text/css; charset=utf-8', $viewer{'swagger-ui.css'} ],
    [ '/docs/favicon-32x32.png', 'image/png', $viewer{'favicon-32x32.png'} ])
{
    my ($path, $type, $content) = @$_;
    my $answer = $s->request('GET', $path);
    my %headers = %{ $answer->{headers} };
    is($answer->{status}, 200, "$path: 200, without a database");
    is($headers{'content-type'}, $type, "$path: its type");
    ok(ref $content ? $answer->{content} =~ $content : $answer->{content} eq $content, "$path: its bytes");
    is($headers{'content-security-policy'}, $policy, "$path: Content-Security-Policy");
    is($headers{'x-content-type-options'}, 'nosniff', "$path: X-Content-Type-Options");
    is($headers{'referrer-policy'}, 'no-referrer', "$path: Referrer-Policy");
    is($headers{'cross-origin-opener-policy'}, 'same-origin', "$path: Cross-Origin-Opener-Policy");
    is($headers{'cache-control'}, $path =~ /^\/docs(?:\/init\.js)?$/ ? 'no-cache' : 'public, max-age=3600', "$path: Cache-Control");
    like($headers{etag}, qr/^"[0-9a-f]{16}"$/, "$path: ETag");

    my $head = $s->request('HEAD', $path);
    is("$head->{status} $head->{content}", '200 ', "HEAD $path");
    is($head->{headers}{$_}, $headers{$_}, "HEAD $path: $_") foreach qw(content-type content-length content-security-policy etag cache-control);
    is($headers{'content-length'}, length $answer->{content}, "$path: its length");

    foreach my $match ($headers{etag}, "W/$headers{etag}", "\"other\", $headers{etag}")
    {
        my $again = $s->request('GET', $path, headers => { 'If-None-Match' => $match });
        is("$again->{status} $again->{content}", '304 ', "$path: 304 for $match");
        is($again->{headers}{etag}, $headers{etag}, "$path: 304 with its ETag");
        is($again->{headers}{'content-length'} // $again->{headers}{'content-type'}, undef, "$path: 304 without a length and a type");
    }
    is($s->request('GET', $path, headers => { 'If-None-Match' => '"other"' })->{status}, 200, "$path: 200 for another tag");

    foreach my $method (qw(POST PUT PATCH DELETE OPTIONS))
    {
        my $refused = $s->request($method, $path);
        is("$refused->{status} $refused->{headers}{allow}", '405 GET, HEAD', "$method $path: 405");
        is_deeply($refused->{json}, { detail => 'Method Not Allowed' }, "$method $path: in JSON");
    }
    is($s->request('GET', "$path?url=http://example.com/x.json")->{content}, $answer->{content}, "$path: a query changes nothing");
}
my $page = $s->request('GET', '/docs')->{content};
unlike($page, qr/<script>|<style|\son\w+=|style=|https?:/, 'the page has nothing inline and nothing from elsewhere');
unlike($s->request('GET', '/docs/init.js')->{content}, qr/https?:|localStorage|innerHTML|eval/, 'nor has its script');

foreach ('/docs/', '/docs/secret.txt', '/docs/x', '/docs/../docs', '/docs/../secret.txt', '/docs/%2e%2e/%2e%2e/etc/passwd', '/docs/../../etc/passwd', '/docs//etc/passwd',
    '/docs%2finit.js', '/docs/init.js/', '/docs/init.js%00', '/docs/INIT.JS', '/docs/page.html', '/docs/swagger-ui-bundle.js.map', '/docs/.', '/init.js', '/swagger-ui.css')
{
    my $answer = $s->request('GET', $_);
    is($answer->{status}, 404, "$_: 404");
    is_deeply($answer->{json}, { detail => 'Not Found' }, "$_: in JSON");
}
# Several on one connection, a 304 among them: each ends where it should.
my ($etag) = $s->request('GET', '/docs')->{headers}{etag};
my $get = "GET /docs HTTP/1.1\r\nHost: x\r\n";
my ($bytes) = $s->raw("${get}If-None-Match: $etag\r\n\r\n${get}\r\nGET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n${get}Connection: close\r\n\r\n");
is(join(' ', $bytes =~ m{HTTP/1\.1 (\d+)}g), '304 200 200 200', 'on one connection: all answered');
like($s->shim_log, qr{"method":"HEAD","route":"/docs/init\.js","status":200}, 'the log has them');

# The files are opened at the start; what happens to their names later is felt at the next.  One that has become
# shorter ends its answer early, and nothing else.
truncate "$folder/swagger-ui-bundle.js", 3 or die;
my ($cut, $closed) = $s->raw("GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n");
ok($closed && $cut =~ /^HTTP\/1.1 200 .*\r\n\r\n.{3}\z/s, 'a file that is cut: what there is, and the end of the connection') or diag $cut;
is($s->request('GET', '/')->{status}, 200, 'and all else works');
unlink "$folder/swagger-ui.css";
is($s->request('GET', '/docs/swagger-ui.css')->{content}, '.a{}', 'a file that is gone: still served');
foreach ([ 'a missing file', $folder ], [ 'a missing folder', "$folder/nowhere" ], [ 'a folder in the place of a file', $folder ])
{
    my ($what, $where) = @$_;
    mkdir "$folder/swagger-ui.css" if $what =~ /place/;
    $s->shim("--docs-dir=$where");
    foreach my $path ('/docs', '/docs/init.js', '/docs/swagger-ui-bundle.js')
    {
        my $answer = $s->request('GET', $path);
        is($answer->{status}, 404, "$what: $path: 404");
        like($answer->{json}{detail}, qr/scripts\/viewer .* --docs-dir/, "$what: $path: says what to do");
        unlike($answer->{content}, qr/\Q$folder\E/, "$what: $path: and no path of the machine's");
    }
    is($s->request('GET', '/')->{status}, 200, "$what: all else works");
    like($s->shim_log, qr/"there is no \/docs: [^"]*","folder":"\Q$where\E"/, "$what: the log says so");
    $s->stop_shim;
}
done_testing();
