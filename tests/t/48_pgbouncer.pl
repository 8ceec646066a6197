# pgbouncer in transaction mode with one connection to the server: whatever a client did, and however it
# left, the next one on that connection is nobody.  The shim works through it, with prepared statements
# where pgbouncer knows them (1.21 and later).
use strict;
use warnings;
use AuthService;
use Test::More;
use Time::HiRes qw(sleep);
use Wire;

my $s = AuthService->new('pgbouncer');
$s->command('init-db');
$s->sql('ALTER DATABASE auth_service SET auth_service.bcrypt_cost = 4');
$s->sql(<<'SQL');
CREATE ROLE regress_app LOGIN; SELECT auth.allow_api('regress_app');
SELECT auth.register(e, 'Secret123') FROM unnest(ARRAY['ann@example.com', 'bob@example.com']) e;
CREATE TABLE notes (owner bigint);
INSERT INTO notes VALUES (1), (2);
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON notes USING (owner = auth.uid());
GRANT SELECT, INSERT ON notes TO regress_app;
SQL
my %token = map { $_ => $s->sql("SELECT access_token FROM auth.login('$_\@example.com', 'Secret123')") } qw(ann bob);

# ---- pgbouncer -----------------------------------------------------------------------------------
my $program = '/usr/sbin/pgbouncer';
my ($version) = qx($program --version) =~ /PgBouncer (\d+\.\d+)/ or die 'there is no pgbouncer';
my $prepares = (split /\./, $version)[1] >= 21;
my ($host, $server, $port) = ($s->node->host, $s->node->port, PostgreSQL::Test::Cluster::get_free_port());
my $folder = PostgreSQL::Test::Utils::tempdir();
PostgreSQL::Test::Utils::append_to_file("$folder/users.txt", qq("regress_app" ""\n"auth_service_shim" ""\n));
PostgreSQL::Test::Utils::append_to_file("$folder/pgbouncer.ini", <<"INI" . ($prepares ? "max_prepared_statements = 50\n" : ''));
[databases]
* = host=$host port=$server
[pgbouncer]
listen_addr =
listen_port = $port
unix_socket_dir = $host
auth_type = trust
auth_file = $folder/users.txt
pool_mode = transaction
default_pool_size = 1
INI
my $pooler = fork() // die "fork: $!";
if ($pooler == 0)
{
    open(STDERR, '>', "$PostgreSQL::Test::Utils::log_path/pgbouncer.log") or die;
    exec($program, '-q', "$folder/pgbouncer.ini") or POSIX::_exit(127);
}
END { local $?; if ($pooler) { kill 'KILL', $pooler; waitpid $pooler, 0 } }
for (my $tries = 0; !-S "$host/.s.PGSQL.$port" && $tries < 100; $tries++) { sleep 0.05 }

sub client { return Wire->new($s->node, 'auth_service', 'regress_app', port => $port) }
sub backends { return $s->sql("SELECT string_agg(pid::text, ',') FROM pg_stat_activity WHERE usename = '$_[0]'") }

# ---- Clients in turn ------------------------------------------------------------------------------
my $who = [ q(SELECT pg_backend_pid() || ' ' || COALESCE(auth.uid()::text, 'nobody') || ' ' || (SELECT count(*) FROM notes)) ];
my $one = client();
my $two = client();
my ($pid) = $two->pipeline($who, ['SYNC']) =~ /^(\d+) nobody 0$/;
ok($pid, 'at first: nobody, who sees nothing');
my @ann = (['BEGIN'], [ 'SELECT auth.authenticate($1)', $token{ann} ], $who);
foreach (
    [ 'COMMIT', [ @ann, ['COMMIT'], ['SYNC'] ], "1 $pid 1 1" ],
    [ 'ROLLBACK', [ @ann, ['ROLLBACK'], ['SYNC'] ], "1 $pid 1 1" ],
    [ 'COMMIT AND CHAIN, which keeps the connection until it ends', [ @ann, ['COMMIT AND CHAIN'], $who, ['COMMIT'], ['SYNC'] ], "1 $pid 1 1 $pid nobody 0" ],
    [ 'an implicit transaction', [ [ 'SELECT auth.authenticate($1)', $token{ann} ], $who, ['SYNC'] ], "1 $pid 1 1" ],
    [ 'an error in an implicit transaction', [ [ 'SELECT auth.authenticate($1)', $token{ann} ], ['SELECT 1/0'], ['SYNC'] ], '1 22012' ],
    [ 'an error in the middle, then ROLLBACK', [ @ann, ['SELECT 1/0'], ['SYNC'], ['ROLLBACK'], ['SYNC'] ], "1 $pid 1 1 22012 / " ],
    [ 'an error in the middle, then COMMIT', [ @ann, ['SELECT 1/0'], ['SYNC'], ['COMMIT'], ['SYNC'] ], "1 $pid 1 1 22012 / " ])
{
    my ($what, $steps, $expected) = @$_;
    is($one->pipeline(@$steps), $expected, "one client: $what");
    is($two->pipeline($who, ['SYNC']), "$pid nobody 0", 'the next one on the same connection is nobody');
}

# Before connections are closed below, whose backends end a moment later.
is(scalar(split /,/, backends('regress_app')), 1, 'it was one connection to the server at any time');

# A client that is gone in the middle of its transaction, idle or failed: pgbouncer closes the
# connection then, or has it rolled back.
foreach my $steps ([@ann], [ @ann, ['SELECT 1/0'] ])
{
    my $gone = client();
    like($gone->pipeline(@$steps, ['SYNC']), qr/^1 \d+ 1 1/, 'a client in the middle of its transaction');
    $gone->drop;
    like($two->pipeline($who, ['SYNC']), qr/^\d+ nobody 0$/, 'is gone: the next one is nobody');
}
my $killed = fork() // die "fork: $!";
if ($killed == 0)
{
    client()->pipeline(@ann, ['SELECT pg_sleep(60)'], ['SYNC']);
    POSIX::_exit(0);
}
ok($s->node->poll_query_until('auth_service', q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)' AND usename = 'regress_app')}), 'a client within a statement');
kill 'KILL', $killed;
waitpid $killed, 0;
like($two->pipeline($who, ['SYNC']), qr/^\d+ nobody 0$/, 'is killed: the next one is nobody');

# Two users' transactions in turn, many times.
my @clients = ($one, client());
my @wrong;
foreach my $i (1 .. 100)
{
    my $user = $i % 2;
    my $id = $user + 1;
    my $got = $clients[$user]->pipeline([ 'SELECT auth.authenticate($1)', $token{ $user ? 'bob' : 'ann' } ], ['SELECT owner, auth.uid() FROM notes'], ['SYNC']);
    push @wrong, $got if $got ne "$id $id $id";
}
is("@wrong", '', 'two users in turn: each sees his own');

# ---- The shim ------------------------------------------------------------------------------------
foreach my $arguments ([ '--no-prepare' ], $prepares ? ([]) : ())
{
    my $how = "the shim @$arguments";
    $s->shim("--database-host=$host", "--database-port=$port", '--pool-size=4', @$arguments);
    my %own = map { $_ => $s->login("$_\@example.com")->{access_token} } qw(ann bob);
    is($s->request('GET', '/auth/me', token => $own{ann})->{json}{user_id}, 1, "$how: logs in and reads");
    is($s->request('GET', '/health/ready')->{status}, 200, "$how: nobody afterwards");
    my @results = $s->parallel(6, sub {
        my $name = $_[0] % 2 ? 'ann' : 'bob';
        foreach (1 .. 20)
        {
            my $answer = $s->request('GET', '/users/me', token => $own{$name});
            # pgbouncer 1.24 was seen to close a connection with prepared statements behind an error.
            $answer = $s->request('GET', '/users/me', token => $own{$name}) if $answer->{status} == 503 && !@$arguments;
            return "$answer->{status} $answer->{content}" if $answer->{status} != 200 || $answer->{json}{email} ne "$name\@example.com";
            $s->request('GET', '/users/me', token => 'x');
        }
        return 'right';
    });
    is(scalar(grep { $_ ne 'right' } @results), 0, "$how: many at once are who they are") or diag join "\n", @results;
    is(scalar(split /,/, backends('auth_service_shim')), 1, "$how: through one connection");
    $s->stop_shim;
}
done_testing();
