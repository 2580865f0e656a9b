-- name: owner
-- The session's owner, found by its id in the same round trip; where the caller knows the owner,
-- `{owner}` is `:user_id` instead.
(SELECT user_id FROM conversation_sessions WHERE id = :session_id)

-- name: turn_owner
-- The same of a turn.
(SELECT user_id FROM conversation_turns WHERE id = :turn_id)

-- name: the_turn
-- A turn whose session is not deleted; of this session, if one is given.
the_turn AS (
    SELECT turn.user_id, turn.session_id, turn.id FROM conversation_turns AS turn
    JOIN conversation_sessions AS session
      ON session.user_id = turn.user_id AND session.id = turn.session_id
    WHERE turn.id = :turn_id AND turn.user_id = {turn_owner} AND session.deleted_at IS NULL
      AND (:session_id::uuid IS NULL OR turn.session_id = :session_id)
)

-- name: items_of_session
-- One row of nulls if the session has no items, and none if there is no session.
WITH session AS (
    SELECT user_id, id FROM conversation_sessions
    WHERE id = :session_id AND user_id = {owner} AND deleted_at IS NULL
)
SELECT item.* FROM session LEFT JOIN LATERAL (
    SELECT {columns of turn_items} FROM turn_items
    WHERE user_id = session.user_id AND session_id = session.id AND number {beyond} :after::int
      AND (:kinds::text[] IS NULL OR kind = ANY(:kinds))
    ORDER BY number {direction} LIMIT :limit
) AS item ON true;

-- name: items_of_turn
-- The same of a turn. Not by its session: the planner would read that session's items in order.
WITH {the_turn}
SELECT item.* FROM the_turn LEFT JOIN LATERAL (
    SELECT {columns of turn_items} FROM turn_items
    WHERE user_id = the_turn.user_id AND turn_id = the_turn.id AND number {beyond} :after::int
      AND (:kinds::text[] IS NULL OR kind = ANY(:kinds))
    ORDER BY number {direction} LIMIT :limit
) AS item ON true;

-- name: stored_items
-- The items of a call, stored by it or by an earlier one with the same `item_id`.
SELECT {columns of turn_items} FROM turn_items
WHERE session_id = :session_id AND user_id = {owner}
  AND (id = ANY(:ids::uuid[]) OR item_id = ANY(:item_ids::text[]));

-- name: citation
-- What is shown of a source: of a deleted document neither title nor quote.
source.id AS source_id, source.turn_id AS source_turn_id, source.document_id AS source_document_id,
document.title AS source_title, source.passage AS source_passage, source.score AS source_score,
CASE WHEN document.id IS NOT NULL THEN source.quote END AS source_quote,
document.visibility AS source_visibility, document.id IS NULL AS source_document_deleted

-- name: no_citation
-- A typed NULL for each of these.
NULL::uuid AS source_id, NULL::uuid AS source_turn_id, NULL::uuid AS source_document_id,
NULL::text AS source_title, NULL::text AS source_passage, NULL::float8 AS source_score,
NULL::text AS source_quote, NULL::text AS source_visibility, NULL::bool AS source_document_deleted

-- name: cited
-- The document of a source, unless it is deleted.
LEFT JOIN knowledge_documents AS document
  ON document.user_id = source.user_id AND document.id = source.document_id
 AND document.deleted_at IS NULL

-- name: sources
-- In the order of use. One row of nulls if the turn has no sources, and none if there is no turn.
WITH {the_turn}
SELECT cited.* FROM the_turn LEFT JOIN LATERAL (
    SELECT {citation} FROM turn_sources AS source {cited}
    WHERE source.user_id = the_turn.user_id AND source.turn_id = the_turn.id
    ORDER BY source.id
) AS cited ON true;

-- name: with_contents
-- As `with_turns`, with items and sources from the same snapshot; each kind of row is NULL in the
-- columns of the others. Of some turns, items and sources are found by the turns' ids.
WITH session AS (
    SELECT {columns} FROM conversation_sessions
    WHERE id = :session_id AND user_id = {owner} AND deleted_at IS NULL
), turn AS (
    SELECT turn.* FROM session CROSS JOIN LATERAL (
        SELECT {compact of conversation_turns} FROM conversation_turns
        WHERE user_id = session.user_id AND session_id = session.id
        ORDER BY position DESC LIMIT :limit
    ) AS turn
)
SELECT {columns}, {compact nulls of conversation_turns}, {compact nulls of turn_items},
       {no_citation}
FROM session
UNION ALL
SELECT {nulls}, turn.*, {compact nulls of turn_items}, {no_citation} FROM turn
UNION ALL
SELECT {nulls}, {compact nulls of conversation_turns}, item.*, {no_citation}
FROM session CROSS JOIN LATERAL (
    SELECT {compact of turn_items} FROM turn_items
    WHERE user_id = session.user_id AND session_id = session.id{of_turns} ORDER BY number
) AS item
UNION ALL
SELECT {nulls}, {compact nulls of conversation_turns}, {compact nulls of turn_items}, cited.*
FROM session CROSS JOIN LATERAL (
    SELECT {citation} FROM turn_sources AS source {cited}
    WHERE source.user_id = session.user_id AND source.session_id = session.id{of_turns}
    ORDER BY source.id
) AS cited;

-- name: add_usage
-- The lock keeps an erasure away, and one that came first is noticed. A request that was stored
-- before is found. If a concurrent call stores it, this one waits for that and returns no row,
-- since its snapshot is older: sent again, it finds it.
WITH session AS (
    SELECT user_id, id FROM conversation_sessions
    WHERE id = :session_id AND user_id = {owner} AND deleted_at IS NULL FOR KEY SHARE
), stored AS (
    INSERT INTO usage_records (
        user_id, session_id, id, turn_id, kind, provider, model, request_id, {usage_figures},
        extra, used_at
    )
    SELECT user_id, id, :id::uuid, :turn_id::uuid, :kind, :provider, :model, :request_id,
           {usage_values}, :extra::jsonb, coalesce(:used_at::timestamptz, statement_timestamp())
    FROM session
    WHERE :turn_id::uuid IS NULL OR EXISTS (
        SELECT 1 FROM conversation_turns AS turn
        WHERE turn.id = :turn_id AND turn.user_id = session.user_id
          AND turn.session_id = session.id)
    ON CONFLICT (user_id, session_id, kind, request_id) WHERE request_id IS NOT NULL DO NOTHING
    RETURNING {columns of usage_records}
)
SELECT * FROM stored
UNION ALL
SELECT {columns of usage_records as record} FROM session JOIN usage_records AS record
  ON record.user_id = session.user_id AND record.session_id = session.id
WHERE record.kind = :kind AND record.request_id = :request_id;

-- name: usage_figures
-- The figures of a record.
input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens,
audio_input_tokens, audio_output_tokens, characters, audio_ms

-- name: usage_values
-- Their parameters.
:input_tokens, :cached_input_tokens, :cache_write_tokens, :output_tokens, :reasoning_tokens,
:audio_input_tokens, :audio_output_tokens, :characters, :audio_ms

-- name: turn_in_session
-- Tells why usage was not stored: no row, the session is missing; false, the turn.
SELECT EXISTS (
    SELECT 1 FROM conversation_turns AS turn
    WHERE turn.id = :turn_id AND turn.user_id = session.user_id AND turn.session_id = session.id)
FROM conversation_sessions AS session
WHERE session.id = :session_id AND session.user_id = {owner} AND session.deleted_at IS NULL;

-- name: usage_totals
-- Sessions that are hidden do not count. Conditions and groups are those that are asked for, since
-- one statement for all of them would have no good generic plan.
SELECT {keys}{sums}
FROM usage_records AS record JOIN conversation_sessions AS session
  ON session.user_id = record.user_id AND session.id = record.session_id
WHERE session.deleted_at IS NULL{conditions}
GROUP BY {groups} {order}LIMIT :limit;
