-- A database and four roles per service. Run once by a superuser with psql, before the migrations:
--
--   CRM_OWNER_PASSWORD=... CRM_APP_PASSWORD=... psql -f deploy/postgres.sql
--
-- SERVICE_owner owns the database and migrates it. SERVICE_app is what processes log in as; it has no right of its own and
-- puts on one of two hats by SET ROLE: SERVICE_web (row-level security shows what the caller's scope allows) or
-- SERVICE_worker (all rows). None of them is superuser or bypasses row-level security, and none may connect to another
-- service's database. A service refuses to start with a role that could go round row-level security.

\getenv owner_password CRM_OWNER_PASSWORD
\getenv app_password CRM_APP_PASSWORD
\set ON_ERROR_STOP on
\if :{?owner_password}
\else
    DO $$ BEGIN RAISE EXCEPTION 'CRM_OWNER_PASSWORD is not set'; END $$;
\endif
\if :{?app_password}
\else
    DO $$ BEGIN RAISE EXCEPTION 'CRM_APP_PASSWORD is not set'; END $$;
\endif

SELECT format('CREATE ROLE %I LOGIN PASSWORD %L', service || '_owner', :'owner_password'),
       format('CREATE ROLE %I LOGIN PASSWORD %L', service || '_app', :'app_password'),
       format('CREATE ROLE %I NOLOGIN', service || '_web'),
       format('CREATE ROLE %I NOLOGIN', service || '_worker'),
       format('GRANT %I, %I TO %I WITH INHERIT FALSE, SET TRUE', service || '_web', service || '_worker', service || '_app'),
       format('CREATE DATABASE %I OWNER %I', service, service || '_owner'),
       format('REVOKE ALL ON DATABASE %I FROM PUBLIC', service),
       format('GRANT CONNECT ON DATABASE %I TO %I', service, service || '_app'),
       format('GRANT TEMPORARY ON DATABASE %I TO %I', service, service || '_worker')
FROM unnest(ARRAY['customer', 'tiering', 'retention', 'tickets']) AS service
\gexec
