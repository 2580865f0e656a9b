-- name: get
-- An expired row is not there, whether or not it was cleared away.
SELECT value FROM {table}
WHERE user_id = $1 AND audience = $2 AND key = $3 AND expires_at > now()

-- name: read
-- As `get`, with what the memory of a process must know to forget it in time.
SELECT value, tags, extract(epoch FROM expires_at - now())::float8 AS lives FROM {table}
WHERE user_id = $1 AND audience = $2 AND key = $3 AND expires_at > now()

-- name: get_many
-- Many keys of one place, in one statement.
SELECT key, value, tags, extract(epoch FROM expires_at - now())::float8 AS lives FROM {table}
WHERE user_id = $1 AND audience = $2 AND key = ANY($3::text[]) AND expires_at > now()

-- name: look
-- A value, and what was forgotten before this moment, as one snapshot: a later look at the same
-- targets shows whether something was forgotten in between. OFFSET 0 has each target looked up
-- in the index: the planner, not knowing how few there are, would read all marks. A value whose
-- time has been over for less than $7 seconds is seen too; it then lives zero seconds or less.
SELECT value, tags, extract(epoch FROM expires_at - now())::float8 AS lives,
       ARRAY(SELECT epoch FROM unnest($5::text[], $6::text[]) AS target (kind, name),
                    LATERAL (SELECT epoch FROM cache_invalidations AS mark
                             WHERE mark.store = $4 AND mark.kind = target.kind
                                   AND mark.name = target.name OFFSET 0) AS forgotten
             ORDER BY epoch) AS epochs
FROM (SELECT) AS always
LEFT JOIN {table} ON user_id = $1 AND audience = $2 AND key = $3
                 AND expires_at > now() - make_interval(secs => $7)

-- name: set
-- The time to live counts from this statement, by the database clock.
INSERT INTO {table} (user_id, audience, key, value, tags, size_bytes, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7))
{or_replace}

-- name: set_of_person
-- As `set`, but nothing for somebody who was erased, also while this waited for the erasure: $8 is
-- the lock of the person's mark.
INSERT INTO {table} (user_id, audience, key, value, tags, size_bytes, expires_at)
SELECT $1::uuid, $2, $3, $4, $5::text[], $6::int, now() + make_interval(secs => $7)
WHERE NOT digitwin_is_erased($1, $8)
{or_replace}

-- name: set_unless_forgotten
-- To be sent after `lock_shared`: its snapshot then shows what was forgotten meanwhile, and who was
-- erased. OFFSET 0 as in `look`.
INSERT INTO {table} (user_id, audience, key, value, tags, size_bytes, created_at, expires_at,
                     stale_until)
SELECT $1, $2, $3, $4, $5::text[], $6::int, statement_timestamp(),
       statement_timestamp() + make_interval(secs => $7),
       statement_timestamp() + make_interval(secs => $7 + nullif($12::float8, 0))
WHERE NOT EXISTS (SELECT FROM unnest($9::text[], $10::text[]) AS target (kind, name),
                       LATERAL (SELECT epoch FROM cache_invalidations AS mark
                                WHERE mark.store = $8 AND mark.kind = target.kind
                                      AND mark.name = target.name OFFSET 0) AS forgotten
                  WHERE epoch <> ALL ($11::bigint[]))
  AND NOT EXISTS (SELECT FROM erasures
                  WHERE subject_hash = encode(sha256(convert_to($1::uuid::text, 'UTF8')), 'hex')
                        AND completed_at IS NOT NULL)
{or_replace}

-- name: or_replace
-- The tail of both statements that store: a new value starts anew. Only a row that was there
-- (`xmax` then names who locked it to replace it) can be in another instance's memory: the first
-- value of a key is no news, which spares it the lock that all commits with news share.
ON CONFLICT (user_id, audience, key) DO UPDATE
SET value = excluded.value, tags = excluded.tags, size_bytes = excluded.size_bytes,
    created_at = excluded.created_at, expires_at = excluded.expires_at,
    stale_until = excluded.stale_until{no_hits}
RETURNING CASE WHEN xmax <> 0 THEN
    pg_notify({channel}, '{store} key ' || encode(
        sha256(convert_to(user_id || ' ' || audience || ' ' || key, 'UTF8')), 'hex'))
END

-- name: channel
-- Where the instances of this schema tell each other what to forget.
'digitwin_cache_' || md5(current_schema())

-- name: tell
-- News by hand, also to see whether they arrive.
SELECT pg_notify({channel}, $1)

-- name: lock_shared
-- Storers do not hinder each other; who forgets waits for those that have begun.
SELECT pg_advisory_xact_lock_shared(lock) FROM unnest($1::bigint[]) AS lock

-- name: lock
-- In the order given, which is everybody's: no two wait for each other.
SELECT pg_advisory_xact_lock(lock) FROM unnest($1::bigint[]) AS lock

-- name: mark
-- To be sent after `lock`: numbers then rise with the commits.
INSERT INTO cache_invalidations (store, kind, name, epoch)
SELECT store, kind, name, nextval('cache_epoch_seq')
FROM unnest($1::text[], $2::text[], $3::text[]) AS target (store, kind, name)
ORDER BY store, kind, name
ON CONFLICT (store, kind, name) DO UPDATE
SET epoch = excluded.epoch, created_at = excluded.created_at

-- name: delete
-- True when a living entry was there. Told even if not: a memory may know what is here no more.
WITH gone AS (DELETE FROM {table} WHERE user_id = $1 AND audience = $2 AND key = $3
              RETURNING expires_at > now() AS lived)
SELECT coalesce(bool_or(lived), false), pg_notify({channel}, '{store} key ' || $4::text) FROM gone

-- name: sweep
-- A batch at a time, in the order of the key, as everybody locks them. Each batch is told when it
-- is gone: until then others may still read and remember it.
WITH chosen AS (SELECT user_id, audience, key FROM {table} WHERE {condition}
                ORDER BY user_id, audience, key LIMIT $1 FOR UPDATE),
     gone AS (DELETE FROM {table} AS entry USING chosen
              WHERE entry.user_id = chosen.user_id AND entry.audience = chosen.audience
                    AND entry.key = chosen.key RETURNING 1)
SELECT count(*), CASE WHEN {worth_telling} THEN
    pg_notify({channel}, '{store} ' || $2::text || ' ' || $3::text) END FROM gone

-- name: purge_batch
-- A few at a time; what somebody else is at is left to them, and what may still be shown stale.
WITH old AS (SELECT user_id, audience, key FROM {table}
             WHERE expires_at <= now() AND (stale_until IS NULL OR stale_until <= now())
             ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED),
     gone AS (DELETE FROM {table} AS entry USING old
              WHERE entry.user_id = old.user_id AND entry.audience = old.audience
                    AND entry.key = old.key RETURNING 1)
SELECT count(*) FROM gone

-- name: beyond
-- What the newest entries leave no room for, and how young the youngest of it is. Reads the index
-- by age, which says each entry's size too, and no table.
SELECT count(*) AS rows, max(created_at) AS until
FROM (SELECT created_at, row_number() OVER newest AS rows, sum(size_bytes) OVER newest AS bytes
      FROM {table}
      WINDOW newest AS (ORDER BY created_at DESC ROWS UNBOUNDED PRECEDING)) AS kept
WHERE rows > $1 OR bytes > $2

-- name: evict_batch
-- The oldest go first, a few at a time; what somebody else is at is left to them. Told, for the
-- next `set` of a key that is not here is no news to whoever remembers it.
WITH old AS (SELECT user_id, audience, key FROM {table} WHERE created_at <= $2
             ORDER BY created_at LIMIT $1 FOR UPDATE SKIP LOCKED),
     gone AS (DELETE FROM {table} AS entry USING old
              WHERE entry.user_id = old.user_id AND entry.audience = old.audience
                    AND entry.key = old.key
              RETURNING pg_notify({channel}, '{store} key ' || encode(sha256(convert_to(
                  entry.user_id || ' ' || entry.audience || ' ' || entry.key, 'UTF8')), 'hex')))
SELECT count(*) FROM gone

-- name: purge_marks
-- No factory that is still waited for is older than this.
WITH old AS (SELECT store, kind, name FROM cache_invalidations
             WHERE created_at < now() - make_interval(secs => $1)
             LIMIT $2 FOR UPDATE SKIP LOCKED),
     gone AS (DELETE FROM cache_invalidations AS mark USING old
              WHERE mark.store = old.store AND mark.kind = old.kind AND mark.name = old.name
              RETURNING 1)
SELECT count(*) FROM gone

-- name: count_usage
-- Many look-ups in one statement, in the order of the key, so that two instances never deadlock.
INSERT INTO cache_usage AS usage (store, bucket, hits, misses)
SELECT store, date_trunc('hour', now(), 'UTC'), hits, misses
FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS counted (store, hits, misses)
ORDER BY store
ON CONFLICT (store, bucket) DO UPDATE
SET hits = usage.hits + excluded.hits, misses = usage.misses + excluded.misses

-- name: count_hits
-- Rows are locked in the order of their key first, as everybody does.
WITH counted AS (SELECT entry.user_id, entry.audience, entry.key, hits
                 FROM llm_response_cache AS entry
                 JOIN unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[])
                      AS hit (user_id, audience, key, hits) USING (user_id, audience, key)
                 ORDER BY entry.user_id, entry.audience, entry.key FOR UPDATE OF entry)
UPDATE llm_response_cache AS entry SET hit_count = entry.hit_count + counted.hits FROM counted
WHERE entry.user_id = counted.user_id AND entry.audience = counted.audience
      AND entry.key = counted.key

-- name: usage
-- Of every store, since the first look-up.
SELECT store, sum(hits)::bigint AS hits, sum(misses)::bigint AS misses
FROM cache_usage GROUP BY store

-- name: sizes
-- Reads the whole table.
SELECT count(*) FILTER (WHERE expires_at > now()) AS live,
       count(*) FILTER (WHERE expires_at <= now()) AS expired,
       coalesce(sum(size_bytes), 0)::bigint AS bytes
FROM {table}
