# SPDX-License-Identifier: MIT
#
# Faults.pm: what happens to a server of AuthService.pm in the middle of its work.
package Faults;

use strict;
use warnings;

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

1;
