# make run, as README has it: makes a cluster, serves, ends on a signal, keeps the data, and says in
# one line what is wrong.  It runs on a copy of the checkout, with a port of its own.
use strict;
use warnings;
use AuthService;
use Cwd ();
use File::Path ();
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $top = Cwd::getcwd();
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $s = bless { port => $port, shims => [], http => HTTP::Tiny->new(timeout => 30, keep_alive => 0) }, 'AuthService';
# What make run sets for itself must not come from here.
delete @ENV{qw(PGHOST PGUSER PGDATABASE PGPORT MAKEFLAGS)};

# Whatever happens here, nothing is left running.
my @harnesses;
$SIG{INT} = $SIG{TERM} = sub { exit 1 };
END { local $?; $_->pumpable && $_->kill_kill foreach @harnesses }

# Start `scripts/run`, which make run calls after the bootstrap, and wait until it serves or ends.
sub run
{
    my (%environment) = @_;
    local %ENV = (%ENV, PORT => $port, %environment);
    my $self = { out => '' };
    # Whoever started these tests in the background has made SIGINT ignored, and a shell cannot undo that.
    # A process group of its own, which ends() signals as a terminal does.
    push @harnesses, $self->{harness} = IPC::Run::start(['scripts/run'], '<', \undef, '>&', \$self->{out}, init => sub { $SIG{INT} = 'DEFAULT'; setpgrp });
    my $begin = time;
    while (time - $begin < 60 && $self->{harness}->pumpable && $self->{out} !~ /^listening on/m) { $self->{harness}->pump_nb; sleep 0.02 }
    return $self;
}

sub ends
{
    my ($run, $signal) = @_;
    kill $signal => -$run->{harness}{KIDS}[0]{PID} if $signal;
    $run->{harness}->finish;
    return ($run->{harness}->full_result(0)) >> 8;
}

File::Path::remove_tree("$top/.run");
# What the bootstrap gets for /docs.
mkdir "$top/.build";
mkdir "$top/.build/swagger-ui", 0700;
append_to_file("$top/.build/swagger-ui/$_", 'x') foreach qw(swagger-ui-bundle.js swagger-ui.css favicon-32x32.png);
my $run = run();
like($run->{out}, qr/^listening on http:\/\/127\.0\.0\.1:$port$/m, 'the first start serves') or diag $run->{out};
like($run->{out}, qr/^==> starting PostgreSQL$/m, 'and tells what it does');
is($s->request('GET', '/health/ready')->{status}, 200, 'and is ready');
is($s->register('ann@example.com'), 1, 'and registers');
is($s->request('GET', '/docs')->{status}, 200, 'and has the page /docs');
my $environment = slurp_file("$top/.run/env");
like($environment, qr/^$_=/m, ".run/env has $_") foreach qw(PGHOST PGPORT PGDATABASE PGUSER AUTH_SERVICE_URL);
IPC::Run::run([ 'sh', '-c', 'set -a; . .run/env; psql -XAtc "SELECT email, role FROM auth.users"' ], '>', \my $rows);
is($rows, "ann\@example.com|user\n", '.run/env leads psql there');
IPC::Run::run([ 'scripts/psql', '-XAtc', 'SELECT rolsuper FROM pg_roles WHERE rolname = current_user' ], '>', \$rows);
is($rows, "t\n", 'scripts/psql too, as the owner');
is(`sh -c '. .run/env; psql -h "\$PGHOST" -U postgres -XAtc "SHOW listen_addresses" postgres'`, "\n", 'the cluster listens on no TCP port');

my $second = run();
is(ends($second), 1, 'a second one in the same checkout: refused');
is($second->{out}, "run: already running for this checkout (Ctrl-C ends it there)\n", 'in one line');

is(ends($run, 'INT'), 0, 'Ctrl-C: exit status 0');
like($run->{out}, qr/^==> stopping PostgreSQL\n\z/m, 'Ctrl-C: says that it stops');
unlike($run->{out}, qr{requests under way}, 'Ctrl-C: as one signal, after which the front ends in its own time');
ok(!-e "$top/.run/data/postmaster.pid", 'Ctrl-C: the cluster is down');
is($s->request('GET', '/')->{status}, 599, 'Ctrl-C: nobody listens');

$run = run();
ok($s->login('ann@example.com')->{access_token}, 'the second start keeps the data');

# Killed without a chance to clean up: the shim ends by itself, the next start cleans up.
$run->{harness}->signal('KILL');
$run->{harness}->finish;
$run = run();
like($run->{out}, qr/^listening on/m, 'after a kill -9: starts again') or diag $run->{out};
ok($s->login('ann@example.com')->{access_token}, 'after a kill -9: the data is there');
is(ends($run, 'TERM'), 0, 'SIGTERM: exit status 0');

# A PATH with all that the scripts need, and no sudo.
mkdir "$top/tests/path";
symlink "/usr/bin/$_", "$top/tests/path/$_" foreach qw(sh dirname id dpkg-query env);
# Errors, one line each.
foreach (
    [ 'no such pg_config', { PG_CONFIG => '/nonexistent' }, qr/^run: there is no program \/nonexistent \(PG_CONFIG\)\n\z/ ],
    [ 'a PORT that is none', { PORT => 'abc' }, qr/^run: PORT takes a number, not 'abc'\n\z/ ])
{
    my ($what, $environment, $message) = @$_;
    $run = run(%$environment);
    is(ends($run), 1, "$what: refused");
    like($run->{out}, $message, "$what: told in one line");
}
foreach (
    [ 'PostgreSQL 14', { PG_MAJOR => 14 }, qr/^bootstrap: PostgreSQL 14 is not supported; 15, 16, 17 and 18 are \(PG_MAJOR\)\n\z/ ],
    [ 'a missing package, and no sudo', { PG_MAJOR => 16, PATH => "$top/tests/path" }, qr/^bootstrap: these packages are missing, and there is no sudo; as root: apt-get install .*postgresql-16 .*\n\z/ ])
{
    my ($what, $environment, $message) = @$_;
    local %ENV = (%ENV, %$environment);
    IPC::Run::run([ 'scripts/bootstrap', 'build' ], '>&', \my $out);
    like($out, $message, "$what: told in one line");
}
# The long targets: an hour of nothing would have been for nothing.
foreach (
    (map { [ 'test', { $_ => 'abc' }, qr/^test: $_ takes a number, not 'abc'\n\z/ ] } qw(ROUNDS SEED SOAK_SECONDS FAULT_EVERY LEAK_REQUESTS FUZZ_TOKENS FUZZ_SEED)),
    [ 'test', { ROUNDS => 0 }, qr/^test: ROUNDS takes a number from 1 on, not '0'\n\z/ ],
    [ 'test', { ROUNDS => '1 2' }, qr/^test: ROUNDS takes a number, not '1 2'\n\z/ ],
    [ 'fuzz', { FUZZ_SECONDS => '1m' }, qr/^fuzz: FUZZ_SECONDS takes a number, not '1m'\n\z/ ],
    (map { [ 'bench', { $_ => '-1' }, qr/^bench: $_ takes a number, not '-1'\n\z/ ] } qw(ROUNDS RUN_SECONDS LEAK_REQUESTS SAMPLE REFRESHES)),
    [ 'bench', { SIZES => '1000 many' }, qr/^bench: SIZES takes numbers, not 'many'\n\z/ ])
{
    my ($script, $environment, $message) = @$_;
    local %ENV = (%ENV, %$environment);
    IPC::Run::run([ "scripts/$script", 'tests/t/none.pl' ], '>&', \my $out);
    like($out, $message, "$script: " . join(' ', %$environment) . ': told in one line');
}
my $taken = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 1, ReuseAddr => 1) or die "listen: $!";
$run = run();
is(ends($run), 1, 'port taken: refused');
like($run->{out}, qr/^.*"cannot listen on 127\.0\.0\.1:$port: Address already in use/m, 'port taken: told') or diag $run->{out};
close $taken;
rename "$top/.run/data", "$top/.run/kept";
mkdir "$top/.run/data";
$run = run();
is(ends($run), 1, 'a broken .run: refused');
like($run->{out}, qr/^run: \.run\/ is broken: .* remove it to start anew \(its data will be gone\)\n\z/, 'a broken .run: told in one line');
append_to_file("$top/.run/data/PG_VERSION", "14\n");
$run = run();
is(ends($run), 1, 'a cluster of another version: refused');
like($run->{out}, qr/^run: \.run\/ was made by PostgreSQL 14, this is \d+; .*\n\z/, 'a cluster of another version: told in one line');
File::Path::remove_tree("$top/.run");
done_testing();
