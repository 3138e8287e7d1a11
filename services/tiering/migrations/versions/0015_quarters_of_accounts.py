"""One row per account and quarter holds its three months and their sum: a charge then changes one row and not two."""

from alembic import op

from shared.kernel import revisions

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

SUMS = """
DROP TABLE quarter_sums;
CREATE TABLE quarter_sums (
    account_no text COLLATE "C" NOT NULL,
    quarter date NOT NULL,
    fen_1 bigint NOT NULL,
    fen_2 bigint NOT NULL,
    fen_3 bigint NOT NULL,
    charges_1 bigint NOT NULL,
    charges_2 bigint NOT NULL,
    charges_3 bigint NOT NULL,
    branch_code text COLLATE "C",
    opened_on date,
    sum_fen bigint NOT NULL GENERATED ALWAYS AS (fen_1 + fen_2 + fen_3) STORED,
    magnitude smallint NOT NULL GENERATED ALWAYS AS (
        (CASE WHEN fen_1 + fen_2 + fen_3 > 0 THEN length((fen_1 + fen_2 + fen_3)::text) ELSE -1 END)::smallint) STORED,
    PRIMARY KEY (account_no, quarter)
) WITH (fillfactor = 70);
INSERT INTO quarter_sums (account_no, quarter, fen_1, fen_2, fen_3, charges_1, charges_2, charges_3, branch_code, opened_on)
SELECT t.account_no, t.quarter, coalesce(sum(t.amount_fen) FILTER (WHERE t.month = t.quarter), 0),
       coalesce(sum(t.amount_fen) FILTER (WHERE t.month = t.quarter + INTERVAL '1 month'), 0),
       coalesce(sum(t.amount_fen) FILTER (WHERE t.month = t.quarter + INTERVAL '2 months'), 0),
       coalesce(sum(t.charges) FILTER (WHERE t.month = t.quarter), 0),
       coalesce(sum(t.charges) FILTER (WHERE t.month = t.quarter + INTERVAL '1 month'), 0),
       coalesce(sum(t.charges) FILTER (WHERE t.month = t.quarter + INTERVAL '2 months'), 0), a.branch_code, a.opened_on
FROM (SELECT *, date_trunc('quarter', month::timestamp)::date AS quarter FROM month_totals) AS t
     LEFT JOIN accounts a ON a.account_no = t.account_no
GROUP BY t.account_no, t.quarter, a.branch_code, a.opened_on ORDER BY t.quarter, t.account_no;
CREATE INDEX quarter_sums_ranked ON quarter_sums (branch_code, quarter, magnitude);
CREATE INDEX quarter_sums_of_quarters ON quarter_sums USING brin (quarter) WITH (pages_per_range = 16, autosummarize = on);
DROP TABLE month_totals"""

# A month in which nothing stands has no row. Readers of many accounts name the quarter too: the index is on that. The months are
# three numbers beside each row: of a lateral list of its columns PostgreSQL would remember every row's, like a lookup's answers.
MONTHS = """
CREATE VIEW month_totals WITH (security_invoker = true) AS
SELECT * FROM (
    SELECT q.account_no, (q.quarter + n * INTERVAL '1 month')::date AS month,
           CASE n WHEN 0 THEN q.fen_1 WHEN 1 THEN q.fen_2 ELSE q.fen_3 END AS amount_fen,
           CASE n WHEN 0 THEN q.charges_1 WHEN 1 THEN q.charges_2 ELSE q.charges_3 END AS charges, q.quarter
    FROM quarter_sums q CROSS JOIN (VALUES (0), (1), (2)) AS months (n)
) AS totals WHERE charges <> 0"""


def upgrade() -> None:
    """Move the months' totals into the rows of their quarters; who reads months goes on reading `month_totals`."""
    for statement in SUMS.split(";\n"):
        op.execute(statement)
    op.execute(MONTHS)
    revisions.scope_by_account(op, "tiering", "quarter_sums")
    revisions.grant(op, "tiering")
