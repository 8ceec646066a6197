# SPDX-License-Identifier: MIT
#
# Faults.pm: what happens to a server of AuthService.pm in the middle of its work.
package Faults;

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX ();
use PostgreSQL::Test::Utils;
use Time::HiRes qw(sleep time);

# The process id of the server of a node, by its file.
sub postmaster
{
    my ($node) = @_;
    open(my $file, '<', $node->data_dir . '/postmaster.pid') or return;
    my $pid = <$file> // '';
    return $pid =~ /^(\d+)$/ ? $1 : undef;
}

# A process and its children.
sub family
{
    my ($parent) = @_;
    my @pids = ($parent);
    foreach my $stat (glob '/proc/[0-9]*/stat')
    {
        open(my $file, '<', $stat) or next;
        my ($pid, $ppid) = (<$file> // '') =~ /^(\d+) \(.*\) \S (\d+)/s or next;
        push @pids, $pid if $ppid == $parent;
    }
    return @pids;
}

# The children that work for this role.
sub backends
{
    my ($node, $role) = @_;
    my ($postmaster, @children) = family(postmaster($node) // return);
    return grep {
        open(my $file, '<', "/proc/$_/cmdline");
        my $title = $file ? <$file> : '';
        ($title // '') =~ / \Q$role\E /;
    } @children;
}

# Kill -9 the server and all that belongs to it, at once; returns when all of it is gone.
sub kill_server
{
    my ($node) = @_;
    my @pids = family(postmaster($node));
    kill 'KILL', @pids;
    wait_for_end(@pids);
    return;
}

sub wait_for_end
{
    my @pids = @_;
    sleep 0.02 while grep { kill 0, $_ } @pids;
    return;
}

# Start a server that this or another process has ended.
sub start_server
{
    my ($node) = @_;
    $node->{_pid} = undef;
    $node->start;
    return;
}

# ---- Connections ----

# Take every connection that the server has for this role, by hand: psql would be slow; the sockets.
sub take_connections
{
    my ($node, $role, $database) = @_;
    my @taken;
    while (@taken < 500)
    {
        my $socket = IO::Socket::UNIX->new(Peer => $node->host . '/.s.PGSQL.' . $node->port) or last;
        my $start = pack('N', 196608) . "user\0$role\0database\0$database\0\0";
        $socket->syswrite(pack('N', 4 + length $start) . $start);
        # AuthenticationOk has 9 bytes; what follows tells whether there was a place.
        my $got = '';
        while (length $got < 10) { IO::Select->new($socket)->can_read(5) && $socket->sysread($got, 10 - length $got, length $got) or last }
        last if $got !~ /^R.{8}S/s;
        push @taken, $socket;
    }
    return @taken;
}

# So many connections to a port that send these bytes and then nothing; the sockets.
sub slow_connections
{
    my ($port, $count, $bytes) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my @sockets = grep { defined } map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 2) } 1 .. $count;
    $_->syswrite($bytes) foreach @sockets;
    return @sockets;
}

# ---- The shim ----

# Start a shim in place of the last one, on its port, with these arguments; the old one has ended, or will.
sub replace_shim
{
    my ($s, @arguments) = @_;
    my $shim = $s->{shims}[-1];
    pipe(my $read, my $write) or die;
    my $pid = fork() // die "fork: $!";
    if ($pid == 0)
    {
        my %environment = $s->environment('auth_service_shim');
        $ENV{$_} = $environment{$_} foreach keys %environment;
        open(STDOUT, '>&', $write) or die;
        open(STDERR, '>>', $shim->{log}) or die;
        exec($ENV{AUTH_SERVICE}, 'serve', "--port=$shim->{port}", @arguments) or POSIX::_exit(127);
    }
    close $write;
    my $line = IO::Select->new($read)->can_read(20) ? <$read> : undef;
    $line or die 'the shim did not start: ' . slurp_file($shim->{log});
    $shim->{pid} = $pid;
    return;
}

# End the last shim; its status as wait has it.
sub end_shim
{
    my ($s, $signal) = @_;
    kill $signal, $s->{shims}[-1]{pid};
    waitpid $s->{shims}[-1]{pid}, 0;
    return $?;
}

# What a process has: memory in kB, threads, descriptors.
sub usage
{
    my ($pid) = @_;
    my $status = slurp_file("/proc/$pid/status");
    my ($anonymous) = $status =~ /^RssAnon:\s*(\d+)/m;
    my ($threads) = $status =~ /^Threads:\s*(\d+)/m;
    my @descriptors = glob "/proc/$pid/fd/*";
    return { memory => $anonymous, threads => $threads, descriptors => scalar @descriptors };
}

1;
