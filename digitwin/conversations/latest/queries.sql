-- name: turns_items
-- The newest items of a turn, and where they are.
SELECT turn.position AS place, item.* FROM {turns}
CROSS JOIN LATERAL (
    SELECT {columns of turn_items} FROM turn_items
    WHERE user_id = turn.user_id AND turn_id = turn.id
      AND (:prefix = '' OR starts_with(item_id, :prefix))
    ORDER BY number DESC LIMIT {limit}
) AS item

-- name: newest
-- Turn by turn in place of by number, so that two who write at once do not mix; turns of the
-- caller's own come last. Turns are read from the newest, as far as there are items to find.
SELECT * FROM (
    SELECT true AS is_own, own.* FROM ({of_own}) AS own
    UNION ALL
    SELECT false, others.* FROM ({of_others}) AS others
) AS found ORDER BY is_own DESC, place DESC, number DESC LIMIT {limit}

-- name: of_own
-- Of the caller's own turns, found by their ids.
{turns_items}

-- name: of_others
-- Of all other turns.
{turns_items} ORDER BY turn.position DESC, item.number DESC LIMIT {limit}

-- name: of_all
-- Of every turn.
{turns_items} ORDER BY turn.position DESC, item.number DESC LIMIT {limit}

-- name: all_turns
-- Every turn of the session.
(SELECT * FROM conversation_turns AS turn
 WHERE turn.user_id = session.user_id AND turn.session_id = session.id) AS turn

-- name: own_turns
-- The caller's own, found by their ids.
unnest(:turn_ids::uuid[]) AS own (id) JOIN conversation_turns AS turn
  ON turn.id = own.id AND turn.user_id = session.user_id AND turn.session_id = session.id

-- name: other_turns
-- All others.
(SELECT * FROM conversation_turns AS turn
 WHERE turn.user_id = session.user_id AND turn.session_id = session.id
   AND NOT turn.id = ANY(:turn_ids::uuid[])) AS turn

-- name: latest_items
-- One row of nulls if the session has no such items, and none if there is no session.
WITH session AS (
    SELECT user_id, id FROM conversation_sessions
    WHERE id = :session_id AND user_id = {owner} AND deleted_at IS NULL
)
SELECT {columns of turn_items as item} FROM session LEFT JOIN LATERAL ({newest}) AS item ON true;

-- name: hold_session
-- Keeps other writers of a session waiting, for a statement that they have outrun before.
SELECT id FROM conversation_sessions
WHERE id = :session_id AND user_id = {owner} AND deleted_at IS NULL FOR NO KEY UPDATE;

-- name: said
-- What a message says, in the formats that histories are imported from and written to: as
-- `text_of` of transcripts/messages.py. Nothing is null.
nullif(CASE jsonb_typeof(message -> 'content')
    WHEN 'string' THEN message ->> 'content'
    WHEN 'array' THEN (
        SELECT string_agg(words, E'\n' ORDER BY n) FILTER (WHERE words <> '')
        FROM jsonb_array_elements(message -> 'content') WITH ORDINALITY AS part (part, n)
        CROSS JOIN LATERAL (
            SELECT CASE WHEN jsonb_typeof(part) = 'string' THEN part #>> '{}'
                        WHEN part ->> 'type' IN ('reasoning', 'thinking') THEN NULL
                        WHEN jsonb_typeof(part -> 'text') = 'string' THEN part ->> 'text'
                        WHEN jsonb_typeof(part -> 'refusal') = 'string' THEN part ->> 'refusal'
                   END AS words) AS of_part)
END, '')

-- name: message
-- The message of a payload.
CASE WHEN jsonb_typeof(payload -> 'openai') = 'object' THEN payload -> 'openai' ELSE payload END

-- name: repeated
-- Another message of the turn that says the same.
SELECT 1 FROM (
    SELECT {message} AS message FROM turn_items AS other
    WHERE other.user_id = turn.user_id AND other.turn_id = turn.id
      AND other.id <> (SELECT latest.id FROM latest)
) AS of_other
WHERE message ->> 'role' = gone.role AND left({said}, {max_text}) = left(gone.said, {max_text})

-- name: cut
-- A text without the words that it ends with, if it does. A text that is all of them stays if
-- another message of its turn says the same: what did not fit is in the items alone.
CASE WHEN turn.{text} = left(gone.said, {max_text})
     THEN CASE WHEN EXISTS ({repeated}) THEN turn.{text} END
     WHEN right(turn.{text}, length(gone.said) + 1) = E'\n' || gone.said
     THEN nullif(left(turn.{text}, -length(gone.said) - 1), '')
     ELSE turn.{text} END

-- name: pop_item
-- One statement. `known` is the session as the statement's snapshot has it, `session` as it is once
-- its lock is granted: if another writer came first, the rest of the snapshot is outdated as well,
-- nothing is done, and `again` says so. The session is locked before the turn, as everywhere.
-- What a message said is taken back from its turn, and from the index. A turn without anything
-- else goes if it is the last, since positions have no gaps; else it stays, abandoned. The setting
-- lets the statement pass the guard against hard deletes, and is as before once it is through: the
-- caller's transaction may go on.
WITH known AS MATERIALIZED (
    SELECT version, indexed_to FROM conversation_sessions
    WHERE id = :session_id AND user_id = {owner} AND deleted_at IS NULL
), session AS MATERIALIZED (
    SELECT user_id, id, version, turn_count, indexed_to FROM conversation_sessions
    WHERE id = :session_id AND user_id = {owner} AND deleted_at IS NULL FOR NO KEY UPDATE
), latest AS MATERIALIZED (
    SELECT item.* FROM session JOIN known USING (version, indexed_to)
    CROSS JOIN LATERAL ({newest}) AS item
), permission AS MATERIALIZED (
    SELECT coalesce(current_setting('digitwin.allow_hard_delete', true), '') AS before FROM latest
), allowed AS MATERIALIZED (
    SELECT set_config('digitwin.allow_hard_delete', 'on', true) AS yes
    FROM permission WHERE before IS NOT NULL
), turn AS MATERIALIZED (
    SELECT turn.* FROM latest JOIN conversation_turns AS turn
      ON turn.user_id = latest.user_id AND turn.session_id = latest.session_id
     AND turn.position = latest.place
    FOR UPDATE OF turn
), item AS (
    DELETE FROM turn_items AS item USING latest, turn, allowed
    WHERE item.user_id = latest.user_id AND item.session_id = latest.session_id
      AND item.number = latest.number AND yes = 'on'
    RETURNING {columns of turn_items as item}
), gone AS MATERIALIZED (
    SELECT said.*, coalesce(message ->> 'role', '') AS role
    FROM (
        SELECT message, {said} AS said FROM (SELECT {message} AS message FROM item) AS of_item
    ) AS said
), left_over AS MATERIALIZED (
    SELECT turn.*, CASE WHEN gone.role = 'user' THEN {cut_user} ELSE turn.user_text END AS user_left,
           CASE WHEN gone.role = 'assistant' THEN {cut_twin} ELSE turn.twin_text END AS twin_left,
           NOT EXISTS (SELECT 1 FROM turn_items AS other, latest
                       WHERE other.user_id = turn.user_id AND other.turn_id = turn.id
                         AND other.id <> latest.id) AS is_last_item,
           turn.position = session.turn_count
           AND NOT EXISTS (SELECT 1 FROM usage_records AS used WHERE used.user_id = turn.user_id
                           AND used.session_id = turn.session_id AND used.turn_id = turn.id)
           AND NOT EXISTS (SELECT 1 FROM turn_sources AS source WHERE source.user_id = turn.user_id
                           AND source.turn_id = turn.id)
           AND NOT EXISTS (SELECT 1 FROM session_artifacts AS artifact
                           WHERE artifact.user_id = turn.user_id
                             AND artifact.session_id = turn.session_id
                             AND artifact.turn_id = turn.id) AS may_go
    FROM turn, gone, session
), changed AS MATERIALIZED (
    SELECT *, user_left IS NULL AND twin_left IS NULL AND is_last_item AS is_empty,
           user_left IS DISTINCT FROM user_text OR twin_left IS DISTINCT FROM twin_text AS retold
    FROM left_over
), removed AS (
    DELETE FROM conversation_turns AS turn USING changed, allowed
    WHERE turn.user_id = changed.user_id AND turn.session_id = changed.session_id
      AND turn.position = changed.position AND is_empty AND may_go AND yes = 'on'
    RETURNING 1
), kept AS (
    UPDATE conversation_turns AS turn
    SET user_text = user_left, twin_text = twin_left,
        heard_text = CASE WHEN twin_left IS NOT NULL THEN turn.heard_text END,
        status = CASE WHEN is_empty THEN 'abandoned'
                      WHEN turn.status = 'completed' AND turn.twin_text IS NOT NULL
                       AND twin_left IS NULL THEN 'open'
                      ELSE turn.status END,
        ended_at = CASE WHEN is_empty
                        THEN coalesce(turn.ended_at, greatest(statement_timestamp(), turn.started_at))
                        WHEN turn.status = 'completed' AND turn.twin_text IS NOT NULL
                         AND twin_left IS NULL THEN NULL
                        ELSE turn.ended_at END,
        version = turn.version + 1, updated_at = now()
    FROM changed
    WHERE turn.user_id = changed.user_id AND turn.session_id = changed.session_id
      AND turn.position = changed.position AND (retold OR is_empty) AND NOT (is_empty AND may_go)
    RETURNING 1
), unindexed AS (
    DELETE FROM conversation_words AS word USING changed, allowed
    WHERE word.user_id = changed.user_id AND word.session_id = changed.session_id
      AND word.last_position >= changed.position AND (retold OR (is_empty AND may_go))
      AND yes = 'on'
    RETURNING word.first_position
), counted AS (
    UPDATE conversation_sessions AS known
    SET turn_count = known.turn_count - (SELECT count(*)::int FROM removed),
        indexed_to = CASE WHEN retold OR (is_empty AND may_go) THEN least(
            known.indexed_to, changed.position - 1,
            (SELECT min(first_position) - 1 FROM unindexed)) ELSE known.indexed_to END,
        is_indexed = known.is_indexed AND NOT retold AND NOT (is_empty AND may_go),
        version = known.version + 1, updated_at = now()
    FROM changed WHERE known.user_id = changed.user_id AND known.id = changed.session_id
    RETURNING 1
)
SELECT {columns of turn_items as item}, item.id IS NULL AND (
           EXISTS (SELECT 1 FROM latest)
           OR NOT EXISTS (SELECT 1 FROM session JOIN known USING (version, indexed_to))) AS again,
       (SELECT set_config('digitwin.allow_hard_delete', before, true) FROM permission,
               (SELECT count(*) FROM item) AS items, (SELECT count(*) FROM removed) AS turns,
               (SELECT count(*) FROM unindexed) AS words) AS permission
FROM session LEFT JOIN item ON true;
