# kill -9 of the whole server in the middle of registrations, refreshes and balance changes, ROUNDS times, fsync
# on: what was answered is there, what was not is there whole or not at all, and can be done again.  Each client
# keeps a model of what it was answered.  `make crash` has more rounds.
use strict;
use warnings;
use AuthService;
use Faults;
use JSON::PP ();
use List::Util qw(sum0);
use Test::More;
use Time::HiRes qw(sleep time);

my $rounds = $ENV{ROUNDS} // 2;
my $clients = 12;
my $s = AuthService->start('kill', fsync => 1, arguments => [ '--pool-size=16', '--hash-slots=8', '--maintenance-interval=1' ]);
my $json = JSON::PP->new->utf8->allow_nonref->canonical;
is($s->sql('SHOW fsync'), 'on', 'fsync is on');
# Longer than a start of the server, or the tests' own delay would make a refresh that is asked again a reuse.
$s->sql('ALTER DATABASE auth_service SET auth_service.refresh_token_grace = 600');
$s->sql('ALTER DATABASE auth_service SET synchronous_commit = off'); # the functions see to it themselves
$s->end_backends;

# A request without the OpenAPI check, for speed: (status, JSON).
sub ask
{
    my ($method, $path, $body, %headers) = @_;
    my $answer = $s->{http}->request($method, "http://127.0.0.1:$s->{port}$path",
        { headers => { 'Content-Type' => 'application/json', %headers }, $body ? (content => $json->encode($body)) : () });
    return ($answer->{status}, eval { $json->decode($answer->{content}) });
}
sub bearer { return (Authorization => "Bearer $_[0]{access_token}") }

# What a client knows: its accounts by e-mail, its first account's tokens, balance and changes by key.  A member
# "open" is a request without an answer.
my @models = map { { client => $_, accounts => {}, changes => {}, balance => 0, number => 0 } } 1 .. $clients;
foreach my $m (@models)
{
    my $email = "client$m->{client}\@example.com";
    $m->{id} = $m->{accounts}{$email} = $s->register($email);
    $m->{pair} = $s->login($email);
}

my %work = (
    register => sub {
        my ($m) = @_;
        my $email = "new$m->{client}.$m->{number}\@example.com";
        $m->{open} = { register => $email };
        my ($status, $answer) = ask('POST', '/auth/register', { email => $email, password => 'Secret123' });
        $m->{accounts}{$email} = $answer->{id} if $status == 200;
        return $status;
    },
    refresh => sub {
        my ($m) = @_;
        $m->{open} = { refresh => 1 };
        my ($status, $answer) = ask('POST', '/auth/refresh', { refresh_token => $m->{pair}{refresh_token} });
        if ($status == 200) { $m->{before} = $m->{pair}; $m->{pair} = $answer }
        return $status;
    },
    balance => sub {
        my ($m) = @_;
        my ($key, $amount) = ("key$m->{client}.$m->{number}", 1 + $m->{number} % 7);
        $m->{open} = { key => $key, amount => $amount };
        my ($status, $answer) = ask('PUT', '/users/balance', { amount => $amount }, bearer($m->{pair}), 'Idempotency-Key' => $key);
        if ($status == 200) { $m->{balance} += $amount; $m->{changes}{$key} = [ $amount, $answer->{new_balance} ]; $m->{wrong} = "$answer->{new_balance} for $m->{balance}" if $answer->{new_balance} != $m->{balance} }
        return $status;
    });

# Work until the server is gone; the model with what was answered.
sub storm
{
    my ($m) = @_;
    delete @$m{qw(open failed wrong)};
    my $begin = time;
    $m->{answers} = 0;
    while (time - $begin < 20)
    {
        my $kind = (qw(refresh balance register))[ ++$m->{number} % 3 ];
        my $status = $work{$kind}->($m);
        if ($status != 200) { $m->{failed} = "$kind $status " . time; last }
        delete $m->{open};
        $m->{answers}++;
    }
    return $json->encode($m);
}

# What an unanswered request has left, by asking again; what it says of the model is noted there.
sub settle
{
    my ($m, $what) = @_;
    my $open = delete $m->{open} // return;
    if (my $email = $open->{register})
    {
        my ($status, $answer) = ask('POST', '/auth/register', { email => $email, password => 'Secret123' });
        ok($status == 200 || $status == 400, "$what: a registration without an answer: done, or can be done again") or diag $status;
        ($status, $answer) = ask('POST', '/auth/login', { email => $email, password => 'Secret123' });
        is($status, 200, "$what: and its password works");
        $m->{accounts}{$email} = $s->sql("SELECT id FROM auth.users WHERE email = '$email'");
    }
    if (my $key = $open->{key})
    {
        my ($status, $answer) = ask('PUT', '/users/balance', { amount => $open->{amount} }, bearer($m->{pair}), 'Idempotency-Key' => $key);
        $m->{balance} += $open->{amount};
        is("$status $answer->{new_balance}", "200 $m->{balance}", "$what: a change without an answer, asked again: applied once");
        $m->{changes}{$key} = [ $open->{amount}, $m->{balance} ];
    }
    $m->{asked_again} = 1 if $open->{refresh};
    return;
}

# The tokens of a client: those that it was answered last are good; the refresh token before gives them again.
sub check_tokens
{
    my ($m, $what) = @_;
    is((ask('GET', '/users/me', undef, bearer($m->{pair})))[0], 200, "$what: the last access token is good");
    if (!delete $m->{asked_again} && $m->{before})
    {
        my ($status, $answer) = ask('POST', '/auth/refresh', { refresh_token => $m->{before}{refresh_token} });
        is("$status " . ($answer->{refresh_token} // ''), "200 $m->{pair}{refresh_token}", "$what: the refresh token before gives the last one again");
    }
    my ($status, $answer) = ask('POST', '/auth/refresh', { refresh_token => $m->{pair}{refresh_token} });
    is($status, 200, "$what: the last refresh token is good");
    my ($again, $same) = ask('POST', '/auth/refresh', { refresh_token => $m->{pair}{refresh_token} });
    is("$again " . ($same->{refresh_token} // ''), "200 $answer->{refresh_token}", "$what: and again, within the grace period");
    is((ask('GET', '/users/me', undef, bearer($answer)))[0], 200, "$what: the new access token is good");
    ($m->{before}, $m->{pair}) = ($m->{pair}, $answer);
    return;
}

sub check_tables
{
    my ($what) = @_;
    my %account = map { %{ $_->{accounts} } } @models;
    my %there = map { split /\|/ } split /\n/, $s->sql('SELECT email, id FROM auth.users');
    is_deeply(\%there, \%account, "$what: every account that was answered is there, and no other");
    is($s->sql("SELECT count(*) FROM auth.users u FULL JOIN (SELECT user_id, count(*) n FROM auth.audit_log WHERE action = 'register' GROUP BY 1) a ON a.user_id = u.id
                WHERE u.id IS NULL OR n IS DISTINCT FROM 1 OR password_hash IS NULL"), 0, "$what: each with its row in the audit log");
    is($s->sql('SELECT count(*) FROM auth.sessions s LEFT JOIN auth.users u ON u.id = s.user_id WHERE u.id IS NULL'), 0, "$what: no session without its account");
    is($s->sql('SELECT count(*) FROM auth.users u WHERE balance <> (SELECT coalesce(sum(amount), 0) FROM auth.balance_entries e WHERE e.user_id = u.id)
                OR balance <> coalesce((SELECT e.balance FROM auth.balance_entries e WHERE e.user_id = u.id ORDER BY number DESC LIMIT 1), 0)
                OR (SELECT count(*) FROM auth.balance_entries e WHERE e.user_id = u.id) <> coalesce((SELECT max(number) FROM auth.balance_entries e WHERE e.user_id = u.id), 0)'), 0, "$what: balances are the sums of their entries");
    my %entry = map { my ($key, @rest) = split /\|/; $key => \@rest } split /\n/, $s->sql('SELECT idempotency_key, amount, balance FROM auth.balance_entries');
    is_deeply(\%entry, { map { %{ $_->{changes} } } @models }, "$what: each change that was answered is there, as it was answered, and no other");
    return;
}

my ($answered, $open, $seconds) = (0, 0, 0);
foreach my $round (1 .. $rounds)
{
    my $begin = time;
    my @lines = $s->parallel($clients + 1, sub {
        my ($i) = @_;
        return storm($models[ $i - 1 ]) if $i <= $clients;
        sleep 1 + rand 1;
        my $moment = time;
        Faults::kill_server($s->node);
        return $moment;
    });
    my $killed = pop @lines;
    Faults::start_server($s->node);
    my $ready = time + 20;
    sleep 0.05 while (ask('GET', '/health/ready'))[0] != 200 && time < $ready;
    my @broken = grep { !/^\{/ } @lines;
    is("@broken", '', "round $round: every client has its model") or last;
    @models = map { $json->decode($_) } @lines;
    is(join(', ', map { $_->{wrong} // () } @models), '', "round $round: no wrong answer");
    my @early = grep { !defined || !/^\w+ (503|599) ([\d.]+)$/ || $2 < $killed } map { $_->{failed} } @models;
    is(scalar @early, 0, "round $round: and nothing failed before") or diag explain \@early;
    $open += grep { $_->{open} } @models;
    $answered += sum0(map { $_->{answers} } @models);
    $seconds += $killed - $begin;
    settle($_, "round $round, client $_->{client}") foreach @models;
    check_tokens($_, "round $round, client $_->{client}") foreach @models;
    check_tables("round $round");
}
cmp_ok($open, '>', $rounds, "requests were under way ($open)");
diag sprintf '%d kills, %d answers, %.0f a second; %d requests had no answer', $rounds, $answered, $answered / $seconds, $open;
$s->sql('CREATE EXTENSION amcheck');
is($s->sql(q(SELECT count(bt_index_check(indexrelid, true)) > 10 FROM pg_index i JOIN pg_class c ON c.oid = indexrelid JOIN pg_am a ON a.oid = relam
    WHERE amname = 'btree' AND relnamespace = 'auth'::regnamespace)), 't', 'the indexes agree with their tables');
unlike($s->server_log, qr/PANIC|segfault|terminated by signal (?!9)/, 'the server has died of nothing else');
done_testing();
