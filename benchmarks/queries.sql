-- Rows that look like a service some months old. Ids are those of `filling.identity`: the kind
-- of row, and its number.

-- name: users
-- Numbers $1 to $2, each with an address.
WITH new AS (
    SELECT n, ('01990000-0000-7000-8001-' || lpad(to_hex(n), 12, '0'))::uuid AS id,
           'user-' || n || '@example.com' AS email
    FROM generate_series($1::bigint, $2::bigint) AS n
), addressed AS (
    INSERT INTO user_emails (address, user_id) SELECT email, id FROM new
)
INSERT INTO users (id, email, name, personality_traits, settings, subscription_tier)
SELECT id, email, 'User number ' || n, '["curious", "dry humour", "patient"]',
       '{"language": "en", "voice_speed": 1.0, "greeting": "Good morning!", "captions": true}',
       CASE WHEN n % 10 = 0 THEN 'pro' ELSE 'free' END
FROM new;

-- name: sessions
-- Numbers $1 to $2, spread over $3 users, each of $4 turns.
INSERT INTO conversation_sessions (user_id, id, external_id, turn_count, metadata)
SELECT ('01990000-0000-7000-8001-' || lpad(to_hex(n % $3::bigint), 12, '0'))::uuid,
       ('01990000-0000-7000-8002-' || lpad(to_hex(n), 12, '0'))::uuid,
       'call-' || n, $4::int, '{"channel": "web", "page": "/opening-hours"}'
FROM generate_series($1::bigint, $2::bigint) AS n;

-- name: turns
-- Of the sessions $1 to $2 over $3 users, $4 each: a question of 20 to 140 characters, an
-- answer of 60 to 400. Twenty sessions go on at once, so that each turn of one lies on a page of
-- its own, as in life.
INSERT INTO conversation_turns (
    user_id, session_id, position, id, user_text, twin_text, asr_ms, retrieval_ms,
    llm_first_token_ms, llm_ms, tts_ms, first_audio_ms, total_ms, input_tokens, output_tokens
)
SELECT ('01990000-0000-7000-8001-' || lpad(to_hex(n % $3::bigint), 12, '0'))::uuid,
       ('01990000-0000-7000-8002-' || lpad(to_hex(n), 12, '0'))::uuid, position,
       ('01990000-0000-7000-8003-' || lpad(to_hex(n * $4::int + position), 12, '0'))::uuid,
       left(repeat('When are you open, and is there a table by the window? ', 3),
            (20 + (n * 37 + position * 11) % 121)::int),
       left(repeat('From nine to six, Tuesday to Saturday; the oven rests on Mondays. ', 7),
            (60 + (n * 53 + position * 29) % 341)::int),
       80 + position, 3, 210, 480, 90, 390, 700, 320, 60
FROM generate_series($1::bigint, $2::bigint) AS n, generate_series(1, $4::int) AS position
ORDER BY n / 20, position, n;

-- name: embeddings
-- Keys $1 to $2, with one of the vectors $3.
INSERT INTO embedding_cache (key, value, size_bytes, expires_at)
SELECT 'query-' || n, vector, octet_length(vector), now() + interval '1 day'
FROM generate_series($1::bigint, $2::bigint) AS n,
     LATERAL (SELECT ($3::bytea[])[1 + n % cardinality($3::bytea[])] AS vector) AS chosen;

-- name: responses
-- Keys $1 to $2, each with the answer $3.
INSERT INTO llm_response_cache (key, value, size_bytes, expires_at)
SELECT 'prompt-' || n, $3::text::json, octet_length($3::text), now() + interval '1 day'
FROM generate_series($1::bigint, $2::bigint) AS n;

-- name: buckets
-- Of the subjects $1 to $2: full ones.
INSERT INTO rate_limits (subject, endpoint, window_ms, max_tokens, tokens)
SELECT ('01990000-0000-7000-8001-' || lpad(to_hex(n), 12, '0')), '/api/conversations',
       3600000, 1000000, 1000000
FROM generate_series($1::bigint, $2::bigint) AS n;

-- name: bench_schema
-- The simplest table of the same key, with the room for updates that ours has.
CREATE SCHEMA bench
    CREATE TABLE buckets (
        subject text, endpoint text, window_ms bigint, tokens double precision NOT NULL,
        PRIMARY KEY (subject, endpoint, window_ms)
    ) WITH (fillfactor = 50);

-- name: simple_buckets
-- Of the same subjects.
INSERT INTO bench.buckets
SELECT ('01990000-0000-7000-8001-' || lpad(to_hex(n), 12, '0')), '/api/conversations',
       3600000, 1000000
FROM generate_series($1::bigint, $2::bigint) AS n;
