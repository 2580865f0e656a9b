-- {columns} stands for the columns of the table ({d_columns}: as d), {owner} for the condition of
-- a scope: empty, or " AND user_id = " and the last argument. {record} adds the record of what
-- `done` has changed to the audit trail; its parameters come before the scope's.

-- name: search
-- A term counts by how rare it is among what this caller may see and how often it is asked for;
-- in a document by how often it stands there, where (a title counts more), and in how long a
-- text. On the CISI collection: nDCG@10 0.40; any-word ts_rank alone 0.24, BM25 0.38. The
-- vector is unpacked once (|| ''): PostgreSQL would do it again for every term.
WITH term AS MATERIALIZED (
    SELECT array_to_tsvector(ARRAY[lexeme])::text::tsquery AS query,
           cardinality(positions) AS asked
    FROM unnest(to_tsvector('pg_catalog.english', $2))
), question AS MATERIALIZED (
    SELECT concat_ws(' & ',
        (SELECT '(' || string_agg(query::text, ' | ') || ')' FROM term),
        (SELECT string_agg('(' || either || ')', ' & ') FROM (
            SELECT string_agg('(' || phrase::text || ')', ' | ') AS either
            FROM unnest($3::text[], $4::int[]) AS required (text, place),
                 phraseto_tsquery('pg_catalog.english', text) AS phrase
            WHERE numnode(phrase) > 0 GROUP BY place) AS grouped),
        (SELECT string_agg('!(' || phrase::text || ')', ' & ')
         FROM unnest($5::text[]) AS excluded (text),
              phraseto_tsquery('pg_catalog.english', text) AS phrase
         WHERE numnode(phrase) > 0)
    )::tsquery AS query
    WHERE EXISTS (SELECT 1 FROM term)
), candidate AS MATERIALIZED (
    SELECT document.id, document.search_vector || ''::tsvector AS vector
    FROM question JOIN knowledge_documents AS document
      ON document.user_id = $1 AND document.search_vector @@ question.query
    WHERE document.deleted_at IS NULL AND document.visibility = ANY($6::text[])
), library AS MATERIALIZED (
    SELECT count(*)::float8 AS size FROM knowledge_documents
    WHERE user_id = $1 AND deleted_at IS NULL AND visibility = ANY($6::text[])
), weighed AS MATERIALIZED (
    SELECT query, asked * ln(1 + (size - found + 0.5) / (found + 0.5)) AS weight
    FROM term, library, LATERAL (
        SELECT count(*)::float8 AS found FROM candidate WHERE vector @@ query) AS having_it
), best AS MATERIALIZED (
    SELECT id, (
        SELECT sum(weight * ts_rank('{{0, 0, 0.7, 1}}', vector, query, 1)) FROM weighed
    ) AS score
    FROM candidate ORDER BY score DESC, id DESC LIMIT $7
)
SELECT {d_columns}, best.score, ts_headline(
    'pg_catalog.english', left(d.content, $8), (SELECT query FROM question), $9
) AS headline
FROM best JOIN knowledge_documents AS d ON d.user_id = $1 AND d.id = best.id
ORDER BY best.score DESC, d.id DESC

-- name: claim
-- Whoever comes first locks the oldest; the others step over it. The clock is the database's.
WITH next AS (
    SELECT user_id, id FROM knowledge_documents
    WHERE status IN ('pending', 'processing') AND deleted_at IS NULL
      AND (status = 'pending' OR lease_until <= statement_timestamp()){owner}
    ORDER BY created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
), done AS (
    UPDATE knowledge_documents AS d
    SET status = 'processing', worker = $1, attempts = d.attempts + 1, error = NULL,
        lease_until = statement_timestamp() + make_interval(secs => $2),
        version = d.version + 1, updated_at = now()
    FROM next WHERE d.user_id = next.user_id AND d.id = next.id
    RETURNING {d_columns}
), recorded AS ({record})
SELECT * FROM done

-- name: finish
-- Only while the lease holds, by the clock at the very moment the row is ours.
WITH done AS (
    UPDATE knowledge_documents
    SET status = $3, error = $4, worker = NULL, lease_until = NULL,
        version = version + 1, updated_at = now()
    WHERE id = $1 AND worker = $2 AND status = 'processing' AND deleted_at IS NULL
      AND lease_until > clock_timestamp(){owner}
    RETURNING {columns}
), recorded AS ({record})
SELECT * FROM done

-- name: lock
-- The row as it is, held until the transaction ends: what may follow depends on its status.
SELECT {columns} FROM knowledge_documents
WHERE id = $1 AND deleted_at IS NULL{owner} FOR UPDATE

-- name: statistics
-- One pass, and as few rows as there are kinds of documents.
SELECT status, visibility, deleted_at IS NULL AS alive, count(*) AS documents,
       sum(octet_length(title) + octet_length(content))::bigint AS bytes
FROM knowledge_documents WHERE true{owner} GROUP BY 1, 2, 3
