-- Everything here commits by itself: a key that a rollback took back would be lost with
-- whatever another process had sealed under it meanwhile.

-- name: get
-- The keys of a page of rows in one round trip.
SELECT user_id, key_id, wrapped FROM user_keys WHERE user_id = ANY($1::uuid[]);

-- name: put_if_absent
-- Of two processes that make a person's first key at once, one is left.
INSERT INTO user_keys (user_id, key_id, wrapped) VALUES ($1, $2, $3)
ON CONFLICT (user_id) DO NOTHING;

-- name: replace
-- Only in place of the key that was rewrapped: what was destroyed meanwhile stays destroyed.
UPDATE user_keys SET key_id = $3, wrapped = $4, updated_at = now()
WHERE user_id = $1 AND wrapped = $2;

-- name: destroy
-- What was sealed under it is noise from here on.
DELETE FROM user_keys WHERE user_id = $1;

-- name: removed
-- Who was removed for good, as the trail says, and has not come back: a page of them.
SELECT DISTINCT user_id FROM audit_logs
WHERE action = 'user.hard_delete' AND user_id > $1
  AND NOT EXISTS (SELECT FROM users WHERE users.id = audit_logs.user_id)
ORDER BY user_id LIMIT $2;

-- name: page
-- In the order of the key, so that a rotation walks the table once.
SELECT user_id, key_id, wrapped FROM user_keys WHERE user_id > $1 ORDER BY user_id LIMIT $2;
