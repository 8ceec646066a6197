-- _arguments: values out of JSON, all problems at once, and nothing of the text in an error.
\ir ../setup.sql
SELECT plan(8 + 27 + 5);

SELECT is(auth._arguments(body, VARIADIC fields), wanted, to_json(body) || ' ' || fields::text)
FROM (VALUES ('{"a":"x","b":"y"}', ARRAY['a!', 'b!'], ARRAY['x', 'y']),
             ('{"b":"y","c":1}', ARRAY['a', 'b'], ARRAY[NULL, 'y']),
             ('{"a":null}', ARRAY['a'], ARRAY[NULL]),
             ('{"a":"\u00e9\ud83d\ude00\n"}', ARRAY['a!'], ARRAY[E'é😀\n']),
             (E' \n{ "a" : "" }\t', ARRAY['a!'], ARRAY['']),
             ('{"q":"z"}', ARRAY['p|q!'], ARRAY['z']),
             ('{"p":"x","q":"z"}', ARRAY['p|q!'], ARRAY['x']),
             ('{"a":"x","b":{"a":5},"c":[{"a":[]}]}', ARRAY['a!'], ARRAY['x'])) c (body, fields, wanted);

CREATE FUNCTION pg_temp.detail(body text, VARIADIC fields text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE d text; c text; m text; x text; col text;
BEGIN
    PERFORM auth._arguments(body, VARIADIC fields);
    RETURN 'none';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL, m = MESSAGE_TEXT, x = PG_EXCEPTION_CONTEXT, col = COLUMN_NAME;
    IF (d || m || x) LIKE '%Sesame%' THEN RETURN 'leaks the text'; END IF;
    RETURN SQLSTATE || ' ' || col || ' / ' || d;
END $$;
SELECT is(pg_temp.detail(body, 'password!'), 'U422A  / : JSON decode error [json_invalid]', 'no JSON: ' || to_json(left(body, 40)))
FROM unnest(ARRAY['{', '}', '{"password":"Sesame"', '{"password":"Sesame"}}', '{"password":"Sesame",}', '{password:"Sesame"}',
    '{''password'':''Sesame''}', '{"password":"Sesame\u0000"}', '{"password":"Sesame\ud800"}', '{"password":"Sesame\udc00x"}',
    '{"password":"Sesame\x"}', '{"password":"Sesame' || E'\n' || '"}', '{"password":"Sesame"} x', '{"a":NaN,"password":"Sesame"}',
    '{"a":01,"password":"Sesame"}', '{"a":+1}', '{"a":.5}', '{"a":1.}', '{"Sesame\u0000":"x"}', 'Sesame', '"Sesame', '[1,]',
    '{"a" "b"}', '{"a":}', '// c' || E'\n' || '{}', E'\uFEFF{}', 'nul']) body;
SELECT is(pg_temp.detail('', 'a!'), 'U422A  / : Field required [missing]', 'an empty body');
SELECT is(pg_temp.detail('["Sesame"]', 'a!'), 'U422A  / : Input should be a valid dictionary [dict_type]', 'an array');
SELECT is(pg_temp.detail('{"a":"1","a":"2","b":1,"c":null,"d":["Sesame"]}', 'a!', 'b', 'c!', 'd', 'e!', 'f'),
          E'U422A a / a: Field given more than once [value_error]\nb: Input should be a valid string [string_type]\n'
          'c: Input should be a valid string [string_type]\nd: Input should be a valid string [string_type]\ne: Field required [missing]',
          'all problems at once');
SELECT is(pg_temp.detail('{"q":"x","q":"y"}', 'p|q!'), 'U422A q / q: Field given more than once [value_error]', 'an alternative twice');
SELECT throws_ok(format('SELECT auth._arguments(%L, %L)', repeat('[', 200000), 'a!'), '54001', NULL, 'nesting without end');
SELECT finish();
