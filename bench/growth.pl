# SPDX-License-Identifier: MIT
#
# growth.pl: what grows with the number of accounts and sessions, and what does not.
#
# For each of SIZES it makes a database with so many accounts (data.sql) and times there what growth.sql has.  One
# database more is for tables under a million refreshes.  For the servers and names of `make bench`
# (scripts/bench): PGHOST and its like, AUTH_SERVICE, BENCH_DIR.  The figures are ratios to the smallest size: what
# a call takes depends on the machine, how that grows does not.
use strict;
use warnings;
use IPC::Run;
use JSON::PP ();
use List::Util qw(max min);

# To try it: SIZES="1000 100000" SAMPLE=1000 REFRESHES=100000 ROUNDS=2.
my @sizes = sort { $a <=> $b } split ' ', $ENV{SIZES} // '1000 100000 1000000 5000000';
my $refreshes = $ENV{REFRESHES} // 1_000_000;

# Accounts whose tokens are used: all over the table, again and again, and for refreshes.  In the end sessions are
# refreshed a hundred times each.
my $sample = $ENV{SAMPLE} // 20_000;
my $few = min(500, $sample);
my $refreshed = min(400, int(min($sample, $sizes[0] * 0.9) / 2));
my $busy = min(10_000, max(10, int($refreshes / 100)));
use constant { ROUNDS => $ENV{ROUNDS} // 5, PAGE_TRIES => 7, EXPIRED => 1_000_000 };

# DESIGN: authenticate at the largest size to that at the smallest; a page of a list at a million, in milliseconds.
use constant { AUTHENTICATE_RATIO => 1.3, PAGE_MS => 10, PAGE_USERS => 1_000_000 };

my $json = JSON::PP->new->canonical->pretty;
$| = 1;

# ---- The database ----------------------------------------------------------------------------------

my $database;

# Run statements in one session of psql; what they print.
sub sql
{
    my ($statements, @options) = @_;
    my ($out, $err) = ('', '');
    IPC::Run::run([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $database, @options ], '<', \$statements, '>', \$out, '2>', \$err)
      or die "psql: $err";
    chomp $out;
    return $out;
}
sub sql_file { return sql('', '-f', "bench/$_[0]", @_[ 1 .. $#_ ]) }

# Give the server a quarter of the memory, as PostgreSQL's manual advises where there is much data; a line about it.
sub give_memory
{
    open(my $meminfo, '<', '/proc/meminfo') or die "/proc/meminfo: $!";
    my ($kb) = join('', <$meminfo>) =~ /^MemTotal: +(\d+)/m;
    $database = 'postgres';
    sql(sprintf "ALTER SYSTEM SET shared_buffers = '%dMB'", $kb / 4096);
    my @restart = ('pg_ctl', '-D', sql('SHOW data_directory'), '-l', "$ENV{BENCH_DIR}/postgres.log", '-w', 'restart');
    IPC::Run::run(\@restart, '>', '/dev/null', '2>', '/dev/null') or die "pg_ctl could not restart the server\n";
    return sprintf "shared_buffers = %s\n", sql('SHOW shared_buffers');
}

# Make a database with the extension and so many accounts; the seconds that these took.
sub make_users
{
    my ($users, $tokens) = @_;
    $database = "growth_$users";
    my ($out, $err);
    IPC::Run::run([ $ENV{AUTH_SERVICE}, 'init-db', "--database-name=$database" ], '>', \$out, '2>', \$err) or die "init-db: $err";
    # Tokens are good for as long as this runs.
    sql("ALTER DATABASE $database SET auth_service.bcrypt_cost = 4;
         ALTER DATABASE $database SET auth_service.access_token_ttl = '1d';
         ALTER DATABASE $database SET auth_service.throttle_account_failures = 0;
         ALTER DATABASE $database SET auth_service.throttle_address_failures = 0");
    my $begin = time;
    sql_file('data.sql', '-v', "users=$users", '-v', "sample=$tokens");
    sql_file('growth.sql');
    return time - $begin;
}

sub drop_database
{
    my ($name) = @_;
    $database = 'postgres';
    sql("DROP DATABASE $name WITH (FORCE)");
}

# The best of three in one session, in microseconds: the machine may be busy, the server is not slow.
sub best
{
    my ($call, $before) = @_;
    return min(split /\n/, sql(($before // '') . ("SELECT $call;\n" x 3)));
}

# ---- Calls -----------------------------------------------------------------------------------------

sub tokens
{
    my ($column, $count) = @_;
    return "(SELECT array_agg($column ORDER BY hashint8(id + 1)) FROM (SELECT * FROM bench.tokens ORDER BY id LIMIT $count) t)";
}

# What a client sees of authenticate: a prepared statement to a server process that is waiting for it, in microseconds.
# Tokens are fetched twelve at a time, as many as a page holds, since a fetch costs as much as a call.
sub statement
{
    my $calls = join '', map { "SELECT auth.authenticate(:t$_);\n" } 1 .. 12;
    my $script = "$ENV{BENCH_DIR}/authenticate.sql";
    open(my $file, '>', $script) or die "$script: $!";
    print $file '\\set n random(0, ' . (int(sql('SELECT count(*) FROM bench.tokens') / 12) - 1) . ")\n"
      . 'SELECT ' . join(', ', map { "t[$_] AS t$_" } 1 .. 12) . " FROM bench.twelve WHERE n = :n \\gset\n$calls";
    close $file;
    local $ENV{PGOPTIONS} = '-c default_transaction_read_only=on';
    my ($out, $err);
    IPC::Run::run([ 'pgbench', '-n', '-M', 'prepared', '-c', 1, '-T', 3, '-f', $script, $database ], '>', \$out, '2>', \$err) or die "pgbench: $err";
    return 1e6 / 12 / ($out =~ /^tps = ([\d.]+) \(without/m ? $1 : die "pgbench: $out");
}

sub calls
{
    my $read_only = "SET default_transaction_read_only = on;\n";
    my %took = (hash => best('bench.hash(300)'), statement => statement());
    $took{authenticate} = best('bench.authenticate(' . tokens('access_token', $sample) . ')', $read_only);
    $took{authenticate_few} = best('bench.authenticate(' . tokens('access_token', $few) . ')', $read_only);
    $took{authenticate_me} = best('bench.me(' . tokens('access_token', $sample) . ')', $read_only);
    $took{login} = best('bench.login(' . tokens('email', 300) . ')');
    $took{login_unknown} = best("bench.login(" . tokens("'no' || email", 300) . ')');
    $took{register} = best('bench.register(300)');
    return \%took;
}

# It uses tokens up, so it comes once.
sub refreshes
{
    my $tokens = tokens('refresh_token', $refreshed);
    # The second time takes the tokens of the first; so both are of one session of psql.
    sql("DO \$\$ DECLARE t text[] := $tokens; BEGIN CALL bench.refresh(t, 8000, $refreshed); CALL bench.refresh(t, 1000, 1); END \$\$");
    my %took;
    @took{qw(refresh refresh_durable)} = split /\n/, sql('SELECT took FROM bench.refreshed');
    return %took;
}

# ---- Lists -----------------------------------------------------------------------------------------

my @orders = map { my $sort = $_; map { [ $sort, $_ ] } qw(asc desc) } qw(id balance last_activity_at);
sub ordered { return sprintf "list_users(sort_by => '%s', sort_order => '%s'%s)", @{ $_[0] }, $_[1] ? ", $_[1]" : '' }

# Half way down, or half a million rows, by the cursors of the pages before.
sub deep
{
    my ($order, $users) = @_;
    my $call = ordered($order, '"limit" => 1000, cursor => behind');
    my $pages = max(min(int($users / 2000), 500), 1);
    my $cursor = sql(<<"SQL");
CREATE FUNCTION pg_temp.deep() RETURNS text LANGUAGE plpgsql AS \$\$
DECLARE
    behind text;
BEGIN
    FOR i IN 1 .. $pages LOOP
        behind := (SELECT l.next_cursor FROM auth.$call l OFFSET least(999, $users / 2 - 1) LIMIT 1);
    END LOOP;
    RETURN behind;
END \$\$;
SELECT pg_temp.deep();
SQL
    return ordered($order, "cursor => '$cursor'");
}

# Milliseconds of each page, by the kind of question.
sub lists
{
    my ($users) = @_;
    my @common = ("email => 'example5'", "first_name => 'anna'", "last_name => 'a'", "role => 'user'", 'is_blocked => false');
    my @rare = ('is_blocked => true', "role => 'admin'", "last_name => 'xqa'", "email => 'user4711\@'", "id => 711",
        "first_name => 'gül', is_blocked => true", "last_name => 'ab', role => 'admin'");
    my @none = ("email => 'nobody\@nowhere'", "first_name => 'Xenophon'", "id => 0");
    # Of one or two characters.
    my @short = ("last_name => 'Xq'", "last_name => 'q'", "first_name => 'zz'");
    # Of a hundredth of the accounts or so, and of some that are all at one end of an order.
    my @middle = ("email => 'example55'", "email => '\@example55.com', first_name => 'anna'", "email => '1\@example1'", "last_name => 'abe'",
        "email => 'r99'", "email => 'r999'", "email => 'user987', is_blocked => false");
    # Two of two characters, which many have, and together few.
    my @pairs = ("last_name => 'ab', email => '57'", "last_name => 'st', email => '12'", "first_name => 'an', last_name => 'ab'");
    my %kinds = (
        order => [ (map { ordered($_) } @orders), 'list_users("limit" => 1000)', 'deleted_users()' ],
        deep => [ map { deep($_, $users) } @orders ],
        map { my ($kind, $filters) = @$_; ($kind => [ map { my $filter = $_; map { ordered($_, $filter) } @orders[ 0, 3, 4 ] } @$filters ]) }
          [ common => \@common ], [ rare => \@rare ], [ none => \@none ], [ short => \@short ], [ middle => \@middle ],
          [ pairs => \@pairs ]);
    my @calls = map { my $kind = $_; map { [ $kind, $_ ] } @{ $kinds{$kind} } } sort keys %kinds;
    my @times = split /\n/, sql(join '', map { sprintf "SELECT bench.page('%s', %d);\n", $_->[1] =~ s/'/''/gr, PAGE_TRIES } @calls);
    my %took;
    foreach my $i (0 .. $#calls)
    {
        my ($kind, $call) = @{ $calls[$i] };
        $took{$kind}{ $call =~ s/cursor => '[^']*'/cursor => .../r } = $times[$i] / 1000;
    }
    return \%took;
}

# ---- Maintenance -----------------------------------------------------------------------------------

# What a client sees beside some work: the half, all but one of a hundred, the slowest; in microseconds.
sub beside
{
    my ($run, $work) = @_;
    sql('TRUNCATE bench.stop');
    my ($in, $out, $err) = ("CALL bench.beside('$run', $refreshed)", '', '');
    my $client = IPC::Run::start([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $database ], '<', \$in, '>', \$out, '2>', \$err);
    $work->();
    sql('INSERT INTO bench.stop VALUES (now())');
    $client->finish or die "psql: $err";
    my %seen;
    foreach (split /\n/, sql("SELECT what, count(*), percentile_disc('{0.5,0.99,1}'::float8[]) WITHIN GROUP (ORDER BY took)
        FROM bench.beside WHERE run = '$run' GROUP BY what"))
    {
        my ($what, $count, $values) = split /\|/;
        my ($median, $p99, $slowest) = $values =~ /[\d.]+/g;
        $seen{$what} = { calls => $count, median => $median, p99 => $p99, slowest => $slowest };
    }
    return \%seen;
}

sub maintenance
{
    my ($users) = @_;
    my $expired = min(EXPIRED, $users);
    my %result = (expired => $expired, alone => beside('alone', sub { sql('SELECT pg_sleep(5)') }));
    sql("CALL bench.expire($expired)");
    sql('CHECKPOINT');
    $result{meanwhile} = beside('maintain', sub { sql('CALL bench.maintain()') });
    @result{qw(steps deleted total_s step_median_ms step_p99_ms step_slowest_ms)} = split /\|/,
      sql('SELECT count(*), sum(deleted), sum(took) / 1e6, percentile_disc(0.5) WITHIN GROUP (ORDER BY took) / 1e3,
          percentile_disc(0.99) WITHIN GROUP (ORDER BY took) / 1e3, max(took) / 1e3 FROM bench.steps');
    return \%result;
}

# ---- Tables under refreshes ------------------------------------------------------------------------

sub sizes
{
    my @names = ('auth.sessions', split /\n/, sql("SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'auth.sessions'::regclass ORDER BY 1"));
    return { map { ($_ => sql("SELECT pg_relation_size('$_')")) } @names };
}

# Sessions that were just logged in, refreshed in turn, a hundredth of them to a transaction.
sub bloat
{
    sql('DELETE FROM auth.sessions WHERE refresh_counter > 0; VACUUM FULL ANALYZE auth.sessions; SELECT pg_stat_reset()');
    my $at_once = max(1, int($busy / 100));
    my %result = (refreshes => $refreshes, sessions => sql('SELECT count(*) FROM auth.sessions'), before => sizes());
    sql('DO $$ DECLARE t text[] := ' . tokens('refresh_token', $busy) . "; BEGIN CALL bench.refresh(t, $refreshes, $at_once); END \$\$");
    sleep 2; # the statistics of the session that has ended
    $result{after} = sizes();
    @result{qw(updates hot vacuums)} = split /\|/,
      sql("SELECT n_tup_upd, n_tup_hot_upd, autovacuum_count FROM pg_stat_user_tables WHERE relid = 'auth.sessions'::regclass");
    return \%result;
}

# ---- All of it -------------------------------------------------------------------------------------

my (@rows, @missed);

sub note { my ($holds, $text) = @_; push @missed, $text if !$holds; return sprintf "%-8s %s\n", $holds ? 'holds' : 'MISSED', $text }

# A line for each call, a column for each size; as ratios to the first.
sub table
{
    my ($title, $unit, $names, $value) = @_;
    my @lines = sprintf "%-24s" . ("%18s" x @rows) . "\n", "$title, $unit", map { "$_->{users} users" } @rows;
    foreach my $name (@$names)
    {
        my @values = map { $value->($_, $name) } @rows;
        push @lines, sprintf "%-24s" . ("%18s" x @rows) . "\n", $name,
          map { sprintf '%.4g (%.2f)', $_, $values[0] > 0 ? $_ / $values[0] : 0 } @values;
    }
    return join '', @lines, "\n";
}

my @calls = qw(statement authenticate authenticate_few authenticate_me login login_unknown register refresh refresh_durable);
my @kinds = qw(order deep common middle rare none short pairs);
sub slowest { my ($row, $kind) = @_; return max(values %{ $row->{lists}{$kind} }) }

print give_memory();
foreach my $users (@sizes)
{
    push @rows, { users => $users, generated_in_s => make_users($users, $sample) };
    printf "%d users: made in %d s\n", @{ $rows[-1] }{qw(users generated_in_s)};
}
# The sizes in turn, the best of all rounds: what else the machine does falls on all of them alike.
for (1 .. ROUNDS)
{
    foreach my $row (@rows)
    {
        $database = "growth_$row->{users}";
        my $took = calls();
        $row->{calls}{$_} = min($row->{calls}{$_} // $took->{$_}, $took->{$_}) foreach keys %$took;
    }
}
foreach my $row (@rows)
{
    $database = "growth_$row->{users}";
    my $calls = $row->{calls};
    $calls->{$_} -= $calls->{hash} foreach qw(login login_unknown register);
    %$calls = (%$calls, refreshes());
    $row->{lists} = lists($row->{users});
    $row->{maintenance} = maintenance($row->{users});
    drop_database($database);
}
make_users($busy, $busy);
my $bloat = bloat();
drop_database($database);

print "\n", table('call', 'us', \@calls, sub { $_[0]{calls}{ $_[1] } }), table('slowest page', 'ms', \@kinds, \&slowest);
print table('maintain', 'ms', [qw(step_median_ms step_p99_ms step_slowest_ms)], sub { $_[0]{maintenance}{ $_[1] } });
print table('beside it', 'us', [ map { my $run = $_; map { "$run $_" } qw(median p99 slowest) } qw(alone meanwhile) ],
    sub { my ($row, $name) = @_; my ($run, $what) = split / /, $name; return $row->{maintenance}{$run}{authenticate}{$what} });
printf "%d refreshes of %d sessions: %.1f %% of the updates were HOT, %d autovacuums\n", @$bloat{qw(refreshes sessions)},
  100 * $bloat->{hot} / $bloat->{updates}, $bloat->{vacuums};
printf "    %-34s %8.1f MB, then %8.1f MB: %.2f\n", $_, $bloat->{before}{$_} / 1e6, $bloat->{after}{$_} / 1e6, $bloat->{after}{$_} / $bloat->{before}{$_}
  foreach sort keys %{ $bloat->{before} };

my $ratio = $rows[-1]{calls}{statement} / $rows[0]{calls}{statement};
print "\n", note($ratio <= AUTHENTICATE_RATIO, sprintf 'authenticate, as a client sees it, at %d / at %d: %.2f <= %.1f', $sizes[-1], $sizes[0], $ratio, AUTHENTICATE_RATIO);
foreach my $row (grep { $_->{users} == PAGE_USERS } @rows)
{
    print note(slowest($row, $_) <= PAGE_MS, sprintf 'slowest page at %d, %s: %.1f ms <= %d', PAGE_USERS, $_, slowest($row, $_), PAGE_MS)
      foreach grep { $_ ne 'pairs' } @kinds;
}

my $results = "$ENV{BENCH_DIR}/results";
mkdir $results;
open(my $file, '>', "$results/growth.json") or die "growth.json: $!";
print $file $json->encode({ sizes => \@rows, refreshes => $bloat });
close $file;
open($file, '>', "$results/growth.tsv") or die "growth.tsv: $!";
print $file join("\t", 'users', @calls, @kinds, qw(step alone_p99 meanwhile_p99)), "\n";
foreach my $row (@rows)
{
    my $maintenance = $row->{maintenance};
    print $file join("\t", $row->{users}, @{ $row->{calls} }{@calls}, (map { slowest($row, $_) } @kinds),
        $maintenance->{step_median_ms}, map { $maintenance->{$_}{authenticate}{p99} / 1000 } qw(alone meanwhile)), "\n";
}
close $file;
exit(@missed ? 1 : 0);
