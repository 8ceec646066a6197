-- Issuer and audience are settings, and tokens of another are refused.
\ir ../setup.sql
\ir ../tokens.sql
SELECT plan(10);
SELECT auth.register('ann@example.com', 'Secret123') AS ann \gset
SELECT access_token AS plain FROM auth.login('ann@example.com', 'Secret123') \gset
SET auth_service.audience = 'app "one"';
SELECT access_token AS good FROM auth.login('ann@example.com', 'Secret123') \gset
SELECT pg_temp.part(:'good', 1) AS header, pg_temp.part(:'good', 2) AS payload, secret FROM auth.signing_keys \gset
SELECT is(auth.verify_token(:'good') ->> 'aud', 'app "one"', 'aud: written');
SELECT is(auth.verify_token(:'plain'), NULL, 'aud: a token without one is refused');
SELECT is(auth.verify_token(pg_temp.sign(:'header', (:'payload'::jsonb || v::jsonb)::text, :'secret')) IS NOT NULL, good, 'aud: ' || v)
FROM (VALUES ('{"aud":["x","app \"one\""]}', true), ('{"aud":["x"]}', false), ('{"aud":[]}', false), ('{"aud":{"app \"one\"":1}}', false),
             ('{"aud":[["app \"one\""]]}', false)) c (v, good);
SET auth_service.issuer = 'https://id.example.com';
SELECT is(auth.verify_token(:'good'), NULL, 'iss: a token of the former issuer is refused');
SET auth_service.issuer = 'auth_service';
SET auth_service.audience = '';
SELECT is(auth.verify_token(:'good'), NULL, 'aud: one for somebody else is refused, where none is set');
SELECT throws_ok($$SET auth_service.issuer = 'Büro'$$, '22023', NULL, 'iss: ASCII only');
SELECT finish();
