# The example of examples/notes: every step of its page as it stands there, and that two users never see
# each other's rows, by any call, also through a pool of one connection.
use strict;
use warnings;
use AuthService;
use Cwd ();
use File::Temp ();
use IPC::Run ();
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;

my $s = AuthService->start('notes', arguments => [ '--rpc-schema=api', '--pool-size=1' ]);

# ---- The steps --------------------------------------------------------------------------------

my $folder = File::Temp->newdir(DIR => $PostgreSQL::Test::Utils::tmp_check);
mkdir "$folder/.run";
symlink Cwd::getcwd() . '/examples', "$folder/examples" or die;
append_to_file("$folder/.run/env", join '', map { "$_\n" } "PGHOST='" . $s->node->host . "'", 'PGPORT=' . $s->node->port,
    'PGDATABASE=auth_service', 'PGUSER=' . $s->node->safe_psql('postgres', 'SELECT current_user'), "AUTH_SERVICE_URL=http://127.0.0.1:$s->{port}");
my $page = slurp_file('examples/notes/README.md');
my $steps = join '', $page =~ /^```sh\n(.*?)^```$/msg;
my @promised = map { split /\n/ } $page =~ /^```json\n(.*?)^```$/msg;
IPC::Run::run([ 'bash', '-euo', 'pipefail', '-c', "cd '$folder'\n$steps" ], '>', \my $out, '2>', \my $err);
is($?, 0, 'every step works') or diag $err;
my @lines = split /\n/, $out;
s/"created_at":"[^"]*"/"created_at":"…"/g, s/ $// foreach @lines;
utf8::decode($_) foreach @promised;
utf8::decode($_) foreach @lines;
like(shift @lines, qr/"email":"$_\@example\.com"/, "$_ is registered") foreach qw(ann bob);
like(shift @lines, qr/^\{"id":\d,.*"body":"$_"/, "the note \"$_\" is answered") foreach 'milk, bread', 'call Ann';
is_deeply(\@lines, \@promised, 'and the page tells what is answered') or diag $out;

# ---- Nobody else's rows -----------------------------------------------------------------------

# From here on answers are held against the document with the functions in it.
$s->{openapi} = OpenAPI->new($s->{http}->get("http://127.0.0.1:$s->{port}/openapi.json")->{content});
my %id = (ann => 1, bob => 2);
my %token = map { $_ => $s->login("$_\@example.com")->{access_token} } keys %id;
sub rpc { my ($user, $function, $arguments) = @_; return $s->request('POST', "/rpc/$function", json => $arguments, $user ? (token => $token{$user}) : ()) }
foreach my $user (qw(ann bob))
{
    my $other = $user eq 'ann' ? 'bob' : 'ann';
    my $secret = rpc($user, 'add_note', { body => "secret of $user" })->{json};
    is($secret->{owner}, $id{$user}, "$user: a note is his");
    is(rpc($other, 'delete_note', { id => $secret->{id} })->{status}, 404, "$user: another cannot delete it");
    foreach my $search (undef, "secret of $user", '%', "' OR true --", '_')
    {
        my $rows = rpc($other, 'my_notes', defined $search ? { search => $search } : {})->{json};
        is(scalar(grep { $_->{owner} != $id{$other} } @$rows), 0, "$user: another does not see it, looking for " . ($search // 'all'));
    }
    is(rpc($other, 'add_note', { body => 'x', owner => $id{$user} })->{status}, 404, "$user: another cannot write in his name");
    like(rpc($user, 'my_notes', {})->{content}, qr/secret of $user/, "$user: he sees it");
}
is(rpc(undef, @$_)->{status}, 401, "nobody: no $_->[0]") foreach [ add_note => { body => 'x' } ], [ my_notes => {} ], [ delete_note => { id => 1 } ];
is(rpc(undef, 'how_many', {})->{status}, 200, 'nobody: the number is for everybody');
is($s->sql('SET ROLE auth_service_shim; SELECT count(*) FROM notes.notes'), 0, 'the role of the shim sees none by itself');

# All at once, through the one connection; some calls fail, some are nobody's.
my $json = JSON::PP->new->utf8->allow_nonref;
my @wrong = grep { $_ ne 'right' } $s->parallel(8, sub {
    my ($number) = @_;
    my $user = $number % 2 ? 'ann' : 'bob';
    foreach my $round (1 .. 40)
    {
        my $kind = ($number + $round) % 5;
        if ($kind == 0) { rpc($user, 'delete_note', { id => 0 }) }
        elsif ($kind == 1) { rpc(undef, 'my_notes', {}) }
        elsif ($kind == 2) { my $note = rpc($user, 'add_note', { body => "$user $number $round" })->{json}; return "wrote for $note->{owner}" if $note->{owner} != $id{$user} }
        else
        {
            my $answer = $s->request($round % 2 ? ('GET', '/rpc/my_notes') : ('POST', '/rpc/my_notes', json => {}), token => $token{$user});
            return "$answer->{status} $answer->{content}" if $answer->{status} != 200 || grep { $_->{owner} != $id{$user} } @{ $answer->{json} };
        }
    }
    return 'right';
});
is(scalar @wrong, 0, '320 calls of two users and nobody through one connection') or diag join "\n", @wrong;
is($s->sql("SELECT count(*) FROM notes.notes WHERE body ~ '^(ann|bob) ' AND body !~ ('^' || CASE owner WHEN 1 THEN 'ann' ELSE 'bob' END)"), 0, 'and each note is its writer\'s');
done_testing();
