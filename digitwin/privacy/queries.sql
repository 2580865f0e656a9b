-- name: types
-- The database types of the exported columns, for schema.json.
SELECT attrelid::regclass::text AS table_name, attname::text AS name,
       format_type(atttypid, NULL) AS type
FROM pg_attribute
WHERE attrelid = ANY(:tables::text[]::regclass[]) AND attnum > 0 AND NOT attisdropped

-- name: export
-- Each row as one JSON object, in key order.
SELECT to_json(held)::text
FROM (SELECT {names} FROM {table} WHERE {found_by} ORDER BY {key}) AS held

-- name: moment
-- The time of the snapshot, by the database clock.
SELECT now()

-- name: is_known
-- Whether any table mentions a person; {found} is an EXISTS for each table.
SELECT {found}

-- name: is_known_participant
-- Whether any twin has this participant.
SELECT EXISTS (SELECT 1 FROM participants WHERE ref = ANY({spellings}) AND kind = :kind)

-- name: identifying_values
-- Values that identify a person wherever they appear; of long texts only the newest.
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
UNION ALL (SELECT 'what was said', part #>> '{}', false
           FROM turn_items, jsonb_path_query(payload, 'strict $.** ? (@.type() == "string")') AS part
           WHERE user_id = :person AND length(part #>> '{}') >= :shortest ORDER BY created_at DESC LIMIT :most)
UNION ALL (SELECT 'quote', quote, false FROM turn_sources
           WHERE user_id = :person AND length(quote) >= :shortest ORDER BY created_at DESC LIMIT :most)
UNION ALL (SELECT 'document', told, false
           FROM knowledge_documents, unnest(ARRAY[title, source_uri, left(content, 1000)]) AS told
           WHERE user_id = :person AND length(told) >= :shortest ORDER BY created_at DESC LIMIT :most)

-- name: cells
-- Every column of every table, with how to read it as text.
SELECT attrelid::regclass::text AS table_name, attname::text AS name, quote_ident(attname) AS quoted,
       atttypid = 'bytea'::regtype AS is_bytes, has_table_privilege(attrelid, 'SELECT') AS readable
FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
      AND NOT relispartition AND attnum > 0 AND NOT attisdropped
ORDER BY attrelid::regclass::text, attnum

-- name: scan
-- One pass over a table for all search terms; {cells} are its columns as (name, text).
SELECT cell.name, term.what, count(DISTINCT held.ctid) AS rows
FROM {table} AS held, LATERAL (VALUES {cells}) AS cell (name, text),
     unnest(:whats::text[], :values::text[], :patterns::boolean[]) AS term (what, value, is_pattern)
WHERE CASE WHEN term.is_pattern THEN cell.text ~* term.value
           ELSE strpos(cell.text, term.value) > 0 END
GROUP BY cell.name, term.what ORDER BY cell.name, term.what

-- name: artifacts
-- Artifact addresses of a person, soft-deleted ones included; or of one deletion: with that of the
-- person everything goes, also what was deleted before. What is kept of a session goes with it. An
-- address of a model does not change until its row is removed.
WITH everything AS MATERIALIZED (
    SELECT :deletion_id::uuid IS NULL
           OR EXISTS (SELECT 1 FROM users WHERE id = :person AND deletion_id = :deletion_id) AS goes
)
SELECT * FROM (
    SELECT 'voice_models' AS table_name, user_id, id, 'voice' AS kind, artifact_uri FROM voice_models
    WHERE user_id = :person AND artifact_uri IS NOT NULL
      AND (deletion_id = :deletion_id OR (SELECT goes FROM everything)) ORDER BY id FOR UPDATE
) AS voices
UNION ALL SELECT * FROM (
    SELECT 'face_models', user_id, id, 'face', artifact_uri FROM face_models
    WHERE user_id = :person AND artifact_uri IS NOT NULL
      AND (deletion_id = :deletion_id OR (SELECT goes FROM everything)) ORDER BY id FOR UPDATE
) AS faces
UNION ALL SELECT 'session_artifacts', user_id, id, kind, artifact_uri FROM session_artifacts AS kept
WHERE user_id = :person AND artifact_uri IS NOT NULL AND ((SELECT goes FROM everything) OR EXISTS (
    SELECT 1 FROM conversation_sessions AS session
    WHERE session.user_id = kept.user_id AND session.id = kept.session_id AND session.deletion_id = :deletion_id))

-- name: artifacts_of_sessions
-- Artifact addresses of sessions that are about to be removed.
SELECT 'session_artifacts' AS table_name, user_id, id, kind, artifact_uri FROM session_artifacts
WHERE (user_id, session_id) IN (SELECT * FROM unnest(:owners::uuid[], :ids::uuid[])) AND artifact_uri IS NOT NULL

-- name: queue_artifact
-- Idempotent. Artifacts of an erasure become due only when it completes, so that a failed erasure
-- deletes nothing. No conflict target: that would need SELECT, which the application role lacks.
INSERT INTO artifact_deletions (id, erasure_id, kind, address, due_at)
VALUES (:id, :erasure_id::uuid, :kind, :address, CASE WHEN :erasure_id::uuid IS NULL THEN now() ELSE 'infinity' END)
ON CONFLICT DO NOTHING

-- name: claim_artifacts
-- Claims expire by the database clock; SKIP LOCKED lets several instances work at once. No claim and
-- no pause is longer than `longest`: a later time was written while the clock was ahead. `attempts`
-- stops at its largest value, so that no row fails the batch.
WITH due AS (SELECT id FROM artifact_deletions
             WHERE due_at <= now()
                OR (due_at > now() + make_interval(secs => :longest) AND due_at < 'infinity')
             ORDER BY due_at LIMIT :batch FOR UPDATE SKIP LOCKED)
UPDATE artifact_deletions AS waiting
SET attempts = least(attempts, 2147483646) + 1, due_at = now() + make_interval(secs => :claim_seconds)
FROM due WHERE waiting.id = due.id
RETURNING waiting.id, kind, address, attempts

-- name: artifact_gone
-- The setting lets this statement pass the guard against hard deletes.
WITH allowed AS MATERIALIZED (SELECT set_config('digitwin.allow_hard_delete', 'on', true) AS yes)
DELETE FROM artifact_deletions USING allowed WHERE id = :id AND yes = 'on'

-- name: artifact_failed
-- The attempt number fences: no effect if another instance has claimed it since.
UPDATE artifact_deletions SET due_at = now() + make_interval(secs => :pause_seconds), error = :error
WHERE id = :id AND attempts = :attempts

-- name: next_artifact
-- Seconds until the next artifact is due; null if none is.
SELECT extract(epoch FROM min(due_at) - now())::float8 FROM artifact_deletions
WHERE due_at < 'infinity'

-- name: receipt
-- One receipt, with its pending artifacts.
SELECT id, subject, subject_hash, reason, counts, begun_at, completed_at,
       (SELECT count(*) FROM artifact_deletions WHERE erasure_id = erasures.id) AS pending_artifacts
FROM erasures WHERE id = :id

-- name: finished
-- The last completed erasure of a subject, by the index on its hash.
SELECT id, subject, subject_hash, reason, counts, begun_at, completed_at,
       (SELECT count(*) FROM artifact_deletions WHERE erasure_id = erasures.id) AS pending_artifacts
FROM erasures
WHERE subject_hash = :subject_hash AND subject = :subject AND completed_at IS NOT NULL
ORDER BY id DESC LIMIT 1

-- name: receipts
-- Newest first: ids sort by time.
SELECT id, subject, subject_hash, reason, counts, begun_at, completed_at,
       (SELECT count(*) FROM artifact_deletions WHERE erasure_id = erasures.id) AS pending_artifacts
FROM erasures WHERE :before::uuid IS NULL OR id < :before ORDER BY id DESC LIMIT :limit

-- name: guest_by_session_id
-- The participant of a session, for one without a ref.
SELECT participant.id, participant.ref IS NOT NULL AS has_ref
FROM conversation_sessions AS session JOIN participants AS participant
  ON participant.user_id = session.user_id AND participant.id = session.participant_id
WHERE session.id = :id

-- name: guest_by_participant_id
-- The same by their own id.
SELECT id, ref IS NOT NULL AS has_ref FROM participants WHERE id = :id

-- name: hold_owners_of
-- Removals lock the owner first: of the person, of a session, and of a document, whose citations are
-- in sessions.
SELECT id FROM users WHERE id IN (SELECT p.user_id FROM participants AS p WHERE {found_by})
ORDER BY id FOR SHARE

-- name: hold_participants
-- In key order, so that two erasures do not deadlock. Keeps sessions from being started with them;
-- whoever stores a turn of theirs goes on.
SELECT user_id, id FROM participants AS p WHERE {found_by} ORDER BY user_id, id FOR NO KEY UPDATE

-- name: lock_participants
-- Waits for turns that refer to them, and keeps later ones from being stored.
SELECT user_id, id FROM participants AS p WHERE {found_by} ORDER BY user_id, id FOR UPDATE

-- name: lock_sessions_of
-- In key order, as all who lock several.
SELECT user_id, id FROM conversation_sessions WHERE (user_id, id) IN ({found_by})
ORDER BY user_id, id FOR UPDATE

-- name: artifacts_redacted
-- What was recorded of a participant, before its rows are removed.
SELECT 'session_artifacts' AS table_name, user_id, id, kind, artifact_uri FROM session_artifacts
WHERE {found_by} AND artifact_uri IS NOT NULL

-- name: redact_batch
-- Locks rows in key order first, as all writers do; in batches, to keep statements short.
WITH chosen AS (SELECT {key} FROM {table} WHERE {found_by} ORDER BY {key} LIMIT :batch FOR UPDATE),
     done AS (UPDATE {table} AS held SET {sets} FROM chosen WHERE {same} RETURNING 1)
SELECT count(*) FROM done

-- name: lock_subject
-- Serializes erasures of one subject.
SELECT pg_advisory_xact_lock(hashtextextended('digitwin.erasure ' || :subject_hash, 0))

-- name: begin_erasure
-- An interrupted erasure is continued.
INSERT INTO erasures (id, subject, subject_hash, reason) VALUES (:id, :subject, :subject_hash, :reason)
ON CONFLICT (subject_hash) WHERE completed_at IS NULL DO UPDATE SET reason = excluded.reason
RETURNING id, begun_at

-- name: complete_erasure
-- The completed row makes the cache refuse writes for them; their artifacts become due.
WITH due AS (
    UPDATE artifact_deletions SET due_at = now() WHERE erasure_id = :id AND due_at = 'infinity'
)
UPDATE erasures SET counts = :counts::jsonb, completed_at = greatest(now(), begun_at) WHERE id = :id

-- name: lock_person
-- Blocks everybody who inserts rows for this person; lock_sessions does the same for turns.
SELECT count(*) FROM (SELECT 1 FROM users WHERE id = :person FOR UPDATE) AS person

-- name: hold_participants_of
-- Before the sessions, as `hold_participants`.
SELECT count(*) FROM (SELECT 1 FROM participants WHERE user_id = :person
                      ORDER BY id FOR NO KEY UPDATE) AS participants

-- name: lock_sessions
-- In key order, so that concurrent writers do not deadlock.
SELECT count(*) FROM (SELECT 1 FROM conversation_sessions WHERE user_id = :person
                      ORDER BY id FOR UPDATE) AS sessions

-- name: allow_erasure
-- Passes the guards against hard deletes for the rest of this transaction.
SELECT set_config('digitwin.allow_hard_delete', 'on', true)

-- name: erase_batch
-- Locks rows in key order first, as all writers do; in batches, to keep statements short.
WITH chosen AS (SELECT {key} FROM {table} WHERE {found_by} ORDER BY {key} LIMIT :batch FOR UPDATE),
     gone AS (DELETE FROM {table} AS held USING chosen WHERE {same} RETURNING 1)
SELECT count(*) FROM gone

-- name: count_held
-- Rows that the cache is about to delete, for the receipt.
SELECT count(*) FROM {table} WHERE {found_by}

-- name: erased
-- Erasures recorded in this database, interrupted ones included.
SELECT subject_hash, max(coalesce(completed_at, begun_at)) AS at FROM erasures GROUP BY subject_hash

-- name: people
-- Everybody with data in this database, also in tables without a foreign key to users. The nil
-- UUID is nobody: rows that concern no person have it.
SELECT id FROM (
    SELECT id FROM users
    UNION SELECT user_id FROM user_emails
    UNION SELECT user_id FROM user_keys
    UNION SELECT user_id FROM audit_logs
    UNION SELECT actor_id FROM audit_logs WHERE actor_id IS NOT NULL
) AS people (id) WHERE id <> :nobody

-- name: named_participants
-- Participants with a ref, once across all owners.
SELECT kind, ref, min(created_at) AS since FROM participants WHERE ref IS NOT NULL
GROUP BY kind, ref

-- name: guests
-- Participants without a ref, with their sessions.
SELECT p.id, session.id AS session_id FROM participants AS p LEFT JOIN conversation_sessions AS session
  ON session.user_id = p.user_id AND session.participant_id = p.id
WHERE p.ref IS NULL

-- name: erased_lately
-- Avoids scanning tables when nobody was erased recently.
SELECT EXISTS (SELECT FROM erasures WHERE completed_at > now() - make_interval(secs => :look_back_seconds))

-- name: remove_late_writes
-- The hash is computed for every row, which is `late`: no index covers it. Rows of nobody stay,
-- even if a release that allowed it has erased the nil UUID.
WITH gone AS (
    DELETE FROM {table} AS late USING erasures
    WHERE completed_at > now() - make_interval(secs => :look_back_seconds)
          AND subject_hash <> :nobody
          AND subject_hash = encode(sha256(convert_to({whose}, 'UTF8')), 'hex')
    RETURNING 1
)
SELECT count(*) FROM gone
