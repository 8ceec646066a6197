# Attacks by a role that may create what it likes, and nothing else: without the API and with it, in a new
# installation and in one that was updated from each released version over the role's own objects.  None
# succeeds; and each probe that says so is shown to speak up where the database has been weakened.
use strict;
use warnings;
use AuthService;
use FastPath;
use Hostile;
use Test::More;

my $s = AuthService->new('hostile', conf => "shared_preload_libraries = 'pg_stat_statements'\nwal_level = logical\nautovacuum = off\n");
$s->node->safe_psql('postgres', 'CREATE ROLE regress_mallory LOGIN; CREATE ROLE regress_app LOGIN');
my @attacks = map { Hostile::attacks($_) } qw(reading changing identity operator hijack leaks faults application);
cmp_ok(scalar @attacks, '>=', 60, scalar(@attacks) . ' attacks');

my $worst;
foreach my $version (undef, sort map { /--([\d.]+)--/ } glob 'sql/updates/auth_service--*--*.sql')
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

# Function calls without a statement: the same answers, whatever the arguments, and no identity behind them.
{
    my $connection = FastPath->new($s->node, $worst->{name}, 'regress_mallory');
    my %oid = map { split /\|/, $_, 2 } split /\n/, $worst->query("SELECT proname || '|' || oid || ' ' || pronargs FROM pg_proc WHERE pronamespace = 'auth'::regnamespace");
    my $call = sub { my ($name, @arguments) = @_; return $connection->call((split / /, $oid{$name})[0], @arguments); };
    my @odd;
    # The public keys are everybody's to read who may call the API, and how much maintain has deleted.
    foreach my $name (grep { $_ ne 'jwks' && $_ ne 'maintain' } sort keys %oid)
    {
        my $count = (split / /, $oid{$name})[1];
        foreach my $value (undef, '', '0', '{}', 'x' x 5000)
        {
            my ($state, $result) = $call->($name, ($value) x $count);
            push @odd, "$name: " . ($state || $result) if $state ? $state !~ /^(U4|42501|22|0A000|23|42704)/ : defined $result && $result ne '' && $result !~ /^(?:\{\}|f|\{"keys": \[\]\})$/; # jwks: no public key yet
        }
    }
    is("@odd", '', 'by function call messages: nothing is answered that a statement would not answer');
    my $mine = $worst->query("SELECT access_token FROM auth.login('eve\@example.com', 'Secret123')");
    is_deeply([ $call->('authenticate', $mine) ], [ '', '3' ], 'by function call messages: a token is good');
    is_deeply([ $call->('uid') ], [ '', undef ], 'and its identity ends with the message');
    is_deeply([ $worst->changes ], [], 'and nothing has changed');
}

# The probes see what they are for: each of these weakens a database, and the attack that uses it is caught.
my %attack = map { $_->{name} => $_ } @attacks;
foreach (
    [ 'a table may be read', 'GRANT SELECT ON auth.users TO regress_mallory', 'reading: SELECT of accounts', qr/secret in the output/ ],
    [ 'a table may be read through a function', 'GRANT SELECT ON auth.users TO regress_mallory', 'reading: a leaky function in WHERE', qr/leaky function/ ],
    [ 'a table may be written', 'GRANT SELECT, UPDATE ON auth.users TO regress_mallory', 'changing: UPDATE to admin', qr/accounts: changed.*admins: changed/ ],
    [ 'keys may be added', 'GRANT INSERT ON auth.signing_keys TO regress_mallory', 'changing: a signing key of one\'s own', qr/keys: changed/ ],
    [ 'a trigger may be added', 'GRANT TRIGGER ON auth.users TO regress_mallory', 'changing: a trigger', qr/triggers: changed/ ],
    [ 'objects may be made in our schema', 'GRANT CREATE ON SCHEMA auth TO regress_mallory', 'changing: a function in our schema', qr/functions: changed/ ],
    [ 'a setting decides who one is', q(CREATE OR REPLACE FUNCTION auth.uid() RETURNS bigint LANGUAGE sql STABLE AS $$SELECT nullif(current_setting('request.jwt.claim.sub', true), '')::bigint$$),
        'identity: settings that other services trust', qr/uid 2/ ],
    [ 'a function of the owner\'s looks names up in the caller\'s path', q(CREATE OR REPLACE FUNCTION auth.verify_token(access_token text) RETURNS jsonb LANGUAGE sql SECURITY DEFINER AS $$SELECT NULL::pg_catalog.jsonb WHERE $1 = 'x'::pg_catalog.text$$),
        'hijack: the API of anybody, in a hostile path', qr/CANARY fired as/ ],
    [ 'an operator\'s function asks nobody', q(CREATE OR REPLACE FUNCTION app.promote(id bigint) RETURNS boolean LANGUAGE sql SECURITY DEFINER AS $$UPDATE auth.users u SET role = 'admin' WHERE u.id = promote.id RETURNING true$$),
        'operator: the operator\'s SECURITY DEFINER function as a deputy', qr/admins: changed/ ],
    [ 'a role is a member of the owner\'s', 'GRANT postgres TO regress_mallory', 'identity: SET ROLE to the owner', qr/memberships: changed|user postgres/ ],
    [ 'a constant stands in a plan', q(CREATE OR REPLACE FUNCTION auth.verify_token(access_token text) RETURNS jsonb LANGUAGE plpgsql AS $$BEGIN PERFORM 1 FROM pg_catalog.pg_class WHERE relname::pg_catalog.text OPERATOR(pg_catalog.=) 'SENTINEL'; RETURN NULL; END$$),
        'leaks: debug output of a login', qr/a secret in the output/ ])
{
    my ($what, $weakening, $name, $shown) = @$_;
    my $weak = $worst->copy;
    $s->node->safe_psql($weak->{name}, $weakening);
    $weak->changes unless $what =~ /member/;
    my ($found) = $weak->attack($attack{$name} // die($name), 1);
    like(join(' ', @$found), $shown, "weakened so that $what: seen");
    $weak->drop;
    $s->node->safe_psql('postgres', 'REVOKE postgres FROM regress_mallory') if $what =~ /member/;
}
done_testing();
