# SPDX-License-Identifier: MIT
#
# Siege.pm: clients that hold connections without being of use: a process that keeps so many open, by
# turns with nothing sent, half a head, a head and half a body (both dripped on), and idle after an answer;
# what is closed is opened again at once.
package Siege;

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Socket ();
use Time::HiRes qw(sleep time);

my @kinds = (
    [ '', '' ],
    [ "GET /health/live HTTP/1.1\r\nHost: x\r\nX-Slow: ", 'a' ],
    [ "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n{", ' ' ],
    [ "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n", '' ]);

# Begin; kinds: which of the four.
sub begin
{
    my ($class, $port, $count, @which) = @_;
    @which = 0 .. $#kinds if !@which;
    my $pid = fork() // die "fork: $!";
    return bless { pid => $pid }, $class if $pid;
    $SIG{PIPE} = 'IGNORE';
    $SIG{TERM} = sub { POSIX::_exit(0) };
    my $select = IO::Select->new;
    my %kind;
    my $open = sub {
        my ($kind) = @_;
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 5) or return;
        $socket->blocking(0);
        $socket->syswrite($kind->[0]) if $kind->[0] ne '';
        $kind{$socket} = $kind;
        $select->add($socket);
    };
    $open->($kinds[ $which[ $_ % @which ] ]) foreach 1 .. $count;
    my $dripped = time;
    while (getppid() != 1)
    {
        foreach my $socket ($select->can_read(0.05))
        {
            next if $socket->sysread(my $bytes, 65536);
            my $kind = delete $kind{$socket};
            $select->remove($socket);
            close $socket;
            $open->($kind);
        }
        next if time - $dripped < 0.3;
        $dripped = time;
        $kind{$_}[1] ne '' && $_->syswrite($kind{$_}[1]) foreach $select->handles;
    }
    POSIX::_exit(0);
}

sub end
{
    my ($self) = @_;
    local ($?, $!);
    my $pid = delete $self->{pid} // return;
    kill 'KILL', $pid;
    waitpid $pid, 0;
}

sub DESTROY { $_[0]->end }

1;
