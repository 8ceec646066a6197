# The SQL of docs/ is run as it stands: of each page that says so, all blocks in their order, in a
# database of its own.
use strict;
use warnings;
use AuthService;
use PostgreSQL::Test::Utils;
use Test::More;

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
