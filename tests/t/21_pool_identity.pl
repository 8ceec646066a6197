# A connection of the pool is used by everybody in turn: whatever a request did, the next one on the
# same connection is nobody.
use strict;
use warnings;
use AuthService;
use Test::More;

my $s = AuthService->start('pool', arguments => ['--pool-size=1']);
$s->register('ann@example.com');
$s->register('bob@example.com');
my $ann = $s->login('ann@example.com')->{access_token};
my $bob = $s->login('bob@example.com')->{access_token};

sub backend { return $s->sql("SELECT string_agg(pid::text, ',') FROM pg_stat_activity WHERE usename = 'auth_service_shim'") }
my $backend = backend();

# /health/ready answers "ready" only where auth.uid() is NULL.
foreach (
    [ 'a good request', 'GET', '/auth/me', token => $ann ],
    [ 'a bad token', 'GET', '/auth/me', token => "${ann}x" ],
    [ 'an error behind a good token', 'PUT', '/users/profile', token => $ann, json => { first_name => 'x' } ],
    [ 'bad JSON behind a good token', 'PUT', '/users/profile', token => $ann, body => '{', type => 'application/json' ],
    [ 'a refused login', 'POST', '/auth/login', form => [ username => 'ann@example.com', password => 'x' ] ],
    [ 'another user', 'GET', '/users/me', token => $bob ],
    [ 'a logout', 'POST', '/auth/logout', token => $bob ])
{
    my ($what, @request) = @$_;
    my $status = $s->request(@request)->{status};
    is($s->request('GET', '/health/ready')->{status}, 200, "after $what ($status): nobody");
}
is($s->request('GET', '/auth/me', token => $ann)->{json}{user_id}, 1, 'and each is who his token says');
is(backend(), $backend, 'all of it on one and the same connection');

# Many at once through that connection never see each other.
my $carl = $s->register('carl@example.com');
my %token = (1 => $ann, 3 => $s->login('carl@example.com')->{access_token});
my @wrong = grep { $_ ne 'right' } $s->parallel(8, sub {
    my $id = $_[0] % 2 ? 1 : 3;
    foreach (1 .. 50)
    {
        my $answer = $s->request('GET', '/users/me', token => $token{$id});
        return "$answer->{status} $answer->{content}" if $answer->{status} != 200 || $answer->{json}{id} != $id;
    }
    return 'right';
});
is(scalar @wrong, 0, '400 requests of two users through one connection') or diag join "\n", @wrong;

# The pool is busy: an answer in time, and requests without the database are served meanwhile.
my $port = $s->shim('--pool-size=1', '--database-timeout=3');
$s->request('GET', '/health/ready');
my $lock = $s->node->background_psql('auth_service');
$lock->query_safe('BEGIN; LOCK TABLE auth.users IN ACCESS EXCLUSIVE MODE');
my @answers = $s->parallel(3, sub {
    return $s->request('GET', '/')->{status} if $_[0] == 3;
    my $answer = $s->request('GET', '/users/me', token => $ann);
    return "$answer->{status} " . ($answer->{headers}{'retry-after'} // '-');
});
is("@answers", '503 1 503 1 200', 'busy: 503 with Retry-After, also for the one that had the connection, and / is served');
$lock->query_safe('COMMIT');
$lock->quit;
is($s->request('GET', '/users/me', token => $ann)->{status}, 200, 'free again: served');

# The server takes fewer connections than the pool would have: those that there are serve everybody.
$s->shim('--pool-size=8');
$s->sql('ALTER ROLE auth_service_shim CONNECTION LIMIT 2');
$s->end_backends;
my @limited = $s->parallel(8, sub { join ' ', map { $s->request('GET', '/users/me', token => $ann)->{status} } 1 .. 20 });
is(scalar(grep { !/^(200 ?)+$/ } @limited), 0, 'a limit of connections: all are served by those that there are') or diag join "\n", @limited;
is(scalar(grep { $s->request('GET', '/users/me', token => $ann)->{status} != 200 } 1 .. 20), 0, 'a limit of connections: afterwards too');
$s->sql('ALTER ROLE auth_service_shim CONNECTION LIMIT -1');

# The server forgets what was prepared: that costs one answer at most.
$s->shim('--pool-size=1');
is($s->request('GET', '/health/ready')->{status}, 200, 'prepared statements: at first');
$s->sql("CREATE FUNCTION public.forget() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN EXECUTE ''DEALLOCATE ALL''; RETURN NEW; END';
    CREATE TRIGGER forget AFTER INSERT ON auth.users EXECUTE FUNCTION public.forget()");
$s->register('dave@example.com');
$s->sql('DROP TRIGGER forget ON auth.users');
$s->request('GET', '/health/ready');
is($s->request('GET', '/health/ready')->{status}, 200, 'prepared statements: forgotten, and prepared again');

# Hashing has a bound: beyond it 503 at once, and everybody else is served.
$s->sql('ALTER DATABASE auth_service SET auth_service.bcrypt_cost = 12');
$s->shim('--pool-size=4', '--hash-slots=1', '--threads=16');
my @hashing = $s->parallel(14, sub {
    return $s->request('GET', '/users/me', token => $ann)->{status} if $_[0] == 14;
    my $answer = $s->request('POST', '/auth/login', form => [ username => "nobody$_[0]\@example.com", password => 'x' ]);
    return "$answer->{status} " . ($answer->{headers}{'retry-after'} // '-');
});
is(pop @hashing, 200, 'hashing: another request is served meanwhile');
is(scalar(grep { !/^(401 -|503 [1-9]\d?)$/ } @hashing), 0, 'hashing: an answer, or 503 with Retry-After') or diag "@hashing";
cmp_ok(scalar(grep { /^503/ } @hashing), '>=', 4, 'hashing: the queue has a bound');
cmp_ok(scalar(grep { /^401/ } @hashing), '>=', 4, 'hashing: and those in it are answered');
done_testing();
