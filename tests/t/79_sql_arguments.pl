# Every argument of every function of the schema auth, as its owner would give it by mistake and a hostile caller on
# purpose: NULL, nothing, blanks, long and very long, characters of all kinds, the ends of numbers.  What comes is a
# row, an SQLSTATE of ours or one of PostgreSQL's for bad data, at once; no backend dies.
use strict;
use warnings;
use utf8;
use AuthService;
use Test::More;

my $s = AuthService->start('arguments');
$s->sql('ALTER DATABASE auth_service SET auth_service.throttle_address_failures = 0; ALTER DATABASE auth_service SET auth_service.throttle_account_failures = 0');
$s->register('ann@example.com');
$s->sql("CREATE ROLE regress_79_app; SELECT auth.allow_api('regress_79_app')");
my $started = $s->sql('SELECT pg_postmaster_start_time()');
srand(79);
my $random = join '', map { my $c = int rand 0x11_0000; $c == 0 || $c >= 0xd800 && $c <= 0xdfff || $c == 0x27 || $c == 0x5c ? 'x' : chr $c } 1 .. 300;

# What an argument of a type is given ($1 stands for 20 MB); the rest of a call is of the plain ones, which come first.
my $texts = [ "'ann\@example.com'", 'NULL', "''", "' '", "E'\\n\\t'", "'$random'", "'null'", "'{}'", "'[1]'", "'{\"a\":1}'", "repeat('a', 1000000)", "repeat('{\"a\":', 100000)", "repeat('[', 1000000)", '$1', "repeat(E'\\x01', 300)", "'%s%n' || chr(1114109)" ];
my $numbers = [ '1', 'NULL', '0', '-1' ];
my %values = (
    text => $texts,
    bigint => [ @$numbers, '9223372036854775807', '-9223372036854775808' ],
    integer => [ @$numbers, '2147483647', '-2147483648' ],
    boolean => [ 'true', 'false', 'NULL' ],
    uuid => [ "'00000000-0000-0000-0000-000000000000'", 'NULL', "'ffffffff-ffff-ffff-ffff-ffffffffffff'" ],
    inet => [ "'127.0.0.1'", 'NULL', "'::/0'", "'255.255.255.255/1'" ],
    interval => [ "'1 day'", 'NULL', "'0'", "'-1 second'", "'178000000 years'", "'-178000000 years'", "'2147483647 months 2147483647 days'" ],
    'auth.user_role' => [ "'user'", 'NULL' ],
    regrole => [ "'regress_79_app'", 'NULL', "'0'", "'4294967295'" ],
    regprocedure => [ 'NULL', "'pg_catalog.now()'", "'0'", "'4294967295'" ],
    jsonb => [ "'[]'", 'NULL', "'{}'", "'null'", "'[null]'", "'[1]'", "'[[]]'", "'[{}]'", "'[{\"id\":1e400}]'", "'[{\"id\":\"x\",\"email\":5}]'", "jsonb_build_array(repeat('a', 1000000))", "(repeat('[', 1000) || repeat(']', 1000))::jsonb" ],
    json => [ "'[]'", 'NULL', "'{}'", "'null'" ],
    'text[]' => [ "'{}'", 'NULL', "'{NULL}'", "'{a!,b}'", "'{\"\"}'", "'{{a},{b}}'", "'{\"a:b:c\",\"(\",\")\",\"|\",\"!\"}'", "array_fill('a'::text, ARRAY[10000])", "ARRAY[repeat('a', 1000000)]" ]);

# [name with schema, [types]] of all that can be called in a statement.
my @functions = map { my ($name, $types, $is_api) = split /\|/, $_, -1; [ $name, [ split /;/, $types ], $is_api eq 't' ] }
  split /\n/, $s->sql(q(SELECT p.oid::regproc, array_to_string(ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY a (t, n) ORDER BY n), ';'), has_function_privilege('regress_79_app', p.oid, 'EXECUTE')
    FROM pg_proc p WHERE pronamespace = 'auth'::regnamespace AND NOT prorettype IN ('trigger'::regtype, 'event_trigger'::regtype, 'internal'::regtype) AND 'internal'::regtype <> ALL (p.proargtypes::oid[]) ORDER BY p.oid::regprocedure::text));
cmp_ok(scalar @functions, '>', 40, scalar(@functions) . ' functions');

# A call as an operator, as a role that may call the API, or as that role with an identity.
my $block = <<'SQL';
CREATE FUNCTION pg_temp.try(whose text, call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
    long text;
    began timestamptz;
BEGIN
    BEGIN
        IF whose <> 'operator' THEN SET LOCAL ROLE regress_79_app; END IF;
        IF whose = 'identity' THEN PERFORM auth.authenticate(current_setting('regress.token')); END IF;
        long := CASE WHEN strpos(call, '$1') > 0 THEN repeat('ü', 10000000) END;
        began := clock_timestamp();
        EXECUTE 'SELECT left((' || call || ')::text, 1)' INTO answer USING long;
        -- Whatever it did is undone.
        RAISE EXCEPTION USING ERRCODE = 'R0000';
    EXCEPTION WHEN OTHERS THEN answer := CASE SQLSTATE WHEN 'R0000' THEN 'row' ELSE SQLSTATE END;
    END;
    RETURN answer || ' ' || round(extract(epoch FROM clock_timestamp() - began) * 1000);
END $$;
SQL
my $token = $s->login('ann@example.com')->{access_token};
my ($calls, %codes) = (0);
foreach (@functions)
{
    my ($name, $types, $is_api) = @$_;
    my @missing = grep { !$values{$_} } @$types;
    is("@missing", '', "$name: all its types are known here");
    my @lists = map { $values{$_} // ['NULL'] } @$types;
    my %calls = ("$name(" . join(', ', map { $lists[$_][0] . "::$types->[$_]" } 0 .. $#lists) . ')' => 1);
    foreach my $i (0 .. $#lists)
    {
        foreach my $value (@{ $lists[$i] })
        {
            $calls{ "$name(" . join(', ', map { ($_ == $i ? $value : $lists[$_][0]) . "::$types->[$_]" } 0 .. $#lists) . ')' } = 1;
        }
    }
    my @calls = sort keys %calls;
    my $script = $block . "SET regress.token = '$token';\n";
    my @asked;
    foreach my $whose ('operator', 'app', 'identity')
    {
        foreach my $call (@calls)
        {
            # The longest once for each argument: to make it takes longer than any call.
            next if $call =~ /\$1/ && $whose ne ($is_api ? 'app' : 'operator');
            my $spoken = $call;
            $spoken =~ s/, ((?:'[^']*'|NULL|array_fill\(.*\)|ARRAY\[.*\])::text\[\]\))$/, VARIADIC $1/ if $name eq 'auth._arguments';
            push @asked, "$whose: $call";
            $script .= "SELECT pg_temp.try('$whose', \$call\$SELECT f FROM $spoken f LIMIT 1\$call\$);\n";
        }
    }
    utf8::encode($script);
    my ($out, $err) = ('', '');
    $s->node->psql('auth_service', $script, stdout => \$out, stderr => \$err, timeout => 300);
    my @answers = grep { length } split /\n/, $out;
    is(scalar @answers, scalar @asked, "$name: " . @asked . ' calls are answered') or diag substr $err, 0, 500;
    $calls += @answers;
    my (@odd, @slow);
    foreach my $i (0 .. $#answers)
    {
        my ($code, $milliseconds) = split / /, $answers[$i];
        $codes{$code}++;
        push @odd, "$asked[$i]: $code" if $code !~ /^(?:row|U4\d\d[A-Z]|22...|42501|42883|42704|54...|55000|0L000|0A000)$/;
        # The time of a long text is that of its memory, of which some virtual machines make little a second.
        push @slow, "$asked[$i]: $milliseconds ms" if $milliseconds > ($asked[$i] =~ /\$1/ ? 10000 : 2000);
    }
    is(join("\n", map { length > 300 ? substr($_, 0, 300) . '...' : $_ } @odd), '', "$name: a row, or an error for bad data");
    is(join("\n", @slow), '', "$name: at once");
}
note "$calls calls of " . @functions . ' functions: ' . join ', ', map { "$_ $codes{$_}" } sort keys %codes;
is($s->sql('SELECT pg_postmaster_start_time()'), $started, 'no backend died');
is($s->request('GET', '/users/me', token => $token)->{status}, 200, 'and nothing of all this has stayed');
done_testing();
