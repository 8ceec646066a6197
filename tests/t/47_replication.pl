# Copies of the database: a subscriber of logical replication follows in every way of publishing, and can take
# over by the steps of docs/backup.md; a physical standby knows who asks, and changes nothing.
use strict;
use warnings;
use AuthService;
use Test::More;

my $s = AuthService->new('publisher', conf => "wal_level = logical\nmax_wal_senders = 10\nmax_replication_slots = 10\nmax_logical_replication_workers = 8\nmax_sync_workers_per_subscription = 4\nmax_worker_processes = 16\n");
my $publisher = $s->node;
$s->command('init-db');
$s->sql('ALTER DATABASE auth_service SET auth_service.bcrypt_cost = 4');
$s->shim;
my @pairs = map { $s->register("user$_\@example.com"); $s->login("user$_\@example.com") } 1 .. 9;
$s->request('PUT', '/users/balance', token => $pairs[0]{access_token}, json => { amount => 10 });
sub logout { is($s->request('POST', '/auth/logout', token => $_[0]{access_token})->{status}, 200, 'logged out on the publisher'); return }

my $rows = q(SELECT string_agg(t || ' ' || n || ' ' || h, E'\n' ORDER BY t) FROM (
    SELECT 'users' t, count(*) n, md5(string_agg(x::text, '' ORDER BY id)) h FROM auth.users x UNION ALL SELECT 'sessions', count(*), md5(string_agg(x::text, '' ORDER BY id)) FROM auth.sessions x
    UNION ALL SELECT 'keys', count(*), md5(string_agg(x::text, '' ORDER BY kid)) FROM auth.signing_keys x UNION ALL SELECT 'entries', count(*), md5(string_agg(x::text, '' ORDER BY user_id, number)) FROM auth.balance_entries x
    UNION ALL SELECT 'audit', count(*), md5(string_agg(x::text, '' ORDER BY id)) FROM auth.audit_log x UNION ALL SELECT 'hooks', count(*), md5(string_agg(x::text, '' ORDER BY event)) FROM auth.hooks x) x);

# ---- Logical replication ----

my $subscriber = PostgreSQL::Test::Cluster->new('subscriber');
$subscriber->init;
$subscriber->append_conf('postgresql.conf', "$ENV{AUTH_SERVICE_STAGE_CONF}\nfsync = off\nmax_connections = 50\nmax_worker_processes = 16\nmax_logical_replication_workers = 12\nmax_sync_workers_per_subscription = 4\n");
$subscriber->start;
my %publications = (named => 'FOR TABLE auth.users, auth.sessions, auth.signing_keys, auth.balance_entries, auth.audit_log, auth.hooks', schema => 'FOR TABLES IN SCHEMA auth', everything => 'FOR ALL TABLES');
my $n = 0;
foreach my $way (sort keys %publications)
{
    $s->sql("CREATE PUBLICATION $way $publications{$way}");
    $subscriber->safe_psql('postgres', "CREATE DATABASE $way; ALTER DATABASE $way SET auth_service.bcrypt_cost = 4");
    $subscriber->safe_psql($way, 'SET client_min_messages = warning; CREATE EXTENSION auth_service CASCADE');
    $subscriber->safe_psql($way, "CREATE SUBSCRIPTION $way CONNECTION \$c\$" . $publisher->connstr('auth_service') . "\$c\$ PUBLICATION $way");
    $subscriber->poll_query_until($way, "SELECT count(*) = 0 AND (SELECT count(*) FROM pg_subscription_rel) >= 6 FROM pg_subscription_rel WHERE srsubstate NOT IN ('r', 's')") or die;
    $publisher->wait_for_catchup($way);
    is($subscriber->safe_psql($way, $rows), $s->sql($rows), "$way: the first copy");
    my $pair = $pairs[ $n++ ];
    my $token = sub { $subscriber->safe_psql($way, "SELECT auth.verify_token('$_[0]{access_token}') IS NOT NULL") };
    is($token->($pair), 't', "$way: a token of the publisher's is known");
    logout($pair);
    my $new = $s->login('user9@example.com');
    $s->request('POST', '/auth/refresh', json => { refresh_token => $new->{refresh_token} });
    $s->request('PUT', '/users/balance', token => $new->{access_token}, json => { amount => 1 });
    $s->register("$way\@example.com");
    $s->sql("INSERT INTO auth.hooks VALUES ('delete', '$way', 'x') ON CONFLICT (event) DO UPDATE SET function_schema = '$way'; SELECT auth.block_user(8); SELECT auth.unblock_user(8); DELETE FROM auth.audit_log WHERE id = (SELECT min(id) FROM auth.audit_log); UPDATE auth.audit_log SET detail = '{}' WHERE id = (SELECT max(id) FROM auth.audit_log)");
    $publisher->wait_for_catchup($way);
    is($subscriber->safe_psql($way, $rows), $s->sql($rows), "$way: every change, those of the audit log too");
    is($token->($pair) . $token->($new), 'ft', "$way: a logout and a login are felt");
}
# Its roles are kept from writing.
{
    local $ENV{PGOPTIONS} = '-c default_transaction_read_only=on';
    my (undef, $out, $err) = $subscriber->psql('named', "\\set VERBOSITY verbose\nBEGIN; SELECT auth.authenticate('$pairs[6]{access_token}'); SELECT auth.uid(); COMMIT; SELECT auth.login('user9\@example.com', 'Secret123')");
    is($out, "7\n7", 'read only: it knows who asks');
    like($err, qr/ERROR:  25006/, 'read only: a login is refused');
}
# What a backend of the subscriber keeps of a key does not outlive the key's retirement on the publisher.
my $retire = "psql --no-psqlrc --quiet --dbname='" . $publisher->connstr('auth_service') . "' --command \"UPDATE auth.signing_keys SET is_active = false, retired_at = now()\"";
my $caught_up = "for i in \$(seq 100); do test -n \"\$(psql --no-psqlrc -Atqd '" . $subscriber->connstr('named') . "' -c 'SELECT 1 FROM auth.signing_keys WHERE retired_at IS NOT NULL')\" && break; sleep 0.1; done";
is($subscriber->safe_psql('named', "SELECT auth.verify_token('$pairs[6]{access_token}') IS NOT NULL;\n\\! $retire; $caught_up\nSELECT auth.verify_token('$pairs[6]{access_token}') IS NULL"), "t\nt", 'a key that is retired on the publisher is no good in a backend that has kept it');
is($subscriber->safe_psql('named', q(SELECT count(*) FROM auth.signing_keys)), 1, 'and the subscriber has made none of its own');
my $pair = $s->login('user9@example.com');
$publisher->wait_for_catchup('named');
is($subscriber->safe_psql('named', "SELECT auth.verify_token('$pair->{access_token}') IS NOT NULL"), 't', 'the next key comes over');

# The subscriber takes over: no sequence was replicated.
$s->stop_shim;
$subscriber->safe_psql('named', 'ALTER SUBSCRIPTION named DISABLE');
my ($status, $out, $err) = $subscriber->psql('named', "\\set VERBOSITY verbose\nSELECT auth.register('late\@example.com', 'Secret123')");
like($err, qr/ERROR:  23505/, 'without the step: ids are given again, and refused');
$subscriber->safe_psql('named', "DROP SUBSCRIPTION named");
$subscriber->safe_psql('named', "SELECT setval('auth.users_id_seq', (SELECT max(id) FROM auth.users)); SELECT setval('auth.audit_log_id_seq', (SELECT max(id) FROM auth.audit_log))");
is($subscriber->safe_psql('named', "SELECT auth.register('later\@example.com', 'Secret123') = 1 + (SELECT max(id) FROM auth.users)"), 't', 'with it ids go on');
is($subscriber->safe_psql('named', 'SELECT count(*) - count(DISTINCT id) FROM auth.audit_log'), 0, 'the audit log\'s too');
($s->{node}, $s->{database}) = ($subscriber, 'named');
$s->command('init-db');
$s->shim;
is($s->login("user$_\@example.com")->{token_type}, 'bearer', "user$_ logs in") foreach 1 .. 9;
is($s->request('GET', '/users/me', token => $pair->{access_token})->{status}, 200, 'a session of before goes on');
is($s->request('POST', '/auth/refresh', json => { refresh_token => $pair->{refresh_token} })->{status}, 200, 'and is refreshed');
$s->stop_shim;

# ---- A physical standby ----

($s->{node}, $s->{database}) = ($publisher, 'auth_service');
$publisher->append_conf('postgresql.conf', "max_standby_streaming_delay = -1\n");
$publisher->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($publisher, 'base', has_streaming => 1);
$standby->start;
my $error = sub { my (undef, undef, $text) = $standby->psql('auth_service', "\\set VERBOSITY verbose\n$_[0]"); return $text =~ /ERROR:  (\w+)/ ? $1 : $text };
$publisher->wait_for_catchup('standby');
is($standby->safe_psql('auth_service', "BEGIN; SELECT auth.authenticate('$pair->{access_token}'); SELECT auth.uid(), auth.role(), (auth.me()).email; SELECT auth.balance() > 0; COMMIT; SELECT auth.verify_token('$pair->{access_token}')->>'sub'"),
    "9\n9|user|user9\@example.com\nt\n9", 'standby: it knows who asks');
is($error->("SELECT auth.login('user1\@example.com', 'Secret123')"), '25006', 'standby: a login is refused as a write');
is($error->("SELECT auth.register('x\@example.com', 'Secret123')"), '25006', 'standby: a registration');
is($error->("SELECT auth.refresh('$pair->{refresh_token}')"), '25006', 'standby: a refresh');
is($error->("BEGIN; SELECT auth.authenticate('$pair->{access_token}'); SELECT auth.logout()"), '25006', 'standby: a logout');
is($error->('SELECT auth.maintain()'), '25006', 'standby: maintain, with nothing to do as well');
$s->shim;
is($s->request('POST', '/auth/logout', token => $pair->{access_token})->{status}, 200, 'a logout on the primary');
$publisher->wait_for_catchup('standby');
is($error->("SELECT auth.authenticate('$pair->{access_token}')"), 'U401B', 'standby: is felt');
$s->stop_shim;
$publisher->stop('immediate');
$standby->promote;
$s->{node} = $standby;
$s->shim;
is($s->login('user3@example.com')->{token_type}, 'bearer', 'promoted: a login');
is($s->register('after@example.com') > 9, 1, 'promoted: a registration');
done_testing();
