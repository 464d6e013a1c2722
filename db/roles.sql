-- Who there is in the database, and what each may. Runs as `postgres` when a volume is new, and again, changing only what
-- differs, by `make db-roles` and `make rotate`, in one transaction. docs/database.md
\set app `tr -d '\r\n' </run/secrets/postgres_password`
\set app_b `tr -d '\r\n' </run/secrets/postgres_password_b`
\set backup `tr -d '\r\n' </run/secrets/postgres_backup_password`
\set monitor `tr -d '\r\n' </run/secrets/postgres_monitor_password`
SELECT '' IN (:'app', :'app_b', :'backup', :'monitor') AS incomplete \gset
\if :incomplete
  DO $$ BEGIN RAISE 'a file secrets/postgres_*password* is empty: make setup'; END $$;
\endif

SELECT format('CREATE ROLE %I', role) FROM unnest('{app,app_b,backup,monitor}'::text[]) AS role
WHERE to_regrole(role) IS NULL \gexec

-- Owns its database, and nothing else. Of the two logins one is in use; a rotation passes on to the other: scripts/rotate.sh
ALTER ROLE app LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS PASSWORD :'app';
ALTER ROLE app_b LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS PASSWORD :'app_b';
GRANT app TO app_b;
ALTER ROLE app_b SET role = app; -- so all that it makes is app's
ALTER DATABASE app OWNER TO app;

ALTER ROLE backup LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB REPLICATION NOBYPASSRLS PASSWORD :'backup';
ALTER ROLE monitor LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS PASSWORD :'monitor';
GRANT pg_monitor TO monitor;

REVOKE ALL ON DATABASE app, postgres, template1 FROM PUBLIC;
GRANT CONNECT ON DATABASE app, postgres TO monitor;
ALTER ROLE postgres PASSWORD NULL; -- from inside the container only, and there without one: pg_hba.conf
