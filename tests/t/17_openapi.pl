# The OpenAPI document: whole, and what it says is so.  That every answer of the tests is as the
# document has it is seen to by AuthService::request; here, that nothing gets past that.
use strict;
use warnings;
use AuthService;
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;

my $s = AuthService->start('openapi');
my $json = JSON::PP->new->utf8->canonical;

# One document, wherever it is asked for.
my $text = do { local %ENV = (PATH => $ENV{PATH}, AUTH_SERVICE => $ENV{AUTH_SERVICE}); qx("$ENV{AUTH_SERVICE}" openapi) };
is($?, 0, 'auth-service openapi: needs no database');
my $r = $s->request('GET', '/openapi.json');
is($r->{status}, 200, 'GET /openapi.json');
is($r->{content}, $text, 'the same bytes');
my $api = OpenAPI->new($text);
my $document = $api->document;
is($document->{openapi}, '3.1.0', 'OpenAPI 3.1');
my ($version) = slurp_file('auth_service.control') =~ /^default_version = '(.*)'/m;
is($document->{info}{version}, $version, 'info.version is the control file\'s');
unlike($text, qr/eyJ|\$2[abxy]\$|Bearer \S{20}|-----BEGIN/, 'no token, hash or key in it');

# Every route of the contract.
my %wanted = (
    anyone => [ 'post /auth/register', 'post /auth/login', 'post /auth/refresh', 'post /auth/revoke', 'post /auth/change-password', 'get /', 'get /openapi.json',
        'get /health/live', 'get /health/ready', 'get /.well-known/jwks.json', 'get /.well-known/oauth-authorization-server' ],
    bearer => [ 'post /auth/logout', 'post /auth/logout-all', 'get /auth/sessions', 'delete /auth/sessions', 'delete /auth/sessions/{session_id}', 'post /auth/introspect', 'get /auth/me', 'get /users/me', 'delete /users/me', 'get /users/profile',
        'put /users/profile', 'get /users/balance', 'put /users/balance' ],
    admin => [ 'get /users/', 'get /users', 'get /users/deleted', 'post /admin/block/{user_id}', 'post /admin/unblock/{user_id}',
        'post /admin/restore/{user_id}', 'put /admin/users/{user_id}/role', 'put /admin/users/{user_id}/balance', 'get /admin/audit',
        'get /admin/check' ]);
my %operations;
foreach my $path (keys %{ $document->{paths} })
{
    $operations{"$_ $path"} = $document->{paths}{$path}{$_} foreach keys %{ $document->{paths}{$path} };
}
is_deeply([ sort keys %operations ], [ sort map { @$_ } values %wanted ], 'every route, and no other');
my %access = map { my $access = $_; map { $_ => $access } @{ $wanted{$access} } } keys %wanted;

# Every operation is whole.
my %ids;
foreach my $name (sort keys %operations)
{
    my $operation = $operations{$name};
    my %statuses = map { $_ => 1 } keys %{ $operation->{responses} };
    ok(length $operation->{summary}, "$name: has a summary");
    ok(!$ids{ $operation->{operationId} }++, "$name: has an id of its own");
    ok((grep { $_->{name} eq $operation->{tags}[0] } @{ $document->{tags} }), "$name: its tag is known");
    if ($name =~ m{^delete /auth/sessions})
    {
        ok($statuses{204} && !$statuses{200} && !$operation->{responses}{204}{content}, "$name: a 204, and no body");
    }
    else
    {
        ok($operation->{responses}{200}{content}{'application/json'}{schema}, "$name: a 200 with a schema");
    }
    is((join ' ', grep { !$statuses{$_} } 400, 408, 413, 414, 417, 431, 503), '', "$name: the errors of the server");
    is($statuses{401} // 0, $access{$name} ne 'anyone' || $name =~ /login|refresh|change/ ? 1 : 0, "$name: 401");
    is(scalar @{ $operation->{security} }, $access{$name} eq 'anyone' ? 0 : 2, "$name: security");
    is($statuses{404} // 0, $access{$name} eq 'admin' || $name =~ /session_id|oauth-auth/ ? 1 : 0, "$name: 404");
    is(!!$statuses{415}, !!$operation->{requestBody}, "$name: 415 where there is a body");
    is(!!$statuses{422}, !!($operation->{requestBody} || $operation->{parameters}), "$name: 422 where there is something to be wrong");
    is_deeply([ map { $_->{name} } grep { $_->{in} eq 'path' } @{ $operation->{parameters} // [] } ], [ $name =~ /\{(.*?)\}/g ],
        "$name: its path's parameters");
    ok(!(grep { !length $_->{description} || !$_->{schema}{type} } @{ $operation->{parameters} // [] }), "$name: parameters are described");
}
is_deeply([ sort keys %{ $operations{'post /auth/login'}{requestBody}{content} } ], [ 'application/json', 'application/x-www-form-urlencoded' ],
    'login: both media types');
is($document->{components}{securitySchemes}{password}{flows}{password}{tokenUrl}, '/auth/login', 'where a viewer logs in');

# References, and components that nobody refers to.
my %referred;
my @todo = ($document);
while (@todo)
{
    my $value = shift @todo;
    if (ref $value eq 'HASH')
    {
        if (exists $value->{'$ref'} && !ref $value->{'$ref'})
        {
            $referred{ $value->{'$ref'} }++;
            ok(eval { $api->resolve($value) }, "$value->{'$ref'} is there") if $referred{ $value->{'$ref'} } == 1;
        }
        push @todo, values %$value;
    }
    push @todo, @$value if ref $value eq 'ARRAY';
}
foreach my $kind (qw(schemas responses headers))
{
    is_deeply([ grep { !$referred{"#/components/$kind/$_"} } sort keys %{ $document->{components}{$kind} } ], [], "no $kind without use");
}
foreach my $name (sort keys %{ $document->{components}{schemas} })
{
    ok(defined eval { my @problems = $api->value_problems($document->{components}{schemas}{$name}, {}, ''); 1 }, "schema $name: only what the tests know")
      or diag $@;
}

# The errors' texts are the extension's.
my %messages;
foreach my $response ((map { values %{ $_->{responses} } } values %operations), values %{ $document->{components}{responses} })
{
    my $examples = exists $response->{'$ref'} ? {} : $response->{content}{'application/json'}{examples} // {};
    $messages{$_} = $examples->{$_}{value}{detail} foreach keys %$examples;
}
my %raised = slurp_file('extension/base/errors.h') =~ /X\(\w+, "(U(?!422)\w+)", "(.*?)"/g;
delete @raised{qw(U404C U405A)}; # of /rpc: 29_rpc.pl
cmp_ok(scalar keys %raised, '>=', 6, 'errors.h has errors');
is_deeply({ map { $_ => $messages{$_} } keys %raised }, \%raised, 'every error of the extension, in its words');

# What the check of answers must find.
my $pair = { access_token => 'a', refresh_token => 'r', token_type => 'bearer', expires_in => 900 };
my %headers = ('content-type' => 'application/json; charset=utf-8', 'x-request-id' => 'x');
my $token_error = { detail => 'Could not validate credentials', code => 'U401B' };
sub problems
{
    my ($method, $path, $status, $body, %more) = @_;
    return join ', ', $api->problems($method, $path,
        { status => $status, headers => { %headers, %more }, content => ref $body ? $json->encode($body) : $body });
}
foreach (
    [ 'a good answer', '', 'POST', '/auth/login', 200, $pair ],
    [ 'a query', '', 'POST', '/auth/login?x', 200, $pair ],
    [ 'a member too many', 'body has a member id', 'POST', '/auth/login', 200, { %$pair, id => 1 } ],
    [ 'a member too few', 'body has no token_type', 'POST', '/auth/login', 200, { map { $_ => $pair->{$_} } qw(access_token refresh_token expires_in) } ],
    [ 'a string for a number', 'body expires_in is no int64, body expires_in is of type string', 'POST', '/auth/login', 200, { %$pair, expires_in => 'x' } ],
    [ 'digits in a string', 'body expires_in is of type string', 'POST', '/auth/login', 200, { %$pair, expires_in => '900' } ],
    [ 'a fraction', 'body expires_in is no int64, body expires_in is of type number', 'POST', '/auth/login', 200, { %$pair, expires_in => 1.5 } ],
    [ 'null', 'body access_token is of type null', 'POST', '/auth/login', 200, { %$pair, access_token => undef } ],
    [ 'another constant', 'body token_type is another constant', 'POST', '/auth/login', 200, { %$pair, token_type => 'mac' } ],
    [ 'an array', 'body is of type array', 'POST', '/auth/login', 200, [] ],
    [ 'no JSON', 'the body is no JSON', 'POST', '/auth/login', 200, '{' ],
    [ 'no body', 'the body is no JSON', 'POST', '/auth/login', 200, '' ],
    [ 'another type', 'Content-Type is not documented', 'POST', '/auth/login', 200, $pair, 'content-type' => 'text/html; charset=utf-8' ],
    [ 'no charset', 'charset', 'POST', '/auth/login', 200, $pair, 'content-type' => 'application/json' ],
    [ 'another status', '201 is not documented', 'POST', '/auth/login', 201, $pair ],
    [ 'no X-Request-ID', 'header X-Request-ID is missing', 'POST', '/auth/login', 200, $pair, 'x-request-id' => undef ],
    [ 'no WWW-Authenticate', 'header WWW-Authenticate is missing', 'GET', '/users/me', 401, $token_error ],
    [ 'an error', '', 'GET', '/users/me', 401, $token_error, 'www-authenticate' => 'Bearer' ],
    [ 'another route\'s code', 'code U401B is not documented', 'POST', '/auth/login', 401, $token_error, 'www-authenticate' => 'Bearer' ],
    [ 'another text', 'detail of U401B', 'GET', '/users/me', 401, { %$token_error, detail => 'No' }, 'www-authenticate' => 'Bearer' ],
    [ 'no Retry-After', 'header Retry-After is missing', 'GET', '/users/me', 503, { detail => 'x' } ],
    [ 'HEAD', '', 'HEAD', '/users/me', 200, '' ],
    [ 'HEAD with a body', 'HEAD has a body', 'HEAD', '/users/me', 200, '{}' ],
    [ 'an unknown path', '', 'GET', '/nowhere', 404, { detail => 'Not Found' } ],
    [ 'an unknown path that is found', '200 where there is no such operation', 'GET', '/nowhere', 200, { detail => 'x' } ],
    [ 'an unknown method', '', 'PATCH', '/users/me', 405, { detail => 'x' }, allow => 'GET' ],
    [ 'an unknown method without Allow', 'header Allow is missing', 'PATCH', '/users/me', 405, { detail => 'x' } ],
    [ 'an unknown method, 404', '404 where there is no such operation', 'PATCH', '/users/me', 404, { detail => 'x' } ],
    [ 'a path with a parameter', '', 'POST', '/admin/block/5', 200, { message => 'x' } ],
    [ 'no segment for it', '200 where there is no such operation', 'POST', '/admin/block/', 200, { message => 'x' } ],
    [ 'a list of problems', '', 'POST', '/auth/login', 422, { detail => [ { loc => [ 'body', 'x' ], msg => 'x', type => 'x' } ] } ],
    [ 'a list with a number', 'body detail item loc item is of type integer', 'POST', '/auth/login', 422, { detail => [ { loc => [ 'body', 1 ], msg => 'x', type => 'x' } ] } ],
    [ 'no list', 'body detail is of type string', 'POST', '/auth/login', 422, { detail => 'x' } ],
    [ 'a map of objects', 'body users 5 is of type array', 'GET', '/users', 200, { users => { 5 => [] }, order => [5], next_cursor => undef } ])
{
    my ($what, $wanted, @answer) = @$_;
    is(problems(@answer), $wanted, $what);
}
ok(!defined eval { $api->value_problems({ type => 'string', pattern => 'x' }, 'x', ''); 1 }, 'a keyword that the check does not know is not let pass');

done_testing();
