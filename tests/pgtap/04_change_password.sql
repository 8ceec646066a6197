-- change_password: rules, and the end of all sessions.
\ir ../setup.sql
SELECT plan(6 + 10 + 6 + 6);

SELECT auth.register('ann@example.com', 'Secret123') AS ann \gset
SELECT refresh_token AS t, access_token AS a FROM auth.login('ann@example.com', 'Secret123') \gset
SELECT refresh_token AS t2, access_token AS a2 FROM auth.login('ann@example.com', 'Secret123') \gset
SELECT is(auth.change_password('ann@example.com', 'Secret124', 'Newsecret1'), false, 'the old password is wrong');
SELECT isnt(auth.verify_token(:'a'), NULL, 'which ends no session');
SELECT is(auth.change_password('ANN@EXAMPLE.COM', 'Secret123', 'Newsecret1'), true, 'changed');
SELECT is(auth.login('ann@example.com', 'Secret123'), NULL, 'the old one is over');
SELECT isnt(auth.login('ann@example.com', 'Newsecret1'), NULL, 'the new one works');
SELECT is(ARRAY[auth.verify_token(:'a'), auth.verify_token(:'a2')], ARRAY[NULL, NULL]::jsonb[],
          'every session has ended');

SELECT throws_ok(format('SELECT auth.change_password(%L, %L, %L)', 'ann@example.com', 'Newsecret1', password),
                 code, NULL, 'new password refused: ' || left(quote_nullable(password), 20))
FROM (VALUES (NULL, 'U422A'), ('', 'U422C'), ('Short1x', 'U422C'), ('nodigits-Here', 'U422G'),
             ('NOLOWER123', 'U422E'), ('noupper123', 'U422F'), (repeat('Aa1', 24) || 'x', 'U422D'),
             ('Ää1' || repeat('€', 30), 'U422D'), (repeat('Aa1', 333333), 'U422D'), ('Äé1€€€€', 'U422C'))
     c (password, code);
SELECT is(auth.change_password('ann@example.com', 'Newsecret1', repeat('Aa1', 24)), true,
          '72 bytes are taken');
SELECT is(auth.login('ann@example.com', repeat('Aa1', 24) || 'x'), NULL, 'and no 73rd is ignored');
SELECT is(auth.change_password(email, password, 'Newsecret2'), false,
          'false for ' || coalesce(email, 'NULL') || ' / ' || coalesce(left(password, 10), 'NULL'))
FROM (VALUES ('nobody@example.com', 'Secret123'), (NULL, 'Secret123'), ('ann@example.com', NULL),
             ('ann@example.com', repeat('x', 1000000))) c (email, password);

UPDATE auth.users SET blocked_at = now();
SELECT is(auth.change_password('ann@example.com', 'wrong', 'Newsecret2'), false, 'blocked: the wrong one tells nothing');
SELECT throws_ok(format('SELECT auth.change_password(%L, %L, %L)', 'ann@example.com', repeat('Aa1', 24), 'Newsecret2'),
                 'U403A', NULL, 'blocked: the right one does');
UPDATE auth.users SET blocked_at = NULL, deleted_at = now();
SELECT is(auth.change_password('ann@example.com', repeat('Aa1', 24), 'Newsecret2'), false, 'deleted: as unknown');

-- The rules are settings.
SET auth_service.password_min_length = 3;
SET auth_service.password_require_upper = off;
SET auth_service.password_require_digit = off;
SET auth_service.password_forbidden_characters = '@"<>';
SELECT lives_ok($$SELECT auth.register('b@example.com', 'abc')$$, 'settings: shorter, without upper and digit');
SELECT throws_ok($$SELECT auth.register('c@example.com', 'a<c')$$, 'U422H', NULL, 'settings: forbidden characters');
SELECT throws_ok($$SELECT auth.register('c@example.com', 'ab')$$, 'U422C', 'Password must have at least 3 characters',
                 'settings: the message tells the length');
SELECT finish();
