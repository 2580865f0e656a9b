-- name: search
-- BM25-like ranking: a term weighs more the rarer it is among the documents this caller may see and
-- the more often the query repeats it; within a document its frequency, its place (title or
-- content) and the document's length count. On the CISI collection nDCG@10 is 0.40; ts_rank with
-- any of the words reaches 0.24, BM25 0.38. `|| ''` detoasts the vector once, not for each term.
WITH term AS MATERIALIZED (
    SELECT array_to_tsvector(ARRAY[lexeme])::text::tsquery AS query,
           cardinality(positions) AS asked
    FROM unnest(to_tsvector('pg_catalog.english', :words))
), question AS MATERIALIZED (
    SELECT concat_ws(' & ',
        (SELECT '(' || string_agg(query::text, ' | ') || ')' FROM term),
        (SELECT string_agg('(' || either || ')', ' & ') FROM (
            SELECT string_agg('(' || phrase::text || ')', ' | ') AS either
            FROM unnest(:required::text[], :required_group::int[]) AS required (text, group_no),
                 phraseto_tsquery('pg_catalog.english', text) AS phrase
            WHERE numnode(phrase) > 0 GROUP BY group_no) AS grouped),
        (SELECT string_agg('!(' || phrase::text || ')', ' & ')
         FROM unnest(:excluded::text[]) AS excluded (text),
              phraseto_tsquery('pg_catalog.english', text) AS phrase
         WHERE numnode(phrase) > 0)
    )::tsquery AS query
    WHERE EXISTS (SELECT 1 FROM term)
), candidate AS MATERIALIZED (
    SELECT document.id, document.search_vector || ''::tsvector AS vector
    FROM question JOIN knowledge_documents AS document
      ON document.user_id = :user_id AND document.search_vector @@ question.query
    WHERE document.deleted_at IS NULL AND document.visibility = ANY(:visibilities::text[])
), library AS MATERIALIZED (
    SELECT count(*)::float8 AS size FROM knowledge_documents
    WHERE user_id = :user_id AND deleted_at IS NULL AND visibility = ANY(:visibilities::text[])
), weighed AS MATERIALIZED (
    SELECT query, asked * ln(1 + (size - found + 0.5) / (found + 0.5)) AS weight
    FROM term, library, LATERAL (
        SELECT count(*)::float8 AS found FROM candidate WHERE vector @@ query) AS having_it
), best AS MATERIALIZED (
    SELECT id, (
        SELECT sum(weight * ts_rank('{0, 0, 0.7, 1}', vector, query, 1)) FROM weighed
    ) AS score
    FROM candidate ORDER BY score DESC, id DESC LIMIT :limit
)
SELECT {columns as d}, best.score, ts_headline(
    'pg_catalog.english', left(d.content, :headline_from), (SELECT query FROM question),
    :headline_options
) AS headline
FROM best JOIN knowledge_documents AS d ON d.user_id = :user_id AND d.id = best.id
ORDER BY best.score DESC, d.id DESC;

-- name: lease_ahead
-- Whether a lease begins more than its length ahead: it was made while the clock was ahead.
updated_at > statement_timestamp() + (lease_until - updated_at)

-- name: claim
-- Locks the oldest claimable document; concurrent workers skip locked rows. Leases follow the
-- database clock. One that was leased often enough fails here and is returned as failed: then the
-- caller asks again. So a row is looked at once, and no index is needed for those that failed.
WITH next AS (
    SELECT user_id, id, status = 'processing' AND attempts >= :max_attempts AS is_spent
    FROM knowledge_documents
    WHERE status IN ('pending', 'processing') AND deleted_at IS NULL
      AND (status = 'pending' OR lease_until <= statement_timestamp() OR {lease_ahead}){owner}
    ORDER BY created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
), done AS (
    UPDATE knowledge_documents AS d
    SET status = 'processing', worker = :worker, attempts = d.attempts + 1, error = NULL,
        lease_token = gen_random_uuid(),
        lease_until = statement_timestamp() + make_interval(secs => :lease_seconds),
        version = d.version + 1, updated_at = now()
    FROM next WHERE NOT is_spent AND d.user_id = next.user_id AND d.id = next.id
    RETURNING {columns as d}
), spent AS (
    UPDATE knowledge_documents AS d
    SET status = 'failed', worker = NULL, lease_token = NULL, lease_until = NULL,
        error = 'Leased ' || d.attempts || ' times, and each lease ran out before the end: the '
                'worker was killed, or needs a longer lease',
        version = d.version + 1, updated_at = now()
    FROM next WHERE is_spent AND d.user_id = next.user_id AND d.id = next.id
    RETURNING {columns as d}
), recorded AS (
    {audit claim}
), recorded_failure AS (
    WITH done AS (SELECT * FROM spent) {audit fail}
)
SELECT * FROM done UNION ALL SELECT * FROM spent;

-- name: while_leased
-- By the clock at the moment the row is locked. The release before claims without a token and
-- leaves the one that is there: the worker's name and the number of the attempt tell its lease.
WHERE id = :id AND lease_token = :token AND worker = :worker AND attempts = :attempt
  AND status = 'processing' AND deleted_at IS NULL AND lease_until > clock_timestamp(){owner}

-- name: finish
-- Only while the lease is valid.
WITH done AS (
    UPDATE knowledge_documents
    SET status = :status, error = :error, worker = NULL, lease_token = NULL, lease_until = NULL,
        version = version + 1, updated_at = now()
    {while_leased}
    RETURNING {columns}
), recorded AS ({audit {verb}})
SELECT * FROM done;

-- name: renew
-- Only while the lease is valid. `updated_at` is when the lease begins, see claim.
UPDATE knowledge_documents
SET lease_until = statement_timestamp() + make_interval(secs => :lease_seconds), updated_at = now()
{while_leased}
RETURNING {columns};

-- name: retry
-- Its place in the queue is the one it had.
WITH done AS (
    UPDATE knowledge_documents
    SET status = 'pending', attempts = 0, error = NULL, version = version + 1, updated_at = now()
    WHERE id = :id AND status = 'failed' AND deleted_at IS NULL{owner}
    RETURNING {columns}
), recorded AS ({audit retry})
SELECT * FROM done;

-- name: lock
-- Locks the row until the transaction ends: which changes are allowed depends on its status. A
-- change moves `updated_at`, so that claim could not see any more that a lease is ahead.
SELECT {columns}, {lease_ahead} AS is_ahead FROM knowledge_documents
WHERE id = :id AND deleted_at IS NULL{owner} FOR UPDATE;

-- name: statistics
-- One pass; returns one row per status, visibility and deletion state.
SELECT status, visibility, deleted_at IS NULL AS alive, count(*) AS documents,
       sum(octet_length(title) + octet_length(content))::bigint AS bytes
FROM knowledge_documents WHERE true{owner} GROUP BY 1, 2, 3;
