# Mutated access tokens: of each algorithm, none but the original is good.  FUZZ_TOKENS of them, 21,000 here and
# 2,000,000 by `make fuzz-tokens`; FUZZ_SEED repeats a run.
use strict;
use warnings;
use AuthService;
use Crypt::PK::ECC;
use Crypt::PK::RSA;
use Digest::SHA qw(hmac_sha256 hmac_sha384 hmac_sha512);
use JSON::PP ();
use MIME::Base64 qw(encode_base64url decode_base64url encode_base64);
use Test::More;
use Time::HiRes qw(time);

my $count = $ENV{FUZZ_TOKENS} || 21_000;
my $seed = $ENV{FUZZ_SEED} || int(time);
my $batch = $count > 100_000 ? 50_000 : 5_000;

my $s = AuthService->start('mutations');
$s->register("$_\@example.com") foreach qw(ann bob);
my (%token, %kid, %private, %public);
foreach my $algorithm (qw(HS256 ES256 RS256))
{
    $kid{$algorithm} = $s->sql("SELECT auth.rotate_signing_key('$algorithm')");
    # Two users', so that whole parts can be swapped.
    $token{$algorithm} = [ map { $s->login("$_\@example.com")->{access_token} } qw(ann bob) ];
    ($private{$algorithm}, $public{$algorithm}) = map { pack 'H*', $_ }
      split /\|/, $s->sql("SELECT encode(secret, 'hex'), encode(public_key, 'hex') FROM auth.signing_keys WHERE kid = '$kid{$algorithm}'");
}
my @all = map { @$_ } values %token;
my $own_ecc = Crypt::PK::ECC->new(\$private{ES256});
my $own_rsa = Crypt::PK::RSA->new(\$private{RS256});
my @other_ecc = map { Crypt::PK::ECC->new->generate_key($_) } qw(secp256r1 secp256r1 secp256k1 secp384r1);
my @other_rsa = map { Crypt::PK::RSA->new->generate_key(256, $_) } 65537, 3;
# What everybody knows, as an HMAC's secret.
my @known = ((map { my $der = $public{$_} // (); my $pem = "-----BEGIN PUBLIC KEY-----\n" . encode_base64($der) =~ s/(.{64})\n?/$1\n/gr . "-----END PUBLIC KEY-----\n";
    ($der, $pem, $pem =~ s/\n\z//r, encode_base64($der, '')) } qw(ES256 RS256)), values %kid, '', "\0" x 32, 'secret', $own_rsa->export_key_pem('public'));

sub pick { return $_[ rand @_ ] }
sub text { return encode_base64url($_[0]) }

# ---- Signing --------------------------------------------------------------------------------

# As ours does: of ECDSA's two signatures the one with the smaller s, or it would be refused for that.
sub sign_right
{
    my ($algorithm, $input) = @_;
    return hmac_sha256($input, $private{HS256}) if $algorithm eq 'HS256';
    return $own_rsa->sign_message($input, 'SHA256', 'v1.5') if $algorithm eq 'RS256';
    while (1)
    {
        my $signature = $own_ecc->sign_message_rfc7518($input, 'SHA256');
        return $signature if ord(substr $signature, 32, 1) < 0x7f;
    }
}

sub sign_wrong
{
    my ($input) = @_;
    return pick(\&hmac_sha256, \&hmac_sha256, \&hmac_sha384, \&hmac_sha512)->($input, pick(@known)) if rand() < 0.9;
    return '' if rand() < 0.1;
    return rand() < 0.7 ? pick(@other_ecc)->sign_message_rfc7518($input, pick(qw(SHA256 SHA384))) : pick(@other_rsa)->sign_message($input, 'SHA256', pick(qw(v1.5 pss)));
}

sub make { my ($header, $claims, $signer) = @_; my $input = text($header) . '.' . text($claims); return "$input." . text($signer->($input)) }

# ---- JSON that is nearly right ----------------------------------------------------------------

sub object { return '{' . join(',', map { "\"$_->[0]\":$_->[1]" } @_) . '}' }

my @junk = ('null', 'true', 'false', '[]', '{}', '""', '0', '-1', '1.0', '1e3', '1e400', '9223372036854775807', '9223372036854775808', '18446744073709551617', '[1]', '["1"]', '"\u0000"', '"\ud800"', '" "', '"NaN"', "\"\xff\"");

# Members as they are in a token of ours, one of them wrong.
sub wrong_header
{
    my ($algorithm) = @_;
    my @members = ([ alg => "\"$algorithm\"" ], [ typ => '"at+jwt"' ], [ kid => "\"$kid{$algorithm}\"" ]);
    my $kind = int rand 9;
    my ($alg, $typ, $kid) = @members;
    if ($kind == 0) { $alg->[1] = pick(@junk, map { "\"$_\"" } 'none', 'None', lc $algorithm, "$algorithm ", "$algorithm\\u0000", 'HS384', 'HS512', 'ES384', 'PS256', 'EdDSA', (grep { $_ ne $algorithm } keys %kid), $algorithm x 2) }
    if ($kind == 1) { $typ->[1] = pick(@junk, '"JWT"', '"at+JWT"', '"AT+JWT"', '"application/at+jwt"', '"at+jwt "', '"at"', '"dpop+jwt"', '"refresh"') }
    if ($kind == 2) { $kid->[1] = pick(@junk, '"x"', "\"$kid{$algorithm} \"", '"' . uc($kid{$algorithm} . 'a') . '"', '"../x"', '"\' OR true --"', '"' . 'a' x int(rand 2000) . '"', map { "\"$_\"" } grep { $_ ne $kid{$algorithm} } values %kid) }
    if ($kind == 3) { push @members, [ 'crit', pick('[]', '["exp"]', '"exp"', 'null', '["b64"]', '1') ] }
    if ($kind == 4) { push @members, [ @{ pick(@members) } ] }                 # twice
    if ($kind == 5) { splice @members, pick(0, 1), 1 }                         # alg or typ is missing
    my $json = object(sort { rand() <=> 0.5 } @members);
    if ($kind == 6) { substr($json, rand length $json, 1) = '' }
    if ($kind == 7) { $json = pick("[$json]", "$json$json", "\xef\xbb\xbf$json", "$json\0", "$json x", '', '"x"', 'null', "{$json}", '[' x int(1 + rand 1500)) }
    if ($kind == 8) { $json =~ s/"(alg|typ|kid)"/'"' . pick(uc $1, "$1 ", ucfirst $1) . '"'/e }
    return $json;
}

sub wrong_claims
{
    my ($payload) = @_;
    my $given = JSON::PP->new->decode($payload);
    my $now = int time;
    my %members = map { ($_ => $_ eq 'exp' || $_ eq 'iat' ? $given->{$_} : "\"$given->{$_}\"") } qw(iss sub iat exp jti role sid gen);
    my $kind = int rand 12;
    my @again;
    if ($kind == 0) { my $name = pick(qw(iss sub iat exp jti sid gen)); my $value = pick($name eq 'jti' ? grep { !/^"[^"]/ || /\\u|\xff/ } @junk : $name eq 'iat' ? grep { !/^(?:0|-1|9223372036854775807)$/ } @junk : $name eq 'exp' ? grep { $_ ne '9223372036854775807' } @junk : @junk); $members{$name} = $value }
    if ($kind == 1) { delete $members{ pick(qw(iss sub iat exp jti sid gen)) } }
    if ($kind == 2) { $members{exp} = pick($now - int rand 1e6, -$given->{exp}, "\"$given->{exp}\"", "$given->{exp}.0", "$given->{exp}.5", "$given->{exp}e0", "[$given->{exp}]", 0) }
    if ($kind == 3) { $members{iat} = pick($now + 600 + int rand 1e6, "\"$given->{iat}\"", "$given->{iat}.0") }
    if ($kind == 4) { $members{nbf} = pick($now + 600 + int rand 1e6, "\"$now\"", 'null', '1.5', '[]', 'true') }
    if ($kind == 5) { $members{sub} = pick($given->{sub}, "\"0$given->{sub}\"", "\"$given->{sub} \"", "\"+$given->{sub}\"", "\"$given->{sub}.0\"", '"' . (2 + int rand 1e6) . "0\"", '"-1"', '"0x1"', '"9223372036854775808"', '"99999999999999999999"') }
    if ($kind == 6) { $members{iss} = pick('"other"', '"auth_service "', '"AUTH_SERVICE"', '["auth_service"]', '"auth_service\u0000"', '""') }
    if ($kind == 7) { $members{aud} = pick('"x"', '[]', '""', 'null', '["auth_service"]', '1') }
    if ($kind == 8) { $members{sid} = '"' . pick(uc($given->{sid}) . 'A', $given->{sid} =~ tr/-//dr, "{$given->{sid}}", join('', map { pick(0 .. 9, 'a' .. 'f') } 1 .. 36), '00000000-0000-0000-0000-000000000000', "$given->{sid} ", $given->{sid} =~ s/.$/sprintf '%x', (hex($&) + 1 + int rand 15) % 16/er) . '"' }
    if ($kind == 9) { my ($counter, $nonce) = split /\./, $given->{gen}; $members{gen} = pick('"' . ($counter + 1 + int rand 1e6) . ".$nonce\"", "\"$counter." . int(rand 1e9) . '"', "\"$counter\"", "\"0$counter.$nonce\"", "\"$counter.$nonce.\"", "\"-1.$nonce\"", "\"$counter.9223372036854775808\"") }
    if ($kind == 10) { my $name = pick(keys %members); push @again, [ $name, $members{$name} ] }
    my $json = object(sort({ rand() <=> 0.5 } map { [ $_, $members{$_} ] } keys %members), @again);
    if ($kind == 11) { $json = pick("[$json]", "$json$json", "\xef\xbb\xbf$json", "$json\0", "$json}", '{}', 'null', '""', substr($json, 0, int rand length($json) - 1), '{"a":' x int(1 + rand 400), $json =~ s/"sub"/"sub\\u0000"/r, $json =~ s/"exp"/"\xff"/r, $json =~ s/"sid"/"SID"/r) }
    return $json;
}

# ---- Mutations --------------------------------------------------------------------------------

my @odd = (split(//, '=.+/ ,;:{}[]"\'%&#!~?*@$^|<>()`\\-_AZaz09'), "\t", "\n", "\r", "\x7f", "\x01", "\xa0", "\xff");

# The text with its standing for the same bytes to a reader who is not strict.
sub reencode
{
    my ($original, @parts) = @_;
    my $i = int rand 3;
    my $kind = int rand 8;
    $parts[$i] .= pick('=', '==', "\n", ' ', '====', '.', '=A') if $kind == 0;
    $parts[$i] =~ tr{-_}{+/} if $kind == 1;
    if ($kind == 2) # bits behind the last byte
    {
        my $digits = join '', 'A' .. 'Z', 'a' .. 'z', 0 .. 9, '-', '_';
        my $spare = { 2 => 15, 3 => 3 }->{ length($parts[$i]) % 4 } // 0;
        substr($parts[$i], -1) = substr $digits, index($digits, substr $parts[$i], -1) | 1 + int rand $spare, 1 if $spare;
    }
    if ($kind == 3) { substr($parts[$i], rand length $parts[$i], 0) = pick("\n", "\r\n", ' ', '=', "\t") x (1 + rand 3) }
    if ($kind == 4 && $i < 2) { my $json = decode_base64url($parts[$i]); $json =~ s/([,:])/"$1 "/e for 1 .. 1 + rand 3; $parts[$i] = text($json) }
    if ($kind == 5 && $i < 2) { my $json = decode_base64url($parts[$i]); $json =~ s/([a-z])/sprintf '\\u%04x', ord $1/e; $parts[$i] = text($json) }
    if ($kind == 6) { $parts[$i] = text(text(decode_base64url $parts[$i])) }
    if ($kind == 7) { $parts[$i] = unpack 'H*', decode_base64url $parts[$i] }
    return join '.', @parts;
}

# The signature's numbers: the other of ECDSA's two, DER, out of range, of another length.
sub numbers
{
    my ($algorithm, @parts) = @_;
    my $raw = decode_base64url $parts[2];
    my $kind = int rand 6;
    if ($kind == 0) { $raw .= pick("\0", $raw, "\0" x 32) }
    if ($kind == 1) { $raw = pick("\0", "\0\0") . $raw }
    if ($kind == 2) { $raw = pick("\0", "\xff", "\1") x length $raw }
    if ($kind == 3 && $algorithm eq 'ES256')
    {
        require Math::BigInt;
        my $order = Math::BigInt->from_hex('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551');
        my ($r, $t) = map { Math::BigInt->from_hex(unpack 'H*', $_) } substr($raw, 0, 32), substr $raw, 32;
        ($r, $t) = @{ pick([ $r, $order - $t ], [ $order - $r, $t ], [ $t, $r ], [ $r + $order, $t ], [ Math::BigInt->new(0), $t ], [ $r, Math::BigInt->new(0) ], [ $r, $order ]) };
        $raw = join '', map { pack 'H*', substr '0' x 64 . ($_->as_hex =~ s/^0x//r), -64 } $r, $t;
    }
    if ($kind == 4) { substr($raw, rand length $raw, 1 + rand 8) = '' }
    if ($kind == 5) { my $at = 1 + int rand(length($raw) - 1); $raw = substr($raw, $at) . substr $raw, 0, $at }
    return join '.', @parts[ 0, 1 ], text($raw);
}

sub mutate
{
    my ($algorithm, $original) = @_;
    my @parts = split /\./, $original;
    my $kind = int rand 8;
    if ($kind <= 1) # bits of the text
    {
        for (1 .. 1 + rand 3) { my $at = int rand length $original; substr($original, $at, 1) = chr(ord(substr $original, $at, 1) ^ 1 << int rand 8) }
        return $original;
    }
    if ($kind == 2) # bits of what it stands for
    {
        my $i = int rand 3;
        my $raw = decode_base64url $parts[$i];
        for (1 .. 1 + rand 2) { my $at = int rand length $raw; substr($raw, $at, 1) = chr(ord(substr $raw, $at, 1) ^ 1 << int rand 8) }
        $parts[$i] = text($raw);
        return join '.', @parts;
    }
    if ($kind == 3) # less of it
    {
        return substr $original, 0, rand length $original if rand() < 0.4;
        return substr $original, 1 + rand length $original if rand() < 0.3;
        substr($original, rand length $original, 1 + rand 20) = '';
        return $original;
    }
    if ($kind == 4) # more of it
    {
        substr($original, rand 1 + length $original, 0) = join '', map { pick(@odd) } 1 .. 1 + rand 3;
        return $original;
    }
    if ($kind == 5) # parts of others
    {
        my @others = map { [ split /\./, pick(@all) ] } 0 .. 2;
        $parts[$_] = pick($parts[$_], $others[$_][$_], $others[$_][ rand 3 ]) foreach 0 .. 2;
        splice @parts, rand 4, rand() < 0.2 ? 1 : 0, rand() < 0.2 ? ('') : ();
        return join '.', @parts;
    }
    return $kind == 6 ? reencode($original, @parts) : numbers($algorithm, @parts);
}

# Re-signed, with a wrong key or the right one; the latter is slow, so these are fewer for key pairs.
sub resigned
{
    my ($algorithm, $payload, $is_cheap) = @_;
    my $header = "{\"alg\":\"$algorithm\",\"typ\":\"at+jwt\",\"kid\":\"$kid{$algorithm}\"}";
    my $right = sub { sign_right($algorithm, $_[0]) };
    return make($header =~ s/"alg":"\w+"/'"alg":"' . pick($algorithm, $algorithm, qw(HS256 HS384 HS512 ES256 RS256 PS256 none)) . '"'/er, $payload, \&sign_wrong) if rand() < 0.4;
    return rand() < 0.4 ? make(wrong_header($algorithm), $payload, $right) : make($header, wrong_claims($payload), $right);
}

# ---- The run ----------------------------------------------------------------------------------

# Whether they are as expected: of each batch the original and another good one are good.  COPY's text, in
# LATIN1, so that every byte but NUL is a character.
sub try_batch
{
    my ($good, @tokens) = @_;
    my $lines = join '', map { my $t = $_; $t =~ tr/\0/\x02/; $t =~ s/([\\\t\n\r])/{ "\\" => '\\\\', "\t" => '\\t', "\n" => '\\n', "\r" => '\\r' }->{$1}/ge; "$t\n" } @$good, @tokens;
    my ($out, $err) = ('', '');
    local %ENV = (%ENV, $s->environment, PGCLIENTENCODING => 'LATIN1');
    IPC::Run::run([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1' ], '<',
        \"CREATE TEMP TABLE t (token text);\nCOPY t FROM STDIN;\n$lines\\.\nSELECT count(DISTINCT token) FROM t;\nSELECT token FROM t WHERE auth.verify_token(token) IS NOT NULL;\n",
        '>', \$out, '2>', \$err) or die "psql: $err";
    my ($distinct, @accepted) = split /\n/, $out;
    my %good = map { $_ => 1 } @$good;
    my @bad = grep { !delete $good{$_} } @accepted;
    return ($distinct - @$good, @bad, map { "refused: $_" } keys %good);
}

my $began = time;
my @algorithms = sort keys %kid;
my @results = $s->parallel(
    scalar @algorithms,
    sub {
        my $algorithm = $algorithms[ $_[0] - 1 ];
        srand($seed + $_[0]);
        my ($original) = @{ $token{$algorithm} };
        my ($payload) = map { decode_base64url $_ } (split /\./, $original)[1];
        my $control = make("{\"typ\":\"at+jwt\",\"kid\":\"$kid{$algorithm}\",\"alg\":\"$algorithm\"}", $payload =~ s/\}\z/,"more":[1]}/r, sub { sign_right($algorithm, $_[0]) });
        my $share = int($count / @algorithms);
        my $resigned = $algorithm eq 'HS256' ? int $share / 3 : $share > 100_000 ? 15_000 : int $share / 20;
        my ($tried, @bad) = (0);
        while ($tried < $share && !@bad)
        {
            my @tokens;
            while (@tokens < $batch)
            {
                my $one = $resigned > 0 && rand() < 0.35 && $resigned-- ? resigned($algorithm, $payload) : mutate($algorithm, $original);
                push @tokens, $one if $one ne $original && !grep { $_ eq $one } @all;
            }
            my ($distinct, @found) = try_batch([ $original, $control ], @tokens);
            $tried += $distinct;
            push @bad, @found;
        }
        return "$algorithm $tried" . (@bad ? " but @bad[0 .. ($#bad < 3 ? $#bad : 3)]" : '');
    });
my $tried = 0;
foreach my $i (0 .. $#algorithms)
{
    like($results[$i], qr/^$algorithms[$i] \d+$/, "$algorithms[$i]: none but the original is good") or diag "FUZZ_SEED=$seed";
    $tried += $1 if $results[$i] =~ / (\d+)/;
}
cmp_ok($tried, '>=', $count - @algorithms, "so many were tried: $tried");
diag sprintf '%d mutated tokens in %.0f s (%s); FUZZ_SEED=%d', $tried, time - $began, (join ', ', @results), $seed if $ENV{FUZZ_TOKENS};
done_testing();
