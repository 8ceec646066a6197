# Sessions over HTTP: the list, the end of one and of all others; introspection (RFC 7662) and revocation
# (RFC 7009); what a refresh tells of a reuse that was forgiven; the challenge of every 401 (RFC 6750).
use strict;
use warnings;
use AuthService;
use Test::More;
use Time::HiRes qw(sleep time);

my $s = AuthService->start('sessions', arguments => ['--pool-size=12']);
my $realm = 'Bearer realm="auth_service"';

sub answers
{
    my ($r, $status, $json, $what) = @_;
    is($r->{status}, $status, "$what: $status") or diag $r->{content};
    is_deeply($r->{json}, $json, "$what: body") if defined $json;
}
sub problem { my ($r) = @_; return join ' ', $r->{status}, map { "@{ $_->{loc} } $_->{type}" } @{ $r->{json}{detail} } }

$s->register($_) foreach 'ann@example.com', 'bob@example.com', 'root@example.com';
$s->sql("SELECT auth.set_role(3, 'admin')");
my @pairs;
foreach my $agent ('phone', 'laptop', undef)
{
    my $r = $s->request('POST', '/auth/login', form => [ username => 'ann@example.com', password => 'Secret123' ],
        headers => { defined $agent ? ('User-Agent' => $agent) : () });
    push @pairs, $r->{json};
}
my ($a, $b, $c) = map { $_->{access_token} } @pairs;
my $bob = $s->login('bob@example.com');
my $root = $s->login('root@example.com');

# The list.
my $r = $s->request('GET', '/auth/sessions', token => $b);
is($r->{status}, 200, 'GET /auth/sessions');
is(join(' ', map { $_->{user_agent} =~ s/^HTTP-Tiny.*/-/r } @{ $r->{json} }), '- laptop phone', 'sessions: the last used first');
is_deeply([ map { !!$_->{is_current} } @{ $r->{json} } ], [ !!0, !!1, !!0 ], 'sessions: which is the current one');
is($r->{json}[0]{ip}, '127.0.0.1', 'sessions: from where');
is($r->{headers}{'cache-control'}, 'no-store', 'sessions: no-store');
is($s->request('HEAD', '/auth/sessions', token => $b)->{status}, 200, 'HEAD');
my ($id_c, $id_b, $id_a) = map { $_->{id} } @{ $r->{json} };
my $id_bob = $s->request('GET', '/auth/sessions', token => $bob->{access_token})->{json}[0]{id};

# The end of one.
foreach ($id_bob, '00000000-0000-0000-0000-000000000000', uc $id_bob, $id_bob =~ s/-//gr)
{
    answers($s->request('DELETE', "/auth/sessions/$_", token => $b), 404, { detail => 'Session not found', code => 'U404D' }, "DELETE $_");
}
foreach ('x', 'null', '1', "$id_a-", "{$id_a}", "$id_a%00", '%20' . $id_a, $id_a =~ s/-/_/gr, substr($id_a, 1), "g" . substr($id_a, 1), 'x' x 5000)
{
    is(problem($s->request('DELETE', "/auth/sessions/$_", token => $b)), '422 path session_id uuid_parsing', 'DELETE ' . substr($_, 0, 40));
}
$r = $s->request('DELETE', "/auth/sessions/$id_a", token => $b);
is($r->{status}, 204, 'DELETE: 204');
is($r->{content} // '', '', 'DELETE: no body');
is($r->{headers}{'cache-control'}, 'no-store', 'DELETE: no-store');
is($s->request('GET', '/auth/me', token => $a)->{status}, 401, 'DELETE: its access token is refused');
is($s->request('POST', '/auth/refresh', json => { refresh_token => $pairs[0]{refresh_token} })->{status}, 401, 'DELETE: and its refresh token');
is($s->request('DELETE', "/auth/sessions/$id_a", token => $b)->{status}, 404, 'DELETE: once');
is($s->sql("SELECT actor_id || ' ' || user_id || ' ' || host(ip) || ' ' || detail FROM auth.audit_log WHERE action = 'revoke_session'"),
    qq(1 1 127.0.0.1 {"session_id": "$id_a"}), 'DELETE: in the audit log');
# Nothing of a 204 is taken for the next answer on the connection.
my ($bytes) = $s->raw("DELETE /auth/sessions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $bob->{access_token}\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
like($bytes, qr/^HTTP\/1\.1 204 No Content\r\n(?:(?!Content-)[^\r\n]+\r\n)+\r\nHTTP\/1\.1 200 OK\r\n/, 'a 204 and the next answer on one connection');

# All others, and the current one.
push @pairs, $s->login('ann@example.com');
is($s->request('DELETE', '/auth/sessions', token => $b)->{status}, 204, 'DELETE /auth/sessions');
is_deeply([ map { $_->{id} } @{ $s->request('GET', '/auth/sessions', token => $b)->{json} } ], [$id_b], 'only the current one is left');
is($s->request('GET', '/auth/me', token => $_)->{status}, 401, 'the others are over') foreach $c, $pairs[3]{access_token};
is($s->request('GET', '/auth/me', token => $bob->{access_token})->{status}, 200, 'not those of others');
is($s->request('DELETE', "/auth/sessions/$id_b", token => $b)->{status}, 204, 'the current one');
is($s->request('GET', '/auth/sessions', token => $b)->{status}, 401, 'after which there is none');

# Introspection.
my $ann = $s->login('ann@example.com');
my ($token, $refresh) = @$ann{qw(access_token refresh_token)};
foreach my $how (sub { (form => [@_]) }, sub { (json => {@_}) })
{
    my $r = $s->request('POST', '/auth/introspect', token => $token, $how->(token => $token, token_type_hint => 'refresh_token'));
    is(join(' ', @{ $r->{json} }{qw(active token_type username sub role iss)}), '1 bearer ann@example.com 1 user auth_service', 'introspect: an access token, whatever the hint');
    cmp_ok($r->{json}{exp} - $r->{json}{iat}, '==', 900, 'introspect: its times');
    is($r->{headers}{'cache-control'}, 'no-store', 'introspect: no-store');
    $r = $s->request('POST', '/auth/introspect', token => $token, $how->(token => $refresh));
    is(join(' ', @{ $r->{json} }{qw(active token_type username sub)}), '1 refresh_token ann@example.com 1', 'introspect: a refresh token');
    foreach ($bob->{access_token}, $bob->{refresh_token}, 'x', '', "\0", "$token\n", 'x' x 60000, $id_a)
    {
        answers($s->request('POST', '/auth/introspect', token => $token, $how->(token => $_)), 200, { active => JSON::PP::false }, 'introspect: ' . substr($_, 0, 10))
          if $_ ne "\0" || $how->(1, 1) eq 'form';
    }
    is(problem($s->request('POST', '/auth/introspect', token => $token, $how->(token_type_hint => 'x'))), '422 body token missing', 'introspect: no token');
}
foreach ($bob->{access_token}, $bob->{refresh_token})
{
    is($s->request('POST', '/auth/introspect', token => $root->{access_token}, form => [ token => $_ ])->{json}{username}, 'bob@example.com', 'introspect: an admin, any');
}
answers($s->request('POST', '/auth/introspect', form => [ token => $token ]), 401, { detail => 'Not authenticated', code => 'U401A' }, 'introspect: nobody');
is($s->request('POST', '/auth/introspect', token => $refresh, form => [ token => $token ])->{status}, 401, 'introspect: a refresh token is no access token');
is($s->request('POST', '/auth/introspect', token => $token, body => $token, type => 'text/plain')->{status}, 415, 'introspect: another media type');

# A reuse that is forgiven is told.
$r = $s->request('POST', '/auth/refresh', json => { refresh_token => $refresh });
is($r->{headers}{'x-refresh-token-reuse'}, undef, 'refresh: a step has no cause');
my $again = $s->request('POST', '/auth/refresh', json => { refresh_token => $refresh });
is("$again->{status} $again->{headers}{'x-refresh-token-reuse'}", '200 grace-period', 'refresh: the same again says why');
is($again->{json}{refresh_token}, $r->{json}{refresh_token}, 'refresh: and gives the same');
is($again->{headers}{'cache-control'}, 'no-store', 'refresh: no-store');
is($s->request('POST', '/auth/refresh', json => { refresh_token => $r->{json}{refresh_token} })->{headers}{'x-refresh-token-reuse'}, undef, 'refresh: the next is a step');

# Revocation: whoever has the token; always 200.
foreach ('x', '', $id_a, 'x' x 60000, "$token$token")
{
    answers($s->request('POST', '/auth/revoke', form => [ token => $_ ]), 200, { message => 'Token revoked' }, 'revoke: ' . substr($_, 0, 10));
}
is(problem($s->request('POST', '/auth/revoke', form => [])), '422 body token missing', 'revoke: no token');
is($s->request('GET', '/auth/me', token => $token)->{status}, 200, 'revoke: nothing has ended');
foreach my $what ('access_token', 'refresh_token')
{
    my $pair = $s->login('ann@example.com');
    $r = $s->request('POST', '/auth/revoke', $what =~ /access/ ? 'form' : 'json' => $what =~ /access/ ? [ token => $pair->{$what}, token_type_hint => 'nonsense' ] : { token => $pair->{$what} });
    answers($r, 200, { message => 'Token revoked' }, "revoke: the $what");
    is($r->{headers}{'cache-control'}, 'no-store', 'revoke: no-store');
    is($s->request('GET', '/auth/me', token => $pair->{access_token})->{status}, 401, "revoke: the $what: the access token is refused");
    is($s->request('POST', '/auth/refresh', json => { refresh_token => $pair->{refresh_token} })->{status}, 401, "revoke: the $what: the refresh token too");
    is($s->request('POST', '/auth/revoke', form => [ token => $pair->{$what} ])->{status}, 200, "revoke: the $what: again");
}
$s->request('POST', '/auth/revoke', form => [ token => $refresh ]);
is($s->request('GET', '/auth/me', token => $token)->{status}, 401, 'revoke: a refresh token that was used');
is($s->sql("SELECT count(*) FROM auth.audit_log WHERE action = 'revoke_token' AND user_id = 1 AND host(ip) = '127.0.0.1'"), 3, 'revoke: in the audit log');

# Every 401 has a challenge; "error" where a token was sent, and nowhere else.
my $count = 0;
my $document = $s->openapi->document;
foreach my $path (sort keys %{ $document->{paths} })
{
    foreach my $method (sort keys %{ $document->{paths}{$path} })
    {
        my $operation = $document->{paths}{$path}{$method};
        next if !@{ $operation->{security} };
        (my $concrete = $path) =~ s/\{\w+\}/1/g;
        foreach (
            [ undef, 'U401A' ], [ '', 'U401A' ], [ 'Bearer', 'U401A' ], [ 'Basic YTpi', 'U401A' ], [ 'Bearer a,b', 'U401B' ], [ "Bearer  $root->{access_token}", 'U401B' ],
            [ 'Bearer x', 'U401B' ], [ "Bearer $token", 'U401B' ], [ "Bearer $root->{refresh_token}", 'U401B' ], [ "Bearer $root->{access_token}x", 'U401B' ])
        {
            my ($authorization, $code) = @$_;
            my $r = $s->request(uc $method, $concrete, headers => { defined $authorization ? (Authorization => $authorization) : () });
            my $got = join ' ', $r->{status}, $r->{json}{code} // 'no code', $r->{headers}{'www-authenticate'} // 'no challenge';
            my $wanted = "401 $code " . ($code eq 'U401A' ? $realm : "$realm, error=\"invalid_token\"");
            is($got, $wanted, "$method $path: " . ($authorization // 'none')) if $got ne $wanted;
            $count++;
        }
        my ($twice) = $s->raw(uc($method) . " $concrete HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $root->{access_token}\r\nAuthorization: Bearer x\r\nContent-Length: 0\r\n\r\n", 5);
        like($twice, qr/^HTTP\/1\.1 400 .*Connection: close/s, "$method $path: two Authorization headers");
    }
}
cmp_ok($count, '>', 200, "every 401 of every route has its challenge ($count)");
$r = $s->request('GET', "/auth/me?access_token=$root->{access_token}");
is("$r->{status} $r->{headers}{'www-authenticate'}", "401 $realm", 'a token in the query is none');
foreach (
    [ '/auth/login', form => [ username => 'ann@example.com', password => 'Wrong1234' ] ], [ '/auth/refresh', json => { refresh_token => 'x' } ],
    [ '/auth/change-password', json => { email => 'ann@example.com', old_password => 'x', new_password => 'Secret124' } ])
{
    my ($path, @body) = @$_;
    $r = $s->request('POST', $path, @body);
    is("$r->{status} $r->{headers}{'www-authenticate'}", "401 $realm", "$path: a challenge");
}

# Who waits for the account's lock while his session is ended does nothing any more.
foreach ([ 'DELETE', '/auth/sessions' ], [ 'POST', '/auth/logout-all' ], [ 'DELETE', '/users/me' ])
{
    my ($method, $path) = @$_;
    my ($mine, $his) = map { $s->login('bob@example.com')->{access_token} } 1, 2;
    my $holder = $s->node->background_psql('auth_service');
    $holder->query_safe("BEGIN; SELECT auth.authenticate('$mine'); SELECT auth.revoke_other_sessions();");
    my @all = $s->parallel(2, sub {
        my ($i) = @_;
        return $s->request($method, $path, token => $his)->{status} if $i == 1;
        sleep 0.02 while $s->sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == 0;
        $holder->query_safe('COMMIT;');
        return 'done';
    });
    is(join(' ', sort @all), '401 done', "$method $path from a session that ends meanwhile: 401");
    is($s->request('GET', '/auth/me', token => $mine)->{status}, 200, "$method $path: the one that has ended it lives");
    $holder->quit;
}

# The limit, with 16 logins at the same moment.
$s->sql('ALTER DATABASE auth_service SET auth_service.max_sessions = 5');
$s->end_backends;
my $begin = time;
sleep 0.05 while $s->request('GET', '/health/ready')->{status} != 200 && time - $begin < 10;
my @logins = $s->parallel(16, sub { return $s->login('ann@example.com')->{access_token} // 'none' });
is(scalar(grep { length > 100 } @logins), 16, 'limit: 16 logins at once');
is($s->sql('SELECT count(*) FROM auth.sessions WHERE user_id = 1'), 5, 'limit: five sessions');
is(scalar(grep { $s->request('GET', '/auth/me', token => $_)->{status} == 200 } @logins), 5, 'limit: five tokens are good');
is($s->sql("SELECT deadlocks FROM pg_stat_database WHERE datname = 'auth_service'"), 0, 'limit: no deadlock');

# A session that is being refreshed is not the one that was used longest ago.
{
    $s->sql('DELETE FROM auth.sessions');
    my ($first, $second) = map { $s->login('ann@example.com') } 1 .. 5;
    my $holder = $s->node->background_psql('auth_service');
    my $access = $holder->query_safe("BEGIN; SELECT access_token FROM auth.refresh('$first->{refresh_token}');");
    my @all = $s->parallel(2, sub {
        my ($i) = @_;
        return $s->login('ann@example.com') ? 'in' : 'none' if $i == 1;
        sleep 0.02 while $s->sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == 0;
        $holder->query_safe('COMMIT;');
        return 'done';
    });
    is(join(' ', sort @all), 'done in', 'limit: a login during a refresh');
    is($s->request('GET', '/auth/me', token => $access)->{status}, 200, 'limit: what was refreshed meanwhile stays');
    is($s->request('GET', '/auth/me', token => $second->{access_token})->{status}, 401, 'limit: the one used longest ago went');
    $holder->quit;
}
done_testing();
