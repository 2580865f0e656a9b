-- name: export
-- The lines of a conversation. One statement is one snapshot, also in a transaction, and a cursor
-- reads each part from the index that has its order: nothing is held or sorted but the speakers.
WITH s AS (
    SELECT * FROM conversation_sessions
    WHERE id = :session_id AND user_id = {owner} AND deleted_at IS NULL
)
SELECT 'session' AS part, {session} AS line FROM s
UNION ALL
SELECT 'participant', {participant} FROM (
    SELECT p.* FROM s CROSS JOIN LATERAL (
        SELECT participant_id, min(position) AS first FROM (
            SELECT s.participant_id, 0 AS position
            UNION ALL
            SELECT turn.participant_id, turn.position FROM conversation_turns AS turn
            WHERE turn.user_id = s.user_id AND turn.session_id = s.id
              AND turn.participant_id IS NOT NULL
        ) AS spoken GROUP BY participant_id
    ) AS speaker
    JOIN participants AS p ON p.user_id = s.user_id AND p.id = speaker.participant_id
    ORDER BY speaker.first
) AS participant
UNION ALL
SELECT 'turn', {turn} FROM s CROSS JOIN LATERAL (
    SELECT * FROM conversation_turns WHERE user_id = s.user_id AND session_id = s.id
    ORDER BY position
) AS turn
UNION ALL
SELECT 'item', {item} FROM s CROSS JOIN LATERAL (
    SELECT * FROM turn_items WHERE user_id = s.user_id AND session_id = s.id ORDER BY number
) AS item
UNION ALL
SELECT 'usage', {usage} FROM s CROSS JOIN LATERAL (
    SELECT * FROM usage_records WHERE user_id = s.user_id AND session_id = s.id ORDER BY id
) AS usage
UNION ALL
SELECT 'source', {source} FROM s CROSS JOIN LATERAL (
    SELECT * FROM turn_sources WHERE user_id = s.user_id AND session_id = s.id
    ORDER BY turn_id, id
) AS source
UNION ALL
SELECT 'artifact', {artifact} FROM s CROSS JOIN LATERAL (
    SELECT * FROM session_artifacts WHERE user_id = s.user_id AND session_id = s.id ORDER BY id
) AS artifact;

-- name: history
-- What a model is given of a conversation: its newest turns and their items, and the items of no
-- turn; one snapshot.
WITH s AS (
    SELECT * FROM conversation_sessions
    WHERE id = :session_id AND user_id = {owner} AND deleted_at IS NULL
), newest AS (
    SELECT turn.* FROM s CROSS JOIN LATERAL (
        SELECT * FROM conversation_turns WHERE user_id = s.user_id AND session_id = s.id
        ORDER BY position DESC LIMIT :limit
    ) AS turn
)
SELECT 'session' AS part, NULL AS line FROM s
UNION ALL
SELECT 'turn', {turn} FROM (SELECT * FROM newest ORDER BY position) AS turn
UNION ALL
SELECT 'item', {item} FROM (
    SELECT item.* FROM s JOIN turn_items AS item
      ON item.user_id = s.user_id AND item.session_id = s.id
    WHERE item.turn_id IS NULL OR item.turn_id IN (SELECT id FROM newest)
    ORDER BY item.number
) AS item;

-- name: known
-- The owner's conversation with one of these ids, or with this external id, deleted or not.
SELECT id, external_id, deleted_at IS NOT NULL AS is_deleted FROM conversation_sessions
WHERE user_id = :user_id AND (id = ANY(:ids::uuid[]) OR external_id = :external_id)
ORDER BY id = ANY(:ids::uuid[]) DESC LIMIT 1;

-- name: open
-- Nothing, without an error, if the id or the external id is taken, by whomever. A reference is
-- kept if the owner has the model. Active, without a participant and turns: `finish` sets them.
WITH done AS (
    INSERT INTO conversation_sessions (
        user_id, id, external_id, voice_model_id, face_model_id, metadata, started_at, created_at
    )
    SELECT owner.id, :id::uuid, :external_id::text,
           (SELECT id FROM voice_models WHERE user_id = :user_id AND id = :voice_model_id::uuid),
           (SELECT id FROM face_models WHERE user_id = :user_id AND id = :face_model_id::uuid),
           :metadata::jsonb, coalesce(:started_at::text::timestamptz, statement_timestamp()),
           least(:created_at::text::timestamptz, statement_timestamp())
    FROM users AS owner WHERE owner.id = :user_id AND owner.deleted_at IS NULL
    ON CONFLICT DO NOTHING
    RETURNING user_id, id
), recorded AS ({audit import})
SELECT id FROM done;

-- name: is_alive
-- Tells why a conversation was not opened.
SELECT EXISTS (SELECT FROM users WHERE id = :user_id AND deleted_at IS NULL);

-- name: speakers
-- A participant whom the owner knows by kind and ref is that one, and stays as it is.
INSERT INTO participants (user_id, id, kind, ref, name, traits, created_at, updated_at)
SELECT :user_id, id, kind, ref, name, traits,
       least(created_at, statement_timestamp()),
       least(coalesce(updated_at, created_at), statement_timestamp())
FROM json_populate_recordset(NULL::participants, :rows::json)
ORDER BY kind, ref
ON CONFLICT DO NOTHING;

-- name: known_speakers
-- Who each of these participants is: one of this owner.
SELECT new.id AS given, known.id FROM json_populate_recordset(NULL::participants, :rows::json) AS new
JOIN participants AS known ON known.user_id = :user_id AND known.kind = new.kind
 AND CASE WHEN new.ref IS NULL THEN known.id = new.id ELSE known.ref = new.ref END;

-- name: store
-- Rows of one table, as JSON in one parameter, whatever their columns; none whose turn is not in the
-- conversation: nothing else says so, since there is no foreign key to a turn.
WITH stored AS (
    INSERT INTO {table} (user_id, session_id, {names})
    SELECT :user_id, :session_id, {values}
    FROM json_populate_recordset(NULL::{table}, :rows::json) AS new
    WHERE {condition}
    RETURNING id
)
SELECT count(*)::int FROM stored;

-- name: finish
-- Locks the owner as `start` does, but last: an import may take long, and holds up no change of the
-- owner for longer than this. If the owner was deleted meanwhile, nothing is stored.
WITH owner AS (
    SELECT id FROM users WHERE id = :user_id AND deleted_at IS NULL FOR SHARE
), turn AS (
    SELECT min(started_at) AS first, max(ended_at) AS last FROM conversation_turns
    WHERE user_id = :user_id AND session_id = :session_id AND NOT :is_timed::boolean
)
UPDATE conversation_sessions AS session
SET participant_id = :participant_id::uuid, turn_count = :turns,
    item_count = :items, status = :status::text,
    end_reason = :end_reason,
    started_at = coalesce(:started_at::text::timestamptz, turn.first, session.started_at),
    ended_at = CASE WHEN :status::text = 'ended' THEN coalesce(:ended_at::text::timestamptz,
        greatest(turn.last, turn.first, :started_at::text::timestamptz),
        statement_timestamp()) END
FROM owner, turn
WHERE session.user_id = owner.id AND session.id = :session_id
RETURNING session.id;
