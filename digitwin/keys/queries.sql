-- name: get
-- The keys of a page of rows in one round trip.
SELECT user_id, key_id, wrapped FROM user_keys WHERE user_id = ANY(:user_ids::uuid[]);

-- name: put_if_absent
-- Of two processes that create a person's first key concurrently, one wins.
INSERT INTO user_keys (user_id, key_id, wrapped) VALUES (:user_id, :key_id, :wrapped)
ON CONFLICT (user_id) DO NOTHING;

-- name: replace
-- Compare and set: a key destroyed in the meantime is not written back.
UPDATE user_keys SET key_id = :key_id, wrapped = :wrapped, updated_at = now()
WHERE user_id = :user_id AND wrapped = :old_wrapped;

-- name: destroy
-- Makes everything encrypted with this key unreadable.
DELETE FROM user_keys WHERE user_id = :user_id;

-- name: removed
-- A page of people who were hard-deleted, as the audit trail says, and do not exist again.
SELECT DISTINCT user_id FROM audit_logs
WHERE action = 'user.hard_delete' AND user_id > :after
  AND NOT EXISTS (SELECT FROM users WHERE users.id = audit_logs.user_id)
ORDER BY user_id LIMIT :limit;

-- name: page
-- Ordered by the key, so that a rotation scans the table once.
SELECT user_id, key_id, wrapped FROM user_keys WHERE user_id > :after ORDER BY user_id LIMIT :limit;
