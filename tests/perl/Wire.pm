# SPDX-License-Identifier: MIT
#
# Wire.pm: PostgreSQL's extended protocol in a few lines, for what psql does not send: pipelines with
# Syncs of one's choice, and portals that are suspended.
package Wire;

use strict;
use warnings;

use IO::Socket::UNIX;

# Connect as this role, who needs no password; port => n for a pooler on the server's socket.
sub new
{
    my ($class, $node, $database, $role, %options) = @_;
    my $port = $options{port} // $node->port;
    my $socket = IO::Socket::UNIX->new(Peer => $node->host . "/.s.PGSQL.$port") or die "connect: $!";
    my $self = bless { socket => $socket }, $class;
    my $body = pack('N', 196608) . "user\0$role\0database\0$database\0\0";
    $socket->syswrite(pack('N', 4 + length $body) . $body);
    $self->answers;
    return $self;
}

sub read_bytes
{
    my ($self, $count) = @_;
    my $bytes = '';
    while (length $bytes < $count)
    {
        $self->{socket}->sysread($bytes, $count - length $bytes, length $bytes) or die 'the server closed the connection';
    }
    return $bytes;
}

# What comes up to ReadyForQuery: values, SQLSTATEs, and "suspended" for a portal with more rows.
sub answers
{
    my ($self) = @_;
    my @answers;
    while (1)
    {
        my ($type, $length) = unpack 'aN', $self->read_bytes(5);
        my $body = $self->read_bytes($length - 4);
        return @answers if $type eq 'Z';
        push @answers, 'suspended' if $type eq 's';
        push @answers, $body =~ /(?:^|\0)C(\w{5})\0/ if $type eq 'E';
        next if $type ne 'D';
        my ($count, $rest) = unpack 'na*', $body;
        foreach (1 .. $count)
        {
            my $size = unpack 'l>', $rest;
            push @answers, $size < 0 ? 'NULL' : substr $rest, 4, $size;
            $rest = substr $rest, 4 + ($size < 0 ? 0 : $size);
        }
    }
}

sub message { my ($type, $body) = @_; return $type . pack('N', 4 + length $body) . $body }

sub bind_portal
{
    my ($portal, $statement, @values) = @_;
    return message('P', "\0$statement\0\0\0")
      . message('B', "$portal\0\0\0\0" . pack('n', scalar @values) . join('', map { pack('N', length) . $_ } @values) . "\0\0");
}

# Send all of it at once: [statement, values...], ['SYNC'], ['PORTAL', name, statement, values...] and
# ['FETCH', name, rows].  The answers, those of each Sync behind a slash.
sub pipeline
{
    my ($self, @steps) = @_;
    my $bytes = '';
    my $syncs = 0;
    foreach (@steps)
    {
        my ($what, @rest) = @$_;
        if ($what eq 'SYNC') { $bytes .= message('S', ''); $syncs++; }
        elsif ($what eq 'PORTAL') { my ($name, @bound) = @rest; $bytes .= bind_portal($name, @bound); }
        elsif ($what eq 'FETCH') { $bytes .= message('E', "$rest[0]\0" . pack('N', $rest[1])); }
        else { $bytes .= bind_portal('', $what, @rest) . message('E', "\0\0\0\0\0"); }
    }
    $self->{socket}->syswrite($bytes);
    return join ' / ', map { join ' ', $self->answers } 1 .. $syncs;
}

# Hang up in the middle of whatever is under way.
sub drop { $_[0]{socket}->close }

1;
