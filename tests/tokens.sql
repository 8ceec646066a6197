-- tokens.sql: makes access tokens without our code, for tests of what must be refused.
CREATE FUNCTION pg_temp.base64url(bytes bytea) RETURNS text LANGUAGE sql AS
    $$ SELECT translate(rtrim(replace(encode(bytes, 'base64'), E'\n', ''), '='), '+/', '-_') $$;

-- A token of these texts, signed with this secret.
CREATE FUNCTION pg_temp.sign(header text, payload text, secret bytea, algorithm text DEFAULT 'sha256')
    RETURNS text LANGUAGE sql AS $$
    SELECT input || '.' || pg_temp.base64url(hmac(convert_to(input, 'UTF8'), secret, algorithm))
    FROM (SELECT pg_temp.base64url(convert_to(header, 'UTF8')) || '.' ||
                 pg_temp.base64url(convert_to(payload, 'UTF8'))) t (input) $$;

CREATE FUNCTION pg_temp.part(token text, n int) RETURNS text LANGUAGE sql AS $$
    SELECT convert_from(decode(rpad(translate(p, '-_', '+/'), (length(p) + 3) / 4 * 4, '='),
                               'base64'), 'UTF8') FROM split_part(token, '.', n) p $$;
