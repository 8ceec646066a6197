#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# rooms.pl [FOLDER]: hold the includes of extension/ and shim/ in this checkout against the tables of its
# docs/architecture.md: which room may use which, and which files may include a library's headers.  Prints each
# include that is not in them, each row that says more than the code does, and each circle among files that call each other; the exit
# status is 1 where there is one.
use strict;
use warnings;

my $top = shift // '.';
my @problems;

sub slurp
{
    my ($path) = @_;
    open(my $file, '<', $path) or die "$path: $!\n";
    local $/;
    return scalar <$file>;
}

# ---- The tables ------------------------------------------------------------------------------

# Of each program the rooms in their order, the highest first, and what each may use; of each library's headers the
# files that may include them.
my (%order, %may, %libraries);
my $program = '';
foreach my $line (split /\n/, slurp("$top/docs/architecture.md"))
{
    $program = $1 if $line =~ m{^## `(\w+)/`};
    if ($line =~ m{^\| `(\w+)/` \| .* \| ([^|]*) \|$} && $program)
    {
        my ($room, $uses) = ($1, $2);
        push @{ $order{$program} }, $room;
        $may{"$program/$room"} = { map { $_ => 1 } $uses =~ /`(\w+)`/g };
    }
    if ($line =~ /^\| `<(\S+)>` \| (.*) \|$/)
    {
        my ($header, $files) = ($1, $2);
        $libraries{$header} = [ $files =~ /`(\S+)`/g ];
    }
}
%order && %libraries or die "docs/architecture.md has no tables of rooms and libraries\n";
foreach my $program (sort keys %order)
{
    my %below;
    foreach my $room (reverse @{ $order{$program} })
    {
        push @problems, "docs/architecture.md: $program/$room may use $_, which does not stand below it"
          foreach grep { !$below{$_} } sort keys %{ $may{"$program/$room"} };
        $below{$room} = 1;
    }
}

# ---- The code ----------------------------------------------------------------------------------

my (%uses, %text_of);
foreach my $program (sort keys %order)
{
    foreach my $path (glob "$top/$program/*.[ch] $top/$program/*/*.[ch]")
    {
        (my $file = $path) =~ s{^\Q$top\E/}{};
        my ($room) = $file =~ m{^$program/(\w+)/};
        $text_of{$file} = slurp($path) =~ s{/\*.*?\*/}{}gsr;
        push @problems, "$file: $program/$room is no room of docs/architecture.md"
          if defined $room && !$may{"$program/$room"};
        foreach my $included ($text_of{$file} =~ /^#include [<"](\S+)[>"]/mg)
        {
            foreach my $header (grep { index($included, $_) == 0 } sort keys %libraries)
            {
                push @problems, "$file: includes <$included>, which is not its (docs/architecture.md, libraries)"
                  if !grep { index($file, $_) == 0 } @{ $libraries{$header} };
            }
            next if $included !~ m{^(\w+)/\w+\.h$} || !-e "$top/$program/$included";
            my $other = $1;
            next if !defined $room || $other eq $room;
            $uses{"$program/$room"}{$other} = 1;
            push @problems, "$file: $room uses $other ($included), which docs/architecture.md does not have"
              if $may{"$program/$room"} && !$may{"$program/$room"}{$other};
        }
    }
    foreach my $room (@{ $order{$program} })
    {
        push @problems, "docs/architecture.md: there is no folder $program/$room" if !-d "$top/$program/$room";
        push @problems, "docs/architecture.md: $program/$room may use $_, and does not"
          foreach grep { !$uses{"$program/$room"}{$_} } sort keys %{ $may{"$program/$room"} };
    }
}

# ---- Circles -----------------------------------------------------------------------------------

# Files that call each other's functions; a header's types alone tie nobody to its file.  A definition stands at the
# beginning of a line, behind the line of its type (.clang-format).
my (%owner, %calls);
foreach my $file (grep { /\.c$/ } sort keys %text_of)
{
    $owner{$2} = $file while $text_of{$file} =~ /^((?!static)\w[^\n;(){}]*)\n(\w+)\([^;]*?\)\n\{/mg;
}
foreach my $file (grep { /\.c$/ } sort keys %text_of)
{
    $calls{$file} = { map { $_ => 1 } grep { $_ ne $file } map { $owner{$_} // () } $text_of{$file} =~ /\b(\w+)\b/g };
}

my %state;   # of a unit: 1 while it is on the path, 2 when all behind it was seen
sub visit
{
    my ($unit, @path) = @_;
    return if ($state{$unit} // 0) == 2;
    if (($state{$unit} // 0) == 1)
    {
        shift @path while $path[0] ne $unit;
        push @problems, 'a circle: ' . join(' -> ', @path, $unit);
        return;
    }
    $state{$unit} = 1;
    visit($_, @path, $unit) foreach sort keys %{ $calls{$unit} };
    $state{$unit} = 2;
    return;
}
visit($_) foreach sort keys %calls;

print "$_\n" foreach @problems;
exit(@problems ? 1 : 0);
