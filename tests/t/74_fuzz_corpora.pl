# What tokens, e-mail addresses, forms, heads and whatever else comes from outside are made of, read under AddressSanitizer and
# UndefinedBehaviorSanitizer: the corpora of make fuzz, and what is a byte away from them.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;

# Leaks are looked for as well: of what the extension's files allocate beside palloc, and of all in the shim's.
local $ENV{ASAN_OPTIONS} = 'abort_on_error=1:detect_leaks=1';
local $ENV{UBSAN_OPTIONS} = 'halt_on_error=1:print_stacktrace=1';

my $folder = PostgreSQL::Test::Utils::tempdir;
my $built = qx(make -s fuzz-harnesses FUZZ_DIR="$folder" 2>&1);
is($?, 0, 'the harnesses are built') or diag $built;

my @harnesses = map { m{([^/]+)$} } glob 'tests/fuzz/corpus/*';
cmp_ok(scalar @harnesses, '>=', 10, 'there are corpora');
foreach my $harness (@harnesses)
{
    my @files = glob "tests/fuzz/corpus/$harness/*";
    # A key takes milliseconds to look at.
    my @mutated = $harness eq 'pem' ? () : '-m';
    my $said = qx("$folder/$harness" @mutated @files 2>&1);
    my ($executions) = $said =~ /^(\d+) executions$/m;
    ok($? == 0 && ($executions // 0) >= @files, "$harness: " . @files . ' files, ' . ($executions // 0) . ' executions') or diag $said;
}
done_testing();
