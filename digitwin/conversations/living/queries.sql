-- name: turn_fields
-- The columns of a turn that a caller gives; `turn_id` is the id, `n` the order.
turn_id uuid, n int, strict boolean, corrects boolean, user_text text, twin_text text, heard_text text, status text,
started_at timestamptz, ended_at timestamptz, participant_id uuid, language text,
end_of_turn_ms int, asr_ms int, retrieval_ms int, llm_first_token_ms int, llm_ms int, tool_ms int,
tts_first_audio_ms int, tts_ms int, render_ms int, first_audio_ms int, total_ms int,
input_tokens int, output_tokens int, extra jsonb, idempotency_key text

-- name: write
-- Whatever is written about one session, in one statement; steps that carry nothing are left out.
-- The turns as they are now; the last row stands for the session and is NULL.
WITH {steps}
{turns} SELECT {nothing} FROM session

-- name: session_read
-- The session of a write that needs no counter. A lock only where a foreign key takes it anyway:
-- before the writer's row, as an erasure does, so that the two cannot deadlock.
session AS MATERIALIZED (
    SELECT user_id, id, 0 AS turns_before, 0 AS items_before, indexed_to
    FROM conversation_sessions
    WHERE id = :session_id AND user_id = {owner} AND deleted_at IS NULL AND {accepting} {lock}
)

-- name: session_counted
-- The counters give turns and items their places; the row's lock gives writers their order.
session AS (
    UPDATE conversation_sessions
    SET turn_count = turn_count + block.opening, item_count = item_count + :item_count::int,
        is_indexed = false, {unindexed_to}version = version + 1, updated_at = now()
    FROM (SELECT count(*)::int AS opening FROM missing) AS block
    WHERE id = :session_id AND user_id = {owner} AND deleted_at IS NULL AND {accepting}
      AND (block.opening > 0 OR :more::boolean) {unless_stored}
    RETURNING user_id, id, turn_count - block.opening AS turns_before,
              item_count - :item_count::int AS items_before
)

-- name: fence
-- Of a recorder's writes each is stored once. The session is locked before, so that the counters
-- move only if the writer's number does.
held AS MATERIALIZED (
    SELECT user_id, id, indexed_to FROM conversation_sessions
    WHERE id = :session_id AND user_id = {owner} AND deleted_at IS NULL AND {accepting} {lock}
), fence AS (
    INSERT INTO session_writers AS known (user_id, session_id, writer, sequence)
    SELECT user_id, id, :writer::uuid, :sequence::int FROM held
    ON CONFLICT (user_id, session_id, writer) DO UPDATE
    SET sequence = excluded.sequence, updated_at = excluded.updated_at
    WHERE known.sequence < excluded.sequence
    RETURNING user_id, session_id AS id
)

-- name: session_fenced
-- The session of a recorder's write that needs no counter.
session AS (
    SELECT user_id, id, 0 AS turns_before, 0 AS items_before, indexed_to
    FROM fence JOIN held USING (user_id, id)
)

-- name: opening
-- The turns to open, and those among them that exist already: a repeated call stores nothing.
opening AS MATERIALIZED (
    SELECT * FROM json_to_recordset(:opening::json) AS turn ({turn_fields})
), existing AS MATERIALIZED (
    SELECT opening.n, turn.* FROM opening CROSS JOIN LATERAL (
        (SELECT {columns of conversation_turns} FROM conversation_turns
         WHERE id = opening.turn_id AND session_id = :session_id AND user_id = {owner} LIMIT 1)
        UNION ALL
        (SELECT {columns of conversation_turns} FROM conversation_turns
         WHERE idempotency_key = opening.idempotency_key AND session_id = :session_id
           AND user_id = {owner} LIMIT 1)
        LIMIT 1
    ) AS turn
    WHERE EXISTS (
        SELECT 1 FROM conversation_sessions
        WHERE id = :session_id AND user_id = {owner} AND deleted_at IS NULL)
), missing AS MATERIALIZED (
    SELECT opening.*, row_number() OVER (ORDER BY opening.n) AS place FROM opening
    WHERE NOT EXISTS (SELECT 1 FROM existing WHERE existing.n = opening.n)
)

-- name: opening_new
-- The same where no turn can exist: its id was made for this call.
missing AS MATERIALIZED (
    SELECT *, row_number() OVER (ORDER BY n) AS place
    FROM json_to_recordset(:opening::json) AS turn ({turn_fields})
)

-- name: opening_nothing
-- The same where no turn is opened, and items move their counter.
missing AS (SELECT 1 WHERE false)

-- name: opened
-- Turns that begin, or are stored as a whole. A time that is not given is the clock's, but no turn
-- ends before it began.
opened AS (
    INSERT INTO conversation_turns (
        user_id, session_id, position, id, user_text, twin_text, heard_text, status, started_at,
        ended_at, participant_id, language, end_of_turn_ms, asr_ms, retrieval_ms,
        llm_first_token_ms, llm_ms, tool_ms, tts_first_audio_ms, tts_ms, render_ms,
        first_audio_ms, total_ms, input_tokens, output_tokens, extra, idempotency_key)
    SELECT session.user_id, session.id, turns_before + place, turn_id,
           left(user_text, {max_text}), left(twin_text, {max_text}), left(heard_text, {max_text}),
           coalesce(status, 'open'), coalesce(started_at, least(now(), ended_at)),
           CASE WHEN status <> 'open' THEN greatest(coalesce(ended_at, now()), started_at) END,
           participant_id, language, end_of_turn_ms, asr_ms, retrieval_ms, llm_first_token_ms,
           llm_ms, tool_ms, tts_first_audio_ms, tts_ms, render_ms, first_audio_ms, total_ms,
           input_tokens, output_tokens, extra, idempotency_key
    FROM session, missing ORDER BY place
    RETURNING {columns of conversation_turns}
)

-- name: first_retold
-- The position of the first turn that says something else, or more, than what the search has
-- indexed: from there on, turns are searched as they are until they are indexed again.
SELECT min(turn.position) FROM json_to_recordset(:extending::json) AS given ({turn_fields})
JOIN conversation_turns AS turn ON turn.id = given.turn_id
WHERE turn.user_id = {owner} AND turn.session_id IS NOT DISTINCT FROM :session_id
  AND (given.user_text IS NOT NULL OR given.twin_text IS NOT NULL OR given.heard_text IS NOT NULL
       OR given.language IS NOT NULL)

-- name: unindexed
-- Changes the session only if such a turn is indexed: the lock on it keeps the index from being made
-- meanwhile, and is taken before the turns', as everywhere.
unindexed AS (
    UPDATE conversation_sessions AS known
    SET is_indexed = false, indexed_to = least(known.indexed_to, retold.first - 1)
    FROM session, ({first_retold}) AS retold (first)
    WHERE known.user_id = session.user_id AND known.id = session.id
      AND session.indexed_to >= retold.first
    RETURNING 1
)

-- name: extended
-- Texts are appended, what was heard is replaced, figures are set where given. All values are of
-- the row itself, so that they are right after waiting for another writer. A status that cannot
-- follow is kept, or, if `strict`, refuses the turn; so does a text that has become too long.
-- The session's id is compared in a way that no index supports: the turn is found by its own id,
-- however few turns sessions have on average. LIMIT tells the planner how many turns there are.
-- An empty `user_text` marks a turn whose participant was erased: it stays empty.
extended AS (
    UPDATE conversation_turns AS turn
    SET user_text = CASE WHEN given.user_text IS NULL THEN turn.user_text
                         ELSE left(concat(turn.user_text, given.user_text), {max_text}) END,
        twin_text = CASE WHEN given.twin_text IS NULL THEN turn.twin_text
                         ELSE left(concat(turn.twin_text, given.twin_text), {max_text}) END,
        heard_text = CASE WHEN given.corrects THEN left(given.heard_text, {max_text})
                          ELSE coalesce(left(given.heard_text, {max_text}), turn.heard_text) END,
        status = CASE WHEN given.corrects OR turn.status IN ('open', 'abandoned')
                      THEN coalesce(given.status, turn.status) ELSE turn.status END,
        ended_at = CASE
            WHEN given.corrects AND given.status = 'open' THEN NULL
            WHEN turn.status = 'open' AND given.status IS NULL THEN NULL
            WHEN turn.status = 'open' OR given.ended_at IS NOT NULL
                OR (turn.status = 'abandoned' AND given.status <> 'abandoned')
            THEN greatest(coalesce(given.ended_at, statement_timestamp()), turn.started_at)
            ELSE turn.ended_at END,
        participant_id = coalesce(given.participant_id, turn.participant_id),
        language = coalesce(given.language, turn.language),
        end_of_turn_ms = coalesce(given.end_of_turn_ms, turn.end_of_turn_ms),
        asr_ms = coalesce(given.asr_ms, turn.asr_ms),
        retrieval_ms = coalesce(given.retrieval_ms, turn.retrieval_ms),
        llm_first_token_ms = coalesce(given.llm_first_token_ms, turn.llm_first_token_ms),
        llm_ms = coalesce(given.llm_ms, turn.llm_ms),
        tool_ms = coalesce(given.tool_ms, turn.tool_ms),
        tts_first_audio_ms = coalesce(given.tts_first_audio_ms, turn.tts_first_audio_ms),
        tts_ms = coalesce(given.tts_ms, turn.tts_ms),
        render_ms = coalesce(given.render_ms, turn.render_ms),
        first_audio_ms = coalesce(given.first_audio_ms, turn.first_audio_ms),
        total_ms = coalesce(given.total_ms, turn.total_ms),
        input_tokens = coalesce(given.input_tokens, turn.input_tokens),
        output_tokens = coalesce(given.output_tokens, turn.output_tokens),
        extra = CASE WHEN given.extra IS NULL OR octet_length(turn.extra::text) > {max_extra}
                     THEN turn.extra ELSE coalesce(turn.extra, '{}') || given.extra END,
        version = turn.version + 1, updated_at = now()
    FROM session, (
        SELECT * FROM json_to_recordset(:extending::json) AS one ({turn_fields}) LIMIT {most}
    ) AS given
    WHERE turn.id = given.turn_id AND turn.user_id = session.user_id{after_unindexed}
      AND turn.session_id IS NOT DISTINCT FROM session.id
      AND turn.user_text IS DISTINCT FROM ''
      AND (given.strict IS NULL OR (
          (given.status IS NULL OR turn.status IN ('open', 'abandoned', given.status))
          AND (given.heard_text IS NULL OR given.twin_text IS NOT NULL
               OR turn.twin_text IS NOT NULL)
          AND (given.user_text IS NULL OR
               length(concat(turn.user_text, given.user_text)) <= {max_text})
          AND (given.twin_text IS NULL OR
               length(concat(turn.twin_text, given.twin_text)) <= {max_text})))
    RETURNING {columns of conversation_turns as turn}
)

-- name: touched
-- The turns that what follows may belong to.
touched AS ({ids})

-- name: items
-- An item that the caller sends again, with the same `item_id`, is stored once.
stored_items AS (
    INSERT INTO turn_items (user_id, session_id, number, id, turn_id, kind, item_id, call_id, name,
                            payload, is_error, started_at, ended_at)
    SELECT session.user_id, session.id, items_before + item.n, item.id, item.turn_id, item.kind,
           item.item_id, item.call_id, item.name, coalesce(item.payload, '{}'),
           coalesce(item.is_error, false), item.started_at,
           greatest(item.ended_at, CASE WHEN item.ended_at IS NOT NULL THEN item.started_at END)
    FROM session, json_to_recordset(:items::json) AS item (
        n int, id uuid, turn_id uuid, kind text, item_id text, call_id text, name text,
        payload jsonb, is_error boolean, started_at timestamptz, ended_at timestamptz)
    WHERE item.turn_id IS NULL OR item.turn_id IN (SELECT id FROM touched)
    ON CONFLICT DO NOTHING
)

-- name: usage
-- The table is insert-only: no conflict target, which would need SELECT. A request is stored once.
stored_usage AS (
    INSERT INTO usage_records (user_id, session_id, id, turn_id, kind, provider, model, request_id,
                               input_tokens, cached_input_tokens, cache_write_tokens,
                               output_tokens, reasoning_tokens, audio_input_tokens,
                               audio_output_tokens, characters, audio_ms, extra, used_at)
    SELECT session.user_id, session.id, used.id, used.turn_id, used.kind, used.provider,
           used.model, used.request_id, used.input_tokens, used.cached_input_tokens,
           used.cache_write_tokens, used.output_tokens, used.reasoning_tokens,
           used.audio_input_tokens, used.audio_output_tokens, used.characters, used.audio_ms,
           used.extra, coalesce(used.used_at, now())
    FROM session, json_to_recordset(:usage::json) AS used (
        id uuid, turn_id uuid, kind text, provider text, model text, request_id text,
        input_tokens int, cached_input_tokens int, cache_write_tokens int, output_tokens int,
        reasoning_tokens int, audio_input_tokens int, audio_output_tokens int, characters int,
        audio_ms int, extra jsonb, used_at timestamptz)
    WHERE used.turn_id IS NULL OR used.turn_id IN (SELECT id FROM touched)
    ON CONFLICT DO NOTHING
)

-- name: sources
-- What the answers of turns were made from.
stored_sources AS (
    INSERT INTO turn_sources (user_id, session_id, turn_id, id, document_id, passage, score, quote)
    SELECT session.user_id, session.id, source.turn_id, source.id, source.document_id,
           source.passage, source.score, source.quote
    FROM session, json_to_recordset(:sources::json) AS source (
        turn_id uuid, id uuid, document_id uuid, passage text, score float8, quote text)
    WHERE source.turn_id IN (SELECT id FROM touched)
    ON CONFLICT DO NOTHING
)

-- name: standing
-- Tells why nothing was written: the session's status, and the last number of this writer.
SELECT status, {accepting} AS accepting, (
    SELECT sequence FROM session_writers AS known
    WHERE known.user_id = session.user_id AND known.session_id = session.id
      AND known.writer = :writer::uuid) AS sequence
FROM conversation_sessions AS session
WHERE id = :session_id AND user_id = {owner} AND deleted_at IS NULL

-- name: turn_standing
-- Tells why a turn was not extended.
SELECT status, coalesce(length(user_text), 0) AS user_length,
       coalesce(length(twin_text), 0) AS twin_length
FROM conversation_turns
WHERE id = :turn_id AND session_id = :session_id AND user_id = {owner}
  AND user_text IS DISTINCT FROM ''

-- name: fullness
-- Whether a text of a turn is as long as it may be. Only long texts are read for it.
CASE WHEN greatest(octet_length(user_text), octet_length(twin_text)) >= {max_text}
     THEN greatest(length(user_text), length(twin_text)) >= {max_text} ELSE false END

-- name: turns_now
-- Turns that a recorder's write has written to before: all that a write may return of them.
SELECT {columns of conversation_turns}, {fullness} AS is_full FROM conversation_turns
WHERE id = ANY(:turn_ids::uuid[]) AND session_id = :session_id AND user_id = {owner}

-- name: abandon_turns
-- Open turns that nobody has written to for long, or whose session is over: they end at their last
-- sign of life. A sign in the future was stored while the clock was ahead. Locked turns are being
-- written to.
WITH orphan AS (
    SELECT turn.user_id, turn.session_id, turn.position
    FROM conversation_turns AS turn JOIN conversation_sessions AS session
      ON session.user_id = turn.user_id AND session.id = turn.session_id
    WHERE turn.status = 'open' AND turn.id > :after AND session.deleted_at IS NULL
      AND (turn.updated_at < statement_timestamp() - make_interval(secs => :timeout::float8)
           OR turn.updated_at > statement_timestamp() + make_interval(secs => :timeout::float8)
           OR (session.status = 'ended' AND abs(extract(
                epoch FROM statement_timestamp() - session.ended_at)) >= :late_turns::float8))
    ORDER BY turn.id LIMIT :batch FOR NO KEY UPDATE OF turn SKIP LOCKED
)
UPDATE conversation_turns AS turn
SET status = 'abandoned', version = version + 1, updated_at = now(),
    ended_at = greatest(least(turn.updated_at, statement_timestamp()), turn.started_at)
FROM orphan
WHERE turn.user_id = orphan.user_id AND turn.session_id = orphan.session_id
  AND turn.position = orphan.position
RETURNING turn.id

-- name: idle_sessions
-- Active sessions in which nothing was stored for long and no turn is open, oldest first; only
-- looked at here, since what they contain is read once for each.
SELECT session.user_id, session.id FROM conversation_sessions AS session
WHERE session.status = 'active' AND session.deleted_at IS NULL AND session.id > :after
  AND {unused_for} AND NOT {alive}
ORDER BY session.id LIMIT :batch

-- name: unused_for
-- A time in the future was stored while the clock was ahead.
(session.updated_at < statement_timestamp() - make_interval(secs => :timeout::float8)
 OR session.updated_at > statement_timestamp() + make_interval(secs => :timeout::float8))

-- name: alive
-- Whether a turn of the session is open, or has been written to lately. A turn that was abandoned
-- ended at its last sign of life.
EXISTS (
    SELECT 1 FROM conversation_turns AS turn
    WHERE turn.user_id = session.user_id AND turn.session_id = session.id
      AND (turn.status = 'open'
           OR CASE WHEN turn.status = 'abandoned' THEN turn.ended_at ELSE turn.updated_at END
              BETWEEN statement_timestamp() - make_interval(secs => :timeout::float8)
                  AND statement_timestamp() + make_interval(secs => :timeout::float8)))

-- name: end_idle
-- Ends a session at its last turn's end, or at its start if it has no turns. The row is locked
-- before its condition is checked, so that whoever opens a turn meanwhile comes first or finds the
-- end; a locked session is being written to.
WITH idle AS MATERIALIZED (
    SELECT session.user_id, session.id FROM conversation_sessions AS session
    WHERE session.user_id = :user_id AND session.id = :id AND session.status = 'active'
      AND session.deleted_at IS NULL AND {unused_for} AND NOT {alive}
    FOR NO KEY UPDATE SKIP LOCKED
), done AS (
    UPDATE conversation_sessions AS session
    SET status = 'ended', end_reason = 'idle', version = version + 1, updated_at = now(),
        ended_at = greatest(session.started_at, (
            SELECT least(max(coalesce(turn.ended_at, turn.created_at)),
                         CASE WHEN count(*) > 0 THEN statement_timestamp() END)
            FROM conversation_turns AS turn
            WHERE turn.user_id = session.user_id AND turn.session_id = session.id))
    FROM idle WHERE session.user_id = idle.user_id AND session.id = idle.id
    RETURNING session.user_id, session.id
), recorded AS ({audit end of conversation_sessions})
SELECT count(*) FROM done

-- name: forget_writers
-- What recorders have written is known for as long as a write may be sent again. A time in the
-- future was stored while the clock was ahead. Locked rows are being written to. The setting lets
-- the statement pass the guard against hard deletes.
WITH allowed AS MATERIALIZED (SELECT set_config('digitwin.allow_hard_delete', 'on', true) AS yes),
idle AS (
    SELECT user_id, session_id, writer FROM session_writers
    WHERE updated_at < statement_timestamp() - make_interval(secs => :kept::float8)
       OR updated_at > statement_timestamp() + make_interval(secs => :kept::float8)
    LIMIT :batch FOR UPDATE SKIP LOCKED
)
DELETE FROM session_writers AS known USING idle, allowed
WHERE known.user_id = idle.user_id AND known.session_id = idle.session_id
  AND known.writer = idle.writer AND yes = 'on'
RETURNING 1
