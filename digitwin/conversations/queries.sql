-- {session} and {turn} stand for the columns of a table, {owner} for the person whose session
-- it is: the first argument where it is known, else looked up by the session's id. {started} and
-- {ended} add the record of what `done` has changed to the audit trail; their parameters come last.

-- name: start
-- The owner is locked against a deletion; nothing is stored, not even the participant, unless
-- every row the session names is there. A participant who comes again is found, never doubled.
WITH owner AS (
    SELECT id FROM users WHERE id = $1 AND deleted_at IS NULL FOR SHARE
), checked AS (
    SELECT id FROM owner
    WHERE ($4::uuid IS NULL OR EXISTS (
            SELECT 1 FROM voice_models WHERE user_id = $1 AND id = $4 AND deleted_at IS NULL))
      AND ($5::uuid IS NULL OR EXISTS (
            SELECT 1 FROM face_models WHERE user_id = $1 AND id = $5 AND deleted_at IS NULL))
), participant AS (
    INSERT INTO participants AS known (user_id, id, kind, ref, name, traits)
    SELECT id, $7, $8::varchar, $9, $10, $11::jsonb FROM checked WHERE $8::varchar IS NOT NULL
    ON CONFLICT (user_id, kind, ref) WHERE ref IS NOT NULL DO UPDATE
    SET name = coalesce(excluded.name, known.name),
        traits = CASE WHEN excluded.traits = '[]' THEN known.traits ELSE excluded.traits END,
        updated_at = excluded.updated_at
    RETURNING id
), done AS (
    INSERT INTO conversation_sessions (
        user_id, id, external_id, voice_model_id, face_model_id, metadata, participant_id,
        started_at
    )
    SELECT id, $2, $3, $4, $5, $6::jsonb, (SELECT id FROM participant), statement_timestamp()
    FROM checked
    RETURNING {session}
), recorded AS ({started})
SELECT * FROM done

-- name: present
-- Which of the rows a session names are there; asked only after `start` stored nothing.
SELECT EXISTS (SELECT 1 FROM users WHERE id = $1 AND deleted_at IS NULL) AS user_id,
       $2::uuid IS NULL OR EXISTS (
           SELECT 1 FROM voice_models WHERE user_id = $1 AND id = $2 AND deleted_at IS NULL
       ) AS voice_model_id,
       $3::uuid IS NULL OR EXISTS (
           SELECT 1 FROM face_models WHERE user_id = $1 AND id = $3 AND deleted_at IS NULL
       ) AS face_model_id

-- name: end
-- The row's lock decides between this, another end and a turn on its way.
WITH done AS (
    UPDATE conversation_sessions
    SET status = 'ended', end_reason = $3, version = version + 1, updated_at = now(),
        ended_at = greatest(statement_timestamp(), started_at)
    WHERE id = $2 AND user_id = {owner} AND status = 'active' AND deleted_at IS NULL
    RETURNING {session}
), recorded AS ({ended})
SELECT * FROM done

-- name: status
-- Why a session took no turn or no end.
SELECT status FROM conversation_sessions
WHERE id = $2 AND user_id = {owner} AND deleted_at IS NULL

-- name: add_turn
-- One round trip: the session's counter gives the position and, as a row lock, the order. A key
-- that is stored already gives back its turn, also after the session's end.
WITH first AS (
    SELECT {turn} FROM conversation_turns
    WHERE $18::varchar IS NOT NULL AND idempotency_key = $18 AND session_id = $2
      AND user_id = {owner} AND EXISTS (
          SELECT 1 FROM conversation_sessions AS session
          WHERE session.user_id = conversation_turns.user_id AND session.id = $2
            AND session.deleted_at IS NULL)
), place AS (
    UPDATE conversation_sessions
    SET turn_count = turn_count + 1, version = version + 1, updated_at = now()
    WHERE id = $2 AND user_id = {owner} AND status = 'active' AND deleted_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM first)
    RETURNING user_id, id, turn_count
), stored AS (
    INSERT INTO conversation_turns (
        user_id, session_id, position, id, user_text, twin_text, heard_text, status,
        asr_ms, retrieval_ms, llm_first_token_ms, llm_ms, tts_ms, render_ms, first_audio_ms,
        total_ms, input_tokens, output_tokens, idempotency_key
    )
    SELECT user_id, id, turn_count, $3, $4, $5, $6, $7,
           $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18
    FROM place
    RETURNING {turn}
)
SELECT {turn} FROM stored UNION ALL SELECT {turn} FROM first

-- name: add_turns
-- A block of positions is taken at once, so that a batch stays together and leaves no gap.
WITH place AS (
    UPDATE conversation_sessions
    SET turn_count = turn_count + cardinality($3::uuid[]), version = version + 1,
        updated_at = now()
    WHERE id = $2 AND user_id = {owner} AND status = 'active' AND deleted_at IS NULL
    RETURNING user_id, id, turn_count - cardinality($3::uuid[]) AS before
)
INSERT INTO conversation_turns (
    user_id, session_id, position, id, user_text, twin_text, heard_text, status,
    asr_ms, retrieval_ms, llm_first_token_ms, llm_ms, tts_ms, render_ms, first_audio_ms,
    total_ms, input_tokens, output_tokens, idempotency_key
)
SELECT place.user_id, place.id, place.before + new.place, new.id,
       user_text, twin_text, heard_text, status,
       asr_ms, retrieval_ms, llm_first_token_ms, llm_ms, tts_ms, render_ms, first_audio_ms,
       total_ms, input_tokens, output_tokens, idempotency_key
FROM place, unnest(
    $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::int[], $9::int[],
    $10::int[], $11::int[], $12::int[], $13::int[], $14::int[], $15::int[], $16::int[],
    $17::int[], $18::text[]
) WITH ORDINALITY AS new (
    id, user_text, twin_text, heard_text, status, asr_ms, retrieval_ms, llm_first_token_ms,
    llm_ms, tts_ms, render_ms, first_audio_ms, total_ms, input_tokens, output_tokens,
    idempotency_key, place
)
RETURNING {turn}

-- name: amend_turn
-- What is not given stays; a heard text needs a twin's text, the stored one or the new one. An empty
-- `user_text`, which no caller can give, was emptied with its participant and stays so: the row
-- itself says it, which is looked at again when this has waited for the emptying.
UPDATE conversation_turns AS turn
SET user_text = coalesce($4, user_text), twin_text = coalesce($5, twin_text),
    heard_text = coalesce($6, heard_text), status = coalesce($7, status),
    asr_ms = coalesce($8, asr_ms), retrieval_ms = coalesce($9, retrieval_ms),
    llm_first_token_ms = coalesce($10, llm_first_token_ms), llm_ms = coalesce($11, llm_ms),
    tts_ms = coalesce($12, tts_ms), render_ms = coalesce($13, render_ms),
    first_audio_ms = coalesce($14, first_audio_ms), total_ms = coalesce($15, total_ms),
    input_tokens = coalesce($16, input_tokens), output_tokens = coalesce($17, output_tokens),
    version = version + 1, updated_at = now()
WHERE id = $3 AND session_id = $2 AND user_id = {owner} AND user_text IS DISTINCT FROM ''
  AND ($18::int IS NULL OR version = $18)
  AND ($6::text IS NULL OR $5::text IS NOT NULL OR twin_text IS NOT NULL)
  AND EXISTS (
      SELECT 1 FROM conversation_sessions AS session
      WHERE session.user_id = turn.user_id AND session.id = turn.session_id
        AND session.deleted_at IS NULL)
RETURNING {turn}

-- name: turn_version
-- Why a turn was not amended.
SELECT turn.version FROM conversation_turns AS turn
JOIN conversation_sessions AS session
  ON session.user_id = turn.user_id AND session.id = turn.session_id
WHERE turn.id = $3 AND turn.session_id = $2 AND turn.user_id = {owner}
  AND session.deleted_at IS NULL AND turn.user_text IS DISTINCT FROM ''

-- name: with_turns
-- The session first, then its newest turns before a position, newest first: one statement and
-- one moment. Either kind of row is null where the other one's columns are, which takes 219 µs
-- for 50 turns where a join that repeats the session in each took 301.
WITH s AS (
    SELECT {session} FROM conversation_sessions
    WHERE id = $2 AND user_id = {owner} AND deleted_at IS NULL
)
SELECT {session}, {no_turn} FROM s
UNION ALL
SELECT {no_session}, t.* FROM s CROSS JOIN LATERAL (
    SELECT {turn} FROM conversation_turns
    WHERE user_id = s.user_id AND session_id = s.id AND position < $3
    ORDER BY position DESC LIMIT $4
) AS t

-- name: statistics
-- Counted and measured where the rows are; a stage counts the turns that have it.
WITH chosen AS (
    SELECT user_id, id, started_at, ended_at FROM conversation_sessions
    WHERE deleted_at IS NULL
      AND ($1::uuid IS NULL OR user_id = $1)
      AND ($2::timestamptz IS NULL OR started_at >= $2)
      AND ($3::timestamptz IS NULL OR started_at < $3)
), session AS (
    SELECT count(*) AS sessions,
           coalesce(sum(greatest(
               extract(epoch FROM coalesce(ended_at, statement_timestamp()) - started_at), 0
           )), 0)::float8 AS duration_seconds
    FROM chosen
), turn AS (
    SELECT count(*) AS turns,
           count(*) FILTER (WHERE status = 'interrupted') AS interruptions,
           coalesce(sum(input_tokens), 0)::bigint AS input_tokens,
           coalesce(sum(output_tokens), 0)::bigint AS output_tokens,
           {stages}
    FROM chosen JOIN conversation_turns
      ON conversation_turns.user_id = chosen.user_id
     AND conversation_turns.session_id = chosen.id
)
SELECT * FROM session, turn
