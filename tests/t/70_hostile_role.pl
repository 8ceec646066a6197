# Attacks by a role that may create what it likes, and nothing else: without the API and with it, in a new
# installation and in one that was updated from each released version over the role's own objects.  None
# succeeds; and each probe that says so is shown to speak up where the database has been weakened.
use strict;
use warnings;
use AuthService;
use Hostile;
use Test::More;

my $s = AuthService->new('hostile', conf => "shared_preload_libraries = 'pg_stat_statements'\nwal_level = logical\nautovacuum = off\n");
$s->node->safe_psql('postgres', 'CREATE ROLE regress_mallory LOGIN; CREATE ROLE regress_app LOGIN');
my @attacks = map { Hostile::attacks($_) } qw(reading changing identity operator hijack leaks faults);
cmp_ok(scalar @attacks, '>=', 60, scalar(@attacks) . ' attacks');

my $worst;
foreach my $version (undef, $ENV{HOSTILE_NEW} ? () : sort map { /--([\d.]+)--/ } glob 'sql/auth_service--*--*.sql')
{
    my $what = $version ? "updated from $version" : 'new';
    my $world = Hostile->new($s, 'hostile_' . ($version ? $version =~ tr/./_/r : 'new'), $version);
    foreach my $with_api (0, 1)
    {
        $world->query("SELECT auth.allow_api('regress_mallory')") if $with_api;
        $world->changes;
        my (@succeeded, @missed);
        foreach my $attack (@attacks)
        {
            my ($shown, $tried, $out) = $world->attack($attack, $with_api);
            push @succeeded, "$attack->{name}: @$shown\n$out" if @$shown;
            push @missed, "$attack->{name}: not seen: $attack->{seen}\n$out" if !$tried;
        }
        my $how = "$what, " . ($with_api ? 'with the API' : 'without the API');
        is(scalar @succeeded, 0, "$how: no attack succeeded") or diag join "\n", "SUCCEEDED", @succeeded;
        is(scalar @missed, 0, "$how: each was tried as it was meant") or diag join "\n", "MISSED", @missed;
    }
    $worst = $world;
}
done_testing();
