# SPDX-License-Identifier: MIT
#
# FastPath.pm: PostgreSQL's function call message, which calls a function without a statement around it:
# no parser, no planner, and no types but the function's own.  libpq's tools do not send it for any function.
package FastPath;

use strict;
use warnings;

use IO::Socket::UNIX;

# A connection as this role, by trust.
sub new
{
    my ($class, $node, $database, $role) = @_;
    my $socket = IO::Socket::UNIX->new(Peer => $node->host . '/.s.PGSQL.' . $node->port) or die "connect: $!";
    my $self = bless { socket => $socket }, $class;
    my $start = pack('N', 196608) . "user\0$role\0database\0$database\0\0";
    $socket->syswrite(pack('N', 4 + length $start) . $start);
    $self->until_ready;
    return $self;
}

sub read_bytes
{
    my ($self, $size) = @_;
    my $bytes = '';
    while (length $bytes < $size)
    {
        $self->{socket}->sysread($bytes, $size - length $bytes, length $bytes) or die 'the server closed the connection';
    }
    return $bytes;
}

# Messages up to "ready for query": { letter => the last one's body }.
sub until_ready
{
    my ($self) = @_;
    my %bodies;
    for (;;)
    {
        my ($type, $size) = unpack 'a N', $self->read_bytes(5);
        $bodies{$type} = $self->read_bytes($size - 4);
        return \%bodies if $type eq 'Z';
    }
}

# Call a function with these texts (undef: NULL): (SQLSTATE or '', the result as text, undef for NULL).
sub call
{
    my ($self, $oid, @arguments) = @_;
    my $body = pack('N n n n', $oid, 1, 0, scalar @arguments);
    $body .= defined $_ ? pack('N', length $_) . $_ : pack('N', 0xFFFFFFFF) foreach @arguments;
    $body .= pack('n', 0);
    $self->{socket}->syswrite('F' . pack('N', 4 + length $body) . $body);
    my $answer = $self->until_ready;
    return ($1, undef) if exists $answer->{E} && $answer->{E} =~ /\0C([^\0]+)/;
    my ($size) = unpack 'N', $answer->{V};
    return ('', $size == 0xFFFFFFFF ? undef : substr $answer->{V}, 4);
}

1;
