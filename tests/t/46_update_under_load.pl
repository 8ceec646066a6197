# ALTER EXTENSION UPDATE while requests come: until it is done they are put off with 503, then all is well,
# without a restart of the shim; no session is lost.  There is no way back to an older version.
use strict;
use warnings;
use AuthService;
use Test::More;
use Time::HiRes qw(sleep time);

my $s = AuthService->start('update');
my ($current) = PostgreSQL::Test::Utils::slurp_file('auth_service.control') =~ /default_version = '(.*)'/;
my @pairs = map { $s->register("user$_\@example.com"); $s->login("user$_\@example.com") } 1 .. 8;
$s->stop_shim;

# Sessions that an older version has begun: its schema, with the rows of the new one as far as it knows them.
my @tables = qw(users sessions signing_keys);
my %rows = map { $_ => $s->sql("SELECT json_agg(x) FROM auth.$_ x") } @tables;
my %older = map { /--([\d.]+)--/ ? ($1 => 1) : () } glob 'sql/updates/auth_service--*--*.sql';
foreach my $version (sort keys %older)
{
    ($s->{database} = "from_$version") =~ tr/./_/;
    $s->node->safe_psql('postgres', "CREATE DATABASE $s->{database}; ALTER DATABASE $s->{database} SET auth_service.bcrypt_cost = 4");
    $s->sql("SET client_min_messages = warning; CREATE EXTENSION auth_service VERSION '$version' CASCADE; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA auth TO auth_service_shim");
    foreach my $table (@tables)
    {
        my $columns = $s->sql("SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute WHERE attrelid = 'auth.$table'::regclass AND attnum > 0 AND NOT attisdropped");
        $s->sql("INSERT INTO auth.$table ($columns) SELECT $columns FROM json_populate_recordset(NULL::auth.$table, \$json\$$rows{$table}\$json\$)");
    }
    $s->sql("SELECT setval('auth.users_id_seq', 8)");
    $s->shim('--pool-size=4');
    unlink my $end = "$PostgreSQL::Test::Utils::tmp_check/end";
    my @results = $s->parallel(5, sub {
        my ($i) = @_;
        if ($i == 5)
        {
            sleep 0.5;
            # The pool's connections are older than this: they know the new schema without a new connection.
            $s->sql("BEGIN; SET LOCAL lock_timeout = '2s'; ALTER EXTENSION auth_service UPDATE; SELECT auth.allow_api('auth_service_shim'); COMMIT");
            sleep 1;
            open(my $file, '>', $end) or die;
            return '';
        }
        my (%seen, $n, $pair);
        until (-e $end)
        {
            my $answer = (   # none of these uses a token up within the 10 seconds that a lost answer has
                sub { $s->request('GET', '/users/me', token => $pairs[ $i - 1 ]{access_token}) },
                sub { $s->request('POST', '/auth/login', form => [ username => "user$i\@example.com", password => 'Secret123' ]) },
                sub { $s->request('POST', '/auth/refresh', json => { refresh_token => $pairs[ $i - 1 ]{refresh_token} }) },
                sub { $s->request('POST', '/auth/register', json => { email => "new$i." . ++$n . '@example.com', password => 'Secret123' }) })[ rand 4 ]->();
            $seen{ $answer->{status} }++;
        }
        return join ' ', map { "$_:$seen{$_}" } sort keys %seen;
    });
    my %statuses = map { /(\d+):/ ? ($1 => 1) : () } map { split / / } @results;
    is(join(' ', sort keys %statuses), '200 503', "$version: put off, then answered, nothing else") or diag "@results";
    is($s->sql('SELECT extversion FROM pg_extension WHERE extname = \'auth_service\''), $current, "$version: updated");
    is(scalar(grep { $s->request('GET', '/users/me', token => $_->{access_token})->{status} != 200 } @pairs[ 4 .. 7 ]), 0, "$version: access tokens of before live");
    is(scalar(grep { $s->request('POST', '/auth/refresh', json => { refresh_token => $_->{refresh_token} })->{status} != 200 } @pairs[ 4 .. 7 ]), 0, "$version: refresh tokens too");
    $s->stop_shim;
    foreach my $to (sort keys %older)
    {
        my (undef, undef, $err) = $s->node->psql($s->{database}, "\\set VERBOSITY verbose\nALTER EXTENSION auth_service UPDATE TO '$to'");
        like($err, qr/ERROR:  22023: extension "auth_service" has no update path from version "\Q$current\E" to version "\Q$to\E"/, "$version: no way back to $to");
    }
}
# A schema that is newer than the library, as where the old one is still mapped or installed.
$s->sql(q(UPDATE pg_extension SET extversion = '99.1' WHERE extname = 'auth_service'));
my (undef, undef, $err) = $s->node->psql($s->{database}, "\\set VERBOSITY verbose\nSELECT auth.login('user1\@example.com', 'Secret123')");
like($err, qr/ERROR:  55000: extension "auth_service" has version 99\.1 in this database, its library \Q$current\E\nHINT:  .*connect again/, 'a schema that is ahead: said clearly');
done_testing();
