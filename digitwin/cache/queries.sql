-- name: living
-- Part of the statements that read: an expired row is not returned, whether or not it is purged
-- yet. Nor is one from the future, written while the clock was ahead: it would outlive its TTL.
expires_at > now() AND created_at <= now()

-- name: get
-- One index lookup.
SELECT value FROM {table}
WHERE user_id = :user_id AND audience = :audience AND key = :key AND {living}

-- name: read
-- As `get`, with what the local cache needs: the tags and the seconds left to live.
SELECT value, tags, extract(epoch FROM expires_at - now())::float8 AS lives FROM {table}
WHERE user_id = :user_id AND audience = :audience AND key = :key AND {living}

-- name: read_each
-- As `read`, for many keys of many people: one index lookup for each. The LIMIT makes the planner
-- expect few: else the plan made while the table is new and empty reads the whole table, and is kept
-- while it fills.
SELECT place, value, tags, extract(epoch FROM expires_at - now())::float8 AS lives
FROM (SELECT * FROM unnest(:user_ids::uuid[], :audiences::text[], :keys::text[]) WITH ORDINALITY
          AS asked (user_id, audience, key, place)
      LIMIT cardinality(:keys::text[])) AS asked
     JOIN {table} USING (user_id, audience, key)
WHERE {living}

-- name: get_many
-- Many keys of one person and audience, in one statement.
SELECT key, value, tags, extract(epoch FROM expires_at - now())::float8 AS lives FROM {table}
WHERE user_id = :user_id AND audience = :audience AND key = ANY(:keys::text[])
      AND {living}

-- name: keys
-- Keys with a prefix, of the next `:most` entries of one range of the primary key's index. The prefix
-- is compared with each entry, since only the C collation sorts the keys with a prefix together. If
-- they are fewer than `:limit`, a last row, not listed, is the key from which to go on, if any.
(SELECT key, true AS listed
 FROM (SELECT key, {living} AND starts_with(key, :prefix) AS listed FROM {table}
       WHERE user_id = :user_id AND audience = :audience AND key > :after
       ORDER BY key LIMIT :most::bigint) AS range
 WHERE listed ORDER BY key LIMIT :limit::bigint)
UNION ALL
(SELECT key, false FROM {table}
 WHERE user_id = :user_id AND audience = :audience AND key > :after
 ORDER BY key OFFSET :most::bigint - 1 LIMIT 1)
LIMIT :limit::bigint

-- name: lookup
-- A value, and the epochs of its targets, in one snapshot: comparing them later shows whether
-- something was invalidated in between. OFFSET 0 makes each target an index lookup: the planner
-- does not know how few they are and would read the whole table. A value that expired less than
-- `stale` seconds ago is returned too; it then lives zero seconds or less.
SELECT value, tags, extract(epoch FROM expires_at - now())::float8 AS lives,
       ARRAY(SELECT epoch FROM unnest(:kinds::text[], :names::text[]) AS target (kind, name),
                    LATERAL (SELECT epoch FROM cache_invalidations AS invalidation
                             WHERE invalidation.store = :store AND invalidation.kind = target.kind
                                   AND invalidation.name = target.name OFFSET 0) AS forgotten
             ORDER BY epoch) AS epochs
FROM (SELECT) AS always
LEFT JOIN {table} ON user_id = :user_id AND audience = :audience AND key = :key
                 AND expires_at > now() - make_interval(secs => :stale) AND created_at <= now()

-- name: set
-- The time to live counts from this statement, by the database clock.
INSERT INTO {table} (user_id, audience, key, value, tags, size_bytes, expires_at)
VALUES (:user_id, :audience, :key, :stored, :tags, :size, now() + make_interval(secs => :ttl))
{or_replace}

-- name: set_of_person
-- As `set`, but stores nothing for a person who was erased, also if it waited for the erasure.
-- `lock` is the lock of the person's invalidation target.
INSERT INTO {table} (user_id, audience, key, value, tags, size_bytes, expires_at)
SELECT :user_id::uuid, :audience, :key, :stored, :tags::text[], :size::int,
       now() + make_interval(secs => :ttl)
WHERE NOT digitwin_is_erased(:user_id, :lock)
{or_replace}

-- name: set_many
-- As `set_of_person`, for many keys, and for entries of nobody, which have no `lock`. Rows are locked
-- in key order, as by everyone who locks several. The subquery asks once whether the person was
-- erased, not for each row.
INSERT INTO {table} (user_id, audience, key, value, tags, size_bytes, expires_at)
SELECT :user_id::uuid, :audience::text, key, stored, :tags::text[], size,
       now() + make_interval(secs => ttl)
FROM unnest(:keys::text[], :stored::{value_type}[], :sizes::int[], :ttls::float8[])
         AS given (key, stored, size, ttl)
WHERE :lock::bigint IS NULL OR NOT (SELECT digitwin_is_erased(:user_id::uuid, :lock::bigint))
ORDER BY key
{or_replace}

-- name: set_unless_invalidated
-- To be sent after `lock_shared`, so that its snapshot shows what was invalidated meanwhile and who
-- was erased. OFFSET 0 as in `lookup`.
INSERT INTO {table} (user_id, audience, key, value, tags, size_bytes, created_at, expires_at,
                     stale_until)
SELECT :user_id, :audience, :key, :stored, :tags::text[], :size::int, statement_timestamp(),
       statement_timestamp() + make_interval(secs => :ttl),
       statement_timestamp() + make_interval(secs => :ttl + nullif(:stale::float8, 0))
WHERE NOT EXISTS (SELECT FROM unnest(:kinds::text[], :names::text[]) AS target (kind, name),
                       LATERAL (SELECT epoch FROM cache_invalidations AS invalidation
                                WHERE invalidation.store = :store
                                      AND invalidation.kind = target.kind
                                      AND invalidation.name = target.name OFFSET 0) AS forgotten
                  WHERE epoch <> ALL (:epochs::bigint[]))
  AND NOT EXISTS (SELECT FROM erasures
                  WHERE subject_hash = encode(
                            sha256(convert_to(:user_id::uuid::text, 'UTF8')), 'hex')
                        AND completed_at IS NOT NULL)
{or_replace}

-- name: or_replace
-- The tail of the statements that store: a new value resets the row. Only a row that existed
-- (`xmax` is then set by the upsert's lock) can be in another instance's local cache. The first
-- value of a key needs no notification, and is spared the lock that all notifying commits share.
ON CONFLICT (user_id, audience, key) DO UPDATE
SET value = excluded.value, tags = excluded.tags, size_bytes = excluded.size_bytes,
    created_at = excluded.created_at, expires_at = excluded.expires_at,
    stale_until = excluded.stale_until{no_hits}
RETURNING CASE WHEN xmax <> 0 THEN
    pg_notify({channel}, '{store} key ' || encode(
        sha256(convert_to(user_id || ' ' || audience || ' ' || key, 'UTF8')), 'hex'))
END

-- name: channel
-- The channel on which the instances of this schema notify each other of invalidations.
'digitwin_cache_' || md5(current_schema())

-- name: channel_name
-- As LISTEN needs it.
SELECT {channel}

-- name: notify
-- Also used to probe whether notifications arrive.
SELECT pg_notify({channel}, :payload)

-- name: lock_shared
-- Stores do not block each other; an invalidation waits for those that have begun.
SELECT pg_advisory_xact_lock_shared(lock) FROM unnest(:locks::bigint[]) AS lock

-- name: lock
-- In the given order, which all callers share: no deadlocks.
SELECT pg_advisory_xact_lock(lock) FROM unnest(:locks::bigint[]) AS lock

-- name: record_invalidations
-- To be sent after `lock`, so that epochs rise in commit order.
INSERT INTO cache_invalidations (store, kind, name, epoch)
SELECT store, kind, name, nextval('cache_epoch_seq')
FROM unnest(:stores::text[], :kinds::text[], :names::text[]) AS target (store, kind, name)
ORDER BY store, kind, name
ON CONFLICT (store, kind, name) DO UPDATE
SET epoch = excluded.epoch, created_at = excluded.created_at

-- name: delete
-- True if a living entry existed. It notifies even if not: another instance's local cache may hold
-- an entry that was deleted here before.
WITH gone AS (DELETE FROM {table} WHERE user_id = :user_id AND audience = :audience AND key = :key
              RETURNING {living} AS lived)
SELECT coalesce(bool_or(lived), false), pg_notify({channel}, '{store} key ' || :name::text)
FROM gone

-- name: delete_many
-- As `delete`, for many keys. Each row of the result sends a notification.
WITH chosen AS (SELECT user_id, audience, key FROM {table}
                WHERE user_id = :user_id AND audience = :audience AND key = ANY(:keys::text[])
                ORDER BY key FOR UPDATE),
     gone AS (DELETE FROM {table} AS entry USING chosen
              WHERE entry.user_id = chosen.user_id AND entry.audience = chosen.audience
                    AND entry.key = chosen.key RETURNING {living} AS lived)
SELECT (SELECT count(*) FILTER (WHERE lived) FROM gone) AS lived,
       pg_notify({channel}, '{store} key ' || name)
FROM unnest(:names::text[]) AS name

-- name: sweep
-- One batch, in key order, as everyone locks rows. Each batch notifies once it is deleted: until
-- then other instances may still read and remember its rows.
WITH chosen AS (SELECT user_id, audience, key FROM {table} WHERE {condition}
                ORDER BY user_id, audience, key LIMIT :batch FOR UPDATE),
     gone AS (DELETE FROM {table} AS entry USING chosen
              WHERE entry.user_id = chosen.user_id AND entry.audience = chosen.audience
                    AND entry.key = chosen.key RETURNING 1)
SELECT count(*), CASE WHEN {notify_if} THEN
    pg_notify({channel}, '{store} ' || :kind::text || ' ' || :name::text) END FROM gone

-- name: forget
-- As `sweep`, for several targets at once, all their rows.
WITH chosen AS (SELECT user_id, audience, key FROM {table} WHERE {condition}
                ORDER BY user_id, audience, key FOR UPDATE),
     gone AS (DELETE FROM {table} AS entry USING chosen
              WHERE entry.user_id = chosen.user_id AND entry.audience = chosen.audience
                    AND entry.key = chosen.key RETURNING 1)
SELECT pg_notify({channel}, '{store} ' || kind || ' ' || name)
FROM unnest(:kinds::text[], :names::text[]) AS target (kind, name)
WHERE EXISTS (SELECT FROM gone)

-- name: purge_batch
-- One batch; skips locked rows, and rows that may still be served stale.
WITH old AS (SELECT user_id, audience, key FROM {table}
             WHERE expires_at <= now() AND (stale_until IS NULL OR stale_until <= now())
             ORDER BY expires_at LIMIT :batch FOR UPDATE SKIP LOCKED),
     gone AS (DELETE FROM {table} AS entry USING old
              WHERE entry.user_id = old.user_id AND entry.audience = old.audience
                    AND entry.key = old.key RETURNING 1)
SELECT count(*) FROM gone

-- name: beyond
-- How many of the oldest entries exceed the bounds, and the creation time of the newest of them. An
-- index-only scan: the index by age includes the size.
SELECT count(*) AS rows, max(created_at) AS until
FROM (SELECT created_at, row_number() OVER newest AS rows, sum(size_bytes) OVER newest AS bytes
      FROM {table}
      WINDOW newest AS (ORDER BY created_at DESC ROWS UNBOUNDED PRECEDING)) AS kept
WHERE rows > :rows OR bytes > :bytes

-- name: older
-- For `evict_batch`: the oldest entries.
created_at <= :until

-- name: of_the_future
-- For `evict_batch`: entries written while the clock was ahead, which would come back once it gets
-- there. Not those of this minute, which another transaction may be writing now.
created_at > now() + interval '1 minute'

-- name: evict_batch
-- The oldest first, one batch; skips locked rows. It notifies, because the next `set` of a key
-- without a row does not.
WITH old AS (SELECT user_id, audience, key FROM {table} WHERE {which}
             ORDER BY created_at LIMIT :batch FOR UPDATE SKIP LOCKED),
     gone AS (DELETE FROM {table} AS entry USING old
              WHERE entry.user_id = old.user_id AND entry.audience = old.audience
                    AND entry.key = old.key
              RETURNING pg_notify({channel}, '{store} key ' || encode(sha256(convert_to(
                  entry.user_id || ' ' || entry.audience || ' ' || entry.key, 'UTF8')), 'hex')))
SELECT count(*) FROM gone

-- name: purge_invalidations
-- No factory whose result may still be stored began before this.
WITH old AS (SELECT store, kind, name FROM cache_invalidations
             WHERE created_at < now() - make_interval(secs => :kept)
             LIMIT :batch FOR UPDATE SKIP LOCKED),
     gone AS (DELETE FROM cache_invalidations AS invalidation USING old
              WHERE invalidation.store = old.store AND invalidation.kind = old.kind
                    AND invalidation.name = old.name
              RETURNING 1)
SELECT count(*) FROM gone

-- name: count_usage
-- Many counts in one statement, in key order, so that two instances never deadlock.
INSERT INTO cache_usage AS usage (store, bucket, hits, misses)
SELECT store, date_trunc('hour', now(), 'UTC'), hits, misses
FROM unnest(:stores::text[], :hits::bigint[], :misses::bigint[]) AS counted (store, hits, misses)
ORDER BY store
ON CONFLICT (store, bucket) DO UPDATE
SET hits = usage.hits + excluded.hits, misses = usage.misses + excluded.misses

-- name: count_hits
-- Locks the rows in key order first, as everyone does.
WITH counted AS (SELECT entry.user_id, entry.audience, entry.key, hits
                 FROM llm_response_cache AS entry
                 JOIN unnest(:user_ids::uuid[], :audiences::text[], :keys::text[], :hits::bigint[])
                      AS hit (user_id, audience, key, hits) USING (user_id, audience, key)
                 ORDER BY entry.user_id, entry.audience, entry.key FOR UPDATE OF entry)
UPDATE llm_response_cache AS entry SET hit_count = entry.hit_count + counted.hits FROM counted
WHERE entry.user_id = counted.user_id AND entry.audience = counted.audience
      AND entry.key = counted.key

-- name: usage
-- Per store, since the first lookup.
SELECT store, sum(hits)::bigint AS hits, sum(misses)::bigint AS misses
FROM cache_usage GROUP BY store

-- name: sizes
-- Reads the whole table.
SELECT count(*) FILTER (WHERE {living}) AS live,
       count(*) FILTER (WHERE NOT ({living})) AS expired,
       coalesce(sum(size_bytes), 0)::bigint AS bytes
FROM {table}
