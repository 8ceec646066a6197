-- SPDX-License-Identifier: MIT
--
-- growth.sql: what growth.pl times, inside one session of the server, so that no client's round trip is in it.
-- All times are microseconds.

CREATE FUNCTION bench.since(started timestamptz) RETURNS float8 LANGUAGE sql VOLATILE
    AS 'SELECT extract(epoch FROM clock_timestamp() - started)::float8 * 1e6';

-- A call of authenticate, and of the two calls of GET /users/me.  In a transaction that is read only: so it notes no
-- activity, and not that identities change within a transaction, which no front does.
CREATE FUNCTION bench.authenticate(tokens text[]) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
    token text;
    started timestamptz := clock_timestamp();
BEGIN
    FOREACH token IN ARRAY tokens LOOP
        PERFORM auth.authenticate(token);
    END LOOP;
    RETURN bench.since(started) / cardinality(tokens);
END $$;

CREATE FUNCTION bench.me(tokens text[]) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
    token text;
    started timestamptz := clock_timestamp();
BEGIN
    FOREACH token IN ARRAY tokens LOOP
        PERFORM auth.authenticate(token);
        PERFORM auth.me();
    END LOOP;
    RETURN bench.since(started) / cardinality(tokens);
END $$;

-- What a password's hash takes at the cost of the accounts here; it is taken off what a login takes.
CREATE FUNCTION bench.hash(times integer) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
    hash text := public.crypt('Secret123', public.gen_salt('bf', 4));
    started timestamptz := clock_timestamp();
BEGIN
    FOR i IN 1 .. times LOOP
        PERFORM public.crypt('Secret123', hash);
    END LOOP;
    RETURN bench.since(started) / times;
END $$;

CREATE FUNCTION bench.login(emails text[]) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
    email text;
    started timestamptz := clock_timestamp();
BEGIN
    FOREACH email IN ARRAY emails LOOP
        PERFORM auth.login(email, 'Secret123');
    END LOOP;
    RETURN bench.since(started) / cardinality(emails);
END $$;

CREATE FUNCTION bench.register(times integer) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
    started timestamptz := clock_timestamp();
BEGIN
    FOR i IN 1 .. times LOOP
        PERFORM auth.register('new' || extract(epoch FROM started) || '.' || i || '@example.org', 'Secret123', 'Annegret', 'Lindemann');
    END LOOP;
    RETURN bench.since(started) / times;
END $$;

-- Refreshes one after another, so many to a transaction, each session's newest token the next time.  What they
-- took is in bench.refreshed, as a procedure that commits has no result of its own.
CREATE TABLE bench.refreshed (took float8);
CREATE PROCEDURE bench.refresh(INOUT tokens text[], times integer, each integer) LANGUAGE plpgsql AS $$
DECLARE
    started timestamptz := clock_timestamp();
    n integer := cardinality(tokens);
BEGIN
    FOR i IN 0 .. times - 1 LOOP
        tokens[1 + i % n] := (SELECT r.refresh_token FROM auth.refresh(tokens[1 + i % n]) r);
        IF i % each = each - 1 THEN
            COMMIT;
        END IF;
    END LOOP;
    COMMIT;
    INSERT INTO bench.refreshed VALUES (bench.since(started) / times);
    IF array_position(tokens, NULL) IS NOT NULL THEN
        RAISE 'a refresh was refused';
    END IF;
END $$;

-- The best of some pages, as a list's first rows are in memory where lists are asked for.
CREATE FUNCTION bench.page(call text, tries integer) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
    best float8;
    started timestamptz;
BEGIN
    FOR i IN 1 .. tries LOOP
        started := clock_timestamp();
        EXECUTE 'SELECT count(*) FROM auth.' || call;
        best := least(best, bench.since(started));
    END LOOP;
    RETURN best;
END $$;

-- A client beside something: authenticate and refresh in turn, a transaction each, until bench.stop has a row.
CREATE TABLE bench.stop (at timestamptz);
CREATE TABLE bench.beside (run text, what text, took float8);
CREATE PROCEDURE bench.beside(run text, users integer) LANGUAGE plpgsql AS $$
DECLARE
    ids bigint[];
    access text[];
    refreshes text[];
    pair record;
    started timestamptz;
    authenticate float8[];
    refresh float8[];
    n integer;
BEGIN
    SELECT array_agg(id), array_agg(access_token), array_agg(refresh_token) INTO ids, access, refreshes
        FROM (SELECT * FROM bench.tokens ORDER BY id DESC LIMIT users) t;
    n := cardinality(ids);
    FOR i IN 0 .. 10000000 LOOP
        started := clock_timestamp();
        PERFORM auth.authenticate(access[1 + i % n]);
        COMMIT;
        authenticate[i + 1] := bench.since(started);
        started := clock_timestamp();
        SELECT r.access_token, r.refresh_token INTO pair FROM auth.refresh(refreshes[1 + i % n]) r;
        COMMIT;
        refresh[i + 1] := bench.since(started);
        access[1 + i % n] := pair.access_token;
        refreshes[1 + i % n] := pair.refresh_token;
        EXIT WHEN i % 50 = 49 AND EXISTS (SELECT FROM bench.stop);
    END LOOP;
    INSERT INTO bench.beside SELECT run, 'authenticate', t FROM unnest(authenticate) t;
    INSERT INTO bench.beside SELECT run, 'refresh', t FROM unnest(refresh) t;
    UPDATE bench.tokens t SET access_token = u.access, refresh_token = u.refresh
        FROM unnest(ids, access, refreshes) u (id, access, refresh) WHERE t.id = u.id;
END $$;

-- Sessions that are over.
CREATE PROCEDURE bench.expire(sessions bigint) LANGUAGE sql AS $$
    INSERT INTO auth.sessions (user_id, id, refresh_key, refresh_counter, refresh_nonce, previous_nonce, created_at,
                               last_used_at, expires_at, user_agent, ip)
    SELECT i, gen_random_uuid(), sha256(int8send(i)), 40, i, i, now() - interval '31 days', now() - interval '1 day',
        now() - (i % 86400) * interval '1 second', 'Mozilla/5.0', '192.0.2.1'
    FROM generate_series(1, sessions) i
$$;

-- maintain, a transaction a step, until nothing is left; what each step took is in bench.steps.
CREATE TABLE bench.steps (number integer, deleted bigint, took float8);
CREATE PROCEDURE bench.maintain() LANGUAGE plpgsql AS $$
DECLARE
    number integer := 0;
    deleted bigint;
    started timestamptz;
BEGIN
    LOOP
        number := number + 1;
        started := clock_timestamp();
        deleted := auth.maintain();
        COMMIT;
        INSERT INTO bench.steps VALUES (number, deleted, bench.since(started));
        COMMIT;
        EXIT WHEN deleted = 0;
    END LOOP;
END $$;
