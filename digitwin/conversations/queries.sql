-- name: owner
-- The session's owner, found by its id in the same round trip; where the caller knows the owner,
-- `{owner}` is `:user_id` instead. Each statement checks by itself that the session is not deleted.
-- No LIMIT: of two sessions with this id, in a distributed schema, none may be chosen.
(SELECT user_id FROM conversation_sessions WHERE id = :session_id)

-- name: accepting
-- Whether a session takes turns: it is active, or has ended not longer ago than `late_turns`. An
-- end in the future was stored while the clock was ahead, and counts as far back as it is ahead.
-- None for the session of a participant who was erased: late words would be theirs.
(status = 'active' OR (
    end_reason IS DISTINCT FROM 'participant_erased'
    AND ended_at > statement_timestamp() - make_interval(secs => :late_turns::float8)
    AND ended_at < statement_timestamp() + make_interval(secs => :late_turns::float8)))

-- name: turn_fields
-- What the caller gives of a new turn.
id, user_text, twin_text, heard_text, status, started_at, ended_at, participant_id, language,
end_of_turn_ms, asr_ms, retrieval_ms, llm_first_token_ms, llm_ms, tool_ms, tts_first_audio_ms,
tts_ms, render_ms, first_audio_ms, total_ms, input_tokens, output_tokens, extra, idempotency_key

-- name: turn_values
-- The same as it is stored. A time that is not given is the clock's, or the other time, so that no
-- turn ends before it begins.
id, user_text, twin_text, heard_text, status, coalesce(started_at, least(now(), ended_at)),
coalesce(ended_at, greatest(now(), started_at)), participant_id, language, end_of_turn_ms, asr_ms,
retrieval_ms, llm_first_token_ms, llm_ms, tool_ms, tts_first_audio_ms, tts_ms, render_ms,
first_audio_ms, total_ms, input_tokens, output_tokens, extra, idempotency_key

-- name: turn_parameters
-- The same of one turn, as parameters.
:id::uuid, :user_text, :twin_text, :heard_text, :status,
coalesce(:started_at::timestamptz, least(now(), :ended_at::timestamptz)),
coalesce(:ended_at::timestamptz, greatest(now(), :started_at::timestamptz)),
:participant_id::uuid, :language, :end_of_turn_ms, :asr_ms, :retrieval_ms, :llm_first_token_ms,
:llm_ms, :tool_ms, :tts_first_audio_ms, :tts_ms, :render_ms, :first_audio_ms, :total_ms,
:input_tokens, :output_tokens, :extra::jsonb

-- name: turn_arrays
-- The same of several turns: one array for each column.
:id::uuid[], :user_text::text[], :twin_text::text[], :heard_text::text[], :status::text[],
:started_at::timestamptz[], :ended_at::timestamptz[], :participant_id::uuid[], :language::text[],
:end_of_turn_ms::int[], :asr_ms::int[], :retrieval_ms::int[], :llm_first_token_ms::int[],
:llm_ms::int[], :tool_ms::int[], :tts_first_audio_ms::int[], :tts_ms::int[], :render_ms::int[],
:first_audio_ms::int[], :total_ms::int[], :input_tokens::int[], :output_tokens::int[],
:extra::jsonb[], :idempotency_key::text[]

-- name: session_steps
-- What follows the step `owner`, which holds the owner or nothing. Stores nothing, not even the
-- participant, unless every row that the session refers to exists. A returning participant is
-- found, not duplicated.
checked AS (
    SELECT id FROM owner
    WHERE (:voice_model_id::uuid IS NULL OR EXISTS (
            SELECT 1 FROM voice_models
            WHERE user_id = :user_id AND id = :voice_model_id AND deleted_at IS NULL))
      AND (:face_model_id::uuid IS NULL OR EXISTS (
            SELECT 1 FROM face_models
            WHERE user_id = :user_id AND id = :face_model_id AND deleted_at IS NULL))
), participant AS (
    INSERT INTO participants AS known (user_id, id, kind, ref, name, traits)
    SELECT id, :participant_id, :kind::varchar, :ref, :name, :traits::jsonb
    FROM checked WHERE :kind::varchar IS NOT NULL
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
    SELECT id, :id, :external_id, :voice_model_id, :face_model_id, :metadata::jsonb,
           (SELECT id FROM participant), statement_timestamp()
    FROM checked
    RETURNING {columns}
), recorded AS ({audit start})

-- name: start
-- Locks the owner against a concurrent deletion.
WITH owner AS (
    SELECT id FROM users WHERE id = :user_id AND deleted_at IS NULL FOR SHARE
), {session_steps}
SELECT * FROM done;

-- name: start_or_get
-- As start, unless the owner has a session with this external id, which is returned as it is. A
-- concurrent call meets the unique index instead, and finds the session when it is sent again.
WITH existing AS (
    SELECT {columns} FROM conversation_sessions
    WHERE user_id = :user_id AND external_id = :external_id AND deleted_at IS NULL
), owner AS (
    SELECT id FROM users WHERE id = :user_id AND deleted_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM existing) FOR SHARE
), {session_steps}
SELECT *, true AS started FROM done UNION ALL SELECT *, false FROM existing;

-- name: with_external_id
-- The session that has an external id, for the error of a refused start.
SELECT id FROM conversation_sessions
WHERE user_id = :user_id AND external_id = :external_id AND deleted_at IS NULL;

-- name: sibling_with_external_id
-- The same for a refused update of another session of this owner.
SELECT sibling.id FROM conversation_sessions AS session
JOIN conversation_sessions AS sibling ON sibling.user_id = session.user_id
WHERE session.id = :session_id AND sibling.external_id = :external_id
  AND sibling.deleted_at IS NULL;

-- name: living_namesake
-- The same for a refused restore, of this session or of one deleted with it.
SELECT sibling.id FROM conversation_sessions AS asked
JOIN conversation_sessions AS session
  ON session.user_id = asked.user_id AND session.deletion_id = asked.deletion_id
JOIN conversation_sessions AS sibling
  ON sibling.user_id = session.user_id AND sibling.external_id = session.external_id
 AND sibling.deleted_at IS NULL
WHERE asked.id = :session_id AND (:user_id::uuid IS NULL OR asked.user_id = :user_id)
LIMIT 1;

-- name: hold
-- Locks a session that is about to be removed, deleted or not: what is added to it from now on finds
-- none, so that all its artifacts can be queued. Its owner is locked before.
SELECT deleted_at FROM conversation_sessions WHERE user_id = :user_id AND id = :id FOR UPDATE;

-- name: references_exist
-- Which of the rows that a session refers to exist; asked only after `start` stored nothing.
SELECT EXISTS (SELECT 1 FROM users WHERE id = :user_id AND deleted_at IS NULL) AS user_id,
       :voice_model_id::uuid IS NULL OR EXISTS (
           SELECT 1 FROM voice_models
           WHERE user_id = :user_id AND id = :voice_model_id AND deleted_at IS NULL
       ) AS voice_model_id,
       :face_model_id::uuid IS NULL OR EXISTS (
           SELECT 1 FROM face_models
           WHERE user_id = :user_id AND id = :face_model_id AND deleted_at IS NULL
       ) AS face_model_id;

-- name: end
-- The row lock serializes this with concurrent calls of `end` and `add_turn`. Open turns stay open:
-- their last words may still come. Maintenance closes them when the grace is over.
WITH done AS (
    UPDATE conversation_sessions
    SET status = 'ended', end_reason = :reason, version = version + 1, updated_at = now(),
        ended_at = coalesce(:ended_at::timestamptz, greatest(statement_timestamp(), started_at))
    WHERE id = :session_id AND user_id = {owner} AND status = 'active' AND deleted_at IS NULL
      AND (:ended_at::timestamptz IS NULL OR :ended_at >= started_at)
    RETURNING {columns}
), recorded AS ({audit end})
SELECT * FROM done;

-- name: reopen
-- The opposite of `end`; not of the end that an erasure of the participant made.
WITH done AS (
    UPDATE conversation_sessions
    SET status = 'active', end_reason = NULL, ended_at = NULL, is_indexed = false,
        version = version + 1, updated_at = now()
    WHERE id = :session_id AND user_id = {owner} AND status = 'ended' AND deleted_at IS NULL
      AND end_reason IS DISTINCT FROM 'participant_erased'
    RETURNING {columns}
), recorded AS ({audit reopen})
SELECT * FROM done;

-- name: status
-- Tells why a session accepted no turn, or did not end or open again.
SELECT status, end_reason FROM conversation_sessions
WHERE id = :session_id AND user_id = {owner} AND deleted_at IS NULL;

-- name: add_turn
-- One round trip: the session's counter gives the position, and its row lock the order. Without an
-- idempotency key, whose lookup takes the server a sixth of the statement's time, and without the
-- fields that few turns have.
WITH counted AS (
    UPDATE conversation_sessions
    SET turn_count = turn_count + 1, is_indexed = false, version = version + 1,
        updated_at = now()
    WHERE id = :session_id AND user_id = {owner} AND deleted_at IS NULL AND {accepting}
    RETURNING user_id, id, turn_count
)
INSERT INTO conversation_turns (
    user_id, session_id, position, id, user_text, twin_text, heard_text, status, end_of_turn_ms,
    asr_ms, retrieval_ms, llm_first_token_ms, llm_ms, tool_ms, tts_first_audio_ms, tts_ms,
    render_ms, first_audio_ms, total_ms, input_tokens, output_tokens)
SELECT user_id, id, turn_count, :id, :user_text, :twin_text, :heard_text, :status, :end_of_turn_ms,
       :asr_ms, :retrieval_ms, :llm_first_token_ms, :llm_ms, :tool_ms, :tts_first_audio_ms,
       :tts_ms, :render_ms, :first_audio_ms, :total_ms, :input_tokens, :output_tokens
FROM counted
RETURNING {columns of conversation_turns};

-- name: add_turn_once
-- As add_turn, with all fields. If its idempotency key is already stored, this returns its turn,
-- also after the session's end.
WITH existing AS (
    SELECT {columns of conversation_turns} FROM conversation_turns
    WHERE idempotency_key = :idempotency_key AND session_id = :session_id AND user_id = {owner}
      AND EXISTS (
          SELECT 1 FROM conversation_sessions AS session
          WHERE session.user_id = conversation_turns.user_id AND session.id = :session_id
            AND session.deleted_at IS NULL)
), counted AS (
    UPDATE conversation_sessions
    SET turn_count = turn_count + 1, is_indexed = false, version = version + 1,
        updated_at = now()
    WHERE id = :session_id AND user_id = {owner} AND deleted_at IS NULL AND {accepting}
      AND NOT EXISTS (SELECT 1 FROM existing)
    RETURNING user_id, id, turn_count
), stored AS (
    INSERT INTO conversation_turns (user_id, session_id, position, {turn_fields})
    SELECT user_id, id, turn_count, {turn_parameters}, :idempotency_key
    FROM counted
    RETURNING {columns of conversation_turns}
)
SELECT * FROM stored UNION ALL SELECT * FROM existing;

-- name: add_turns
-- Reserves a block of positions at once: the batch stays contiguous and leaves no gap.
WITH counted AS (
    UPDATE conversation_sessions
    SET turn_count = turn_count + cardinality(:id::uuid[]), is_indexed = false,
        version = version + 1, updated_at = now()
    WHERE id = :session_id AND user_id = {owner} AND deleted_at IS NULL AND {accepting}
    RETURNING user_id, id AS session_id, turn_count - cardinality(:id::uuid[]) AS before
)
INSERT INTO conversation_turns (user_id, session_id, position, {turn_fields})
SELECT user_id, session_id, before + n, {turn_values}
FROM counted, unnest({turn_arrays}) WITH ORDINALITY AS new ({turn_fields}, n)
RETURNING {columns of conversation_turns};

-- name: add_turns_once
-- The turns of several calls, in the order given: each as add_turn_once would store or find it.
-- Keys are different from each other. Fails as a whole if another statement stores one meanwhile.
-- LIMIT has each key looked up in its index: a join would read all turns of a long session.
WITH new AS (
    SELECT * FROM unnest({turn_arrays}) WITH ORDINALITY AS new ({turn_fields}, n)
), existing AS (
    SELECT turn.* FROM new CROSS JOIN LATERAL (
        SELECT {columns of conversation_turns} FROM conversation_turns
        WHERE idempotency_key = new.idempotency_key AND session_id = :session_id
          AND user_id = {owner} LIMIT 1
    ) AS turn
    WHERE new.idempotency_key IS NOT NULL AND EXISTS (
        SELECT 1 FROM conversation_sessions
        WHERE id = :session_id AND user_id = {owner} AND deleted_at IS NULL)
), missing AS (
    SELECT {turn_fields}, row_number() OVER (ORDER BY n) AS n FROM new
    WHERE NOT EXISTS (
        SELECT 1 FROM existing WHERE existing.idempotency_key = new.idempotency_key)
), counted AS (
    UPDATE conversation_sessions
    SET turn_count = turn_count + size, is_indexed = false, version = version + size,
        updated_at = now()
    FROM (SELECT count(*)::int AS size FROM missing) AS block
    WHERE id = :session_id AND user_id = {owner} AND deleted_at IS NULL AND {accepting}
      AND size > 0
    RETURNING user_id, id AS session_id, turn_count - size AS before
), stored AS (
    INSERT INTO conversation_turns (user_id, session_id, position, {turn_fields})
    SELECT user_id, session_id, before + n, {turn_values} FROM counted, missing ORDER BY n
    RETURNING {columns of conversation_turns}
)
SELECT * FROM stored UNION ALL SELECT * FROM existing;

-- name: amend_turn
-- NULL keeps the stored value. A heard text needs a twin's text, stored or new; an interruption
-- that is taken back leaves none. A turn that is given a status is no longer open. An empty
-- `user_text`, which no caller can give, marks a turn whose participant was erased: it stays
-- empty. The condition is on the row itself, so that it is checked again after waiting for the
-- erasure's lock. What the search's index has of the turn, and of those after it, counts no longer:
-- they are read as they are until they are indexed again. The session's lock keeps the index from
-- being made meanwhile, and is taken before the turn's, as everywhere.
WITH held AS MATERIALIZED (
    SELECT user_id, id, indexed_to FROM conversation_sessions
    WHERE id = :session_id AND user_id = {owner} AND deleted_at IS NULL FOR KEY SHARE
), unindexed AS (
    UPDATE conversation_sessions AS session
    SET is_indexed = false, indexed_to = least(session.indexed_to, turn.position - 1)
    FROM held JOIN conversation_turns AS turn
      ON turn.user_id = held.user_id AND turn.session_id = held.id AND turn.id = :turn_id
    WHERE session.user_id = held.user_id AND session.id = held.id
      AND held.indexed_to >= turn.position
    RETURNING 1
)
UPDATE conversation_turns AS turn
SET user_text = coalesce(:user_text, user_text), twin_text = coalesce(:twin_text, twin_text),
    heard_text = coalesce(:heard_text, CASE WHEN :status::text IS DISTINCT FROM 'completed'
                                            THEN heard_text END),
    status = coalesce(:status, status),
    started_at = coalesce(:started_at::timestamptz, started_at),
    ended_at = CASE
        WHEN coalesce(:status, status) = 'open' THEN NULL
        WHEN :ended_at::timestamptz IS NOT NULL OR status = 'open'
        THEN greatest(coalesce(:ended_at, statement_timestamp()), coalesce(:started_at, started_at))
        ELSE ended_at END,
    participant_id = coalesce(:participant_id::uuid, participant_id),
    language = coalesce(:language, language),
    end_of_turn_ms = coalesce(:end_of_turn_ms, end_of_turn_ms),
    asr_ms = coalesce(:asr_ms, asr_ms), retrieval_ms = coalesce(:retrieval_ms, retrieval_ms),
    llm_first_token_ms = coalesce(:llm_first_token_ms, llm_first_token_ms),
    llm_ms = coalesce(:llm_ms, llm_ms), tool_ms = coalesce(:tool_ms, tool_ms),
    tts_first_audio_ms = coalesce(:tts_first_audio_ms, tts_first_audio_ms),
    tts_ms = coalesce(:tts_ms, tts_ms),
    render_ms = coalesce(:render_ms, render_ms), total_ms = coalesce(:total_ms, total_ms),
    first_audio_ms = coalesce(:first_audio_ms, first_audio_ms),
    input_tokens = coalesce(:input_tokens, input_tokens),
    output_tokens = coalesce(:output_tokens, output_tokens),
    extra = CASE WHEN :extra::jsonb IS NULL OR octet_length(extra::text) > {max_extra}
                 THEN extra ELSE coalesce(extra, '{}') || :extra END,
    version = version + 1, updated_at = now()
FROM held
WHERE turn.id = :turn_id AND turn.session_id = held.id AND turn.user_id = held.user_id
  AND (SELECT count(*) FROM unindexed) >= 0
  AND user_text IS DISTINCT FROM ''
  AND (:expected_version::int IS NULL OR version = :expected_version)
  AND (:heard_text::text IS NULL OR :twin_text::text IS NOT NULL OR twin_text IS NOT NULL)
RETURNING {columns of conversation_turns as turn};

-- name: turn_version
-- Tells why a turn was not amended.
SELECT turn.version FROM conversation_turns AS turn
JOIN conversation_sessions AS session
  ON session.user_id = turn.user_id AND session.id = turn.session_id
WHERE turn.id = :turn_id AND turn.session_id = :session_id AND turn.user_id = {owner}
  AND session.deleted_at IS NULL AND turn.user_text IS DISTINCT FROM '';

-- name: with_turns
-- The session first, then its newest turns before a position, newest first: one statement, one
-- snapshot. Each kind of row is NULL in the columns of the other, which took 219 µs for 50 turns;
-- a join that repeats the session in each row took 301 µs. The compact form of the turns takes a
-- fifth from it.
WITH s AS (
    SELECT {columns} FROM conversation_sessions
    WHERE id = :session_id AND user_id = {owner} AND deleted_at IS NULL
)
SELECT {columns}, {compact nulls of conversation_turns} FROM s
UNION ALL
SELECT {nulls}, t.* FROM s CROSS JOIN LATERAL (
    SELECT {compact of conversation_turns} FROM conversation_turns
    WHERE user_id = s.user_id AND session_id = s.id AND position < :before
    ORDER BY position DESC LIMIT :limit
) AS t;

-- name: statistics
-- Aggregated by the server in one snapshot; a stage counts the turns that have it.
WITH chosen AS (
    SELECT user_id, id, started_at, ended_at FROM conversation_sessions
    WHERE deleted_at IS NULL
      AND (:user_id::uuid IS NULL OR user_id = :user_id)
      AND (:since::timestamptz IS NULL OR started_at >= :since)
      AND (:until::timestamptz IS NULL OR started_at < :until)
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
), used AS (
    SELECT {usage} FROM chosen JOIN usage_records AS record
      ON record.user_id = chosen.user_id AND record.session_id = chosen.id
)
SELECT * FROM session, turn, used;
