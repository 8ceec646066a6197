# SPDX-License-Identifier: MIT
#
# CuttingProxy.pm: a TCP proxy on the loopback that cuts its connections at random bytes, in either
# direction, and writes down the refresh tokens that have come from the server, delivered or not.
package CuttingProxy;

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER);

# Start one in a process of its own, in front of this port; options: seed, bytes (a connection lives for up
# to so many in a direction), stall (the part of cuts that swallow instead of closing, of 1), record (a file).
sub start
{
    my ($class, $to, %options) = @_;
    my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64, ReuseAddr => 1) or die "listen: $!";
    my $self = bless { port => $listener->sockport, to => $to, %options }, $class;
    my $pid = fork() // die "fork: $!";
    if ($pid == 0)
    {
        srand($options{seed});
        local $SIG{PIPE} = 'IGNORE';
        $self->{select} = IO::Select->new($listener);
        open($self->{out}, '>>', $options{record}) or die;
        $self->{out}->autoflush(1);
        eval { $self->serve($listener); 1 } or warn $@;
        POSIX::_exit(1);
    }
    close $listener;
    $self->{pid} = $pid;
    return $self;
}

sub port { return $_[0]{port} }

sub DESTROY
{
    my ($self) = @_;
    return if !$self->{pid};
    local ($?, $!);
    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
}

sub serve
{
    my ($self, $listener) = @_;
    while (my @ready = $self->{select}->can_read)
    {
        foreach my $socket (@ready)
        {
            if ($socket == $listener) { $self->begin($listener->accept) }
            elsif (my $end = $self->{ends}{$socket}) { $self->pass($socket, $end) }
        }
    }
}

# Both ends of a new connection: each passes on so many bytes of what it reads.
sub begin
{
    my ($self, $client) = @_;
    my $server = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{to}) or return close $client;
    # Half of the connections lose something of what the server says, half of what it is told.
    my $cut = int rand 2;
    my %pair = (sockets => [ $client, $server ], stalls => rand() < $self->{stall});
    foreach ([ $client, $server, 0 ], [ $server, $client, 1 ])
    {
        my ($from, $to, $records) = @$_;
        my $left = $records == $cut ? 1 + int rand $self->{bytes} : 1e9;
        $self->{ends}{$from} = { to => $to, left => $left, pair => \%pair, records => $records, seen => '' };
        $self->{select}->add($from);
    }
}

sub pass
{
    my ($self, $from, $end) = @_;
    my $got = $from->sysread(my $bytes, 65536);
    return $self->end($end->{pair}) if !$got;
    $self->record($end, $bytes) if $end->{records};
    if (length $bytes <= $end->{left})
    {
        $end->{left} -= length $bytes;
        $end->{to}->syswrite($bytes);
        return;
    }
    $end->{to}->syswrite($bytes, $end->{left}) if $end->{left} > 0;
    $end->{left} = 0;
    $self->end($end->{pair}) if !$end->{pair}{stalls};
}

# The tokens in what the server says, also where they come in two parts.
sub record
{
    my ($self, $end, $bytes) = @_;
    $end->{seen} .= $bytes;
    print { $self->{out} } "$1\n" while $end->{seen} =~ s/"refresh_token":"([\w-]{76})"//;
    $end->{seen} = substr $end->{seen}, -200 if length $end->{seen} > 200;
}

# Close both ends; half of the time hard, so that bytes on their way are lost.
sub end
{
    my ($self, $pair) = @_;
    foreach my $socket (@{ $pair->{sockets} })
    {
        delete $self->{ends}{$socket};
        $self->{select}->remove($socket);
        setsockopt($socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0)) if rand() < 0.5;
        close $socket;
    }
}

1;
