# Guessing is slow: exactly so many failures, however many come at once, by whatever door; Retry-After is kept;
# a stranger does not keep the owner out; and no rollback takes a failure back.
use strict;
use warnings;
use AuthService;
use Test::More;
use Time::HiRes qw(sleep time);

my $s = AuthService->start('throttle', throttle => 1, conf => "max_prepared_transactions = 5\n", arguments => ['--pool-size=20', '--hash-slots=16', '--threads=512']);
# Counts from the next request on: the shim's connections are made anew.
sub setting
{
    $s->sql("ALTER DATABASE auth_service SET auth_service.$_[0] = $_[1]");
    $s->end_backends;
}
sub forget { $s->sql('DELETE FROM auth.login_throttle') }
# As if a key's failures after the free ones had gone on: a delay of seconds is not over before the next line on a slow machine.
sub go_on { $s->sql("INSERT INTO auth.login_throttle SELECT key, max(failed_at), -1, NULL, false FROM auth.login_throttle, generate_series(1, 4) WHERE NOT was_right GROUP BY key, generate_series") }
sub guess { my ($email, $password) = @_; return $s->request('POST', '/auth/login', form => [ username => $email, password => $password // 'wrong' ]) }
sub statuses { my %n; $n{$_}++ foreach @_; return join ' ', map { "$_:$n{$_}" } sort keys %n }

# In SQL: id, NULL, or the SQLSTATE and DETAIL.
sub sql_login
{
    my ($email, $password, $ip) = @_;
    my ($code, $out, $err) = $s->node->psql('auth_service',
        "\\set VERBOSITY verbose\nSELECT access_token IS NOT NULL FROM auth.login('$email', '$password', NULL, " . ($ip ? "'$ip'" : 'NULL') . ')');
    return $err =~ /ERROR:  (\w{5}).*?(?:DETAIL:  (\d+))/s ? "$1 $2" : $err =~ /ERROR:  (\w{5})/ ? $1 : $out eq 't' ? 'good' : 'wrong';
}

# How many wrong passwords are looked at still.
sub free
{
    my ($email, $ip) = @_;
    foreach my $looked_at (0 .. 40) { return $looked_at if sql_login($email, 'wrong', $ip) =~ /^U429A/ }
    return 'all';
}

setting('throttle_address_failures', 0);
$s->register("u$_\@example.com") foreach 1 .. 12;

# The sixth.
is(statuses(map { guess('u1@example.com')->{status} } 1 .. 5), '401:5', 'five failures are free');
my $refused = guess('u1@example.com', 'Secret123');
is($refused->{status}, 429, 'the sixth attempt is refused, with the right password too');
is($refused->{content}, '{"detail":"Too many attempts","code":"U429A"}', 'and says so');
my $after = $refused->{headers}{'retry-after'};
is($after, 1, 'Retry-After: a second');
is(guess('U1@EXAMPLE.com')->{status}, 429, 'in any case of letters');
is(sql_login('u1@example.com', 'Secret123'), 'U429A 1', 'by SQL as well');
sleep $after;
is(guess('u1@example.com', 'Secret123')->{status}, 200, 'after Retry-After the right password is good');
is(statuses(map { guess('u1@example.com')->{status} } 1 .. 6), '401:5 429:1', 'which begins the count anew');

# Unknown e-mails are no different.
setting('throttle_max_delay', "'3s'");
is(statuses(map { guess('nobody@example.com')->{status} } 1 .. 5), '401:5', 'an unknown e-mail: five as well');
my $unknown = guess('nobody@example.com');
is("$unknown->{status} $unknown->{content} $unknown->{headers}{'retry-after'}", "429 $refused->{content} 1", 'then the same answer');

# It grows, up to its cap.
{
    my @delays;
    foreach (1 .. 4)
    {
        my $answer = guess('nobody@example.com');
        push @delays, $answer->{headers}{'retry-after'};
        sleep $delays[-1];
        is(guess('nobody@example.com')->{status}, 401, "delay $delays[-1]: one attempt") or last;
    }
    is("@delays", '1 2 3 3', 'each delay is twice the one before, up to the limit');
    setting('throttle_max_delay', "'30s'");
}

# Every door counts the same.
guess('u2@example.com') foreach 1 .. 2;
sql_login('u2@example.com', 'wrong') foreach 1 .. 2;
my $change = sub { $s->request('POST', '/auth/change-password', json => { email => 'u2@example.com', old_password => $_[0], new_password => 'Secret456' }) };
is($change->('wrong')->{status}, 401, 'change-password is the fifth');
go_on();
is($change->('Secret123')->{status}, 429, 'and is refused then');
like(guess('u2@example.com')->{status} . sql_login('u2@example.com', 'Secret123', '10.1.2.3'), qr/^429U429A \d+$/, 'as login is, from anywhere');

# A hundred at once.  On a slow machine a delay may be over before the last has come: so many more are looked at.
sub looked_at
{
    my ($what, $free, $count, $code) = @_;
    my $begin = time;
    my %n;
    $n{$_}++ foreach $s->parallel($count, $code);
    my $more = int(log(1 + time - $begin) / log(2));
    my ($wrong, $refused) = @n{ exists $n{401} ? (401, 429) : ('wrong', 'U429A') };
    ok($wrong + $refused == $count && $wrong >= $free && $wrong <= $free + $more, "$what: $free are looked at")
      or diag "$more more may have been: ", join ' ', map { "$_:$n{$_}" } sort keys %n;
    return $wrong;
}
foreach my $round (1 .. 3)
{
    my $email = 'u' . ($round + 2) . '@example.com';
    looked_at("100 parallel guesses over HTTP ($round)", 5, 100, sub { guess($email)->{status} });
    $email = "parallel$round\@example.com";
    my $wrong = looked_at("40 in SQL ($round)", 5, 40, sub { my $r = sql_login($email, 'wrong'); $r =~ s/ .*//; $r });
    is($s->sql('SELECT count(*) FROM auth.login_throttle WHERE key = (SELECT key FROM auth.login_throttle ORDER BY failed_at DESC LIMIT 1)'), $wrong, "as many are counted ($round)");
}
# The right password is not mistaken for a guess.
is(statuses($s->parallel(40, sub { guess('u6@example.com', 'Secret123')->{status} })), '200:40', '40 parallel logins with the right password are all good');
# Between guesses it is found by chance only: at most five are looked at, whatever they are.
setting('bcrypt_cost', 8);
my @mixed = $s->parallel(60, sub { $_[0] % 20 == 0 ? 'right ' . guess('u7@example.com', 'Secret123')->{status} : guess('u7@example.com')->{status} });
cmp_ok(scalar(grep { $_ eq '401' } @mixed), '<=', 20, 'guesses among right passwords: each success frees five, no more') or diag statuses(@mixed);
is(scalar(grep { !/^(401|429|right 200|right 429)$/ } @mixed), 0, 'and nothing else is answered') or diag statuses(@mixed);
setting('bcrypt_cost', 4);

# By address.
forget();
setting('throttle_address_failures', 30);
looked_at('100 parallel guesses from one address', 30, 100, sub { guess("a$_[0]\@example.com")->{status} });
foreach (1 .. 5) { last if guess("b$_\@example.com")->{status} == 429 }
my $waits = guess('u8@example.com', 'Secret123');
is($waits->{status}, 429, 'then the right password has to wait as well');
sleep $waits->{headers}{'retry-after'};
is(guess('u8@example.com', 'Secret123')->{status}, 200, 'not for long');
is(guess('b@example.com')->{status} . guess('c@example.com')->{status}, '401429', 'a success frees the address of nothing');
is(sql_login('u9@example.com', 'Secret123', '10.0.0.9'), 'good', 'other addresses are not concerned');
foreach my $case (
    [ 'of one IPv6 /64', (map { "2001:db8:1:2:$_:$_:$_:$_" } 1 .. 30), 1, '2001:db8:1:2:ffff::1' ],
    [ 'of another /64', 0, '2001:db8:1:3::1' ],
    [ 'IPv4 in IPv6', (map { '::ffff:192.0.2.7' } 1 .. 30), 1, '192.0.2.7' ],
    [ 'another IPv4 in IPv6', 0, '::ffff:192.0.2.8' ],
    [ 'an IPv4 network as an address', (map { '198.51.100.7/24' } 1 .. 30), 1, '198.51.100.7' ])
{
    my ($what, @addresses) = @$case;
    my $last = pop @addresses;
    my $expected = pop @addresses;
    my $i = 0;
    sql_login('v' . $i++ . '@example.com', 'wrong', $_) foreach @addresses;
    like(sql_login('w@example.com', 'wrong', $last), $expected ? qr/^U429A/ : qr/^wrong/, $what);
}

# Tokens: counted apart from passwords, and a good one is always taken.
forget();
my $pair = $s->login('u10@example.com');
my $refresh = sub { $s->request('POST', '/auth/refresh', json => { refresh_token => $_[0] }) };
is(statuses(map { $refresh->('x' x 80)->{status} } 1 .. 31), '401:30 429:1', 'refresh: thirty texts that are no token');
is($refresh->($pair->{refresh_token})->{status}, 200, 'a good one is taken');
is(guess('u10@example.com', 'Secret123')->{status}, 200, 'and who has no good one can log in');
$pair = $s->login('u10@example.com');
my $introspect = sub { $s->request('POST', '/auth/introspect', token => $pair->{access_token}, form => [ token => $_[0] ]) };
forget();
is(statuses(map { $introspect->("a.b.$_")->{status} } 1 .. 31), '200:30 429:1', 'introspect: thirty as well');
is($introspect->($pair->{access_token})->{json}{active}, JSON::PP::true(), 'one\'s own token is told of still');
go_on();
like($s->node->psql('auth_service', "BEGIN; SELECT auth.authenticate('$pair->{access_token}'); SELECT auth.introspect('x'); COMMIT", on_error_stop => 1) // '', qr/^[03]$/, 'introspect in SQL ends');
is(($s->node->psql('auth_service', "\\set VERBOSITY verbose\nBEGIN; SELECT auth.authenticate('$pair->{access_token}'); SELECT auth.introspect('x')"))[2] =~ /(U429A)/ ? $1 : '', 'U429A', 'without an address the user is counted');
$s->command(\"Secret123\n", 'create-admin', 'root@example.com');
my $admin = $s->login('root@example.com');
is(statuses(map { $s->request('POST', '/auth/introspect', token => $admin->{access_token}, form => [ token => 'x' ])->{status} } 1 .. 40), '200:40', 'an admin may ask for any number');

# Which e-mails have accounts: an error, whose transaction is undone, is counted all the same, and before it is answered.
is($introspect->('a.b.x')->{status} . $refresh->('x' x 80)->{status}, '429401', 'refresh and introspect are counted apart');
forget();
my $taken = sub { $s->request('POST', '/auth/register', json => { email => "u$_[0]\@example.com", password => 'Secret123' })->{status} };
looked_at('60 parallel registrations of e-mails that are taken', 30, 60, sub { my $status = $taken->(1 + $_[0] % 12); return $status == 400 ? 401 : $status });
is($s->request('POST', '/auth/register', json => { email => 'new1@example.com', password => 'Secret123' })->{status}, 200, 'a new e-mail is not concerned');

# Nothing that a role with the API can do takes a failure back, hides it, or has it refused after the password was looked at.
setting('throttle_address_failures', 0);
# The answers of a session, statement by statement, to six guesses in a manner of its own.
sub guesses
{
    my ($what, $before, $around, $expected) = @_;
    forget();
    my $session = $s->node->background_psql('auth_service', on_error_stop => 0);
    $session->query($before) if $before;
    my @answers = map {
        $session->query(sprintf "$around; ROLLBACK", "SELECT coalesce((auth.login('u11\@example.com', 'wrong')).access_token, 'wrong')");
        $session->{stderr} =~ s/WARNING.*\n//g;
        my $answer = $session->{stderr} =~ /ERROR:  (.*)/ ? $1 : 'wrong';
        $session->{stderr} = '';
        $answer;
    } 1 .. 6;
    $session->quit;
    is(join(', ', @answers), join(', ', ($expected->[0]) x 5, $expected->[1]), "$what: five are looked at") or diag explain \@answers;
    go_on();
    like(sql_login('u11@example.com', 'Secret123'), qr/^U429A/, "$what: and count") if $expected->[0] eq 'wrong';
}
my @seen = ('wrong', 'Too many attempts');
guesses('rolled back', '', 'BEGIN; %s; ROLLBACK', \@seen);
guesses('rolled back to a savepoint', '', 'BEGIN; SAVEPOINT a; %s; ROLLBACK TO a; COMMIT', \@seen);
guesses('in REPEATABLE READ', 'SET default_transaction_isolation = "repeatable read"', 'BEGIN; SELECT 1; %s; ROLLBACK', \@seen);
guesses('in SERIALIZABLE', 'SET default_transaction_isolation = serializable', 'BEGIN; SELECT 1; %s; ROLLBACK', \@seen);
guesses('prepared and rolled back', '', q(BEGIN; %s; PREPARE TRANSACTION 'a'; ROLLBACK PREPARED 'a'), \@seen);
guesses('in a transaction that is read-only', 'SET default_transaction_read_only = on', '%s', [ ('cannot execute a check of a password in a read-only transaction') x 2 ]);
is($s->sql('SELECT count(*) FROM auth.login_throttle'), 0, 'read-only: nothing was looked at');
foreach my $call ("auth.login('u11\@example.com', 'Secret123')", "auth.change_password('u11\@example.com', 'Secret123', 'Secret456')", "auth.register('u11\@example.com', 'Secret123')")
{
    my ($code, $out, $err) = $s->node->psql('auth_service', "SET default_transaction_read_only = on; SELECT $call");
    like($err, qr/cannot execute .* in a read-only transaction/, "read-only: $call is refused, right or taken as it is");
}
forget();
my $savepoints = $s->node->psql('auth_service', "DO \$\$ DECLARE n int := 0; r int := 0; BEGIN
    FOR i IN 1..20 LOOP
        BEGIN
            PERFORM auth.login('u12\@example.com', 'wrong');
            n := n + 1;
            RAISE EXCEPTION 'take it back';
        EXCEPTION WHEN raise_exception THEN NULL; WHEN SQLSTATE 'U429A' THEN r := r + 1;
        END;
    END LOOP;
    RAISE NOTICE 'guessed % refused %', n, r;
    RAISE EXCEPTION 'take all of it back'; END \$\$", stderr => \my $said);
like($said, qr/guessed 5 refused 15/, 'in savepoints of one statement: five');
go_on();
like(sql_login('u12@example.com', 'Secret123'), qr/^U429A/, 'and they count after it');
forget();
setting('throttle_address_failures', 30);
is(($s->node->psql('auth_service', "SET default_transaction_isolation = serializable; SELECT 'good' WHERE auth.login('u11\@example.com', 'Secret123', NULL, '192.0.2.9') IS NOT NULL"))[1], 'good', 'in SERIALIZABLE: the right password');
is(free('u11@example.com', '192.0.2.9'), 5, 'is no failure of the account');
is(free('other@example.com', '192.0.2.9'), 5, 'nor of another');
forget();
is(sql_login('u11@example.com', 'Secret123', '192.0.2.9'), 'good', 'the right password') foreach 1 .. 3;
$s->sql(q(SELECT count(auth.login('v' || n || '@example.com', 'wrong', NULL, '192.0.2.9')) FROM generate_series(1, 28) n));
is(free('nobody@example.com', '192.0.2.9'), 2, 'is none of the address');
setting('throttle_address_failures', 0);
# A transaction that has failed and goes on keeps nobody from counting, however little he waits.
{
    forget();
    my $holder = $s->node->background_psql('auth_service', on_error_stop => 0);
    $holder->query("BEGIN; SELECT auth.login('u11\@example.com', 'wrong')");
    my @answers = map { ($s->node->psql('auth_service', "SET lock_timeout = '20ms'; SELECT 'wrong' WHERE auth.login('u11\@example.com', 'wrong') IS NULL"))[1] || 'refused' } 1 .. 6;
    is("@answers", 'wrong wrong wrong wrong refused refused', 'beside a failure that is not committed: four more');
    $holder->query('ROLLBACK');
    $holder->quit;
    is($s->sql('SELECT count(*) FROM auth.login_throttle'), 5, 'all of them count');
}
# What cannot be counted is not looked at: right and wrong are the same.
{
    forget();
    my $holder = $s->node->background_psql('auth_service', on_error_stop => 0);
    $holder->query('BEGIN; LOCK TABLE auth.login_throttle IN SHARE MODE');
    foreach my $password ('wrong', 'Secret123')
    {
        my ($code, $out, $err) = $s->node->psql('auth_service', "SET lock_timeout = '50ms'; SELECT auth.login('u11\@example.com', '$password') IS NULL");
        like($err, qr/ERROR:  canceling statement due to lock timeout/, "where it cannot be counted: '$password' is refused");
    }
    $holder->query('ROLLBACK');
    # As much as the server has memory for, so that it has none for a new lock.
    my $fill = "DO \$\$ DECLARE n bigint := 0; BEGIN LOOP BEGIN n := n + 1; PERFORM pg_advisory_lock(n); EXCEPTION WHEN out_of_memory THEN EXIT; END; END LOOP; END \$\$";
    $holder->query($fill);
    my %answers;
    foreach my $password ('wrong', 'Secret123')
    {
        $holder->{stderr} = '';
        my $answer = $holder->query("SELECT 'answered' FROM (SELECT auth.login('u11\@example.com', '$password') OFFSET 0) a");
        $answers{ $answer . ($holder->{stderr} =~ /ERROR:  (.*)/ ? $1 : '') } = 1;
    }
    is(join(', ', keys %answers), 'out of shared memory', 'with no lock left: right and wrong are refused');
    $holder->{stderr} = '';
    $holder->query('SELECT pg_advisory_unlock_all()');
    $holder->quit;
}
# Who does not wait for the answer has asked all the same: the time may have told it.
forget();
setting('bcrypt_cost', 13);
is(join(' ', map { ($s->node->psql('auth_service', "SET statement_timeout = '150ms'; SELECT auth.login('u11\@example.com', 'wrong')"))[2] =~ /ERROR:  (.*)/ ? $1 : 'wrong' } 1 .. 6),
    join(' ', ('canceling statement due to statement timeout') x 5, 'Too many attempts'), 'who cancels is counted');
setting('bcrypt_cost', 4);
# A place is given back by whoever looked for another, too.
forget();
setting('throttle_account_failures', 4);
is(statuses($s->parallel(12, sub { my $said = ($s->node->psql('auth_service', "BEGIN; SELECT auth.login('u11\@example.com', 'wrong') IS NULL; SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'"))[1] || 'refused'; $said =~ s/\n/ /; return $said })), "refused:8 t 0:4", 'nothing is held after a failure');
setting('throttle_account_failures', 5);
# Indexes of an operator's own, one that was left behind half made, and some that are made anew meanwhile.
forget();
$s->sql(q(CREATE EXTENSION IF NOT EXISTS amcheck; CREATE INDEX own_expression ON auth.login_throttle (upper(network)); CREATE INDEX own_part ON auth.login_throttle (place) WHERE place > 2;
    CREATE INDEX left_behind ON auth.login_throttle (key); UPDATE pg_index SET indisvalid = false, indisready = false WHERE indexrelid = 'auth.left_behind'::regclass));
is(free('u11@example.com', '192.0.2.1'), 5, 'with indexes of an operator\'s own');
is($s->sql("SET enable_seqscan = off; SELECT count(*) FROM auth.login_throttle WHERE place > 2"), 2, 'which are kept');
{
    forget();
    my $begin = time;
    my @counted = $s->parallel(4, sub {
        my ($n, $number) = (0, @_);
        while (time - $begin < 4)
        {
            if ($number == 1) { $s->sql('REINDEX TABLE CONCURRENTLY auth.login_throttle') }
            else { $n++ if sql_login("r$number.$n\@example.com", 'wrong') eq 'wrong' }
        }
        return $n;
    });
    my $guessed = 0;
    $guessed += $_ foreach @counted;
    cmp_ok($guessed, '>', 20, 'guesses while indexes are made anew');
    is($s->sql("SET enable_seqscan = off; SELECT count(*) FROM auth.login_throttle WHERE key >= ''"), $guessed, 'all are counted');
    my $check = "SELECT count(bt_index_check(indexrelid, true)) FROM pg_index WHERE indrelid = 'auth.login_throttle'::regclass AND indisvalid";
    is($s->sql($check), 4, 'and are in every index, once');
    $s->sql('DROP INDEX auth.own_expression, auth.own_part, auth.left_behind');
}
# An index that is made concurrently is read first and the table after it, to add what it lacks.  A failure between the
# two would be added twice: by the guesser and, as everybody sees it, by who makes the index.  So the guesser waits.
{
    forget();
    $s->sql(q(INSERT INTO auth.login_throttle SELECT sha256(n::text::bytea), now(), -1, 'gate', false FROM generate_series(1, 500) n;
        CREATE FUNCTION gate(network text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql SET search_path = pg_catalog AS $$ BEGIN
            IF network = 'gate' AND EXISTS (SELECT FROM pg_stat_progress_create_index WHERE pid = pg_backend_pid() AND phase = 'index validation: scanning table')
            THEN PERFORM pg_advisory_xact_lock_shared(7); END IF;
            RETURN network IS DISTINCT FROM 'gate'; END $$));
    my $holder = $s->node->background_psql('auth_service');
    $holder->query('SELECT pg_advisory_lock(7)');
    my @waiting = map { $s->node->background_psql('auth_service') } 1 .. 2;
    $waiting[0]->query_until(qr/begun/, "\\echo begun\nCREATE INDEX CONCURRENTLY gated ON auth.login_throttle (key) WHERE public.gate(network);\n");
    my $waits = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event =";
    ok($s->node->poll_query_until('auth_service', "$waits 'advisory'"), 'an index is made, and half of the table read');
    is(($s->node->psql('auth_service', "SET lock_timeout = '50ms'; SELECT auth.login('u11\@example.com', 'Secret123')"))[2] =~ /ERROR:  (.*)/ ? $1 : '', 'canceling statement due to lock timeout', 'who does not wait for that is refused');
    $waiting[1]->query_until(qr/begun/, "\\echo begun\nBEGIN; SELECT auth.login('u11\@example.com', 'wrong') IS NULL; ROLLBACK;\n");
    my $waited = '';
    for (1 .. 100) { last if ($waited = $s->sql("$waits 'virtualxid'")) eq 't'; sleep 0.05 }
    is($waited, 't', 'who guesses waits');
    $holder->query('SELECT pg_advisory_unlock(7)');
    $_->query('SELECT 1') foreach @waiting;
    is($s->sql("SELECT bt_index_check('auth.gated', true)"), '', 'and is in the new index once');
    is($s->sql("SELECT count(*) FROM auth.login_throttle WHERE network IS NULL"), 1, 'and counts, though rolled back');
    # Nobody makes one that was left behind before it was good.
    $s->sql("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'auth.gated'::regclass");
    is(free('u11@example.com'), 4, 'for an index that was left behind nobody waits');
    $_->quit foreach $holder, @waiting;
    $s->sql('DROP INDEX auth.gated; DROP FUNCTION gate');
    forget();
}

# A stranger goes on for ever; the owner comes in.
forget();
sub hammers
{
    my ($what, $limit, $addresses, $owner) = @_;
    my ($guessed, $got_in) = (0);
    my $begin = time;
    my $try_at = time + 1;
    while (time - $begin < 12)
    {
        $guessed++ if sql_login('u8@example.com', 'wrong', $addresses->[ $guessed % @$addresses ]) eq 'wrong';
        next if time < $try_at;
        my $answer = sql_login('u8@example.com', 'Secret123', $owner);
        if ($answer eq 'good') { $got_in = time - $begin; last }
        $try_at = time + ($answer =~ / (\d+)/)[0];
    }
    ok(defined $got_in, "$what: the owner gets in");
    cmp_ok($got_in // 99, '<=', 1 + $limit, "$what: soon") or diag "guessed $guessed";
}
setting('throttle_max_delay', "'4s'");
hammers('a stranger at one address', 4, ['203.0.113.1'], '198.51.100.1');
forget();
is(sql_login('u8@example.com', 'Secret123', '198.51.100.20'), 'good', 'a session at an address');
hammers('strangers at many addresses, the owner where he was before', 4, [ map { "203.0.113.$_" } 1 .. 50 ], '198.51.100.20');

# Who has been right and does not end his transaction keeps others of that account waiting, by its row, but not for ever.
forget();
{
    my $holder = $s->node->background_psql('auth_service', on_error_stop => 0);
    sql_login('u9@example.com', 'wrong');
    $holder->query("BEGIN; SELECT auth.login('u9\@example.com', 'Secret123')");
    is(sql_login('u9@example.com', 'wrong'), 'wrong', 'beside a success that is not committed: a failure is answered');
    $holder->query('COMMIT');
    $holder->quit;
    is(free('u9@example.com'), 4, 'and counts');
}

# The log tells of it; what was tried is nowhere.
is($s->sql("SELECT count(*) > 0 FROM auth.audit_log WHERE action = 'throttled'"), 't', 'the audit log tells of it');
unlike($s->sql('SELECT t::text FROM auth.login_throttle t'), qr/example/, 'no e-mail that was tried is in the table');
setting('throttle_account_failures', 0);
is(statuses(map { guess('u9@example.com')->{status} } 1 .. 8), '401:8', 'turned off');
is($s->sql("SELECT deadlocks FROM pg_stat_database WHERE datname = 'auth_service'"), 0, 'no deadlock');
done_testing();
