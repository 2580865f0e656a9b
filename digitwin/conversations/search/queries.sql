-- name: said
-- What is searched of a turn: both sides, and of an answer that was interrupted what was heard of
-- it. The word between the two keeps a phrase from reaching from one into the other.
concat_ws(' {between} ', turn.user_text, coalesce(turn.heard_text, turn.twin_text)) AS said,
{configuration} AS language, coalesce(turn.started_at, turn.created_at) AS at

-- name: unsettled
-- Sessions that are hidden, or of which turns are not in the index.
SELECT id, indexed_to, turn_count, deleted_at IS NOT NULL AS is_hidden FROM conversation_sessions
WHERE user_id = :user_id AND (NOT is_indexed OR deleted_at IS NOT NULL)

-- name: fresh
-- Turns that are not in the index, as they are: those of active sessions and of sessions that ended
-- a moment ago, and in a session whose turns have changed since those from the first such one.
SELECT turn.* FROM unsettled AS session CROSS JOIN LATERAL (
    SELECT turn.session_id, turn.position, {said} FROM conversation_turns AS turn
    WHERE turn.user_id = :user_id AND turn.session_id = session.id
      AND turn.position > session.indexed_to OFFSET 0
) AS turn
WHERE NOT session.is_hidden AND session.turn_count > session.indexed_to

-- name: languages
-- In which languages this person's texts are. A row of the index may be of several.
WITH unsettled AS MATERIALIZED ({unsettled}), fresh AS ({fresh})
SELECT language FROM fresh
UNION SELECT language FROM conversation_words WHERE user_id = :user_id AND language <> '{default}'

-- name: lexemes
-- The question's words as the texts' are read, in each of their languages.
SELECT configuration, text, lexeme, positions
FROM unnest(:configurations::text[]) AS configuration, unnest(:texts::text[]) AS text,
     unnest(to_tsvector(('pg_catalog.' || configuration)::regconfig, text))

-- name: within
-- The sessions to which a search is limited.
within AS MATERIALIZED (
    SELECT id FROM conversation_sessions
    WHERE user_id = :user_id AND deleted_at IS NULL{by_participant}{by_session}
),

-- name: all_rows
-- The index of a person.
conversation_words AS b

-- name: rows_within
-- The same of the sessions to which a search is limited.
within CROSS JOIN LATERAL (
    SELECT * FROM conversation_words
    WHERE user_id = :user_id AND session_id = within.id OFFSET 0
) AS b

-- name: search
-- Reads all rows of the index that the filters leave: 3,000 to 5,000 for 100,000 turns, while under
-- row security no GIN index is used. In a row, a lexeme's positions are turns: `<0>` is "in one
-- turn". A row has a bit for each word that it has, by which words are weighed and rows are put in
-- order; the first ones are read turn by turn. Phrases and exclusions are compared with the turns
-- themselves, since the index has no positions of words; so are turns of a row of several languages,
-- which has a word if one of its languages has. A subquery with OFFSET 0 keeps its place
-- and its order: what follows it stops at its LIMIT, and no vector goes through a join. A plan for
-- unknown values wrote the vectors to a temporary file, to join them with `asked`.
WITH {within}unsettled AS MATERIALIZED ({unsettled}
), asked AS MATERIALIZED (
    SELECT language, in_row::tsquery, in_turn::tsquery, whole::tsquery, exact::tsquery,
           marked::tsquery, string_to_array(lexemes, ' ') AS lexemes, {word_columns},
           (SELECT bit_or({bits_of_asked}) FROM unnest(string_to_array(pairs, ',')) AS pair) AS pairs
    FROM unnest(:languages::text[], :in_row::text[], :in_turn::text[], :whole::text[],
                :exact::text[], :marked::text[], :lexemes::text[], :pairs::text[], {word_arrays})
        AS asked (language, in_row, in_turn, whole, exact, marked, lexemes, pairs, {word_names})
), block AS MATERIALIZED (
    SELECT b.session_id, b.first_position, b.language, b.last_at,
           coalesce(session.indexed_to, b.last_position) AS valid_to, b.is_whole, b.words
    FROM (
        SELECT b.session_id, b.first_position, b.last_position, b.language, b.last_at, found.*
        FROM {rows} CROSS JOIN LATERAL (
            SELECT {is_whole} AS is_whole, {words_of_row} AS words FROM asked
            WHERE asked.language = b.language AND b.words @@ asked.in_row
              AND (asked.pairs IS NULL OR b.pairs & asked.pairs = asked.pairs) OFFSET 0
        ) AS found
        WHERE b.user_id = :user_id
          AND (:since::timestamptz IS NULL OR b.last_at >= :since)
          AND (:until::timestamptz IS NULL OR b.first_at < :until) OFFSET 0
    ) AS b LEFT JOIN unsettled AS session ON session.id = b.session_id
    WHERE session.is_hidden IS NOT true
), fresh AS MATERIALIZED (
    SELECT turn.session_id, turn.position, turn.at, {words_of_fresh} AS words
    FROM ({fresh}{fresh_within}) AS turn JOIN asked USING (language), LATERAL (
        SELECT to_tsvector(('pg_catalog.' || language)::regconfig, {plain}) AS vector OFFSET 0
    ) AS read
    WHERE vector @@ in_turn AND (exact IS NULL OR vector @@ exact)
      AND (:since::timestamptz IS NULL OR turn.at >= :since)
      AND (:until::timestamptz IS NULL OR turn.at < :until)
), matched AS MATERIALIZED (
    SELECT words, count(*) AS times
    FROM (SELECT words FROM block UNION ALL SELECT words FROM fresh) AS each GROUP BY words
), weight AS MATERIALIZED (
    SELECT array_agg(ln(1 + total / greatest(times, 1)) ORDER BY n) AS of_word
    FROM (
        SELECT n, (SELECT sum(times)::float8 FROM matched) AS total,
               (SELECT sum(times) FROM matched WHERE words & (1::bigint << n) <> 0) AS times
        FROM generate_series(0, {width} - 1) AS n
    ) AS word
), indexed AS (
    SELECT hit.session_id, hit.position, hit.score, found.at
    FROM (
        SELECT part.session_id, part.language, part.first_position + turn.place - 1 AS position,
               {score_of_turn} AS score
        FROM weight, (
            SELECT block.* FROM weight, block ORDER BY {order_of_rows} LIMIT :rows
        ) AS part CROSS JOIN LATERAL (
            SELECT * FROM asked WHERE asked.language = part.language OFFSET 0
        ) AS asked CROSS JOIN LATERAL (
            SELECT place, {words_of_turn} AS words
            FROM (
                SELECT place, array_to_tsvector(array_agg(lexeme)) AS said
                FROM conversation_words AS b,
                     unnest(ts_filter(setweight(b.words, 'A', asked.lexemes), ARRAY['a'::"char"]))
                        AS word,
                     unnest(word.positions) AS place
                WHERE b.user_id = :user_id AND b.session_id = part.session_id
                  AND b.first_position = part.first_position
                GROUP BY place
            ) AS said
            WHERE said @@ asked.in_turn ORDER BY place DESC OFFSET 0
        ) AS turn
        WHERE part.first_position + turn.place - 1 <= part.valid_to
        {order_of_turns}
    ) AS hit CROSS JOIN LATERAL (
        SELECT turn.at FROM (
            SELECT {said} FROM conversation_turns AS turn
            WHERE turn.user_id = :user_id AND turn.session_id = hit.session_id
              AND turn.position = hit.position OFFSET 0
        ) AS turn CROSS JOIN LATERAL (
            SELECT in_turn, exact FROM asked WHERE asked.language = turn.language OFFSET 0
        ) AS asked
        WHERE ((exact IS NULL AND turn.language = hit.language) OR (
            SELECT vector @@ in_turn AND (exact IS NULL OR vector @@ exact) FROM (
                SELECT to_tsvector(('pg_catalog.' || turn.language)::regconfig, {plain}) AS vector
                OFFSET 0
            ) AS read))
          AND (:since::timestamptz IS NULL OR turn.at >= :since)
          AND (:until::timestamptz IS NULL OR turn.at < :until)
        OFFSET 0
    ) AS found
    LIMIT :pool
), best AS MATERIALIZED (
    SELECT * FROM (
        SELECT session_id, position, score, at FROM indexed
        UNION ALL
        SELECT session_id, position, {score_of_fresh}, at FROM weight, fresh
    ) AS hit
    ORDER BY {order} LIMIT :limit
)
SELECT best.*, turn.id, turn.user_text, turn.answer, turn.participant_id,
       {marked_user_text} AS marked_user_text, {marked_answer} AS marked_answer
FROM best CROSS JOIN LATERAL (
    SELECT turn.id, turn.user_text, coalesce(turn.heard_text, turn.twin_text) AS answer,
           coalesce(turn.participant_id, session.participant_id) AS participant_id, {said}
    FROM conversation_turns AS turn JOIN conversation_sessions AS session
      ON session.user_id = turn.user_id AND session.id = turn.session_id
    WHERE turn.user_id = :user_id AND turn.session_id = best.session_id
      AND turn.position = best.position OFFSET 0
) AS turn JOIN asked USING (language)
ORDER BY {order}

-- name: next_sessions
-- Sessions with turns to index, in the order of their key, each locked against whoever changes its
-- turns; skips those that are being written. Of an active session only whole rows are due, and all
-- once nobody has written for a while: until then its turns are read as they are.
SELECT user_id, id, indexed_to, turn_count, status = 'ended' AS has_ended,
       status = 'ended' OR NOT updated_at BETWEEN statement_timestamp() - make_interval(secs => :quiet)
                                          AND statement_timestamp() AS is_quiet
FROM conversation_sessions
WHERE NOT is_indexed AND deleted_at IS NULL
  AND (user_id, id) > (:after_user::uuid, :after_id::uuid)
  AND (status = 'ended' OR turn_count - indexed_to >= :whole_rows
       OR (turn_count > indexed_to AND NOT updated_at BETWEEN
           statement_timestamp() - make_interval(secs => :quiet) AND statement_timestamp()))
ORDER BY user_id, id LIMIT :sessions FOR UPDATE SKIP LOCKED

-- name: clear
-- The rows that are made anew: the one that the first of the turns is in, and those behind it.
WITH allowed AS MATERIALIZED (SELECT set_config('digitwin.allow_hard_delete', 'on', true) AS yes)
DELETE FROM conversation_words AS b
USING allowed, unnest(:owners::uuid[], :ids::uuid[], :firsts::int[]) AS part (user_id, id, first)
WHERE b.user_id = part.user_id AND b.session_id = part.id AND b.first_position >= part.first
  AND yes = 'on'

-- name: index
-- Stores the words of these turns, {turns_per_row} turns a row; of very long turns one, since a
-- vector holds 1 MB. Then they are read there, and the session only if turns are left.
WITH part AS MATERIALIZED (
    SELECT * FROM unnest(:owners::uuid[], :ids::uuid[], :firsts::int[], :lasts::int[],
                         :complete::boolean[]) AS part (user_id, id, first, last, complete)
), turn AS MATERIALIZED (
    SELECT turn.*, to_tsvector(('pg_catalog.' || language)::regconfig, {plain}) AS words
    FROM part CROSS JOIN LATERAL (
        SELECT turn.user_id, turn.session_id, turn.position, {said}
        FROM conversation_turns AS turn
        WHERE turn.user_id = part.user_id AND turn.session_id = part.id
          AND turn.position BETWEEN part.first AND part.last OFFSET 0
    ) AS turn
), placed AS MATERIALIZED (
    SELECT turn.*, CASE
        WHEN sum(pg_column_size(words)) OVER (
            PARTITION BY user_id, session_id, (position - 1) / {turns_per_row}) > 900000
        THEN position ELSE (position - 1) / {turns_per_row} * {turns_per_row} + 1 END AS first
    FROM turn
), word AS (
    SELECT user_id, session_id, first, string_agg(
               array_to_tsvector(ARRAY[lexeme])::text || ':' || places, ' ')::tsvector AS words
    FROM (
        SELECT user_id, session_id, first, lexeme, string_agg((position - first + 1)::text, ',') AS places
        FROM placed, unnest(words) AS word WHERE NOT starts_with(lexeme, '{between}')
        GROUP BY user_id, session_id, first, lexeme
    ) AS of_lexeme GROUP BY user_id, session_id, first
), pair AS (
    SELECT user_id, session_id, first, bit_or({bits_of_pair}) AS pairs
    FROM (
        SELECT user_id, session_id, first, lexeme, place, lead(lexeme) OVER following AS following,
               lead(place) OVER following AS following_place
        FROM placed, unnest(words) AS word, unnest(word.positions) AS place
        WINDOW following AS (PARTITION BY user_id, session_id, position ORDER BY place)
    ) AS word WHERE following_place = place + 1 GROUP BY user_id, session_id, first
), stored AS (
    INSERT INTO conversation_words (
        user_id, session_id, first_position, last_position, language, first_at, last_at, words,
        pairs)
    SELECT held.*, coalesce(word.words, ''), coalesce(pair.pairs, {no_pairs})
    FROM (
        SELECT user_id, session_id, first, max(position),
               string_agg(DISTINCT language, ' ' ORDER BY language), min(at), max(at)
        FROM placed GROUP BY user_id, session_id, first
    ) AS held LEFT JOIN word USING (user_id, session_id, first)
        LEFT JOIN pair USING (user_id, session_id, first)
)
UPDATE conversation_sessions AS session
SET indexed_to = part.last, is_indexed = part.complete
FROM part WHERE session.user_id = part.user_id AND session.id = part.id
