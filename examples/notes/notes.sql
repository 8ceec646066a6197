-- notes.sql: an application of one table: everybody has notes, and sees his own.
--
-- Run it as a superuser in a database that has auth_service.  auth_service_shim and
-- auth_service_anonymous are the roles that `auth-service init-db` makes: /rpc calls as the first for who
-- sends a token, as the second for who sends none.

-- What is the application's belongs to a role of its own, with no rights over auth_service.
CREATE ROLE notes_owner;
CREATE SCHEMA notes AUTHORIZATION notes_owner;  -- the tables
CREATE SCHEMA api AUTHORIZATION notes_owner;    -- the functions that /rpc serves

SET ROLE notes_owner;

-- ---- The table, and who sees what of it ----------------------------------------------------------

CREATE TABLE notes.notes (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner      bigint NOT NULL DEFAULT auth.uid(),
    body       text NOT NULL CHECK (length(body) BETWEEN 1 AND 10000),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON notes.notes (owner, id);

ALTER TABLE notes.notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON notes.notes USING (owner = auth.uid()) WITH CHECK (owner = auth.uid());

GRANT USAGE ON SCHEMA notes, api TO auth_service_shim, auth_service_anonymous;
GRANT SELECT, INSERT, DELETE ON notes.notes TO auth_service_shim;

-- ---- What /rpc serves ----------------------------------------------------------------------------

-- A function is everybody's to call unless its rights are taken back.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

CREATE FUNCTION api.add_note(body text) RETURNS notes.notes LANGUAGE sql
    BEGIN ATOMIC
        INSERT INTO notes.notes (body) VALUES (body) RETURNING *;
    END;
COMMENT ON FUNCTION api.add_note IS 'Write a note';

CREATE FUNCTION api.my_notes(search text DEFAULT NULL) RETURNS SETOF notes.notes LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT * FROM notes.notes n WHERE search IS NULL OR n.body ILIKE '%' || search || '%' ORDER BY n.id;
    END;
COMMENT ON FUNCTION api.my_notes IS 'My notes, or those with this text in them';

CREATE FUNCTION api.delete_note(id bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM notes.notes n WHERE n.id = delete_note.id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'There is no such note' USING ERRCODE = 'PT404';
    END IF;
END $$;
COMMENT ON FUNCTION api.delete_note IS 'Delete one of my notes';

GRANT EXECUTE ON FUNCTION api.add_note, api.my_notes, api.delete_note TO auth_service_shim;

-- For everybody, and so with the rights of its owner: whose policies do not hold for himself.
CREATE FUNCTION api.how_many() RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER
    BEGIN ATOMIC
        SELECT count(*) FROM notes.notes;
    END;
COMMENT ON FUNCTION api.how_many IS 'How many notes there are';
GRANT EXECUTE ON FUNCTION api.how_many TO auth_service_shim, auth_service_anonymous;

-- ---- A first note for everybody who registers ----------------------------------------------------

CREATE FUNCTION notes.on_register(event jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO notes.notes (owner, body) VALUES ((event ->> 'user_id')::bigint, 'Welcome, ' || (event ->> 'email'));
END $$;

RESET ROLE;

-- ---- What takes a superuser ----------------------------------------------------------------------

-- The foreign key: a role that could make it itself, with REFERENCES on auth.users, could become the owner
-- of that table (docs/privileges.md).
ALTER TABLE notes.notes ADD FOREIGN KEY (owner) REFERENCES auth.users;
SELECT auth.set_hook('register', 'notes.on_register(jsonb)');
