# Guessing is slow: exactly so many failures, however many come at once, by whatever door; Retry-After is kept;
# a stranger does not keep the owner out; and no rollback takes a failure back.
use strict;
use warnings;
use AuthService;
use Test::More;
use Time::HiRes qw(sleep time);

my $s = AuthService->start('throttle', throttle => 1, arguments => ['--pool-size=20', '--hash-slots=16', '--threads=512']);
sub setting { $s->sql("ALTER DATABASE auth_service SET auth_service.$_[0] = $_[1]"); $s->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'auth_service_shim'") }
sub forget { $s->sql('DELETE FROM auth.login_throttle') }
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
        setting('throttle_max_delay', "'3s'") if @delays == 2;
    }
    is("@delays", '1 2 3 3', 'each delay is twice the one before, up to the limit');
    setting('throttle_max_delay', "'30s'");
}

# Every door counts the same.
guess('u2@example.com') foreach 1 .. 2;
sql_login('u2@example.com', 'wrong') foreach 1 .. 2;
my $change = sub { $s->request('POST', '/auth/change-password', json => { email => 'u2@example.com', old_password => $_[0], new_password => 'Secret456' }) };
is($change->('wrong')->{status}, 401, 'change-password is the fifth');
is($change->('Secret123')->{status}, 429, 'and is refused then');
is(guess('u2@example.com')->{status} . sql_login('u2@example.com', 'Secret123', '10.1.2.3'), '429U429A 1', 'as login is, from anywhere');

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
    is($s->sql("SELECT failures FROM auth.login_throttle ORDER BY last_at DESC LIMIT 1"), $wrong, "as many are counted ($round)");
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
is(guess('u8@example.com', 'Secret123')->{status}, 429, 'then the right password has to wait as well');
sleep guess('b@example.com')->{headers}{'retry-after'};
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
like($s->node->psql('auth_service', "BEGIN; SELECT auth.authenticate('$pair->{access_token}'); SELECT auth.introspect('x'); COMMIT", on_error_stop => 1) // '', qr/^[03]$/, 'introspect in SQL ends');
is(($s->node->psql('auth_service', "\\set VERBOSITY verbose\nBEGIN; SELECT auth.authenticate('$pair->{access_token}'); SELECT auth.introspect('x')"))[2] =~ /(U429A)/ ? $1 : '', 'U429A', 'without an address the user is counted');
$s->command(\"Secret123\n", 'create-admin', 'root@example.com');
my $admin = $s->login('root@example.com');
is(statuses(map { $s->request('POST', '/auth/introspect', token => $admin->{access_token}, form => [ token => 'x' ])->{status} } 1 .. 40), '200:40', 'an admin may ask for any number');

# Which e-mails have accounts: an error, whose transaction is undone, is counted all the same.
forget();
my $taken = sub { $s->request('POST', '/auth/register', json => { email => "u$_[0]\@example.com", password => 'Secret123' })->{status} };
my @taken;
foreach (1 .. 60) { push @taken, $taken->(1 + $_ % 12); last if $taken[-1] == 429; sleep 0.03 }
is($taken[-1], 429, 'register: who tries e-mails that are taken is slowed down');
cmp_ok(scalar(@taken), '>=', 31, 'after thirty') or diag scalar @taken;
is($s->request('POST', '/auth/register', json => { email => 'new1@example.com', password => 'Secret123' })->{status}, 200, 'a new e-mail is not concerned');

# A rollback takes nothing back.
forget();
setting('throttle_address_failures', 0);
$s->sql("BEGIN; SELECT auth.login('u11\@example.com', 'wrong'); ROLLBACK") foreach 1 .. 5;
my $begin = time;
sleep 0.05 while $s->sql('SELECT coalesce(max(failures), 0) FROM auth.login_throttle') < 5 && time - $begin < 10;
like(sql_login('u11@example.com', 'Secret123'), qr/^U429A/, 'five failures that were rolled back count');
my $savepoints = $s->node->psql('auth_service', "DO \$\$ DECLARE n int := 0; r int := 0; BEGIN
    FOR i IN 1..20 LOOP
        BEGIN
            PERFORM auth.login('u12\@example.com', 'wrong');
            n := n + 1;
            RAISE EXCEPTION 'take it back';
        EXCEPTION WHEN raise_exception THEN NULL; WHEN SQLSTATE 'U429A' THEN r := r + 1;
        END;
    END LOOP;
    RAISE NOTICE 'guessed % refused %', n, r; END \$\$", stderr => \my $said);
like($said, qr/guessed 5 refused 15/, 'nor does a savepoint: five in a loop');
$begin = time;
sleep 0.05 while $s->sql('SELECT count(*) FROM auth.login_throttle WHERE failures = 5') < 2 && time - $begin < 10;
like(sql_login('u12@example.com', 'Secret123'), qr/^U429A/, 'and they count after it');

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

# Who does not end his transaction keeps others waiting, but not for ever.
forget();
{
    my $holder = $s->node->background_psql('auth_service', on_error_stop => 0);
    $holder->query("BEGIN; SELECT auth.login('u9\@example.com', 'wrong') FROM generate_series(1, 5)");
    $begin = time;
    is(sql_login('u9@example.com', 'Secret123'), '55P03', 'five failures that are not committed yet: others wait');
    cmp_ok(time - $begin, '<', 8, 'for a while');
    $holder->query('COMMIT');
    $holder->quit;
    is($s->sql('SELECT failures FROM auth.login_throttle'), 5, 'they count when they are');
}

# A transaction that sees an old state counts as any other.
forget();
is(($s->node->psql('auth_service', "SET default_transaction_isolation = 'repeatable read'; " . join ' ', map { "SELECT auth.login('u9\@example.com', 'wrong');" } 1 .. 6))[2] =~ /(Too many attempts)/ ? $1 : '', 'Too many attempts', 'in REPEATABLE READ');

# The log tells of it; what was tried is nowhere.
is($s->sql("SELECT count(*) > 0 FROM auth.audit_log WHERE action = 'throttled'"), 't', 'the audit log tells of it');
unlike($s->sql('SELECT t::text FROM auth.login_throttle t'), qr/example/, 'no e-mail that was tried is in the table');
setting('throttle_account_failures', 0);
is(statuses(map { guess('u9@example.com')->{status} } 1 .. 8), '401:8', 'turned off');
is($s->sql("SELECT deadlocks FROM pg_stat_database WHERE datname = 'auth_service'"), 0, 'no deadlock');
done_testing();
