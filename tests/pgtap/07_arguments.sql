-- _arguments: values out of JSON, all problems at once, and nothing of the text in an error.
\ir ../setup.sql
SELECT plan(8 + 27 + 5 + 22 + 31 + 2);

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

-- Types, as pydantic takes them.
SELECT is(auth._arguments(format('{"v":%s}', given), 'v' || type), ARRAY[wanted], format('v%s of %s', type, given))
FROM (VALUES (':integer', '5', '5'), (':integer', '-7', '-7'), (':integer', '"5"', '5'), (':integer', '" +05 "', '5'), (':integer', '-0', '0'),
             (':integer', '5.0', '5'), (':integer', '-1e3', '-1000'), (':integer', '9223372036854775807', '9223372036854775807'),
             (':integer', '"-9223372036854775808"', '-9223372036854775808'), (':integer', 'null', NULL), (':integer!', '0', '0'),
             (':boolean', 'true', 'true'), (':boolean', 'false', 'false'), (':boolean', '"True"', 'true'), (':boolean', '"off"', 'false'),
             (':boolean', '1', 'true'), (':boolean', '"0"', 'false'), (':boolean', '"n"', 'false'), (':boolean', 'null', NULL),
             ('(user,admin)!', '"admin"', 'admin'), ('(user,admin)', '"user"', 'user'), ('(user,admin)', 'null', NULL)) c (type, given, wanted);
SELECT is(pg_temp.detail(format('{"v":%s}', given), 'v' || type), 'U422A v / v: ' || wanted, format('v%s is not %s', type, given))
FROM (VALUES (':integer', 'Input should be a valid integer, unable to parse string as an integer [int_parsing]',
              ARRAY['""', '"x"', '"5x"', '"5 5"', '"0x10"', '"1e3"', '"--5"', '"-"', '"1_000"', '"5.5"']),
             (':integer', 'Input should be a valid integer, got a number with a fractional part [int_from_float]', ARRAY['5.5', '-0.1', '1e-1']),
             (':integer', 'Unable to parse input string as an integer, exceeded maximum size [int_parsing_size]',
              ARRAY['9223372036854775808', '-9223372036854775809', '"99999999999999999999999"', '1e400', '1e18']),
             (':integer', 'Input should be a valid integer [int_type]', ARRAY['true', '[]', '{}']), (':integer!', 'Input should be a valid integer [int_type]', ARRAY['null']),
             (':boolean', 'Input should be a valid boolean, unable to interpret input [bool_parsing]', ARRAY['""', '"x"', '2']),
             (':boolean', 'Input should be a valid boolean [bool_type]', ARRAY['[]']),
             ('(user,admin)', 'Input should be ''user'' or ''admin'' [enum]', ARRAY['""', '"use"', '"users"', '"user,admin"', '1'])) c (type, wanted, bad), unnest(bad) given;
SELECT is(pg_temp.detail('{"v":"x"}', 'v(a,b,c)'), 'U422A v / v: Input should be ''a'', ''b'' or ''c'' [enum]', 'three choices');
SELECT throws_ok($$SELECT auth._arguments('{}', 'v:float')$$, '22023', NULL, 'an unknown type');
SELECT finish();
