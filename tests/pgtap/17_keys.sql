-- Signing keys: their algorithms, rotation, and the end of one; in SQL.
\ir ../setup.sql
\ir ../tokens.sql
SELECT plan(96);
SELECT auth.register('ann@example.com', 'Secret123') AS ann \gset
CREATE FUNCTION pg_temp.token() RETURNS text LANGUAGE sql AS $$SELECT access_token FROM auth.login('ann@example.com', 'Secret123')$$;
CREATE FUNCTION pg_temp.signing() RETURNS text LANGUAGE sql AS $$SELECT pg_temp.part(pg_temp.token(), 1)::jsonb->>'kid'$$;
CREATE FUNCTION pg_temp.error(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE code text; BEGIN EXECUTE command; RETURN NULL; EXCEPTION WHEN OTHERS THEN GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE; RETURN code; END $$;

SELECT is(auth.jwks(), '{"keys": []}', 'no key: nothing is published');
SELECT is((SELECT count(*) FROM auth.signing_keys), 0::bigint, 'and jwks makes none');
SELECT pg_temp.token() AS hs \gset
SELECT is(auth.jwks(), '{"keys": []}', 'HS256: nothing is published');
SELECT kid AS hs_kid FROM auth.signing_keys \gset

-- Each algorithm: makes good tokens, tells so, and publishes numbers of the right length.
CREATE TEMP TABLE made (algorithm text, kid text, token text, jwk jsonb);
INSERT INTO made SELECT a, auth.rotate_signing_key(a) FROM unnest('{ES256,RS256,EdDSA}'::text[]) a WHERE false;
DO $$
DECLARE a text; k text;
BEGIN
    FOREACH a IN ARRAY '{ES256,RS256,EdDSA}'::text[] LOOP
        k := auth.rotate_signing_key(a);
        INSERT INTO made SELECT a, k, pg_temp.token(), j FROM jsonb_array_elements(auth.jwks()->'keys') j WHERE j->>'kid' = k;
    END LOOP;
END $$;
SELECT is(count(*), 3::bigint, 'three algorithms') FROM made;
SELECT is(pg_temp.part(token, 1)::jsonb, jsonb_build_object('alg', algorithm, 'typ', 'at+jwt', 'kid', kid), algorithm || ': its header') FROM made;
SELECT ok(auth.verify_token(token)->>'sub' = :'ann', algorithm || ': its token is good') FROM made;
SELECT is((SELECT string_agg(key || '/' || CASE WHEN key IN ('x', 'y', 'n', 'e') THEN length(value)::text ELSE value END, ' ' ORDER BY key) FROM jsonb_each_text(jwk - 'kid')),
          CASE algorithm WHEN 'ES256' THEN 'alg/ES256 crv/P-256 kty/EC use/sig x/43 y/43' WHEN 'RS256' THEN 'alg/RS256 e/4 kty/RSA n/342 use/sig'
          ELSE 'alg/EdDSA crv/Ed25519 kty/OKP use/sig x/43' END, algorithm || ': published, the public half and no more') FROM made;
SELECT is(length(split_part(token, '.', 3)), CASE algorithm WHEN 'RS256' THEN 342 ELSE 86 END, algorithm || ': a signature of its length') FROM made;
SELECT ok(auth.verify_token(:'hs') IS NOT NULL, 'the tokens of the key before are good');
SELECT is(jsonb_array_length(auth.jwks()->'keys'), 3, 'all that verify are published');
SELECT is(auth.jwks()->'keys'->0->>'alg', 'EdDSA', 'the newest first');

-- A token of one key under the name of another, or of another algorithm.
CREATE FUNCTION pg_temp.with_header(token text, header text) RETURNS text LANGUAGE sql AS
    $$ SELECT pg_temp.base64url(convert_to(header, 'UTF8')) || substr(token, strpos(token, '.')) $$;
SELECT is(auth.verify_token(pg_temp.with_header(t.token, format('{"alg":"%s","typ":"at+jwt","kid":"%s"}', a, k.kid))), NULL, format('%s''s signature as %s by the %s key', t.algorithm, a, k.algorithm))
FROM made t, made k, unnest('{ES256,RS256,EdDSA}'::text[]) a WHERE t.algorithm <> k.algorithm AND a = k.algorithm;
-- RFC 8725, 2.1: the public key as an HMAC's secret; "none"; names that are nearly right.
SELECT is(auth.verify_token(pg_temp.sign(format('{"alg":"%s","typ":"at+jwt","kid":"%s"}', a, kid), pg_temp.part(token, 2), s)), NULL, format('HMAC with %s''s %s key as alg %s', made.algorithm, w, a))
FROM made JOIN auth.signing_keys k USING (kid), unnest('{HS256}'::text[]) a,
     LATERAL (VALUES (k.public_key, 'public DER'), (convert_to('-----BEGIN PUBLIC KEY-----' || E'\n' || encode(k.public_key, 'base64') || E'\n' || '-----END PUBLIC KEY-----' || E'\n', 'UTF8'), 'public PEM')) x (s, w);
SELECT is(auth.verify_token(pg_temp.with_header(token, format('{"alg":"%s","typ":"at+jwt","kid":"%s"}', a, kid))), NULL, format('%s: alg %s', algorithm, a))
FROM made, unnest('{none,HS256,ES384,PS256,es256,rs256,eddsa,Ed25519}'::text[]) a;
SELECT is(auth.verify_token(split_part(token, '.', 1) || '.' || split_part(token, '.', 2) || '.'), NULL, algorithm || ': no signature') FROM made;

-- ECDSA has two signatures for one text; only the one that we write is good.
CREATE FUNCTION pg_temp.hex(b bytea) RETURNS numeric LANGUAGE sql AS
    $$ SELECT sum(get_byte(b, i) * 256::numeric ^ (length(b) - 1 - i)) FROM generate_series(0, length(b) - 1) i $$;
CREATE FUNCTION pg_temp.bytes(n numeric) RETURNS bytea LANGUAGE sql AS
    $$ SELECT decode(string_agg(lpad(to_hex((div(n, 256::numeric ^ i) % 256)::int), 2, '0'), '' ORDER BY i DESC), 'hex') FROM generate_series(0, 31) i $$;
SELECT decode(translate(split_part(token, '.', 3), '-_', '+/') || '==', 'base64') AS raw, token AS es FROM made WHERE algorithm = 'ES256' \gset
SELECT ok(pg_temp.hex(substr(:'raw'::bytea, 33)) <= div(115792089210356248762697446949407573529996955224135760342422259061068512044369, 2), 'ES256: s is the smaller one');
SELECT is(auth.verify_token(split_part(:'es', '.', 1) || '.' || split_part(:'es', '.', 2) || '.' || pg_temp.base64url(substr(:'raw'::bytea, 1, 32) ||
          pg_temp.bytes(115792089210356248762697446949407573529996955224135760342422259061068512044369 - pg_temp.hex(substr(:'raw'::bytea, 33))))), NULL, 'ES256: the other form of the signature is refused');
SELECT is(auth.verify_token(split_part(:'es', '.', 1) || '.' || split_part(:'es', '.', 2) || '.' || pg_temp.base64url(substr(:'raw'::bytea, 1, 32) || pg_temp.bytes(pg_temp.hex(substr(:'raw'::bytea, 33))))) IS NULL, false, '(and the way there and back does no harm)');

-- Rotation without a word keeps the algorithm; ahead of time the key before goes on signing.
SELECT auth.rotate_signing_key('ES256') AS now_kid \gset
SELECT is(pg_temp.signing(), :'now_kid', 'the new key signs, at the next statement');
SELECT auth.rotate_signing_key(active_in => '1 hour') AS coming_kid \gset
SELECT is((SELECT algorithm FROM auth.signing_keys WHERE kid = :'coming_kid'), 'ES256', 'NULL: the algorithm of the newest key');
SELECT is(pg_temp.signing(), :'now_kid', 'a key that is to come does not sign yet');
SELECT is(auth.jwks()->'keys'->0->>'kid', :'coming_kid', 'but is published');
SELECT is(pg_temp.error(format('SELECT auth.drop_signing_key(%L)', :'now_kid')), '55000', 'the key that signs is not dropped');
SELECT is(pg_temp.error(format('SELECT auth.drop_signing_key(%L)', :'coming_kid')), '55000', 'nor the one that is to come');
UPDATE auth.signing_keys SET signs_from = clock_timestamp() WHERE kid = :'coming_kid';
SELECT is(pg_temp.signing(), :'coming_kid', 'it signs when its time has come');
SELECT auth.rotate_signing_key(active_in => '1 hour') AS never_kid \gset
SELECT auth.rotate_signing_key() AS last_kid \gset
SELECT is(pg_temp.signing(), :'last_kid', 'a rotation now takes the place of one to come');
UPDATE auth.signing_keys SET signs_from = clock_timestamp() - interval '1 s' WHERE kid = :'last_kid';
SELECT is((SELECT signs_from FROM auth.signing_keys WHERE kid = :'never_kid'), 'infinity', 'which never signs');
SELECT is((SELECT count(*) FROM auth.signing_keys WHERE is_active), 1::bigint, 'one key is the newest');
SELECT ok(bool_and(verifies_until BETWEEN now() + interval '7 days 23 hours' AND now() + interval '8 days 1 hour 1 minute'), 'the others verify for the longest life of a token and a day') FROM auth.signing_keys WHERE NOT is_active;

-- The end of a key.
SELECT is(auth.drop_signing_key(:'hs_kid'), true, 'dropped');
SELECT is(auth.verify_token(:'hs'), NULL, 'its token is refused, though this backend has the key');
SELECT is(auth.drop_signing_key(:'hs_kid'), false, 'once');
SELECT is(auth.drop_signing_key('no such'), false, 'no such key');
SELECT ok(auth.verify_token(:'es') IS NOT NULL, 'another key''s is good');
UPDATE auth.signing_keys SET verifies_until = clock_timestamp() WHERE kid = (SELECT kid FROM made WHERE algorithm = 'ES256');
SELECT is(auth.verify_token(:'es'), NULL, 'until that key''s time has come');
SELECT is((SELECT count(*) FROM jsonb_array_elements(auth.jwks()->'keys') j WHERE j->>'kid' = (SELECT kid FROM made WHERE algorithm = 'ES256')), 0::bigint, 'then it is published no longer');
SELECT auth.rotate_signing_key() IS NOT NULL AS rotated \gset
SELECT is((SELECT count(*) FROM auth.signing_keys WHERE kid = (SELECT kid FROM made WHERE algorithm = 'ES256')), 0::bigint, 'and the next rotation deletes it');

-- What is refused.
SELECT is(pg_temp.error(c), '22023', c) FROM unnest(ARRAY[
    $$SELECT auth.rotate_signing_key('none')$$, $$SELECT auth.rotate_signing_key('')$$, $$SELECT auth.rotate_signing_key('hs256')$$,
    $$SELECT auth.rotate_signing_key('HS512')$$, $$SELECT auth.rotate_signing_key(active_in => '-1 s')$$, $$SELECT auth.rotate_signing_key(active_in => '31 days')$$]) c;
SELECT is(pg_temp.error('SELECT auth.seal_signing_keys()'), '55000', 'without a key-encryption key nothing is sealed');
SELECT is(pg_temp.error('SET auth_service.key_encryption_command = ''echo x'''), '55P02', 'nobody sets the command in a session');
CREATE ROLE regress_17_app; SELECT auth.allow_api('regress_17_app'); GRANT ALL ON ALL TABLES IN SCHEMA pg_temp TO regress_17_app;
SELECT quote_literal(auth.rotate_signing_key('ES256')) AS last \gset
SET ROLE regress_17_app;
SELECT is(jsonb_array_length(auth.jwks()->'keys') > 0, true, 'anyone: jwks');
SELECT is(pg_temp.error('SELECT auth.rotate_signing_key()'), '42501', 'nobody but an operator rotates');
SELECT is(pg_temp.error('SHOW auth_service.key_encryption_command'), '42501', 'or sees the command');
RESET ROLE;
SELECT is(array_agg(DISTINCT action ORDER BY action), '{drop_signing_key,login,register,rotate_signing_key}', 'the audit log tells') FROM auth.audit_log;
SELECT is((SELECT detail FROM auth.audit_log WHERE action = 'drop_signing_key'), jsonb_build_object('kid', :'hs_kid'), 'which key');

-- Nothing signs with a key that does not fit its row.
UPDATE auth.signing_keys SET secret = (SELECT secret FROM auth.signing_keys WHERE algorithm = 'ES256' AND NOT is_active LIMIT 1) WHERE is_active;
SELECT is(pg_temp.error('SELECT pg_temp.token()'), 'XX001', 'a private key that is not the public one''s does not sign');
-- Where there is no key yet, a rotation for later is one for now: somebody has to sign.
TRUNCATE auth.signing_keys;
SELECT auth.rotate_signing_key('ES256', '1 day') AS first_kid \gset
SELECT is(pg_temp.signing(), :'first_kid', 'the first key signs at once');
SELECT is((SELECT count(*) FROM auth.signing_keys), 1::bigint, 'and is the only one');
SELECT finish();
