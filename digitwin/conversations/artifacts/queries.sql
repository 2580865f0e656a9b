-- name: owner_of_session
-- Encryption and consent need the owner, and no key is made for a session that does not exist. No
-- LIMIT: of two sessions with this id, in a distributed schema, none may be chosen.
SELECT session.user_id FROM conversation_sessions AS session
WHERE session.id = :session_id{mine} AND session.deleted_at IS NULL

-- name: owner
-- The session's owner, found by its id in the same round trip; each statement checks by itself that
-- the session is not deleted.
(SELECT user_id FROM conversation_sessions WHERE id = :session_id)

-- name: hold_session
-- Keeps the session from being deleted, and its speakers from being erased, until the artifact is
-- stored. The statement after it sees what was committed while this one waited.
SELECT end_reason FROM conversation_sessions
WHERE user_id = :user_id AND id = :session_id AND deleted_at IS NULL FOR SHARE

-- name: add
-- The consent is locked: no withdrawal comes between the check and the row. A speaker whose turns
-- are redacted was erased: what was recorded of the whole session holds their voice. No row either
-- if the id is taken, which leaves an open transaction usable.
WITH consent AS (
    SELECT id FROM consents WHERE {consent_in_force} FOR SHARE
), done AS (
    INSERT INTO session_artifacts (
        user_id, id, session_id, turn_id, kind, artifact_uri, checksum, content_type, size_bytes,
        duration_ms, started_at, metadata
    )
    SELECT :user_id::uuid, :id::uuid, :session_id::uuid, :turn_id::uuid, :kind::varchar,
           :artifact_uri::text, :checksum::text, :content_type::varchar, :size_bytes::bigint,
           :duration_ms::int, :started_at::timestamptz, :metadata::jsonb
    WHERE (:purpose::varchar IS NULL OR EXISTS (SELECT 1 FROM consent))
      AND {turn_is_there}
      AND NOT {speaker_was_erased}
    ON CONFLICT DO NOTHING
    RETURNING {columns}
), recorded AS ({audit create})
SELECT * FROM done

-- name: turn_is_there
-- A condition: the turn, if one is given, is in this session, and was not redacted.
(:turn_id::uuid IS NULL OR EXISTS (
    SELECT 1 FROM conversation_turns
    WHERE user_id = :user_id AND session_id = :session_id AND id = :turn_id
      AND user_text IS DISTINCT FROM ''))

-- name: speaker_was_erased
-- A condition: a recording of the whole session would hold the voice of somebody who was erased.
(:turn_id::uuid IS NULL AND :purpose::varchar IS NOT NULL AND EXISTS (
    SELECT 1 FROM conversation_turns
    WHERE user_id = :user_id AND session_id = :session_id AND user_text = ''))

-- name: reasons
-- Tells why an artifact was not added.
SELECT {turn_is_there} AS turn_is_there, {speaker_was_erased} AS speaker_was_erased,
       :purpose::varchar IS NULL OR EXISTS (SELECT 1 FROM consents WHERE {consent_in_force}) AS is_consented

-- name: get
-- By its id, and by its owner if the caller knows it; hidden with its session.
SELECT {columns as kept} FROM session_artifacts AS kept WHERE kept.id = :id{mine} AND EXISTS (
    SELECT 1 FROM conversation_sessions AS session
    WHERE session.user_id = kept.user_id AND session.id = kept.session_id
      AND session.deleted_at IS NULL)

-- name: hold
-- Locked, so that of two concurrent deletions one finds nothing.
SELECT {columns as kept} FROM session_artifacts AS kept
WHERE kept.id = :id{mine} AND EXISTS (
    SELECT 1 FROM conversation_sessions AS session
    WHERE session.user_id = kept.user_id AND session.id = kept.session_id
      AND session.deleted_at IS NULL) FOR UPDATE

-- name: page
-- The session alone, if it has none: a missing session is told from an empty one. `{owner}` is a
-- parameter, or a subquery, which fails if two sessions have the id.
SELECT {columns as kept} FROM conversation_sessions AS session LEFT JOIN LATERAL (
    SELECT * FROM session_artifacts AS kept
    WHERE kept.user_id = session.user_id AND kept.session_id = session.id{filters}
      AND (:after::uuid IS NULL OR kept.id > :after)
    ORDER BY kept.id LIMIT :limit
) AS kept ON true
WHERE session.id = :session_id AND session.user_id = {owner} AND session.deleted_at IS NULL
ORDER BY kept.id

-- name: remove
-- Its object is queued by then.
WITH done AS (
    DELETE FROM session_artifacts WHERE user_id = :user_id AND id = :id RETURNING {columns}
), recorded AS ({audit hard_delete})
SELECT id FROM done
