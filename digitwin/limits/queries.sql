-- name: consume
-- One statement, so that no two callers take the same token. It reads the clock once and passes it
-- along in `excluded`: a clock that went back, or a caller that waited, grants nothing. `set_config`
-- lets this commit return before it is on disk, for which a decision is not worth waiting; as the
-- value of `allowed` it costs 2 us, and in a CTE 6 of 80. A bucket called with another limit keeps
-- its fill level as a share of the limit. A bucket in debt has an `updated_at` in the future, and
-- refills from then on. A later one than a debt can have was written while the clock was ahead, and
-- is set back.
INSERT INTO rate_limits AS bucket
       (subject, endpoint, window_ms, max_tokens, tokens, allowed, updated_at)
VALUES (:subject, :endpoint, :window_ms::bigint, :limit::float8, :limit::float8 - :cost::float8,
        set_config('synchronous_commit', 'off', true) IS NOT NULL, clock_timestamp())
ON CONFLICT (subject, endpoint, window_ms) DO UPDATE
SET tokens = {held} - CASE WHEN {held} >= :cost THEN :cost ELSE 0 END, allowed = {held} >= :cost,
    max_tokens = excluded.max_tokens,
    updated_at = greatest(excluded.updated_at,
                          least(bucket.updated_at, excluded.updated_at + {longest_debt}))
RETURNING tokens, allowed,
          greatest(0, date_part('epoch', updated_at - clock_timestamp())) AS behind

-- name: held
-- Part of `consume`: the tokens the bucket holds now. Written three times it costs less than once
-- in a subselect (6 of 91 us), and `date_part` less than `extract` with its numeric (4 of 95).
least(:limit, CASE WHEN bucket.max_tokens = :limit THEN bucket.tokens
               ELSE bucket.tokens / bucket.max_tokens * :limit END
          + :limit / :window_ms * 1000 * greatest(
              0, date_part('epoch', excluded.updated_at - bucket.updated_at)))

-- name: longest_debt
-- Part of the statements: a debt is at most one window. Not below a second: a caller that waits for
-- the row's lock has read its clock before, and must not set back what others wrote meanwhile.
greatest(:window_ms::bigint, 1000) * interval '1 ms'

-- name: longest_debt_of_row
-- The same for a row of a bucket.
greatest(window_ms, 1000) * interval '1 ms'

-- name: consume_many
-- The decisions of several callers in one statement, each exact: for every bucket, `calls` calls of
-- the same cost, of which as many pass as it holds tokens for. With several buckets `locked` makes it
-- wait for nobody: a bucket that is locked elsewhere is missing in the result, as one that does not
-- exist is, and asked for by `consume`. So it can neither deadlock nor hold one caller back for
-- another's bucket. Arrays in a subselect let the planner keep one plan for any number of them: else
-- it plans each time, for 400 of 500 us. The LIMIT makes it expect few, so that this plan reads the
-- key while the table is still new and empty.
WITH locked AS (
    SELECT ask.*, updated_at, statement_timestamp() AS now,
           least(full_at, CASE WHEN max_tokens = full_at THEN tokens
                               ELSE tokens / max_tokens * full_at END
                          + full_at / window_ms * 1000 * greatest(
                              0, date_part('epoch', statement_timestamp() - updated_at))) AS held
    FROM (SELECT * FROM unnest(
              (SELECT :subjects::text[]), (SELECT :endpoints::text[]),
              (SELECT :windows_ms::bigint[]), (SELECT :limits::float8[]),
              (SELECT :costs::float8[]), (SELECT :calls::float8[])) WITH ORDINALITY
              AS ask (subject, endpoint, window_ms, full_at, cost, calls, place)
          LIMIT cardinality(:subjects::text[])) AS ask
         JOIN rate_limits USING (subject, endpoint, window_ms)
    WHERE (SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL
    FOR UPDATE OF rate_limits {locked})
UPDATE rate_limits AS bucket
SET tokens = held - cost * least(calls, floor(held / cost)), allowed = held >= cost * calls,
    max_tokens = full_at,
    updated_at = greatest(now, least(locked.updated_at,
                                     now + greatest(locked.window_ms, 1000) * interval '1 ms'))
FROM locked
WHERE bucket.subject = locked.subject AND bucket.endpoint = locked.endpoint
      AND bucket.window_ms = locked.window_ms
RETURNING place, least(calls, floor(held / cost)) AS passed, bucket.tokens,
          greatest(0, date_part('epoch', bucket.updated_at - now)) AS behind

-- name: consume_all
-- All or none, in one statement. Existing buckets are locked in key order, and missing ones are
-- inserted in it, so that no two callers deadlock. A bucket that another caller inserts meanwhile
-- violates the primary key, which undoes everything: the caller tries again. Between `cost` and
-- `most` whole tokens are taken, as many as there are. `who` selects the asks that apply. A bucket
-- whose `updated_at` is set back is written though nothing is taken: else it would stay ahead.
WITH quiet AS (SELECT set_config('synchronous_commit', 'off', true), clock_timestamp() AS now),
     who AS ({who}),
     asked AS (SELECT ask.* FROM who JOIN unnest(
                   :subjects::text[], :endpoints::text[], :windows_ms::bigint[], :limits::float8[],
                   :costs::float8[], :most::float8[], :tiers::text[]) WITH ORDINALITY
                   AS ask (subject, endpoint, window_ms, full_at, cost, most, tier, place)
               ON who.tier = ask.tier),
     locked AS (SELECT place, tokens, max_tokens, updated_at
                FROM asked JOIN rate_limits USING (subject, endpoint, window_ms)
                ORDER BY subject, endpoint, window_ms FOR UPDATE OF rate_limits),
     held AS (SELECT asked.*, locked.place IS NULL AS cold, now,
                     CASE WHEN locked.updated_at > now + {longest_debt_of_row}
                          THEN now + {longest_debt_of_row}
                          ELSE greatest(now, locked.updated_at) END AS updated_at,
                     locked.updated_at > now + {longest_debt_of_row} AS was_ahead,
                     CASE WHEN locked.place IS NULL THEN full_at ELSE least(
                         full_at, CASE WHEN max_tokens = full_at THEN tokens
                                       ELSE tokens / max_tokens * full_at END
                                  + full_at / window_ms * 1000 * greatest(
                                      0, date_part('epoch', now - locked.updated_at))) END AS tokens
              FROM quiet CROSS JOIN asked LEFT JOIN locked USING (place)),
     passed AS (SELECT bool_and(tokens >= cost) AS yes FROM held),
     taken AS (SELECT held.*, CASE WHEN yes THEN greatest(cost, least(most, floor(tokens)))
                                   ELSE 0 END AS take
               FROM held CROSS JOIN passed),
     moved AS (UPDATE rate_limits AS bucket
               SET tokens = taken.tokens - take, max_tokens = full_at, allowed = take > 0,
                   updated_at = taken.updated_at
               FROM taken
               WHERE (take > 0 OR was_ahead) AND NOT cold AND bucket.subject = taken.subject
                     AND bucket.endpoint = taken.endpoint AND bucket.window_ms = taken.window_ms),
     made AS (INSERT INTO rate_limits
                     (subject, endpoint, window_ms, max_tokens, tokens, updated_at)
              SELECT subject, endpoint, window_ms, full_at, tokens - take, updated_at FROM taken
              WHERE take > 0 AND cold ORDER BY subject, endpoint, window_ms)
SELECT place, take, tokens - take AS tokens, tokens >= cost AS allowed,
       date_part('epoch', updated_at - now) AS behind
FROM who LEFT JOIN taken ON true ORDER BY place

-- name: every_ask
-- For `consume_all`: every ask applies.
SELECT '' AS tier

-- name: of_tier
-- For `consume_all`: the asks that name the person's tier apply, else those that name none.
SELECT coalesce((SELECT named FROM unnest(:named::text[]) AS named
                 WHERE named = users.subscription_tier LIMIT 1), '') AS tier
FROM users WHERE id = :user_id::uuid AND deleted_at IS NULL

-- name: settle
-- Returns or takes tokens, by the clock at the start. Returned tokens pay the debt first and never
-- fill a bucket beyond its limit. Missing tokens become a debt: `updated_at` moves ahead by the
-- time in which they refill, at most by one window. A bucket without a row is full and stays full.
-- Arrays and LIMIT as in `consume_many`: planned each time it took 540 us in place of 170.
WITH quiet AS (SELECT set_config('synchronous_commit', 'off', true), clock_timestamp() AS now),
     locked AS (SELECT given.*, now, tokens, max_tokens,
                       least(updated_at, now + {longest_debt_of_row}) AS updated_at
                FROM quiet CROSS JOIN (
                         SELECT * FROM unnest(
                             (SELECT :subjects::text[]), (SELECT :endpoints::text[]),
                             (SELECT :windows_ms::bigint[]), (SELECT :limits::float8[]),
                             (SELECT :changes::float8[]))
                             AS given (subject, endpoint, window_ms, full_at, change)
                         LIMIT cardinality(:subjects::text[])) AS given
                     JOIN rate_limits USING (subject, endpoint, window_ms)
                ORDER BY subject, endpoint, window_ms FOR UPDATE OF rate_limits),
     timed AS (SELECT locked.*, full_at / window_ms * 1000 AS rate,
                      date_part('epoch', updated_at - now) AS ahead
               FROM locked),
     held AS (SELECT timed.*,
                     least(full_at, CASE WHEN max_tokens = full_at THEN tokens
                                         ELSE tokens / max_tokens * full_at END
                                    + rate * greatest(0, -ahead)) AS held
              FROM timed),
     owed AS (SELECT held.*, held = 0 AND ahead BETWEEN 0 AND window_ms / 1000.0 AS owing
              FROM held),
     net AS (SELECT owed.*,
                    CASE WHEN owing THEN change - rate * ahead ELSE held + change END AS net,
                    CASE WHEN owing THEN now ELSE greatest(now, updated_at) END AS since
             FROM owed)
UPDATE rate_limits AS bucket
SET tokens = least(full_at, greatest(0, net)), max_tokens = full_at,
    updated_at = since + make_interval(
        secs => least(greatest(0, -net / rate), net.window_ms / 1000.0))
FROM net
WHERE bucket.subject = net.subject AND bucket.endpoint = net.endpoint
      AND bucket.window_ms = net.window_ms
RETURNING bucket.tokens, date_part('epoch', bucket.updated_at - now) AS behind

-- name: peek
-- What `consume` would return, without writing anything.
SELECT least(:limit::float8, CASE WHEN max_tokens = :limit THEN tokens
                                  ELSE tokens / max_tokens * :limit END
                             + :limit / :window_ms::bigint * 1000 * greatest(
                                 0, date_part('epoch', clock_timestamp() - updated_at))) AS tokens,
       greatest(0, date_part('epoch', least(updated_at - clock_timestamp(), {longest_debt})))
           AS behind
FROM rate_limits WHERE subject = :subject AND endpoint = :endpoint AND window_ms = :window_ms

-- name: reset
-- A bucket without a row is full. Rows are locked in key order.
WITH chosen AS (SELECT subject, endpoint, window_ms FROM rate_limits
                WHERE subject = :subject AND (:endpoint::text IS NULL OR endpoint = :endpoint)
                      AND (:window_ms::bigint IS NULL OR window_ms = :window_ms)
                ORDER BY subject, endpoint, window_ms FOR UPDATE),
     gone AS (DELETE FROM rate_limits AS bucket USING chosen
              WHERE bucket.subject = chosen.subject AND bucket.endpoint = chosen.endpoint
                    AND bucket.window_ms = chosen.window_ms RETURNING 1)
SELECT count(*) FROM gone

-- name: purge_batch
-- Walks the table once in key order, so that every statement is short; skips rows that are locked.
-- A bucket unused for its window is full, so its row says nothing.
WITH batch AS (SELECT subject, endpoint, window_ms FROM rate_limits
               WHERE (subject, endpoint, window_ms) > (:subject, :endpoint, :window_ms::bigint)
               ORDER BY subject, endpoint, window_ms LIMIT :batch),
     idle AS (SELECT subject, endpoint, window_ms
              FROM rate_limits JOIN batch USING (subject, endpoint, window_ms)
              WHERE updated_at < now() - greatest(make_interval(secs => :age),
                                                  make_interval(secs => window_ms / 1000.0))
              FOR UPDATE OF rate_limits SKIP LOCKED),
     gone AS (DELETE FROM rate_limits AS bucket USING idle
              WHERE bucket.subject = idle.subject AND bucket.endpoint = idle.endpoint
                    AND bucket.window_ms = idle.window_ms RETURNING 1)
SELECT subject, endpoint, window_ms, (SELECT count(*) FROM gone) AS gone FROM batch
ORDER BY subject DESC, endpoint DESC, window_ms DESC LIMIT 1

-- name: purge_usage_batch
-- One batch; skips rows that another instance has locked.
WITH old AS (SELECT endpoint, subject, bucket FROM rate_limit_usage
             WHERE bucket < now() - make_interval(secs => :age)
             ORDER BY bucket LIMIT :batch FOR UPDATE SKIP LOCKED),
     gone AS (DELETE FROM rate_limit_usage AS usage USING old
              WHERE usage.endpoint = old.endpoint AND usage.subject = old.subject
                    AND usage.bucket = old.bucket RETURNING 1)
SELECT count(*) FROM gone

-- name: count_usage
-- Many decisions in one statement, in key order, so that two instances never deadlock. Counts of
-- people who were erased meanwhile are dropped, also where the subject is `user:<id>`.
INSERT INTO rate_limit_usage AS usage (endpoint, subject, bucket, allowed, denied)
SELECT endpoint, subject, date_trunc('hour', now(), 'UTC'), allowed, denied
FROM unnest(:endpoints::text[], :subjects::text[], :allowed::bigint[], :denied::bigint[])
     AS counted (endpoint, subject, allowed, denied)
WHERE NOT EXISTS (SELECT FROM erasures
                  WHERE subject_hash = encode(sha256(convert_to({counted_id}, 'UTF8')), 'hex')
                        AND completed_at IS NOT NULL)
ORDER BY endpoint, subject
ON CONFLICT (endpoint, subject, bucket) DO UPDATE
SET allowed = usage.allowed + excluded.allowed, denied = usage.denied + excluded.denied

-- name: usage
-- Of one subject or of all, by endpoint and hour.
SELECT endpoint, bucket AS hour, sum(allowed)::bigint AS allowed, sum(denied)::bigint AS denied
FROM rate_limit_usage
WHERE bucket >= date_trunc('hour', :since::timestamptz, 'UTC') {whose}
GROUP BY bucket, endpoint ORDER BY bucket, endpoint
