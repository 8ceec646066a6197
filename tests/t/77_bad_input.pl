# Tables of bad input over HTTP: JSON, numbers and ids, members that nobody asked for, naughty strings, e-mail
# addresses.  Each case has its status in the table; none is a 5xx, changes what it must not, or answers with
# what is another's.
use strict;
use warnings;
use utf8;
use AuthService;
use Encode qw(encode_utf8);
use JSON::PP ();
use Test::More;

my $s = AuthService->start('bad', arguments => ['--rpc-schema=api']);
$s->sql('ALTER DATABASE auth_service SET auth_service.throttle_address_failures = 0; ALTER DATABASE auth_service SET auth_service.throttle_account_failures = 0');
$s->sql(q(CREATE SCHEMA api; CREATE FUNCTION api.echo(t text, n bigint = 0) RETURNS text LANGUAGE sql STABLE RETURN t));
$s->command('init-db', '--rpc-schema=api');
$s->stop_shim;
$s->shim('--rpc-schema=api');
$s->{openapi} = OpenAPI->new($s->request('GET', '/openapi.json')->{content});
my %id = map { $_ => $s->register("$_\@example.com") } 'ann', 'bob', 'root';
$s->sql("SELECT auth.set_role($id{root}, 'admin')");
my %token = map { $_ => $s->login("$_\@example.com")->{access_token} } keys %id;
$s->request('PUT', '/users/balance', token => $token{ann}, json => { amount => 5 });

# Everything that a call could change, but for when somebody was last seen.
sub fingerprint
{
    return $s->sql(q(SELECT md5(string_agg(x, E'\n' ORDER BY x)) FROM (
        SELECT (to_jsonb(u) - 'last_activity_at')::text FROM auth.users u UNION ALL SELECT e::text FROM auth.balance_entries e
        UNION ALL SELECT s.id::text FROM auth.sessions s) r (x)));
}
sub unchanged { my ($before, $what) = @_; is(fingerprint(), $before, "$what: nobody's account changed"); return }
# A short name for any string.
sub show { my ($text) = @_; $text = length $text > 50 ? substr($text, 0, 40) . '... (' . length($text) . ')' : $text; return $text =~ s/([^ -~])/sprintf '<%X>', ord $1/ger }

# Is the answer of this status, and does it tell nothing of others?
sub answers
{
    my ($status, $what, $method, $path, %options) = @_;
    my $answer = $s->request($method, $path, %options);
    my $wanted = ref $status ? $answer->{status} =~ $status : $answer->{status} == $status;
    ok($wanted, "$what: $answer->{status}") or diag "$method $path: wanted $status: $answer->{content}";
    unlike($answer->{content}, qr/bob\@example|\$2a\$|pg_catalog|syntax error/, "$what: nothing of others, nor of ours") if $path !~ m{^/users/?\?|^/rpc} && ($options{token} // '') ne $token{bob};
    return $answer;
}

# ---- JSON ---------------------------------------------------------------------------------------------------------

my @routes = (
    [ 'POST', '/auth/register' ], [ 'POST', '/auth/login' ], [ 'POST', '/auth/refresh' ], [ 'POST', '/auth/change-password' ],
    [ 'POST', '/auth/revoke' ], [ 'POST', '/auth/introspect', 'ann' ], [ 'PUT', '/users/profile', 'ann' ], [ 'PUT', '/users/balance', 'ann' ],
    [ 'PUT', "/admin/users/$id{bob}/role", 'root' ], [ 'PUT', "/admin/users/$id{bob}/balance", 'root' ], [ 'POST', '/rpc/echo', 'ann' ]);

# What is no JSON object: 422, but where it is no UTF-8 or too deep.
my @malformed = (
    (map { [ 422, $_ ] } ' ', "\t\r\n", '{', '}', '[', ']', '{]', '[}', '{"a"', '{"a":', '{"a":1', '{"a":1,', '{"a":1,}', '{,}', '{"a" 1}', '{"a":1 "b":2}', q({'a':1}), '{a:1}',
        '{"a":1}x', '{"a":1}{}', '{"a":1}]', '{"a":1}}', '{"a":1},', '{"a":1} // end', '/* begin */ {"a":1}', '{"a":/**/1}', '{"a":NaN}', '{"a":Infinity}', '{"a":-Infinity}', 'NaN',
        '{"a":nul}', '{"a":True}', '{"a":TRUE}', 'undefined', '{"a":01}', '{"a":-01}', '{"a":1.}', '{"a":.5}', '{"a":+1}', '{"a":1e}', '{"a":1e+}', '{"a":0x1}', '{"a":-}', '{"a":1_000}',
        '{"a":--1}', '{"a":1 000}', "{\"a\":\"\x01\"}", "{\"a\":\"\n\"}", "{\"a\":\"\t\"}", '{"a":"\x"}', '{"a":"\u12"}', '{"a":"\u12g4"}', '{"a":"\U0041"}', '{"a":"\ud800"}', '{"a":"\udc00"}',
        '{"a":"\udc00\ud800"}', '{"a":"\ud800\u0041"}', '{"a":"\u0000"}', '{"\u0000":1}', '{"a":"b}', '{"a":"b\"}', '{a":"b"}', '{"a":"b",:}', '{:1}', '{1:1}', '{null:1}', '{"a":[1,]}', '{"a":[,1]}',
        '{"a":{"b":}}', '"a string"', '5', '-0', '1e400', 'null', 'true', 'false', '[]', '[{}]', '[null]', '[[[[[]]]]]', '[' x 500 . ']' x 500, "\f{}", "\x0b{}"),
    [ 422, "\xef\xbb\xbf{\"a\":1}", 'a byte order mark' ], [ 422, "{\0}", 'a NUL' ], [ 422, "{\"a\":\"b\0c\"}", 'a NUL in a string' ], [ 422, "{\"a\":1}\0", 'a NUL behind' ],
    [ qr/^4(?:00|22)$/, Encode::encode('UTF-16LE', '{"a":"b"}'), 'UTF-16, little end first' ], [ qr/^4(?:00|22)$/, Encode::encode('UTF-16', '{"a":"b"}'), 'UTF-16 with its mark' ],
    [ qr/^4(?:00|22)$/, Encode::encode('UTF-32', '{"a":"b"}'), 'UTF-32' ],
    (map { [ 400, "{\"a\":\"$_\"}", 'bytes that are no UTF-8, ' . unpack 'H*', $_ ] } "\xff", "\x80", "\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xfe\xff"),
    [ 400, '[' x 60000, '60,000 open brackets' ], [ 422, '{"a":' x 12000, '12,000 objects in each other' ], [ 400, '[' x 30000 . ']' x 30000, '30,000 arrays in each other' ], [ 413, '[' x 100_000, '100,000 open brackets' ],
    [ 413, '{"a":"' . 'x' x 100_000 . '"}', 'a long string' ], [ 422, '"' . 'x' x 60_000 . '"', 'a long string for itself' ]);
my $before = fingerprint();
foreach (@routes)
{
    my ($method, $path, $who) = @$_;
    foreach (@malformed, $path =~ /^.rpc/ ? () : [ 422, '' ])
    {
        my ($status, $body, $name) = @$_;
        answers($status, "JSON: $path: " . ($name // show($body)), $method, $path, body => $body, type => 'application/json', $who ? (token => $token{$who}) : ());
    }
    # A whole object, with nothing in it that is asked for.
    foreach ('{}', '{"":""}', $path =~ /rpc/ ? () : '{"a":"\ud83d\ude00","\u0061":2}', '{"a":' . '[' x 500 . ']' x 500 . '}', '{"a":1e400,"b":-0,"c":1E-400,"d":123456789012345678901234567890}', '{"' . 'x' x 60_000 . '":1}',
        '{' . join(',', map { "\"k$_\":$_" } 1 .. 4000) . '}')
    {
        answers($path eq '/users/profile' ? 400 : $path =~ /rpc/ ? 404 : 422, "JSON: $path: " . show($_), $method, $path, body => $_, type => 'application/json', $who ? (token => $token{$who}) : ());
    }
}
# Twice the same member, of which another reader would take the other.
foreach (
    [ 'POST', '/auth/login', '"email":"ann@example.com","email":"bob@example.com","password":"Secret123"' ], [ 'POST', '/auth/login', '"email":"ann@example.com","password":"Secret123","password":"Secret123"' ],
    [ 'POST', '/auth/login', '"email":"ann@example.com","\u0065mail":"ann@example.com","password":"Secret123"' ], [ 'POST', '/auth/register', '"email":"x@example.com","password":"Secret123","password":null' ],
    [ 'POST', '/auth/change-password', '"email":"ann@example.com","email":"bob@example.com","old_password":"Secret123","new_password":"Secret124"' ],
    [ 'PUT', '/users/balance', '"amount":1,"amount":2', 'ann' ], [ 'PUT', '/users/profile', '"first_name":"A","first_name":"B","last_name":"C"', 'ann' ], [ 'PUT', "/admin/users/$id{bob}/role", '"role":"user","role":"admin"', 'root' ])
{
    my ($method, $path, $members, $who) = @$_;
    answers(422, "JSON: twice: $path $members", $method, $path, body => "{$members}", type => 'application/json', $who ? (token => $token{$who}) : ());
}
# Another type in each field.
my %fields = ('/auth/register' => [qw(email password first_name last_name)], '/auth/login' => [qw(email password)], '/auth/refresh' => ['refresh_token'], '/auth/change-password' => [qw(email old_password new_password)],
    '/auth/revoke' => ['token'], '/auth/introspect' => ['token'], '/users/profile' => [qw(first_name last_name)], "/admin/users/$id{bob}/role" => ['role']);
foreach (grep { $fields{ $_->[1] } } @routes)
{
    my ($method, $path, $who) = @$_;
    foreach my $field (@{ $fields{$path} })
    {
        foreach my $value ('0', '1', '1.5', 'true', 'false', '[]', '{}', '["ann@example.com"]', '{"$ne":null}', '[{"a":1}]')
        {
            my %others = map { ($_ => '"Secret123"') } @{ $fields{$path} };
            $others{email} = '"ann@example.com"' if $others{email};
            $others{$field} = $value;
            answers(422, "JSON: $path: $field is $value", $method, $path, body => '{' . join(',', map { "\"$_\":$others{$_}" } sort keys %others) . '}', type => 'application/json', $who ? (token => $token{$who}) : ());
        }
    }
}
unchanged($before, 'JSON');

# ---- Numbers and ids -----------------------------------------------------------------------------------------------

my $balance = 5;
foreach (
    [ '9223372036854775807', 400 ], [ '9223372036854775808', 422 ], [ '-9223372036854775808', 400 ], [ '-9223372036854775809', 422 ], [ '18446744073709551616', 422 ], [ '18446744073709551617', 422 ], [ '1e400', 422 ],
    [ '-1e400', 422 ], [ '1e3', 200, 1000 ], [ '1.0', 200, 1 ], [ '10e-1', 200, 1 ], [ '1.5', 422 ], [ '1e-400', qr/^(?:200|422)$/, 0 ], [ '-0', 200, 0 ], [ '-0.0', 200, 0 ], [ '0', 200, 0 ], [ '"1"', 200, 1 ],
    [ '" 1 "', 200, 1 ], [ '"+1"', 200, 1 ], [ '"01"', 200, 1 ], [ '01', 422 ], [ '+1', 422 ], [ '"1.0"', 422 ], [ '"1e3"', 422 ], [ '""', 422 ], [ '" "', 422 ], [ '"0x1"', 422 ], [ '"1_0"', 422 ], [ '"-"', 422 ],
    [ '"1 1"', 422 ], [ '"٣"', 422 ], [ '"１"', 422 ], [ '"1\u00a0"', 422 ], [ '"²"', 422 ], [ '"NaN"', 422 ], [ '"Infinity"', 422 ], [ '9007199254740993', 200, 9007199254740993 ], [ '-9007199254740993', 200, -9007199254740993 ],
    [ '9007199254740993.0', 422 ], [ '9.3e18', 422 ], [ 'true', 422 ], [ 'false', 422 ], [ 'null', 422 ], [ '[]', 422 ], [ '[1]', 422 ], [ '{}', 422 ], [ '"' . '0' x 5000 . '1"', 200, 1 ], [ '1' . '0' x 5000, 422 ], [ '-6000', 400 ])
{
    my ($amount, $status, $change) = @$_;
    my $answer = answers($status, 'amount ' . show($amount), 'PUT', '/users/balance', token => $token{ann}, body => encode_utf8("{\"amount\":$amount}"), type => 'application/json');
    $balance += $change // 0 if $answer->{status} == 200;
    is($s->request('GET', '/users/balance', token => $token{ann})->{json}{balance}, $balance, 'amount ' . show($amount) . ": the balance is $balance");
}
$before = fingerprint();
foreach my $deed ('POST /admin/block/%s', 'POST /admin/unblock/%s', 'POST /admin/restore/%s', 'PUT /admin/users/%s/role', 'PUT /admin/users/%s/balance')
{
    my ($method, $path) = split / /, $deed;
    foreach (
        [ '9223372036854775807', 404 ], [ '9223372036854775808', 422 ], [ '-9223372036854775808', 404 ], [ '-9223372036854775809', 422 ], [ '18446744073709551616', 422 ], [ '1844674407370955161' . (6 + $id{bob}), 422 ],
        [ '4294967296', 404 ], [ '1e3', 422 ], [ '1.0', 422 ], [ '-1', 404 ], [ '0', 404 ], [ '-0', 404 ], [ '+987654', 404 ], [ '00987654', 404 ], [ '%20987654', 404 ], [ '987654%20', 404 ], [ '987%20654', 422 ], [ '%22987654%22', 422 ],
        [ 'true', 422 ], [ 'null', 422 ], [ '[]', 422 ], [ '%5B%5D', 422 ], [ '%7B%7D', 422 ], [ '987654%00', qr/^4\d\d$/ ], [ '%00', qr/^4\d\d$/ ], [ '0x1', 422 ], [ '1_0', 422 ], [ '%EF%BC%91', 422 ], [ '%D9%A3', 422 ], [ '%ff', qr/^4\d\d$/ ],
        [ '987654%0d%0aX:1', 422 ], [ "$id{bob};", 422 ], [ "$id{bob},$id{ann}", 422 ], [ "$id{bob}%20OR%201=1", 422 ], [ "$id{bob}--", 422 ], [ "$id{bob}%2f..", qr/^4\d\d$/ ], [ '%2e%2e', 422 ], [ '*', 422 ], [ '9' x 3000, 422 ])
    {
        my ($id, $status) = @$_;
        answers($status, "$deed " . show($id), $method, $path =~ s/%s/$id/r, token => $token{root}, $method eq 'PUT' ? (json => $path =~ /role/ ? { role => 'admin' } : { amount => 1 }) : ());
    }
}
answers(422, 'an empty id', 'DELETE', "/auth/sessions/$_", token => $token{ann}) foreach 'x', '0', '%20', '00000000-0000-0000-0000-00000000000g', '{00000000-0000-0000-0000-000000000000}', '00000000-0000-0000-0000-0000000000000';
answers(404, 'a session of nobody\'s', 'DELETE', "/auth/sessions/$_", token => $token{ann}) foreach '00000000-0000-0000-0000-000000000000', $s->sql("SELECT id FROM auth.sessions WHERE user_id = $id{bob} LIMIT 1");
foreach (
    [ 'limit=0', 422 ], [ 'limit=1001', 422 ], [ 'limit=-1', 422 ], [ 'limit=1e1', 422 ], [ 'limit=', 422 ], [ 'limit=1&limit=2', 422 ], [ 'limit=9223372036854775808', 422 ], [ 'limit=4294967297', 422 ], [ 'limit=%ff', 400 ], [ 'limit=%00', 422 ], [ 'limit[]=1', 200 ],
    [ 'id=1.0', 422 ], [ 'id=9223372036854775808', 422 ], [ 'id=null', 422 ], [ 'id=1%20OR%201=1', 422 ], [ 'role=Admin', 422 ], [ 'role=', 422 ], [ "role=admin'--", 422 ], [ 'is_blocked=2', 422 ], [ 'is_blocked=', 422 ], [ 'is_blocked=null', 422 ],
    [ 'sort_by=password_hash', 422 ], [ 'sort_by=id;drop', 422 ], [ 'sort_by=1', 422 ], [ 'sort_order=ASC', 422 ], [ 'sort_order=asc,id', 422 ], [ 'cursor=', 422 ], [ 'cursor=x', 422 ], [ 'cursor=' . 'A' x 500, 422 ], [ 'cursor=%00', 422 ], [ 'cursor[]=', 200 ])
{
    my ($query, $status) = @$_;
    answers($status, 'a list with ' . show($query), 'GET', "/users/?$query", token => $token{root});
}
unchanged($before, 'ids');

# ---- Members that nobody asked for -----------------------------------------------------------------------------------

my %more = (role => 'admin', is_admin => JSON::PP::true, id => $id{root}, user_id => $id{root}, balance => 1_000_000, is_blocked => JSON::PP::true, blocked_at => '2020-01-01', deleted_at => '2020-01-01', password_hash => '$2a$04$x',
    email_normalized => 'bob@example.com', created_at => '2020-01-01', sub => "$id{root}", '__proto__' => { role => 'admin' }, 'constructor' => {}, 'auth.role' => 'admin', 'ROLE' => 'admin', ' role' => 'admin');
my $carl = $s->request('POST', '/auth/register', json => { %more, email => 'carl@example.com', password => 'Secret123' })->{json}{id};
isnt($carl, $id{root}, 'register: the id is a new one');
my $row = "SELECT concat_ws(' ', id, role, balance, blocked_at IS NULL, deleted_at IS NULL, first_name, email, email_normalized, created_at > now() - interval '1 hour') FROM auth.users WHERE id = $carl";
is($s->sql($row), "$carl user 0 t t carl\@example.com carl\@example.com t", 'register: nothing else was taken');
my $carls = answers(200, 'login with more', 'POST', '/auth/login', json => { %more, email => 'carl@example.com', password => 'Secret123' })->{json};
is($s->request('GET', '/auth/me', token => $carls->{access_token})->{json}{user_id}, $carl, 'login: who it is');
$carls = answers(200, 'refresh with more', 'POST', '/auth/refresh', json => { %more, refresh_token => $carls->{refresh_token} })->{json};
is($s->request('GET', '/users/me?role=admin&id=1&user_id=1', token => $carls->{access_token})->{json}{role}, 'user', 'refresh: the role');
$before = fingerprint();
answers(400, 'PUT profile with more', 'PUT', '/users/profile', token => $carls->{access_token}, json => {%more});
answers(404, 'PUT role of a user', 'PUT', "/admin/users/$carl/role", token => $carls->{access_token}, json => { role => 'admin' });
answers(404, 'PUT balance of a user', 'PUT', "/admin/users/$carl/balance", token => $carls->{access_token}, json => { amount => 1 });
unchanged($before, 'members');
answers(200, 'PUT profile with more', 'PUT', '/users/profile', token => $carls->{access_token}, json => { %more, first_name => 'Carl', last_name => 'C', email => 'root2@example.com' });
is($s->sql($row), "$carl user 0 t t Carl carl\@example.com carl\@example.com t", 'PUT profile: the names alone');
answers(200, 'PUT balance with more', 'PUT', "/users/balance?user_id=$id{bob}", token => $carls->{access_token}, json => { %more, amount => 1 });
is($s->sql("SELECT string_agg(balance::text, ' ' ORDER BY id) FROM auth.users WHERE id IN ($id{bob}, $id{root}, $carl)"), '0 0 1', 'PUT balance: the own');
answers(200, 'PUT role with more', 'PUT', "/admin/users/$carl/role?user_id=$id{bob}", token => $token{root}, json => { %more, role => 'user' });
is($s->sql("SELECT count(*) FROM auth.users WHERE role = 'admin'"), 1, 'PUT role: whom the path names, to what the body says');

# ---- Naughty strings -----------------------------------------------------------------------------------------------

my @strings = (
    q(' OR '1'='1), q('; DROP TABLE auth.users; --), '"); --', q($$; SELECT 1; $$), "\\'", '\\', q(%' OR 1=1 --), '%', '_', '%%', '\\%', 'E\'\\x41\'', '$1', ':a', '{}', '{1,2}', '{"a","b"}', '(1,2)', '[0,1)', 'NULL', 'null', 'true', '\N', '\.',
    '$(touch /tmp/x)', '`id`', '| id', '; id', '&& id', '!!', '%s%s%s%n', '%x%x%x', '%1$s', '{0}', '{{7*7}}', '${7*7}', '#{7*7}', '<%= 7*7 %>', '${jndi:ldap://x/a}', '<script>alert(1)</script>', '"><img src=x onerror=alert(1)>', 'javascript:alert(1)',
    ']]>', '<!ENTITY x SYSTEM "file:///etc/passwd">', '../../../etc/passwd', '/etc/passwd', 'C:\\Windows\\win.ini', '..%2f..%2f', '%00', '%0d%0aX: 1', 'file:///etc/passwd', 'http://127.0.0.1:1/', 'CON', 'undefined', 'NaN', '1/0', '0x0', '-1', '١٢٣',
    '田中さんにあげて下さい', 'ﷺ', 'مرحبا', "\x{202e}abc\x{202c}", "\x{2066}abc\x{2069}", "a\x{200b}b", "a\x{200d}b", "\x{feff}abc", 'Z' . "\x{0315}\x{0300}" x 60, "👩\x{200d}👩\x{200d}👧\x{200d}👦", "👋🏿", "🇨🇭", "\x{e0061}\x{e007f}", "\x{1f1e6}", "e\x{301}", "é", 'ß', 'İ', 'ı', 'ſ', "\x{fb01}",
    "\x{2028}", "\x{85}", "\x{a0}", "\x{fffd}", "\x{ffff}", "\x{10ffff}", "\x{fdd0}", ' ', '  a  ', "'", '"', "''", 'a' x 255, '𝕬' x 255, 'Ω≈ç√∫', '社會科學院語學研究所', "\x{0f}\x{0e}", "a\0b", "a\r\nb", "a\nb", "a\tb", "\x1b[31mred", "\x07", "\x7f", "\x08" x 3, 'x' x 256, 'x' x 60_000);
$before = fingerprint();
foreach my $string (@strings)
{
    my $name = 'string ' . show($string);
    my $has_nul = $string =~ /\0/;
    my $is_name = $string !~ /[\0-\x1f\x7f]/ && length $string <= 255;
    my $given = encode_utf8($string);
    my $percent = $given =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ger;
    answers($has_nul ? 422 : 401, "$name as a password", 'POST', '/auth/login', json => { email => 'ann@example.com', password => $string });
    answers($has_nul ? 422 : 401, "$name as a user's name in a form", 'POST', '/auth/login', body => "username=$percent&password=Secret123", type => 'application/x-www-form-urlencoded');
    answers(422, "$name as an e-mail", 'POST', '/auth/register', json => { email => $string, password => 'Secret123' });
    answers($has_nul ? 422 : 401, "$name as a refresh token", 'POST', '/auth/refresh', json => { refresh_token => $string });
    my $answer = answers($has_nul ? 422 : 200, "$name to be introspected", 'POST', '/auth/introspect', token => $token{ann}, json => { token => $string });
    is_deeply($answer->{json}, { active => JSON::PP::false }, "$name is no token") if !$has_nul;
    answers($has_nul ? 422 : 200, "$name to be revoked", 'POST', '/auth/revoke', json => { token => $string });
    answers(422, "$name as a role", 'PUT', "/admin/users/$id{bob}/role", token => $token{root}, json => { role => $string });
    $answer = $s->request('POST', '/rpc/echo', token => $token{ann}, json => { t => $string });
    is($answer->{status}, $has_nul ? 422 : 200, "$name as an argument");
    is($answer->{json}, $string, "$name comes back from a function") if !$has_nul;
    next if length $percent > 10_000; # longer than a head may be
    $answer = $s->request('GET', "/users/?$_=$percent", token => $token{root}), is($answer->{status}, length $string > 255 ? 422 : 200, "$name as a part of $_") foreach 'email';
    is_deeply($answer->{json}{order}, $string =~ /^(?:-1|a|\s|\.)$/ ? $answer->{json}{order} : [], "$name is in nobody's e-mail") if $answer->{status} == 200;
    # A NUL is U+FFFD there, which nothing is called by.
    answers(200, "$name as an action", 'GET', "/admin/audit?action=$percent", token => $token{root});
    answers(422, "$name as a cursor", 'GET', "/users/deleted?cursor=$percent", token => $token{root});
    answers(qr/^4\d\d$/, "$name in a path", 'GET', "/$percent", token => $token{ann});
    answers($string eq '-1' ? 404 : 422, "$name as an id", 'POST', "/admin/block/$percent", token => $token{root}) if !$has_nul;
    my ($bytes) = $s->raw("GET /users/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer $given\r\n\r\n", 2);
    like($bytes, qr{^HTTP/1\.1 40[01] }, "$name as a token");
    ($bytes) = $s->raw("GET /users/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: $given\r\nX-Request-ID: $given\r\nAuthorization: Bearer $token{ann}\r\n\r\n", 2) if $string !~ /[\0\r\n]/;
    like($bytes, qr{^HTTP/1\.1 (?:200|400) }, "$name as other headers") if $string !~ /[\0\r\n]/;
}
unchanged($before, 'strings');
foreach my $string (@strings)
{
    my $is_name = $string !~ /[\0-\x1f\x7f]/ && length $string <= 255;
    my $answer = answers($is_name ? 200 : 422, 'string ' . show($string) . ' as a name', 'PUT', '/users/profile', token => $token{ann}, json => { first_name => $string, last_name => 'x' });
    is($s->request('GET', '/users/me', token => $token{ann})->{json}{first_name}, $string, 'string ' . show($string) . ' is kept as it is') if $is_name;
}

# ---- E-mail addresses ----------------------------------------------------------------------------------------------

my $label = 'x' x 63;
# An address whose domain has so many characters, behind "a@".
sub domain { my ($length) = @_; my $domain = ''; while ($length - length $domain > 65) { $domain .= "$label." } return $domain . 'y' x ($length - length($domain) - 4) . '.com' }
my %is_valid;
$is_valid{$_} = 1 foreach 'a@b.co', 'a+tag@example.com', 'a.b.c@example.com', 'a_b-c@example.com', "!#\$%&'*+-/=?^_`{|}~\@example.com", '1@example.com', 'a@1.example.com', 'a@example.1a', 'a@a-b.example.com', 'A.B@Example.COM', 'x' x 64 . '@example.com',
  "a\@$label.com", 'a@' . domain(252), 'jürgen@example.com', 'a@bücher.example', 'a@xn--bcher-kva.example', '用户@例子.广告', 'δοκιμή@παράδειγμα.gr', 'a@sub.sub.sub.example.com', "\x{430}nn\@example.com", "\x{ff41}nn\@example.com", '😀@example.com', 'ẞ@example.com', 'İ@example.com', 'null@example.com',
  "o'neil\@example.com", 'a@example.museum', '-@example.com', 'a--b@example.com', 'a@b--c.com';
$is_valid{$_} = 0 foreach '', '@', 'a', 'a@', '@b.co', 'a@b', 'a@b.', 'a@.b', 'a@.b.co', 'a@b..co', 'a@b.co.', '.a@b.co', 'a.@b.co', 'a..b@b.co', 'a@b@c.co', 'a b@c.co', ' a@b.co', 'a@b.co ', "a\@b.co\n", "a\@b.co\r\nBcc: c\@d.co", "a\t\@b.co", "a\x01\@b.co", "a\x7f\@b.co",
  '"a"@b.co', '"a b"@b.co', '"a@b"@c.co', '"\\""@b.co', 'a(comment)@b.co', 'a@(comment)b.co', 'Ann <ann@example.com>', '<ann@example.com>', 'mailto:ann@example.com', 'ann@example.com,bob@example.com', 'ann@example.com;bob@example.com', 'ann@example.com bob@example.com', 'a@[127.0.0.1]', 'a@[IPv6:::1]',
  'a@127.0.0.1', 'a@b.1', 'a@b.123', 'a@-b.co', 'a@b-.co', 'a@b.-co', 'a@b.co-', 'a@b_c.co', 'a@b!.co', 'a@b.c o', 'a\\@b.co', 'a@b\\.co', 'a:b@c.co', 'a;b@c.co', 'a,b@c.co', 'a<b@c.co', 'a>b@c.co', 'a[b@c.co', 'a]b@c.co', 'a)b@c.co', 'x' x 65 . '@example.com', "a\@x$label.com", 'a@' . domain(253), 'a@' . domain(400),
  "a\x{202e}b\@example.com", "a\x{200b}b\@example.com", "a\x{200d}b\@example.com", "a\x{feff}b\@example.com", "a\x{ad}b\@example.com", "a\x{a0}b\@example.com", "a\x{3000}b\@example.com", "a\x{2028}b\@example.com", "a\x{85}b\@example.com", "a\x{e0061}b\@example.com", "a\x{fe0f}b\@example.com", "a\x{e000}b\@example.com",
  "a\x{10ffff}b\@example.com", "a\x{ff20}b.co", "a\@b\x{3002}co", "a\@b\x{ff0e}co", 'a%00@b.co', "a\0\@b.co", 'a' x 60_000, '@' x 1000, 'a@' . 'b.' x 30_000 . 'co', 'ü' x 33 . '@example.com';
# These two have no '@' or '.' of ASCII's; percent and NUL are as they are.
delete @is_valid{ 'a%00@b.co' };
my $users = $s->sql('SELECT count(*) FROM auth.users');
$before = fingerprint();
foreach my $email (sort grep { !$is_valid{$_} } keys %is_valid)
{
    answers(422, 'e-mail ' . show($email), 'POST', '/auth/register', json => { email => $email, password => 'Secret123' });
}
unchanged($before, 'e-mails that are none');
foreach my $email (sort grep { $is_valid{$_} } keys %is_valid)
{
    my $name = 'e-mail ' . show($email);
    my $answer = answers(200, $name, 'POST', '/auth/register', json => { email => $email, password => 'Secret123' });
    is($answer->{json}{email}, $email, "$name comes back as it was");
    my $token = answers(200, "$name logs in", 'POST', '/auth/login', json => { email => $email, password => 'Secret123' })->{json}{access_token};
    is($s->request('GET', '/users/me', token => $token)->{json}{id}, $answer->{json}{id}, "$name: as nobody else");
    answers(400, "$name again, in capitals", 'POST', '/auth/register', json => { email => $email =~ tr/a-z/A-Z/r, password => 'Secret123' });
}
is($s->sql('SELECT count(*) FROM auth.users'), $users + grep({ $_ } values %is_valid), 'each is an account of its own');
# One address in two forms, and two that look like one.
foreach ([ "jose\x{301}\@example.com", "jos\x{e9}\@example.com", 1 ], [ "\x{212a}elvin\@example.com", 'kelvin@example.com', 1 ], [ "\x{212b}ngstrom\@example.com", "\x{c5}ngstrom\@example.com", 1 ], [ "\x{ac00}\@example.com", "\x{1100}\x{1161}\@example.com", 1 ],
    [ "p\x{430}ul\@example.com", 'paul@example.com', 0 ], [ "\x{fb01}n\@example.com", 'fin@example.com', 0 ], [ 'straße@example.com', 'strasse@example.com', 0 ], [ "ıris\@example.com", 'iris@example.com', 0 ], [ 'eva+a@example.com', 'eva@example.com', 0 ], [ 'g.mail@example.com', 'gmail@example.com', 0 ])
{
    my ($one, $other, $same) = @$_;
    answers(200, 'two forms: ' . show($one), 'POST', '/auth/register', json => { email => $one, password => 'Secret123' });
    answers($same ? 200 : 401, 'two forms: login as ' . show($other), 'POST', '/auth/login', json => { email => $other, password => 'Secret123' });
    answers($same ? 400 : 200, 'two forms: ' . show($other), 'POST', '/auth/register', json => { email => $other, password => 'Secret123' });
}

is($s->request('GET', '/health/ready')->{status}, 200, 'and the service is well');
unlike($s->server_log, qr/PANIC|terminated by signal|server process .* was terminated/, 'no backend died');
unlike($s->shim_log, qr/"status":5/, 'the shim answered no 5xx');
done_testing();
