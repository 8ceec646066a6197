# SPDX-License-Identifier: MIT
#
# bench.pl: the figures of make bench.  Each is measured in rounds; what it is compared with, its ceiling, is
# measured in the same rounds.  docs/performance.md says what each line means.  QUICK=1: fewer and shorter
# rounds; ROUNDS=5, RUN_SECONDS=10, LEAK_REQUESTS=200000: so many, and so long (less proves less).
# LINES_ONLY="me refresh": these lines only.  Ends with 1 where a bound is missed.
use strict;
use warnings;
use Bench;
use Machine;
use List::Util qw(max);
use POSIX ();
use Time::HiRes qw(sleep time);

my $quick = $ENV{QUICK};
my $rounds = $ENV{ROUNDS} || ($quick ? 3 : 5);
my $readers = 1000; # users with tokens
my $sleepers = 256; # accounts that log in
my $machine = Machine::describe();
my $cores = cores();
my $pgcrypto = sql("SELECT extnamespace::pg_catalog.regnamespace FROM pg_catalog.pg_extension WHERE extname = 'pgcrypto'");

# Seconds of a run.
sub seconds { my ($usual, $when_quick) = @_; return $ENV{RUN_SECONDS} || ($quick ? $when_quick : $usual) }

# ---- Data ---------------------------------------------------------------------------------------

# All requests come from one address, whose failures (the mixed requests have some) would be delayed.  Readers'
# passwords are hashed fast, since only their tokens are used; the others' at the default cost.
sub make_data
{
    sql("ALTER DATABASE auth_service SET auth_service.throttle_address_failures = 0;
        SET auth_service.bcrypt_cost = 4;
        SELECT auth.register('reader' || i || '\@example.com', 'Secret123') FROM pg_catalog.generate_series(1, $readers) i;
        SELECT auth.register('sleeper' || i || '\@example.com', 'Secret123') FROM pg_catalog.generate_series(1, $sleepers) i;
        WITH h AS MATERIALIZED (SELECT $pgcrypto.crypt('Secret123', $pgcrypto.gen_salt('bf', 12)) AS h)
            UPDATE auth.users SET password_hash = h.h FROM h WHERE email LIKE 'sleeper%';");
    sql('CREATE SCHEMA bench; GRANT USAGE ON SCHEMA bench TO auth_service_shim');
    sql('VACUUM ANALYZE');
    return;
}

# New sessions of so many readers, as rows [email, access token, refresh token]; the access tokens outlast the bench.
sub log_in
{
    my ($count) = @_;
    my $logins = join '', map { "SELECT 'reader$_\@example.com', access_token, refresh_token FROM auth.login('reader$_\@example.com', 'Secret123');\n" } 1 .. $count;
    return map { [ split /\|/ ] } split /\n/, sql("SET auth_service.bcrypt_cost = 4; SET auth_service.access_token_ttl = '1d';\n$logins");
}

make_data();
my @tokens = map { $_->[1] } log_in($readers);
my $token_file = write_file('tokens', join '', map { "$_\n" } @tokens);
my $email_file = write_file('emails', join '', map { "sleeper$_\@example.com\n" } 1 .. $sleepers);
my $request_file = write_file('requests', join '', map { "GET /users/me HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer $_\r\n\r\n" } @tokens);

# ---- Lines --------------------------------------------------------------------------------------

# The two statements of the shim for GET /users/me (shim/database/database.c, shim/api/routes.c), in one pipeline as it sends them.  Tokens
# are parameters there, and so they are here: pgbench's variables hold text only where a row has put it into them, so a
# row of 16 tokens is fetched, and each is used once.
sub two_statements
{
    my ($clients, $seconds) = @_;
    my $calls = join '', map { "\\startpipeline\nSELECT auth.authenticate(:t$_)::pg_catalog.text;\nSELECT pg_catalog.to_json(p) FROM auth.me() p;\n\\endpipeline\n" } 0 .. 15;
    return 16 * pgbench("\\set id random(1, " . int($readers / 16) . ")\nSELECT * FROM bench.tokens WHERE id = :id \\gset\n$calls",
        clients => $clients, seconds => $seconds, role => 'auth_service_shim');
}

sub make_token_rows
{
    my $columns = join ', ', map { "t$_ text" } 0 .. 15;
    my $storage = join ', ', map { "ALTER t$_ SET STORAGE PLAIN" } 0 .. 15;
    my $rows = join ', ', map { my $row = $_; "($row, " . join(', ', map { "'$tokens[16 * ($row - 1) + $_]'" } 0 .. 15) . ')' } 1 .. int($readers / 16);
    sql("CREATE TABLE bench.tokens (id integer PRIMARY KEY, $columns); ALTER TABLE bench.tokens $storage;
        INSERT INTO bench.tokens VALUES $rows; GRANT SELECT ON bench.tokens TO auth_service_shim; VACUUM ANALYZE bench.tokens");
    return;
}

sub me
{
    my $shim = start_shim();
    my $seconds = seconds(10, 4);
    my (@root, @calls, @me, @p50, @p99);
    make_token_rows();
    foreach (1 .. $rounds)
    {
        push @root, wrk($shim, '/', connections => 32, seconds => $seconds)->{rate};
        push @calls, two_statements(8, $seconds);
        my $wrk = wrk($shim, '/users/me', connections => 32, seconds => $seconds, script => 'me.lua', arguments => [ $token_file, 2 ]);
        push @me, $wrk->{rate};
        push @p50, $wrk->{p50};
        push @p99, $wrk->{p99};
    }
    stop_shim($shim);
    my @ceiling = map { harmonic($root[$_], $calls[$_]) } 0 .. $#root;
    return (
        row(what => 'GET / alone (A), 32 connections', figures => \@root, unit => '/s'),
        row(what => 'the two statements alone (B), pgbench, 8 clients', figures => \@calls, unit => '/s'),
        row(what => 'GET /users/me, 32 connections', figures => \@me, ceilings => \@ceiling,
            unit => '/s', bound => '>= 0.75 of the ceiling', note => "the ceiling is 1/(1/A + 1/B); $readers users' tokens in turn"),
        row(what => 'GET /users/me, the same as a number', figures => \@me, unit => '/s', (median(@ceiling) >= 20_000 ? 'bound' : 'wish') => '>= 15,000',
            note => 'to be reached on a machine whose ceiling is at least 20,000/s'),
        row(what => 'GET /users/me, median time', figures => \@p50, unit => 'ms'),
        row(what => 'GET /users/me, 99 of 100 within', figures => \@p99, unit => 'ms'));
}

# Seconds of one crypt() at cost 12, alone.
sub crypt_time
{
    my $count = seconds(20, 8);
    my ($milliseconds) = sql("CREATE TEMPORARY TABLE h AS SELECT $pgcrypto.gen_salt('bf', 12) AS h;\n\\timing on\n"
          . "SELECT count($pgcrypto.crypt('Secret' || i, h)) FROM h, pg_catalog.generate_series(1, $count) i;") =~ /Time: ([\d.]+) ms/;
    return $milliseconds / 1000 / $count;
}

sub login
{
    my $shim = start_shim();
    my (@ceiling, @crypts, @logins, $refused);
    my $salt = sql("SELECT $pgcrypto.gen_salt('bf', 12)");
    foreach (1 .. $rounds)
    {
        push @ceiling, $cores / crypt_time();
        push @crypts, pgbench("SELECT $pgcrypto.crypt('Secret' || :client_id, '$salt');", clients => $cores, seconds => seconds(10, 4));
        my $wrk = wrk($shim, '/auth/login', connections => 64, seconds => seconds(20, 10), script => 'login.lua', arguments => [ $email_file, 2 ], may_fail => 1);
        die "logins: other answers than 200 and 503\n$wrk->{text}" if $wrk->{text} !~ /^other than 200 and 503: 0$/m || $wrk->{failed} != $wrk->{refused};
        push @logins, $wrk->{rate};
        $refused += $wrk->{refused};
    }
    stop_shim($shim);
    return (
        row(what => 'crypt() at cost 12 alone, pgbench, a client a core', figures => \@crypts, unit => '/s'),
        row(what => 'POST /auth/login at cost 12, 64 clients', figures => \@logins, ceilings => \@ceiling, unit => '/s', bound => '>= 0.95 of the ceiling',
            note => "the ceiling is the cores by the time of one crypt(); only logins that succeeded count; $refused more were told to come back later (503)"));
}

# One row by its key, made durable, in a table as auth.sessions is.
sub make_session_rows
{
    sql("DROP TABLE IF EXISTS bench.sessions; CREATE TABLE bench.sessions (LIKE auth.sessions INCLUDING ALL);
        INSERT INTO bench.sessions SELECT DISTINCT ON (user_id) * FROM auth.sessions;
        ALTER TABLE bench.sessions ADD UNIQUE (user_id); VACUUM ANALYZE bench.sessions");
    return;
}

# Refreshes by so many clients of the database's, a second, each with the token that the one before has given.
sub refresh_statements
{
    my ($clients, $seconds) = @_;
    my @sessions = log_in($clients);
    sql('DROP TABLE IF EXISTS bench.refreshes; CREATE TABLE bench.refreshes (id integer PRIMARY KEY, token text); INSERT INTO bench.refreshes VALUES '
          . join(', ', map { "($_, '$sessions[$_][2]')" } 0 .. $#sessions) . '; GRANT SELECT ON bench.refreshes TO auth_service_shim');
    return pgbench("\\if :is_first\nSELECT token AS r FROM bench.refreshes WHERE id = :client_id \\gset\n\\set is_first 0\n\\endif\n"
          . "SELECT refresh_token AS r FROM auth.refresh(:r) \\gset\n", clients => $clients, seconds => $seconds, role => 'auth_service_shim', arguments => [ '-D', 'is_first=1' ]);
}

# How many connections to the database the shim may have, as its log says when it has started.
sub pool_size
{
    my ($shim) = @_;
    foreach (1 .. 500)
    {
        return $1 if slurp($shim->{log}) =~ /"pool_size":(\d+)/;
        sleep 0.01;
    }
    die "the shim's log does not say its pool's size\n";
}

sub refresh
{
    my $shim = start_shim();
    my (@update, @statement, @refresh, @p99);
    my $clients = pool_size($shim);
    foreach (1 .. $rounds)
    {
        make_session_rows();
        push @update, pgbench("\\set id random(1, $readers)\nUPDATE bench.sessions SET last_used_at = pg_catalog.clock_timestamp(),"
              . " refresh_counter = refresh_counter + 1 WHERE user_id = :id;", clients => $clients, seconds => seconds(10, 4));
        push @statement, refresh_statements($clients, seconds(10, 4));
        my $sessions = write_file('sessions', join '', map { "$_->[2]\n" } log_in(256));
        my $wrk = wrk($shim, '/auth/refresh', connections => 64, seconds => seconds(10, 4), script => 'refresh.lua', arguments => [ $sessions, 2 ]);
        push @refresh, $wrk->{rate};
        push @p99, $wrk->{p99};
    }
    stop_shim($shim);
    return (
        row(what => "refresh() alone, pgbench, $clients clients", figures => \@statement, unit => '/s'),
        row(what => 'POST /auth/refresh, 64 connections', figures => \@refresh, ceilings => \@update, unit => '/s',
            bound => median(@update) >= 8400 ? '>= 8,400' : '>= 0.75 of the ceiling',
            note => "tokens rotate, fsync is on; the ceiling is pgbench with $clients clients that each update a row by its key; 8,400/s where the ceiling is above that"),
        row(what => 'POST /auth/refresh, 99 of 100 within', figures => \@p99, unit => 'ms'));
}

sub among_logins
{
    my $shim = start_shim();
    my (@p50, @p99, @max);
    my $seconds = seconds(15, 8);
    foreach (1 .. $rounds)
    {
        my $logins = start_wrk($shim, '/auth/login', connections => 64, seconds => $seconds + 4, script => 'login.lua', arguments => [ $email_file, 2 ]);
        sleep 2;
        my $load = load($shim, clients => 32, seconds => $seconds, rate => 500, requests => $request_file);
        my $wrk = finish_wrk($logins);
        die "GET /users/me among logins: $load->{failed} were not answered 200\n" if $load->{failed};
        die "no logins\n$wrk->{text}" if $wrk->{rate} < 1;
        push @p50, $load->{p50};
        push @p99, $load->{p99};
        push @max, $load->{max};
    }
    stop_shim($shim);
    return (
        row(what => '500 GET /users/me a second while 64 clients log in: median time', figures => \@p50, unit => 'ms'),
        row(what => 'the same: 99 of 100 within', figures => \@p99, unit => 'ms', bound => '<= 25', note => 'counted from when each was due'),
        row(what => 'the same: slowest', figures => \@max, unit => 'ms'));
}

# So many clients at a time, each on a connection that it keeps: what the shim needs, and whether all get their share.
sub crowd
{
    my %memory_bound = (64 => '<= 16', 1000 => '<= 40');
    my @rows;
    foreach my $clients (64, 256, 1000, 2000)
    {
        my (@memory, @own, @threads, @share, @rate, $failed, $again);
        foreach (1 .. ($quick ? 1 : $rounds))
        {
            my $shim = start_shim();
            my $load = load($shim, clients => $clients, seconds => seconds(10, 6), rate => 0, requests => $request_file);
            push @memory, status_of($shim->{pid}, 'VmHWM') / 1024;
            push @own, status_of($shim->{pid}, 'RssAnon') / 1024;
            push @threads, status_of($shim->{pid}, 'Threads');
            push @rate, $load->{rate};
            push @share, $load->{median} ? $load->{least} / $load->{median} : 0;
            $failed += $load->{failed};
            $again += $load->{again};
            stop_shim($shim);
        }
        my $note = sprintf '%d threads, %.0f requests/s; %d answers were not 200, %d requests were sent again on a new connection', max(@threads), median(@rate), $failed, $again;
        push @rows, row(what => "$clients clients: the slowest client's answers, by the median client's", figures => \@share, unit => '', bound => '>= 0.5', note => $note),
          row(what => "$clients clients: the shim's memory at most", figures => \@memory, unit => 'MB', bound => $memory_bound{$clients},
            note => sprintf('%.1f MB of it are its own after the load; the rest are pages of the command and its libraries', median(@own)));
    }
    return @rows;
}

# From exec to the first answer that needed the database, in milliseconds.
sub first_answer
{
    my $begin = time;
    my $shim = exec_shim();
    my $answer = '';
    while ($answer !~ m{^HTTP/1\.1 200})
    {
        die "the shim does not answer\n" if time - $begin > 20;
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $shim->{port});
        if (!$socket) { sleep 0.0005; next }
        $socket->syswrite("GET /users/me HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer $tokens[0]\r\n\r\n");
        $socket->sysread($answer, 4096);
    }
    my $took = 1000 * (time - $begin);
    stop_shim($shim);
    return $took;
}

# Seconds until `make run` listens, in this copy of the checkout, where everything is installed and built.
sub make_run
{
    my $port = Bench::free_port();
    my $begin = time;
    my $pid = open(my $out, '-|') // die "fork: $!\n";
    if ($pid == 0)
    {
        setpgrp;
        delete @ENV{qw(PGHOST PGPORT PGUSER PGDATABASE)};
        open(STDERR, '>&', \*STDOUT);
        exec('make', 'run', "PORT=$port") or POSIX::_exit(127);
    }
    my $text = '';
    while (defined(my $line = <$out>))
    {
        $text .= $line;
        last if $line =~ /^listening on /;
    }
    my $took = time - $begin;
    kill 'INT', -$pid;
    my $rest = do { local $/; <$out> };
    close $out;
    die "make run: $text" if $text !~ /^listening on /m;
    return $took;
}

sub starts
{
    my @first = map { first_answer() } 1 .. 20;
    my $fresh = make_run();
    my @again = map { make_run() } 1 .. $rounds;
    return (
        row(what => 'shim: from exec to the first GET /users/me answered', figures => \@first, unit => 'ms', bound => '<= 100'),
        row(what => '`make run`, first time: until it listens', figures => [$fresh], unit => 's', bound => '<= 5', note => 'all packages there and all built; it makes a cluster'),
        row(what => '`make run`, once more', figures => \@again, unit => 's', bound => '<= 5'));
}

# The anonymous memory of a process, in kB: pages of the server's shared buffers are no growth.
sub memory { return status_of($_[0], 'RssAnon') }
sub backends { return split /\n/, sql("SELECT pid FROM pg_catalog.pg_stat_activity WHERE usename = 'auth_service_shim' ORDER BY pid") }

sub leak
{
    my $count = $ENV{LEAK_REQUESTS} || ($quick ? 40_000 : 200_000);
    # Logins collect entries for the index of substrings, and the backend that finds 4 MB of them carries them over: a megabyte
    # or two that this takes stays with its malloc, once.  With short lists each has carried over some before it is measured.
    sql("ALTER DATABASE auth_service SET auth_service.bcrypt_cost = 4; ALTER DATABASE auth_service SET gin_pending_list_limit = '64kB'");
    # Few threads and connections to the database, so that each has seen many requests of every kind before: a thread's first
    # ones take memory that it keeps.
    my $shim = start_shim('--threads=32', '--pool-size=4');
    # Others' addresses log in: the list of a user's sessions shall not grow.
    my $pairs = write_file('pairs', join '', map { $_->[0] =~ s/reader/reader5/; "@$_\n" } log_in(64));
    my $busy = 0;
    # wrk takes a time, not a count.
    my $mix = sub {
        for (my $sent = 0; $sent < $count;)
        {
            my $wrk = wrk($shim, '/', connections => 16, seconds => 5, script => 'mix.lua', arguments => [ $pairs, 2 ], may_fail => 1);
            my %status = $wrk->{text} =~ /^status (\w+): (\d+)/mg;
            die "mixed requests: answers that failed\n$wrk->{text}" if $status{others} || $wrk->{failed} != $wrk->{refused} || !$status{good};
            $sent += $status{good} + $status{refused};
            $busy += $status{busy};
        }
    };
    $mix->();
    my @backends = backends();
    my %before = map { $_ => memory($_) } $shim->{pid}, @backends;
    $mix->();
    my %growth = map { $_ => memory($_) - $before{$_} } keys %before;
    stop_shim($shim);
    sql('ALTER DATABASE auth_service RESET auth_service.bcrypt_cost; ALTER DATABASE auth_service RESET gin_pending_list_limit');
    my $note = "after as many to warm up; $before{$shim->{pid}} kB before; $busy more were told to come back later (503)";
    return (
        row(what => "growth of the shim by $count mixed requests", figures => [ $growth{ $shim->{pid} } / 1024 ], unit => 'MB', bound => '<= 1', note => $note),
        row(what => 'growth of a backend, the most', figures => [ max(map { $growth{$_} } @backends) / 1024 ], unit => 'MB', bound => '<= 1',
            note => scalar(@backends) . ' backends, ' . max(map { $before{$_} } @backends) . ' kB before'));
}

# ---- The run ------------------------------------------------------------------------------------

my @lines = (
    [ me => \&me ],
    [ login => \&login ],
    [ refresh => \&refresh ],
    [ among_logins => \&among_logins ],
    [ crowd => \&crowd ],
    [ starts => \&starts ],
    [ leak => \&leak ]);
my %only = map { $_ => 1 } split ' ', $ENV{LINES_ONLY} // '';
my @unknown = grep { my $name = $_; !grep { $_->[0] eq $name } @lines } sort keys %only;
die "LINES_ONLY: there is no line @unknown; there are ", join(' ', map { $_->[0] } @lines), "\n" if @unknown;
my (@rows, @failed);
$| = 1;
print Machine::text($machine), "median of $rounds rounds", $quick || $rounds < 5 || $ENV{RUN_SECONDS} ? ', fewer or shorter than usual' : '',
  '; the spread is from the least to the most; throttling by address is off, all else as it comes', "\n";
foreach (grep { !%only || $only{ $_->[0] } } @lines)
{
    my ($name, $code) = @$_;
    my $begin = time;
    print "==> $name";
    my @measured = eval { $code->() };
    if (@measured) { push @rows, @measured }
    else
    {
        push @failed, $name;
        print ": FAILED: $@";
        kill_shims();
    }
    printf " (%.0f s)\n", time - $begin;
}
print "\n";
print_rows(@rows);
write_results('results.json', { machine => $machine, quick => $quick ? JSON::PP::true : JSON::PP::false, rounds => $rounds, rows => \@rows, failed => \@failed });
my @missed = grep { defined $_->{holds} && !$_->{holds} } @rows;
print "\n" if @failed || @missed;
print "not measured: $_\n" foreach @failed;
print "missed: $_->{what} ($_->{bound})\n" foreach @missed;
exit(@missed || @failed ? 1 : 0);
