"""Policies as data: documents, scopes, approvals, trials."""

import hashlib
import json
import tomllib
from datetime import datetime

from alembic import op
from sqlalchemy import text

from services.tiering.policies.document import shipped_text
from shared.clock import SHANGHAI
from shared.kernel import revisions

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# A draft names only what it sets, so `content` is what was written and `document` the text with its comments.
TABLES = """
CREATE TABLE policy_versions (
    policy_version text COLLATE "C" PRIMARY KEY,
    unit_code text COLLATE "C",
    state text NOT NULL CHECK (state IN ('draft', 'tried', 'approved', 'published')),
    effective_from date,
    content jsonb NOT NULL,
    locks text[] NOT NULL,
    document text NOT NULL,
    digest text NOT NULL,
    author text NOT NULL,
    drafted_at timestamptz NOT NULL,
    tried_at timestamptz,
    trial_id uuid,
    approver text,
    approved_at timestamptz,
    publisher text,
    published_at timestamptz,
    CONSTRAINT policy_versions_published_for_a_day CHECK (state <> 'published' OR effective_from IS NOT NULL),
    CONSTRAINT policy_versions_second_person CHECK (state <> 'approved' OR approver <> author)
);
CREATE UNIQUE INDEX policy_versions_in_force ON policy_versions (unit_code, effective_from) NULLS NOT DISTINCT
    WHERE state = 'published';
CREATE INDEX policy_versions_of_unit ON policy_versions (unit_code, policy_version);
CREATE TABLE policy_trials (
    trial_id uuid PRIMARY KEY,
    policy_version text COLLATE "C" NOT NULL,
    digest text NOT NULL,
    unit_code text COLLATE "C",
    first_month date NOT NULL,
    last_month date NOT NULL,
    state text NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed')),
    done_steps integer NOT NULL,
    steps integer NOT NULL,
    asked_by text NOT NULL,
    asked_at timestamptz NOT NULL,
    business_at timestamptz NOT NULL,
    started_at timestamptz,
    ended_at timestamptz,
    error text,
    compared_with text[],
    result jsonb
);
CREATE INDEX policy_trials_waiting ON policy_trials (asked_at) WHERE state IN ('waiting', 'running');
CREATE INDEX policy_trials_of_version ON policy_trials (policy_version, asked_at);
CREATE TABLE policy_trial_units (
    trial_id uuid NOT NULL REFERENCES policy_trials,
    unit_code text COLLATE "C" NOT NULL,
    result jsonb NOT NULL,
    PRIMARY KEY (trial_id, unit_code)
);
CREATE TABLE policy_trial_accounts (
    trial_id uuid NOT NULL REFERENCES policy_trials,
    account_no text COLLATE "C" NOT NULL,
    month date NOT NULL,
    axis text NOT NULL,
    unit_code text COLLATE "C" NOT NULL,
    today text,
    tried text,
    PRIMARY KEY (trial_id, account_no, month, axis)
);
CREATE INDEX policy_trial_accounts_of_unit ON policy_trial_accounts (trial_id, unit_code, account_no, month, axis)
"""

NEVER_EDITED = """
CREATE FUNCTION refuse_to_edit_a_published_policy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'policy % is published: nobody edits it', OLD.policy_version USING ERRCODE = 'check_violation';
END $$
"""
TRIGGER = """
CREATE TRIGGER policy_versions_never_edited BEFORE UPDATE ON policy_versions
    FOR EACH ROW WHEN (OLD.state = 'published') EXECUTE FUNCTION refuse_to_edit_a_published_policy()
"""
# For a database that was made before what-ifs were: they decide in temporary tables.
TEMPORARY = """
DO $$ BEGIN EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO tiering_worker', current_database()); END $$
"""
# A trial looks for functions here first: its decisions are counted and forgotten, so ids and digests of millions would be waste.
UNNAMED = """
CREATE SCHEMA trial;
CREATE FUNCTION trial.natural_id(key text) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CAST('00000000-0000-8000-8000-000000000000' AS uuid);
CREATE FUNCTION trial.sha256(content bytea) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN CAST('' AS bytea);
GRANT USAGE ON SCHEMA trial TO tiering_worker
"""
PUBLISHED = ("2008-new",)
SHIPPED = ("2007-old", *PUBLISHED)
BEGINNING = datetime(2000, 1, 1, tzinfo=SHANGHAI)
"""Shipped versions were always there: the wall clock of an installation is no business instant."""
ADD = """
INSERT INTO policy_versions
    (policy_version, state, effective_from, content, locks, document, digest, author, drafted_at, publisher, published_at)
SELECT :policy_version, :state, :effective_from, CAST(:content AS jsonb), '{}', :document, :digest, 'shipped', b.at,
       CASE WHEN :state = 'published' THEN 'shipped' END, CASE WHEN :state = 'published' THEN b.at END
FROM (SELECT CAST(:at AS timestamptz) AS at) AS b
"""


def upgrade() -> None:
    """Create the tables of the room, with the policies that come with the software."""
    for statement in TABLES.split(";\n"):
        op.execute(statement)
    op.execute("ALTER TABLE month_closes DROP CONSTRAINT month_closes_policy_version_fkey")
    op.execute("DROP TABLE policies")
    for policy_version in SHIPPED:
        _add(policy_version)
    op.execute(TEMPORARY)
    for statement in UNNAMED.split(";\n"):
        op.execute(statement)
    op.execute(NEVER_EDITED)
    op.execute(TRIGGER)
    for table in ("policy_versions", "policy_trials"):
        revisions.scope_open(op, "tiering", table)
    for table in ("policy_trial_units", "policy_trial_accounts"):
        revisions.scope_by_unit(op, "tiering", table)
    revisions.grant(op, "tiering")


def _add(policy_version: str) -> None:
    written = shipped_text(policy_version)
    content = tomllib.loads(written)
    effective_from = content.pop("effective_from", None)
    content.pop("policy_version")
    rendered = json.dumps(content, sort_keys=True)
    op.get_bind().execute(
        text(ADD),
        {
            "policy_version": policy_version,
            "state": "published" if policy_version in PUBLISHED else "draft",
            "effective_from": effective_from,
            "content": rendered,
            "document": written,
            "at": BEGINNING,
            "digest": hashlib.sha256(rendered.encode()).hexdigest(),
        },
    )
