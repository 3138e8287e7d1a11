-- Where one account stands in the running quarter. It counts accounts that its caller may not see, therefore SECURITY DEFINER, and
-- is narrow for that: it answers about one account, only where the caller may see that one; of others it gives places and amounts,
-- and a number only where that account lies in the caller's unit (never to a shipper). It changes nothing and takes no SQL.
-- `as_if` asks where the account would stand with another sum (the projection), all others as they are.
CREATE OR REPLACE FUNCTION live_standing(account text, in_quarter date, last_day date, vip_n integer, key_n integer, as_if bigint)
RETURNS TABLE (branch_code text, district_code text, opened_on date, sum_fen bigint, service_tier text, place bigint,
               above_account text, above_fen bigint, below_account text, below_fen bigint,
               to_next_fen bigint, to_key_fen bigint, to_vip_fen bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    me record;
    mine bigint;
    mark smallint;
    everything boolean := coalesce(current_setting('crm.everything', true) = 'on', false);
    unit text := coalesce(current_setting('crm.unit', true), '');
    firsts quarter_sums[];
    beating bigint;
    vips bigint;
    over quarter_sums;
    under quarter_sums;
    line quarter_sums;
    vip_line quarter_sums;
BEGIN
    SELECT x.account_no, x.branch_code, x.district_code, x.opened_on, coalesce(q.sum_fen, 0) AS sum_fen INTO me
    FROM accounts x LEFT JOIN quarter_sums q ON q.account_no = x.account_no AND q.quarter = in_quarter
    WHERE x.account_no = account
      AND (everything OR x.account_no = current_setting('crm.account', true)
           OR x.unit_code IN (SELECT a.unit_code FROM unit_ancestors a WHERE a.ancestor_code = unit));
    IF NOT FOUND THEN
        RETURN;
    END IF;
    branch_code := me.branch_code;
    district_code := me.district_code;
    opened_on := me.opened_on;
    sum_fen := me.sum_fen;
    service_tier := 'general';
    mine := coalesce(as_if, me.sum_fen);
    IF me.branch_code IS NULL OR me.opened_on > last_day THEN
        RETURN NEXT;
        RETURN;
    END IF;
    mark := CASE WHEN mine > 0 THEN length(mine::text) ELSE -1 END;

    -- The first accounts of the district but this one, from the first of each of its branches: vip_n of them are the VIPs that it
    -- would have to pass.
    IF me.district_code IS NOT NULL THEN
        firsts := ARRAY(
            SELECT f.one FROM unit_ancestors a, LATERAL (
                SELECT q AS one, q.sum_fen, q.opened_on, q.account_no FROM quarter_sums q
                WHERE q.branch_code = a.unit_code AND q.quarter = in_quarter AND q.magnitude >= 0 AND q.opened_on <= last_day
                  AND q.account_no <> account
                ORDER BY q.magnitude DESC, q.sum_fen DESC, q.opened_on, q.account_no LIMIT vip_n
            ) AS f
            WHERE a.ancestor_code = me.district_code
            ORDER BY f.sum_fen DESC, f.opened_on, f.account_no LIMIT vip_n);
        vip_line := firsts[vip_n];
        beating := (SELECT count(*) FROM unnest(firsts) AS f
                    WHERE (-f.sum_fen, f.opened_on, f.account_no) < (-mine, me.opened_on, account));
        IF mine > 0 AND beating < vip_n THEN
            service_tier := 'vip';
            place := beating + 1;
            over := firsts[beating];
            under := firsts[beating + 1];
        END IF;
    END IF;

    -- The VIPs of a branch are also its first accounts, since both ranks have one order.
    IF service_tier <> 'vip' THEN
        vips := (SELECT count(*) FROM unnest(firsts) AS f WHERE f.branch_code = me.branch_code);
        beating := (SELECT count(*) FROM quarter_sums q
                    WHERE q.branch_code = me.branch_code AND q.quarter = in_quarter AND q.magnitude >= greatest(mark, 0::smallint)
                      AND q.opened_on <= last_day AND q.account_no <> account
                      AND (-q.sum_fen, q.opened_on, q.account_no) < (-mine, me.opened_on, account)) - vips;
        IF mine > 0 THEN
            place := beating + 1;
            service_tier := CASE WHEN beating < key_n THEN 'key' ELSE 'general' END;
        END IF;
        IF beating > 0 THEN
            SELECT q.* INTO over FROM quarter_sums q
            WHERE q.branch_code = me.branch_code AND q.quarter = in_quarter AND q.magnitude >= greatest(mark, 0::smallint)
              AND q.opened_on <= last_day AND q.account_no <> account
              AND (-q.sum_fen, q.opened_on, q.account_no) < (-mine, me.opened_on, account)
            ORDER BY q.magnitude, q.sum_fen, q.opened_on DESC, q.account_no DESC LIMIT 1;
        END IF;
        SELECT q.* INTO under FROM quarter_sums q
        WHERE q.branch_code = me.branch_code AND q.quarter = in_quarter AND q.magnitude BETWEEN 0 AND mark
          AND q.opened_on <= last_day AND q.account_no <> account
          AND (-q.sum_fen, q.opened_on, q.account_no) > (-mine, me.opened_on, account)
        ORDER BY q.magnitude DESC, q.sum_fen DESC, q.opened_on, q.account_no LIMIT 1;
        IF service_tier = 'general' AND key_n > 0 THEN
            SELECT q.* INTO line FROM quarter_sums q
            WHERE q.branch_code = me.branch_code AND q.quarter = in_quarter AND q.magnitude >= 0 AND q.opened_on <= last_day
              AND q.account_no <> account
            ORDER BY q.magnitude DESC, q.sum_fen DESC, q.opened_on, q.account_no OFFSET vips + key_n - 1 LIMIT 1;
            to_key_fen := CASE WHEN line.account_no IS NULL THEN 1 ELSE line.sum_fen - mine
                + CASE WHEN (me.opened_on, account) < (line.opened_on, line.account_no) THEN 0 ELSE 1 END END;
        END IF;
        IF me.district_code IS NOT NULL AND vip_n > 0 THEN
            to_vip_fen := CASE WHEN vip_line.account_no IS NULL THEN 1 ELSE vip_line.sum_fen - mine
                + CASE WHEN (me.opened_on, account) < (vip_line.opened_on, vip_line.account_no) THEN 0 ELSE 1 END END;
        END IF;
    END IF;
    above_fen := over.sum_fen;
    below_fen := under.sum_fen;
    above_account := (SELECT x.account_no FROM accounts x WHERE x.account_no = over.account_no AND (everything
        OR x.unit_code IN (SELECT a.unit_code FROM unit_ancestors a WHERE a.ancestor_code = unit)));
    below_account := (SELECT x.account_no FROM accounts x WHERE x.account_no = under.account_no AND (everything
        OR x.unit_code IN (SELECT a.unit_code FROM unit_ancestors a WHERE a.ancestor_code = unit)));
    to_next_fen := CASE WHEN over.account_no IS NOT NULL THEN over.sum_fen - mine
        + CASE WHEN (me.opened_on, account) < (over.opened_on, over.account_no) THEN 0 ELSE 1 END END;
    RETURN NEXT;
END $$
