# What can happen to a database: whatever it is, the front answers 503 with Retry-After in time, is well by itself within
# 5 seconds, fails no request after that, and gives nobody another's answer.
use strict;
use warnings;
use AuthService;
use Faults;
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use Wire;

my $folder = PostgreSQL::Test::Utils::tempdir;
system('gcc', '-shared', '-fPIC', '-O1', '-Wall', '-Werror', '-o', "$folder/disk.so", 'tests/disk.c') == 0 or die 'cannot build tests/disk.c';

my $s = AuthService->new('faults', conf => "restart_after_crash = on\n");
$s->command('init-db');
$s->sql('ALTER DATABASE auth_service SET auth_service.bcrypt_cost = 4');
my $port = $s->shim('--database-timeout=3');
$s->register("$_\@example.com") foreach qw(ann bob);
my %token = map { $_ => $s->login("$_\@example.com")->{access_token} } qw(ann bob);
my %id = (ann => 1, bob => 2);

sub me { return $s->request('GET', '/auth/me', token => $token{ $_[0] }) }

# What is asked for until this process has killed, stopped or changed something; each answer is right, or a 503 in time.
# Options: during => seconds, limit => seconds for an answer.
sub under_fire
{
    my ($what, $fault, %options) = @_;
    my @answers = $s->parallel(7, sub {
        if ($_[0] == 7) { sleep 0.3; $fault->(); return 'done' }
        my $name = $_[0] % 2 ? 'ann' : 'bob';
        my $end = time + ($options{during} // 2);
        my ($good, $bad) = (0, 0);
        while (time < $end)
        {
            my $begin = time;
            my $answer = me($name);
            my $took = time - $begin;
            if ($answer->{status} == 200) { return "another's: $answer->{content}" if $answer->{json}{user_id} ne $id{$name}; $good++ }
            elsif ($answer->{status} == 503 && ($answer->{headers}{'retry-after'} // 0) >= 1) { $bad++ }
            else { return "$answer->{status} $answer->{content}" }
            return sprintf 'after %.1f s', $took if $took > ($options{limit} // 2.5);
            sleep 0.01;
        }
        return "right, $good, $bad";
    });
    pop @answers;
    is(scalar(grep { !/^right/ } @answers), 0, "$what: the right answer, or 503, in time") or diag join "\n", @answers;
    return @answers;
}

sub recovers
{
    my ($what) = @_;
    my $begin = time;
    sleep 0.05 while $s->request('GET', '/health/ready')->{status} != 200 && time - $begin < 10;
    cmp_ok(time - $begin, '<', 5, "$what: recovers by itself");
    my @wrong = grep { !/^(200 [12] ?){10}$/ } $s->parallel(6, sub {
        my $name = $_[0] % 2 ? 'ann' : 'bob';
        return join ' ', map { my $answer = me($name); my $id = $answer->{json}{user_id} // ''; $id eq $id{$name} ? "$answer->{status} $id" : $answer->{content} } 1 .. 10;
    });
    is(scalar @wrong, 0, "$what: and no request fails after that") or diag join "\n", @wrong;
}
sub backends { return split /\n/, $s->sql("SELECT pid FROM pg_stat_activity WHERE usename = 'auth_service_shim'") }

# ---- Killed --------------------------------------------------------------------------------------
my $victim = (backends())[0];
under_fire('a backend is killed', sub { kill 'KILL', $victim });
recovers('a backend is killed');

my $postmaster = slurp_file($s->node->data_dir . '/postmaster.pid') =~ /^(\d+)/ ? $1 : die;
under_fire('the server is killed', sub { kill 'KILL', $postmaster });
$s->node->{_pid} = undef;
sleep 0.5;
unlink $s->node->data_dir . '/postmaster.pid';
$s->node->start;
recovers('the server is killed');

# ---- Frozen --------------------------------------------------------------------------------------
$postmaster = slurp_file($s->node->data_dir . '/postmaster.pid') =~ /^(\d+)/ ? $1 : die;
under_fire('frozen', sub { kill 'STOP', $postmaster; kill 'STOP', Faults::family($postmaster); sleep 4 }, during => 4, limit => 4.5);
my $begin = time;
is($s->request('GET', '/health/ready')->{status}, 503, 'frozen: /health/ready');
cmp_ok(time - $begin, '<', 1.5, 'frozen: within a second');
is($s->request('GET', '/health/live')->{status}, 200, 'frozen: /health/live');
kill 'CONT', Faults::family($postmaster);
recovers('thawed');

# ---- Out of connections ----------------------------------------------------------------------------
$s->sql('CREATE ROLE regress_many LOGIN');
$s->sql('ALTER SYSTEM SET max_connections = 12; ALTER SYSTEM SET max_wal_senders = 0; ALTER SYSTEM SET superuser_reserved_connections = 2');
$s->node->restart;
my @many;
while (my $one = eval { Wire->new($s->node, 'auth_service', 'regress_many') }) { push @many, $one }
my $answer = me('ann');
is("$answer->{status} $answer->{headers}{'retry-after'}", '503 1', scalar(@many) . ' connections, and no more: 503');
undef @many;
recovers('connections again');
$s->sql('ALTER SYSTEM RESET ALL');
$s->node->restart;

# ---- Read-only -----------------------------------------------------------------------------------
$s->sql('ALTER DATABASE auth_service SET default_transaction_read_only = on');
$s->end_backends;
is(me('ann')->{status}, 200, 'read-only: what reads is served');
$answer = $s->request('POST', '/auth/login', form => [ username => 'ann@example.com', password => 'Secret123' ]);
is("$answer->{status} $answer->{headers}{'retry-after'}", '503 1', 'read-only: a login is not');
$s->node->safe_psql('postgres', 'ALTER DATABASE auth_service RESET default_transaction_read_only');
$s->end_backends;
recovers('writable again');

# ---- A full disk -----------------------------------------------------------------------------------
$s->node->stop;
my $flag = "$folder/full";
{ local @ENV{qw(LD_PRELOAD DISK_FULL)} = ("$folder/disk.so", $flag); $s->node->start; }
recovers('another disk');
append_to_file($flag, '/base/');
my %seen;
my @made;
foreach my $i (1 .. 400)
{
    $answer = $s->request('POST', '/auth/register', json => { email => "new$i\@example.com", password => 'Secret123' });
    $seen{"$answer->{status} " . ($answer->{headers}{'retry-after'} // '-')}++;
    push @made, $answer->{json}{id} if $answer->{status} == 200;
    last if ($seen{'503 1'} // 0) > 5;
}
is(join(' ', grep { !/^(200 -|503 1)$/ } keys %seen), '', 'a full disk: 503 with Retry-After') or diag explain \%seen;
cmp_ok($seen{'503 1'} // 0, '>', 5, 'a full disk: it is full');
is(me('ann')->{status}, 200, 'a full disk: what reads is served');
unlink $flag;
recovers('room again');
is($s->sql("SELECT count(*) FROM auth.users WHERE email LIKE 'new%'"), scalar @made, 'whom it has registered is there, and nobody else');
is($s->register('more@example.com') > 2, 1, 'and it goes on');
append_to_file($flag, '/pg_wal/');
$answer = $s->request('POST', '/auth/register', json => { email => 'none@example.com', password => 'Secret123' });
is("$answer->{status} $answer->{headers}{'retry-after'}", '503 1', 'no room for the log: 503');
under_fire('no room for the log, and the server starts again and again', sub { sleep 1; unlink $flag });
recovers('room for the log again');
is($s->sql("SELECT count(*) FROM auth.users WHERE email = 'none\@example.com'"), 0, 'who was refused is not there');

# ---- A way that swallows, and a name that nobody knows -----------------------------------------------
my $hole = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 128) or die;
$s->shim('--database-host=127.0.0.1', '--database-port=' . $hole->sockport);
my @took = $s->parallel(21, sub {
    my $began = time;
    my $got = $_[0] == 21 ? $s->request('GET', '/health/ready') : me('ann');
    return sprintf '%d %.1f', $got->{status}, time - $began;
});
is(scalar(grep { !/^503 / } @took), 0, 'a way that swallows: 503') or diag join "\n", @took;
cmp_ok((sort { $b <=> $a } map { (split)[1] } @took)[0], '<', 3, 'within 3 seconds');
cmp_ok((split ' ', $took[20])[1], '<', 1.3, 'and /health/ready within one');
my $attempts = 0;
$hole->blocking(0);
$attempts++ while $hole->accept;
cmp_ok($attempts, '<=', 2, "by one attempt at a time: $attempts");
$begin = time;
is($s->stop_shim, 0, 'SIGTERM meanwhile: exit status 0');
cmp_ok(time - $begin, '<', 5, 'and soon');
$hole = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 128) or die;
$s->shim('--database-host=127.0.0.1', '--database-port=' . $hole->sockport);
$hole->blocking(0);
@took = $s->parallel(7, sub {
    my ($n, $end) = (0, time + 3);
    while (time < $end)
    {
        if ($_[0] < 7) { return 'served' if me('ann')->{status} != 503 }
        elsif (my $one = $hole->accept) { close $one; $n++ }
        sleep 0.005;
    }
    return $n;
});
cmp_ok($took[6], '>=', 2, "who hangs up on us is tried again: $took[6] times");
cmp_ok($took[6], '<=', 8, 'in 3 seconds, whatever clients do');
$s->stop_shim;
$s->shim('--database-host=nowhere.invalid');
$begin = time;
is(me('ann')->{status}, 503, 'an unknown host: 503');
cmp_ok(time - $begin, '<', 3, 'within 3 seconds');
$s->stop_shim;
done_testing();
