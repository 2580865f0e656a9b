-- name: create
-- The address and the user in one statement; the primary key of user_emails keeps it unique. No
-- row if the address or the id is taken: an error would abort the caller's transaction.
WITH taken AS (
    INSERT INTO user_emails (address, user_id)
    SELECT :address, :id::uuid WHERE NOT EXISTS (SELECT 1 FROM users WHERE id = :id::uuid)
    ON CONFLICT DO NOTHING
    RETURNING user_id
), done AS (
    INSERT INTO users (id, email, name, personality_traits, settings, subscription_tier)
    SELECT user_id, :email, :name, :personality_traits::jsonb, :settings::jsonb, :subscription_tier
    FROM taken
    RETURNING {columns}
), recorded AS ({audit create})
SELECT * FROM done;

-- name: holder
-- Which user has one of these ids or addresses, for the error of a refused creation or change.
-- Under a scope only the scope's person is seen.
SELECT 'id' AS field, id FROM users WHERE id = ANY(:ids::uuid[])
UNION ALL
SELECT 'email', user_id FROM user_emails WHERE address = ANY(:addresses::text[])
LIMIT 1;

-- name: create_many
-- As create, with one array for each column; addresses are sorted to prevent deadlocks.
WITH given AS (
    SELECT * FROM unnest(
        :address::text[], :id::uuid[], :email::text[], :name::text[], :personality_traits::jsonb[], :settings::jsonb[], :subscription_tier::text[]
    ) WITH ORDINALITY AS row (address, id, email, name, traits, settings, tier, n)
), taken AS (
    INSERT INTO user_emails (address, user_id) SELECT address, id FROM given ORDER BY address
), done AS (
    INSERT INTO users (id, email, name, personality_traits, settings, subscription_tier)
    SELECT id, email, name, traits, settings, tier FROM given ORDER BY n
    RETURNING {columns}
), recorded AS ({audit create many})
SELECT * FROM done;

-- name: by_email
-- One index lookup for the address, one for the user.
SELECT {columns as u}
FROM user_emails e JOIN users u ON u.id = e.user_id
WHERE e.address = :address AND u.deleted_at IS NULL;

-- name: update_with_email
-- The user's row is locked first; the primary key of user_emails refuses an address in use.
WITH {update}, moved AS (
    UPDATE user_emails SET address = :address FROM done WHERE user_id = done.id
)
SELECT * FROM done;

-- name: delete
-- Runs first: it waits for inserts of child rows under this user, and blocks later ones.
WITH done AS (
    UPDATE users
    SET deleted_at = now(), deletion_id = :deletion_id, version = version + 1, updated_at = now()
    WHERE id = :user_id AND version = coalesce(:version::int, version) AND deleted_at IS NULL
    RETURNING id
), noted AS (
    INSERT INTO deletions (user_id, id, resource, resource_id, reason, actor_id)
    SELECT id, :deletion_id, 'user', id, :reason, :actor_id FROM done
), recorded AS ({audit delete})
SELECT id FROM done;

-- name: hide_belongings
-- Everything not yet deleted gets the same deletion_id; one step for each table in {steps}.
WITH {steps}
DELETE FROM user_emails WHERE user_id = :user_id;

-- name: restore
-- Also returns the deletion_id, by which restore_belongings finds the rest.
WITH was AS (
    SELECT id, deletion_id FROM users WHERE id = :user_id AND deleted_at IS NOT NULL FOR UPDATE
), done AS (
    UPDATE users u
    SET deleted_at = NULL, deletion_id = NULL, version = u.version + 1, updated_at = now()
    FROM was WHERE u.id = was.id
    RETURNING {columns as u}, was.deletion_id AS was_deletion_id
), recorded AS ({audit restore})
SELECT * FROM done;

-- name: restore_belongings
-- Exactly the rows of that deletion; what was deleted before stays deleted.
WITH {steps}, noted AS (
    UPDATE deletions SET restored_at = now() WHERE user_id = :user_id AND id = :deletion_id
)
INSERT INTO user_emails (address, user_id) VALUES (:address, :user_id);

-- name: due
-- The oldest deletion past its retention, after the given one.
SELECT user_id, id, resource, resource_id, deleted_at FROM deletions
WHERE restored_at IS NULL AND final_at IS NULL
  AND deleted_at < now() - make_interval(secs => :older_than) AND (deleted_at, id) > (:after_time, :after_id)
ORDER BY deleted_at, id LIMIT 1;

-- name: hold_owner
-- Deletes, restores and removals lock the owner first. If another transaction holds the lock, the
-- deletion is skipped until the next run. A deleted owner too: their deletion may be due.
SELECT id FROM users WHERE id = :user_id FOR UPDATE SKIP LOCKED;

-- name: still_due
-- The deletion may have been restored or made final before the owner was locked.
SELECT id FROM deletions WHERE user_id = :user_id AND id = :deletion_id AND restored_at IS NULL AND final_at IS NULL;

-- name: remove_user
-- Cascades to everything the user owns, events included. No row if the user was restored.
WITH removed AS (
    DELETE FROM users WHERE id = :user_id AND deletion_id = :deletion_id RETURNING id
)
SELECT count(*) FROM removed;

-- name: remove_hidden
-- Exactly the rows of that deletion; its event becomes final.
WITH {steps}, finished AS (
    UPDATE deletions SET final_at = now() WHERE user_id = :user_id AND id = :deletion_id RETURNING id
)
SELECT count(*) FROM finished;

-- name: hold
-- Before a hard delete, deleted or not.
SELECT id FROM users WHERE id = :user_id FOR UPDATE;

-- name: hold_participants
-- Before the sessions, as the erasure of a participant does; whoever stores a turn of theirs goes on.
SELECT count(*) FROM (
    SELECT 1 FROM participants WHERE user_id = :user_id ORDER BY id FOR NO KEY UPDATE
) AS held;

-- name: hold_belongings
-- In key order, as all who lock several.
SELECT count(*) FROM (SELECT 1 FROM {table} WHERE user_id = :user_id ORDER BY id FOR UPDATE) AS held;

-- name: free_email
-- A hard delete of a user who is not soft-deleted frees the address.
DELETE FROM user_emails WHERE user_id = :user_id;
