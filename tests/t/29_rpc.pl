# /rpc/{function}: the application's functions over HTTP: as whom they run, what comes back, what an
# error of theirs becomes, and that nothing of a call is left for the next one on the same connection.
use strict;
use warnings;
use AuthService;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $s = AuthService->start('rpc');
my %id = map { $_ => $s->register("$_\@example.com") } qw(ann bob);
my %token = map { $_ => $s->login("$_\@example.com")->{access_token} } qw(ann bob);

# Off by default: no such path, whatever the method.
foreach (qw(GET POST PUT DELETE OPTIONS HEAD))
{
    is($s->request($_, '/rpc/whoami', token => $token{ann})->{status}, 404, "off: $_ is 404");
}
unlike($s->request('GET', '/openapi.json')->{content}, qr{/rpc/}, 'off: not in the document');

$s->sql(<<'SQL');
CREATE SCHEMA api;
CREATE TABLE api.notes (id bigint GENERATED ALWAYS AS IDENTITY, owner bigint NOT NULL DEFAULT auth.uid(), note text NOT NULL CHECK (note <> ''));
ALTER TABLE api.notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON api.notes USING (owner = auth.uid()) WITH CHECK (owner = auth.uid());
GRANT SELECT, INSERT ON api.notes TO auth_service_shim;
CREATE FUNCTION api.add_note(note text) RETURNS bigint LANGUAGE sql AS 'INSERT INTO api.notes (note) VALUES (note) RETURNING id';
CREATE FUNCTION api.notes() RETURNS SETOF api.notes LANGUAGE sql STABLE AS 'SELECT * FROM api.notes ORDER BY id';
COMMENT ON FUNCTION api.notes() IS 'The caller''s "notes"';
CREATE FUNCTION api.whoami() RETURNS json LANGUAGE sql STABLE AS
    'SELECT json_build_array(auth.uid(), current_user, current_setting(''search_path''), current_setting(''transaction_read_only''), current_setting(''statement_timeout''), auth.jwt() IS NULL)';
CREATE FUNCTION api.nothing() RETURNS void LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION api.null() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT NULL::int';
CREATE FUNCTION api.add(a int, b int DEFAULT 2) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a + b';
CREATE FUNCTION api.add(x text) RETURNS TABLE (said text, at date) LANGUAGE sql AS $$SELECT x, DATE '2026-01-02'$$;
CREATE FUNCTION api.echo(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT t';
CREATE FUNCTION api.long(n int) RETURNS text LANGUAGE sql AS $$SELECT repeat('x', n)$$;
CREATE FUNCTION api."a/b.c{d}'e"" ü"() RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT 'odd'$$;
CREATE FUNCTION api.lies() RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN PERFORM api.add_note(''x''); RETURN 1; END';
CREATE FUNCTION api.fail(m text, c text, d text DEFAULT NULL, h text DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF d IS NULL THEN RAISE EXCEPTION USING MESSAGE = m, ERRCODE = c; END IF;
    RAISE EXCEPTION USING MESSAGE = m, ERRCODE = c, DETAIL = d, HINT = h;
END $$;
CREATE FUNCTION api.server_fails(e text) RETURNS text LANGUAGE plpgsql AS 'DECLARE t text; BEGIN EXECUTE ''SELECT '' || e INTO t; RETURN t; END';
CREATE FUNCTION api.again() RETURNS void LANGUAGE plpgsql AS $$BEGIN PERFORM 1 / 0; EXCEPTION WHEN division_by_zero THEN RAISE; END$$;
CREATE FUNCTION api.leaves() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    SET ROLE auth_service_anonymous; SET search_path = pg_catalog, pg_temp; SET statement_timeout = '1h'; SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY;
    RETURN current_user;
END $$;
CREATE FUNCTION api.becomes(token text) RETURNS bigint LANGUAGE sql AS 'SELECT auth.authenticate(token)';
CREATE FUNCTION api.open() RETURNS json LANGUAGE sql STABLE AS 'SELECT api.whoami()';
CREATE FUNCTION api.open_leaves() RETURNS text LANGUAGE plpgsql AS 'BEGIN SET search_path = pg_catalog; RETURN current_user; END';
GRANT EXECUTE ON FUNCTION api.open(), api.open_leaves(), api.fail, api.whoami() TO auth_service_anonymous;
CREATE PROCEDURE api.procedure() LANGUAGE plpgsql AS 'BEGIN COMMIT; END';
CREATE FUNCTION api.hidden() RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON FUNCTION api.hidden() FROM PUBLIC;
CREATE TABLE api.later (x int); GRANT INSERT ON api.later TO auth_service_shim, auth_service_anonymous;
CREATE FUNCTION api.later_trigger() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN RAISE EXCEPTION USING ERRCODE = 'PT409', MESSAGE = concat_ws(' ', auth.uid(), current_user, current_setting('search_path')); END$$;
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON api.later DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION api.later_trigger();
CREATE TABLE api.sets_later (x float8); GRANT INSERT ON api.sets_later TO auth_service_shim;
CREATE FUNCTION api.sets_later_trigger() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN SET search_path = pg_temp; SET statement_timeout = '1h'; SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY; PERFORM pg_sleep(NEW.x); RETURN NULL; END$$;
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON api.sets_later DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION api.sets_later_trigger();
CREATE FUNCTION api.sets_later(x float8) RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO sets_later VALUES (x); RETURN 1; END';
CREATE FUNCTION api.later() RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO later VALUES (1); RETURN 1; END';
GRANT EXECUTE ON FUNCTION api.later() TO auth_service_anonymous;
SQL
is(join('', ($s->command('init-db', '--rpc-schema=api'))[ 0, 1 ]), "0opened schema api to both roles\n", 'init-db: opens the schema');
$s->shim('--rpc-schema=api', '--pool-size=1', '--max-body=4000000');

# From here on answers are held against the document of this very service.
sub read_document { return $s->{openapi} = OpenAPI->new($s->request('GET', '/openapi.json')->{content}) }
my $document = read_document()->document;

sub post { my ($function, $json, %more) = @_; return $s->request('POST', "/rpc/$function", exists $more{body} ? () : (json => $json // {}), token => $token{ann}, %more) }
sub get { my ($function, %more) = @_; return $s->request('GET', "/rpc/$function", token => $token{ann}, %more) }
sub told { my ($answer) = @_; return "$answer->{status} " . ($answer->{content} // '') }

# Whether the log has it; its line is written behind the answer.
sub logged
{
    my ($pattern) = @_;
    foreach (1 .. 100)
    {
        return 1 if $s->shim_log =~ $pattern;
        sleep 0.05;
    }
    return 0;
}

# The document.
my %operations = map { my $path = $_; map { ("$_ $path" => $document->{paths}{$path}{$_}) } keys %{ $document->{paths}{$path} } } grep { m{^/rpc/} } keys %{ $document->{paths} };
is_deeply([ sort keys %operations ], [ sort map({ "post /rpc/$_" } qw(add add_note again becomes echo fail later leaves lies long notes nothing null open open_leaves server_fails sets_later whoami), 'a%2Fb.c%7Bd%7D%27e%22%20%C3%BC'),
    map({ "get /rpc/$_" } qw(add echo lies notes null open whoami), 'a%2Fb.c%7Bd%7D%27e%22%20%C3%BC') ], 'document: what can be called, GET where it can be') or diag join "\n", sort keys %operations;
is($operations{'get /rpc/notes'}{summary}, 'The caller\'s "notes"', 'document: the comment is the summary');
is_deeply([ map { [ @$_{qw(name required)} ] } @{ $operations{'get /rpc/add'}{parameters} } ], [ [ 'a', JSON::PP::true() ], [ 'b', JSON::PP::false() ] ], 'document: a query\'s parameters');
is(scalar @{ $operations{'post /rpc/add'}{requestBody}{content}{'application/json'}{schema}{anyOf} }, 2, 'document: overloads are any of both');
is_deeply($operations{'post /rpc/open'}{security}[0], {}, 'document: without a token where that is allowed');
is(scalar @{ $operations{'post /rpc/add'}{security} }, 2, 'document: and else with one');
unlike(scalar qx("$ENV{AUTH_SERVICE}" openapi), qr{/rpc/}, 'document: the command knows no database');

# What comes back.
foreach (
    [ 'a number', post('add', { a => 1 }), '200 3' ], [ 'a void', post('nothing'), '204 ' ], [ 'a NULL', post('null'), '200 null' ], [ 'an overload', post('add', { a => 1, b => 5 }), '200 6' ],
    [ 'a row', post('add_note', { note => 'hers' }), '200 1' ], [ 'rows', post('notes'), qq(200 [{"id":1,"owner":$id{ann},"note":"hers"}]) ],
    [ 'no rows', $s->request('POST', '/rpc/notes', json => {}, token => $token{bob}), '200 []' ],
    [ 'by GET', get('add?a=1&b=2'), '200 3' ], [ 'by GET, with a default', get('add?a=%31'), '200 3' ], [ 'by GET, a text', get('echo?t=a+b%26%3D%C3%BC'), '200 "a b&=ü"' ],
    [ 'by GET, an empty one', get('echo?t='), '200 ""' ], [ 'by GET, a NUL', get('echo?t=a%00b'), qq(200 "a\x{FFFD}b") ], [ 'by GET, rows', get('notes'), qq(200 [{"id":1,"owner":$id{ann},"note":"hers"}]) ],
    [ 'an odd name', get('a%2Fb.c%7Bd%7D%27e%22%20%C3%BC'), '200 "odd"' ])
{
    my ($what, $answer, $wanted) = @$_;
    utf8::encode($wanted) if $wanted =~ /[^\x00-\xFF]/;
    is(told($answer), $wanted, "answer: $what");
}
my $head = $s->request('HEAD', '/rpc/add?a=1', token => $token{ann});
is("$head->{status} $head->{headers}{'content-length'} " . length($head->{content} // ''), '200 1 0', 'answer: HEAD');
my $void = post('nothing');
ok(!exists $void->{headers}{'content-length'} && !exists $void->{headers}{'content-type'} && $void->{headers}{'x-request-id'}, 'answer: a 204 has no body, and an id');
my ($bytes) = $s->raw("POST /rpc/nothing HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $token{ann}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}GET / HTTP/1.1\r\nHost: x\r\n\r\n");
like($bytes, qr/^HTTP\/1\.1 204 No Content\r\n.*?\r\n\r\nHTTP\/1\.1 200 OK\r\n/s, 'answer: and the next answer on the connection follows it');
# Not by request(), whose parser of JSON is slow.
sub post_raw
{
    my ($function, $body) = @_;
    return $s->{http}->post("http://127.0.0.1:$s->{port}/rpc/$function", { headers => { Authorization => "Bearer $token{ann}", 'Content-Type' => 'application/json' }, content => $body });
}
is(length post_raw('long', '{"n":50000000}')->{content}, 50_000_002, 'answer: 50 MB');
is(length post_raw('echo', '{"t":"' . 'x' x 3_000_000 . '"}')->{content}, 3_000_002, 'a long argument');

# Refused before, or by, the search for a function.
foreach (
    [ 'unknown', 404, post('unknown') ], [ 'a procedure', 404, post('procedure') ], [ 'not granted', 404, post('hidden') ], [ 'wrong argument', 404, post('add', { c => 1 }) ], [ 'no argument', 404, post('add') ],
    [ 'a trigger', 404, post('later_trigger') ], [ 'another schema\'s', 404, post('version') ], [ 'upper case', 404, post('ADD', { a => 1 }) ], [ 'by GET', 404, get('unknown') ], [ 'by GET, wrong argument', 404, get('add?a=1&x=1') ],
    [ 'with a schema', 404, post('auth.uid') ], [ 'with a quote', 404, post('add%22') ], [ 'with a statement', 404, post('x();drop%20schema%20api') ], [ 'with a NUL', 404, post('add%00') ], [ 'long', 404, post('a' x 64) ], [ 'very long', 404, post('a' x 3000) ],
    [ 'two segments', 404, post('add/x') ], [ 'no segment', 404, post('') ], [ 'no UTF-8', 400, post('%FF') ], [ 'no UTF-8 in a query', 400, get('echo?t=%FF') ], [ 'not a number', 400, post('add', { a => [] , b => 1 }) ],
    [ 'a NULL that the table refuses', 400, post('add_note', { note => undef }) ], [ 'a value that a CHECK refuses', 400, post('add_note', { note => '' }) ],
    [ 'not a number by GET', 400, get('add?a=x&b=1') ], [ 'a bad query', 422, get('add?a=1&a=2') ], [ 'an array', 422, post('add', []) ], [ 'no JSON', 422, post('add', undef, body => '{', type => 'application/json') ],
    [ 'a NUL in it', 422, post('add', undef, body => "{}\0", type => 'application/json') ], [ 'twice', 422, post('add', undef, body => '{"a":1,"a":2}', type => 'application/json') ], [ 'deep', 400, post('add', undef, body => '[' x 1_000_000, type => 'application/json') ],
    [ 'deep in an argument', 400, post('echo', undef, body => '{"t":' . '[' x 200_000 . ']' x 200_000 . '}', type => 'application/json') ],
    [ 'another media type', 415, post('add', undef, body => 'a=1', type => 'application/x-www-form-urlencoded') ], [ 'none', 415, post('add', undef, body => '{}', type => '') ],
    [ 'by GET, VOLATILE', 405, get('long?n=1') ], [ 'by PUT', 405, $s->request('PUT', '/rpc/add', token => $token{ann}) ])
{
    my ($what, $wanted, $answer) = @$_;
    is($answer->{status}, $wanted, "refused: $what: $wanted");
    is($answer->{content}, '{"detail":"Function not found","code":"U404C"}', "refused: $what: names nothing") if $wanted == 404 && $what !~ /segment/;
}
is(get('long?n=1')->{headers}{allow}, 'POST', 'refused: a VOLATILE function: Allow');
is($s->request('PUT', '/rpc/add', token => $token{ann})->{headers}{allow}, 'POST, GET, HEAD', 'refused: PUT: Allow');
is_deeply(get('add?a=1&a=2')->{json}{detail}[0]{loc}, [ 'query', 'a' ], 'refused: where the query is wrong');
is(post('add', undef, body => '{"a":' . ' ' x 4_000_000 . '1}', type => 'application/json')->{status}, 413, 'refused: too large');
is($s->request('POST', '/rpc/whoami', token => $token{ann})->{json}[0], $id{ann}, 'no body at all: no arguments');
is($s->request('POST', '/rpc/add', token => $token{ann})->{status}, 404, 'no body at all: where one is required');
{
    my %documents = map { $_ => 1 } $s->parallel(16, sub { my $answer = $s->request('GET', '/openapi.json'); return "$answer->{status} " . length $answer->{content} });
    is(join(',', keys %documents), '200 ' . length $s->request('GET', '/openapi.json')->{content}, 'document: a crowd gets it');
}

# Without a token, and with a bad one.
foreach (
    [ 'granted', { }, 'open', '200', undef ], [ 'not granted', {}, 'add', '404', undef ], [ 'not granted to strangers', { a => 1 }, 'add', '401', 'Bearer realm="auth_service"' ], [ 'unknown', {}, 'unknown', '404', undef ], [ 'granted to nobody', {}, 'hidden', '404', undef ])
{
    my ($what, $json, $function, $wanted, $authenticate) = @$_;
    my $answer = $s->request('POST', "/rpc/$function", json => $json);
    is($answer->{status}, $wanted, "no token: $what: $wanted");
    is($answer->{headers}{'www-authenticate'}, $authenticate, "no token: $what: WWW-Authenticate");
}
is(told($s->request('GET', '/rpc/open')), '200 [null, "auth_service_anonymous", "api, public, pg_temp", "on", "6s", true]', 'no token: by GET, and as whom');
foreach ("$token{ann}x", 'x', '', 'a b')
{
    is(post('open', {}, token => undef, headers => { Authorization => "Bearer $_" })->{status}, 401, "a bad token: 401 ('$_')");
}
is(post('open', {}, token => undef, headers => { Authorization => 'Basic YTpi' })->{status}, 401, 'another scheme: 401');
is($s->request('POST', '/rpc/add', token => 'x', body => 'x', type => 'text/plain')->{status}, 401, 'the token is looked at before the body');

# Errors: SQLSTATE, and what the client gets of it.
my $odd = "No \"way\"\r\nSet-Cookie: x=1\x{7f}";
foreach (
    [ 'P0001', 400 ], [ 'PT400', 400 ], [ 'PT402', 402 ], [ 'PT404', 404 ], [ 'PT409', 409 ], [ 'PT418', 418 ], [ 'PT422', 422 ], [ 'PT499', 499 ], [ 'U400Z', 400 ], [ 'U422Z', 422 ], [ '23505', 409 ], [ '42501', 403 ], [ '22012', 400 ],
    [ '45000', 400 ], [ '23514', 400 ], [ 'P0002', 400 ], [ 'PT500', 500 ], [ 'PT599', 599 ], [ 'U500Z', 500 ])
{
    my ($code, $wanted) = @$_;
    my $answer = post('fail', { m => $odd, c => $code, d => "d\n2", h => 'h' });
    is($answer->{status}, $wanted, "RAISE $code: $wanted");
    is_deeply($answer->{json}, { detail => $odd, code => $code, details => "d\n2", hint => 'h' }, "RAISE $code: its words") if $wanted != 599;
    ok(!exists $answer->{headers}{'set-cookie'}, "RAISE $code: no header of theirs");
}
is(told(post('fail', { m => 'm', c => 'PT400' })), '400 {"detail":"m","code":"PT400"}', 'RAISE: no DETAIL, no HINT');
foreach ([ 'XX000', 500 ], [ '40001', 503 ], [ '57014', 504 ], [ '53000', 503 ], [ 'PT200', 500 ], [ 'PT302', 500 ], [ 'PT999', 500 ], [ 'PTABC', 500 ])
{
    my ($code, $wanted) = @$_;
    my $answer = post('fail', { m => 'Sesame', c => $code, d => 'Sesame', h => 'Sesame' }) ;
    is($answer->{status}, $wanted, "RAISE $code: $wanted");
    unlike($answer->{content}, qr/Sesame/, "RAISE $code: in our words");
    ok(logged(qr/"request_id":"$answer->{json}{request_id}".*"error":"Sesame"/), "RAISE $code: theirs are in the log");
}
foreach ([ '1/0', 400, '22012' ], [ '\'x\'::int', 400, '22P02' ], [ 'nowhere()', 500, '42883' ], [ '(SELECT count(*) FROM auth.users)', 403, '42501' ], [ 'pg_sleep(\'x\')', 400, '22P02' ])
{
    my ($expression, $wanted, $code) = @$_;
    my $answer = post('server_fails', { e => $expression });
    is("$answer->{status} $answer->{json}{code}", "$wanted $code", "PostgreSQL's own error in $expression");
    unlike($answer->{content}, qr/zero|syntax|nowhere|permission|users/, "PostgreSQL's own error in $expression: not in its words");
}
is(told(post('again')), '400 {"detail":"Bad Request","code":"22012"}', 'PostgreSQL\'s own error, raised again');
my %raised = map { $_ => post('fail', { m => 'm', c => $_, d => 'x' eq $_ ? '' : '17', h => '' }) } qw(PT401 U401Z PT503 PT429 U429Z PT405);
is($raised{$_}{headers}{'www-authenticate'}, 'Bearer realm="auth_service"', "RAISE $_: WWW-Authenticate") foreach qw(PT401 U401Z);
is($raised{PT503}{headers}{'retry-after'}, 1, 'RAISE PT503: Retry-After');
is($raised{$_}{headers}{'retry-after'}, 17, "RAISE $_: Retry-After from DETAIL") foreach qw(PT429 U429Z);
is(post('fail', { m => 'm', c => 'PT429', d => $_, h => '' })->{headers}{'retry-after'}, undef, "RAISE PT429: no Retry-After from '$_'") foreach '', '-1', '1x', "1\r\nX: y", '9' x 30;
is($raised{PT405}{headers}{allow}, '', 'RAISE PT405: Allow');
my $long = post('fail', { m => 'ü' x 100_000, c => 'PT400', d => 'x' x 100_000, h => '' });
is(length $long->{json}{detail}, 8192, 'RAISE: a long message is cut at a character');
is(length $long->{json}{details}, 16384, 'RAISE: a long DETAIL too');
my $odd_cut = post('fail', { m => 'x' . "\x{e9}" x 10000, c => 'PT400' });
is(length $odd_cut->{json}{detail}, 8192, 'RAISE: cut before a character that would be halved');
is($s->request('POST', '/rpc/fail', json => { m => 'm', c => 'PT401' })->{headers}{'www-authenticate'}, 'Bearer realm="auth_service"', 'RAISE PT401: without a token');

# The same rule on every route.
$s->sql("CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS \$\$BEGIN RAISE 'not you' USING DETAIL = 'd', HINT = 'h'; END\$\$;
    CREATE TRIGGER refuse BEFORE INSERT ON auth.users FOR EACH ROW EXECUTE FUNCTION public.refuse()");
is(told($s->request('POST', '/auth/register', json => { email => 'eve@example.com', password => 'Secret123' })), '400 {"detail":"not you","code":"P0001","details":"d","hint":"h"}', 'RAISE within register');
$s->sql('DROP TRIGGER refuse ON auth.users');

# A STABLE function that writes.
my $lies = get('lies');
is("$lies->{status} $lies->{json}{code}", '500 2F003', 'by GET: a STABLE function that writes');
ok(logged(qr/"request_id":"$lies->{json}{request_id}".*"error":"cannot execute INSERT in a read-only transaction"/), 'by GET: the log tells');

# What is left of a call for the next one, on one and the same connection.
my $as_ann = qq(200 [$id{ann}, "auth_service_shim", "api, public, pg_temp", "off", "6s", false]);
my $as_nobody = '200 [null, "auth_service_anonymous", "api, public, pg_temp", "off", "6s", true]';
my $backend = backend();
sub backend { return $s->sql("SELECT string_agg(pid::text, ',') FROM pg_stat_activity WHERE usename = 'auth_service_shim'") }
foreach (
    [ 'a call', sub { post('add', { a => 1 }) } ], [ 'an anonymous call', sub { $s->request('POST', '/rpc/open', json => {}) } ], [ 'a GET', sub { get('whoami') } ], [ 'an error', sub { post('fail', { m => 'm', c => 'PT400' }) } ],
    [ 'an anonymous error', sub { $s->request('POST', '/rpc/fail', json => { m => 'm', c => 'PT400' }) } ], [ 'SET ROLE', sub { post('leaves') } ], [ 'SET by a stranger', sub { $s->request('POST', '/rpc/open_leaves', json => {}) } ],
    [ 'a token of another', sub { post('becomes', { token => $token{bob} }) } ], [ 'SET by a deferred trigger', sub { post('sets_later', { x => 0 }) } ], [ 'no function', sub { post('unknown') } ], [ 'a refused stranger', sub { $s->request('POST', '/rpc/add', json => { a => 1 }) } ])
{
    my ($what, $call) = @$_;
    my $status = $call->()->{status};
    is($s->request('GET', '/health/ready')->{status}, 200, "after $what ($status): nobody");
    is(told(post('whoami')), $as_ann, "after $what: a caller is who his token says");
    $call->();
    is(told($s->request('POST', '/rpc/whoami', json => {})), $as_nobody, "after $what: a stranger is one");
}
is(backend(), $backend, 'all of it on one and the same connection');
is(told(post('later')), qq(409 {"detail":"$id{ann} auth_service_shim api, public, pg_temp","code":"PT409"}), 'a deferred trigger: the caller, the role and the path');
is(post('sets_later', { x => 30 })->{status}, 504, 'a deferred trigger that takes too long');
is($s->sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'auth_service_shim' AND state = 'active'"), 0, 'and goes on for nobody');
is(told($s->request('POST', '/rpc/later', json => {})), '409 {"detail":"auth_service_anonymous api, public, pg_temp","code":"PT409"}', 'a deferred trigger of a stranger\'s');

# Two users and strangers at once through that connection never see each other's rows.
my @wrong = grep { $_ ne 'right' } $s->parallel(6, sub {
    my $who = (qw(ann bob nobody))[ $_[0] % 3 ];
    foreach (1 .. 30)
    {
        if ($who eq 'nobody')
        {
            my $answer = $s->request('POST', '/rpc/whoami', json => {});
            return told($answer) if told($answer) ne $as_nobody;
            next;
        }
        $s->request('POST', '/rpc/add_note', json => { note => $who }, token => $token{$who});
        my $answer = $s->request('GET', '/rpc/notes', token => $token{$who});
        return told($answer) if $answer->{status} != 200 || !@{ $answer->{json} } || grep { $_->{owner} != $id{$who} } @{ $answer->{json} };
    }
    return 'right';
});
is(scalar @wrong, 0, 'each sees his own rows') or diag join "\n", @wrong;
is($s->sql('SELECT count(*) FROM api.notes'), 121, 'and all were written');

# Changes are seen at once, in the document too.
$s->sql('CREATE FUNCTION api.fresh() RETURNS uuid LANGUAGE sql AS $$SELECT \'00000000-0000-0000-0000-000000000001\'::uuid$$');
is(post('fresh')->{status}, 200, 'a new function') if read_document()->path('/rpc/fresh');
$s->sql('CREATE OR REPLACE FUNCTION api.fresh() RETURNS uuid LANGUAGE sql STABLE AS $$SELECT NULL::uuid$$');
is_deeply([ sort keys %{ read_document()->document->{paths}{'/rpc/fresh'} } ], [ 'get', 'post' ], 'a changed one is in the document');
is(told(get('fresh')), '200 null', 'a changed one is called');
$s->sql('DROP FUNCTION api.fresh(); ALTER FUNCTION api.add(int, int) VOLATILE');
is(read_document()->path('/rpc/fresh'), undef, 'a dropped one is not in the document');
is(get('add?a=1&b=1')->{status}, 405, 'one that has become VOLATILE');

# The log.
my $id = post('whoami')->{headers}{'x-request-id'};
ok(logged(qr/"request_id":"$id","method":"POST","route":"\/rpc\/\{function\}","status":200,.*"user_id":$id{ann},/), 'log: the route, and who');
ok($s->shim_log !~ /whoami|drop%20schema|Set-Cookie: x=1"/, 'log: no function, no argument');

# The database does not answer.
$s->sql('DROP SCHEMA api CASCADE');
is(post('whoami')->{status}, 404, 'the schema is gone: 404');
is($s->request('GET', '/openapi.json')->{status}, 200, 'the schema is gone: a document without functions');
$s->node->stop('immediate');
is($s->request('GET', '/openapi.json')->{status}, 503, 'no database: the document is not there');
is(post('whoami')->{status}, 503, 'no database: 503');
$s->node->start;
done_testing();
