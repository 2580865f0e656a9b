-- name: replace
-- A new consent replaces the one before: the partial unique index allows one at a time.
UPDATE consents SET withdrawn_at = greatest(statement_timestamp(), granted_at)
WHERE user_id = :user_id AND purpose = :purpose AND withdrawn_at IS NULL;

-- name: grant
-- Only for a living person. The database clock decides when it begins and expires.
WITH done AS (
    INSERT INTO consents (user_id, id, purpose, evidence, granted_at, expires_at)
    SELECT id, :id, :purpose, :evidence::jsonb, statement_timestamp(),
           coalesce(:expires_at::timestamptz, statement_timestamp() + make_interval(secs => :expires_in::float8))
    FROM users WHERE id = :user_id AND deleted_at IS NULL FOR SHARE
    RETURNING {columns}
), recorded AS ({audit grant})
SELECT * FROM done;

-- name: withdraw
-- Also for a deleted person, and for a consent that has expired.
WITH done AS (
    UPDATE consents SET withdrawn_at = greatest(statement_timestamp(), granted_at)
    WHERE user_id = :user_id AND purpose = :purpose AND withdrawn_at IS NULL
    RETURNING {columns}
), recorded AS ({audit withdraw})
SELECT * FROM done;

-- name: deactivate
-- Deactivates what the consent permitted, unless a new one was granted before the lock was
-- acquired. Deleted models too, so that a restore does not make one active again; only of the
-- living one is there a record.
WITH done AS (
    UPDATE {models} SET is_active = false, version = version + 1, updated_at = now()
    WHERE user_id = :user_id AND is_active
      AND NOT EXISTS (SELECT 1 FROM consents WHERE {consent_in_force})
    RETURNING user_id, id, deleted_at
), recorded AS ({audit deactivate of {models}} WHERE done.deleted_at IS NULL)
SELECT id FROM done;

-- name: in_force
-- The consent that counts now.
SELECT {columns} FROM consents WHERE {consent_in_force};

-- name: expired_with_active_models
-- A page of people whose consent has expired while a model is still active.
SELECT c.user_id FROM consents c JOIN {models} m ON m.user_id = c.user_id AND m.is_active
WHERE c.purpose = :purpose AND c.withdrawn_at IS NULL AND c.expires_at <= statement_timestamp()
  AND c.user_id > :after
GROUP BY c.user_id ORDER BY c.user_id LIMIT :batch;
