# Signals.  SIGTERM: what was accepted is answered, what still comes is refused in order, and it ends with 0.  SIGHUP: the file
# of --env-file is read again, while requests go on; a bad one changes nothing.
use strict;
use warnings;
use AuthService;
use Errno;
use Faults;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $s = AuthService->start('signals');
$s->sql('ALTER DATABASE auth_service SET auth_service.throttle_account_failures = 0');
$s->register("$_\@example.com") foreach qw(ann bob);
my $token = $s->login('ann@example.com')->{access_token};

# ---- SIGTERM ---------------------------------------------------------------------------------------
sub read_answer
{
    my ($socket) = @_;
    my $answer = '';
    while ($answer !~ /\r\n\r\n/ || length $answer < $+[0] + ($answer =~ /Content-Length: (\d+)/ ? $1 : 0))
    {
        my $got = sysread $socket, $answer, 65536, length $answer;
        next if !defined $got && $!{EINTR}; # a child of the test's may have ended meanwhile
        last if !$got;
    }
    return $answer;
}
sub connection { return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->{port}) }
my $guess = 'username=nobody%40example.com&password=x';
my $post = "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: " . length($guess) . "\r\n\r\n$guess";

$s->sql('ALTER DATABASE auth_service SET auth_service.bcrypt_cost = 12');
$s->shim('--threads=256');
my $shim = $s->{shims}[-1]{pid};
my @kept = map { connection() } 1 .. 5;
foreach my $socket (@kept) { $socket->syswrite("GET / HTTP/1.1\r\nHost: x\r\n\r\n"); read_answer($socket) }
my @queued = map { my $socket = connection(); $socket->syswrite($post); $socket } 1 .. 50;
my $half = connection();
$half->syswrite(substr $post, 0, -5);
sleep 0.3;
my $begin = time;
kill 'TERM', $shim;
sleep 0.3;
$half->syswrite(substr $post, -5);
my @late = map { $_->syswrite("GET / HTTP/1.1\r\nHost: x\r\n\r\n"); read_answer($_) } @kept;
my $new = connection();
$new->syswrite("GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n");
push @late, read_answer($new);
is(scalar(grep { m{^HTTP/1\.1 503 .*\r\nConnection: close\r\n.*Retry-After: 1\r\n.*\{"detail":"[^"]+"\}$}s } @late), 6,
    'SIGTERM: what comes after it, on kept connections and new ones: 503, Retry-After, Connection: close') or diag join "\n", @late;
my @answers = map { read_answer($_) } @queued, $half;
is(scalar(grep { m{^HTTP/1\.1 (?:401|503) .*\r\nConnection: (?:close|keep-alive)\r\n.*\r\n\r\n\{.*\}$}s } @answers), 51, 'SIGTERM: 51 logins, running, in the line and half sent: each is answered whole') or diag join "\n---\n", @answers;
cmp_ok(scalar(grep { /^HTTP\S+ 401/ } @answers), '>=', 10, 'SIGTERM: and not by a refusal of all');
waitpid $shim, 0;
is($?, 0, 'SIGTERM: exit status 0');
cmp_ok(time - $begin, '<', 20, 'SIGTERM: within the grace time');
pop @{ $s->{shims} };

# Nothing is under way, but something is on its way.  The front waits a moment for it; on a machine with other work the
# requests may come after that: ask again.
foreach my $try (1 .. 4)
{
    $s->shim;
    @kept = map { connection() } 1 .. 5;
    foreach my $socket (@kept) { $socket->syswrite("GET / HTTP/1.1\r\nHost: x\r\n\r\n"); read_answer($socket) }
    $shim = $s->{shims}[-1]{pid};
    kill 'TERM', $shim;
    sleep 0.05;
    @late = grep { m{^HTTP/1\.1 503 .*\r\nConnection: close\r\n}s } map { $_->syswrite("GET / HTTP/1.1\r\nHost: x\r\n\r\n"); read_answer($_) } @kept;
    waitpid $shim, 0;
    my $status = $?;
    pop @{ $s->{shims} };
    next if @late < 5 && $try < 4;
    is(scalar @late, 5, 'SIGTERM while nothing is under way: requests on their way are answered');
    is($status, 0, 'and then it ends');
    last;
}

$s->sql('ALTER DATABASE auth_service SET auth_service.bcrypt_cost = 16');
$s->shim;
my $running = connection();
$running->syswrite($post);
sleep 0.3;
$shim = $s->{shims}[-1]{pid};
kill 'TERM', $shim;
sleep 0.2;
$begin = time;
kill 'TERM', $shim;
waitpid $shim, 0;
cmp_ok(time - $begin, '<', 0.5, 'a second SIGTERM: at once, though a hash is running');
pop @{ $s->{shims} };
$s->sql('ALTER DATABASE auth_service SET auth_service.bcrypt_cost = 4');

# ---- The file --------------------------------------------------------------------------------------
my $file = PostgreSQL::Test::Utils::tempdir . '/service.env';
sub put { my ($text, $mode) = @_; open(my $out, '>', "$file.new") or die; print $out $text; close $out; chmod $mode // 0600, "$file.new"; rename "$file.new", $file or die }
sub run { my ($environment, @arguments) = @_; local %ENV = (%ENV, %$environment); return $s->command(@arguments) }
put("POSTGRES_PORT=x\n");
foreach (
    [ "# a comment\n\nREDIS_URL=redis://x\nno variable\n", 'line 4 of FILE is not NAME=value' ],
    [ "POSTGRES_PASSWORD='Sesame\n", 'line 1 of FILE is not NAME=value' ],
    [ "Sesame\n", 'line 1 of FILE is not NAME=value' ],
    [ "AUTH_SERVICE_PROT=1\n", 'line 1 of FILE: there is no AUTH_SERVICE_PROT' ],
    [ "AUTH_SERVICE_ENV_FILE=other\n", 'line 1 of FILE: there is no AUTH_SERVICE_ENV_FILE' ],
    [ "AUTH_SERVICE_PORT=x\n", '--port (AUTH_SERVICE_PORT) takes a number from 1 to 65535, not "x"' ],
    [ "AUTH_SERVICE_LOG_LEVEL = info\n", 'line 1 of FILE is not NAME=value' ],
    [ "\0\n", 'FILE is no file of variables' ],
    [ "DATABASE_URL=mysql://u:Sesame\@h/d\n", q(the database URL is no connection string of libpq's (postgresql://user:password@host:port/database)) ],
    [ 'x' x 300_000, 'FILE is no file of variables' ])
{
    my ($text, $message) = @$_;
    put($text);
    $message =~ s/FILE/$file/;
    my ($status, $out, $err) = run({ AUTH_SERVICE_ENV_FILE => $file }, 'serve');
    is("$status$out$err", "2auth-service: $message\n", "a bad file: $message");
}
my ($status, $out, $err) = $s->command('serve', '--env-file=/nonexistent');
is("$status$err", "2auth-service: cannot read /nonexistent: No such file or directory\n", 'no file');
# A pipe has nobody who writes into it, and would be waited for.
sub put_pipe { unlink $file; POSIX::mkfifo($file, 0600) or die; return }
put_pipe();
foreach ([ $file, 'a pipe' ], [ PostgreSQL::Test::Utils::tempdir, 'a folder' ])
{
    my ($path, $what) = @$_;
    ($out, $err) = ('', '');
    eval { IPC::Run::run([ $ENV{AUTH_SERVICE}, 'serve', "--env-file=$path" ], '>', \$out, '2>', \$err, IPC::Run::timeout(10)) };
    is("$out$err", "auth-service: $path is no regular file\n", $what);
}
put(qq(export POSTGRES_HOST="/from file"\r\n  POSTGRES_PORT='7'  \nPOSTGRES_USER=ann\nPOSTGRES_USER=bob\nPOSTGRES_DB=\n), 0644);
sub help_names { my (undef, $help) = $s->command('--help'); my %names = map { $_ => 1 } $help =~ /\b([A-Z]+(?:_[A-Z]+)+)\b/g; delete $names{AUTH_SERVICE_ENV_FILE}; return sort keys %names }
sub tries { my ($status, $out, $err) = run(@_); return $err }
like(tries({}, 'drop-db', '--yes', "--env-file=$file"), qr{socket "/from file/\.s\.PGSQL\.7"}, 'values in quotes, blanks, CR, export');
like(tries({ POSTGRES_HOST => '/from environment' }, 'drop-db', '--yes', "--env-file=$file"), qr{socket "/from environment/\.s\.PGSQL\.7"}, 'the environment wins over the file');
like(tries({ POSTGRES_HOST => '/from environment' }, 'drop-db', '--yes', '--database-host=/from option', "--env-file=$file"), qr{socket "/from option/\.s\.PGSQL\.7"}, 'and an option over both');
put(join '', map { "$_=\n" } help_names());
like(tries({}, 'drop-db', '--yes', "--env-file=$file", '--database-host=/nowhere'), qr{socket "/nowhere/}, 'every variable that --help lists is taken: ' . scalar help_names());
put("POSTGRES_HOST=/nowhere\n", 0644);
unlike(tries({}, 'drop-db', '--yes', "--env-file=$file"), qr/warning/, 'without a secret everybody may read it');
put("POSTGRES_PASSWORD=Sesame\nPOSTGRES_HOST=/nowhere\n", 0644);
like(tries({}, 'drop-db', '--yes', "--env-file=$file"), qr/^auth-service: warning: everybody on this machine can read the file with the secrets: \Q$file\E\n/, 'a secret that everybody may read: a warning');
put("POSTGRES_PASSWORD=Sesame\nPOSTGRES_HOST=/nowhere\n", 0640);
unlike(tries({}, 'drop-db', '--yes', "--env-file=$file"), qr/warning|Sesame/, 'one that a group may: none');

# ---- SIGHUP ----------------------------------------------------------------------------------------
sub reload
{
    my $before = () = $s->shim_log =~ /"message":"(?:reloaded|the settings stay as they are)"/g;
    kill 'HUP', $s->{shims}[-1]{pid};
    foreach (1 .. 100)
    {
        my @after = $s->shim_log =~ /"message":"(reloaded|the settings stay as they are)"/g;
        return $after[-1] if @after > $before;
        sleep 0.02;
    }
    return 'nothing';
}
sub me { return $s->request('GET', '/users/me', token => $token)->{status} }

# The role's password, which the server demands from now on.
my $hba = $s->node->data_dir . '/pg_hba.conf';
my $rules = slurp_file($hba);
{ open(my $out, '>', $hba) or die; print $out "local all auth_service_shim scram-sha-256\n$rules"; }
$s->node->reload;
sub password { $s->sql("ALTER ROLE auth_service_shim PASSWORD '$_[0]'"); return }
password('Sesame-1');
put("POSTGRES_PASSWORD=Sesame-1\n");
$s->shim("--env-file=$file", '--pool-size=4');
is(me(), 200, 'the password is in the file');
password('Sesame-2');
is(me(), 200, 'another password: the connections that there are go on');
$s->end_backends;
is(me(), 503, 'others cannot be made');
put("POSTGRES_PASSWORD=Sesame-2\n");
is(reload(), 'reloaded', 'SIGHUP');
is(me(), 200, 'and at once the new password counts');

# While requests go on the settings change to and fro, another role among them, and no request fails.
$s->sql("CREATE ROLE regress_other LOGIN PASSWORD 'Sesame-3'; SELECT auth.allow_api('regress_other')");
my @texts = ("POSTGRES_PASSWORD=Sesame-2\n", "POSTGRES_USER=regress_other\nPOSTGRES_PASSWORD=Sesame-3\nAUTH_SERVICE_LOG_LEVEL=debug\nAUTH_SERVICE_HASH_SLOTS=3\n");
$shim = $s->{shims}[-1]{pid};
# The environment has PGUSER, which a POSTGRES_USER wins over.
@answers = $s->parallel(5, sub {
    if ($_[0] == 5) { foreach (1 .. 30) { put($texts[ $_ % 2 ]); kill 'HUP', $shim; sleep 0.05 } return 'done' }
    my %seen;
    my $end = time + 1.6;
    while (time < $end)
    {
        $seen{ $_[0] == 4 ? $s->request('POST', '/auth/login', form => [ username => 'bob@example.com', password => 'Secret123' ])->{status} : me() }++;
    }
    return join ' ', keys %seen;
});
is("@answers", '200 200 200 200 done', 'SIGHUP under load: no request fails');
put($texts[1]);
is(reload(), 'reloaded', 'SIGHUP: another role');
# "reloaded" may have been said of a signal before this one, and stands in the log before the old connections are closed.
sub connections { return $s->sql("SELECT count(*) FROM pg_stat_activity WHERE usename = '$_[0]'") }
for (1 .. 100) { is(me(), 200, 'SIGHUP: served') if me() != 200; last if connections('regress_other') && !connections('auth_service_shim'); sleep 0.05 }
is(connections('auth_service_shim'), 0, 'SIGHUP: the old connections are gone');
cmp_ok(connections('regress_other'), '>', 0, 'SIGHUP: new ones took their place');

# While it starts: it is held up at a pipe among the files of /docs.
put($texts[1]);
{
    my $folder = PostgreSQL::Test::Utils::tempdir;
    POSIX::mkfifo("$folder/$_", 0600) or die foreach qw(swagger-ui-bundle.js swagger-ui.css favicon-32x32.png);
    my $starter = fork() // die;
    if ($starter == 0)
    {
        $s->{shims} = [];
        my $port = eval { $s->shim("--env-file=$file", "--docs-dir=$folder") };
        POSIX::_exit(!$port || me() != 200 || $s->stop_shim);
    }
    # Until it sleeps for as long as only that lasts.
    my ($started, $asleep) = (0, 0);
    for (my $until = time + 20; $asleep < 10 && time < $until; sleep 0.03)
    {
        ($started) = grep { (readlink("/proc/$_/exe") // '') eq $ENV{AUTH_SERVICE} } Faults::family($starter);
        $asleep = $started && slurp_file("/proc/$started/stat") =~ /\) S / ? $asleep + 1 : 0;
    }
    is($asleep, 10, 'it waits while it starts');
    cmp_ok(scalar(() = glob "/proc/$started/task/*"), '<', 20, 'and has not come to the threads of HTTP');
    kill 'HUP', $started;
    # Nobody reads it any more where that has ended it.
    sysopen(my $pipe, "$folder/swagger-ui-bundle.js", POSIX::O_WRONLY() | POSIX::O_NONBLOCK());
    close $pipe if $pipe;
    waitpid $starter, 0;
    is($?, 0, 'SIGHUP while it starts: it starts, serves and ends in order');
}

# While a connection is being made: it is one of the settings before, and serves nobody.  Its way to the server is
# held up until the signal was heard.
{
    my $folder = PostgreSQL::Test::Utils::tempdir_short;
    my $listener = IO::Socket::UNIX->new(Local => "$folder/.s.PGSQL.1", Listen => 5) or die;
    pipe(my $gate, my $open) or die;
    pipe(my $came, my $comes) or die;
    my $relay = fork() // die;
    if ($relay == 0)
    {
        my $client = $listener->accept;
        syswrite $comes, 'x';
        sysread $gate, my $nothing, 1;
        my $server = IO::Socket::UNIX->new(Peer => $s->node->host . '/.s.PGSQL.' . $s->node->port) or POSIX::_exit(1);
        my $select = IO::Select->new($client, $server);
        while (1)
        {
            foreach my $from ($select->can_read)
            {
                sysread($from, my $bytes, 65536) or POSIX::_exit(0);
                syswrite $comes, 'a call' if $bytes =~ /SELECT auth\./;
                syswrite $from == $client ? $server : $client, $bytes;
            }
        }
    }
    put("POSTGRES_HOST=$folder\nPOSTGRES_PORT=1\nPOSTGRES_USER=auth_service_shim\nPOSTGRES_PASSWORD=Sesame-2\n");
    my $port = $s->{port};
    $s->shim("--env-file=$file", '--pool-size=4');
    my $early = connection();
    $early->syswrite("GET /users/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $token\r\n\r\n");
    sysread $came, my $nothing, 1;
    put($texts[1]);
    is(reload(), 'reloaded', 'SIGHUP while a connection is being made');
    syswrite $open, 'x';
    like(read_answer($early), qr{^HTTP/1\.1 200 }, 'and who waits for one is served');
    is(me(), 200, 'and so are others') foreach 1 .. 3;
    for (1 .. 100) { last if !connections('auth_service_shim'); sleep 0.02 }
    is(connections('auth_service_shim'), 0, 'the connection of the settings before is gone');
    ok(!IO::Select->new($came)->can_read(0), 'and has served nobody');
    kill 'KILL', $relay;
    waitpid $relay, 0;
    $s->stop_shim;
    $s->{port} = $port;
}

# What is wrong changes nothing, and what cannot change is said.
foreach (
    [ "AUTH_SERVICE_MAX_BODY=x\nPOSTGRES_USER=nobody\n", qr/"error":"--max-body \(AUTH_SERVICE_MAX_BODY\) takes a number/ ],
    [ "DATABASE_URL=mysql://u:Sesame-4\@h/d\n", qr/"error":"the database URL is no connection string/ ],
    [ "Sesame-4\n", qr/"error":"line 1 of .* is not NAME=value"/ ])
{
    my ($text, $message) = @$_;
    put($text);
    is(reload(), 'the settings stay as they are', 'a bad file: the settings stay');
    like($s->shim_log, $message, 'and the log says why');
    is(me(), 200, 'and they count');
}
put_pipe();
is(reload(), 'the settings stay as they are', 'a pipe: the settings stay');
unlink $file;
is(reload(), 'the settings stay as they are', 'no file: the settings stay');
put($texts[1] . "AUTH_SERVICE_MAX_BODY=256\nAUTH_SERVICE_KEEP_ALIVE_TIMEOUT=7\nAUTH_SERVICE_LOG_FORMAT=json\nAUTH_SERVICE_POOL_SIZE=9\n");
is(reload(), 'reloaded', 'SIGHUP: a smaller body');
is($s->request('POST', '/auth/refresh', json => { refresh_token => 'x' x 300 })->{status}, 413, 'SIGHUP: counts at once');
like($s->shim_log, qr/"message":"a setting changes only at the next start","setting":"$_"/, "SIGHUP: $_ does not") foreach qw(AUTH_SERVICE_KEEP_ALIVE_TIMEOUT);
unlike($s->shim_log, qr/"setting":"AUTH_SERVICE_POOL_SIZE"/, 'SIGHUP: what an option says is not for the file');
# A log that is quiet does not say when that began.
sub logs { my $length = length $s->shim_log; me(); return substr $s->shim_log, $length }
sub until_logs { my ($wanted) = @_; foreach (1 .. 100) { return 1 if logs() =~ $wanted; sleep 0.05 } return 0 }
put($texts[1] . "AUTH_SERVICE_LOG_LEVEL=error\n");
kill 'HUP', $shim;
ok(until_logs(qr/^\z/), 'SIGHUP: the log is quiet now');
put($texts[1] . "AUTH_SERVICE_LOG_FORMAT=text\n");
kill 'HUP', $shim;
ok(until_logs(qr/^\S+ info request .*status=200/m), 'SIGHUP: and then text');
unlike($s->shim_log, qr/Sesame/, 'no password is in the log');
is($s->stop_shim, 0, 'SIGTERM: exit status 0');
done_testing();
