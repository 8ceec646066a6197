# Brief calls share connections (shim/database/shared.c): each is a transaction of its own, gets its own answer, and what becomes
# of one is nothing to the others, but for a connection that is lost, which is lost for all.
use strict;
use warnings;
use AuthService;
use IO::Select;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(sleep time);

my $s = AuthService->start('shared', conf => "wal_level = replica\nmax_wal_senders = 1\n");
my @users = map { "user$_\@example.com" } 1 .. 8;
my %id = map { $_ => $s->register($_) } @users;
my %token = map { $_ => $s->login($_)->{access_token} } @users;
my $mine = "usename = 'auth_service_shim'";

# Clients of different users, some with tokens that are refused: what each has got, and who of them got something else.
sub crowd
{
    my ($clients, $seconds, %also) = @_;
    return $s->parallel($clients, sub {
        my $end = time + $seconds;
        my $user = $users[ $_[0] % @users ];
        my $is_bad = $_[0] % 5 == 0;
        my ($good, $refused) = (0, 0);
        while (time < $end)
        {
            my $path = (qw(/users/me /users/balance /auth/me))[ rand 3 ];
            my $answer = $s->request('GET', $path, token => $is_bad ? "$token{$user}x" : $token{$user});
            my $is_due = $is_bad ? $answer->{status} == 401
              : $answer->{status} == 200 && ($answer->{json}{id} // $answer->{json}{user_id} // $id{$user}) == $id{$user};
            if ($is_due) { $good++ }
            elsif ($also{$answer->{status}}) { $refused++; sleep 0.01 }
            else { return "$path: $answer->{status} $answer->{content}" }
        }
        return "good:$good refused:$refused";
    });
}
sub odd { return join "\n", grep { !/^good:[1-9]/ } @_ }

# Statements are prepared by whoever needs them first, a call that is refused as well.
$s->end_backends;
my @got = crowd(24, 1.5);
is(odd(@got), '', 'each gets his own, and 401 where the token is bad');
is(scalar(grep { !/refused:0$/ } @got), 0, 'and nobody anything else');
cmp_ok($s->sql("SELECT count(*) FROM pg_stat_activity WHERE $mine"), '<=', 2 + 1, '24 clients need two connections, and what was there before');

# A connection that ends takes with it what was sent over it, not what comes after.
my $killer = fork() // die;
if ($killer == 0) { for (1 .. 10) { sleep 0.1; $s->end_backends } POSIX::_exit(0) }
@got = crowd(16, 2.5, 503 => 1);
waitpid $killer, 0;
is(odd(@got), '', 'backends end: 503, or the right answer');
cmp_ok(scalar(grep { !/refused:0$/ } @got), '>', 0, 'and it was felt');
is(odd(crowd(8, 0.5)), '', 'afterwards everybody is served');

# The first call in a minute notes the user's activity: nobody waits for what that would wait for.
sub noted { return $s->sql('SELECT count(*) FROM auth.users WHERE last_activity_at IS NOT NULL') }
sub forget { $s->sql('UPDATE auth.users SET last_activity_at = NULL'); return }
forget();
my $lock = $s->node->background_psql('auth_service');
$lock->query_safe('BEGIN; LOCK TABLE auth.users IN SHARE MODE');
is(odd(crowd(8, 0.5)), '', 'an index is being made: reads go on');
is(noted(), 0, 'and nothing is noted');
$lock->query_safe('COMMIT');
$lock->quit;
forget();
$s->node->append_conf('postgresql.conf', "synchronous_standby_names = 'gone'");
$s->node->reload;
my $write = sub { return $s->request('PUT', '/users/profile', token => $token{ $users[0] }, json => { first_name => 'A', last_name => 'B' })->{status} };
my $tries = 50;
sleep 0.1 while $write->() == 200 && --$tries > 0;
cmp_ok($tries, '>', 0, 'the standby that commits wait for is gone: so does what is to last');
is(odd(crowd(8, 0.5)), '', 'reads go on');
cmp_ok(noted(), '>', 0, 'and activity is noted');
$s->node->append_conf('postgresql.conf', "synchronous_standby_names = ''");
$s->node->reload;
$s->sql('UPDATE auth.users SET first_name = NULL, last_name = NULL');

# ---- Step by step ----------------------------------------------------------------------------------
# From here on /users/balance waits until the test opens the caller's gate, and answers his id; what there is of its answer
# by then goes out, with a notice.  So does /auth/logout, which has a connection of its own.  One who is forgetful makes the
# server forget how /users/me was prepared.
$s->stop_shim;
$s->node->safe_psql('postgres', 'CREATE DATABASE other TEMPLATE auth_service');
$s->node->safe_psql('other', "UPDATE auth.users SET first_name = 'Other'");
$s->sql(<<'SQL');
ALTER ROLE auth_service_shim IN DATABASE auth_service SET lock_timeout = 0;
ALTER ROLE auth_service_shim IN DATABASE auth_service SET statement_timeout = 0;
CREATE TABLE public.forgetful (user_id bigint);
GRANT SELECT ON public.forgetful TO PUBLIC;
CREATE OR REPLACE FUNCTION auth.balance() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE 'at the gate';
    PERFORM pg_advisory_xact_lock_shared(58, auth.uid()::int);
    IF EXISTS (SELECT FROM public.forgetful f WHERE f.user_id = auth.uid()) THEN
        EXECUTE (SELECT string_agg('DEALLOCATE ' || name, ';') FROM pg_prepared_statements WHERE statement LIKE '%auth.me()%');
    END IF;
    RETURN auth.uid();
END $$;
CREATE OR REPLACE FUNCTION auth.logout() RETURNS void LANGUAGE sql AS 'SELECT auth.balance()';
SQL
my @token = map { $token{$_} } @users;
my @id = map { $id{$_} } @users;
my $gates = $s->node->background_psql('auth_service');
my $admin;

# A front whose calls share one connection, unless its pool is larger.
sub front
{
    # What a sanitizer has to say it says where the front ends by itself.
    $s->stop_shim($ENV{ASAN_OPTIONS} ? 'TERM' : 'KILL') if @{ $s->{shims} };
    until_it_is(sub { backends() eq '' });
    $admin = PostgreSQL::Test::Cluster::get_free_port();
    $s->shim("--admin-port=$admin", '--pool-size=6', '--maintenance-interval=0', @_);
    return;
}
sub until_it_is { my ($is) = @_; for (1 .. 400) { return 1 if $is->(); sleep 0.02 } return 0 }
sub metric { return HTTP::Tiny->new->get("http://127.0.0.1:$admin/metrics")->{content} =~ /^auth_service_\Q$_[0]\E (\d+)$/m ? $1 : 'none' }
sub backends { return $gates->query_safe("SELECT COALESCE(string_agg(pid::text, ' '), '') FROM pg_stat_activity WHERE $mine AND datname = 'auth_service'") }
# A server process ends a moment after its connection.
sub backend { my $now; until_it_is(sub { ($now = backends()) =~ /^\d+$/ }); return $now }
sub shut { $gates->query_safe("SELECT pg_advisory_lock(58, $id[$_])") foreach @_; return }
sub open_gate { $gates->query_safe("SELECT pg_advisory_unlock(58, $id[$_])") foreach @_; return }

# The nth user asks, and then that many requests are under way in all.
my $asked = 0;
sub ask
{
    my ($n, $path, $under_way, %options) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->{port}) or die "connect: $!";
    $socket->syswrite(join "\r\n", ($options{method} // 'GET') . " $path HTTP/1.1", 'Host: a', 'Connection: close', "X-Request-Id: asked-" . ++$asked,
        'Authorization: Bearer ' . ($options{token} // $token[$n]), $options{more} // (), '', $options{body} // '');
    until_it_is(sub { metric('http_requests_in_progress') == $under_way }) or diag "$path of $n: not under way" if $under_way;
    return $socket;
}

# He asks for his balance, and stands at his gate: nobody is answered before him.
sub ask_and_wait
{
    my ($n, $under_way, $path, %options) = @_;
    my $socket = ask($n, $path // '/users/balance', $under_way, %options);
    at_gate($n);
    return $socket;
}
sub at_gate
{
    my ($n) = @_;
    until_it_is(sub { $gates->query_safe("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 58 AND objid = $id[$n] AND NOT granted") }) or diag "$n is not at his gate";
    return;
}

# The status, and whose answer it is; or what is wrong with it, after more time than anything here may take.
sub answer
{
    my ($socket) = @_;
    my ($all, $end) = ('', time + 10);
    while (IO::Select->new($socket)->can_read($end - time)) { $socket->sysread($all, 65536, length $all) or last }
    my @problems = $s->openapi->raw_problems($all);
    return "@problems" if @problems;
    my ($status, $body) = $all =~ m{\AHTTP/1\.1 (\d+) .*?\r\n\r\n(.*)\z}s or return 'nothing';
    return $status if $status != 200;
    my $json = JSON::PP->new->utf8->decode($body);
    my ($whose) = grep { $id[$_] == (ref $json ? $json->{id} // $json->{user_id} // $json->{balance} // -1 : -1) } 0 .. $#id;
    return "200 " . ($whose // $body) . (ref $json && $json->{first_name} ? " $json->{first_name}" : '');
}
sub answers { return join ', ', map { answer($_) } @_ }
sub me { return answer(ask($_[0], '/users/me')) }

# Calls that were sent while the first one waits.
front();
shut(0);
my @calls = (ask_and_wait(0, 1));
push @calls, ask(1, '/users/me', 2), ask(2, '/auth/me', 3), ask(3, '/users/me', 4, token => 'x'), ask(4, '/users/profile', 5), ask(5, '/users/balance', 6), ask(6, '/users/me', 7), ask(0, '/users/me', 8);
open_gate(0);
is(answers(@calls), '200 0, 200 1, 200 2, 401, 403, 200 5, 200 6, 200 0', 'eight calls over one connection: each gets the answer to his own');
until_it_is(sub { my @lines = $s->shim_log =~ /"request_id":"asked-/g; @lines == 8 });
my %logged = $s->shim_log =~ /"request_id":"asked-(\d+)",.*?"status":\d+,(?:"sqlstate":"\w+",)?"duration_ms":[\d.]+,(?:"user_id":(\d+))?/g;
is(join(' ', map { $logged{$_} // '-' } 1 .. 8), join(' ', @id[0 .. 2], '-', @id[4 .. 6], $id[0]), 'and is who the log says');

# A connection that ends is lost for all whose calls were sent, and for nobody else.  The second one is sent with those behind him.
my $before = backend();
shut(0, 1);
@calls = (ask_and_wait(0, 1));
push @calls, ask(1, '/users/balance', 2), ask(2, '/users/me', 3), ask(3, '/users/balance', 4);
open_gate(0);
is(answer(shift @calls), '200 0', 'the first of four is answered');
at_gate(1);
$s->end_backends;
is(answers(@calls), '503, 503, 503', 'the connection ends: lost for the three behind him');
is(me(2), '200 2', 'and there is another one');
isnt(backend(), $before, 'which is not the same');
open_gate(1);

# The first whose time is up: nothing of his answer is taken for one, and the connection is lost for all.
front('--database-timeout=3');
shut(0);
@calls = (ask_and_wait(0, 1));
push @calls, ask(1, '/users/me', 2), ask(2, '/auth/me', 3);
is(answers(@calls), '503, 503, 503', 'the first waits too long: no answer for him, and for those behind him');
is(join(' ', map { metric($_) } 'database_call_timeouts_total', map { "http_unavailable_total{reason=\"$_\"}" } qw(timeout connection)), '1 1 2', 'whose time it was is told');
ok(until_it_is(sub { metric('database_connections') eq '0' }), 'the connection is closed at once');
is(me(3), '200 3', 'and afterwards there is another connection');
open_gate(0);

# There is no connection: those who wait for one are told so, in time.
front();
$s->sql('ALTER ROLE auth_service_shim CONNECTION LIMIT 1');
shut(0);
my $alone = ask_and_wait(0, 1, '/auth/logout', method => 'POST', more => 'Content-Length: 0');
my $began = time;
@calls = (ask(1, '/users/me', 2), ask(2, '/auth/me', 3));
is(answers(@calls), '503, 503', 'the only connection is taken: 503');
cmp_ok(time - $began, '<', 6, 'in time');
is(metric('http_unavailable_total{reason="pool"}'), 2, 'and that is why');
@calls = (ask(1, '/users/me', 2));
sleep 1;
push @calls, ask(2, '/auth/me', 3);
is(answer(shift @calls), '503', 'one after the other: 503 for the first');
open_gate(0);
is(answers(@calls), '200 2', 'and nothing to the second, whose time is not up');
like(answer($alone), qr/^200 /, 'who had it is answered');
is(me(1), '200 1', 'and they are served');
$s->sql('ALTER ROLE auth_service_shim CONNECTION LIMIT -1');

# The server has forgotten what was prepared.  Who was sent behind that is answered, who comes later has another connection.
front();
is(me(2), '200 2', 'prepared');
$before = backend();
$s->sql("INSERT INTO forgetful VALUES ($id[0])");
is(answer(ask(0, '/users/balance')), '200 0', 'forgotten');
is(join(', ', map { me($_) } 1 .. 3), '503, 200 2, 200 3', 'that costs one answer');
isnt(my $now = backend(), $before, 'and the connection');
is(me(1), '200 1', 'the next one stays');
is(backend(), $now, 'for everybody');
shut(0, 2);
@calls = (ask_and_wait(0, 1));
push @calls, ask(1, '/users/me', 2), ask(2, '/users/balance', 3);
open_gate(0);
is(answer(shift @calls) . ', ' . answer(shift @calls), '200 0, 503', 'forgotten while calls wait');
at_gate(2);
push @calls, ask(3, '/users/me', 2), ask(4, '/users/me', 3);
open_gate(2);
is(answers(@calls), '200 2, 200 3, 200 4', 'who was sent is answered, the others not sent behind him');
$s->sql('DELETE FROM forgetful');

# A statement that cannot be prepared is not taken for one that was, nor are those that were to be prepared behind it.
foreach my $function (qw(me authenticate))
{
    my ($arguments) = $s->sql("SELECT pg_get_function_identity_arguments('auth.$function'::regproc)");
    front();
    answer(ask(0, '/auth/me')) if $function eq 'me';
    $before = backend();
    $s->sql("ALTER FUNCTION auth.$function($arguments) RENAME TO away");
    is(me(1), '503', "there is no auth.$function");
    $s->sql("ALTER FUNCTION auth.away($arguments) RENAME TO $function");
    is(me(1), '200 1', "there is auth.$function again");
    is(backend(), $before, 'for the same connection') if $function eq 'me';
}
front();
shut(0);
@calls = (ask_and_wait(0, 1));
$s->sql('ALTER FUNCTION auth.me() RENAME TO away');
push @calls, ask(1, '/users/me', 2), ask(2, '/users/me', 3), ask(3, '/auth/me', 4);
open_gate(0);
is(answers(@calls), '200 0, 503, 503, 200 3', 'nor by a call that was sent behind it');
$s->sql('ALTER FUNCTION auth.away() RENAME TO me');
is(me(1), '200 1', 'which costs the connection');

# Two shared connections: who waits at one keeps up nobody at the other.
front('--pool-size=12');
me(1);
shut(0);
@calls = (ask_and_wait(0, 1));
is(join(', ', map { me($_) } 1 .. 4), '200 1, 200 2, 200 3, 200 4', 'one connection is held up: the other serves');
open_gate(0);
is(answers(@calls), '200 0', 'and he is answered');

# Another database: a connection that is never idle answers what was sent, and takes nothing more.
my $file = "$PostgreSQL::Test::Utils::tmp_check/shared.env";
PostgreSQL::Test::Utils::append_to_file($file, "POSTGRES_DB=auth_service\n");
front("--env-file=$file");
shut(0);
@calls = (ask_and_wait(0, 1));
$s->request('GET', '/health/ready');
like(backends(), qr/^\d+ \d+$/, 'a connection that is shared, and one that is idle');
PostgreSQL::Test::Utils::append_to_file($file, "POSTGRES_DB=other\n");
kill 'HUP', $s->{shims}[-1]{pid};
ok(until_it_is(sub { backends() =~ /^\d+$/ }), 'SIGHUP: the idle one goes');
push @calls, ask(1, '/users/me', 2), ask(2, '/users/me', 3);
open_gate(0);
is(answers(@calls), '200 0, 200 1 Other, 200 2 Other', 'who was sent is answered, the others ask the other database');
ok(until_it_is(sub { backends() eq '' }), 'and of the one before no connection is left');
$gates->quit;

# A small pool has none to share.
$s->shim('--pool-size=5');
is(odd(crowd(12, 0.5)), '', 'a pool of five: each call has a connection of its own, for its time');
done_testing();
