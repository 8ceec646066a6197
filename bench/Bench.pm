# SPDX-License-Identifier: MIT
#
# Bench.pm: what measurements are made of: the shim, wrk, pgbench, bench/load.c, and the median of several runs.
# scripts/bench says what is in the environment.
package Bench;

use strict;
use warnings;

use Exporter 'import';
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use List::Util qw(max min);
use POSIX ();
use Time::HiRes qw(sleep time);

our @EXPORT = qw(sql slurp cores write_file exec_shim start_shim stop_shim status_of wrk start_wrk finish_wrk pgbench load median spread
  harmonic row verdict print_rows write_results);

# ---- Files and processes ------------------------------------------------------------------------

sub slurp
{
    my ($path) = @_;
    open(my $file, '<', $path) or die "$path: $!\n";
    local $/;
    return scalar <$file>;
}

# Make a file in the bench's folder; its path.
sub write_file
{
    my ($name, $text) = @_;
    my $path = "$ENV{BENCH_DIR}/$name";
    open(my $file, '>', $path) or die "$path: $!\n";
    print $file $text;
    close($file) or die "$path: $!\n";
    return $path;
}

# Start a command, its standard error on its standard output: what finish() takes.
sub start
{
    my (@command) = @_;
    my $pid = open(my $out, '-|') // die "fork: $!\n";
    if ($pid == 0)
    {
        open(STDERR, '>&', \*STDOUT);
        exec(@command) or POSIX::_exit(127);
    }
    return { out => $out, command => "@command" };
}

# Wait for its end; what it has printed.  Dies where it failed.
sub finish
{
    my ($run) = @_;
    my $text = do { local $/; readline($run->{out}) } // '';
    close($run->{out}) or die substr($run->{command}, 0, 200) . ": failed\n$text";
    return $text;
}

# The output of statements, as a superuser.
sub sql
{
    my ($statements) = @_;
    my $output = finish(start('psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-f', write_file('statements.sql', $statements)));
    chomp $output;
    return $output;
}

# ---- The shim -----------------------------------------------------------------------------------

# Whatever happens, none is left.
my %running;
$SIG{$_} = sub { exit 130 } foreach qw(INT TERM);
END { local $?; kill 'KILL', keys %running if %running }

sub free_port
{
    my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "listen: $!\n";
    return $socket->sockport;
}

# Exec a shim with these arguments, and do not wait for it: { pid, port, log, out }.  Its log goes to a file, a line a request,
# as it would in production.
sub exec_shim
{
    my (@arguments) = @_;
    my $port = free_port();
    my $log = "$ENV{BENCH_DIR}/shim_$port.log";
    pipe(my $read, my $write) or die "pipe: $!\n";
    my $pid = fork() // die "fork: $!\n";
    if ($pid == 0)
    {
        $ENV{PGUSER} = 'auth_service_shim';
        open(STDOUT, '>&', $write);
        open(STDERR, '>', $log);
        exec($ENV{AUTH_SERVICE}, 'serve', "--port=$port", @arguments) or POSIX::_exit(127);
    }
    close $write;
    $running{$pid} = 1;
    return { pid => $pid, port => $port, log => $log, out => $read };
}

# The same, once it listens.
sub start_shim
{
    my $shim = exec_shim(@_);
    my $line = IO::Select->new($shim->{out})->can_read(20) ? readline($shim->{out}) : undef;
    defined $line or die 'the shim did not start: ' . slurp($shim->{log});
    return $shim;
}

sub stop_shim
{
    my ($shim) = @_;
    kill 'TERM', $shim->{pid};
    waitpid $shim->{pid}, 0;
    delete $running{ $shim->{pid} };
    unlink $shim->{log};
    return;
}

# A figure of /proc/PID/status: VmHWM (the most memory that it ever had, in kB), RssAnon (its own now), Threads.
sub status_of
{
    my ($pid, $name) = @_;
    return slurp("/proc/$pid/status") =~ /^\Q$name\E:\s+(\d+)/m ? $1 : die "no $name of process $pid\n";
}

sub cores { return scalar(() = slurp('/proc/cpuinfo') =~ /^processor\s*:/mg) }

# ---- Load ---------------------------------------------------------------------------------------

# Start wrk on a shim's path.  Options: connections, threads (2), seconds, script (of bench/), arguments (the script's).
sub start_wrk
{
    my ($shim, $path, %options) = @_;
    my @script = $options{script} ? ('-s', "bench/$options{script}") : ();
    return start('wrk', '--latency', '--timeout', '30s', '-t', $options{threads} // 2, '-c', $options{connections}, '-d', "$options{seconds}s",
        @script, "http://127.0.0.1:$shim->{port}$path", $options{arguments} ? ('--', @{ $options{arguments} }) : ());
}

# What wrk says: answers, rate (a second; of 2xx and 3xx only), failed (other answers, and errors of sockets), p50 and p99 (ms).
sub parse_wrk
{
    my ($text) = @_;
    my %unit = (us => 0.001, ms => 1, s => 1000, m => 60_000);
    my ($answers, $rate) = $text =~ /^\s*(\d+) requests in .*^Requests\/sec:\s+([\d.]+)/ms or die "wrk: $text";
    my $refused = $text =~ /^\s*Non-2xx or 3xx responses: (\d+)/m ? $1 : 0;
    my $errors = 0;
    if ($text =~ /^\s*Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/m) { $errors = $1 + $2 + $3 + $4 }
    my %result = (answers => $answers - $refused, rate => $answers ? $rate * ($answers - $refused) / $answers : 0, failed => $refused + $errors,
        refused => $refused, text => $text);
    foreach my $part (50, 99)
    {
        $result{"p$part"} = $1 * $unit{$2} if $text =~ /^\s+$part%\s+([\d.]+)(us|ms|s|m)$/m;
    }
    return \%result;
}

sub finish_wrk { return parse_wrk(finish($_[0])) }

# From start to end; dies where anything failed, unless it may_fail.
sub wrk
{
    my ($shim, $path, %options) = @_;
    my $result = finish_wrk(start_wrk($shim, $path, %options));
    die "wrk: answers other than 2xx, or errors\n$result->{text}" if $result->{failed} && !$options{may_fail};
    return $result;
}

# pgbench with a script's text: transactions a second.  Options: clients, seconds, role (postgres), arguments.
sub pgbench
{
    my ($script, %options) = @_;
    local $ENV{PGUSER} = $options{role} // $ENV{PGUSER};
    my $text = finish(start('pgbench', '-n', '-M', 'prepared', '-c', $options{clients}, '-j', min($options{clients}, cores()), '-T', $options{seconds},
            '-f', write_file('pgbench.sql', $script), @{ $options{arguments} // [] }));
    die "pgbench: $text" if $text !~ /^number of failed transactions: 0 /m || $text !~ /^tps = ([\d.]+) \(without/m;
    return $1;
}

# bench/load.c: what it prints, as a hash.  Options: clients, seconds, rate (0: as fast as it goes), requests (a file).
sub load
{
    my ($shim, %options) = @_;
    return JSON::PP::decode_json(finish(start($ENV{BENCH_LOAD}, $shim->{port}, @options{qw(clients seconds rate requests)})));
}

# ---- Figures ------------------------------------------------------------------------------------

sub median
{
    my @sorted = sort { $a <=> $b } @_;
    return @sorted % 2 ? $sorted[ @sorted / 2 ] : ($sorted[ @sorted / 2 - 1 ] + $sorted[ @sorted / 2 ]) / 2;
}

# From the least to the most, as a part of the median.
sub spread { return median(@_) ? (max(@_) - min(@_)) / median(@_) : 0 }

# What two steps reach one after the other, of which each alone reaches so much.
sub harmonic { return 1 / (1 / $_[0] + 1 / $_[1]) }

# A line of the table.  Members:
#   what, unit    what was measured
#   figures       one of each round; ceilings: of the same rounds, as many
#   bound         what is to be reached: '>= 0.75 of the ceiling', '<= 25'
#   wish          the same where this machine cannot reach it: for information
#   note          what is worth knowing
sub row
{
    my (%row) = @_;
    $row{median} = median(@{ $row{figures} });
    $row{spread} = spread(@{ $row{figures} });
    if ($row{ceilings})
    {
        $row{ceiling} = median(@{ $row{ceilings} });
        # Of each round, so that what slowed both down makes no difference.
        $row{ratio} = median(map { $row{figures}[$_] / $row{ceilings}[$_] } 0 .. $#{ $row{figures} });
    }
    $row{holds} = verdict(\%row);
    return \%row;
}

# Whether a row reaches its bound; undef where it has none.
sub verdict
{
    my ($row) = @_;
    my ($direction, $bound, $of_ceiling) = ($row->{bound} // '') =~ /^(>=|<=) ([\d.,]+)( of the ceiling)?$/ or return;
    my $value = $of_ceiling ? $row->{ratio} : $row->{median};
    $bound =~ tr/,//d;
    return JSON::PP::true if $direction eq '>=' ? $value >= $bound : $value <= $bound;
    return JSON::PP::false;
}

# A number with three digits that count.
sub digits
{
    my ($number) = @_;
    return '' if !defined $number;
    return sprintf '%.*f', abs $number >= 100 ? 0 : abs $number >= 10 ? 1 : abs $number >= 1 ? 2 : 3, $number;
}

sub print_rows
{
    my (@rows) = @_;
    my @table = ([ 'what', 'median', 'spread', 'ceiling', 'ratio', 'to reach', 'holds' ]);
    foreach my $row (@rows)
    {
        push @table, [ $row->{what}, digits($row->{median}) . " $row->{unit}", @{ $row->{figures} } > 1 ? sprintf('%.0f %%', 100 * $row->{spread}) : '',
            digits($row->{ceiling}), digits($row->{ratio}), $row->{bound} // $row->{wish} // '', !defined $row->{holds} ? '' : $row->{holds} ? 'yes' : 'NO' ];
    }
    my @widths = map { my $column = $_; max(map { length $_->[$column] } @table) } 0 .. $#{ $table[0] };
    foreach my $line (@table)
    {
        print join('  ', map { sprintf $_ =~ /^[1-4]$/ ? '%*s' : '%-*s', $widths[$_], $line->[$_] } 0 .. $#widths) =~ s/ +$//r, "\n";
    }
    print "\n" if grep { $_->{note} } @rows;
    print "$_->{what}: $_->{note}\n" foreach grep { $_->{note} } @rows;
    return;
}

# Leave a JSON file for .build/bench.
sub write_results
{
    my ($name, $results) = @_;
    write_file("results/$name", JSON::PP->new->canonical->pretty->encode($results));
    return;
}

1;
