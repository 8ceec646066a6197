# 64 clients log in without pause, each with an account of its own; all the time another user's GET /users/me and
# /health answer at once, as those figures are in a quiet second before.
use strict;
use warnings;
use AuthService;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(sleep time);

use constant SECONDS => $ENV{SECONDS} // 12;
use constant CLIENTS => 64;

my $s = AuthService->start('logins', arguments => ['--threads=512']);
$s->sql('ALTER DATABASE auth_service SET auth_service.throttle_account_failures = 0');
$s->sql("SELECT auth.register('user' || i || '\@example.com', 'Secret123') FROM generate_series(0, 64) i");
my $token = $s->login('user0@example.com')->{access_token};
my $slow = $s->sql("SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'pgcrypto'");
$s->sql("WITH h AS MATERIALIZED (SELECT $slow.crypt('Secret123', $slow.gen_salt('bf', 12)) AS h) UPDATE auth.users SET password_hash = h.h FROM h");
$s->sql('ALTER DATABASE auth_service SET auth_service.bcrypt_cost = 12');

# GET a path so many times a second, on a connection that is kept; the milliseconds of each, from when it was due.
sub measure
{
    my ($path, $rate, $seconds) = @_;
    my (@times, $socket);
    my $begin = time;
    foreach my $i (0 .. $rate * $seconds - 1)
    {
        my $due = $begin + $i / $rate;
        my $early = $due - time;
        sleep $early if $early > 0;
        $socket //= IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->{port}) or die "connect: $!";
        $socket->syswrite("GET $path HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $token\r\n\r\n");
        my $answer = '';
        while ($answer !~ /\r\n\r\n/ || length $answer < $+[0] + ($answer =~ /Content-Length: (\d+)/ ? $1 : 0))
        {
            sysread $socket, $answer, 65536, length $answer or last;
        }
        return "$path: $answer" if $answer !~ m{^HTTP/1\.1 200 };
        push @times, 1000 * (time - $due);
        undef $socket if $answer =~ /Connection: close/;
    }
    return join ' ', map { sprintf '%.1f', $_ } @times;
}
sub percentile { my ($part, @times) = @_; return (sort { $a <=> $b } @times)[ int($part * $#times) ] }

my @quiet = split ' ', measure('/users/me', 40, 1);
my %limits = ('GET /users/me' => 100, '/health/ready' => 1000, '/health/live' => 1000); # in milliseconds
my @what = ('GET /users/me', '/health/ready', '/health/live');
# On a machine that others use as well nobody can promise the slowest.
sub most { return 4 * $limits{ $_[0] } + percentile(1, @quiet) }

# One measurement: the statuses of the logins, and the milliseconds of each of the others.
sub measure_among_logins
{
    my $end = time + SECONDS + 2;
    my @results = $s->parallel(CLIENTS + 3, sub {
        my ($i) = @_;
        if ($i > CLIENTS)
        {
            sleep 1;
            return measure(@{ [ [ '/users/me', 40 ], [ '/health/ready', 10 ], [ '/health/live', 10 ] ]->[ $i - CLIENTS - 1 ] }, SECONDS);
        }
        my %seen;
        while (time < $end)
        {
            $seen{ $s->request('POST', '/auth/login', form => [ username => "user$i\@example.com", password => 'Secret123' ])->{status} }++;
        }
        return join ' ', map { "$_=$seen{$_}" } sort keys %seen;
    });
    my @measured = splice @results, CLIENTS;
    my (%logins, %times);
    foreach (@results) { $logins{$1} += $2 while /(\w+)=(\d+)/g }
    foreach my $what (@what)
    {
        my $got = shift @measured;
        $times{$what} = $got =~ /^[\d. ]+$/ ? [ split ' ', $got ] : [];
        diag $got if !@{ $times{$what} };
    }
    return (\%logins, \%times);
}
sub is_slow { my ($times) = @_; return grep { @{ $times->{$_} } && (percentile(0.99, @{ $times->{$_} }) >= $limits{$_} || percentile(1, @{ $times->{$_} }) >= most($_)) } @what }

# Other work on the machine, another test of this run's, may be in the way of one measurement.
my ($logins, $times);
foreach (1 .. 4)
{
    ($logins, $times) = measure_among_logins();
    last if !is_slow($times);
}
is(join(' ', grep { !/^(200|503)$/ } sort keys %$logins), '', 'logins: answered, or 503') or diag explain $logins;
note 'logins: ' . join ', ', map { "$logins->{$_} x $_" } sort keys %$logins;
cmp_ok($logins->{200} // 0, '>=', SECONDS, 'and they go on');
foreach my $what (@what)
{
    my @times = @{ $times->{$what} };
    cmp_ok(scalar @times, '>', 0, "$what: served all the time");
    my ($p99, $max) = (percentile(0.99, @times), percentile(1, @times));
    note sprintf '%s: p50 %.1f p99 %.1f max %.1f ms (quiet: max %.1f)', $what, percentile(0.5, @times), $p99, $max, percentile(1, @quiet);
    cmp_ok($p99, '<', $limits{$what}, "$what: 99 of 100 within $limits{$what} ms");
    cmp_ok($max, '<', most($what), "$what: none waits long");
}
done_testing();
