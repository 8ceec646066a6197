-- Lists: every filter and order against a plain query, pages that neither skip nor repeat, bad values.
\ir ../setup.sql
SELECT plan(91);

INSERT INTO auth.users (email, email_normalized, first_name, last_name, role, balance, blocked_at, deleted_at, created_at, updated_at, last_activity_at)
SELECT e, lower(e), (ARRAY['Anna', 'ÄNNE', 'anton', NULL, 'B_b', 'C%c', 'D\d'])[1 + i % 7], (ARRAY['Lee', 'O''Neill', NULL])[1 + i % 3],
       CASE WHEN i % 20 = 0 THEN 'admin' ELSE 'user' END::auth.user_role, i % 5, CASE WHEN i % 11 = 0 THEN now() END,
       CASE WHEN i % 13 = 0 THEN now() - i % 3 * interval '1 hour' END, now(), now(), CASE WHEN i % 4 > 0 THEN now() - i % 6 * interval '1 day' END
FROM (SELECT i, 'User' || i || '@example' || i % 3 || '.com' FROM generate_series(1, 300) i) x (i, e);
UPDATE auth.users SET last_activity_at = '-infinity' WHERE id = 77;

-- All pages of so many rows, one after the other, by their cursors.
CREATE FUNCTION pg_temp.pages(arguments text, size int) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE ids bigint[] = '{}'; page record; c text; n int = 0;
BEGIN
    LOOP
        EXECUTE format('SELECT array_agg(l.id) AS ids, (array_agg(l.next_cursor))[count(*)] AS next, count(*) AS n FROM auth.%s l',
                       format(arguments, format('"limit" => %s, cursor => %L', size, c))) INTO page;
        ids := ids || page.ids;
        c := page.next;
        n := n + 1;
        IF c IS NULL OR n > 400 THEN RETURN ids; END IF;
        IF page.n <> size THEN RETURN '{-1}'; END IF;
    END LOOP;
END $$;
-- The same by a plain query.
CREATE FUNCTION pg_temp.plain(condition text, sort text) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE ids bigint[];
BEGIN
    EXECUTE format('SELECT coalesce(array_agg(id ORDER BY %s), ''{}'') FROM auth.users WHERE %s', sort, condition) INTO ids;
    RETURN ids;
END $$;

SELECT is(pg_temp.pages(format('list_users(sort_by => %L, sort_order => %L, %%s)', s, o), n), pg_temp.plain('deleted_at IS NULL', sql || ' ' || o || ', id ' || o),
          format('sort by %s %s, pages of %s', s, o, n))
FROM (VALUES ('id', 'id'), ('balance', 'balance'), ('last_activity_at', 'coalesce(last_activity_at, ''-infinity'')')) c (s, sql),
     unnest('{asc,desc}'::text[]) o, unnest('{1,7,100,1000}'::int[]) n;
SELECT is(pg_temp.pages(format('list_users(sort_by => %L, sort_order => %L, %s, %%s)', s, o, replace(filter, '%', '%%')), 3),
          pg_temp.plain(condition || ' AND deleted_at IS NULL', s || ' ' || o || ', id ' || o), format('%s by %s %s', filter, s, o))
FROM (VALUES ('id => 5', 'id = 5'), ('id => 13', 'false'), ('email => ''uSER1''', 'email ILIKE ''%User1%'''), ('email => ''@EXAMPLE2''', 'email LIKE ''%@example2%'''),
             ('first_name => ''ann''', 'first_name = ''Anna'''), ('first_name => ''änne''', 'first_name = ''ÄNNE'''),
             ('first_name => ''_''', 'first_name = ''B_b'''), ('first_name => ''%''', 'first_name = ''C%c'''), ('first_name => ''\''', 'first_name = ''D\d'''),
             ('first_name => ''''', 'true'),
             ('last_name => ''o''''n''', 'last_name = ''O''''Neill'''), ('role => ''admin''', 'role = ''admin'''), ('role => ''user''', 'role = ''user'''),
             ('is_blocked => true', 'blocked_at IS NOT NULL'), ('is_blocked => false', 'blocked_at IS NULL'),
             ('first_name => ''a'', last_name => ''e'', is_blocked => false, role => ''user''', 'first_name ILIKE ''%a%'' AND last_name ILIKE ''%e%'' AND blocked_at IS NULL AND role = ''user''')) f (filter, condition),
     (VALUES ('id', 'asc'), ('balance', 'desc')) c (s, o);
SELECT is(pg_temp.pages('deleted_users(%s)', n), pg_temp.plain('deleted_at IS NOT NULL', 'deleted_at DESC, id DESC'), 'deleted users, pages of ' || n) FROM unnest('{1,5,1000}'::int[]) n;
SELECT is((SELECT count(*) FROM auth.list_users()), 100::bigint, 'a page has 100 rows by default');
SELECT is((SELECT count(next_cursor) FROM auth.list_users("limit" => 7)), 7::bigint, 'each row has the cursor of what is behind it');
SELECT is(l, ROW(u.id, u.email, u.first_name, u.last_name, u.role, u.blocked_at IS NOT NULL, u.blocked_at, u.balance, u.created_at, u.updated_at,
                 u.last_activity_at, u.deleted_at, NULL)::auth.listed_user, 'the columns') FROM auth.list_users(id => 11) l, auth.users u WHERE u.id = 11;

SELECT throws_ok(format('SELECT auth.list_users(%s)', bad), 'U422A', NULL, 'refused: ' || bad)
FROM unnest(ARRAY['email => repeat(''%'', 256)', 'first_name => repeat(''ü'', 256)', '"limit" => 0', '"limit" => -1', '"limit" => 1001', '"limit" => NULL', 'sort_by => ''email''', 'sort_by => ''''', 'sort_by => NULL', 'sort_by => ''id; DROP TABLE auth.users''',
    'sort_order => ''up''', 'sort_order => ''ASC''', 'cursor => ''''', 'cursor => ''x''', 'cursor => repeat(''A'', 24)', 'cursor => ''AWnAAAAAAAAAAAAAAAAAAAB=''',
    -- the cursor of another order, and of another list
    'sort_by => ''balance'', cursor => (SELECT next_cursor FROM auth.list_users("limit" => 1))',
    'sort_order => ''desc'', cursor => (SELECT next_cursor FROM auth.list_users("limit" => 1))',
    'cursor => (SELECT next_cursor FROM auth.deleted_users("limit" => 1))']) bad;
SELECT throws_ok(format('SELECT auth.deleted_users(%s)', bad), 'U422A', NULL, 'refused: deleted, ' || bad)
FROM unnest(ARRAY['"limit" => 0', 'cursor => (SELECT next_cursor FROM auth.list_users("limit" => 1))']) bad;
CREATE FUNCTION pg_temp.detail() RETURNS text LANGUAGE plpgsql AS $$
DECLARE d text;
BEGIN
    PERFORM auth.list_users(sort_by => 'x', sort_order => 'x', "limit" => 1001, cursor => 'x');
EXCEPTION WHEN OTHERS THEN GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL; RETURN d;
END $$;
SELECT is(pg_temp.detail(), E'sort_by: Input should be ''id'', ''balance'' or ''last_activity_at'' [enum]\nsort_order: Input should be ''asc'' or ''desc'' [enum]\n'
    'limit: Input should be less than or equal to 1000 [less_than_equal]\ncursor: Input should be a cursor of this list [value_error]', 'all problems at once');

-- While accounts are added: whoever was there at the beginning comes once.
CREATE FUNCTION pg_temp.while_adding(sort text, direction text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE ids bigint[] = '{}'; start bigint[] = pg_temp.plain('deleted_at IS NULL', 'id'); l record; c text; last text;
BEGIN
    LOOP
        c := NULL;
        FOR l IN SELECT * FROM auth.list_users(sort_by => sort, sort_order => direction, "limit" => 10, cursor => last) LOOP
            ids := ids || l.id; c := l.next_cursor;
        END LOOP;
        EXIT WHEN c IS NULL OR cardinality(ids) > 10000;
        last := c;
        INSERT INTO auth.users (email, email_normalized, balance, created_at, updated_at, last_activity_at)
        SELECT e, e, (random() * 5)::int, now(), now(), now() - random() * interval '6 days' FROM (SELECT gen_random_uuid() || '@x.org' FROM generate_series(1, 3)) x (e);
    END LOOP;
    RETURN CASE WHEN (SELECT count(*) <> count(DISTINCT i) FROM unnest(ids) i) THEN 'repeats'
                WHEN NOT ids @> start THEN 'skips' ELSE 'right' END;
END $$;
SELECT is(pg_temp.while_adding(s, o), 'right', format('while accounts are added, by %s %s', s, o)) FROM unnest('{id,balance,last_activity_at}'::text[]) s, unnest('{asc,desc}'::text[]) o;

SELECT is((SELECT string_agg(DISTINCT l::text, '') FROM auth.list_users() u, to_jsonb(u) j, jsonb_object_keys(j) k (l) WHERE l ~ 'hash|token|secret'), NULL, 'nothing secret is listed');
SELECT finish();
