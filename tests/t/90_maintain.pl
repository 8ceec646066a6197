# maintain beside everything else: it waits for nobody, nobody loses a living session to it, and `serve` has it
# done by itself.
use strict;
use warnings;
use AuthService;
use Test::More;
use Time::HiRes qw(sleep time);

my $s = AuthService->start('maintain', arguments => [ '--maintenance-interval=0', '--pool-size=12' ]);
my @ids = map { $s->register("user$_\@example.com") } 1 .. 6;

# A session of psql that would rather fail than wait.
sub session { my $p = $s->node->background_psql('auth_service', on_error_stop => 0); $p->query("\\set VERBOSITY sqlstate\nSET lock_timeout = 1"); return $p }
sub ask
{
    my ($p, $statement) = @_;
    $p->{stderr} = '';
    my $out = $p->query($statement);
    return $p->{stderr} =~ /ERROR:  (\w+)/ ? $1 : $out;
}
sub refresh { return $s->request('POST', '/auth/refresh', json => { refresh_token => $_[0]{refresh_token} }) }
sub count { return $s->sql('SELECT count(*) FROM auth.sessions') }
my $over = "UPDATE auth.sessions SET expires_at = now() - interval '1 second'";
my ($one, $two) = (session(), session());

# ---- It waits for nobody ----

my @pairs = map { $s->login("user$_\@example.com") } 1 .. 6;
$s->sql("$over WHERE user_id <= $ids[3]");
ask($one, "BEGIN; SELECT FROM auth.sessions WHERE user_id = $ids[0] FOR NO KEY UPDATE");
is(ask($two, 'SELECT auth.maintain()'), 3, 'a row that is locked is passed over, and not waited for');
ask($one, 'ROLLBACK');
is(ask($two, 'SELECT auth.maintain()'), 1, 'its turn comes');
$s->sql($over . " WHERE user_id = $ids[4]");
ask($one, 'BEGIN; LOCK TABLE auth.sessions IN SHARE MODE');
is(ask($two, 'SELECT auth.maintain()'), 0, 'nor for a table');
ask($one, 'ROLLBACK');
is(ask($one, 'BEGIN; SELECT auth.maintain()'), 1, 'one is at it');
$s->sql("$over WHERE user_id = $ids[5]");
is(ask($two, 'SELECT auth.maintain()'), 0, 'who is not waited for either');
is(ask($one, 'SELECT auth.maintain()'), 1, 'and goes on');
is(ask($one, 'ROLLBACK; SELECT count(*) FROM auth.sessions'), 2, 'a rollback undoes it');
is(ask($one, 'BEGIN; SAVEPOINT s; SELECT auth.maintain(); ROLLBACK TO s'), 2, 'one to a savepoint too');
is(ask($two, 'SELECT auth.maintain()'), 2, 'and gives the turn back');
ask($one, 'ROLLBACK');
is(ask($one, 'SELECT pg_advisory_lock_shared(0); SELECT count(*) FROM pg_locks WHERE locktype = \'advisory\''), "\n1", 'advisory locks of SQL');
is($s->sql("SELECT auth.maintain(), (SELECT count(*) FROM pg_locks WHERE objsubid = 24947)"), '0|1', 'are not its own');

# ---- An older snapshot ----

foreach my $level ('REPEATABLE READ', 'SERIALIZABLE')
{
    ask($one, "BEGIN ISOLATION LEVEL $level; SELECT count(*) FROM auth.sessions");
    my $pair = $s->login('user1@example.com');
    $s->login('user2@example.com');
    $s->sql("$over WHERE user_id = $ids[1]");
    is(ask($one, 'SELECT auth.maintain()'), 1, "$level: what was over after its snapshot is deleted");
    is(ask($one, 'COMMIT; SELECT count(*) FROM auth.sessions'), 1, "$level: for good");
    # Over for its snapshot, but refreshed since: only an operator's UPDATE does that.
    $s->sql($over);
    ask($one, "BEGIN ISOLATION LEVEL $level; SELECT count(*) FROM auth.sessions");
    $s->sql("UPDATE auth.sessions SET expires_at = now() + interval '1 day'");
    is(ask($one, 'SELECT auth.maintain()'), 0, "$level: what lives again is not");
    is(ask($one, 'COMMIT; SELECT count(*) FROM auth.sessions'), 1, "$level: and lives");
    is(refresh($pair)->{status}, 200, "$level: and is refreshed");
    $s->sql('DELETE FROM auth.sessions');
}

# ---- A step reads what it deletes, though the statistics know of nothing to delete ----

my $expired = "INSERT INTO auth.sessions (user_id, id, refresh_key, refresh_counter, refresh_nonce, previous_nonce, created_at, last_used_at, expires_at)
    SELECT 1, gen_random_uuid(), '\\x00', 0, 1, 1, now(), now(), now() + i * interval '1 second' FROM generate_series";
$s->sql("$expired(1, 1000) i; ANALYZE auth.sessions; $expired(-20000, -1) i");
foreach my $call (1, 2)
{
    ask($one, 'SELECT pg_stat_force_next_flush()');
    is(ask($one, 'BEGIN; SELECT auth.maintain()'), 1000, "step $call: so many rows");
    my ($rows, $scans) = split /\|/, ask($one, "SELECT idx_tup_fetch, seq_scan FROM pg_stat_xact_user_tables WHERE relid = 'auth.sessions'::regclass");
    cmp_ok($rows, '<=', 2100, 'are read by an index, twice at most');
    is($scans, 0, 'and not the table');
    ask($one, 'COMMIT');
}
is(ask($one, 'SHOW enable_seqscan'), 'on', "the caller's settings are as they were");
$s->sql('DELETE FROM auth.sessions');

# ---- Beside refreshes: a session lives until its end, whatever is deleted around it ----

@pairs = map { $s->login("user$_\@example.com") } 1 .. 6;
$s->sql("INSERT INTO auth.sessions (user_id, id, refresh_key, refresh_counter, refresh_nonce, previous_nonce, created_at, last_used_at, expires_at)
    SELECT i % 6 + 1, gen_random_uuid(), '\\x00', 0, 1, 1, now(), now() - i % 2 * interval '8 days', now() + (i % 4 - 1.5) * interval '1 day' FROM generate_series(1, 20000) i");
my $end = time + 4;
$s->sql("UPDATE auth.sessions SET expires_at = to_timestamp($end) WHERE user_id = $ids[$_] AND refresh_counter = 0 AND refresh_key <> '\\x00'") foreach 0, 1, 2;
my @lines = $s->parallel(8, sub {
    my ($i) = @_;
    my %n;
    if ($i > 6)
    {
        my $p = session();
        while (time < $end + 1) { my $got = ask($p, 'SELECT auth.maintain()'); $n{ $got =~ /^\d+$/ ? 'maintained' : $got }++ }
        return join ' ', map { "$_=$n{$_}" } sort keys %n;
    }
    my $pair = $pairs[ $i - 1 ];
    my $last = 'none';
    while (time < $end + 1)
    {
        my $answer = refresh($pair);
        $n{ $answer->{status} }++;
        $last = time if $answer->{status} == 401 && $last eq 'none';
        $pair = $answer->{json} if $answer->{status} == 200;
        sleep 0.1 if $answer->{status} != 200;
    }
    return "$last " . join ' ', map { "$_=$n{$_}" } sort keys %n;
});
foreach my $i (0 .. 2)
{
    my ($last) = $lines[$i] =~ /^([\d.]+) /;
    like($lines[$i], qr/^[\d.]+ 200=\d\d+ 401=\d+$/, 'a session at its end: refreshed, then 401');
    cmp_ok($last, '>=', $end - 0.01, 'and not before');
}
like($lines[$_], qr/^none 200=\d\d+$/, 'one that lives: refreshed each time') foreach 3 .. 5;
like($lines[$_], qr/^maintained=\d+$/, 'and nobody waited for a lock') foreach 6, 7;
1 while $s->sql('SELECT auth.maintain()') > 0; # on a machine that is too busy the two have not done it all
is($s->sql('SELECT count(*) FROM auth.sessions WHERE expires_at < now()'), 0, 'what was over is gone');
is($s->sql("SELECT count(*) FROM auth.sessions WHERE last_used_at < now() - interval '7 days'"), 0, 'what was idle too');
is(count(), 5000 + 3, 'and nothing else');
is($s->sql(q(SELECT deadlocks FROM pg_stat_database WHERE datname = 'auth_service')), 0, 'no deadlock');

# ---- `serve` does it ----

sub settles { my ($what, $wanted) = @_; my $until = time + 10; sleep 0.1 while count() != $wanted && time < $until; is(count(), $wanted, $what) }
$s->sql('DELETE FROM auth.sessions');
$s->login('user1@example.com');
my $old = "INSERT INTO auth.sessions (user_id, id, refresh_key, refresh_counter, refresh_nonce, previous_nonce, created_at, last_used_at, expires_at)
    SELECT 1, gen_random_uuid(), '\\x00', 0, 1, 1, now(), now(), now() - interval '1 day' FROM generate_series(1, 3500)";
$s->sql($old);
sleep 1.5;
is(count(), 3501, '--maintenance-interval=0: not done');
$s->shim('--maintenance-interval=1', '--pool-size=1', '--log-level=debug') foreach 1, 2;
settles('--maintenance-interval=1: in steps, until all is done, by two fronts with one connection each', 1);
# The last two shims' logs, as soon as they have this.
sub logged
{
    my ($pattern) = @_;
    my $begin = time;
    my $all = '';
    while ($all !~ $pattern && time - $begin < 10)
    {
        $all = join '', map { PostgreSQL::Test::Utils::slurp_file($_->{log}) } @{ $s->{shims} }[ -2, -1 ];
        sleep 0.05;
    }
    return $all;
}
my $done = qr/"level":"debug","message":"maintenance","rows_deleted":\d{4},"duration_ms":/;
like(logged($done), $done, 'and logged');
unlike($s->shim_log, qr/maintenance failed/, 'without an error');
$s->sql('REVOKE EXECUTE ON FUNCTION auth.maintain() FROM auth_service_shim');
my $refused = qr/"level":"warning","message":"maintenance failed","sqlstate":"42501","error":"permission denied for function maintain"/;
like(logged($refused), $refused, 'what keeps it from it is logged');
$s->sql("SELECT auth.allow_api('auth_service_shim')");
$s->sql($old);
settles('and it goes on', 1);
$s->sql($old) foreach 1 .. 6;
sleep 0.2 while count() == 21001;
my $begin = time;
is($s->stop_shim, 0, 'SIGTERM in the middle: exit status 0');
cmp_ok(time - $begin, '<', 5, 'soon');
unlike($s->server_log, qr/FATAL|PANIC|ERROR:  (?!permission denied for function maintain)/, 'the server has nothing to complain of') or diag $s->server_log =~ /(.*(?:FATAL|PANIC|ERROR).*)/g;
$_->quit foreach $one, $two;
done_testing();
