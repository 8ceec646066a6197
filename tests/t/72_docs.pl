# The pages: what they link to and the tests, targets and files that they name are there; every page, option, variable
# and message of the log is named on one.  The SQL of docs/ is run as it stands: of each page that says so, all blocks in
# their order, in a database of its own.
use strict;
use warnings;
use AuthService;
use File::Basename ();
use File::Find ();
use PostgreSQL::Test::Utils;
use Test::More;

my %pages;
File::Find::find({ no_chdir => 1, wanted => sub { $pages{ s{^\./}{}r } = slurp_file($_) if /\.md$/ } }, '.');

# A page without its blocks of code, and its anchors: of each heading what GitHub makes of it.
sub prose { return $pages{ $_[0] } =~ s/^[ ]*```.*?^[ ]*```$//gmsr }
my %anchors;
foreach my $page (keys %pages)
{
    foreach my $heading (prose($page) =~ /^#+ (.*)/mg)
    {
        my $anchor = lc $heading =~ s/\[([^]]*)\]\([^)]*\)/$1/gr;
        $anchor =~ s/[^\w\x80-\xff -]//g;
        $anchor =~ tr/ /-/;
        my $count = $anchors{$page}{$anchor}++;
        $anchors{$page}{"$anchor-$count"}++ if $count;
    }
}

# Where a link leads, from this page; undef: to something that is there.
sub dead
{
    my ($page, $link) = @_;
    my ($file, $anchor) = $link =~ /^([^#]*)(?:#(.*))?$/;
    my $folder = File::Basename::dirname($page);
    my $path = $file eq '' ? $page : $folder eq '.' ? $file : "$folder/$file";
    1 while $path =~ s{(?:^|(?<=/))(?!\.\./)[^/]+/\.\./}{};
    return "$page: no file $path" if !-e $path;
    return "$page: no heading #$anchor in $path" if defined $anchor && !$anchors{$path}{$anchor};
    return;
}

# The test files that a word of a page means: tests/..., t/NN, t/NN_name.pl, pgtap/NN.
sub meant
{
    my ($word) = @_;
    return glob "{$word}" if $word =~ m{^tests/};
    return glob $word =~ /\.\w+$/ ? "{tests/$word}" : "tests/${word}_*";
}

my ($links, $names, @dead) = (0, 0);
foreach my $page (sort keys %pages)
{
    my $text = prose($page);
    foreach my $link ($text =~ /\]\(([^)\s]+)\)/g)
    {
        next if $link =~ /^[a-z]+:/;
        $links++;
        push @dead, dead($page, $link) // ();
    }
    foreach my $word ($text =~ m{(?<![\w/.-])((?:tests/[\w./*-]*[\w*]|(?:t|pgtap)/\d\d\w*(?:\.\w+)?))}g)
    {
        my @files = grep { -e } meant($word);
        $names++;
        push @dead, "$page: $word is " . @files . ' files' if @files == 0 || @files > 1 && $word !~ /\*/;
    }
}
ok($links > 50 && $names > 50, "$links links and $names names of tests were seen");
is(join("\n", @dead), '', 'each of them is there, and one');

my $makefile = slurp_file('Makefile');
my %targets = map { $_ => 1 } $makefile =~ /^([a-z][\w-]*):/mg;
is(join(' ', grep { !$targets{$_} } map { prose($_) =~ /`(?:[A-Z_]+=\S* )*make ([a-z][\w-]*)/g } sort keys %pages), '', 'so is every target of make');
is(join(' ', grep { $pages{'docs/testing.md'} !~ /`make \Q$_\E\b/ } $makefile =~ /^([a-z-]+):\n\t\@scripts\/bootstrap build (?:test|fuzz|lint)/mg), '', 'docs/testing.md has all that test');
is(join(' ', grep { $pages{'README.md'} !~ /\(\Q$_\E\)/ } grep { m{^docs/|^[A-Z]+\.md$} && $_ ne 'README.md' } sort keys %pages), '', 'README has every page');

# What the command takes and says.
my $all = join "\n", @pages{ sort keys %pages };
my @rows = slurp_file('shim/config/options.c') =~ /^    \{(\..*?)\},\n(?=    \{|\};)/msg;
cmp_ok(scalar @rows, '>', 30, 'options of the command');
is(join(' ', grep { $all !~ /`--\Q$_\E[`=]/ } map { /\.name = "(.*?)"/ ? $1 : () } @rows), '', 'each is on a page');
my ($hangup) = $pages{'docs/operations.md'} =~ /^\*\*SIGHUP\*\*(.*)/m;
foreach my $row (@rows)
{
    my ($name) = $row =~ /\.name = "(.*?)"/ or next;
    next if $name =~ /^database-(?!timeout)/;
    is($hangup =~ /`--\Q$name\E`/ ? 1 : 0, $row =~ /\.reloads = true/ ? 1 : 0, "--$name: SIGHUP, as docs/operations.md says");
}
my $compose = slurp_file('docker-compose.yml');
my $docker = $pages{'docs/docker.md'};
my %serve = map { $_ => 1 } grep { /^AUTH_SERVICE_/ } map { /\.environment = \{"(.*?)"/ ? $1 : () } @rows;
delete @serve{ map { "AUTH_SERVICE_$_" } qw(HOST PORT DOCS_DIR DATABASE_URL ENV_FILE IMPORT_FROM IMPORT_SECRET SHIM_ROLE SHIM_PASSWORD YES) };
is(join(' ', grep { $compose !~ /^      - $_$/m } sort keys %serve), '', 'docker-compose.yml passes the options of serve on');
is(join(' ', grep { my $short = s/^AUTH_SERVICE//r; $docker !~ /`(?:$_|$short)(?:_FILE)?`/ } $compose =~ /^      - ([A-Z_]+?)(?:_FILE)?$/mg), '', 'docs/docker.md has what docker-compose.yml takes');
my %messages = map { $_ => 1 } map { slurp_file($_) =~ /\b(?:LEVEL_[A-Z]+|level),\s*"([^"]+)"/g } glob 'shim/*.c shim/*/*.c';
cmp_ok(scalar keys %messages, '>', 15, 'messages of the log');
my ($log) = $pages{'docs/operations.md'} =~ /^## The log\n(.*?)(?=^## |\z)/ms;
is(join("\n", grep { $log !~ /`\Q$_\E`/ } sort keys %messages), '', 'each is in docs/operations.md');

my $s = AuthService->new('docs');
$s->node->append_conf('postgresql.conf', 'auth_service.bcrypt_cost = 4');
$s->node->reload;

# The blocks of a page, with the lines that they begin at.
sub blocks
{
    my ($page, $language) = @_;
    my (@blocks, $inside, $number);
    foreach my $line (split /\n/, slurp_file($page))
    {
        $number++;
        if ($line =~ /^```(.*)/) { $inside = !defined $inside && $1 eq $language ? push(@blocks, [ $number, '' ]) && 1 : defined $inside ? undef : 0; }
        elsif ($inside) { $blocks[-1][1] .= "$line\n"; }
    }
    return @blocks;
}

my %wanted = (
    'docs/quickstart.md' => {},
    'docs/hooks.md' => { setup => 'CREATE EXTENSION auth_service CASCADE' },
    'docs/keys.md' => { setup => 'CREATE EXTENSION auth_service CASCADE' },
    'docs/supabase.md' => {});
foreach my $page (sort keys %wanted)
{
    (my $name = $page) =~ s{.*/(.*)\.md}{docs_$1};
    $s->node->safe_psql('postgres', "CREATE DATABASE $name");
    $s->node->safe_psql($name, "SET client_min_messages = warning; $wanted{$page}{setup}") if $wanted{$page}{setup};
    my @blocks = blocks($page, 'sql');
    cmp_ok(scalar @blocks, '>', 1, "$page has SQL");
    # One session: a page may say \gset.
    my $sql = join '', "SET client_min_messages = warning;\n", map { $_->[1] } @blocks;
    my ($status, $out, $err) = $s->node->psql($name, $sql, on_error_stop => 1);
    is($status, 0, "$page: every statement works") or diag $err;
    $wanted{$page}{out} = $out;
}
like($wanted{'docs/quickstart.md'}{out}, qr/\A1\neyJ\S+\|\S+\|bearer\|900\n\n1\n1\|user\|[0-9a-f-]{36}\nann\@example\.com\|0\nt\z/, 'the quick start answers what it says');
is($s->node->safe_psql('docs_quickstart', 'SELECT email, city FROM customers JOIN auth.users ON id = user_id'), 'bob@example.com|Basel', 'and both rows are there');
is($s->node->safe_psql('docs_hooks', 'SELECT count(*) FROM app.profiles'), 1, 'the hook has made a profile');
like($wanted{'docs/supabase.md'}{out}, qr/^milk$/m, 'whoever comes from Supabase has his rows');
my (undef, undef, $refused) = $s->node->psql('docs_hooks', q(SELECT auth.set_hook('register', 'app.on_register(jsonb)'); SELECT auth.register('a@elsewhere.example', 'Secret123')));
like($refused, qr/Only members of example\.com can register/, 'a hook refuses');
done_testing();
