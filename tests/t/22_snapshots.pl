# What was ended stays ended for a transaction that began before, at every isolation level; and what a
# transaction was given it loses within.  Two sessions of psql, step by step.
use strict;
use warnings;
use AuthService;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);

my $s = AuthService->new('snapshots');
$s->command('init-db');
$s->sql('ALTER DATABASE auth_service SET auth_service.bcrypt_cost = 4');
$s->sql("CREATE ROLE plain LOGIN; SELECT auth.allow_api('plain')");
my %id = map { $_ => $s->sql("SELECT auth.register('$_\@example.com', 'Secret123')") } qw(ann root mate);
$s->sql("SELECT auth.set_role($id{root}, 'admin')");
sub login { return split /\|/, $s->sql("SELECT access_token, refresh_token FROM auth.login('$_[0]\@example.com', 'Secret123')") }

# A session of psql as `plain`; what a statement prints, or the SQLSTATE of its error.
sub session { my $p = $s->node->background_psql('auth_service', on_error_stop => 0); $p->query("\\set VERBOSITY sqlstate\nSET ROLE plain"); return $p }
sub ask
{
    my ($p, $statement) = @_;
    $p->{stderr} = '';
    my $out = $p->query($statement);
    return $p->{stderr} =~ /ERROR:  (\w+)/ ? $1 : $out;
}

foreach my $level ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE')
{
    foreach (
        [ 'a logout', sub { "BEGIN; SELECT auth.authenticate('$_[0]'); SELECT auth.logout(); COMMIT" }, 'U401B' ],
        [ 'a logout of all', sub { "BEGIN; SELECT auth.authenticate('$_[0]'); SELECT auth.logout_all(); COMMIT" }, 'U401B' ],
        [ 'a block', sub { "UPDATE auth.users SET blocked_at = now() WHERE id = $id{ann}" }, 'U403A' ],
        [ 'a deletion', sub { "UPDATE auth.users SET deleted_at = now() WHERE id = $id{ann}" }, 'U401B' ],
        [ 'the end of a key', sub { 'UPDATE auth.signing_keys SET retired_at = now(), is_active = false' }, 'U401B' ])
    {
        my ($what, $statement, $sqlstate) = @$_;
        my ($access) = login('ann');
        my $before = session();
        my $within = session();
        ask($before, "BEGIN ISOLATION LEVEL $level; SELECT 1");
        is(ask($within, "BEGIN ISOLATION LEVEL $level; SELECT auth.authenticate('$access')"), $id{ann}, "$level, $what: the token was good");
        $s->sql($statement->($access));
        is(ask($before, "SELECT auth.verify_token('$access') IS NULL"), 't', "$level, $what: verify_token sees it in a transaction from before");
        is(ask($before, "SELECT auth.authenticate('$access')"), $sqlstate, "$level, $what: authenticate too");
        if ($what ne 'the end of a key')
        {
            is(ask($within, 'SAVEPOINT s; SELECT auth.me()'), $sqlstate, "$level, $what: me, after it was authenticated");
            is(ask($within, "ROLLBACK TO s; SELECT auth.update_profile('E', 'Vil')"), $sqlstate, "$level, $what: update_profile");
            is(ask($within, 'ROLLBACK TO s; SELECT auth.logout_all()'), $sqlstate, "$level, $what: logout_all");
            is(ask($within, "ROLLBACK TO s; SELECT $_"), $sqlstate, "$level, $what: $_") foreach '* FROM auth.sessions()', 'auth.revoke_other_sessions()', "auth.introspect('x')";
            is(ask($before, "ROLLBACK; BEGIN ISOLATION LEVEL $level; RESET ROLE; SELECT auth.introspect('$access')"), '{"active": false}', "$level, $what: introspect");
        }
        $_->quit foreach $before, $within;
        $s->sql('UPDATE auth.users SET blocked_at = NULL, deleted_at = NULL; UPDATE auth.signing_keys SET retired_at = NULL, is_active = true');
    }

    # An admin who was demoted cannot promote himself again, nor anybody.
    my ($token) = login('root');
    my $admin = session();
    ask($admin, "BEGIN ISOLATION LEVEL $level; SELECT auth.authenticate('$token')");
    is(ask($admin, "SELECT auth.set_role($id{mate}, 'user')"), 't', "$level: an admin sets roles");
    ask($admin, "COMMIT; BEGIN ISOLATION LEVEL $level; SELECT auth.authenticate('$token')");
    $s->sql("SELECT auth.set_role($id{root}, 'user')");
    is(ask($admin, "SELECT auth.set_role($id{root}, 'admin')"), 'U404A', "$level: demoted meanwhile: no longer");
    $admin->quit;
    $s->sql("SELECT auth.set_role($id{root}, 'admin')");

    # logout_all in a transaction from before a login: it ends that session too, or fails.
    my ($first) = login('ann');
    my $all = session();
    ask($all, "BEGIN ISOLATION LEVEL $level; SELECT auth.authenticate('$first')");
    my ($second) = login('ann');
    my $result = ask($all, 'SELECT auth.logout_all()');
    ask($all, 'COMMIT');
    $all->quit;
    my $lives = $s->sql("SELECT auth.verify_token('$second') IS NOT NULL");
    ok($lives eq 'f' || $result eq '40001', "$level: logout_all overlooks no session (it answered '$result')");
}

# Whoever is newer than the transaction's snapshot: what cannot be done fails, and nothing is reported done.
foreach my $level ('REPEATABLE READ', 'SERIALIZABLE')
{
    my $n = 0;
    foreach (
        [ 'logout, of a new session', 'ann', 'SELECT auth.logout()' ], [ 'logout_all, of a new session', 'ann', 'SELECT auth.logout_all()' ],
        [ 'logout_all, of a new account', undef, 'SELECT auth.logout_all()' ], [ 'update_profile, of a new account', undef, "SELECT auth.update_profile('A', 'B')" ],
        [ 'change_balance, of a new account', undef, 'SELECT auth.change_balance(5)' ], [ 'delete_me, of a new account', undef, 'SELECT auth.delete_me()' ],
        [ 'revoke_session, of a new session', 'ann', q{SELECT auth.revoke_session((auth.jwt() ->> 'sid')::uuid)} ], [ 'revoke_other_sessions, of a new session', 'ann', 'SELECT auth.revoke_other_sessions()' ],
        [ 'revoke_token, of a new session', 'ann', sub { "SELECT auth.revoke_token('$_[0]')" } ], [ 'revoke_token, of a new session, by refresh token', 'ann', sub { "SELECT auth.revoke_token('$_[1]')" } ])
    {
        my ($what, $who, $statement) = @$_;
        my $old = session();
        ask($old, "BEGIN ISOLATION LEVEL $level; SELECT count(*) FROM pg_class");
        if (!defined $who) { $who = 'new' . lc($level =~ s/ //r) . $n++; $s->sql("SELECT auth.register('$who\@example.com', 'Secret123')") }
        my ($token, $refresh) = login($who);
        ask($old, "SELECT auth.authenticate('$token')");
        is(ask($old, ref $statement ? $statement->($token, $refresh) : $statement), '40001', "$level, $what: fails");
        ask($old, 'ROLLBACK');
        is($s->sql("SELECT auth.verify_token('$token') IS NOT NULL"), 't', "$level, $what: and the session is there");
        ask($old, "BEGIN ISOLATION LEVEL $level; SELECT count(*) FROM pg_class");
        ($token, $refresh) = login($who);
        is(ask($old, "SELECT auth.refresh('$refresh')"), '40001', "$level, $what: refresh, of a new session: fails");
        $old->quit;
    }
}

# The same of an admin's deeds: a user who is newer than the snapshot is not reported missing.
foreach my $level ('REPEATABLE READ', 'SERIALIZABLE')
{
    my $n = 0;
    foreach my $call ('auth.block_user(%d)', 'auth.unblock_user(%d)', "auth.set_role(%d, 'admin')", 'auth.admin_change_balance(%d, 5)')
    {
        my ($token) = login('root');
        my $old = session();
        ask($old, "BEGIN ISOLATION LEVEL $level; SELECT auth.authenticate('$token')");
        my $new = $s->sql("SELECT auth.register('late" . lc($level =~ s/ //r) . $n++ . "\@example.com', 'Secret123')");
        is(ask($old, 'SAVEPOINT s; SELECT ' . sprintf($call, $new)), '40001', "$level, $call: of a new user fails");
        like(ask($old, 'ROLLBACK TO s; SELECT ' . sprintf($call, 999999)), qr/^(f|U404B)$/, "$level, $call: of nobody says so");
        $old->quit;
    }
}

# Who asks with a token while another's use of it is not committed yet has not used it twice, however long
# that takes.
my ($a0, $r0) = login('ann');
my ($one, $two) = (session(), session());
my $step = ask($one, "BEGIN; SELECT refresh_token FROM auth.refresh('$r0')");
my ($reader, $writer);
pipe($reader, $writer) or die;
my $waiting = fork() // die;
if ($waiting == 0)
{
    my $err = '';
    my ($code, $out) = $s->node->psql('auth_service', "SET ROLE plain; SELECT refresh_token FROM auth.refresh('$r0')");
    syswrite $writer, "$out\n";
    POSIX::_exit(0);
}
$s->node->poll_query_until('auth_service', "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'") or die;
# As if the commit took longer than the grace: the step is moved into the past, so that the grace ends now.
ask($one, 'RESET ROLE');
ask($one, "UPDATE auth.sessions SET last_used_at = clock_timestamp() - interval '10 seconds'");
sleep 0.3;
ask($one, 'COMMIT');
chomp(my $got = <$reader>);
waitpid $waiting, 0;
is($got, $step, 'a refresh that waits for another of the same token: the same successor');
$_->quit foreach $one, $two;

# A refresh that waits for whoever has the session's row finds row and account as they are left; where the
# transaction keeps its snapshot it fails.
foreach (
    [ 'the row is changed', "UPDATE auth.sessions SET user_agent = 'other' WHERE user_id = $id{ann}", 'bearer', '40001' ],
    [ 'the session is ended', "DELETE FROM auth.sessions WHERE user_id = $id{ann}", '', '40001' ],
    [ 'the account is blocked', "UPDATE auth.sessions SET user_agent = user_agent WHERE user_id = $id{ann}; UPDATE auth.users SET blocked_at = now() WHERE id = $id{ann}", '', '40001' ],
    [ 'nothing is done', "SELECT FROM auth.sessions WHERE user_id = $id{ann} FOR UPDATE", 'bearer', 'bearer' ])
{
    my ($what, $statement, @expected) = @$_;
    foreach my $level ('READ COMMITTED', 'REPEATABLE READ')
    {
        my (undef, $refresh) = login('ann');
        my $holder = session();
        ask($holder, "RESET ROLE; BEGIN; $statement");
        my ($from, $to);
        pipe($from, $to) or die;
        my $pid = fork() // die;
        if ($pid == 0)
        {
            my (undef, $out, $err) = $s->node->psql('auth_service',
                "\\set VERBOSITY sqlstate\nSET ROLE plain; BEGIN ISOLATION LEVEL $level; SELECT 1; SELECT 'answer ' || COALESCE((auth.refresh('$refresh')).token_type, ''); COMMIT");
            syswrite $to, ($err =~ /ERROR:  (\w+)/ ? $1 : $out =~ /answer (.*)/ ? $1 : '?') . "\n";
            POSIX::_exit(0);
        }
        $s->node->poll_query_until('auth_service', "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'") or die;
        ask($holder, 'COMMIT');
        chomp(my $answer = <$from>);
        waitpid $pid, 0;
        is($answer, $expected[$level eq 'READ COMMITTED' ? 0 : 1], "$level, while a refresh waits $what");
        is($s->sql("SELECT user_agent, refresh_counter FROM auth.sessions WHERE user_id = $id{ann} ORDER BY created_at DESC LIMIT 1"), 'other|1', "$level: and nothing of it is lost")
          if $what eq 'the row is changed' && $level eq 'READ COMMITTED';
        $holder->quit;
        $s->sql('UPDATE auth.users SET blocked_at = NULL');
    }
}

# A trigger that is made while a refresh waits has its part, though the waiting transaction has read the tables before.
{
    my ($access, $refresh) = login('ann');
    $s->sql(q(CREATE TABLE seen (counter bigint); CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
        AS 'BEGIN INSERT INTO public.seen VALUES (1); RETURN NULL; END'));
    my $holder = session();
    ask($holder, "RESET ROLE; BEGIN; SELECT FROM auth.sessions WHERE user_id = $id{ann} FOR UPDATE");
    my $pid = fork() // die;
    if ($pid == 0)
    {
        $s->node->psql('auth_service', "SET ROLE plain; BEGIN; SELECT auth.verify_token('$access'); SELECT auth.refresh('$refresh'); COMMIT");
        POSIX::_exit(0);
    }
    $s->node->poll_query_until('auth_service', "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'") or die;
    $s->sql('CREATE TRIGGER see AFTER UPDATE ON auth.sessions FOR EACH STATEMENT EXECUTE FUNCTION see()');
    ask($holder, 'COMMIT');
    waitpid $pid, 0;
    is($s->sql('SELECT count(*) FROM seen'), 1, 'a trigger that is made while a refresh waits: is called');
    $holder->quit;
    $s->sql('DROP TRIGGER see ON auth.sessions; DROP TABLE seen; DROP FUNCTION see()');
}

# A forged refresh token of a known session locks nothing.
my ($access, $refresh) = login('ann');
my $attacker = session();
my $forged = $refresh;
substr($forged, -2, 1) = substr($refresh, -2, 1) eq 'A' ? 'B' : 'A';
is(ask($attacker, "BEGIN; SELECT auth.refresh('$forged') IS NULL"), 't', 'a forged refresh token: refused');
is($s->sql("SET lock_timeout = '1s'; SELECT (auth.refresh('$refresh')).token_type"), 'bearer', 'a forged refresh token: does not hold the session');
ask($attacker, 'ROLLBACK');
$attacker->quit;
# A hook that was set since: as it is committed now, also for a transaction that began before.
$s->sql(q(CREATE ROLE application; CREATE SCHEMA app AUTHORIZATION application; SET ROLE application;
    CREATE FUNCTION app.refuses(event jsonb) RETURNS void LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'));
foreach my $level ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE')
{
    my $p = session();
    $p->query("BEGIN ISOLATION LEVEL $level; SELECT 1");
    $s->sql("SELECT auth.set_hook('register', 'app.refuses(jsonb)')");
    is(ask($p, "SELECT auth.register('late\@example.com', 'Secret123')"), 'P0001', "$level: a hook set meanwhile refuses");
    $p->quit;
    $s->sql("SELECT auth.set_hook('register', NULL)");
}
done_testing();
