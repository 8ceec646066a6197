# Who does not know the password learns nothing else: an unknown e-mail, a wrong password, a blocked or deleted
# account, one without a hash or with one that is none or of an older cost, and a password that is too long get the
# same answer, after the same time.  Samples are taken in turn, in an order that changes.  Work is the time that the
# backend was on a processor; others on this machine can only lengthen it, so what counts is the mean of the shortest
# twentieth: the cases' differ by less than 5 %.  What the client sees does not tell them apart: by Mann and Whitney's test
# it is all the same, or its medians lie less than 2 % apart.  (With samples enough that test sees everything: a hash of an
# older cost is one of several runs of bcrypt, and each has one key schedule more, a 513th of a hash of cost 8.)
#
# register does tell that an e-mail is taken; that is its contract, and what a throttle is for.
use strict;
use warnings;
use AuthService;
use List::Util qw(shuffle sum);
use Test::More;
use Time::HiRes qw(time);

use constant { COST => 8, ROUNDS => 60, TRIES => 5 };

my $s = AuthService->start('timing', cost => COST);
$s->sql('ALTER DATABASE auth_service SET auth_service.throttle_address_failures = 0; ALTER DATABASE auth_service SET auth_service.throttle_account_failures = 0');
my %user = map { $_ => "$_\@example.com" } 'wrong', 'blocked', 'deleted', 'hashless', 'broken', 'older', 'imported';
$s->register($user{$_}) foreach sort keys %user;
$s->sql(q(UPDATE auth.users SET blocked_at = now() WHERE email = 'blocked@example.com';
    UPDATE auth.users SET deleted_at = now() WHERE email = 'deleted@example.com';
    UPDATE auth.users SET password_hash = NULL WHERE email = 'hashless@example.com';
    UPDATE auth.users SET password_hash = 'not a hash' WHERE email = 'broken@example.com';
    UPDATE auth.users SET password_hash = '$2b$' || substr(password_hash, 5) WHERE email = 'imported@example.com';
    UPDATE auth.users SET password_hash = crypt('Secret123', gen_salt('bf', 4)) WHERE email = 'older@example.com'));
# One connection, so one backend, which does all the work; so the settings from here on are its.
$s->stop_shim;
$s->shim('--pool-size=1', '--hash-slots=1');
my %case = (
    'a wrong password' => [ $user{wrong}, 'Wrong1234' ],
    'an unknown e-mail' => [ 'nobody@example.com', 'Wrong1234' ],
    'what is no e-mail' => [ 'nobody', 'Wrong1234' ],
    'a blocked account' => [ $user{blocked}, 'Wrong1234' ],
    'a deleted account' => [ $user{deleted}, 'Secret123' ],
    'no hash' => [ $user{hashless}, 'Wrong1234' ],
    'what is no hash' => [ $user{broken}, 'Wrong1234' ],
    'a hash of a kind that we do not take' => [ $user{imported}, 'Secret123' ],
    'an older cost' => [ $user{older}, 'Wrong1234' ],
    'a password that is too long' => [ $user{wrong}, 'Secret123' . 'x' x 100 ],
    'an empty password' => [ $user{wrong}, '' ]);
my $first = 'a wrong password';

# Nanoseconds for which the backend has run; undef where this system does not tell.
my $backend;
sub work
{
    $backend //= $s->sql("SELECT pid FROM pg_stat_activity WHERE usename = 'auth_service_shim'");
    open(my $f, '<', "/proc/$backend/schedstat") or return undef;
    return (split / /, <$f>)[0];
}

sub login { my ($email, $password) = @_; return $s->request('POST', '/auth/login', json => { email => $email, password => $password }) }
sub change { my ($email, $password) = @_; return $s->request('POST', '/auth/change-password', json => { email => $email, old_password => $password, new_password => 'Another123' }) }

# The mean of the shortest twentieth.
sub floor_of { my @sorted = sort { $a <=> $b } @_; my $last = int($#sorted / 20); return sum(@sorted[ 0 .. $last ]) / (1 + $last) }

sub median { my @sorted = sort { $a <=> $b } @_; return $sorted[ @sorted / 2 ] }

# Mann and Whitney: how likely samples as different as these are, if nothing differs (by the normal approximation).
sub mann_whitney
{
    my ($x, $y) = @_;
    my @all = sort { $a->[0] <=> $b->[0] } (map { [ $_, 1 ] } @$x), (map { [ $_, 0 ] } @$y);
    my $ranks = sum(map { $all[$_][1] ? $_ + 1 : 0 } 0 .. $#all);
    my ($n, $m) = (scalar @$x, scalar @$y);
    my $z = abs($ranks - $n * ($n + $m + 1) / 2) / sqrt($n * $m * ($n + $m + 1) / 12);
    # erfc by Abramowitz and Stegun, 7.1.26.
    my $t = 1 / (1 + 0.3275911 * $z / sqrt 2);
    return exp(-$z * $z / 2) * $t * (0.254829592 + $t * (-0.284496736 + $t * (1.421413741 + $t * (-1.453152027 + $t * 1.061405429))));
}

# So many rounds of all cases: { case => { work => [...], wall => [...] } }, and the answers seen.
sub measure
{
    my ($call, $rounds) = @_;
    my (%sample, %answers);
    foreach (1 .. $rounds)
    {
        foreach my $case (shuffle sort keys %case)
        {
            my $before = work();
            my $start = time;
            my $answer = $call->(@{ $case{$case} });
            push @{ $sample{$case}{wall} }, time - $start;
            push @{ $sample{$case}{work} }, work() - $before if defined $before;
            delete @{ $answer->{headers} }{ 'date', 'x-request-id' };
            $answers{ join ' ', $answer->{status}, $answer->{content}, map { "$_=$answer->{headers}{$_}" } sort keys %{ $answer->{headers} } }{$case} = 1;
        }
    }
    return (\%sample, \%answers);
}

foreach ([ 'login', \&login ], [ 'change_password', \&change ])
{
    my ($what, $call) = @$_;
    measure($call, 3); # the backend's plans and caches
    my (%far, %told, %work, $report);
    foreach my $try (1 .. TRIES)
    {
        my ($sample, $answers) = measure($call, ROUNDS);
        is(scalar keys %$answers, 1, "$what: one answer for all, headers too") or diag explain $answers;
        my $by = $sample->{$first}{work} ? 'work' : 'wall';
        push @{ $work{$_} }, @{ $sample->{$_}{$by} } foreach keys %case;
        my %difference = map { $_ => floor_of(@{ $work{$_} }) / floor_of(@{ $work{$first} }) - 1 } keys %case;
        my %apart = map { $_ => median(@{ $sample->{$_}{wall} }) / median(@{ $sample->{$first}{wall} }) - 1 } keys %case;
        my %p = map { $_ => mann_whitney($sample->{$_}{wall}, $sample->{$first}{wall}) } grep { $_ ne $first } keys %case;
        # A case that was once seen to be alike is; one that differs does so every time.
        foreach my $case (grep { $_ ne $first } keys %case)
        {
            $far{$case} = ($far{$case} // 1) && abs $difference{$case} >= 0.05;
            $told{$case} = ($told{$case} // 1) && $p{$case} <= 0.01 && abs $apart{$case} >= 0.02;
        }
        $report = join "\n", sprintf('%s: a wrong password %.2f ms', $what, 1000 * floor_of(@{ $sample->{$first}{wall} })),
          map { sprintf '%-40s work %+.2f %%, time %+.2f %%, p = %.3f', $_, 100 * $difference{$_}, 100 * $apart{$_}, $p{$_} } grep { $_ ne $first } sort keys %case;
        last if !grep { $_ } values %far, values %told;
        diag "try $try\n$report";
    }
    note $report;
    foreach my $case (grep { $_ ne $first } sort keys %case)
    {
        ok(!$far{$case}, "$what: $case is as much work as a wrong password");
        ok(!$told{$case}, "$what: $case takes as long as a wrong password");
    }
}
is($s->sql(q(SELECT count(*) FROM auth.users WHERE password_hash LIKE '$2a$04$%')), 1, 'and nothing was changed');
done_testing();
