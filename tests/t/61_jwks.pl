# Tokens for readers elsewhere: an independent library (Crypt::JWT, on LibTomCrypt) verifies ours from
# /.well-known/jwks.json as docs/keys.md says, and what it forges is refused here.
use strict;
use warnings;
use AuthService;
use Crypt::JWT qw(decode_jwt encode_jwt);
use Crypt::PK::ECC;
use Crypt::PK::RSA;
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils;
use Test::More;

my $s = AuthService->start('jwks');
my $json = JSON::PP->new->utf8->canonical;
$s->register('ann@example.com');
my $hs256 = $s->login('ann@example.com')->{access_token};

my $r = $s->request('GET', '/.well-known/jwks.json');
is($r->{status}, 200, 'jwks.json');
is_deeply($r->{json}, { keys => [] }, 'HS256: no public key');
is($r->{headers}{'cache-control'}, 'public, max-age=300', 'may be cached');
is($s->request('HEAD', '/.well-known/jwks.json')->{status}, 200, 'HEAD');
is($s->request('POST', '/.well-known/jwks.json')->{status}, 405, 'POST');

# The recipe of docs/keys.md, as it stands there.
my ($recipe) = slurp_file('docs/keys.md') =~ /^```perl\n(.*?)^```/ms;
eval "$recipe; 1" or die $@;

my %token;
my %kid;
foreach my $algorithm (qw(ES256 RS256 EdDSA))
{
    $kid{$algorithm} = $s->sql("SELECT auth.rotate_signing_key('$algorithm')");
    $token{$algorithm} = $s->login('ann@example.com')->{access_token};
    is($s->request('GET', '/users/me', token => $token{$algorithm})->{status}, 200, "$algorithm: good here");
}
my $keys = $s->request('GET', '/.well-known/jwks.json')->{json};
is(scalar @{ $keys->{keys} }, 3, 'three public keys');
is((join ' ', grep { exists $_->{d} || exists $_->{k} || exists $_->{p} } @{ $keys->{keys} }), '', 'nothing private among them');
is($s->sql("SELECT jsonb_array_length(auth.jwks()->'keys')", 'auth_service_shim'), 3, 'the same in SQL');
foreach my $algorithm (qw(ES256 RS256 EdDSA))
{
    my ($header, $claims) = eval { decode_jwt(token => $token{$algorithm}, kid_keys => $keys, accepted_alg => $algorithm, verify_iss => 'auth_service', decode_header => 1) };
    is($claims->{sub}, 1, "$algorithm: good elsewhere") or diag $@;
    is($header->{kid}, $kid{$algorithm}, "$algorithm: by its kid");
    my $other = $token{$algorithm};
    $other =~ s/\.(.)/'.' . ($1 eq 'e' ? 'f' : 'e')/e;
    ok(!defined eval { decode_jwt(token => $other, kid_keys => $keys) }, "$algorithm: a changed one is not");
}
is(verify($token{ES256}, $keys)->{sub}, 1, 'the recipe');
is(verify($token{RS256}, $keys), undef, 'the recipe takes no other algorithm');
is(verify($hs256, $keys), undef, 'nor HS256');

# What that library can forge, with what everybody knows.
my ($es) = grep { $_->{alg} eq 'ES256' } @{ $keys->{keys} };
my ($rs) = grep { $_->{alg} eq 'RS256' } @{ $keys->{keys} };
my $claims = decode_jwt(token => $token{ES256}, kid_keys => $keys);
my %headers = (typ => 'at+jwt', kid => $kid{ES256});
my $p256 = Crypt::PK::ECC->new->generate_key('secp256r1');
my $p384 = Crypt::PK::ECC->new->generate_key('secp384r1');
my $k256 = Crypt::PK::ECC->new->generate_key('secp256k1');
my $rsa = Crypt::PK::RSA->new->generate_key(256, 65537);
my $public = Crypt::PK::ECC->new($es);
my $public_rsa = Crypt::PK::RSA->new($rs);
sub forge
{
    my ($key, $algorithm, %more) = @_;
    return encode_jwt(payload => $claims, key => $key, alg => $algorithm, allow_none => 1, extra_headers => { %headers, %more });
}
my $own = $json->decode($p256->export_key_jwk('public'));
my @secrets = (
    [ 'PEM', $public->export_key_pem('public') ], [ 'PEM without its last newline', $public->export_key_pem('public') =~ s/\n\z//r ],
    [ 'DER', $public->export_key_der('public') ], [ 'x', $es->{x} ], [ 'JWK', $json->encode($es) ], [ 'RSA PEM', $public_rsa->export_key_pem('public') ],
    [ 'RSA n', $rs->{n} ], [ 'kid', $kid{ES256} ], [ 'as little as that library takes', "\0" x 4 ], [ 'zeros', "\0" x 32 ]);
my %forged = (
    'alg none' => forge(undef, 'none'),
    'another P-256 key with our kid' => forge($p256, 'ES256'),
    'and its own kid' => forge($p256, 'ES256', kid => 'mine'),
    'and no kid' => encode_jwt(payload => $claims, key => $p256, alg => 'ES256', extra_headers => { typ => 'JWT' }),
    'P-384 as ES384' => forge($p384, 'ES384'),
    'secp256k1 as ES256K' => forge($k256, 'ES256K'),
    'RS256 with the kid of ES256' => forge($rsa, 'RS256'),
    'RS256 with the kid of RS256' => forge($rsa, 'RS256', kid => $kid{RS256}),
    'PS256 with the kid of RS256' => forge($rsa, 'PS256', kid => $kid{RS256}),
    'its key in jwk' => forge($p256, 'ES256', jwk => $own),
    'its key in jwk, a kid of it' => forge($p256, 'ES256', jwk => { %$own, kid => 'mine' }, kid => 'mine'),
    'jku' => forge($p256, 'ES256', jku => "http://127.0.0.1:$s->{port}/mine.json"),
    'x5u' => forge($p256, 'ES256', x5u => 'https://example.com/mine.pem'),
    'x5c' => forge($p256, 'ES256', x5c => [ encode_base64($p256->export_key_der('public'), '') ]),
    'crit' => forge($p256, 'ES256', crit => ['exp']),
    'a kid that is a path' => forge($p256, 'ES256', kid => '../../../../dev/null'),
    'a kid that is SQL' => forge($p256, 'ES256', kid => "' OR true --"),
    'nested' => encode_jwt(payload => $token{ES256}, key => $p256, alg => 'ES256', extra_headers => { %headers, cty => 'JWT' }),
    (map { my ($what, $secret) = @$_; map { ("$_ with the $what as secret" => forge($secret, $_)) } qw(HS256 HS384 HS512) } @secrets),
    map { my ($what, $secret) = @$_; ("HS256 with the $what as secret, the kid of RS256" => forge($secret, 'HS256', kid => $kid{RS256})) } @secrets);
foreach my $what (sort keys %forged)
{
    my $answer = $s->request('GET', '/users/me', token => $forged{$what});
    is("$answer->{status} $answer->{json}{code}", '401 U401B', "$what: refused");
}
# By the right key, but what it says is wrong.
my $private = Crypt::PK::ECC->new(\pack 'H*', $s->sql("SELECT encode(secret, 'hex') FROM auth.signing_keys WHERE algorithm = 'ES256'"));
sub status { return $s->request('GET', '/users/me', token => $_[0])->{status} }
my $foreign = forge($private, 'ES256');
my @tries = map { status(forge($private, 'ES256')) } 1 .. 20;
is((join ' ', grep { $_ != 200 && $_ != 401 } @tries), '', 'the right key: good where its signature has the smaller s');
ok((grep { $_ == 200 } @tries), 'as it has now and then');
is((join ' ', grep { status(forge($private, 'ES256', typ => $_)) == 200 } ('JWT', 'at+jws', 'refresh') x 8), '', 'the right key, the wrong typ');
is((join ' ', grep { $claims->{iss} = $_; status(forge($private, 'ES256')) == 200 } ('other', '') x 8), '', 'the right key, the wrong issuer');

# A reader with a copy of the set: publish, wait, sign.
my $coming = $s->sql("SELECT auth.rotate_signing_key('ES256', active_in => '15 min')");
my $cached = $s->request('GET', '/.well-known/jwks.json')->{json};
$s->sql("UPDATE auth.signing_keys SET signs_from = clock_timestamp() WHERE kid = '$coming'");
my $later = $s->login('ann@example.com')->{access_token};
is(verify($later, $cached)->{sub}, 1, 'a copy of the set from before knows the key that signs now');
is($s->sql("SELECT auth.drop_signing_key('$kid{RS256}')"), 't', 'drop a key');
is(scalar(grep { $_->{kid} eq $kid{RS256} } @{ $s->request('GET', '/.well-known/jwks.json')->{json}{keys} }), 0, 'it is published no longer');
is(status($token{RS256}), 401, 'and its tokens are refused');

# RFC 8414.
$r = $s->request('GET', '/.well-known/oauth-authorization-server');
is("$r->{status} $r->{json}{code}", '404 U404E', 'no metadata where the issuer is no URL');
foreach my $issuer ('http://example.com', 'https://', 'https:///x', 'https://example.com?x', 'https://example.com/#x', 'HTTPS://example.com')
{
    $s->sql("ALTER DATABASE auth_service SET auth_service.issuer = '$issuer'");
    $s->stop_shim;
    $s->shim;
    is($s->request('GET', '/.well-known/oauth-authorization-server')->{status}, 404, "$issuer: no issuer to publish");
}
foreach my $issuer ('https://auth.example.com', 'https://example.com/auth/')
{
    $s->sql("ALTER DATABASE auth_service SET auth_service.issuer = '$issuer'");
    $s->stop_shim;
    $s->shim;
    $r = $s->request('GET', '/.well-known/oauth-authorization-server');
    my $base = $issuer =~ s{/\z}{}r;
    is($r->{headers}{'cache-control'}, 'public, max-age=300', "$issuer: metadata, which may be cached");
    is_deeply($r->{json}, { issuer => $issuer, jwks_uri => "$base/.well-known/jwks.json", token_endpoint => "$base/auth/login",
        token_endpoint_auth_methods_supported => ['none'], grant_types_supported => ['password'], response_types_supported => [],
        introspection_endpoint => "$base/auth/introspect", revocation_endpoint => "$base/auth/revoke",
        revocation_endpoint_auth_methods_supported => ['none'], service_documentation => "$base/docs" }, 'what it says');
}
done_testing();
