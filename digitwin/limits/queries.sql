-- name: consume
-- One statement, so that no two callers take the same token. Its clock is read once and passed
-- along in `excluded`: a clock that went back, or a caller that waited, grants nothing. `quiet`
-- makes this one commit not wait for the disk, which a decision is not worth. A bucket that is
-- called with another limit stays as full, in parts of the whole, as it was.
WITH quiet AS (SELECT set_config('synchronous_commit', 'off', true))
INSERT INTO rate_limits AS bucket
       (subject, endpoint, window_ms, max_tokens, tokens, allowed, updated_at)
SELECT $1, $2, $3::bigint, $4::float8, $4::float8 - $5::float8, true, clock_timestamp() FROM quiet
ON CONFLICT (subject, endpoint, window_ms) DO UPDATE
SET (tokens, allowed, updated_at, max_tokens) = (
    SELECT CASE WHEN held >= $5 THEN held - $5 ELSE held END, held >= $5,
           greatest(bucket.updated_at, excluded.updated_at), excluded.max_tokens
    FROM (SELECT least($4, CASE WHEN bucket.max_tokens = $4 THEN bucket.tokens
                                ELSE bucket.tokens / bucket.max_tokens * $4 END
                           + $4 / $3 * 1000 * greatest(0, extract(
                               epoch FROM excluded.updated_at - bucket.updated_at)::float8)
          ) AS held) AS refilled)
RETURNING tokens, allowed

-- name: peek
-- What `consume` would find, without taking or writing anything.
SELECT least($4::float8, CASE WHEN max_tokens = $4 THEN tokens ELSE tokens / max_tokens * $4 END
                         + $4 / $3::bigint * 1000 * greatest(0, extract(
                             epoch FROM clock_timestamp() - updated_at)::float8)) AS tokens
FROM rate_limits WHERE subject = $1 AND endpoint = $2 AND window_ms = $3

-- name: reset
-- A bucket that is not there is full. Some at once are taken in the order of their key.
WITH chosen AS (SELECT subject, endpoint, window_ms FROM rate_limits
                WHERE subject = $1 AND ($2::text IS NULL OR endpoint = $2)
                      AND ($3::bigint IS NULL OR window_ms = $3)
                ORDER BY subject, endpoint, window_ms FOR UPDATE),
     gone AS (DELETE FROM rate_limits AS bucket USING chosen
              WHERE bucket.subject = chosen.subject AND bucket.endpoint = chosen.endpoint
                    AND bucket.window_ms = chosen.window_ms RETURNING 1)
SELECT count(*) FROM gone

-- name: purge_batch
-- Walks the table once by its key, so that every statement is short; what another instance or a
-- decision holds is left alone. A bucket left alone for its window is full: it says nothing.
WITH batch AS (SELECT subject, endpoint, window_ms FROM rate_limits
               WHERE (subject, endpoint, window_ms) > ($1, $2, $3::bigint)
               ORDER BY subject, endpoint, window_ms LIMIT $4),
     idle AS (SELECT subject, endpoint, window_ms
              FROM rate_limits JOIN batch USING (subject, endpoint, window_ms)
              WHERE updated_at < now() - greatest(make_interval(secs => $5),
                                                  make_interval(secs => window_ms / 1000.0))
              FOR UPDATE OF rate_limits SKIP LOCKED),
     gone AS (DELETE FROM rate_limits AS bucket USING idle
              WHERE bucket.subject = idle.subject AND bucket.endpoint = idle.endpoint
                    AND bucket.window_ms = idle.window_ms RETURNING 1)
SELECT subject, endpoint, window_ms, (SELECT count(*) FROM gone) AS gone FROM batch
ORDER BY subject DESC, endpoint DESC, window_ms DESC LIMIT 1

-- name: purge_usage_batch
-- A few at a time; those another instance is at are left to it.
WITH old AS (SELECT endpoint, subject, bucket FROM rate_limit_usage
             WHERE bucket < now() - make_interval(secs => $1)
             ORDER BY bucket LIMIT $2 FOR UPDATE SKIP LOCKED),
     gone AS (DELETE FROM rate_limit_usage AS usage USING old
              WHERE usage.endpoint = old.endpoint AND usage.subject = old.subject
                    AND usage.bucket = old.bucket RETURNING 1)
SELECT count(*) FROM gone

-- name: count_usage
-- Many decisions in one statement, in the order of the key, so that two instances never deadlock.
INSERT INTO rate_limit_usage AS usage (endpoint, subject, bucket, allowed, denied)
SELECT endpoint, subject, date_trunc('hour', now(), 'UTC'), allowed, denied
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])
     AS counted (endpoint, subject, allowed, denied)
ORDER BY endpoint, subject
ON CONFLICT (endpoint, subject, bucket) DO UPDATE
SET allowed = usage.allowed + excluded.allowed, denied = usage.denied + excluded.denied

-- name: usage
-- Of one subject or of all, by endpoint and hour.
SELECT endpoint, bucket AS hour, sum(allowed)::bigint AS allowed, sum(denied)::bigint AS denied
FROM rate_limit_usage
WHERE bucket >= date_trunc('hour', $1::timestamptz, 'UTC'){subject}
GROUP BY bucket, endpoint ORDER BY bucket, endpoint
