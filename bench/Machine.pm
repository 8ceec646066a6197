# SPDX-License-Identifier: MIT
#
# Machine.pm: what figures of one machine can be compared with those of another by.
package Machine;

use strict;
use warnings;

use Bench;
use Time::HiRes qw(time);

# Microseconds of a system call that does nothing.
sub system_call
{
    my $count = 200_000;
    my ($begin, $result) = (time);
    $result = getppid() foreach 1 .. $count;
    my $calls = time - $begin;
    $begin = time;
    $result = abs($_) foreach 1 .. $count;
    return 1e6 * ($calls - (time - $begin)) / $count;
}

# Microseconds of one fdatasync, as pg_test_fsync has it; it is stopped when it has said so.
sub fdatasync
{
    my $file = "$ENV{BENCH_DIR}/fsync";
    my $pid = open(my $out, '-|', 'pg_test_fsync', '-s', '1', '-f', $file) or die "pg_test_fsync: $!\n";
    my $microseconds;
    while (!defined $microseconds && defined(my $line = <$out>))
    {
        $microseconds = $1 if $line =~ /^\s+fdatasync\s+[\d.]+ ops\/sec\s+(\d+) usecs/;
    }
    kill 'KILL', $pid;
    close $out;
    unlink $file;
    return $microseconds // die "pg_test_fsync says nothing of fdatasync\n";
}

# All of it, as a hash.
sub describe
{
    my $processor = slurp('/proc/cpuinfo');
    my ($system) = slurp('/etc/os-release') =~ /^PRETTY_NAME="(.*)"/m;
    my ($kernel, $architecture) = (POSIX::uname())[2, 4];
    return {
        processor => $processor =~ /^model name\s*: (.*)/m ? "$1" : $architecture,
        cores => cores(),
        memory_gb => sprintf('%.0f', (slurp('/proc/meminfo') =~ /^MemTotal:\s+(\d+)/m)[0] / 1048576) + 0,
        system => $system,
        kernel => "$kernel $architecture",
        auth_service => qx("$ENV{AUTH_SERVICE}" --version) =~ s/\n//r,
        postgresql => sql('SHOW server_version'),
        system_call_us => sprintf('%.2f', system_call()) + 0,
        fdatasync_us => fdatasync() + 0,
        load_before => (split ' ', slurp('/proc/loadavg'))[0] + 0,
    };
}

# The same as lines of text.
sub text
{
    my ($m) = @_;
    return "$m->{processor}, $m->{cores} cores, $m->{memory_gb} GB; $m->{system}, Linux $m->{kernel}; PostgreSQL $m->{postgresql}; $m->{auth_service}\n"
      . "one system call $m->{system_call_us} us, one fdatasync $m->{fdatasync_us} us; load before the run $m->{load_before}\n";
}

1;
