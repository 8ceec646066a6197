# SPDX-License-Identifier: MIT
#
# waterfall.pl: where the time of one request goes, from socket to row and back, with nothing else under way.  One
# client does more and more of it; what a step takes is the difference to the one before, in microseconds.  Median of
# ROUNDS=5 rounds of RUN_SECONDS=3 each.  scripts/bench bench/waterfall.pl prints it; docs/performance.md explains it.
use strict;
use warnings;
use Bench;
use Machine;
use POSIX ();

my $machine = Machine::describe();
my $rounds = $ENV{ROUNDS} || 5;
my $seconds = $ENV{RUN_SECONDS} || 3;
my %alone = (clients => 1, seconds => $seconds, role => 'auth_service_shim');

sql("ALTER DATABASE auth_service SET auth_service.throttle_address_failures = 0;
    CREATE SCHEMA bench; GRANT USAGE ON SCHEMA bench TO auth_service_shim;
    CREATE TABLE bench.row (id integer PRIMARY KEY, filler integer);
    INSERT INTO bench.row VALUES (1, 0); GRANT SELECT, UPDATE ON bench.row TO auth_service_shim;
    SET auth_service.bcrypt_cost = 4;
    SELECT auth.register('ann\@example.com', 'Secret123'); SELECT auth.register('bob\@example.com', 'Secret123')");

sub log_in { return split /\|/, sql("SET auth_service.access_token_ttl = '1d'; SELECT access_token, refresh_token FROM auth.login('$_[0]', 'Secret123')") }
my ($access) = log_in('ann@example.com');

# pgbench's variables hold text only where a row has put it into them.
sql("CREATE TABLE bench.tokens (name text PRIMARY KEY, token text); INSERT INTO bench.tokens VALUES ('access', '$access');
    GRANT SELECT ON bench.tokens TO auth_service_shim");

# Microseconds of one pipeline of statements; a hundred to a script, so that fetching the token does not count.
sub pipeline
{
    my ($statements) = @_;
    my $pipelines = join '', ("\\startpipeline\n$statements\\endpipeline\n") x 100;
    return 1e6 / (100 * pgbench("SELECT token AS t FROM bench.tokens WHERE name = 'access' \\gset\n$pipelines", %alone));
}

# Microseconds of one refresh, each with the token that the one before has given.
sub refresh_statement
{
    my (undef, $token) = log_in('bob@example.com');
    sql("INSERT INTO bench.tokens VALUES ('refresh', '$token') ON CONFLICT (name) DO UPDATE SET token = excluded.token");
    return 1e6 / pgbench("\\if :is_first\nSELECT token AS r FROM bench.tokens WHERE name = 'refresh' \\gset\n\\set is_first 0\n\\endif\n"
          . "SELECT refresh_token AS r FROM auth.refresh(:r) \\gset\n", %alone, arguments => [ '-D', 'is_first=1' ]);
}

# Microseconds of one request.
sub request
{
    my ($shim, $path, %options) = @_;
    return 1e6 / wrk($shim, $path, connections => 1, threads => 1, seconds => $seconds, %options)->{rate};
}

# Work that everything else goes before, so that no core falls asleep between two steps: waking one takes longer than most.
# The disk's own work does not go before it, so durable writes are measured without, and GET / once more.
my @idlers;
foreach (1 .. cores())
{
    my $pid = fork() // die "fork: $!\n";
    exec('chrt', '--idle', '0', 'perl', '-e', '1 while getppid() > 1') or POSIX::_exit(127) if $pid == 0;
    push @idlers, $pid;
}
sub end_idlers { kill 'KILL', @idlers; @idlers = (); return }
END { local $?; end_idlers() }

my $token_file = write_file('token', "$access\n");
my $shim = start_shim();
my %time;
foreach (1 .. $rounds)
{
    push @{ $time{http} }, request($shim, '/');
    push @{ $time{trip} }, pipeline("SELECT 1;\n");
    push @{ $time{two} }, pipeline("SELECT 1;\nSELECT 1;\n");
    push @{ $time{authenticate} }, pipeline("SELECT auth.authenticate(:t)::pg_catalog.text;\nSELECT 1;\n");
    push @{ $time{calls} }, pipeline("SELECT auth.authenticate(:t)::pg_catalog.text;\nSELECT pg_catalog.to_json(p) FROM auth.me() p;\n");
    push @{ $time{me} }, request($shim, '/users/me', script => 'me.lua', arguments => [ $token_file, 1 ]);
}
end_idlers();
foreach (1 .. $rounds)
{
    push @{ $time{http_asleep} }, request($shim, '/');
    push @{ $time{row} }, 1e6 / pgbench("UPDATE bench.row SET filler = filler + 1 WHERE id = 1;", %alone);
    push @{ $time{refresh_statement} }, refresh_statement();
    # Two, since wrk takes one before the first request to look at what the script makes.
    my $session = write_file('session', join '', map { (log_in('bob@example.com'))[1] . "\n" } 1 .. 2);
    push @{ $time{refresh} }, request($shim, '/auth/refresh', script => 'refresh.lua', arguments => [ $session, 1 ]);
}
stop_shim($shim);
my %at = map { $_ => median(@{ $time{$_} }) } keys %time;

sub step { printf "%-72s %7.1f\n", @_; return }
print Machine::text($machine), "median of $rounds rounds\n\n";
print "GET /users/me                                                                   us\n";
step('client, socket, HTTP, log: GET /', $at{http});
step('to the database and back, a statement that does nothing', $at{trip});
step('a second statement that does nothing, in the same pipeline', $at{two} - $at{trip});
step('authenticate(): signature, claims, account and session by their keys', $at{authenticate} - $at{two});
step('me() and its JSON', $at{calls} - $at{authenticate});
step('the front: route, parameters, connection, answer', $at{me} - $at{http} - $at{calls});
step('together', $at{me});
print "\nPOST /auth/refresh, on cores that fall asleep\n";
step('client, socket, HTTP, log: GET /', $at{http_asleep});
step('to the database and back, a row updated and made durable', $at{row});
step('refresh() instead: key, signatures, lock, next token', $at{refresh_statement} - $at{row});
step('the front: body, origin of the request, connection, answer', $at{refresh} - $at{http_asleep} - $at{refresh_statement});
step('together', $at{refresh});
write_results('waterfall.json', { machine => $machine, microseconds => \%at });
