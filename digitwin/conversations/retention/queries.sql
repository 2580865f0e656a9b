-- name: people_due
-- A page of people by id, and those among them who have a session past its retention: one look into
-- the index for each person. By sessions alone, each run would read all that other tiers keep.
WITH page AS MATERIALIZED (
    SELECT id, subscription_tier FROM users
    WHERE id > :after AND deleted_at IS NULL ORDER BY id LIMIT :size
)
SELECT (SELECT id FROM page ORDER BY id DESC LIMIT 1) AS last, ARRAY(
    SELECT page.id FROM page
    JOIN unnest(:tiers::text[], :seconds::float8[]) AS kept (tier, seconds)
      ON kept.tier = page.subscription_tier
    WHERE EXISTS (
        SELECT 1 FROM conversation_sessions AS session
        WHERE session.user_id = page.id AND session.deleted_at IS NULL
          AND session.ended_at < now() - make_interval(secs => kept.seconds))
    ORDER BY page.id
) AS due

-- name: hold_owner
-- Removals lock the owner first, too. A person who is being removed is skipped until the next run, and
-- one whose document is: both would lock what the sessions cite. Others do not wait for these locks.
WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock_shared({orphans}) AS is_free)
SELECT subscription_tier FROM users, turn
WHERE id = :user_id AND deleted_at IS NULL AND is_free
FOR KEY SHARE OF users SKIP LOCKED

-- name: hold_due
-- The sessions that ended first. From here on nobody adds to them; what another instance holds, or
-- somebody who opens it again, is skipped. A deleted session is left to its deletion's retention.
SELECT id FROM conversation_sessions
WHERE user_id = :user_id AND ended_at < now() - make_interval(secs => :seconds)
  AND deleted_at IS NULL AND id <> ALL(:failed::uuid[])
ORDER BY ended_at LIMIT :batch FOR UPDATE SKIP LOCKED

-- name: hold_turns
-- A turn can be amended without a lock on its session: an archive would lack what is stored meanwhile.
SELECT count(*) FROM (
    SELECT 1 FROM conversation_turns WHERE user_id = :user_id AND session_id = :session_id
      AND EXISTS (SELECT 1 FROM conversation_sessions AS session
                  WHERE session.user_id = :user_id AND session.id = :session_id
                    AND session.deleted_at IS NULL)
    FOR UPDATE
) AS turns

-- name: remove
-- Everything in the sessions goes with them, by foreign key.
WITH done AS (
    DELETE FROM conversation_sessions
    WHERE user_id = :user_id AND id = ANY(:ids::uuid[]) AND deleted_at IS NULL
    RETURNING user_id, id
), recorded AS ({audit hard_delete many})
SELECT count(*) FROM done

-- name: preview
-- What the retention would remove of these people's: bytes are those of the rows, as stored, without
-- indexes.
SELECT tier, count(*) AS sessions, sum(inside.turns)::bigint AS turns,
       sum(pg_column_size(session.*) + inside.bytes)::bigint AS bytes, min(ended_at) AS oldest
FROM users
JOIN unnest(:tiers::text[], :seconds::float8[]) AS kept (tier, seconds)
  ON kept.tier = users.subscription_tier
JOIN conversation_sessions AS session ON session.user_id = users.id
CROSS JOIN LATERAL (
    SELECT (SELECT count(*) FROM conversation_turns AS held WHERE {inside}) AS turns, {sizes} AS bytes
) AS inside
WHERE users.id = ANY(:people::uuid[]) AND users.deleted_at IS NULL AND session.deleted_at IS NULL
  AND session.ended_at < now() - make_interval(secs => kept.seconds)
GROUP BY tier

-- name: inside
-- The rows of a session in another table.
held.user_id = session.user_id AND held.session_id = session.id

-- name: deleted_alone
-- The sessions that a deletion hides, unless it is that of their owner.
SELECT session.id FROM deletions JOIN conversation_sessions AS session
  ON session.user_id = deletions.user_id AND session.deletion_id = deletions.id
WHERE deletions.user_id = :user_id AND deletions.id = :deletion_id
  AND deletions.resource = 'session' AND session.deleted_at IS NOT NULL
