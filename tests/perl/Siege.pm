# SPDX-License-Identifier: MIT
#
# Siege.pm: a process of clients that are in others' way: it keeps so many connections open, by turns with
# nothing sent, half a head, a head and half a body (both dripped on), and idle after an answer; or asks on
# each without end, to log in or whatever it was told; or asks for much and reads nothing.  What is closed is opened
# again at once.
package Siege;

use strict;
use warnings;

use IO::Poll;
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Socket qw(AF_INET INADDR_LOOPBACK IPPROTO_TCP SOCK_STREAM SOL_SOCKET SO_RCVBUF TCP_MAXSEG pack_sockaddr_in);
use Time::HiRes qw(sleep time);

my @kinds = (
    [ '', '' ],
    [ "GET /health/live HTTP/1.1\r\nHost: x\r\nX-Slow: ", 'a' ],
    [ "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n{", ' ' ],
    [ "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n", '' ]);
my $login = "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ";

# Connections that ask for more than fits into buffers, and take nothing.  With small segments the server's buffer stays
# small, and with a small window the client's.
sub be_deaf
{
    my ($port, $count) = @_;
    my $many = "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" x 1500;
    my $poll = IO::Poll->new;
    my $open = 0;
    while (getppid() != 1)
    {
        while ($open < $count)
        {
            socket my $socket, AF_INET, SOCK_STREAM, 0 or last;
            setsockopt $socket, IPPROTO_TCP, TCP_MAXSEG, 536;
            setsockopt $socket, SOL_SOCKET, SO_RCVBUF, 2048;
            connect $socket, pack_sockaddr_in($port, INADDR_LOOPBACK) or last;
            IO::Handle::blocking($socket, 0);
            syswrite $socket, $many;
            $poll->mask($socket => IO::Poll::POLLERR() | IO::Poll::POLLHUP());
            $open++;
        }
        $poll->poll(0.05);
        foreach ($poll->handles(IO::Poll::POLLERR() | IO::Poll::POLLHUP())) { $poll->remove($_); close $_; $open-- }
    }
    POSIX::_exit(0);
}

# The address that the clients have; undef: the usual one.
our $from;

# How long they wait after a refusal (503) before they ask again, in seconds.
our $pause = 0;

# Begin; kinds: which of the four; or 'login', or 'deaf'; or code, which is given a client's number and returns its request.
sub begin
{
    my ($class, $port, $count, @which) = @_;
    @which = 0 .. 3 if !@which;
    pipe(my $read, my $write) or die;
    my $pid = fork() // die "fork: $!";
    if ($pid)
    {
        close $write;
        return bless { pid => $pid, seen => $read }, $class;
    }
    my %seen;
    $SIG{PIPE} = 'IGNORE';
    $SIG{TERM} = sub { syswrite $write, join ' ', map { "$_:$seen{$_}" } sort keys %seen; POSIX::_exit(0) };
    be_deaf($port, $count) if $which[0] eq 'deaf';
    my $select = IO::Select->new;
    my %kind;
    my $asks = ref $which[0] || $which[0] eq 'login';
    my $open = sub {
        my ($kind) = @_;
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 5, $from ? (LocalAddr => $from) : ()) or return;
        $socket->blocking(0);
        $socket->syswrite($kind->[0]) if $kind->[0] ne '';
        $kind{$socket} = $kind;
        $select->add($socket);
    };
    my $of_number = sub {
        my ($i) = @_;
        my $body = "{\"email\":\"user$i\\u0040example.com\",\"password\":\"Secret123\"}";
        return ref $which[0] ? [ $which[0]->($i), '' ] : $asks ? [ $login . length($body) . "\r\n\r\n$body", '' ] : $kinds[ $which[ $i % @which ] ];
    };
    $open->($of_number->($_)) foreach 1 .. $count;
    my $dripped = time;
    my (@later, @again);
    while (getppid() != 1)
    {
        foreach my $socket ($select->can_read(0.05))
        {
            if ($socket->sysread(my $bytes, 65536))
            {
                $seen{$_}++ foreach $bytes =~ m{HTTP/1\.1 (\d+)}g;
                next if !$asks || $bytes =~ /Connection: close/;
                if ($pause && $bytes =~ m{HTTP/1\.1 503}) { push @again, [ time + $pause, $socket ] }
                else { $socket->syswrite($kind{$socket}[0]) }
                next;
            }
            my $kind = delete $kind{$socket};
            $select->remove($socket);
            close $socket;
            # Requests without a pause would use up the ports that a client has.
            if ($asks) { push @later, [ time + 0.05, $kind ] }
            else { $open->($kind) }
        }
        while (@again && $again[0][0] < time) { my $socket = (shift @again)->[1]; $socket->syswrite($kind{$socket}[0]) if $kind{$socket} }
        $open->((shift @later)->[1]) while @later && $later[0][0] < time;
        next if time - $dripped < 0.3;
        $dripped = time;
        $kind{$_}[1] ne '' && $_->syswrite($kind{$_}[1]) foreach $select->handles;
    }
    POSIX::_exit(0);
}

# End; the statuses that were seen, as "status:count".
sub end
{
    my ($self) = @_;
    local ($?, $!);
    my $pid = delete $self->{pid} // return '';
    kill 'TERM', $pid;
    sysread $self->{seen}, my $seen, 4096;
    waitpid $pid, 0;
    return $seen;
}

sub DESTROY { $_[0]->end }

1;
