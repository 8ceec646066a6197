-- register: who gets an account, and who does not.
\ir ../setup.sql
SELECT plan(8 + 21 + 31 + 12);

SELECT is(auth.register('ann@example.com', 'Secret123'), 1::bigint, 'register: returns the new id');
SELECT is(auth.register(email => 'bob@example.com', password => 'Secret123',
                        first_name => 'Bob', last_name => 'Builder'),
          2::bigint, 'register: takes its arguments by name');
SELECT is(first_name || ' ' || last_name, 'Bob Builder', 'register: keeps the names')
    FROM auth.users WHERE id = 2;
SELECT matches(password_hash, '^\$2a\$04\$[./A-Za-z0-9]{53}$', 'register: stores a bcrypt hash')
    FROM auth.users WHERE id = 1;
SELECT auth.register('Carl@Example.COM', 'Secret123') AS carl \gset
SELECT is(email, 'Carl@Example.COM', 'register: keeps the e-mail as given')
    FROM auth.users WHERE id = :carl;
SELECT is(role, 'user'::auth.user_role, 'register: nobody starts as an admin')
    FROM auth.users WHERE id = 1;
SET auth_service.bcrypt_cost = 12;
SELECT auth.register('cost@example.com', 'Secret123') AS cost \gset
SELECT is(substr(password_hash, 1, 7), '$2a$12$', 'register: the cost is the setting''s')
    FROM auth.users WHERE id = :cost;
RESET auth_service.bcrypt_cost;
SELECT is(current_setting('auth_service.bcrypt_cost'), '12', 'register: the cost is 12 by default');
SET auth_service.bcrypt_cost = 4;

-- E-mails that are taken.
SELECT lives_ok(format('SELECT auth.register(%L, %L)', email, 'Secret123'), 'e-mail taken: ' || email)
FROM unnest(ARRAY[
    'a@b.co', 'first.last@example.com', 'user+tag@example.com', 'x_y-z@sub.domain.example.org',
    '!#$%&''*+-/=?^_`{|}~@example.com', '1234567890@example.com', 'a@1.com', 'a@b-c.de',
    'ab@xn--bcher-kva.example', 'jürgen@example.com', 'info@bücher.example', '用户@例子.公司',
    repeat('a', 64) || '@example.com', 'a@' || repeat('b', 63) || '.com',
    'q@' || repeat('b', 60) || '.' || repeat('c', 60) || '.' || repeat('d', 60) || '.com',
    'user@example.museum', 'UPPER@EXAMPLE.ORG', 'o''hara@example.com', 'a.b.c.d@e.f.g.h.example',
    'x@example.c0m', 'admin@mailserver1.example'
]) email;

-- E-mails that are not.
SELECT throws_ok(format('SELECT auth.register(%L, %L)', email, 'Secret123'), 'U422B', NULL,
                 'e-mail refused: ' || to_json(left(email, 60)))
FROM unnest(ARRAY[
    '', ' ', '@', 'a', 'a@', '@b.com', 'a@b', 'a b@example.com', 'a@exam ple.com', ' a@example.com',
    'a@example.com ', 'a@@example.com', 'a@b@example.com', '.a@example.com', 'a.@example.com',
    'a..b@example.com', 'a@.example.com', 'a@example..com', 'a@example.com.', 'a@-example.com',
    'a@example-.com', 'a@[127.0.0.1]', '"quoted local"@example.com', E'a\tb@example.com',
    E'a\n@example.com', E'a@example.com\r\nBcc: x@example.com', repeat('a', 65) || '@example.com',
    'a@' || repeat('b', 64) || '.com', 'a@' || repeat('b.', 125) || 'com', 'a@127.0.0.1',
    E'a\u200Bb@example.com'
]) email;

-- The same e-mail.
SELECT throws_ok(format('SELECT auth.register(%L, %L)', email, 'Secret123'), 'U400A',
                 'A user with this email already exists', 'taken already: ' || email)
FROM unnest(ARRAY['ann@example.com', 'ANN@EXAMPLE.COM', 'Ann@Example.Com', 'carl@example.com',
                  E'ju\u0308rgen@example.com']) email;
UPDATE auth.users SET deleted_at = now() WHERE id = 2;
SELECT isnt(auth.register('bob@example.com', 'Secret123'), 2::bigint,
            'register: the e-mail of a deleted account makes a new one');
SELECT throws_ok($$SELECT auth.register('bob@example.com', 'Secret123')$$, 'U400A', NULL,
                 'register: which is then taken');
SELECT throws_ok($$SELECT auth.register(NULL, 'Secret123')$$, 'U422A', NULL, 'register: no e-mail');
SELECT throws_ok($$SELECT auth.register('n@example.com', NULL)$$, 'U422A', NULL,
                 'register: no password');
SELECT throws_ok($$SELECT auth.register('n@example.com', 'Secret123', '')$$, 'U422I', NULL,
                 'register: an empty name');
SELECT throws_ok(format('SELECT auth.register(%L, %L, %L)', 'n@example.com', 'Secret123', n), 'U422I',
                 NULL, 'register: a name too long, or with a control character')
    FROM unnest(ARRAY[repeat('n', 256), E'a\nb']) n;
SELECT finish();
