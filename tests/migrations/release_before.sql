-- What the release before sends to the tables that the last migration changes, word by word but
-- for the audit step, which is shorter here. Written down when that migration was: this package's
-- own statements need its columns. The next migration brings those of the release before it.

-- name: session
-- The columns it asks for.
id, version, created_at, updated_at, external_id, status, end_reason, turn_count, started_at,
ended_at, metadata, deleted_at, deletion_id, face_model_id, participant_id, user_id, voice_model_id;

-- name: turn
-- The same of a turn.
id, version, created_at, updated_at, user_id, position, user_text, twin_text, heard_text, status,
asr_ms, retrieval_ms, llm_first_token_ms, llm_ms, tts_ms, render_ms, first_audio_ms, total_ms,
input_tokens, output_tokens, idempotency_key, session_id;

-- name: document
-- The same of a document.
id, version, created_at, updated_at, deleted_at, deletion_id, title, content, content_type,
source_uri, content_hash, visibility, status, error, attempts, worker, lease_until, metadata,
user_id;

-- name: new_turn
-- What a caller gives.
id, user_text, twin_text, heard_text, status, asr_ms, retrieval_ms, llm_first_token_ms, llm_ms,
tts_ms, render_ms, first_audio_ms, total_ms, input_tokens, output_tokens, idempotency_key;

-- name: start
-- conversations.start
WITH owner AS (
    SELECT id FROM users WHERE id = :user_id AND deleted_at IS NULL FOR SHARE
), participant AS (
    INSERT INTO participants AS known (user_id, id, kind, ref, name, traits)
    SELECT id, gen_random_uuid(), 'guest'::varchar, :ref, 'Sam', '[]'::jsonb FROM owner
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
    SELECT id, :session_id, NULL, NULL, NULL, '{}'::jsonb, (SELECT id FROM participant),
           statement_timestamp()
    FROM owner
    RETURNING {session}
), recorded AS (
    INSERT INTO audit_logs (user_id, id, action, resource, resource_id)
    SELECT done.user_id, gen_random_uuid(), 'session.start', 'session', done.id::text FROM done
)
SELECT * FROM done;

-- name: add_turn
-- conversations.add_turn
WITH counted AS (
    UPDATE conversation_sessions
    SET turn_count = turn_count + 1, version = version + 1, updated_at = now()
    WHERE id = :session_id AND user_id = (SELECT user_id FROM conversation_sessions WHERE id = :session_id)
      AND status = 'active' AND deleted_at IS NULL
    RETURNING user_id, id, turn_count
)
INSERT INTO conversation_turns (user_id, session_id, position, {new_turn})
SELECT user_id, id, turn_count, gen_random_uuid(), 'Hello', 'Hi', NULL, 'completed',
       80, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 7, 7, NULL
FROM counted
RETURNING {turn};

-- name: add_turns_once
-- conversations.add_turns_once
WITH new AS (
    SELECT gen_random_uuid() AS id, 'Hello' AS user_text, NULL AS twin_text, NULL AS heard_text,
           'completed' AS status, 80 AS asr_ms, NULL::int AS retrieval_ms,
           NULL::int AS llm_first_token_ms, NULL::int AS llm_ms, NULL::int AS tts_ms,
           NULL::int AS render_ms, NULL::int AS first_audio_ms, NULL::int AS total_ms,
           7 AS input_tokens, 7 AS output_tokens, key AS idempotency_key, n
    FROM unnest(:keys::text[]) WITH ORDINALITY AS given (key, n)
), existing AS (
    SELECT turn.* FROM new CROSS JOIN LATERAL (
        SELECT {turn} FROM conversation_turns
        WHERE idempotency_key = new.idempotency_key AND session_id = :session_id
          AND user_id = (SELECT user_id FROM conversation_sessions WHERE id = :session_id) LIMIT 1
    ) AS turn
    WHERE new.idempotency_key IS NOT NULL
), missing AS (
    SELECT {new_turn}, row_number() OVER (ORDER BY n) AS n FROM new
    WHERE NOT EXISTS (
        SELECT 1 FROM existing WHERE existing.idempotency_key = new.idempotency_key)
), counted AS (
    UPDATE conversation_sessions
    SET turn_count = turn_count + size, version = version + size, updated_at = now()
    FROM (SELECT count(*)::int AS size FROM missing) AS block
    WHERE id = :session_id AND user_id = (SELECT user_id FROM conversation_sessions WHERE id = :session_id)
      AND status = 'active' AND deleted_at IS NULL AND size > 0
    RETURNING user_id, id AS session_id, turn_count - size AS before
), stored AS (
    INSERT INTO conversation_turns (user_id, session_id, position, {new_turn})
    SELECT user_id, session_id, before + n, {new_turn} FROM counted, missing ORDER BY n
    RETURNING {turn}
)
SELECT * FROM stored UNION ALL SELECT * FROM existing;

-- name: amend_turn
-- conversations.amend_turn
UPDATE conversation_turns AS turn
SET twin_text = coalesce(:twin_text, twin_text), heard_text = coalesce(:heard_text, heard_text),
    status = coalesce('interrupted', status), version = version + 1, updated_at = now()
WHERE id = :turn_id AND session_id = :session_id
  AND user_id = (SELECT user_id FROM conversation_sessions WHERE id = :session_id)
  AND user_text IS DISTINCT FROM ''
  AND EXISTS (
      SELECT 1 FROM conversation_sessions AS session
      WHERE session.user_id = turn.user_id AND session.id = turn.session_id
        AND session.deleted_at IS NULL)
RETURNING {turn};

-- name: turns
-- The second half of conversations.with_turns
WITH s AS (
    SELECT {session} FROM conversation_sessions WHERE id = :session_id AND deleted_at IS NULL
)
SELECT t.* FROM s CROSS JOIN LATERAL (
    SELECT {turn} FROM conversation_turns
    WHERE user_id = s.user_id AND session_id = s.id ORDER BY position DESC LIMIT 50
) AS t;

-- name: end
-- conversations.end
WITH done AS (
    UPDATE conversation_sessions
    SET status = 'ended', end_reason = 'completed', version = version + 1, updated_at = now(),
        ended_at = greatest(statement_timestamp(), started_at)
    WHERE id = :session_id AND user_id = (SELECT user_id FROM conversation_sessions WHERE id = :session_id)
      AND status = 'active' AND deleted_at IS NULL
    RETURNING {session}
), recorded AS (
    INSERT INTO audit_logs (user_id, id, action, resource, resource_id)
    SELECT done.user_id, gen_random_uuid(), 'session.end', 'session', done.id::text FROM done
)
SELECT * FROM done;

-- name: create_document
-- The generated one
WITH done AS (
    INSERT INTO knowledge_documents (id, user_id, title, content, content_hash)
    SELECT :document_id::uuid, :user_id::uuid, 'Hours', 'From nine', 'x' FROM users
    WHERE id = :user_id AND deleted_at IS NULL FOR SHARE
    RETURNING {document}
), recorded AS (
    INSERT INTO audit_logs (user_id, id, action, resource, resource_id)
    SELECT done.user_id, gen_random_uuid(), 'document.create', 'document', done.id::text FROM done
)
SELECT * FROM done;

-- name: claim
-- knowledge.claim
WITH next AS (
    SELECT user_id, id FROM knowledge_documents
    WHERE status IN ('pending', 'processing') AND deleted_at IS NULL
      AND (status = 'pending' OR lease_until <= statement_timestamp()
           OR updated_at > statement_timestamp() + (lease_until - updated_at))
    ORDER BY created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
), done AS (
    UPDATE knowledge_documents AS d
    SET status = 'processing', worker = :worker, attempts = d.attempts + 1, error = NULL,
        lease_until = statement_timestamp() + make_interval(secs => :lease_seconds),
        version = d.version + 1, updated_at = now()
    FROM next WHERE d.user_id = next.user_id AND d.id = next.id
    RETURNING d.id, d.version, d.created_at, d.updated_at, d.deleted_at, d.deletion_id, d.title,
        d.content, d.content_type, d.source_uri, d.content_hash, d.visibility, d.status, d.error,
        d.attempts, d.worker, d.lease_until, d.metadata, d.user_id
), recorded AS (
    INSERT INTO audit_logs (user_id, id, action, resource, resource_id)
    SELECT done.user_id, gen_random_uuid(), 'document.claim', 'document', done.id::text FROM done
)
SELECT * FROM done;

-- name: finish
-- knowledge.finish
WITH done AS (
    UPDATE knowledge_documents
    SET status = :status, error = NULL, worker = NULL, lease_until = NULL,
        version = version + 1, updated_at = now()
    WHERE id = :document_id AND worker = :worker AND status = 'processing' AND deleted_at IS NULL
      AND lease_until > clock_timestamp()
      AND user_id = (SELECT user_id FROM knowledge_documents WHERE id = :document_id)
    RETURNING {document}
), recorded AS (
    INSERT INTO audit_logs (user_id, id, action, resource, resource_id)
    SELECT done.user_id, gen_random_uuid(), 'document.complete', 'document', done.id::text FROM done
)
SELECT * FROM done;

-- name: hide
-- users.hide_belongings
WITH conversation_sessions_step AS (
    UPDATE conversation_sessions
    SET deleted_at = now(), deletion_id = :user_id, version = version + 1, updated_at = now(),
        status = 'ended', ended_at = coalesce(ended_at, now()),
        end_reason = CASE WHEN status = 'active' THEN 'user_deleted' ELSE end_reason END
    WHERE user_id = :user_id AND deleted_at IS NULL
)
UPDATE knowledge_documents
SET deleted_at = now(), deletion_id = :user_id, version = version + 1, updated_at = now()
WHERE user_id = :user_id AND deleted_at IS NULL;

-- name: redact_turns
-- privacy.redact_turns
UPDATE conversation_turns AS turn
SET user_text = '', twin_text = NULL, heard_text = NULL, idempotency_key = NULL,
    version = version + 1, updated_at = now()
WHERE turn.user_id = :user_id;

-- name: lock_participants
-- privacy.lock_participants
SELECT user_id, id FROM participants WHERE user_id = :user_id ORDER BY user_id, id FOR UPDATE;

-- name: lock_person
-- privacy.lock_person
SELECT count(*) FROM (SELECT 1 FROM users WHERE id = :user_id FOR UPDATE) AS person;

-- name: lock_sessions
-- privacy.lock_sessions
SELECT count(*) FROM (SELECT 1 FROM conversation_sessions WHERE user_id = :user_id
                      ORDER BY id FOR UPDATE) AS sessions;

-- name: allow_erasure
-- privacy.allow_erasure
SELECT set_config('digitwin.allow_hard_delete', 'on', true);

-- name: queue_deletion
-- privacy.queue_deletions
INSERT INTO artifact_deletions (id, kind, address, due_at)
VALUES (gen_random_uuid(), 'voice', 'dt1:AAAA', now());

-- name: erase_batch
-- privacy.erase_batch
WITH chosen AS (
    SELECT user_id, id FROM {table} WHERE user_id = :user_id ORDER BY user_id, id LIMIT 100 FOR UPDATE
), gone AS (
    DELETE FROM {table} AS held USING chosen
    WHERE held.user_id = chosen.user_id AND held.id = chosen.id RETURNING 1
)
SELECT count(*) FROM gone;

-- name: erase_user
-- The same for the person
DELETE FROM users WHERE id = :user_id;
