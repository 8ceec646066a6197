-- Access tokens that must be refused: RFC 8725 and the known faults of JWT libraries.  Every forged
-- one is signed with the right key, so that it is refused for what it says.
\ir ../setup.sql
\ir ../tokens.sql
SELECT plan(4 + 30 + 63 + 6 + 256 + 5 + 9 + 3);

SELECT auth.register('ann@example.com', 'Secret123') AS ann \gset
SELECT auth.register('bob@example.com', 'Secret123') AS bob \gset
SELECT access_token AS good FROM auth.login('ann@example.com', 'Secret123') \gset
SELECT kid, secret FROM auth.signing_keys \gset
SELECT pg_temp.part(:'good', 1) AS header, pg_temp.part(:'good', 2) AS payload \gset

CREATE FUNCTION pg_temp.verdict(token text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM auth.authenticate(token);
    IF auth.verify_token(token) IS NULL THEN RETURN 'verify_token differs'; END IF;
    RETURN 'taken';
EXCEPTION WHEN OTHERS THEN
    IF auth.verify_token(token) IS NOT NULL THEN RETURN 'verify_token differs'; END IF;
    RETURN SQLSTATE;
END $$;
SELECT is(pg_temp.verdict(:'good'), 'taken', 'the token itself');
SELECT is(pg_temp.verdict(pg_temp.sign(:'header', :'payload', :'secret')), 'taken', 'the same, forged: the test forges well');
SELECT is(pg_temp.verdict(pg_temp.sign(:'header', :'payload', :'secret'::bytea || 'x')), 'U401B', 'another key');
SELECT is(pg_temp.verdict(NULL), 'U401B', 'NULL');

-- Headers.
SELECT is(pg_temp.verdict(pg_temp.sign(h, :'payload', :'secret')), 'U401B', 'header: ' || left(h, 90))
FROM unnest(ARRAY[
    '{}', '[]', '"x"', '1', 'null', '', ' ', replace(:'header', 'HS256', 'none'), replace(:'header', 'HS256', 'None'),
    replace(:'header', 'HS256', 'hs256'), replace(:'header', 'HS256', 'HS384'), replace(:'header', 'HS256', 'HS512'),
    replace(:'header', 'HS256', 'RS256'), replace(:'header', 'HS256', ''), replace(:'header', '"HS256"', '256'),
    replace(:'header', '"alg":"HS256",', ''), replace(:'header', 'at+jwt', 'JWT'), replace(:'header', 'at+jwt', 'AT+JWT'),
    replace(:'header', '"at+jwt"', '1'), replace(:'header', ',"typ":"at+jwt"', ''), replace(:'header', :'kid', 'x'),
    replace(:'header', :'kid', ''), replace(:'header', :'kid', repeat('k', 65)), replace(:'header', :'kid', '../../etc/passwd'),
    replace(:'header', :'kid', ''' OR ''1''=''1'), rtrim(:'header', '}') || ',"crit":["exp"]}', rtrim(:'header', '}') || ',"crit":[]}',
    rtrim(:'header', '}') || ',"alg":"none"}', '{"alg":"none",' || ltrim(:'header', '{'), :'header' || ' {}']) h;

-- Claims.
SELECT is(pg_temp.verdict(pg_temp.sign(:'header', p, :'secret')), 'U401B', 'claims: ' || what)
FROM (SELECT (:'payload'::jsonb - c)::text, 'without ' || c FROM unnest('{sub,exp,iat,iss,jti,sid,gen}'::text[]) c
      UNION ALL SELECT (:'payload'::jsonb || v::jsonb)::text, v FROM unnest(ARRAY[
          '{"sub":1}', '{"sub":"01"}', '{"sub":" 1"}', '{"sub":"1 "}', '{"sub":"+1"}', '{"sub":"-1"}', '{"sub":"1.0"}', '{"sub":"1e0"}',
          '{"sub":"0"}', '{"sub":""}', '{"sub":null}', '{"sub":true}', '{"sub":["1"]}', '{"sub":"9223372036854775808"}',
          '{"sub":"18446744073709551617"}', '{"sub":"99999999999999999999999"}', '{"sub":"2"}', '{"sub":"999"}',
          '{"exp":null}', '{"exp":"9999999999"}', '{"exp":9999999999.5}', '{"exp":-1}', '{"exp":0}', '{"exp":1}', '{"exp":true}', '{"exp":[]}',
          '{"exp":99999999999999999999}', '{"nbf":9999999999}', '{"nbf":"1"}', '{"nbf":1.5}', '{"iat":9999999999}', '{"iat":"1"}', '{"iat":null}',
          '{"iss":"other"}', '{"iss":""}', '{"iss":["auth_service"]}', '{"aud":"x"}', '{"aud":[]}',
          '{"sid":"00000000-0000-0000-0000-000000000000"}', '{"sid":"x"}', '{"sid":1}', '{"jti":""}', '{"jti":1}', '{"gen":0}', '{"gen":"0"}', '{"gen":"0.0"}', '{"gen":"-1.0"}', '{"gen":"1.0"}',
          '{"gen":"00.0"}', '{"gen":"0."}', '{"gen":"0.1 "}', '{"gen":"9223372036854775808.0"}']) v
      UNION ALL VALUES (rtrim(:'payload', '}') || ',"sub":"2"}', 'sub twice'), ('{"exp":9999999999,' || ltrim(:'payload', '{'), 'exp twice'),
          (:'payload' || 'x', 'rubbish behind'), ('[' || :'payload' || ']', 'an array')) c (p, what);
SELECT is(pg_temp.verdict(pg_temp.sign(:'header', (:'payload'::jsonb || v::jsonb)::text, :'secret')), 'taken', 'claims taken: ' || v)
FROM unnest(ARRAY['{"nbf":1}', '{"role":"admin"}', '{"role":5}', '{"other":{"a":[1.5,null]}}', '{"exp":9999999999}', '{"jti":"x"}']) v;

-- The signature: each of its bits.
SELECT is(pg_temp.verdict(substring(:'good' FROM '^(.*\.)') || pg_temp.base64url(set_bit(s, b, 1 - get_bit(s, b)))), 'U401B',
          'signature: bit ' || b || ' flipped')
FROM (SELECT hmac(convert_to(substring(:'good' FROM '^(.*)\.'), 'UTF8'), :'secret'::bytea, 'sha256')) t (s), generate_series(0, 255) b;
SELECT is(count(*) FILTER (WHERE pg_temp.verdict(left(:'good', n)) <> 'U401B'), 0::bigint, 'cut anywhere')
    FROM generate_series(0, length(:'good') - 1) n;
SELECT is(count(*) FILTER (WHERE pg_temp.verdict(overlay(:'good' placing c from n)) <> 'U401B'), 0::bigint,
          'a character replaced by ' || to_json(c))
    FROM generate_series(1, length(:'good')) n, unnest(ARRAY['!', '.', 'é', E'\n']) c WHERE substr(:'good', n, 1) <> c GROUP BY c;

-- Other forms of the same.
SELECT is(pg_temp.verdict(t), 'U401B', 'form: ' || what) FROM (VALUES
    (:'good' || '=', 'padding'), (:'good' || ' ', 'a blank behind'), (' ' || :'good', 'before'), (:'good' || E'\n', 'a line end behind'),
    (:'good' || '.x', 'four parts'), (substring(:'good' FROM '^(.*\.)'), 'no signature'), (replace(:'good', '.', '..'), 'doubled dots'),
    ('Bearer ' || :'good', 'the scheme'),
    -- The last character of a 32-byte signature has two bits that say nothing: only one text is right.
    (left(:'good', -1) || translate(right(:'good', 1), 'AEIMQUYcgkosw048', 'BFJNRVZdhlptx159'), 'unused bits')) c (t, what);

-- Length: refused unread.
SELECT is(pg_temp.verdict(repeat('x', 300000000)), 'U401B', 'length: 300 MB');
SELECT is(pg_temp.verdict(repeat('x', 100000000) || '.' || repeat('y', 100000000) || '.z'), 'U401B', 'length: 200 MB in parts');
UPDATE auth.signing_keys SET is_active = false, retired_at = now();
SELECT is(pg_temp.verdict(:'good'), 'U401B', 'a retired key');
SELECT finish();
