# What was ended stays ended for a transaction that began before, at every isolation level; and what a
# transaction was given it loses within.  Two sessions of psql, step by step.
use strict;
use warnings;
use AuthService;
use Test::More;

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

# A forged refresh token of a known session locks nothing.
my ($access, $refresh) = login('ann');
my $attacker = session();
my $forged = $refresh;
substr($forged, -2, 1) = substr($refresh, -2, 1) eq 'A' ? 'B' : 'A';
is(ask($attacker, "BEGIN; SELECT auth.refresh('$forged') IS NULL"), 't', 'a forged refresh token: refused');
is($s->sql("SET lock_timeout = '1s'; SELECT (auth.refresh('$refresh')).token_type"), 'bearer', 'a forged refresh token: does not hold the session');
ask($attacker, 'ROLLBACK');
$attacker->quit;
done_testing();
