-- name: consent_in_force
-- A condition, not a statement: the consent of the person `:user_id` to `:purpose` counts now.
-- At most one row meets it, by the partial unique index that also finds it.
consents.user_id = :user_id AND consents.purpose = :purpose AND consents.withdrawn_at IS NULL
    AND (consents.expires_at IS NULL OR consents.expires_at > statement_timestamp())

-- name: lock_activation
-- Serializes everything that changes which of a person's models is active: activations,
-- restores, grants and withdrawals. Without the lock two activations at once would violate the
-- unique index and one would fail. The user's row is locked too: the deletion of a person locks
-- several models in any order, and would deadlock with an activation otherwise.
WITH turn AS MATERIALIZED (
    SELECT pg_advisory_xact_lock(hashtextextended(:table::text || ':' || :user_id::uuid::text, 0))
)
SELECT id FROM users, turn WHERE id = :user_id FOR SHARE OF users
