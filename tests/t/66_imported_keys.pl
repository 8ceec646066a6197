# Key material is checked when it enters (import_signing_key), and another service's RS256, ES256 and EdDSA tokens
# are good afterwards, of which only the public key is needed and kept.
use strict;
use warnings;
use AuthService;
use Crypt::JWT qw(encode_jwt);
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $s = AuthService->start('imported');
my $folder = PostgreSQL::Test::Utils::tempdir;

# OpenSSL's own command makes the keys: an independent hand.
sub openssl { my (@arguments) = @_; my ($out, $err) = ('', ''); IPC::Run::run([ 'openssl', @arguments ], '<', \undef, '>', \$out, '2>', \$err) or die "openssl @arguments: $err"; return $out }
sub private_key
{
    my ($name, @options) = @_;
    openssl('genpkey', '-out', "$folder/$name.pem", @options);
    openssl('pkey', '-in', "$folder/$name.pem", '-pubout', '-out', "$folder/$name.pub");
    return;
}
sub pem { return slurp_file("$folder/$_[0]") }
sub import_key
{
    my ($algorithm, $pem) = @_;
    my ($code, $out, $err) = $s->node->psql('auth_service', "\\set VERBOSITY sqlstate\nSELECT auth.import_signing_key('$algorithm', '$pem', '1 hour')");
    return $code == 0 ? $out : $err =~ /ERROR:  (\w+)/ ? $1 : $err;
}

private_key('p256', qw(-algorithm EC -pkeyopt ec_paramgen_curve:P-256));
private_key('p384', qw(-algorithm EC -pkeyopt ec_paramgen_curve:P-384));
private_key('k256', qw(-algorithm EC -pkeyopt ec_paramgen_curve:secp256k1));
private_key('rsa2048', qw(-algorithm RSA -pkeyopt rsa_keygen_bits:2048));
private_key('rsa1024', qw(-algorithm RSA -pkeyopt rsa_keygen_bits:1024));
private_key('rsa3', qw(-algorithm RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3));
private_key('pss', qw(-algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048));
private_key('ed25519', qw(-algorithm ED25519));
private_key('ed448', qw(-algorithm ED448));
private_key('x25519', qw(-algorithm X25519));
openssl('pkey', '-in', "$folder/p256.pem", '-aes256', '-passout', 'pass:secret', '-out', "$folder/encrypted.pem");
openssl('rsa', '-in', "$folder/rsa2048.pem", '-traditional', '-aes256', '-passout', 'pass:secret', '-out', "$folder/old_encrypted.pem");
openssl('ec', '-in', "$folder/p256.pem", '-param_enc', 'explicit', '-pubout', '-out', "$folder/explicit.pub");

foreach (
    [ 'ES256', 'p384' ], [ 'ES256', 'k256' ], [ 'ES256', 'rsa2048' ], [ 'ES256', 'ed25519' ], [ 'RS256', 'rsa1024' ], [ 'RS256', 'rsa3' ], [ 'RS256', 'pss' ], [ 'RS256', 'p256' ],
    [ 'EdDSA', 'ed448' ], [ 'EdDSA', 'x25519' ], [ 'EdDSA', 'p256' ], [ 'HS384', 'p256' ], [ 'none', 'p256' ], [ 'es256', 'p256' ])
{
    my ($algorithm, $name) = @$_;
    is(import_key($algorithm, pem("$name.$_")), '22023', "$name as $algorithm, its .$_: refused") foreach qw(pub pem);
}
my $good = pem('p256.pub');
foreach (
    [ 'nothing', '' ], [ 'text', 'x' x 100 ], [ 'a head only', "-----BEGIN PUBLIC KEY-----\n" ], [ 'another head', $good =~ s/PUBLIC KEY/CERTIFICATE/gr ],
    [ 'half', substr $good, 0, 80 ], [ 'a letter changed', substr($good, 0, 100) . (substr($good, 100, 1) eq 'q' ? 'r' : 'q') . substr $good, 101 ], [ 'a curve of its own', pem('explicit.pub') ], [ 'too long', $good . "\n" x 9000 ])
{
    is(import_key('ES256', $_->[1]), '22023', "$_->[0]: refused");
}
my $began = time;
is(import_key('ES256', pem('encrypted.pem')), '22023', 'an encrypted key: refused');
is(import_key('RS256', pem('old_encrypted.pem')), '22023', 'in the old form too');
cmp_ok(time - $began, '<', 5, 'and nobody is asked for its passphrase');
# What everybody knows, or may know, is no secret.
is(import_key('HS256', pem("p256.$_")), '22023', "the text of a key's .$_ as a secret of HS256: refused") foreach qw(pub pem);
is(import_key('HS256', pem('rsa2048.pub')), '22023', 'of RSA too');
# Points of Ed25519 with which everybody can sign.
foreach my $point (map { pack 'H*', $_ } '01' . '00' x 31, '01' . '00' x 30 . '80', '00' x 32, '00' x 31 . '80', 'ec' . 'ff' x 30 . '7f', 'ee' . 'ff' x 30 . '7f', 'ed' . 'ff' x 31,
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a', '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85')
{
    is(import_key('EdDSA', "-----BEGIN PUBLIC KEY-----\n" . encode_base64(pack('H*', '302a300506032b6570032100') . $point) . "-----END PUBLIC KEY-----\n"), '22023', 'a point of small order: refused');
}
is($s->sql('SELECT count(*) FROM auth.signing_keys'), 0, 'nothing was kept');

# Good ones.
$s->register('other@example.com');
$s->sql(q(SELECT auth.import_users('[{"id":7,"email":"ann@example.com","hashed_password":"$2b$04$abcdefghijklmnopqrstuu7gAIJZl5IW6nO8QU6lQjPDsHWTS8pTS","role":"user"}]')));
my %tokens;
foreach (
    [ 'ES256', 'p256', 'pub' ], [ 'RS256', 'rsa2048', 'pub' ], [ 'EdDSA', 'ed25519', 'pub' ], [ 'ES256', 'p256', 'pem' ], [ 'RS256', 'rsa2048', 'pem' ])
{
    my ($algorithm, $name, $half) = @$_;
    my $kid = import_key($algorithm, pem("$name.$half"));
    like($kid, qr/^imported-[0-9a-f]{24}$/, "$name.$half as $algorithm: taken");
    is($s->sql("SELECT secret IS NULL, encode(public_key, 'hex') FROM auth.signing_keys WHERE kid = '$kid'"),
        't|' . unpack('H*', openssl('pkey', '-in', "$folder/$name.pem", '-pubout', '-outform', 'DER')), 'its public half, and no more');
    $s->sql('UPDATE auth.users SET takes_imported_tokens = true WHERE id = 7');
    my $key = pem("$name.pem");
    my %claims = (sub => '7', exp => int(time) + 600);
    my $status = sub { return $s->request('GET', '/users/me', token => encode_jwt(payload => { %claims, @_ }, key => \$key, alg => $algorithm))->{status} };
    is((join ' ', map { $status->() } 1 .. 6), '200 200 200 200 200 200', "$algorithm: a token of the service before us is good, whichever s it has");
    is($status->(exp => int(time) + 7200), 401, 'but not beyond the key\'s last day');
    is($status->(sub => '8'), 401, 'nor for a stranger');
    is($s->request('GET', '/users/me', token => encode_jwt(payload => \%claims, key => pem("$name.pub"), alg => 'HS256'))->{status}, 401, 'nor HS256 with the public key');
    is_deeply($s->request('GET', '/.well-known/jwks.json')->{json}, { keys => [] }, 'it is not ours to publish');
}
# Damage in the table is no key either.
$s->sql("SELECT auth.rotate_signing_key('ES256')");
my $token = $s->login('other@example.com')->{access_token};
is($s->request('GET', '/users/me', token => $token)->{status}, 200, 'a good key of our own');
foreach my $name (qw(p384 rsa1024 ed25519))
{
    my $der = unpack 'H*', openssl('pkey', '-in', "$folder/$name.pem", '-pubout', '-outform', 'DER');
    $s->sql("UPDATE auth.signing_keys SET public_key = decode('$der', 'hex') WHERE algorithm = 'ES256' AND is_active");
    $s->stop_shim;
    $s->shim;
    is($s->request('GET', '/users/me', token => $token)->{status}, 500, "a row of ES256 with a $name key: fails, and is no good");
}
done_testing();
