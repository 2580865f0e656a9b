"""The whole schema, as of the first release.

No schema name is written here: everything lands where `search_path` points. Every table of
a person's data leads its key with `user_id`, and every unique index and foreign key between
such tables contains it, so that the same schema can be distributed by it (Citus).
A constraint's name says which field an error speaks of: `ck_<table>__<field>`.
"""

from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
SET LOCAL lock_timeout = '5s';

-- Which schema this is: how many migrations, and the oldest release that can work with it.
-- First of all: here a second one that migrates meets the first
CREATE TABLE digitwin_schema (
    singleton boolean PRIMARY KEY DEFAULT true CONSTRAINT ck_digitwin_schema__singleton CHECK (singleton),
    version integer NOT NULL,
    oldest_reader integer NOT NULL,
    CONSTRAINT ck_digitwin_schema__oldest_reader CHECK (oldest_reader BETWEEN 1 AND version)
);
INSERT INTO digitwin_schema (version, oldest_reader) VALUES (1, 1);

-- Aerich's own book, with the index that makes a migration applied twice fail as a whole
CREATE TABLE IF NOT EXISTS aerich (
    id serial PRIMARY KEY,
    version varchar(255) NOT NULL,
    app varchar(100) NOT NULL,
    content jsonb NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS uq_aerich__version ON aerich (app, version);

-- A guard and nothing more: deletions go through the repositories, the trail is never changed
CREATE FUNCTION digitwin_guard() RETURNS trigger LANGUAGE plpgsql AS $guard$
BEGIN
    IF TG_OP = 'UPDATE' OR current_setting('digitwin.allow_hard_delete', true) IS DISTINCT FROM 'on' THEN
        RAISE EXCEPTION '% on % is refused: what is kept here is changed through digitwin', TG_OP, TG_TABLE_NAME;
    END IF;
    IF TG_OP = 'TRUNCATE' THEN
        RETURN NULL;
    END IF;
    RETURN OLD;
END
$guard$;


-- Users -----------------------------------------------------------------------------------

CREATE TABLE users (
    id uuid PRIMARY KEY,
    email varchar(320) NOT NULL,
    name varchar(200) NOT NULL,
    personality_traits jsonb NOT NULL DEFAULT '[]',
    settings jsonb NOT NULL DEFAULT '{}',
    subscription_tier varchar(16) NOT NULL DEFAULT 'free',
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    deletion_id uuid,
    CONSTRAINT ck_users__email CHECK (email LIKE '_%@_%'),
    CONSTRAINT ck_users__name CHECK (name <> ''),
    CONSTRAINT ck_users__personality_traits CHECK (jsonb_typeof(personality_traits) = 'array'),
    CONSTRAINT ck_users__settings CHECK (jsonb_typeof(settings) = 'object'),
    CONSTRAINT ck_users__subscription_tier CHECK (subscription_tier IN ('free', 'pro', 'enterprise')),
    CONSTRAINT ck_users__version CHECK (version >= 1),
    CONSTRAINT ck_users__deleted_at CHECK ((deleted_at IS NULL) = (deletion_id IS NULL))
);
CREATE INDEX ix_users__name ON users (name, id);
CREATE INDEX ix_users__subscription_tier ON users (subscription_tier, id);
CREATE TRIGGER users_guard BEFORE DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION digitwin_guard();

-- The addresses of the living. No foreign key: its key is the address, wherever the user is
CREATE TABLE user_emails (
    address varchar(320) CONSTRAINT uq_user_emails__email PRIMARY KEY,
    user_id uuid NOT NULL CONSTRAINT uq_user_emails__user_id UNIQUE,
    CONSTRAINT ck_user_emails__email CHECK (address LIKE '_%@_%')
);


-- Voice and face models -------------------------------------------------------------------

CREATE TABLE voice_models (
    user_id uuid NOT NULL,
    id uuid NOT NULL,
    name varchar(200) NOT NULL,
    provider varchar(100),
    artifact_uri varchar(2048),
    checksum varchar(128),
    status varchar(16) NOT NULL DEFAULT 'pending',
    quality_score double precision,
    is_active boolean NOT NULL DEFAULT false,
    metadata jsonb NOT NULL DEFAULT '{}',
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    deletion_id uuid,
    PRIMARY KEY (user_id, id),
    CONSTRAINT fk_voice_models__user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT ck_voice_models__name CHECK (name <> ''),
    CONSTRAINT ck_voice_models__status CHECK (status IN ('pending', 'training', 'ready', 'failed')),
    CONSTRAINT ck_voice_models__quality_score CHECK (quality_score BETWEEN 0 AND 1),
    CONSTRAINT ck_voice_models__is_active CHECK (NOT is_active OR status = 'ready'),
    CONSTRAINT ck_voice_models__metadata CHECK (jsonb_typeof(metadata) = 'object'),
    CONSTRAINT ck_voice_models__version CHECK (version >= 1),
    CONSTRAINT ck_voice_models__deleted_at CHECK ((deleted_at IS NULL) = (deletion_id IS NULL))
);
CREATE UNIQUE INDEX uq_voice_models__is_active ON voice_models (user_id) WHERE is_active AND deleted_at IS NULL;
CREATE INDEX ix_voice_models__id ON voice_models (id);
CREATE INDEX ix_voice_models__name ON voice_models (name, id);
CREATE INDEX ix_voice_models__provider ON voice_models (provider, id);
CREATE INDEX ix_voice_models__status ON voice_models (status, id);
CREATE TRIGGER voice_models_guard BEFORE DELETE ON voice_models
    FOR EACH ROW EXECUTE FUNCTION digitwin_guard();

CREATE TABLE face_models (
    user_id uuid NOT NULL,
    id uuid NOT NULL,
    name varchar(200) NOT NULL,
    provider varchar(100),
    artifact_uri varchar(2048),
    checksum varchar(128),
    status varchar(16) NOT NULL DEFAULT 'pending',
    quality_score double precision,
    is_active boolean NOT NULL DEFAULT false,
    metadata jsonb NOT NULL DEFAULT '{}',
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    deletion_id uuid,
    PRIMARY KEY (user_id, id),
    CONSTRAINT fk_face_models__user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT ck_face_models__name CHECK (name <> ''),
    CONSTRAINT ck_face_models__status CHECK (status IN ('pending', 'training', 'ready', 'failed')),
    CONSTRAINT ck_face_models__quality_score CHECK (quality_score BETWEEN 0 AND 1),
    CONSTRAINT ck_face_models__is_active CHECK (NOT is_active OR status = 'ready'),
    CONSTRAINT ck_face_models__metadata CHECK (jsonb_typeof(metadata) = 'object'),
    CONSTRAINT ck_face_models__version CHECK (version >= 1),
    CONSTRAINT ck_face_models__deleted_at CHECK ((deleted_at IS NULL) = (deletion_id IS NULL))
);
CREATE UNIQUE INDEX uq_face_models__is_active ON face_models (user_id) WHERE is_active AND deleted_at IS NULL;
CREATE INDEX ix_face_models__id ON face_models (id);
CREATE INDEX ix_face_models__name ON face_models (name, id);
CREATE INDEX ix_face_models__provider ON face_models (provider, id);
CREATE INDEX ix_face_models__status ON face_models (status, id);
CREATE TRIGGER face_models_guard BEFORE DELETE ON face_models
    FOR EACH ROW EXECUTE FUNCTION digitwin_guard();


-- Sessions and turns ----------------------------------------------------------------------

CREATE TABLE participants (
    user_id uuid NOT NULL,
    id uuid NOT NULL,
    kind varchar(16) NOT NULL,
    ref varchar(200),
    name varchar(200),
    traits jsonb NOT NULL DEFAULT '[]',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, id),
    CONSTRAINT fk_participants__user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT ck_participants__kind CHECK (kind IN ('owner', 'user', 'guest', 'phone', 'service')),
    CONSTRAINT ck_participants__traits CHECK (jsonb_typeof(traits) = 'array')
);
CREATE UNIQUE INDEX uq_participants__ref ON participants (user_id, kind, ref) WHERE ref IS NOT NULL;
CREATE INDEX ix_participants__id ON participants (id);

-- Every turn updates its session: room in each page keeps those updates out of the indexes
CREATE TABLE conversation_sessions (
    user_id uuid NOT NULL,
    id uuid NOT NULL,
    external_id varchar(200),
    participant_id uuid,
    voice_model_id uuid,
    face_model_id uuid,
    status varchar(16) NOT NULL DEFAULT 'active',
    end_reason varchar(64),
    turn_count integer NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    metadata jsonb NOT NULL DEFAULT '{}',
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    deletion_id uuid,
    PRIMARY KEY (user_id, id),
    CONSTRAINT fk_conversation_sessions__user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT fk_conversation_sessions__participant_id FOREIGN KEY (user_id, participant_id)
        REFERENCES participants (user_id, id) ON DELETE SET NULL (participant_id),
    CONSTRAINT fk_conversation_sessions__voice_model_id FOREIGN KEY (user_id, voice_model_id)
        REFERENCES voice_models (user_id, id) ON DELETE SET NULL (voice_model_id),
    CONSTRAINT fk_conversation_sessions__face_model_id FOREIGN KEY (user_id, face_model_id)
        REFERENCES face_models (user_id, id) ON DELETE SET NULL (face_model_id),
    CONSTRAINT ck_conversation_sessions__status CHECK (status IN ('active', 'ended')),
    CONSTRAINT ck_conversation_sessions__ended_at CHECK ((status = 'ended') = (ended_at IS NOT NULL)),
    CONSTRAINT ck_conversation_sessions__end_reason CHECK (end_reason IS NULL OR status = 'ended'),
    CONSTRAINT ck_conversation_sessions__turn_count CHECK (turn_count >= 0),
    CONSTRAINT ck_conversation_sessions__metadata CHECK (jsonb_typeof(metadata) = 'object'),
    CONSTRAINT ck_conversation_sessions__version CHECK (version >= 1),
    CONSTRAINT ck_conversation_sessions__deleted_at CHECK ((deleted_at IS NULL) = (deletion_id IS NULL))
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX uq_conversation_sessions__external_id ON conversation_sessions (external_id, user_id)
    WHERE external_id IS NOT NULL;
CREATE INDEX ix_conversation_sessions__id ON conversation_sessions (id);
CREATE INDEX ix_conversation_sessions__participant_id ON conversation_sessions (participant_id, id)
    WHERE participant_id IS NOT NULL;
CREATE INDEX ix_conversation_sessions__voice_model_id ON conversation_sessions (voice_model_id, id)
    WHERE voice_model_id IS NOT NULL;
CREATE INDEX ix_conversation_sessions__face_model_id ON conversation_sessions (face_model_id, id)
    WHERE face_model_id IS NOT NULL;
CREATE INDEX ix_conversation_sessions__status ON conversation_sessions (status, id);
CREATE INDEX ix_conversation_sessions__started_at ON conversation_sessions (started_at);
CREATE INDEX ix_conversation_sessions__user_started_at ON conversation_sessions (user_id, started_at);
CREATE TRIGGER conversation_sessions_guard BEFORE DELETE ON conversation_sessions
    FOR EACH ROW EXECUTE FUNCTION digitwin_guard();

-- A session is one range of the key. octet_length() needs no long text unpacked
CREATE TABLE conversation_turns (
    user_id uuid NOT NULL,
    session_id uuid NOT NULL,
    position integer NOT NULL,
    id uuid NOT NULL,
    user_text text,
    twin_text text,
    heard_text text,
    status varchar(16) NOT NULL DEFAULT 'completed',
    asr_ms integer,
    retrieval_ms integer,
    llm_first_token_ms integer,
    llm_ms integer,
    tts_ms integer,
    render_ms integer,
    first_audio_ms integer,
    total_ms integer,
    input_tokens integer,
    output_tokens integer,
    idempotency_key varchar(200),
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, session_id, position),
    CONSTRAINT fk_conversation_turns__session_id FOREIGN KEY (user_id, session_id)
        REFERENCES conversation_sessions (user_id, id) ON DELETE CASCADE,
    CONSTRAINT ck_conversation_turns__position CHECK (position >= 1),
    CONSTRAINT ck_conversation_turns__text CHECK (user_text IS NOT NULL OR twin_text IS NOT NULL),
    CONSTRAINT ck_conversation_turns__user_text CHECK (octet_length(user_text) <= 400000),
    CONSTRAINT ck_conversation_turns__twin_text CHECK (octet_length(twin_text) <= 400000),
    CONSTRAINT ck_conversation_turns__heard_text
        CHECK (heard_text IS NULL OR (twin_text IS NOT NULL AND octet_length(heard_text) <= 400000)),
    CONSTRAINT ck_conversation_turns__status CHECK (status IN ('completed', 'interrupted', 'open', 'abandoned')),
    CONSTRAINT ck_conversation_turns__asr_ms CHECK (asr_ms >= 0),
    CONSTRAINT ck_conversation_turns__retrieval_ms CHECK (retrieval_ms >= 0),
    CONSTRAINT ck_conversation_turns__llm_first_token_ms CHECK (llm_first_token_ms >= 0),
    CONSTRAINT ck_conversation_turns__llm_ms CHECK (llm_ms >= 0),
    CONSTRAINT ck_conversation_turns__tts_ms CHECK (tts_ms >= 0),
    CONSTRAINT ck_conversation_turns__render_ms CHECK (render_ms >= 0),
    CONSTRAINT ck_conversation_turns__first_audio_ms CHECK (first_audio_ms >= 0),
    CONSTRAINT ck_conversation_turns__total_ms CHECK (total_ms >= 0),
    CONSTRAINT ck_conversation_turns__input_tokens CHECK (input_tokens >= 0),
    CONSTRAINT ck_conversation_turns__output_tokens CHECK (output_tokens >= 0),
    CONSTRAINT ck_conversation_turns__version CHECK (version >= 1)
);
CREATE UNIQUE INDEX uq_conversation_turns__idempotency_key
    ON conversation_turns (user_id, session_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX ix_conversation_turns__id ON conversation_turns (id);
CREATE TRIGGER conversation_turns_guard BEFORE DELETE ON conversation_turns
    FOR EACH ROW EXECUTE FUNCTION digitwin_guard();


-- Documents -------------------------------------------------------------------------------

CREATE TABLE knowledge_documents (
    user_id uuid NOT NULL,
    id uuid NOT NULL,
    title varchar(500) NOT NULL,
    content text NOT NULL,
    content_type varchar(100) NOT NULL DEFAULT 'text/plain',
    source_uri varchar(2048),
    content_hash varchar(64) NOT NULL,
    visibility varchar(16) NOT NULL DEFAULT 'owner',
    status varchar(16) NOT NULL DEFAULT 'pending',
    error varchar(2000),
    attempts integer NOT NULL DEFAULT 0,
    worker varchar(200),
    lease_until timestamptz,
    metadata jsonb NOT NULL DEFAULT '{}',
    search_vector tsvector GENERATED ALWAYS AS (
        setweight(to_tsvector('pg_catalog.english', title), 'A')
        || setweight(to_tsvector('pg_catalog.english', content), 'B')
    ) STORED,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    deletion_id uuid,
    PRIMARY KEY (user_id, id),
    CONSTRAINT fk_knowledge_documents__user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT ck_knowledge_documents__title CHECK (title <> ''),
    CONSTRAINT ck_knowledge_documents__content CHECK (octet_length(content) <= 40000000),
    CONSTRAINT ck_knowledge_documents__visibility CHECK (visibility IN ('owner', 'visitors')),
    CONSTRAINT ck_knowledge_documents__status CHECK (status IN ('pending', 'processing', 'ready', 'failed')),
    CONSTRAINT ck_knowledge_documents__attempts CHECK (attempts >= 0),
    CONSTRAINT ck_knowledge_documents__worker CHECK (
        (worker IS NULL) = (lease_until IS NULL) AND (worker IS NULL OR status = 'processing')
    ),
    CONSTRAINT ck_knowledge_documents__metadata CHECK (jsonb_typeof(metadata) = 'object'),
    CONSTRAINT ck_knowledge_documents__version CHECK (version >= 1),
    CONSTRAINT ck_knowledge_documents__deleted_at CHECK ((deleted_at IS NULL) = (deletion_id IS NULL))
);
CREATE INDEX ix_knowledge_documents__search_vector ON knowledge_documents USING gin (search_vector);
CREATE INDEX ix_knowledge_documents__id ON knowledge_documents (id);
-- The oldest that waits for a worker
CREATE INDEX ix_knowledge_documents__claim ON knowledge_documents (created_at, id)
    WHERE status IN ('pending', 'processing') AND deleted_at IS NULL;
CREATE INDEX ix_knowledge_documents__user_status ON knowledge_documents (user_id, status) WHERE deleted_at IS NULL;
CREATE INDEX ix_knowledge_documents__content_hash ON knowledge_documents (user_id, content_hash);
-- A URI may be longer than a btree's entry may be
CREATE INDEX ix_knowledge_documents__source_uri ON knowledge_documents USING hash (source_uri)
    WHERE source_uri IS NOT NULL;
CREATE INDEX ix_knowledge_documents__title ON knowledge_documents USING hash (title);
CREATE TRIGGER knowledge_documents_guard BEFORE DELETE ON knowledge_documents
    FOR EACH ROW EXECUTE FUNCTION digitwin_guard();


-- Cache: no foreign keys, an open deletion must not block it ------------------------------
-- json, not jsonb: nobody looks inside, and 1e300 comes back as the number that it was

CREATE TABLE embedding_cache (
    user_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    audience varchar(8) NOT NULL DEFAULT 'owner',
    key varchar(512) NOT NULL,
    value bytea NOT NULL,
    tags text[] NOT NULL DEFAULT '{}',
    size_bytes integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, audience, key),
    CONSTRAINT ck_embedding_cache__audience CHECK (audience IN ('owner', 'visitor')),
    CONSTRAINT ck_embedding_cache__size_bytes CHECK (size_bytes >= 0)
);
CREATE INDEX ix_embedding_cache__expires_at ON embedding_cache (expires_at);
CREATE INDEX ix_embedding_cache__tags ON embedding_cache USING gin (tags);

CREATE TABLE vector_search_cache (
    user_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    audience varchar(8) NOT NULL DEFAULT 'owner',
    key varchar(512) NOT NULL,
    value json NOT NULL,
    tags text[] NOT NULL DEFAULT '{}',
    size_bytes integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, audience, key),
    CONSTRAINT ck_vector_search_cache__audience CHECK (audience IN ('owner', 'visitor')),
    CONSTRAINT ck_vector_search_cache__size_bytes CHECK (size_bytes >= 0)
);
CREATE INDEX ix_vector_search_cache__expires_at ON vector_search_cache (expires_at);
CREATE INDEX ix_vector_search_cache__tags ON vector_search_cache USING gin (tags);

CREATE TABLE llm_response_cache (
    user_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    audience varchar(8) NOT NULL DEFAULT 'owner',
    key varchar(512) NOT NULL,
    value json NOT NULL,
    tags text[] NOT NULL DEFAULT '{}',
    size_bytes integer NOT NULL,
    hit_count bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, audience, key),
    CONSTRAINT ck_llm_response_cache__audience CHECK (audience IN ('owner', 'visitor')),
    CONSTRAINT ck_llm_response_cache__size_bytes CHECK (size_bytes >= 0),
    CONSTRAINT ck_llm_response_cache__hit_count CHECK (hit_count >= 0)
);
CREATE INDEX ix_llm_response_cache__expires_at ON llm_response_cache (expires_at);
CREATE INDEX ix_llm_response_cache__tags ON llm_response_cache USING gin (tags);

-- What was emptied when: a number from one sequence tells before from after
CREATE SEQUENCE cache_epoch_seq AS bigint;
CREATE TABLE cache_invalidations (
    store varchar(16) NOT NULL,
    kind varchar(8) NOT NULL,
    name varchar(512) NOT NULL,
    epoch bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (store, kind, name),
    CONSTRAINT ck_cache_invalidations__kind CHECK (kind IN ('all', 'user', 'tag', 'key'))
);

CREATE TABLE cache_usage (
    store varchar(16) NOT NULL,
    bucket timestamptz NOT NULL,
    hits bigint NOT NULL DEFAULT 0,
    misses bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (store, bucket),
    CONSTRAINT ck_cache_usage__hits CHECK (hits >= 0),
    CONSTRAINT ck_cache_usage__misses CHECK (misses >= 0)
);


-- Limits ----------------------------------------------------------------------------------

-- No further index, and half of each page free: a decision then never touches an index
CREATE TABLE rate_limits (
    subject varchar(200) NOT NULL,
    endpoint varchar(200) NOT NULL,
    window_ms bigint NOT NULL,
    max_tokens double precision NOT NULL,
    tokens double precision NOT NULL,
    allowed boolean NOT NULL DEFAULT true,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subject, endpoint, window_ms),
    CONSTRAINT ck_rate_limits__window CHECK (window_ms BETWEEN 1 AND 31622400000),
    CONSTRAINT ck_rate_limits__limit CHECK (max_tokens > 0 AND max_tokens < 'Infinity'),
    CONSTRAINT ck_rate_limits__tokens CHECK (tokens >= 0 AND tokens < 'Infinity')
) WITH (fillfactor = 50);

CREATE TABLE rate_limit_usage (
    endpoint varchar(200) NOT NULL,
    subject varchar(200) NOT NULL,
    bucket timestamptz NOT NULL,
    allowed bigint NOT NULL DEFAULT 0,
    denied bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (endpoint, subject, bucket),
    CONSTRAINT ck_rate_limit_usage__allowed CHECK (allowed >= 0),
    CONSTRAINT ck_rate_limit_usage__denied CHECK (denied >= 0)
);
CREATE INDEX ix_rate_limit_usage__bucket ON rate_limit_usage (bucket);
CREATE INDEX ix_rate_limit_usage__subject ON rate_limit_usage (subject, bucket);


-- The audit trail, by the month of the time in its ids ------------------------------------

CREATE TABLE audit_logs (
    user_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    id uuid NOT NULL,
    action varchar(100) NOT NULL,
    resource varchar(100) NOT NULL,
    resource_id varchar(200),
    actor_id uuid,
    result varchar(16) NOT NULL DEFAULT 'success',
    ip_address varchar(45),
    user_agent varchar(1000),
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, id),
    CONSTRAINT ck_audit_logs__action CHECK (action <> ''),
    CONSTRAINT ck_audit_logs__resource CHECK (resource <> ''),
    CONSTRAINT ck_audit_logs__result CHECK (result IN ('success', 'failure', 'denied')),
    CONSTRAINT ck_audit_logs__metadata CHECK (jsonb_typeof(metadata) = 'object')
) PARTITION BY RANGE (id);
CREATE INDEX ix_audit_logs__id ON audit_logs (id);
CREATE INDEX ix_audit_logs__created_at ON audit_logs (created_at);
CREATE INDEX ix_audit_logs__action ON audit_logs (action, id);
CREATE INDEX ix_audit_logs__resource ON audit_logs (resource, resource_id, id);
CREATE INDEX ix_audit_logs__actor_id ON audit_logs (actor_id, id) WHERE actor_id IS NOT NULL;
CREATE INDEX ix_audit_logs__result ON audit_logs (result, id) WHERE result <> 'success';
CREATE TRIGGER audit_logs_guard BEFORE UPDATE OR DELETE ON audit_logs
    FOR EACH ROW EXECUTE FUNCTION digitwin_guard();
CREATE TRIGGER audit_logs_guard_truncate BEFORE TRUNCATE ON audit_logs
    FOR EACH STATEMENT EXECUTE FUNCTION digitwin_guard();

CREATE TABLE audit_logs_default PARTITION OF audit_logs DEFAULT;

-- This month and the next three; a version 7 UUID begins with 48 bits of milliseconds
DO $months$
DECLARE
    month timestamp;
    bounds text[];
BEGIN
    FOR ahead IN 0..3 LOOP
        month := date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => ahead);
        SELECT array_agg(lpad(to_hex((extract(epoch FROM edge) * 1000)::bigint), 12, '0') || repeat('0', 20) ORDER BY edge)
        INTO bounds FROM unnest(ARRAY[month, month + interval '1 month']) AS edge;
        EXECUTE format(
            'CREATE TABLE %I PARTITION OF audit_logs FOR VALUES FROM (%L) TO (%L)',
            to_char(month, '"audit_logs_y"YYYY"m"MM'), bounds[1]::uuid, bounds[2]::uuid
        );
    END LOOP;
END
$months$;
"""


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
SET LOCAL lock_timeout = '5s';

DROP TABLE audit_logs;
DROP TABLE rate_limit_usage, rate_limits;
DROP TABLE cache_usage, cache_invalidations;
DROP SEQUENCE cache_epoch_seq;
DROP TABLE llm_response_cache, vector_search_cache, embedding_cache;
DROP TABLE knowledge_documents, conversation_turns, conversation_sessions, participants;
DROP TABLE face_models, voice_models, user_emails, users;
DROP FUNCTION digitwin_guard();
DROP TABLE digitwin_schema;
-- aerich stays: other applications may keep their book in it, and Aerich takes out its own line
"""


MODELS_STATE = (
    "eJztXXtz2zYS/yoY/dN0xpez5WfTm5uxE6X11bFzttz0kQ4FkZCIE0WoBGjF18t3PwCkKD"
    "5AmrQpmqKRmSQ2gYWg34KLfWHxV8/CU8yW2H196luYXZBp7w34q+fCOeI/KFp3QA8uFvE2"
    "8YjBsSMJoOhnOGRKZc8xZR40GW+ZQIci/shC1PTwgmHiiv43ZI7GxLoHFrYA5b8wG7vT78"
    "Fo5FPkGdgajQCmYGmTOcAMmMQ1kefSHd6Bj0vCHrxZDoDZa/GxFjH55/JxNvIJn93P7tBG"
    "wIL8W0OKgIcmfCgK0B3y7sHtx3enw8EOgK4F3g0uBsMBYARAxwFjnwHGCf3FDKGFnKnv4j"
    "99ZDAy5dNCHp/v73/wx9i10BdEV78uZsYEI8dKsAZbYgD53GD3C/ns9vb83XvZU6AwNkzi"
    "+HN33Xtxz2ziRt19H1uvBY1omyIXeZAhK8Ys13eckLOrR8GM+QPm+SiaqrV+YKEJ9B3B8t"
    "4/Jr5rCk6DaB3NOLbIeY0t+lp8+vE/w5nGqAzj8mpo3AyGhtHLLBgxoxSHw0eccWKxYZcJ"
    "3P76Goy7xkc+7YkPePvj6fWr/aNvJSKEsqknGyV6va+SkLM2IJU8WIMeLpkqyMdI6oR/9W"
    "CN//oNi6DcDf/8TfHP6k8bGbAGHMr1k8X7rQ09Nd5rihTcfHKbAnoFygZg7M3hF8NB7pTZ"
    "/Ne93d0CXH8+vZbQ8l4SW8JlbyCWL8OmftCWxJijT3zPRFVQjtNonKvhrBQgD0OtFiLl0A"
    "5lczvB7pcCu18Adj8L9mrvriKq4zRPkNUtA7seQcxbxKyqrduQojkB0aO+aSJKN7WppaTE"
    "URkhcZQvI47SqxYvDGhZXvgNyiKdpOqegDg4LIHzwWEuzqIpibNUyiDHpNKKTlJ1D2e+Z5"
    "Xc9gr3vYws5jYXFCp1Fut/3VxdqrGO06SQtrDJwP+AgynbmBxZmy5jHzsMu/S1+NjnMFcE"
    "RmLkOaV/OnGwX304/SXNh7cXV2dpaS4GOEuxxPSQgMyAihfgHW9heI7UjElSplkTkr5e/d"
    "CoJnhJlq++3QwThucfBjfD0w8fE5wQlr5o6cun96mnr9KSPxoEfDof/gjEr+C3q8tBmmFR"
    "v+FvPTEn6DNiuGQppHwMjdXj1aOvwlcwmcUMV/FgDM3ZEnqWkWkhfZLXN9s078/TT6DLZa"
    "EVoimxW1n5b6Fpo3P3DjqYL4SACwqnUrbbTrF3yRQEBo5RlHQzfbKRCyCgXL/jrRAskEeJ"
    "+w0FC+gxQCYAsx1APN7C4BRgV3iClpACB1IG0JyPg6ysa6mWUYU7aTRCC2LagSfK8uDSBR"
    "OPzKW3iCL+VrgmAqNR8PVlV4M/Ho2e6kOS/1fYAFf961HoHvYgNbbzHe71S2x8vFfuvifb"
    "ip1Hcp1UgTsi6KKFXbvuPOPfqwq6q/4dBPekBLYnudCepJGVEicL7RmenrtMDW5EkkIXux"
    "vT2TaJ7lRM4m/f9fv7+8f93f2jk8OD4+PDk90T3lfOONt0XMCDs/Mfzi+HSfzFA62jaR2t"
    "UR3tlkK5tPOUs6C9lFbmR10f1MZ+xIzK+NgcUxE445pSqEUJJYm4CNjE97L6VgW6JyhFY9"
    "+cocqv3JpqE6/bs6pK2/7KaZ3s2XQym7+x1RSHFUVzesNup5SGQDRWw3xNo1Evj3q7dnJr"
    "MB8jywqgydvOY50e2NPRqqMhd/dy+/opuEMihLYDIJW+i/E9C7ZpsXFPHALZfp/Pn4/t0e"
    "z2Xp38Cbv8DN1XMhaD7trx8RjHh86aaTprxrew8BlWWeFxmgYDtmTJB20mXFuzV4TBqWKf"
    "PfU8eK9GeEWQQrfpOJb4vOeIYw0Hvwx//yMFIsX/RYaU81koc/WVJFGXPEz9vYPjg5P9o4"
    "NIW4meFCkp2nf05MW5HYZszCf7ZYH5cI9gcJKyVQzW/oo0m++g4yu28TPsQi9nm4lIUqyN"
    "BGZ32HkWZjtEnOS79dn55en1r1FuRMTOi6vLH84U2RFnvw4Hp+0z564RXXAcipyz6z47xc"
    "ac48wNL+xbxZ77ZEMGIHCgO/X5bMGcWMgB0KVL5CErOOJgkyW30BhyucUGg/A2190tAKec"
    "gaqQeR1DartP233a7tN2n7b7tN2n7T5t970gg0DbfS+CzTl2X36+fJ7V10Cy/POwdCNp8T"
    "ZmHFNfdSzkgaD1mkzHULc2hnqDoGfavQKTO+yxU2xwB3FMg8rOj7C4A0Iw4UtKmXau7qSt"
    "Ym0Va6tYW8XaKtZWsbaKtVX8gswlbRW/CDZrq7gxq7g9lhlx75BH5WnfG0Rp/mliRcedB0"
    "6uxEi4tSZpSp4ovnIRiJODJWa2OOkrpgLOmTjJa2PLQrzFxg6SOaxSvZNnfJGDmOpIcX3D"
    "6tJybbRK8s1CwXJlqbNcxS9G0ZzWt6dVPq3ytUEX8BfWIxmcpNQMbimD0RfGJTp0KpbLS5"
    "F1r0rTRsrlUQaZX6no2JqiQf+YKO55h5pxkNV/GhK5lsE3F1qtoGmSqnvr+eigBM5HB7k4"
    "i6aUL9L33LwwXq42lSTqTBCvNoWKv+/e4/bbJKXeb9u633LwHsPeOF0NzG2ZrOoSh3Udxl"
    "a41uIsCT02j3jtkpT6xWvziyd5JXyM1TxrKTJdkjr57kygiQx5gKQirhlCjWwSWVG/Ept4"
    "AV1WEdospcZWUXp6a9J/Wg/nHcGPlAJZSr1UFXG/5MrNAvyeeAhP3Z9QkOdzzucB1YlTUa"
    "TmNhxoOxfs+mlsAh5cRoG0+PvKv36gqEnoT2/enr4b9PJkbS3ghqHPj8lht3L5Pox0drtJ"
    "AM7nAS5vLy56eSKjFsR/FuN9WA3XUaSz0rIE0mtFqxag38Pu45zRTXNgzk/HSPpBVaXgQr"
    "L3P10jJ6q7ngd6PK1iyAfsiOAW6+Nrc5krErkH01ZW+JbOWYk4XC5hBX0xbehO0RuwFGcI"
    "RI21mAQFFOLwCH7ULD4+Op6vTlepY1CdrPIMDi2drNKW2IpOVum4A1Anq3SdwdqrU6sDkl"
    "Csvvg1d4OJk+hDMIpNRq43hr4oRNCQPy1YpCuiLuSePHAkqzjAlygmtuqejvqlclG4tlcZ"
    "9QSRRr066jYS9ltV2JNUGvfquG9JGqFJ5gsZPd+U1bXpTEJIPWNe5ZDomuBRe2PLlnXdW6"
    "OH+OehO+hUAzVNpqHNQitqT06wR5nByAy51QBWE2uY1TBXhlbDmQcnY7QanGsCDadKvvLv"
    "UXHHStBoULOgBoJRFCoh1ZDNEmp4FSKAsKr6QJxEQ5qFFLsLP9zKq8CaJtPQZqElPnsUth"
    "k6Da5i3VpoviAMuea9UbFSmoK0C36FJk4kBnlMFZ3qSSrtVy/O6KPrMhlPTs7JKb+xnTA/"
    "nKeTXGjqNL/nKpmyzpNSZpwk0qiKUk3WuUglc0xOgQQNWUCQBvfzigiC6q6/gp46G2RTfk"
    "mdDbIF6obOBul6soDOBuk2g/WpzhfDZX2qs+bUH/l/Bs58C3vVv7nw8Xbb1QuP3GFLdZIr"
    "H+M4TffcF3ulYN4rgHkvC7PIgOemDTN8D1eBOk3XPbj7uwdlao+LbgXr+iBTgdy0kTmj/r"
    "wK2nGa7iG91y8DNO+Vv7D7GZi3JMVngVxLINUM0LUn+PzpQweze4OaxFNsh+8dAnNM6wxl"
    "CvSJIN2+lV0A8Lur27OLAfh4PXh7fnMeFmmJNEXZKB7xBzhw0F0PTi/SLn5qrGvLpY7LEe"
    "Ig6OZ4kOJ06Qt3OeGm1nf0pOELd6+uLhLq+dl5Oivw9sPZgC/2b5OQZ70cuhhR64oR6UMM"
    "unxCC0IrD5ZPKHP2OV7NPSXPH338uXxYq52bZ9MHoH9yydJB1hS9I6Y/R/JjFfGobLed4r"
    "jUbEVgWCFF+fgU+sKCa8WDmvpgDu+BGE8Zosrt/Nn97A7FSWYxJWBDCogs3C/EIpjzV3oH"
    "jEbh9W/BZXCj0Y6o2G/a4GMgNW7+fQFEHrrPEAUTj8wBw8xBn11xVJpzivGv9QZgWfHfJU"
    "CCDmwkhqYkmJVLmM0nCxBfoYCrdRafhgeWHhZDYqZjaTqWpmNpOpbWaSe8jqV1nME6lvZi"
    "uKxjaTXH0qRGWcVVGxF0MJp2WCrMc1gQ5jnMhnlCRT2Lcf4p4xhJJ1Bu+oxxiF+AWoW1na"
    "ZrMBghDMm/LxwY2LFbGtGkxPdMVDWemaTqXoxtY9HMcLXakNqPWeUruk6ImE1fGHOHKR5j"
    "ETarAnWSqpu3hNcf2dTx4yZQRp5HKqX4RARdFNFl86gKE6myKT6MofmCVSrDESPRV0ylnX"
    "VL4s2qJaatKTq5bOvP/nMQpFwbcxlWlGQudqekSLU/pc3+FJ1dobMr2qrN6+yKLc2u2Gy2"
    "wDUH+wLPcU6WwLp5pzg7QDDNcETP0lkBY9+cIfYG2GQJ+AzvQVAPQUTfbRF2hwyMRut4kY"
    "jlj+9lKXMhL8d8XwSmQ8yZKomg1rGfEM2n/vg/yFR4KgsMrzVJPZbXwxH9bdSu8oP53IZc"
    "EKxyDxde9xvRdNB5sxGtlosAi+tHqmI9Z3iaa40lyLpUM/i7fn9//7i/u390cnhwfHx4sh"
    "uZZtmmIhvt7PwHYaYlOKFI5eUMzqs8U5CpniR7ZJp62ziw4Tz1R8CsIa4GMXQcskQKPb3w"
    "IECMqsFjAKv9c2tPAej0nQ46IjJm2rObFLcUyp2xyK4I+pQ2Lgw/6v+ghfEj1/3JhCFXpg"
    "mHajVYQgpCsSHvR7KQi5E0CESvlR4IcEBlE19RR6fWkbV10UItV1sXz21dBBZ81f1pTdWq"
    "vUm7ytOu8nx9r8B0zFf3tjeO17DVGGxK1WBf02jUy6PeGn1McTexUidT32FcpJfFbpws6f"
    "W9IXM0JtY9WNoEMOjMKGBE6kMyveYbKo98fS89sZRPEMz4IpHalIcm4lBW1MBpsopZ/cPr"
    "k1zPEAl8wkkuHe+rNZddvB9VNN1V/w5qufWni3GZUwXbsLvOuSllPzRa0ezlwSs+TZWEl5"
    "/osqZoR5qL+LzOpLnoE7cdt5e1y76DDK5gIuoaK6UTsBqosSLT1ZRG9CqRrchsFgZHSXv5"
    "k01knRFuvtKwHkrW6s3rpG3X7bJddRWSnq5CordMrRNpBusqJC+My7oKSc2eWzSHqtNmBU"
    "kKK4IO+m73+2VcYLxXrgtMtuk7Exq9M4Ert8QN6mpXdzeqqbXrsXbXI0WMf6lpJebEadrB"
    "kk4deqT+OJqnwXC1091K4gZrQEw8hDbFiE1E9LbQide2zSTXi5e4eT15L+ZTUEvcxdlFrB"
    "IVmp+ClLJKdBcRuyO4tuX1sxirc+tr8x71gbRAct3qg5WB8pBv3ZCmTEkPuygozo1Vvpty"
    "mSyuxBUpYA6+4xi9kT/P0D3/ixYUIGjaIjHsGxqkk4GAZ1mHfE1jPsF/H356lX0/RtK5kw"
    "E12n869azJUhPPlTMbE+FKeZQU8UUCKb2xVLnPW9KWu9Bb1VXH/3T8T8f/dPyvq4EDHf/r"
    "OIN1/O/FcFnH//SN3jWqEvpG72c4IKNv9G52VesbvRta2PpG720KyOkbvfWN3mWRjp5sbS"
    "0vXXO6dekXOhCga043G6BdTUDf6N3F2Pgp8rBp95SBqLBtpzgIBde9Hgo/5YNRczgpN6ih"
    "FIOKeEa4ONobgq4lnvGIcFHB5Vm58aJO+HkOD8sYxIeH+fawaEs5IPhrVQHhsHsH0d2Iey"
    "f3Js985TX/Js8GdNfnUZZq01KfNb/i6/8B9Ua2SA=="
)
