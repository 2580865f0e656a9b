-- Voice and face models have the same life: {table} is one of the two, {model} its columns
-- ({t_model}: as t). {activated} and {deactivated} add the record of what `done` has changed to the
-- audit trail; their parameters come last. {purpose} is what their owner must have agreed to.

-- name: one_at_a_time
-- Activations of one person wait for each other: a unique index alone would fail one of them.
-- With a deletion of the person they take turns too: each locks several models, in any order.
-- Consents are given and withdrawn under the same lock.
WITH turn AS MATERIALIZED (
    SELECT pg_advisory_xact_lock(hashtextextended('{table}:' || $1::uuid::text, 0))
)
SELECT id FROM users, turn WHERE id = $1 FOR SHARE OF users

-- name: locked_state
-- A change of status is judged by what the row says now, not by what a caller read.
SELECT status, is_active, version FROM {table}
WHERE user_id = $1 AND id = $2 AND deleted_at IS NULL FOR NO KEY UPDATE

-- name: agreed
-- Held until the end: no withdrawal comes between this and what it allows.
SELECT id FROM consents
WHERE user_id = $1 AND purpose = '{purpose}' AND withdrawn_at IS NULL
  AND (expires_at IS NULL OR expires_at > statement_timestamp())
FOR SHARE

-- name: retire
-- Whichever other model is active makes room.
WITH done AS (
    UPDATE {table} SET is_active = false, version = version + 1, updated_at = now()
    WHERE user_id = $1 AND id <> $2 AND is_active AND deleted_at IS NULL
    RETURNING user_id, id
), recorded AS ({deactivated})
SELECT id FROM done

-- name: activate
-- Only a ready model; one that is active already stays as it is, version and all.
WITH before AS (
    SELECT user_id, id, is_active FROM {table}
    WHERE user_id = $1 AND id = $2 AND status = 'ready' AND deleted_at IS NULL
    FOR NO KEY UPDATE
), done AS (
    UPDATE {table} AS t
    SET is_active = true, version = t.version + (NOT t.is_active)::int,
        updated_at = CASE WHEN t.is_active THEN t.updated_at ELSE now() END
    FROM before WHERE t.user_id = before.user_id AND t.id = before.id
    RETURNING {t_model}
), recorded AS ({activated} WHERE NOT before.is_active)
SELECT * FROM done

-- name: deactivate
-- One that is not active stays as it is, version and all.
WITH done AS (
    UPDATE {table} SET is_active = false, version = version + 1, updated_at = now()
    WHERE user_id = $1 AND id = $2 AND is_active AND deleted_at IS NULL
    RETURNING {model}
), recorded AS ({deactivated})
SELECT * FROM done

-- name: active_for
-- At most one, by the partial unique index that also finds it; none without a consent in force.
SELECT {model} FROM {table} WHERE user_id = $1 AND is_active AND deleted_at IS NULL AND EXISTS (
    SELECT 1 FROM consents
    WHERE consents.user_id = $1 AND purpose = '{purpose}' AND withdrawn_at IS NULL
      AND (expires_at IS NULL OR expires_at > statement_timestamp()))

-- name: give_way
-- A deleted model remembers that it was active, until another has taken its place or the
-- consent is over.
UPDATE {table} SET is_active = false
WHERE user_id = $1 AND id = $2 AND is_active AND deleted_at IS NOT NULL AND (EXISTS (
    SELECT 1 FROM {table} AS other
    WHERE other.user_id = $1 AND other.is_active AND other.deleted_at IS NULL
) OR NOT EXISTS (
    SELECT 1 FROM consents
    WHERE consents.user_id = $1 AND purpose = '{purpose}' AND withdrawn_at IS NULL
      AND (expires_at IS NULL OR expires_at > statement_timestamp())))
