-- name: types
-- What the fields of an export are, as the database has them.
SELECT attrelid::regclass::text AS table_name, attname::text AS name,
       format_type(atttypid, NULL) AS type
FROM pg_attribute
WHERE attrelid = ANY(:tables::text[]::regclass[]) AND attnum > 0 AND NOT attisdropped

-- name: export
-- Each row as one JSON object, in the order of the key.
SELECT to_json(held)::text
FROM (SELECT {names} FROM {table} WHERE {found_by} ORDER BY {key}) AS held

-- name: moment
-- The moment that an export shows, by the database clock.
SELECT now()

-- name: is_known
-- Whether anything is held about a person, in any table; {found} is one condition for each.
SELECT {found}

-- name: is_known_participant
-- Whether anybody's twin knows them.
SELECT EXISTS (SELECT 1 FROM participants WHERE ref = :ref AND kind = :kind)

-- name: telling
-- What would give a person away, wherever it stood: the newest of many texts, none that is short.
SELECT 'e-mail' AS what, email AS value, true AS is_word FROM users WHERE id = :person
UNION ALL SELECT 'e-mail', address, true FROM user_emails WHERE user_id = :person
UNION ALL SELECT 'name', name, true FROM users WHERE id = :person
UNION ALL SELECT 'trait', trait, false
FROM users, jsonb_array_elements_text(personality_traits) AS trait
WHERE id = :person AND length(trait) >= :shortest
UNION ALL SELECT 'setting', setting #>> '{}', false
FROM users, jsonb_path_query(settings, 'strict $.** ? (@.type() == "string")') AS setting
WHERE id = :person AND length(setting #>> '{}') >= :shortest
UNION ALL (SELECT 'what was said', said, false
           FROM conversation_turns, unnest(ARRAY[user_text, twin_text, heard_text]) AS said
           WHERE user_id = :person AND length(said) >= :shortest ORDER BY created_at DESC LIMIT :most)
UNION ALL (SELECT 'document', told, false
           FROM knowledge_documents, unnest(ARRAY[title, source_uri, left(content, 1000)]) AS told
           WHERE user_id = :person AND length(told) >= :shortest ORDER BY created_at DESC LIMIT :most)

-- name: cells
-- Every column of every table, as the text to look through; bytes as text and as digits.
SELECT attrelid::regclass::text AS table_name, attname::text AS name, quote_ident(attname) AS quoted,
       atttypid = 'bytea'::regtype AS is_bytes, has_table_privilege(attrelid, 'SELECT') AS readable
FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
      AND NOT relispartition AND attnum > 0 AND NOT attisdropped
ORDER BY attrelid::regclass::text, attnum

-- name: scan
-- One reading of a table, whatever is looked for; {cells} are its columns as (name, text).
SELECT cell.name, needle.what, count(DISTINCT held.ctid) AS rows
FROM {table} AS held, LATERAL (VALUES {cells}) AS cell (name, text),
     unnest(:whats::text[], :values::text[], :patterns::boolean[]) AS needle (what, value, is_pattern)
WHERE CASE WHEN needle.is_pattern THEN cell.text ~* needle.value
           ELSE strpos(cell.text, needle.value) > 0 END
GROUP BY cell.name, needle.what ORDER BY cell.name, needle.what

-- name: artifacts
-- Where a person's voices and faces are, deleted ones too, or those of one deletion.
SELECT 'voice_models' AS table_name, id, artifact_uri FROM voice_models
WHERE user_id = :person AND artifact_uri IS NOT NULL AND (:deletion_id::uuid IS NULL OR deletion_id = :deletion_id)
UNION ALL SELECT 'face_models', id, artifact_uri FROM face_models
WHERE user_id = :person AND artifact_uri IS NOT NULL AND (:deletion_id::uuid IS NULL OR deletion_id = :deletion_id)

-- name: queue_artifact
-- Twice is once. What an erasure queues is not due before it is completed: should it fail before
-- anything is lost, nothing is. No conflict target: who may only add may not read.
INSERT INTO artifact_deletions (id, erasure_id, kind, address, due_at)
VALUES (:id, :erasure_id::uuid, :kind, :address, CASE WHEN :erasure_id::uuid IS NULL THEN now() ELSE 'infinity' END)
ON CONFLICT DO NOTHING

-- name: claim_artifacts
-- A claim ends by itself, by the database's clock.
WITH due AS (SELECT id FROM artifact_deletions WHERE due_at <= now()
             ORDER BY due_at LIMIT :batch FOR UPDATE SKIP LOCKED)
UPDATE artifact_deletions AS waiting
SET attempts = attempts + 1, due_at = now() + make_interval(secs => :claim_seconds)
FROM due WHERE waiting.id = due.id
RETURNING waiting.id, kind, address, attempts

-- name: artifact_gone
-- Nothing of it is kept; the guard lets this one statement pass.
WITH allowed AS MATERIALIZED (SELECT set_config('digitwin.allow_hard_delete', 'on', true) AS yes)
DELETE FROM artifact_deletions USING allowed WHERE id = :id AND yes = 'on'

-- name: artifact_failed
-- Unless somebody else has claimed it since.
UPDATE artifact_deletions SET due_at = now() + make_interval(secs => :pause_seconds), error = :error
WHERE id = :id AND attempts = :attempts

-- name: next_artifact
-- Seconds until something is due; null when nothing waits but for an erasure.
SELECT extract(epoch FROM min(due_at) - now())::float8 FROM artifact_deletions
WHERE due_at < 'infinity'

-- name: receipt
-- With what waits at this moment.
SELECT id, subject, subject_hash, reason, counts, begun_at, completed_at,
       (SELECT count(*) FROM artifact_deletions WHERE erasure_id = erasures.id) AS pending_artifacts
FROM erasures WHERE id = :id

-- name: receipts
-- The newest first; an id says when it was made.
SELECT id, subject, subject_hash, reason, counts, begun_at, completed_at,
       (SELECT count(*) FROM artifact_deletions WHERE erasure_id = erasures.id) AS pending_artifacts
FROM erasures WHERE :before::uuid IS NULL OR id < :before ORDER BY id DESC LIMIT :limit

-- name: lock_participants
-- In the order of the key, so that two erasures do not wait for each other.
SELECT user_id, id FROM participants
WHERE ref = :ref AND (:kind::text IS NULL OR kind = :kind) AND (:except_of::uuid IS NULL OR user_id <> :except_of)
ORDER BY user_id, id FOR UPDATE

-- name: lock_sessions_of
-- After the participants: whoever was starting a session with one has committed by now.
SELECT user_id, id FROM conversation_sessions
WHERE (user_id, participant_id) IN (SELECT * FROM unnest(:owners::uuid[], :ids::uuid[]))
ORDER BY user_id, id FOR UPDATE

-- name: empty_turns
-- What was said is empty and not null: a turn must have a text, and an empty one refuses to be
-- corrected.
WITH emptied AS (
    UPDATE conversation_turns AS turn
    SET user_text = '',
        twin_text = CASE WHEN :keep_answers THEN twin_text END,
        heard_text = CASE WHEN :keep_answers THEN heard_text END,
        idempotency_key = NULL, version = version + 1, updated_at = now()
    FROM unnest(:owners::uuid[], :ids::uuid[]) AS session (user_id, id)
    WHERE turn.user_id = session.user_id AND turn.session_id = session.id
    RETURNING 1
)
SELECT count(*) FROM emptied

-- name: end_sessions
-- Nothing is added to an ended session.
UPDATE conversation_sessions AS held
SET status = 'ended', ended_at = coalesce(ended_at, now()), end_reason = 'participant_erased',
    external_id = NULL, metadata = '{}', version = version + 1, updated_at = now()
FROM unnest(:owners::uuid[], :ids::uuid[]) AS session (user_id, id)
WHERE held.user_id = session.user_id AND held.id = session.id

-- name: remove_participants
-- Their sessions lose them by the foreign key; the guard lets this one statement pass.
WITH allowed AS MATERIALIZED (SELECT set_config('digitwin.allow_hard_delete', 'on', true) AS yes)
DELETE FROM participants AS known
USING allowed, unnest(:owners::uuid[], :ids::uuid[]) AS them (user_id, id)
WHERE known.user_id = them.user_id AND known.id = them.id AND yes = 'on'

-- name: lock_subject
-- One erasure of somebody at a time.
SELECT pg_advisory_xact_lock(hashtextextended('digitwin.erasure ' || :subject_hash, 0))

-- name: begin_erasure
-- One that was broken off is gone on with.
INSERT INTO erasures (id, subject, subject_hash, reason) VALUES (:id, :subject, :subject_hash, :reason)
ON CONFLICT (subject_hash) WHERE completed_at IS NULL DO UPDATE SET reason = excluded.reason
RETURNING id, begun_at

-- name: complete_erasure
-- From the commit on nothing is cached for them any more, and their artifacts are due.
WITH due AS (
    UPDATE artifact_deletions SET due_at = now() WHERE erasure_id = :id AND due_at = 'infinity'
)
UPDATE erasures SET counts = :counts::jsonb, completed_at = greatest(now(), begun_at) WHERE id = :id

-- name: lock_person
-- First the person, for whose row everybody waits who adds something; then their sessions, for
-- those who add turns.
SELECT count(*) FROM (SELECT 1 FROM users WHERE id = :person FOR UPDATE) AS person

-- name: lock_sessions
-- In the order of the key.
SELECT count(*) FROM (SELECT 1 FROM conversation_sessions WHERE user_id = :person
                      ORDER BY id FOR UPDATE) AS sessions

-- name: allow_erasure
-- The guards let deletions pass for the rest of this transaction only.
SELECT set_config('digitwin.allow_hard_delete', 'on', true)

-- name: erase_batch
-- Rows are locked in the order of their key first, as everybody does; some at a time, so that no
-- statement is long.
WITH chosen AS (SELECT {key} FROM {table} WHERE {found_by} ORDER BY {key} LIMIT :batch FOR UPDATE),
     gone AS (DELETE FROM {table} AS held USING chosen WHERE {same} RETURNING 1)
SELECT count(*) FROM gone

-- name: count_held
-- What the cache is about to forget.
SELECT count(*) FROM {table} WHERE {found_by}

-- name: erased
-- Erasures this database knows of, those that were broken off among them.
SELECT subject_hash, max(coalesce(completed_at, begun_at)) AS at FROM erasures GROUP BY subject_hash

-- name: people
-- Everybody of whom something is held, in tables of people or in those without a foreign key.
SELECT id FROM users
UNION SELECT user_id FROM user_emails
UNION SELECT user_id FROM user_keys
UNION SELECT user_id FROM audit_logs
UNION SELECT actor_id FROM audit_logs WHERE actor_id IS NOT NULL

-- name: named_participants
-- Everybody who can be known again, once for all owners.
SELECT kind, ref, min(created_at) AS since FROM participants WHERE ref IS NOT NULL
GROUP BY kind, ref

-- name: erased_lately
-- Whether it is worth looking.
SELECT EXISTS (SELECT FROM erasures WHERE completed_at > now() - make_interval(secs => :look_back_seconds))

-- name: remove_late_writes
-- The hash is computed for every row: there is no index by it. What somebody is at is left to the
-- next time.
WITH gone AS (
    DELETE FROM {table} AS late USING erasures
    WHERE completed_at > now() - make_interval(secs => :look_back_seconds)
          AND subject_hash = encode(sha256(convert_to(late.{whose}, 'UTF8')), 'hex')
    RETURNING 1
)
SELECT count(*) FROM gone

-- name: is_bound
-- Whether row security hides rows from whoever logged in.
SELECT row_security_active('users')
