# A dump that is taken while accounts register, log in, refresh and change their balances is of one moment:
# restored, each e-mail in it can log in, every token of before lives, and the ledger agrees.
use strict;
use warnings;
use AuthService;
use Test::More;
use Time::HiRes qw(sleep);

my $s = AuthService->start('load', arguments => [ '--pool-size=12', '--hash-slots=2' ]);
my $me = getpwuid $<;
my $dir = "$PostgreSQL::Test::Utils::tmp_check/load";
mkdir $dir;
# A dump that has taken its snapshot waits for this table, which somebody holds for a while.
$s->sql('CREATE TABLE held (); INSERT INTO auth.users (email, email_normalized, created_at, updated_at) SELECT e, e, now(), now() FROM (SELECT i || \'@bulk.example\' FROM generate_series(1, 1000) i) x (e)');
my @idle = map { $s->register("idle$_\@example.com"); $s->login("idle$_\@example.com") } 1 .. 5;
my $gone = $s->login('idle1@example.com');
$s->request('POST', '/auth/logout', token => $gone->{access_token});

my %ways = (plain => [], custom => ['--format=custom'], directory => [ '--format=directory', '--jobs=2' ]);
my @order = sort keys %ways;
my @results = $s->parallel(6, sub {
    my ($i) = @_;
    if ($i == 6)
    {
        sleep 0.5;
        my @said;
        foreach my $way (@order)
        {
            my $count = 'SELECT count(*) FROM auth.users';
            my $before = $s->sql($count);
            my $holder = fork() // die;
            exec('psql', '--no-psqlrc', '-qd', $s->node->connstr('auth_service'), '-c', 'BEGIN; LOCK held; DO $$BEGIN PERFORM pg_sleep(2); END$$; COMMIT') if $holder == 0;
            sleep 0.2;
            system('pg_dump', @{ $ways{$way} }, '--file', "$dir/$way", '--dbname', $s->node->connstr('auth_service')) == 0 or die 'pg_dump';
            waitpid $holder, 0;
            push @said, "$way:$before:" . $s->sql($count);
        }
        open(my $end, '>', "$dir/end") or die;
        return join ' ', @said;
    }
    my ($n, $bad) = (0, 0);
    until (-e "$dir/end")
    {
        my $email = "user$i." . ++$n . '@example.com';
        $bad++ if !defined $s->register($email);
        my $pair = $s->login($email);
        foreach my $turn (1 .. 2)
        {
            my $answer = $s->request('PUT', '/users/balance', token => $pair->{access_token}, json => { amount => $n }, headers => { 'Idempotency-Key' => "key$turn" });
            $bad++ if $answer->{status} != 200;
            $pair = $s->request('POST', '/auth/refresh', json => { refresh_token => $pair->{refresh_token} })->{json};
        }
        my ($method, $path) = @{ ([ 'POST', '/auth/logout' ], [ 'DELETE', '/users/me' ], [ 'GET', '/users/me' ])[ $n % 3 ] };
        $bad++ if $s->request($method, $path, token => $pair->{access_token})->{status} != 200;
    }
    return "$n $bad";
});
my $dumps = pop @results;
is(join(' ', map { (split / /)[1] // $_ } @results), '0 0 0 0 0', 'all requests meanwhile were answered') or diag "@results";

my $target = PostgreSQL::Test::Cluster->new('loaded');
$target->init(extra => [ '--username', 'boss' ]);
$target->append_conf('postgresql.conf', "$ENV{AUTH_SERVICE_STAGE_CONF}\nfsync = off\n");
$target->start;
$ENV{PGUSER} = 'boss';
foreach my $way (@order)
{
    my ($before, $after) = $dumps =~ /$way:(\d+):(\d+)/ or die $dumps;
    cmp_ok($after, '>', $before + 5, "$way: accounts registered while it was made");
    $target->safe_psql('postgres', "CREATE DATABASE $way");
    my @restore = $way eq 'plain' ? ('psql', '--no-psqlrc', '--quiet', '--set=ON_ERROR_STOP=1', '--output=/dev/null', '--file') : ('pg_restore', '--exit-on-error', '--no-owner', '--no-privileges');
    $target->safe_psql('postgres', "CREATE ROLE $me SUPERUSER; CREATE ROLE auth_service_shim") if $way eq 'plain';
    $target->command_ok([ @restore, "$dir/$way", '--dbname', $target->connstr($way) ], "$way: restored");
    my $sql = sub { return $target->safe_psql($way, "SET auth_service.bcrypt_cost = 4; $_[0]") };
    is($sql->('SELECT count(*) BETWEEN ' . $before . ' AND ' . $after . ' FROM auth.users'), 't', "$way: of a moment between");
    is($sql->("SELECT count(*) FROM auth.users u WHERE deleted_at IS NULL AND password_hash IS NOT NULL AND auth.verify_token((auth.login(u.email, 'Secret123')).access_token)->>'sub' IS DISTINCT FROM u.id::text"), 0, "$way: each e-mail can log in");
    cmp_ok($sql->("SELECT count(*) FROM auth.users WHERE deleted_at IS NULL AND email LIKE 'user%'"), '>', 1, "$way: and there are some");
    is($sql->("SELECT count(*) FROM auth.users u WHERE balance <> (SELECT coalesce(sum(amount), 0) FROM auth.balance_entries e WHERE e.user_id = u.id)"), 0, "$way: the ledger agrees");
    is($sql->('SELECT count(*) FROM (SELECT user_id FROM auth.sessions UNION ALL SELECT user_id FROM auth.balance_entries) x WHERE NOT EXISTS (SELECT FROM auth.users u WHERE u.id = x.user_id)'), 0, "$way: no session and no entry without its account");
    is($sql->('SELECT count(*) FROM auth.sessions s JOIN auth.users u ON u.id = s.user_id WHERE u.deleted_at IS NOT NULL'), 0, "$way: no session of a deleted one");
    is($sql->(q(SELECT count(*) FROM auth.users u WHERE password_hash IS NOT NULL AND NOT EXISTS (SELECT FROM auth.audit_log a WHERE a.user_id = u.id AND a.action = 'register'))), 0, "$way: each registration stands in the audit log");
    is($sql->("SELECT count(*) FROM (SELECT auth.verify_token(t) IS NULL AS dead, t FROM unnest(ARRAY['" . join("','", map { $_->{access_token} } @idle, $gone) . "']) t) x WHERE dead <> (t = '$gone->{access_token}')"), 0,
        "$way: tokens of before live, and the one that had ended does not");
    is($sql->("SELECT auth.register('next\@example.com', 'Secret123') > (SELECT max(id) FROM auth.users), nextval('auth.audit_log_id_seq') > (SELECT max(id) FROM auth.audit_log)"), 't|t', "$way: ids go on");
}
done_testing();
