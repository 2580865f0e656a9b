-- name: session
-- What a recorder asks when it begins: whose session it is, whether it takes turns, and the time.
SELECT user_id, status, {accepting} AS accepting, clock_timestamp() AS now
FROM conversation_sessions
WHERE id = :session_id AND user_id = {owner} AND deleted_at IS NULL;
