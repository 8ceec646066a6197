# Brief calls share connections (shim/db_shared.c): each is a transaction of its own, gets its own answer, and what becomes
# of one is nothing to the others, but for a connection that is lost, which is lost for all.
use strict;
use warnings;
use AuthService;
use Test::More;
use Time::HiRes qw(sleep time);

my $s = AuthService->start('shared', arguments => ['--database-timeout=3']);
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
my @got = crowd(24, 2);
is(odd(@got), '', 'each gets his own, and 401 where the token is bad');
is(scalar(grep { !/refused:0$/ } @got), 0, 'and nobody anything else');
cmp_ok($s->sql("SELECT count(*) FROM pg_stat_activity WHERE $mine"), '<=', 2 + 1, '24 clients need two connections, and what was there before');

# A connection that ends takes with it what was sent over it, not what comes after.
my $killer = fork() // die;
if ($killer == 0) { for (1 .. 20) { sleep 0.1; $s->end_backends } POSIX::_exit(0) }
@got = crowd(16, 5, 503 => 1);
waitpid $killer, 0;
is(odd(@got), '', 'backends end: 503, or the right answer');
cmp_ok(scalar(grep { !/refused:0$/ } @got), '>', 0, 'and it was felt');
is(odd(crowd(8, 0.5)), '', 'afterwards everybody is served');

# Nobody can be served: in time, and without one that waits for another's patience.
my $lock = $s->node->background_psql('auth_service');
$lock->query_safe('BEGIN; LOCK TABLE auth.users IN ACCESS EXCLUSIVE MODE');
my @waited = $s->parallel(12, sub { my $begin = time; my $answer = $s->request('GET', '/users/me', token => $token{ $users[0] }); return sprintf '%d %s %.1f', $answer->{status}, $answer->{headers}{'retry-after'} // '-', time - $begin });
is(join(', ', grep { !/^503 \d+ ([\d.]+)$/ || $1 > 6 } @waited), '', 'a table is locked: 503 in time') or diag join ', ', @waited;
$lock->query_safe('COMMIT');
$lock->quit;
is(odd(crowd(8, 0.5)), '', 'and afterwards everybody is served');

# New settings: a connection that is never idle is left for all that.
$s->sql('CREATE DATABASE other');
my $file = "$PostgreSQL::Test::Utils::tmp_check/shared.env";
PostgreSQL::Test::Utils::append_to_file($file, "POSTGRES_DB=auth_service\n");
$s->shim("--env-file=$file");
my $reloader = fork() // die;
if ($reloader == 0)
{
    sleep 2;
    PostgreSQL::Test::Utils::append_to_file($file, "POSTGRES_DB=other\n");
    kill 'HUP', $s->{shims}[-1]{pid};
    POSIX::_exit(0);
}
@got = $s->parallel(8, sub {
    my $end = time + 10;
    my %seen;
    while (keys %seen < 2 && time < $end) { $seen{ $s->request('GET', '/users/me', token => $token{ $users[0] })->{status} }++ }
    return join ' ', sort keys %seen;
});
waitpid $reloader, 0;
is(scalar(grep { !/^200 500$/ } @got), 0, 'SIGHUP with another database: it is asked from then on') or diag join ', ', @got;

# A small pool has none to share.
$s->shim('--pool-size=5');
is(odd(crowd(12, 0.5)), '', 'a pool of five: each call has a connection of its own, for its time');
done_testing();
