#!/usr/bin/env bash
# Gives the roles of the database what db/roles.sql says, whichever version of this stack made the volume: docs/database.md
# The first ones made `app` the superuser that a cluster begins with, which cannot become less. It is renamed `postgres`,
# and what it owned goes to a new `app`, in one transaction: before it all is as it was, after it all is done.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

ROLES=/docker-entrypoint-initdb.d/roles.sql # db/, as the container sees it
as() { # role, options of psql
  docker compose exec --no-TTY --env PGOPTIONS='-c client_min_messages=warning' db \
    psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --username "$1" --dbname app "${@:2}"
}

convert() {
  say convert "the role app is a superuser: it becomes postgres, and what it owned a new app's"
  # Nobody renames who he is. Without a password, this one comes by the container's socket only.
  as app --command "DO \$\$ BEGIN CREATE ROLE converting SUPERUSER LOGIN; EXCEPTION WHEN duplicate_object THEN END \$\$"
  as converting --single-transaction --file - --file $ROLES <<-'SQL'
	SET LOCAL lock_timeout = '10s';
	ALTER ROLE app RENAME TO postgres;
	CREATE ROLE app;

	-- What follows its table or type is left out, and what is an extension's.
	SELECT format('ALTER %s %s OWNER TO app',
	  CASE WHEN type IN ('function', 'procedure', 'aggregate') THEN 'ROUTINE'
	       WHEN type = 'statistics object' THEN 'STATISTICS' ELSE type END, identity)
	FROM (
	  SELECT 'pg_class'::regclass AS catalog, oid, relowner AS owner, relkind = 'S' AS is_sequence
	    FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND relpersistence <> 't'
	  UNION ALL SELECT 'pg_namespace'::regclass, oid, nspowner, false FROM pg_namespace WHERE nspname !~ '^pg_'
	  UNION ALL SELECT 'pg_proc'::regclass, oid, proowner, false FROM pg_proc
	  UNION ALL SELECT 'pg_type'::regclass, oid, typowner, false FROM pg_type
	  UNION ALL SELECT 'pg_operator'::regclass, oid, oprowner, false FROM pg_operator
	  UNION ALL SELECT 'pg_collation'::regclass, oid, collowner, false FROM pg_collation
	  UNION ALL SELECT 'pg_ts_config'::regclass, oid, cfgowner, false FROM pg_ts_config
	  UNION ALL SELECT 'pg_ts_dict'::regclass, oid, dictowner, false FROM pg_ts_dict
	  UNION ALL SELECT 'pg_statistic_ext'::regclass, oid, stxowner, false FROM pg_statistic_ext
	  UNION ALL SELECT 'pg_largeobject'::regclass, oid, lomowner, false FROM pg_largeobject_metadata
	) AS owned, pg_identify_object(catalog, oid, 0)
	WHERE owner = 'postgres'::regrole AND (oid >= 16384 OR catalog = 'pg_largeobject'::regclass) AND NOT EXISTS (
	  SELECT FROM pg_depend WHERE classid = catalog AND objid = oid AND objsubid = 0
	  AND (deptype IN ('i', 'e') OR deptype = 'a' AND is_sequence)) \gexec

	SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE app %s GRANT %s ON %s TO %s',
	  'IN SCHEMA ' || nullif(defaclnamespace, 0)::regnamespace, privilege_type,
	  CASE defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'ROUTINES'
	    WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' WHEN 'L' THEN 'LARGE OBJECTS' END,
	  CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)
	FROM pg_default_acl, aclexplode(defaclacl)
	WHERE defaclrole = 'postgres'::regrole AND grantee <> defaclrole \gexec
	SQL
}

docker compose up --detach --wait --quiet-pull db
first=$(as app --command "SELECT rolname FROM pg_roles WHERE oid = 10") || fail "the reason is above. Nothing has changed."
if [ "$first" = app ]; then convert; else as postgres --single-transaction --file $ROLES; fi
as postgres <<-'SQL'
	DROP ROLE IF EXISTS converting;
	SELECT pg_reload_conf() \g /dev/null
	-- Connections from before are superusers still. Whoever had one gets another.
	SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres' AND client_addr IS NOT NULL \g /dev/null
	SQL
say roles "as db/roles.sql has them"
