# SPDX-License-Identifier: MIT
#
# Sentinels.pm: secrets that are there once in the world, and the search for them in whatever form: as
# they are, in hexadecimal, in base64 at each of its three alignments, percent-encoded, escaped as JSON,
# as bytea's escape format has them.
package Sentinels;

use strict;
use warnings;

use Encode ();
use MIME::Base64 ();

use constant SHORTEST => 10; # fewer bytes may be there by chance

sub new { return bless { forms => {}, names => {} }, $_[0] }

# A word of this kind of secret, of letters and digits, which no encoding of text changes.  All of a kind begin
# alike: so that is all that has to be looked for, however many there are.
sub word
{
    my ($self, $kind) = @_;
    if (!exists $self->{words}{$kind})
    {
        $self->{words}{$kind} = letters(14);
        $self->add($kind, 'a word', $self->{words}{$kind});
    }
    $self->{kinds}{$kind}++;
    return $self->{words}{$kind} . letters(6);
}

sub letters { return join '', map { ('a' .. 'z', 'A' .. 'Z', 0 .. 9)[ rand 62 ] } 1 .. $_[0] }

# All forms of these bytes.
sub forms
{
    my ($bytes) = @_;
    my @forms = ($bytes, lc unpack('H*', $bytes), uc unpack('H*', $bytes));
    foreach my $before (0 .. 2)
    {
        my $base64 = MIME::Base64::encode_base64("\0" x $before . $bytes, '');
        # The first and last characters hang on what is beside.
        $base64 = substr $base64, (0, 2, 3)[$before];
        $base64 =~ s/=+$//;
        chop $base64;
        push @forms, $base64, $base64 =~ tr{+/}{-_}r;
    }
    push @forms, $bytes =~ s/([^A-Za-z0-9._~-])/sprintf '%%%02X', ord $1/ger, $bytes =~ s/([^A-Za-z0-9._~-])/sprintf '%%%02x', ord $1/ger;
    push @forms, $bytes =~ s/([^ -~]|\\)/sprintf '\\%03o', ord $1/ger;
    my $text = eval { Encode::decode('UTF-8', $bytes, Encode::FB_CROAK) };
    push @forms, $text =~ s/(["\\])/\\$1/gr =~ s/([^ -~])/sprintf '\\u%04x', ord $1/ger if defined $text;
    return grep { length >= SHORTEST } @forms;
}

# Look for this secret from now on; bytes, or text.
sub add
{
    my ($self, $kind, $name, $secret) = @_;
    utf8::encode($secret) if utf8::is_utf8($secret);
    die "$kind $name is too short" if length $secret < SHORTEST;
    $self->{forms}{$_} = "$kind: $name" foreach forms($secret);
    $self->{kinds}{$kind}++;
    delete $self->{pattern};
    return;
}

sub count { return $_[0]{kinds}{ $_[1] } // 0 }

# The secrets in these bytes: { "kind: name" => where, with what is around it }.
sub in_bytes
{
    my ($self, $bytes) = @_;
    my %found;
    utf8::encode($bytes) if utf8::is_utf8($bytes);
    local ${^RE_TRIE_MAXBUF} = 1 << 30; # many words at the same time
    $self->{pattern} //= do { my $all = join '|', map { quotemeta } sort { length $b <=> length $a } keys %{ $self->{forms} }; qr/($all)/s };
    while ($bytes =~ /$self->{pattern}/g)
    {
        my $name = $self->{forms}{$1};
        $found{$name} = substr($bytes, $-[0] < 60 ? 0 : $-[0] - 60, 160) =~ s/[^ -~]/./gr;
    }
    return \%found;
}

# The same of files.
sub in_files
{
    my ($self, @files) = @_;
    my %found;
    foreach my $file (@files)
    {
        open(my $f, '<:raw', $file) or next; # it may have gone meanwhile
        my $bytes = '';
        while (read $f, $bytes, 4 << 20, length $bytes)
        {
            %found = (%found, %{ $self->in_bytes($bytes) });
            $bytes = length $bytes > 4096 ? substr $bytes, -4096 : $bytes;
        }
    }
    return \%found;
}

1;
