# What make lint says of the rooms (scripts/rooms.pl, docs/architecture.md): nothing of this checkout, and something of
# each arrow, circle, library and row that was put in on purpose.
use strict;
use warnings;
use File::Copy qw(copy);
use File::Path qw(make_path);
use File::Temp ();
use Test::More;

my $copy = File::Temp->newdir;

sub slurp { my ($path) = @_; open(my $file, '<', $path) or die "$path: $!"; local $/; return scalar <$file> }
sub spill { my ($path, $text) = @_; open(my $file, '>', "$copy/$path") or die "$path: $!"; print $file $text; close $file or die; return }

foreach my $file ('docs/architecture.md', glob 'extension/*.[ch] extension/*/*.[ch] shim/*.[ch] shim/*/*.[ch]')
{
    make_path("$copy/" . $file =~ s{/[^/]*$}{}r);
    copy($file, "$copy/$file") or die "$file: $!";
}

sub check { my $said = qx($^X scripts/rooms.pl $copy 2>&1); return ($? >> 8, $said) }

# Change a file, look, and put it back.
sub finds
{
    my ($what, $file, $change, $expected) = @_;
    my $before = -e "$copy/$file" ? slurp("$copy/$file") : undef;
    my $text = $before // '';
    local $_ = $text;
    $change->();
    isnt($_, $text, "$what: the change is one");
    spill($file, $_);
    my ($status, $said) = check();
    is($status, 1, "$what: the exit status");
    like($said, $expected, "$what: told");
    defined $before ? spill($file, $before) : unlink "$copy/$file";
    return;
}

is_deeply([ check() ], [ 0, '' ], 'the checkout as it is: nothing');
finds('an arrow upwards', 'extension/store/account.c', sub { s/^(#include "store)/#include "sessions\/session.h"\n$1/m },
    qr/^extension\/store\/account\.c: store uses sessions \(sessions\/session\.h\), which docs\/architecture\.md does not have$/m);
finds('an arrow in a header', 'shim/http/http.h', sub { s/^(#include "base)/#include "database\/database.h"\n$1/m },
    qr/^shim\/http\/http\.h: http uses database \(database\/database\.h\), which/m);
finds('a row that allows an arrow upwards', 'docs/architecture.md', sub { s/^(\| `store\/` .*)\| `base` \|$/$1| `base` `sessions` |/m },
    qr/^docs\/architecture\.md: extension\/store may use sessions, which does not stand below it$/m);
finds('a row that allows more than there is', 'docs/architecture.md', sub { s/^(\| `lists\/` .*)`store` \|$/$1`store` `keys` |/m },
    qr/^docs\/architecture\.md: extension\/lists may use keys, and does not$/m);
finds('a room that is not there', 'docs/architecture.md', sub { s/^(\| `audit\/` .*\n)/$1| `mail\/` | mail | nothing |\n/m },
    qr/^docs\/architecture\.md: there is no folder extension\/mail$/m);
mkdir "$copy/shim/attic";
finds('a room without a row', 'shim/attic/box.c', sub { $_ = qq(#include "base/buffer.h"\n) }, qr/^shim\/attic\/box\.c: shim\/attic is no room/m);
finds('a library elsewhere', 'shim/api/api.c', sub { s/^(#include <)/#include <libpq-fe.h>\n$1/m }, qr/^shim\/api\/api\.c: includes <libpq-fe\.h>, which is not its/m);
finds('OpenSSL elsewhere', 'extension/keys/key.c', sub { s/^(#include ")/#include <openssl\/evp.h>\n$1/m }, qr/^extension\/keys\/key\.c: includes <openssl\/evp\.h>/m);
# The pool would call who shares its connections, who call the pool.
finds('a circle within a room', 'shim/database/pool.c', sub { s/\z/\nvoid\npool_round(struct db_pool *pool)\n{\n    shared_close(pool);\n}\n/ },
    qr/^a circle: .*shim\/database\/pool\.c -> shim\/database\/shared\.c -> shim\/database\/pool\.c$/m);
is_deeply([ check() ], [ 0, '' ], 'put back: nothing');
done_testing();
