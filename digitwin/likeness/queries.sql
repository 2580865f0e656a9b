-- name: locked_state
-- The row as it is now, not as the caller read it, decides whether a status may change.
SELECT status, is_active, version FROM {table}
WHERE user_id = :user_id AND id = :id AND deleted_at IS NULL FOR NO KEY UPDATE

-- name: hold_removed
-- A model that is about to be removed; its address does not change any more.
SELECT '{table}' AS table_name, user_id, id, :kind::text AS kind, artifact_uri FROM {table}
WHERE id = :id AND (:user_id::uuid IS NULL OR user_id = :user_id) AND artifact_uri IS NOT NULL FOR UPDATE

-- name: lock_consent
-- Locked until the transaction ends: no withdrawal comes between the check and the activation.
SELECT id FROM consents WHERE {consent_in_force} FOR SHARE

-- name: retire
-- Deactivates the other active model before this one becomes active.
WITH done AS (
    UPDATE {table} SET is_active = false, version = version + 1, updated_at = now()
    WHERE user_id = :user_id AND id <> :id AND is_active AND deleted_at IS NULL
    RETURNING user_id, id
), recorded AS ({audit deactivate})
SELECT id FROM done

-- name: activate
-- Only a ready model. Idempotent: an active one keeps its version, and nothing is recorded.
WITH before AS (
    SELECT user_id, id, is_active FROM {table}
    WHERE user_id = :user_id AND id = :id AND status = 'ready' AND deleted_at IS NULL
    FOR NO KEY UPDATE
), done AS (
    UPDATE {table} AS t
    SET is_active = true, version = t.version + (NOT t.is_active)::int,
        updated_at = CASE WHEN t.is_active THEN t.updated_at ELSE now() END
    FROM before WHERE t.user_id = before.user_id AND t.id = before.id
    RETURNING {columns as t}
), recorded AS ({audit activate}, before WHERE NOT before.is_active)
SELECT * FROM done

-- name: deactivate
-- Idempotent: an inactive model keeps its version, and no row is returned.
WITH done AS (
    UPDATE {table} SET is_active = false, version = version + 1, updated_at = now()
    WHERE user_id = :user_id AND id = :id AND is_active AND deleted_at IS NULL
    RETURNING {columns}
), recorded AS ({audit deactivate})
SELECT * FROM done

-- name: active_for
-- At most one row, by the partial unique index that also finds it. The consent is checked again:
-- it may have expired since the activation.
SELECT {columns} FROM {table} WHERE user_id = :user_id AND is_active AND deleted_at IS NULL
    AND EXISTS (SELECT 1 FROM consents WHERE {consent_in_force})

-- name: forget_active
-- A deleted model stays marked as active, and its restore makes it active again. The mark is
-- removed if another model is active or the consent is no longer in force. Models that were
-- deleted together come back together.
UPDATE {table} SET is_active = false
WHERE user_id = :user_id AND is_active AND deleted_at IS NOT NULL
  AND deletion_id = (SELECT deletion_id FROM {table} WHERE user_id = :user_id AND id = :id)
  AND (EXISTS (
    SELECT 1 FROM {table} AS other
    WHERE other.user_id = :user_id AND other.is_active AND other.deleted_at IS NULL
) OR NOT EXISTS (SELECT 1 FROM consents WHERE {consent_in_force}))
