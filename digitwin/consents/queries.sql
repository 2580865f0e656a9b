-- A consent and the model it allows are changed by one at a time: {table} is where such models
-- are, and names the lock that their activations take; {consent} are a consent's columns.
-- {granted}, {withdrawn} and {deactivated} add the record of what `done` has changed to the audit
-- trail; their parameters come last.

-- name: one_at_a_time
-- No activation stands between a withdrawal and the models it leaves inactive; the person's own
-- row comes first, as everywhere.
WITH turn AS MATERIALIZED (
    SELECT pg_advisory_xact_lock(hashtextextended('{table}:' || $1::uuid::text, 0))
)
SELECT id FROM users, turn WHERE id = $1 FOR SHARE OF users;

-- name: replace
-- A new consent takes the place of the one before; an index allows one at a time.
UPDATE consents SET withdrawn_at = statement_timestamp()
WHERE user_id = $1 AND purpose = $2 AND withdrawn_at IS NULL;

-- name: grant
-- Of a living person only; by the database's clock, with its record in the trail.
WITH done AS (
    INSERT INTO consents (user_id, id, purpose, evidence, granted_at, expires_at)
    SELECT id, $2, $3, $4::jsonb, statement_timestamp(),
           coalesce($5::timestamptz, statement_timestamp() + make_interval(secs => $6::float8))
    FROM users WHERE id = $1 AND deleted_at IS NULL FOR SHARE
    RETURNING {consent}
), recorded AS ({granted})
SELECT * FROM done;

-- name: withdraw
-- Also of a person who is deleted, and of a consent that has expired; with its record.
WITH done AS (
    UPDATE consents SET withdrawn_at = greatest(statement_timestamp(), granted_at)
    WHERE user_id = $1 AND purpose = $2 AND withdrawn_at IS NULL
    RETURNING {consent}
), recorded AS ({withdrawn})
SELECT * FROM done;

-- name: deactivate
-- A deleted model forgets that it was active, too: no restore makes it so again.
WITH done AS (
    UPDATE {table} SET is_active = false, version = version + 1, updated_at = now()
    WHERE user_id = $1 AND is_active
    RETURNING user_id, id, deleted_at
), recorded AS ({deactivated})
SELECT id FROM done;

-- name: in_force
-- At most one, by the partial unique index that also finds it.
SELECT {consent} FROM consents
WHERE user_id = $1 AND purpose = $2 AND withdrawn_at IS NULL
  AND (expires_at IS NULL OR expires_at > statement_timestamp());

-- name: past_their_time
-- Whose consent has ended by itself while a model is still active.
SELECT c.user_id FROM consents c JOIN {table} m ON m.user_id = c.user_id AND m.is_active
WHERE c.purpose = $1 AND c.withdrawn_at IS NULL AND c.expires_at <= statement_timestamp()
  AND c.user_id > $3
GROUP BY c.user_id ORDER BY c.user_id LIMIT $2;

-- name: deactivate_past
-- As deactivate, unless a new consent was given meanwhile: the turn was waited for.
WITH done AS (
    UPDATE {table} SET is_active = false, version = version + 1, updated_at = now()
    WHERE user_id = $1 AND is_active AND NOT EXISTS (
        SELECT 1 FROM consents c
        WHERE c.user_id = $1 AND c.purpose = '{purpose}' AND c.withdrawn_at IS NULL
          AND (c.expires_at IS NULL OR c.expires_at > statement_timestamp()))
    RETURNING user_id, id, deleted_at
), recorded AS ({deactivated})
SELECT id FROM done;
