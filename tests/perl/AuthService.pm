# SPDX-License-Identifier: MIT
#
# AuthService.pm: a PostgreSQL server with the extension, the shim in front of it, and requests to
# it, for the Perl tests.
package AuthService;

use strict;
use warnings;

use HTTP::Tiny;
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use OpenAPI;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(sleep time);

# A server with the extension in reach.  Options: fsync => 1, conf => text.  Not yet initialised.
sub new
{
    my ($class, $name, %options) = @_;
    my $node = PostgreSQL::Test::Cluster->new($name);
    $node->init;
    # Cluster.pm turns fsync off; the last line wins.
    $node->append_conf('postgresql.conf',
            "$ENV{AUTH_SERVICE_STAGE_CONF}\n"
          . "fsync = " . ($options{fsync} ? 'on' : 'off') . "\n"
          . "max_connections = 100\n"
          . ($options{conf} // ''));
    $node->start;
    return bless { node => $node, database => 'auth_service', shims => [] }, $class;
}

# The same after init-db, with passwords that hash fast, and a running shim (options: its arguments).
# Accounts are throttled, addresses are not; throttle => 1: both; throttle => 0: none.
sub start
{
    my ($class, $name, %options) = @_;
    my $self = $class->new($name, %options);
    $self->command('init-db');
    $self->sql("ALTER DATABASE auth_service SET auth_service.bcrypt_cost = " . ($options{cost} // 4));
    # All of a test comes from one address.
    my @off = !defined $options{throttle} ? 'address' : $options{throttle} ? () : ('address', 'account');
    $self->sql("ALTER DATABASE auth_service SET auth_service.throttle_${_}_failures = 0") foreach @off;
    $self->shim(@{ $options{arguments} // [] });
    return $self;
}

sub node { return $_[0]{node} }

# Environment of a command that connects as this role, or as the superuser.
sub environment
{
    my ($self, $role) = @_;
    return (
        PGHOST => $self->{node}->host,
        PGPORT => $self->{node}->port,
        PGDATABASE => $self->{database},
        PGUSER => $role // scalar getpwuid($<));
}

# Run auth-service as a superuser of the server; (exit status, standard output, standard error).
sub command
{
    my ($self, @arguments) = @_;
    my $input = ref $arguments[0] ? ${ shift @arguments } : '';
    my ($out, $err) = ('', '');
    local %ENV = (%ENV, $self->environment);
    IPC::Run::run([ $ENV{AUTH_SERVICE}, @arguments ], '<', \$input, '>', \$out, '2>', \$err);
    return ($? >> 8, $out, $err);
}

# The output of a statement, as a superuser, or as another role.
sub sql
{
    my ($self, $statement, $role) = @_;
    local %ENV = (%ENV, $role ? (PGOPTIONS => "-c role=$role") : ());
    my $output = $self->{node}->safe_psql($self->{database}, $statement);
    utf8::decode($output);
    return $output;
}

# Start a shim; its port.  The last one started is the one that requests go to.  A first argument
# { descriptors => n } limits them, { log => handle } is where its log goes.
sub shim
{
    my ($self, @arguments) = @_;
    my %limits = ref $arguments[0] ? %{ shift @arguments } : ();
    my $port = PostgreSQL::Test::Cluster::get_free_port();
    my $log = "$PostgreSQL::Test::Utils::log_path/" . $self->{node}->name . "_shim_$port.log";
    pipe(my $read, my $write) or die;
    my $pid = fork() // die "fork: $!";
    if ($pid == 0)
    {
        my %environment = $self->environment('auth_service_shim');
        $ENV{$_} = $environment{$_} foreach keys %environment;
        open(STDOUT, '>&', $write) or die;
        ($limits{log} ? open(STDERR, '>&', $limits{log}) : open(STDERR, '>', $log)) or die;
        my @limit = $limits{descriptors} ? ('sh', '-c', "ulimit -n $limits{descriptors}; exec \"\$@\"", 'sh') : ();
        exec(@limit, $ENV{AUTH_SERVICE}, 'serve', "--port=$port", '--threads=128', @arguments) or POSIX::_exit(127);
    }
    close $write;
    my $line = IO::Select->new($read)->can_read(20) ? <$read> : undef;
    defined $line && $line eq "listening on http://127.0.0.1:$port\n"
      or die "the shim did not start: " . slurp_file($log);
    push @{ $self->{shims} }, { pid => $pid, port => $port, log => $log };
    $self->{port} = $port;
    $self->{http} = HTTP::Tiny->new(timeout => 60, keep_alive => 1);
    return $port;
}

# Send the last shim a signal and wait for its end; its exit status.
sub stop_shim
{
    my ($self, $signal) = @_;
    my $shim = pop @{ $self->{shims} };
    kill $signal // 'TERM', $shim->{pid};
    waitpid $shim->{pid}, 0;
    return $?;
}

sub shim_log { return slurp_file($_[0]{shims}[-1]{log}) }
sub server_log { return slurp_file($_[0]{node}->logfile) }

sub DESTROY
{
    my ($self) = @_;
    local ($?, $!);
    foreach my $shim (@{ $self->{shims} })
    {
        # Under a sanitizer: what it has lost is counted where it ends by itself.
        if ($ENV{ASAN_OPTIONS})
        {
            kill 'TERM', $shim->{pid};
            for (1 .. 2000) { last if waitpid($shim->{pid}, POSIX::WNOHANG()); sleep 0.02 }
        }
        kill 'KILL', $shim->{pid};
        waitpid $shim->{pid}, 0;
    }
}

# The document that all answers are held against.
sub openapi
{
    my ($self) = @_;
    return $self->{openapi} //= OpenAPI->new(scalar qx("$ENV{AUTH_SERVICE}" openapi));
}

# A request: {status, headers, content, json}.  Options: token, json (a Perl value), form, body, type,
# headers.  Dies where the answer is not as the OpenAPI document has it.
sub request
{
    my ($self, $method, $path, %options) = @_;
    my %headers = %{ $options{headers} // {} };
    my $body = $options{body};
    my $type = $options{type};
    if (exists $options{json})
    {
        $body = JSON::PP->new->utf8->allow_nonref->encode($options{json});
        $type //= 'application/json';
    }
    if ($options{form})
    {
        $body = $self->{http}->www_form_urlencode($options{form});
        $type //= 'application/x-www-form-urlencoded';
    }
    $headers{'Content-Type'} = $type if defined $type;
    $headers{Authorization} = "Bearer $options{token}" if defined $options{token};
    my $answer = $self->{http}->request($method, "http://127.0.0.1:$self->{port}$path",
        { headers => \%headers, defined $body ? (content => $body) : () });
    # HTTP::Tiny writes head and body apart: the body would wait 40 ms for the head's acknowledgement.
    $self->{http}{handle}{fh}->setsockopt(IPPROTO_TCP, TCP_NODELAY, 1) if $self->{http}{handle};
    if ($answer->{status} != 599) # HTTP::Tiny's own: there was no answer
    {
        my @problems = $self->openapi->problems($method, $path, $answer);
        die join("\n    ", "$method $path: $answer->{status} $answer->{content}", @problems) . "\n" if @problems;
    }
    $answer->{json} = eval { JSON::PP->new->utf8->decode($answer->{content}) };
    return $answer;
}

# End the server processes of the fronts, and wait until they are gone: one that is still ending would take a request with it.
sub end_backends { $_[0]->sql("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'auth_service_shim'"); return }

# Make an account over HTTP; its id.
sub register
{
    my ($self, $email, $password) = @_;
    return $self->request('POST', '/auth/register',
        json => { email => $email, password => $password // 'Secret123' })->{json}{id};
}

# Log in over HTTP; the token pair.
sub login
{
    my ($self, $email, $password) = @_;
    return $self->request('POST', '/auth/login',
        form => [ username => $email, password => $password // 'Secret123' ])->{json};
}

# Send bytes on a connection of their own; all that comes back until the server closes, or for so
# many seconds nothing comes: (bytes, whether it was closed).
sub raw
{
    my ($self, $bytes, $patience) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port}) or die "connect: $!";
    my ($all, $closed) = ('', 0);
    local $SIG{PIPE} = 'IGNORE';
    $socket->syswrite($bytes);
    my $select = IO::Select->new($socket);
    while ($select->can_read($patience // 0.4))
    {
        my $got = $socket->sysread(my $chunk, 65536);
        if (!$got) { $closed = 1; last; }
        $all .= $chunk;
    }
    my @problems = $bytes =~ /^HEAD / ? () : $self->openapi->raw_problems($all);
    die join("\n    ", $all, @problems) . "\n" if @problems;
    return ($all, $closed);
}

# Run this code in so many processes at the same moment; the list of what each returned (a line).
sub parallel
{
    my ($self, $count, $code) = @_;
    pipe(my $gate, my $open) or die;
    my @pipes;
    foreach my $i (1 .. $count)
    {
        pipe(my $read, my $write) or die;
        my $pid = fork() // die "fork: $!";
        if ($pid == 0)
        {
            close $open;
            close $read;
            $self->{http} = HTTP::Tiny->new(timeout => 60, keep_alive => 1);
            sysread $gate, my $nothing, 1;
            my $result = eval { $code->($i) } // "died: $@";
            $result =~ s/\n/ /g;
            syswrite $write, "$result\n";
            POSIX::_exit(0);
        }
        close $write;
        push @pipes, [ $pid, $read ];
    }
    close $gate;
    close $open;
    my @results;
    foreach (@pipes)
    {
        my ($pid, $read) = @$_;
        my $line = <$read> // 'nothing';
        chomp $line;
        push @results, $line;
        waitpid $pid, 0;
    }
    return @results;
}

1;
