# SPDX-License-Identifier: MIT
#
# Hostile.pm: databases with a hostile role in them, and attacks by it, for tests/t/70_hostile_role.pl.
#
# An attack is a row of a file in tests/hostile.  It has succeeded where afterwards anything is different that
# must not be, or its output shows what it must not: the probes are the same for all.
package Hostile;

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256);
use IPC::Open3 qw(open3);
use MIME::Base64 qw(decode_base64url encode_base64url);
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time);

# The accounts of each database.
use constant { VICTIM => 1, ADMIN => 2, EVE => 3, OTHER => 4 };

# An attack may not take so many seconds: what a time-out does not end is one that succeeded.
use constant PATIENCE => 8;

# What must be the same after an attack, a line each.
my $state = <<'SQL';
CREATE SCHEMA watch; CREATE FUNCTION watch.state() RETURNS text LANGUAGE sql SET search_path = pg_catalog AS $$
SELECT string_agg(what || '=' || coalesce(value, 'none'), E'\n') FROM (
WITH class AS (SELECT * FROM pg_class WHERE relnamespace = 'auth'::regnamespace)
SELECT 'schemas', string_agg(concat_ws(' ', nspname, nspowner, nspacl), '|' ORDER BY nspname) FROM pg_namespace WHERE nspname IN ('auth', 'app', 'public', 'extensions')
UNION ALL SELECT 'relations', md5(string_agg(concat_ws(' ', oid, relname, relowner, relkind, relacl, relnatts, relchecks, relhassubclass, relrowsecurity, relispartition), '|' ORDER BY oid)) FROM class
UNION ALL SELECT 'columns', md5(string_agg(concat_ws(' ', attrelid, attnum, attname, atttypid, attacl, atthasdef, attnotnull, attisdropped), '|' ORDER BY attrelid, attnum)) FROM pg_attribute WHERE attrelid IN (SELECT oid FROM class) AND attnum > 0
UNION ALL SELECT 'functions', md5(string_agg(p::text, '|' ORDER BY oid)) FROM pg_proc p WHERE pronamespace = 'auth'::regnamespace
UNION ALL SELECT 'types', md5(string_agg(t::text, '|' ORDER BY oid)) FROM pg_type t WHERE typnamespace = 'auth'::regnamespace AND typelem = 0
UNION ALL SELECT 'labels', md5(string_agg(e::text, '|' ORDER BY oid)) FROM pg_enum e WHERE enumtypid = 'auth.user_role'::regtype
UNION ALL SELECT 'triggers', md5(string_agg(t::text, '|' ORDER BY oid)) FROM pg_trigger t WHERE tgrelid IN (SELECT oid FROM class)
UNION ALL SELECT 'rules', md5(string_agg(r::text, '|' ORDER BY oid)) FROM pg_rewrite r WHERE ev_class IN (SELECT oid FROM class)
UNION ALL SELECT 'policies', md5(string_agg(p::text, '|' ORDER BY oid)) FROM pg_policy p WHERE polrelid IN (SELECT oid FROM class)
UNION ALL SELECT 'constraints', md5(string_agg(c::text, '|' ORDER BY oid)) FROM pg_constraint c WHERE conrelid IN (SELECT oid FROM class) OR confrelid IN (SELECT oid FROM class)
UNION ALL SELECT 'statistics', count(*)::text FROM pg_statistic_ext WHERE stxrelid IN (SELECT oid FROM class)
UNION ALL SELECT 'extensions', md5(string_agg(e::text, '|' ORDER BY oid)) FROM pg_extension e
UNION ALL SELECT 'members', md5(string_agg(d::text, '|' ORDER BY d::text)) FROM pg_depend d WHERE deptype = 'e'
UNION ALL SELECT 'roles', md5(string_agg(concat_ws(' ', rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls), '|' ORDER BY oid)) FROM pg_authid
UNION ALL SELECT 'memberships', md5(string_agg(m::text, '|' ORDER BY m::text)) FROM pg_auth_members m
UNION ALL SELECT 'settings', md5(string_agg(s::text, '|' ORDER BY s::text)) FROM pg_db_role_setting s
UNION ALL SELECT 'default privileges', string_agg(d::text, '|') FROM pg_default_acl d WHERE defaclrole <> 'regress_mallory'::regrole
UNION ALL SELECT 'parameters', string_agg(p::text, '|') FROM pg_parameter_acl p
UNION ALL SELECT 'event triggers', string_agg(concat_ws(' ', evtname, evtenabled), ',' ORDER BY evtname) FROM pg_event_trigger
UNION ALL SELECT 'publications', string_agg(pubname, ' ') FROM pg_publication
UNION ALL SELECT 'slots', string_agg(slot_name, ' ') FROM pg_replication_slots
UNION ALL SELECT 'objects of the superuser in hostile schemas', string_agg(oid::regprocedure::text, ' ') FROM pg_proc WHERE pronamespace = 'mallory'::regnamespace AND proowner <> 'regress_mallory'::regrole
UNION ALL SELECT 'accounts', md5(string_agg(concat_ws('|', id, email, email_normalized, password_hash, first_name, role, balance, blocked_at, deleted_at, takes_imported_tokens), ' ' ORDER BY id)) FROM auth.users WHERE id IN (1, 2, 4)
UNION ALL SELECT 'admins', string_agg(id::text, ' ' ORDER BY id) FROM auth.users WHERE role = 'admin'
UNION ALL SELECT 'eve', concat_ws(' ', email, role, blocked_at, balance < 1000) FROM auth.users WHERE id = 3
UNION ALL SELECT 'sessions', md5(string_agg(s::text, '|' ORDER BY id)) FROM auth.sessions s WHERE user_id IN (1, 2)
UNION ALL SELECT 'keys', md5(string_agg(k::text, '|' ORDER BY kid)) FROM auth.signing_keys k
UNION ALL SELECT 'ledger', md5(string_agg(e::text, '|' ORDER BY number)) FROM auth.balance_entries e WHERE user_id IN (1, 2)
UNION ALL SELECT 'audit', md5(string_agg(a::text, '|' ORDER BY id)) FROM auth.audit_log a WHERE id <= 8
UNION ALL SELECT 'audit names the role', bool_and(db_role <> 'regress_mallory' OR action IN ('register', 'login', 'login_failed', 'logout', 'logout_all', 'change_password_failed', 'refused', 'refresh_reused', 'throttled'))::text FROM auth.audit_log
UNION ALL SELECT 'refusals', (count(*) <= 60)::text FROM auth.audit_log WHERE action = 'refused'
UNION ALL SELECT 'short audit', coalesce(bool_and(octet_length(a::text) < 8192), true)::text FROM auth.audit_log a
UNION ALL SELECT 'notes', md5(string_agg(n::text, '|')) FROM app.notes n
) x (what, value)
$$;
SQL

# The application that lives in the database: rows of the victim's behind a policy, and functions of an
# operator's who means well.
my $application = <<'SQL';
CREATE SCHEMA app AUTHORIZATION regress_app; GRANT USAGE ON SCHEMA app TO PUBLIC;
SET ROLE regress_app; SET search_path = pg_catalog;
CREATE TABLE app.notes (owner bigint NOT NULL, note text); INSERT INTO app.notes VALUES (1, 'SENTINEL note');
ALTER TABLE app.notes ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON app.notes USING (owner = auth.uid()); GRANT SELECT ON app.notes TO PUBLIC;
RESET ROLE;
CREATE FUNCTION app.promote(id bigint) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$BEGIN RETURN auth.set_role(id, 'admin'); END$$;
CREATE FUNCTION app.allow(r text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$BEGIN PERFORM auth.allow_api(r::regrole); END$$;
CREATE FUNCTION app.open_list() RETURNS refcursor LANGUAGE plpgsql SECURITY DEFINER AS $$DECLARE c refcursor := 'list'; BEGIN OPEN c FOR SELECT * FROM auth.list_users(); RETURN c; END$$;
SQL

# The attacks of a file: { name, sql, dba (what the superuser does then), seen, api, options }.
sub attacks
{
    my ($file) = @_;
    my @attacks;
    foreach my $part (split /^--! /m, slurp_file("tests/hostile/$file.sql"))
    {
        my ($name, $rest) = $part =~ /\A([^\n]+)\n(.*)\z/s or die "$file: $part";
        next if $name =~ /^--/; # the file's head
        my %attack = (name => "$file: $name", seen => '42501');
        while ($rest =~ s/\A-- (seen|options): ([^\n]*)\n//) { $attack{$1} = $2; }
        $attack{api} = 1 if $rest =~ s/\A-- api\n//;
        @attack{qw(sql dba)} = split /^--> as the operator\n/m, $rest;
        push @attacks, \%attack;
    }
    return @attacks;
}

# A database of this name, with the hostile role's objects in it before the extension comes, in this version
# first.  The superuser's search_path is as the attacker would have it.
sub new
{
    my ($class, $server, $name, $version) = @_;
    my $self = bless { server => $server, node => $server->node, name => $name, log_offset => 0 }, $class;
    my $node = $server->node;
    $node->safe_psql('postgres', "CREATE DATABASE $name; ALTER DATABASE $name SET auth_service.bcrypt_cost = 4");
    $node->safe_psql($name, "GRANT CREATE ON DATABASE $name TO regress_mallory; GRANT CREATE ON SCHEMA public TO regress_mallory;
        CREATE SCHEMA mallory AUTHORIZATION regress_mallory; CREATE SCHEMA extensions; GRANT USAGE ON SCHEMA extensions TO PUBLIC;
        CREATE EXTENSION pgcrypto SCHEMA extensions; CREATE EXTENSION dblink SCHEMA extensions; CREATE EXTENSION pg_stat_statements SCHEMA public;
        CREATE EXTENSION postgres_fdw SCHEMA extensions;");
    $self->plant('planted');
    $self->operator("CREATE EXTENSION auth_service" . ($version ? " VERSION '$version'" : ''));
    $self->plant('clinging');
    $self->operator('ALTER EXTENSION auth_service UPDATE');
    $node->safe_psql($name, $application);
    $self->settle;
    return $self;
}

# Run a file of the attacker's in peace; it must work.
sub plant
{
    my ($self, $file) = @_;
    my $out = $self->psql('regress_mallory', '-c search_path=pg_catalog', slurp_file("tests/hostile/$file.sql"));
    $out =~ /ERROR:/ and die "$file: $out";
    return;
}

# psql as a role, in the attacker's words: all that it writes.
sub psql
{
    my ($self, $role, $options, $sql, %variables) = @_;
    my $out;
    local %ENV = (%ENV, $self->{server}->environment($role), PGDATABASE => $self->{name}, PGOPTIONS => $options);
    my @variables = map { "--set=$_=$variables{$_}" } keys %variables;
    # Standard output and error in one; IPC::Run would take longer over it than the attack.
    my $pid = open3(my $in, my $all, undef, 'psql', '--no-psqlrc', '--quiet', '--no-align', '--tuples-only', '--set=VERBOSITY=verbose', @variables);
    print $in $sql;
    close $in;
    $out = do { local $/; <$all> } // '';
    waitpid $pid, 0;
    return $out;
}

# The superuser, whose path is hostile.
sub operator
{
    my ($self, $sql) = @_;
    my $out = $self->psql(undef, '-c search_path=mallory,public,pg_catalog', $sql);
    return $out;
}

# The accounts and their secrets; and from here on what is, stays.
sub settle
{
    my ($self) = @_;
    $self->{node}->safe_psql($self->{name}, $state);
    $self->watch;
    $self->query("SELECT auth.allow_api('regress_app')");
    $self->query("SELECT auth.register('$_\@example.com', 'Secret123', 'SENTINEL', 'name')") foreach qw(victim root eve other);
    $self->query("SELECT auth.set_role(2, 'admin')");
    $self->{victim} = $self->query("SELECT (auth.login('victim\@example.com', 'Secret123')).access_token");
    $self->query("SELECT auth.login('root\@example.com', 'Secret123') IS NULL");
    $self->query("SELECT auth.admin_change_balance(1, 500)");
    $self->query("ANALYZE auth.users");
    $self->{secrets} = [ 'SENTINEL', $self->{victim}, split /\n/, $self->query("SELECT password_hash FROM auth.users UNION ALL SELECT encode(secret, 'hex') FROM auth.signing_keys
        UNION ALL SELECT encode(refresh_key, 'hex') FROM auth.sessions") ];
    $self->{state} = $self->query('SELECT watch.state()');
    return;
}

# A connection that is there all the time.  Its path is PostgreSQL's alone: what we ask must not meet what
# the attacker has made either.
sub watch
{
    my ($self) = @_;
    $self->{watch} = $self->{node}->background_psql($self->{name});
    $self->query('SET search_path = pg_catalog');
    return;
}

# A copy, to be weakened.  Nobody may be connected to what is copied, so our own connection begins anew.
sub copy
{
    my ($self) = @_;
    my $copy = bless { %$self, name => 'hostile_weak' }, ref $self;
    $self->{watch}->quit if $self->{watch};
    delete $self->{watch};
    $self->{node}->safe_psql('postgres', "CREATE DATABASE hostile_weak TEMPLATE $self->{name}");
    $copy->watch;
    $copy->changes;
    return $copy;
}

sub drop
{
    my ($self) = @_;
    $self->{watch}->quit;
    $self->{node}->safe_psql('postgres', 'DROP DATABASE hostile_weak WITH (FORCE)');
    return;
}

sub query
{
    my ($self, $sql) = @_;
    return $self->{watch}->query_safe($sql);
}

# What has changed since the last look, and it is looked at again: "name" of each.
sub changes
{
    my ($self) = @_;
    my $now = eval { $self->query('SELECT watch.state()') };
    if (!defined $now)
    {
        $self->watch;
        return 'the server crashed, or ended our connection';
    }
    my %before = map { split /=/, $_, 2 } split /\n/, $self->{state};
    my %after = map { split /=/, $_, 2 } split /\n/, $now;
    $self->{state} = $now;
    return map { "$_: changed" } grep { ($before{$_} // '') ne ($after{$_} // '') } sort keys %after;
}

# Tokens that are none, made of one that is.
sub forgeries
{
    my ($token) = @_;
    my ($header, $payload, $signature) = split /\./, $token;
    my $other = encode_base64url(decode_base64url($payload) =~ s/"sub":"3"/"sub":"2"/r);
    my $none = encode_base64url(decode_base64url($header) =~ s/HS256/none/r);
    return (
        unsigned => "$none.$other.",
        altered => "$header.$other.$signature",
        empty_key => "$header.$other." . encode_base64url(hmac_sha256("$header.$other", '')));
}

# Whether a secret is in the text, as it is or as the bytes of a constant in a printed plan.
sub shows
{
    my ($self, $text) = @_;
    return 1 if grep { index($text, $_) >= 0 } @{ $self->{secrets} };
    return 0 if $text !~ /:constvalue/;
    $text =~ s/\s+/ /g;
    return 1 if grep { index($text, ' ' . join(' ', unpack 'c*', /^[0-9a-f]{64}$/ ? pack 'H*', $_ : $_) . ' ') >= 0 } @{ $self->{secrets} };
    return 0;
}

# Run an attack; ([what shows that it succeeded], whether it was tried as it was meant, its output).
sub attack
{
    my ($self, $attack, $with_api) = @_;
    my $began = time;
    my $log = $self->{node}->logfile;
    my $offset = -s $log;
    my ($mine, $refresh) = split /\|/, $self->query("SELECT access_token || '|' || refresh_token FROM auth.login('eve\@example.com', 'Secret123')");
    my $out = $self->psql('regress_mallory', '-c search_path=pg_catalog ' . ($attack->{options} // ''),
        "$attack->{sql}\nCOMMIT;\nRESET search_path;\nSELECT 'after uid=' || coalesce(auth.uid()::text, 'none') || ' user=' || current_user;\n",
        look => q(SELECT 'uid=' || coalesce(auth.uid()::text, 'none') || ' user=' || current_user),
        forged => '2 admin 00000000-0000-0000-0000-000000000000 {"sub":"2"}',
        victim => 'victim@example.com', database => $self->{name}, mine => $mine, refresh => $refresh, forgeries($mine),
        superuser_connection => $self->{node}->connstr($self->{name}));
    $out .= $self->operator($attack->{dba}) if $attack->{dba};
    my $logged = slurp_file($log, $offset);
    my @shown = $self->changes;
    push @shown, "uid $1" if $out =~ /uid=(?!3\b)(\d+)/;
    push @shown, "an identity outside its transaction: $1" if $out =~ /after uid=(\d+)/;
    push @shown, "user $1" if $out =~ /user=(?!regress_mallory)(\w+)/;
    push @shown, 'a row was seen by a leaky function' if $out =~ /leaked/;
    push @shown, $1 if $out =~ /(CANARY.*)/;
    push @shown, "in the log: $1" if $logged =~ /(?:WARNING|NOTICE):.*(CANARY.*)/;
    push @shown, 'the server: ' . $1 if $logged =~ /(was terminated by signal.*|PANIC:.*|TRAP:.*)/;
    push @shown, 'a secret in the output' if $self->shows($out);
    push @shown, 'a secret in the log' if $self->shows($logged);
    push @shown, 'it held the server for long' if time - $began > PATIENCE;
    my $seen = $with_api ? $attack->{seen} : "$attack->{seen}|42501: permission denied for function";
    return (\@shown, scalar($out =~ /$seen/m), $out);
}

1;
