"""Which charges a decision stood on: ledger points, and the charges of each closed month.

What was decided before gets its points from the instants of the late charges, which is exact but for what came while a close ran.
"""

from alembic import op

from shared.kernel import revisions

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# `charges` has no index by account, since every charge would pay for it: a closed month is listed once instead.
TABLES = """
ALTER TABLE month_closes ADD COLUMN known_seq bigint, ADD COLUMN listed boolean NOT NULL DEFAULT false;
ALTER TABLE movements ADD COLUMN known_seq bigint;
ALTER TABLE replaced_charges ADD COLUMN replaced_seq bigint;
CREATE TABLE month_charges (
    account_no text COLLATE "C" NOT NULL,
    month date NOT NULL,
    charge_nos text[] COLLATE "C" NOT NULL,
    PRIMARY KEY (account_no, month)
)
"""

POINTS = """
UPDATE month_closes SET known_seq = coalesce((SELECT min(seq) - 1 FROM restatements WHERE at >= closed_at),
                                             (SELECT max(seq) FROM restatements), 0) WHERE state = 'closed';
UPDATE movements SET known_seq = coalesce((SELECT min(seq) - 1 FROM restatements WHERE at >= detected_at),
                                          (SELECT max(seq) FROM restatements), 0);
UPDATE replaced_charges r SET replaced_seq = coalesce(l.seq - 1, 0)
FROM (SELECT x.charge_no, x.version, min(s.seq) AS seq
      FROM replaced_charges x LEFT JOIN restatements s ON s.charge_no = x.charge_no AND s.version > x.version
      GROUP BY x.charge_no, x.version) AS l
WHERE r.charge_no = l.charge_no AND r.version = l.version
"""


def upgrade() -> None:
    """Add the points and the lists."""
    for script in (TABLES, POINTS):
        for statement in script.split(";\n"):
            op.execute(statement)
    revisions.scope_by_account(op, "tiering", "month_charges")
    revisions.grant(op, "tiering")
