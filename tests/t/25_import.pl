# The command import: from the database of the service before us, while people register here.
use strict;
use warnings;
use AuthService;
use Digest::SHA qw(hmac_sha256);
use JSON::PP ();
use MIME::Base64 qw(encode_base64url);
use Test::More;
use Time::HiRes qw(time);

my $s = AuthService->start('import');
my $count = 100_000;
# That service's table, as its migrations leave it.
$s->node->safe_psql('postgres', 'CREATE DATABASE seed');
my $hash = $s->sql(q(SELECT '$2b$' || substr(crypt('Secret123', gen_salt('bf', 4)), 5)));
$s->node->safe_psql('seed', <<"SQL");
CREATE TYPE user_role_enum AS ENUM ('user', 'admin');
CREATE TABLE users (id serial PRIMARY KEY, email varchar NOT NULL UNIQUE, hashed_password varchar NOT NULL, first_name varchar, last_name varchar,
    is_blocked boolean NOT NULL, blocked_at timestamp, is_deleted boolean NOT NULL, role user_role_enum NOT NULL, balance integer NOT NULL,
    created_at timestamp NOT NULL, updated_at timestamp NOT NULL, last_activity_at timestamp);
INSERT INTO users SELECT i, 'user' || i || '\@example.com', '$hash', 'First' || i, 'Last' || i, i % 100 = 0, CASE WHEN i % 100 = 0 THEN now() END, i % 50 = 1,
    CASE WHEN i % 1000 = 7 THEN 'admin' ELSE 'user' END::user_role_enum, i % 3 * 100, now() - interval '1 year', now(), now() - interval '1 day' FROM generate_series(1, $count) i;
-- What cannot come over.
INSERT INTO users SELECT $count + i, e, h, NULL, NULL, false, NULL, false, 'user', b, now(), now(), NULL FROM (VALUES (1, 'USER2\@example.com', '$hash', 0),
    (2, E'evil\\n\\x1b[31m', '$hash', 0), (3, 'h\@example.com', 'plain', 0), (4, 'n\@example.com', '$hash', -1)) v (i, e, h, b);
SQL
my $url = 'postgresql:///seed?host=' . $s->node->host . '&port=' . $s->node->port;
my $secret = 'the secret of the service before us';

# Somebody is here already, with an id of theirs.
my $early = $s->register('early@example.com');
is($early, 1, 'an account from before the import');
local $ENV{AUTH_SERVICE_IMPORT_SECRET} = $secret;
my $start = time;
my ($status, $out, $err) = $s->command('import', "--from=$url");
my $seconds = time - $start;
is($err, '', 'import: nothing goes wrong');
is($status, 1, 'import: but something was refused');
is($out, <<"TEXT", 'import: which is said row by row');
access tokens signed with that secret are good until they expire, for a day at most
refused id 100004, n\@example.com: the balance is below zero
refused id 1, user1\@example.com: another account has this id
refused id 100001, USER2\@example.com: another account has this e-mail
refused id 100002, evil\\u000a\\u001b[31m: the e-mail is not a valid address
refused id 100003, h\@example.com: the password hash is none of bcrypt, \$2a\$, \$2b\$ or \$2y\$, with a cost from 4 to 16
imported 99999 users; 0 were here already; refused 5
TEXT
cmp_ok($seconds, '<', 10, sprintf 'import: 100,000 users in %.1f seconds', $seconds);
is($s->sql('SELECT count(*), sum(balance), count(blocked_at), count(deleted_at), count(*) FILTER (WHERE role = \'admin\') FROM auth.users WHERE id <> 1'),
    $s->node->safe_psql('seed', "SELECT count(*), sum(balance), count(*) FILTER (WHERE is_blocked), count(*) FILTER (WHERE is_deleted), count(*) FILTER (WHERE role = 'admin') FROM users WHERE id BETWEEN 2 AND $count"),
    'import: counts and states are the same');
is($s->sql('SELECT count(*) FROM auth.users u WHERE balance <> (SELECT coalesce(sum(amount), 0) FROM auth.balance_entries e WHERE e.user_id = u.id)'), 0, 'import: the ledger agrees');
cmp_ok($s->register('new@example.com'), '>', 100_000, 'import: new ids go on behind');

# Their users.
is($s->login('user3@example.com')->{token_type}, 'bearer', 'a user logs in with the password from there');
is($s->request('POST', '/auth/login', form => [ username => 'user100@example.com', password => 'Secret123' ])->{status}, 403, 'a blocked one does not');
is($s->request('POST', '/auth/login', form => [ username => 'user51@example.com', password => 'Secret123' ])->{status}, 401, 'nor a deleted one');
sub old
{
    my ($claims, $key) = @_;
    my $input = join '.', map { encode_base64url(JSON::PP->new->canonical->encode($_)) } { alg => 'HS256', typ => 'JWT' }, $claims;
    return "$input." . encode_base64url(hmac_sha256($input, $key // $secret));
}
my $token = old({ sub => '3', exp => int(time) + 1800 });
is($s->request('GET', '/users/profile', token => $token)->{json}{email}, 'user3@example.com', 'an access token from there is good');
is($s->request('GET', '/admin/check', token => $token)->{status}, 404, 'for what its user may do');
is($s->request('GET', '/admin/check', token => old({ sub => '7', exp => int(time) + 1800 }))->{json}{message}, 'Welcome, admin user7@example.com!', 'an admin\'s too');
is($s->request('GET', '/users/me', token => old({ sub => '3', exp => int(time) + 7 * 86400 }))->{status}, 401, 'a refresh token from there is not');
is($s->request('GET', '/users/me', token => old({ sub => '1', exp => int(time) + 60 }))->{status}, 401, 'nor one for who was here before');
is($s->request('POST', '/auth/logout', token => $token)->{status}, 200, 'logout');
is($s->request('GET', '/users/me', token => $token)->{status}, 401, 'ends it');

# Again.
delete $ENV{AUTH_SERVICE_IMPORT_SECRET};
$s->node->safe_psql('seed', "DELETE FROM users WHERE id > $count OR id = 1");
($status, $out, $err) = $s->command('import', '--from', $url =~ s/postgresql/postgresql+asyncpg/r);
is("$status $out$err", "0 imported 0 users; 99999 were here already; refused 0\n", 'a second time: nothing changes, by SQLAlchemy\'s URL too');
foreach (
    [ [], 2, qr/^auth-service: import needs the other database: import --from=URL$/ ],
    [ ['--from=nonsense'], 1, qr/^auth-service: the database URL is no connection string/ ],
    [ [ '--from', $url =~ s/seed/nowhere/r ], 1, qr/^auth-service: cannot connect: .*database "nowhere" does not exist\n\z/ ],
    [ [ '--from', $url =~ s/seed/postgres/r ], 1, qr/^auth-service: error: relation "users" does not exist/ ])
{
    my ($arguments, $wanted, $message) = @$_;
    ($status, $out, $err) = $s->command('import', @$arguments);
    is($status, $wanted, "import @$arguments: status") or diag $out;
    like($err, $message, "import @$arguments: message");
}
# A table that is not as it should be: what cannot be read is refused row by row, what was not met is said,
# and the counts are those of the database.
$s->node->safe_psql('postgres', 'CREATE DATABASE odd ENCODING UTF8 TEMPLATE template0');
$s->node->safe_psql('odd', <<"SQL");
CREATE TABLE users (id bigint, email text, hashed_password text, first_name text, last_name text, is_blocked text, blocked_at text, is_deleted boolean, role text, balance numeric, created_at text, updated_at text, last_activity_at text);
INSERT INTO users SELECT 200000 + i, 'odd' || i || '\@example.com', '$hash', NULL, NULL, 'false', NULL, false, 'user', 0, '2024-01-01', '2024-01-01', NULL FROM generate_series(1, 20) i;
UPDATE users SET balance = 1.5 WHERE id = 200003;
UPDATE users SET created_at = 'junk' WHERE id = 200007;
UPDATE users SET is_blocked = 'perhaps' WHERE id = 200020;
UPDATE users SET id = NULL WHERE id = 200011;
UPDATE users SET email = E'rtl\\u202e\\u009b\@example.com' WHERE id = 200012;
SQL
my $odd = ($url =~ s/seed/odd/r) . '&user=' . getpwuid($<);
my $calls = $s->sql("SELECT count(*) FROM auth.audit_log WHERE action = 'import_users'");
($status, $out, $err) = $s->command('import', "--from=$odd");
is($status, 1, 'an odd table: exit status');
cmp_ok($s->sql("SELECT count(*) FROM auth.audit_log WHERE action = 'import_users'") - $calls, '<', 12, 'an odd table: what cannot be read is looked for by halves');
is($out, <<'TEXT', 'an odd table: what cannot be read is refused row by row');
refused id 200020: invalid input syntax for type boolean: "perhaps"
refused id 200003: invalid input syntax for type bigint: "1.5"
refused id 200007: invalid input syntax for type timestamp with time zone: "junk"
refused id 200012, rtl\u202e\u009b@example.com: the e-mail is not a valid address
imported 15 users; 0 were here already; refused 4
TEXT
is($err, "auth-service: error: 1 rows of the other table were not read: their ids are NULL or not unique\n", 'an odd table: and what was not met is said');
is($s->sql("SELECT count(*) FROM auth.users WHERE email LIKE 'odd%'"), 15, 'an odd table: the count is true');
{
    local %ENV = (%ENV, $s->environment('auth_service_shim'));
    IPC::Run::run([ $ENV{AUTH_SERVICE}, 'import', "--from=$odd" ], '>', \$out, '2>', \$err);
    is($out, "stopped; what follows is in, the rest comes when this is run again:\nimported 0 users; 0 were here already; refused 0\n", 'without the right: nothing is claimed');
    like($err, qr/^auth-service: error: permission denied for function import_users$/m, 'without the right: said');
    local %ENV = (%ENV, $s->environment);
    IPC::Run::run([ 'sh', '-c', 'exec "$0" "$@" >/dev/full', $ENV{AUTH_SERVICE}, 'import', "--from=$odd" ], '2>', \$err);
    like($err, qr/cannot write the report/, 'a report that cannot be written: said');
}
foreach ('postgresql://u:p@ss@127.0.0.1/x', 'postgresql://u:pa/ss@127.0.0.1/x', 'postgresql://u:p?s@SEC@127.0.0.1/x')
{
    ($status, $out, $err) = $s->command('import', "--from=$_");
    is("$status$out$err", qq(1auth-service: the database URL has an "@" or a "/" in its password: write %40 and %2F\n), 'a password that is not encoded: no part of it is printed');
}

($status, $out, $err) = $s->command('serve', '--docs-dir', '--from', '--port=1');
is($status, 1, 'an option that is another one\'s value: no crash');
# What an account that an operator has deleted leaves behind is nobody else's.
my $left = $s->login('odd5@example.com');
$s->sql("DELETE FROM auth.users WHERE email = 'odd5\@example.com'");
$s->node->safe_psql('odd', "DELETE FROM users WHERE id <> 200005; UPDATE users SET email = 'heir\@example.com'");
is(($s->command('import', "--from=$odd"))[1], "imported 1 users; 0 were here already; refused 0\n", 'an id whose account was deleted: imported');
is($s->request('GET', '/users/me', token => $left->{access_token})->{status}, 401, 'the sessions of the one before are not its own');
$s->sql("DELETE FROM auth.users WHERE id = 200005; INSERT INTO auth.balance_entries (user_id, number, amount, balance, created_at) VALUES (200005, 1, 5, 5, now())");
is(($s->command('import', "--from=$odd"))[1], "refused id 200005, heir\@example.com: another account has this id\nimported 0 users; 0 were here already; refused 1\n", 'an id with a ledger: taken');

# People register and log in while it runs: each gets an id of their own, and nobody an error.
$s->node->safe_psql('seed', "TRUNCATE users; INSERT INTO users SELECT i, 'more' || i || '\@example.com', '$hash', NULL, NULL, false, NULL, false, 'user', 0, now(), now(), NULL FROM generate_series(300000, 330000) i");
my @answers = $s->parallel(5, sub {
    my ($n) = @_;
    return join ' ', $s->command('import', "--from=$url") if $n == 1;
    my %status;
    for (my $end = time + 2; time < $end;)
    {
        $status{ $s->request('POST', '/auth/register', json => { email => "busy$n." . ++$status{n} . '@example.com', password => 'Secret123' })->{status} }++;
        $status{ $s->request('POST', '/auth/login', form => [ username => 'user3@example.com', password => 'Secret123' ])->{status} }++;
    }
    delete $status{n};
    return join ',', keys %status;
});
is(join('|', @answers), "0 imported 30001 users; 0 were here already; refused 0  |200|200|200|200", 'registrations and logins during an import');
is($s->sql("SELECT count(*) FROM auth.users WHERE id > 330000 AND email LIKE 'more%'"), 0, 'no id was taken twice');

local $ENV{AUTH_SERVICE_IMPORT_SECRET} = 'short';
($status, $out, $err) = $s->command('import', "--from=$url");
is($status, 1, 'a short secret: refused');
unlike("$out$err", qr/'short'|"short"/, 'and not printed');
unlike($s->server_log, qr/\Q$secret\E/, 'the secret is not in the server\'s log');
done_testing();
