-- name: held
-- Part of the statements: the memories of a person for an audience. An expired one is not returned,
-- whether or not it is removed yet, and none while the person is deleted.
m.user_id = :user_id AND m.audience = :audience
AND (m.expires_at IS NULL OR m.expires_at > statement_timestamp())
AND EXISTS (SELECT FROM users WHERE id = :user_id AND deleted_at IS NULL)

-- name: asked
-- Places, in the order of the key, as everyone locks these rows. The LIMIT makes the planner expect
-- few: else the plan made while the table is empty reads the whole table, and is kept while it fills.
(SELECT * FROM unnest(:namespaces::text[], :keys::text[]) AS asked (namespace, key)
 ORDER BY namespace COLLATE "C", key COLLATE "C" LIMIT cardinality(:keys::text[])) AS asked

-- name: row
-- The columns of a memory, and whether its time to live can count anew: on a standby it cannot, where
-- reading must not fail for that.
m.namespace, m.key, m.value, m.expires_at, m.created_at, m.updated_at,
m.ttl_seconds IS NOT NULL AND current_setting('transaction_read_only') = 'off' AS can_refresh

-- name: find
-- One index lookup for each key. OFFSET 0 makes it one: else the planner, to whom a new person is
-- somebody with one memory, compares all of the person's with each key.
SELECT m.* FROM {asked} CROSS JOIN LATERAL (
    SELECT {row} FROM memories AS m
    WHERE {held} AND m.namespace = asked.namespace AND m.key = asked.key OFFSET 0
) AS m

-- name: refresh
-- The time to live counts anew. It does so once a hundredth of it has passed, so that frequent reads
-- write little, and if it ends later than it can: it was set while the clock was ahead. A row that
-- is locked is being written, or refreshed, by another: nobody waits. OFFSET 0 as in `find`.
WITH due AS MATERIALIZED (
    SELECT m.* FROM {asked} CROSS JOIN LATERAL (
        SELECT m.user_id, m.audience, m.namespace, m.key FROM memories AS m
        WHERE {held} AND m.namespace = asked.namespace AND m.key = asked.key
          AND NOT m.expires_at BETWEEN
              statement_timestamp() + make_interval(secs => m.ttl_seconds * 0.99)
              AND statement_timestamp() + make_interval(secs => m.ttl_seconds)
        OFFSET 0 FOR UPDATE SKIP LOCKED
    ) AS m
)
UPDATE memories AS m
SET expires_at = statement_timestamp() + make_interval(secs => m.ttl_seconds)
FROM due
WHERE m.user_id = due.user_id AND m.audience = due.audience
  AND m.namespace = due.namespace AND m.key = due.key
RETURNING m.namespace, m.key, m.expires_at

-- name: put
-- In the order of the key, as everyone locks these rows. Returns nothing if the person is missing or
-- deleted. What had expired begins anew; `lived` is whether there was something else before.
WITH owner AS MATERIALIZED (
    SELECT id FROM users WHERE id = :user_id AND deleted_at IS NULL FOR SHARE
)
INSERT INTO memories AS m (
    user_id, audience, namespace, key, value, language, words, ttl_seconds, expires_at,
    created_at, updated_at)
SELECT owner.id, :audience, given.namespace, given.key, given.value, given.language,
       strip(to_tsvector(('pg_catalog.' || given.language)::regconfig, {plain})),
       given.ttl, statement_timestamp() + make_interval(secs => given.ttl),
       statement_timestamp(), statement_timestamp()
FROM owner, (
    SELECT namespace, key, value::jsonb, {configuration} AS language, said, ttl
    FROM unnest(:namespaces::text[], :keys::text[], :values::text[], :texts::text[],
                :languages::text[], :ttls::float8[])
        AS given (namespace, key, value, said, spoken, ttl)
    ORDER BY namespace COLLATE "C", key COLLATE "C" OFFSET 0
) AS given
ON CONFLICT (user_id, audience, namespace, key) DO UPDATE
SET value = excluded.value, language = excluded.language, words = excluded.words,
    ttl_seconds = excluded.ttl_seconds, expires_at = excluded.expires_at,
    created_at = CASE WHEN m.expires_at <= statement_timestamp() THEN excluded.created_at
                      ELSE m.created_at END,
    updated_at = excluded.updated_at
RETURNING m.namespace, m.key, m.created_at <> statement_timestamp() AS lived

-- name: delete
-- For good. `lived` is false for what had expired. The permission that the guard asks for ends with
-- the statement, whatever the transaction goes on to do: hence a row of nulls if nothing is deleted.
-- OFFSET 0 as in `find`.
WITH permission AS MATERIALIZED (
    SELECT coalesce(current_setting('digitwin.allow_hard_delete', true), '') AS before
), allowed AS MATERIALIZED (
    SELECT set_config('digitwin.allow_hard_delete', 'on', true) AS yes
    FROM permission WHERE before IS NOT NULL
), chosen AS MATERIALIZED (
    SELECT m.* FROM {asked} CROSS JOIN LATERAL (
        SELECT m.user_id, m.audience, m.namespace, m.key FROM memories AS m
        WHERE m.user_id = :user_id AND m.audience = :audience
          AND EXISTS (SELECT FROM users WHERE id = :user_id AND deleted_at IS NULL)
          AND m.namespace = asked.namespace AND m.key = asked.key OFFSET 0 FOR UPDATE
    ) AS m
), gone AS (
    DELETE FROM memories AS m USING allowed, chosen
    WHERE m.user_id = chosen.user_id AND m.audience = chosen.audience
      AND m.namespace = chosen.namespace AND m.key = chosen.key AND yes = 'on'
    RETURNING m.namespace, m.key,
              m.expires_at IS NULL OR m.expires_at > statement_timestamp() AS lived
), ended AS MATERIALIZED (
    SELECT set_config('digitwin.allow_hard_delete', before, true) AS permission
    FROM permission, (SELECT count(*) FROM gone) AS rows
)
SELECT gone.* FROM ended LEFT JOIN gone ON true

-- name: within
-- A namespace and those below it: the first two are a range of the index, in which names such as
-- `a-b` stand between `a` and `a.b`.
AND m.namespace >= :prefix AND m.namespace < :prefix_end
AND (m.namespace = :prefix OR m.namespace >= :below)

-- name: conditions
-- The conditions of a filter, each on the value at a path.
condition AS MATERIALIZED (
    SELECT path::text[] AS path, operator, operand::jsonb AS operand
    FROM unnest(:paths::text[], :operators::text[], :operands::text[])
        AS condition (path, operator, operand)
)

-- name: number_at
-- The number at a path, also one that is written as text.
CASE jsonb_typeof(m.value #> path)
WHEN 'number' THEN (m.value #>> path)::numeric
WHEN 'string' THEN CASE WHEN (m.value #>> path) ~ '^{number}$'
                        THEN (m.value #>> path)::numeric END
END

-- name: fulfils
-- Part of the statements that filter. What is missing is null.
AND NOT EXISTS (
    SELECT FROM condition WHERE NOT coalesce(CASE operator
        WHEN '=' THEN coalesce(m.value #> path, 'null') = operand
        WHEN '<>' THEN coalesce(m.value #> path, 'null') <> operand
        WHEN 'type' THEN jsonb_typeof(m.value #> path) = operand #>> '{}'
        WHEN 'length' THEN CASE jsonb_typeof(m.value #> path)
            WHEN 'array' THEN to_jsonb(jsonb_array_length(m.value #> path)) = operand END
        WHEN '>' THEN {number_at} > (operand #>> '{}')::numeric
        WHEN '>=' THEN {number_at} >= (operand #>> '{}')::numeric
        WHEN '<' THEN {number_at} < (operand #>> '{}')::numeric
        WHEN '<=' THEN {number_at} <= (operand #>> '{}')::numeric
    END, false)
)

-- name: search
-- Reads the person's memories in this place, and no index of words: under row security such an
-- index is of no use.
{with_conditions}SELECT {row}, NULL::float8 AS score FROM memories AS m
WHERE {held} {within_prefix} {filtered}
ORDER BY m.updated_at DESC, m.namespace, m.key LIMIT :limit OFFSET :offset

-- name: rank
-- As `search`, the best first: a memory scores by the words of the query that it has, each weighing
-- more the fewer memories have it. A memory without any follows, without a score. Words are read as
-- the memory's are, in each language that there is. The values are read of the result alone.
WITH {conditions_first}language AS MATERIALIZED (
    SELECT DISTINCT m.language FROM memories AS m WHERE {held} {within_prefix}
), term AS MATERIALIZED (
    SELECT language, n, string_agg(array_to_tsvector(ARRAY[lexeme])::text, ' & ')::tsquery AS query
    FROM language, unnest(:terms::text[]) WITH ORDINALITY AS term (text, n),
         unnest(to_tsvector(('pg_catalog.' || language)::regconfig, text))
    GROUP BY language, n
), question AS MATERIALIZED (
    SELECT language, string_agg('(' || query::text || ')', ' | ')::tsquery AS query
    FROM term GROUP BY language
), found AS MATERIALIZED (
    SELECT m.namespace, m.key, m.updated_at, CASE WHEN m.words @@ (
        SELECT query FROM question WHERE question.language = m.language
    ) THEN ARRAY(
        SELECT n FROM term WHERE term.language = m.language AND m.words @@ term.query
    ) END AS terms
    FROM memories AS m WHERE {held} {within_prefix} {filtered}
), weight AS MATERIALIZED (
    SELECT n, ln(1 + (SELECT count(*) FROM found WHERE terms IS NOT NULL)::float8 / count(*)) AS weight
    FROM found, unnest(terms) AS n GROUP BY n
), best AS MATERIALIZED (
    SELECT namespace, key, (SELECT sum(weight) FROM weight WHERE n = ANY(terms)) AS score
    FROM found ORDER BY score DESC NULLS LAST, updated_at DESC, namespace, key
    LIMIT :limit OFFSET :offset
)
SELECT m.*, best.score FROM best CROSS JOIN LATERAL (
    SELECT {row} FROM memories AS m
    WHERE m.user_id = :user_id AND m.audience = :audience
      AND m.namespace = best.namespace AND m.key = best.key OFFSET 0
) AS m
ORDER BY best.score DESC NULLS LAST, m.updated_at DESC, m.namespace, m.key

-- name: namespaces
-- The places that hold something, cut at a depth. A period separates labels, so that they sort as
-- lists of labels do.
SELECT DISTINCT labels[1:coalesce(:max_depth::int, cardinality(labels))] AS labels
FROM (
    SELECT string_to_array(namespace, '.') AS labels
    FROM (SELECT DISTINCT m.namespace FROM memories AS m WHERE {held} {within_prefix}) AS place
) AS place
WHERE NOT EXISTS (
    SELECT FROM unnest(:from_end::bool[], :patterns::text[]) AS condition (from_end, pattern),
         string_to_array(pattern, '.') AS wanted
    WHERE cardinality(wanted) > cardinality(labels) OR EXISTS (
        SELECT FROM unnest(wanted) WITH ORDINALITY AS label (text, n)
        WHERE text <> '*' AND text <> labels[
            n + CASE WHEN from_end THEN cardinality(labels) - cardinality(wanted) ELSE 0 END])
)
ORDER BY labels LIMIT :limit OFFSET :offset

-- name: purge
-- One batch of what has expired; skips rows that are locked.
WITH allowed AS MATERIALIZED (
    SELECT set_config('digitwin.allow_hard_delete', 'on', true) AS yes
), expired AS MATERIALIZED (
    SELECT user_id, audience, namespace, key FROM memories
    WHERE expires_at <= statement_timestamp()
    ORDER BY expires_at LIMIT :batch FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM memories AS m USING allowed, expired
    WHERE m.user_id = expired.user_id AND m.audience = expired.audience
      AND m.namespace = expired.namespace AND m.key = expired.key AND yes = 'on'
    RETURNING 1
)
SELECT count(*) FROM gone
