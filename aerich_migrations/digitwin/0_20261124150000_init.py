"""The schema of the first release.

No schema name is written here: everything is created where `search_path` points. Every table of
a person's data leads its key with `user_id`, and every unique index and foreign key between
such tables contains it, so that the schema can be distributed by it (Citus).
A constraint's name tells the error translation which field is wrong: `ck_<table>__<field>`.

The ORM knows the columns alone. What it cannot express is here: CHECKs, foreign keys with
`user_id`, partial and covering indexes, partitions, triggers, free space in pages.
"""

from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
SET LOCAL lock_timeout = '5s';

-- How many migrations made this schema, and the oldest release that can work with it.
-- First of all: a second process that migrates waits here for the first
CREATE TABLE digitwin_schema (
    singleton boolean PRIMARY KEY DEFAULT true CONSTRAINT ck_digitwin_schema__singleton CHECK (singleton),
    version integer NOT NULL,
    oldest_reader integer NOT NULL,
    CONSTRAINT ck_digitwin_schema__oldest_reader CHECK (oldest_reader BETWEEN 1 AND version)
);
INSERT INTO digitwin_schema (version, oldest_reader) VALUES (1, 1);

-- Aerich's own table. The unique index makes a migration that is applied twice fail as a whole
CREATE TABLE IF NOT EXISTS aerich (
    id serial PRIMARY KEY,
    version varchar(255) NOT NULL,
    app varchar(100) NOT NULL,
    content jsonb NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS uq_aerich__version ON aerich (app, version);

-- Guards: a trigger refuses deletions outside the repositories, and any change of the audit trail
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

-- An address may go with its owner's deletion, without the permission that a hard delete needs
CREATE FUNCTION digitwin_guard_email() RETURNS trigger LANGUAGE plpgsql AS $guard$
BEGIN
    IF current_setting('digitwin.allow_hard_delete', true) IS DISTINCT FROM 'on'
        AND EXISTS (SELECT 1 FROM users WHERE id = OLD.user_id AND deleted_at IS NULL) THEN
        RAISE EXCEPTION '% on % is refused: what is kept here is changed through digitwin', TG_OP, TG_TABLE_NAME;
    END IF;
    RETURN OLD;
END
$guard$;


-- Users and deletions ----------------------------------------------------------------------

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

-- The addresses of users who are not deleted: unique among them alone. No foreign key: the key
-- is the address, wherever a distributed schema keeps the user
CREATE TABLE user_emails (
    address varchar(320) CONSTRAINT uq_user_emails__email PRIMARY KEY,
    user_id uuid NOT NULL CONSTRAINT uq_user_emails__user_id UNIQUE,
    CONSTRAINT ck_user_emails__email CHECK (address LIKE '_%@_%')
);
CREATE TRIGGER user_emails_guard BEFORE DELETE ON user_emails
    FOR EACH ROW EXECUTE FUNCTION digitwin_guard_email();

-- Each deletion is an event: a restore takes it back, and after `deletion_retention` it is final
CREATE TABLE deletions (
    user_id uuid NOT NULL,
    id uuid NOT NULL,
    resource varchar(16) NOT NULL,
    resource_id uuid NOT NULL,
    reason varchar(500),
    actor_id uuid,
    deleted_at timestamptz NOT NULL DEFAULT now(),
    restored_at timestamptz,
    final_at timestamptz,
    PRIMARY KEY (user_id, id),
    CONSTRAINT fk_deletions__user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT ck_deletions__resource CHECK (resource ~ '^[a-z][a-z_]{0,15}$'), -- a model's resource
    CONSTRAINT ck_deletions__final_at CHECK (restored_at IS NULL OR final_at IS NULL)
);
CREATE INDEX ix_deletions__id ON deletions (id);
-- The oldest deletions that may become final
CREATE INDEX ix_deletions__deleted_at ON deletions (deleted_at, id) WHERE restored_at IS NULL AND final_at IS NULL;
CREATE TRIGGER deletions_guard BEFORE DELETE ON deletions
    FOR EACH ROW EXECUTE FUNCTION digitwin_guard();

-- A person's data key, wrapped by a master key. A backup may leave these rows out, so no foreign key
CREATE TABLE user_keys (
    user_id uuid PRIMARY KEY,
    key_id varchar(200) NOT NULL,
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ck_user_keys__key_id CHECK (key_id <> ''),
    CONSTRAINT ck_user_keys__wrapped CHECK (octet_length(wrapped) BETWEEN 1 AND 8192)
);


-- Voice and face models, and the consents that they need -----------------------------------

-- artifact_uri and checksum are stored encrypted: text that begins with the format's prefix

CREATE TABLE voice_models (
    user_id uuid NOT NULL,
    id uuid NOT NULL,
    name varchar(200) NOT NULL,
    provider varchar(100),
    artifact_uri text,
    checksum text,
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
    CONSTRAINT ck_voice_models__artifact_uri CHECK (starts_with(artifact_uri, 'dt1:')),
    CONSTRAINT ck_voice_models__checksum CHECK (starts_with(checksum, 'dt1:')),
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
    artifact_uri text,
    checksum text,
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
    CONSTRAINT ck_face_models__artifact_uri CHECK (starts_with(artifact_uri, 'dt1:')),
    CONSTRAINT ck_face_models__checksum CHECK (starts_with(checksum, 'dt1:')),
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

CREATE TABLE consents (
    user_id uuid NOT NULL,
    id uuid NOT NULL,
    purpose varchar(16) NOT NULL,
    evidence jsonb NOT NULL,
    granted_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    withdrawn_at timestamptz,
    PRIMARY KEY (user_id, id),
    CONSTRAINT fk_consents__user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT ck_consents__purpose CHECK (purpose IN ('voice', 'face', 'recording')),
    CONSTRAINT ck_consents__evidence CHECK (jsonb_typeof(evidence) IN ('object', 'string')),
    CONSTRAINT ck_consents__expires CHECK (expires_at > granted_at),
    CONSTRAINT ck_consents__withdrawn_at CHECK (withdrawn_at >= granted_at)
);
CREATE UNIQUE INDEX uq_consents__purpose ON consents (user_id, purpose) WHERE withdrawn_at IS NULL;
CREATE INDEX ix_consents__id ON consents (id);
CREATE INDEX ix_consents__purpose ON consents (purpose, id);
CREATE INDEX ix_consents__expires_at ON consents (expires_at) WHERE withdrawn_at IS NULL AND expires_at IS NOT NULL;
CREATE TRIGGER consents_guard BEFORE DELETE ON consents
    FOR EACH ROW EXECUTE FUNCTION digitwin_guard();


-- Sessions and turns -----------------------------------------------------------------------

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
-- A participant may talk to the twins of many users: export and erasure find them by ref
CREATE INDEX ix_participants__ref ON participants (ref, kind) WHERE ref IS NOT NULL;
CREATE INDEX ix_participants__id ON participants (id);
CREATE TRIGGER participants_guard BEFORE DELETE ON participants
    FOR EACH ROW EXECUTE FUNCTION digitwin_guard();

-- Every turn updates its session: free space in each page keeps those updates out of the indexes
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

-- A session is one range of the key. octet_length() does not decompress a long text
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


-- Documents --------------------------------------------------------------------------------

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
-- The queue: the oldest document that waits for a worker
CREATE INDEX ix_knowledge_documents__claim ON knowledge_documents (created_at, id)
    WHERE status IN ('pending', 'processing') AND deleted_at IS NULL;
CREATE INDEX ix_knowledge_documents__user_status ON knowledge_documents (user_id, status) WHERE deleted_at IS NULL;
CREATE INDEX ix_knowledge_documents__content_hash ON knowledge_documents (user_id, content_hash);
-- Hash indexes: a URI or title may be longer than an entry of a btree
CREATE INDEX ix_knowledge_documents__source_uri ON knowledge_documents USING hash (source_uri)
    WHERE source_uri IS NOT NULL;
CREATE INDEX ix_knowledge_documents__title ON knowledge_documents USING hash (title);
CREATE TRIGGER knowledge_documents_guard BEFORE DELETE ON knowledge_documents
    FOR EACH ROW EXECUTE FUNCTION digitwin_guard();


-- Cache ------------------------------------------------------------------------------------

-- No foreign keys: an open deletion of a user must not block the cache.
-- Values are json, not jsonb: nothing looks inside, and 1e300 comes back as the number it was.
-- The index on created_at finds the oldest entries, and sums their sizes from the index alone

CREATE TABLE embedding_cache (
    user_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    audience varchar(8) NOT NULL DEFAULT 'owner',
    key varchar(512) NOT NULL,
    value bytea NOT NULL,
    tags text[] NOT NULL DEFAULT '{}',
    size_bytes integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    stale_until timestamptz,
    PRIMARY KEY (user_id, audience, key),
    CONSTRAINT ck_embedding_cache__audience CHECK (audience IN ('owner', 'visitor')),
    CONSTRAINT ck_embedding_cache__size_bytes CHECK (size_bytes >= 0)
);
CREATE INDEX ix_embedding_cache__expires_at ON embedding_cache (expires_at);
CREATE INDEX ix_embedding_cache__created_at ON embedding_cache (created_at) INCLUDE (size_bytes);
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
    stale_until timestamptz,
    PRIMARY KEY (user_id, audience, key),
    CONSTRAINT ck_vector_search_cache__audience CHECK (audience IN ('owner', 'visitor')),
    CONSTRAINT ck_vector_search_cache__size_bytes CHECK (size_bytes >= 0)
);
CREATE INDEX ix_vector_search_cache__expires_at ON vector_search_cache (expires_at);
CREATE INDEX ix_vector_search_cache__created_at ON vector_search_cache (created_at) INCLUDE (size_bytes);
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
    stale_until timestamptz,
    PRIMARY KEY (user_id, audience, key),
    CONSTRAINT ck_llm_response_cache__audience CHECK (audience IN ('owner', 'visitor')),
    CONSTRAINT ck_llm_response_cache__size_bytes CHECK (size_bytes >= 0),
    CONSTRAINT ck_llm_response_cache__hit_count CHECK (hit_count >= 0)
);
CREATE INDEX ix_llm_response_cache__expires_at ON llm_response_cache (expires_at);
CREATE INDEX ix_llm_response_cache__created_at ON llm_response_cache (created_at) INCLUDE (size_bytes);
CREATE INDEX ix_llm_response_cache__tags ON llm_response_cache USING gin (tags);

-- What was invalidated when. The order comes from one sequence: clocks may go back
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


-- Limits -----------------------------------------------------------------------------------

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


-- Audit trail ------------------------------------------------------------------------------

-- Partitioned by month: an id is a version 7 UUID, which begins with 48 bits of milliseconds
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

-- This month and the next three; maintenance makes those that follow
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

-- A seal covers a batch of records and the seal before it
CREATE TABLE audit_seals (
    number bigint PRIMARY KEY,
    created_at timestamptz NOT NULL,
    horizon timestamptz,
    newest timestamptz,
    running text NOT NULL,
    records integer NOT NULL,
    root bytea NOT NULL,
    previous bytea NOT NULL,
    head bytea NOT NULL,
    key_id varchar(200),
    algorithm varchar(32) NOT NULL,
    signature bytea,
    CONSTRAINT ck_audit_seals__number CHECK (number >= 1),
    CONSTRAINT ck_audit_seals__records CHECK (records >= 0),
    CONSTRAINT ck_audit_seals__head CHECK (octet_length(root) = 32 AND octet_length(previous) = 32 AND octet_length(head) = 32),
    CONSTRAINT ck_audit_seals__signature CHECK ((signature IS NULL) = (key_id IS NULL))
);
CREATE TRIGGER audit_seals_guard BEFORE UPDATE OR DELETE ON audit_seals
    FOR EACH ROW EXECUTE FUNCTION digitwin_guard();
CREATE TRIGGER audit_seals_guard_truncate BEFORE TRUNCATE ON audit_seals
    FOR EACH STATEMENT EXECUTE FUNCTION digitwin_guard();

-- What a seal holds of one record: six commitments and six salts, side by side
CREATE TABLE audit_leaves (
    seal bigint NOT NULL,
    place integer NOT NULL,
    record_id uuid NOT NULL CONSTRAINT uq_audit_leaves__record_id UNIQUE,
    created_at timestamptz NOT NULL,
    content bytea NOT NULL,
    leaf bytea NOT NULL,
    commitments bytea NOT NULL,
    salts bytea NOT NULL,
    PRIMARY KEY (seal, place),
    CONSTRAINT ck_audit_leaves__place CHECK (place >= 1),
    CONSTRAINT ck_audit_leaves__leaf CHECK (octet_length(content) = 32 AND octet_length(leaf) = 32),
    CONSTRAINT ck_audit_leaves__salts CHECK (octet_length(commitments) = 192 AND octet_length(salts) = 96)
);

-- A leaf never changes, except that an erasure zeroes salts
CREATE FUNCTION digitwin_leaf_guard() RETURNS trigger LANGUAGE plpgsql AS $guard$
BEGIN
    IF current_setting('digitwin.allow_hard_delete', true) IS DISTINCT FROM 'on'
        OR (OLD.seal, OLD.place, OLD.record_id, OLD.created_at, OLD.content, OLD.leaf, OLD.commitments)
           IS DISTINCT FROM (NEW.seal, NEW.place, NEW.record_id, NEW.created_at, NEW.content, NEW.leaf, NEW.commitments)
        OR EXISTS (
            SELECT FROM generate_series(1, 81, 16) AS at
            WHERE substr(NEW.salts, at, 16) NOT IN (substr(OLD.salts, at, 16), decode(repeat('00', 16), 'hex'))
        )
    THEN
        RAISE EXCEPTION '% on % is refused: what is kept here is changed through digitwin', TG_OP, TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END
$guard$;
CREATE TRIGGER audit_leaves_guard BEFORE DELETE ON audit_leaves
    FOR EACH ROW EXECUTE FUNCTION digitwin_guard();
CREATE TRIGGER audit_leaves_guard_truncate BEFORE TRUNCATE ON audit_leaves
    FOR EACH STATEMENT EXECUTE FUNCTION digitwin_guard();
CREATE TRIGGER audit_leaves_guard_update BEFORE UPDATE ON audit_leaves
    FOR EACH ROW EXECUTE FUNCTION digitwin_leaf_guard();

-- What retention removed: records older than a time, and seals up to a number
CREATE TABLE audit_checkpoints (
    number bigint PRIMARY KEY,
    created_at timestamptz NOT NULL,
    removed_before timestamptz NOT NULL,
    seal bigint NOT NULL,
    seal_head bytea NOT NULL,
    records bigint NOT NULL,
    head bytea NOT NULL,
    key_id varchar(200),
    algorithm varchar(32) NOT NULL,
    signature bytea,
    CONSTRAINT ck_audit_checkpoints__number CHECK (number >= 1),
    CONSTRAINT ck_audit_checkpoints__seal CHECK (seal >= 0 AND records >= 0),
    CONSTRAINT ck_audit_checkpoints__head CHECK (octet_length(seal_head) = 32 AND octet_length(head) = 32),
    CONSTRAINT ck_audit_checkpoints__signature CHECK ((signature IS NULL) = (key_id IS NULL))
);
CREATE TRIGGER audit_checkpoints_guard BEFORE UPDATE OR DELETE ON audit_checkpoints
    FOR EACH ROW EXECUTE FUNCTION digitwin_guard();
CREATE TRIGGER audit_checkpoints_guard_truncate BEFORE TRUNCATE ON audit_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION digitwin_guard();


-- Erasures ---------------------------------------------------------------------------------

-- Who was erased, as a hash
CREATE TABLE erasures (
    id uuid PRIMARY KEY,
    subject varchar(16) NOT NULL,
    subject_hash varchar(64) NOT NULL,
    reason varchar(500) NOT NULL,
    counts jsonb NOT NULL DEFAULT '{}',
    begun_at timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz,
    CONSTRAINT ck_erasures__subject CHECK (subject IN ('user', 'participant')),
    CONSTRAINT ck_erasures__subject_hash CHECK (subject_hash ~ '^[0-9a-f]{64}$'),
    CONSTRAINT ck_erasures__counts CHECK (jsonb_typeof(counts) = 'object'),
    CONSTRAINT ck_erasures__completed_at CHECK (completed_at >= begun_at)
);
CREATE UNIQUE INDEX uq_erasures__subject_hash ON erasures (subject_hash) WHERE completed_at IS NULL;
CREATE INDEX ix_erasures__subject_hash ON erasures (subject_hash);
CREATE INDEX ix_erasures__begun_at ON erasures (begun_at);
CREATE TRIGGER erasures_guard BEFORE DELETE ON erasures
    FOR EACH ROW EXECUTE FUNCTION digitwin_guard();

-- Artifacts that are still to be deleted elsewhere. The address is encrypted with the service's own
-- key, because the person's is destroyed. A claimed row is due again when its claim expires
CREATE TABLE artifact_deletions (
    id uuid PRIMARY KEY,
    erasure_id uuid,
    kind varchar(16) NOT NULL,
    address text NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(),
    error varchar(200),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ck_artifact_deletions__kind CHECK (kind IN ('voice', 'face')),
    CONSTRAINT ck_artifact_deletions__address CHECK (starts_with(address, 'dt1:')),
    CONSTRAINT ck_artifact_deletions__attempts CHECK (attempts >= 0)
);
CREATE INDEX ix_artifact_deletions__due_at ON artifact_deletions (due_at);
CREATE INDEX ix_artifact_deletions__erasure_id ON artifact_deletions (erasure_id) WHERE erasure_id IS NOT NULL;
CREATE TRIGGER artifact_deletions_guard BEFORE DELETE ON artifact_deletions
    FOR EACH ROW EXECUTE FUNCTION digitwin_guard();

-- VOLATILE, so that it sees what was committed while it waited: the statement around it does not
CREATE FUNCTION digitwin_is_erased(person uuid, lock bigint) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $erased$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(lock);
    RETURN EXISTS (
        SELECT 1 FROM erasures
        WHERE subject_hash = encode(sha256(convert_to(person::text, 'UTF8')), 'hex')
            AND completed_at IS NOT NULL
    );
END
$erased$;
"""


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
SET LOCAL lock_timeout = '5s';

DROP FUNCTION digitwin_is_erased(uuid, bigint);
DROP TABLE artifact_deletions, erasures;
DROP TABLE audit_checkpoints, audit_leaves, audit_seals, audit_logs;
DROP FUNCTION digitwin_leaf_guard();
DROP TABLE rate_limit_usage, rate_limits;
DROP TABLE cache_usage, cache_invalidations;
DROP SEQUENCE cache_epoch_seq;
DROP TABLE llm_response_cache, vector_search_cache, embedding_cache;
DROP TABLE knowledge_documents, conversation_turns, conversation_sessions, participants;
DROP TABLE consents, face_models, voice_models;
DROP TABLE user_keys, deletions, user_emails, users;
DROP FUNCTION digitwin_guard_email();
DROP FUNCTION digitwin_guard();
DROP TABLE digitwin_schema;
-- aerich stays: other applications may use it, and Aerich removes our row itself
"""


MODELS_STATE = (
    "eJztXflz2ziW/ldQ+qXTVZpsfCWeZGur7MTd7W3n2NjpniNTEkRCElYUoSZAK57e/O+LBx"
    "7ibVKWZIp+UzXphMQDqQ8g8L534c+ezSdcLbn7/MxTfEwt9Y45THHh9l6TP3sunTP9l4pW"
    "fdKji0WyDVxSdOQYQRq2H9ihgDQSI6k8fVW3GFNHMn3JZtLy+CJ8cu+M3ApuMSI83UL/N+"
    "qHqCmFPxiRzLuFFlwSqbjjECWIeQh7Q7iShNq2x6Q09xl1mP0cnmwLSz+au5NtPsR3+R8+"
    "GygxYboTTz/qn//Sl7lrs29MRv9czAZjzhw7BTS3oQNzfaDuFubaly+X734yLeEHjAaWcP"
    "y5u2q9uFNT4cbNfZ/bz0EG7k2YyzyqmJ2A2vUdJxyf6FLwxvqC8nwWv6q9umCzMfUdGLDe"
    "f45914JxIuZJ8Mfxf4Wvlmg2GHz4eDO4vrgZDHq58YVXyIxGeMnSU0TPDe4qAOrP70G/K0"
    "DM1R484O0vZ5+fHb380UAgpJp45qaBq/fdCFJFA1ED+gplDYn0PTZohnZa6gGoh5jGoEdN"
    "VqivvooIzwixlmG8wnSm3z6P5tsp9YrRjNpncNQvts68fWQIe3P6beAwd6Km+p8HLysg/e"
    "3ss0H1IEBV6HUwWCo/hHcOza00uOE6k8f3hn1TxfgmRDoBcQWkNxd/u4Ge51L+4SShfPb+"
    "7G8G5fldeOfq44efo+YJ6N9efTzPQq4Umy9UAeaXbhnkCZEM5vpXbAvzF9ua0xN4g78cHh"
    "y/Oj49enl8qpuYt4yvvKoYk8sPNxlAbb0lUpWH853GQ/E5K8Z0JZVB1A7Fnkd/2emc/iCW"
    "z37c0my+fH9xfXP2/lNqSr87u7mAO4ep6RxdfZZdTOJOyO+XN78Q+Cf5x8cPF9mFPG5384"
    "8evBP1lRi4YjnQy0cCjehydCk1sMzzhNdk6Y8F1lqYWrZ7ppf+wxcvaqz9ulXp4m/upb8c"
    "y2MAxxpfT1oSv6AWfUFAAcazhHoKF0bUmi2pZw9yd8ShKGubvzU/nGevUJdOzPAAmga7mN"
    "L5Nldvp8yaLQRsU8W8L9Oofw/tg+YDK25fk/X9DrxrSSXx2FzcMps4dDnW73vXJ1KsWJlG"
    "XoV87JZ5XP9S+VpftIRnSyIcm3nQ1s3xvc12/9UdDsOOBiM2Fh4bDvuEunbIHPVPJP4CGO"
    "NwCP8aDsmSqymhQCOnjHvEYfSWyYdSRtefj1jB+nvOJ6WaykpmM3rK/bRxmytwoKj89fDw"
    "6OjV4Yujl6cnx69enZy+iDWW/K0q1eX88mfQXlKrQaTOlHPKTi7S21fd92GpTu7F6S++6V"
    "DnpXG4Wz3csHA3W1ojid0RwI4srWnQB1NGC+xJ59yl3l058rFYBv7RnWJyDwegCkuwWSQ/"
    "I00hzi8/nH3+e7HZI2qf/ETO/35zcZZBP9R0ms36hBBO/LUnfvM5j9P9odN9xu4K/QAVlu"
    "tYAu0XtewX1JkIT1OfeROUU0KdsGCnkT46rAH00WEpznArs23yiUuVX6SVVm6bSbE115GW"
    "zekdLSPtMuFcMTrulRtvzO1+HbNNYJZoYLGhxtpBpsIBA8mYCJeF9pLXRD+HSSUThhHqKG"
    "ksIcJXZDnl1pS4IGFRl4wYmfhMyiJv/XYf9QADTPD8hs7klBB68Jt68JGXPYJ6unCoVbC5"
    "lEIet+8S5hvzh6LBcJ01Y+8sSPqnKeYWjHGVTpYQQmbXRCVLIu+EGk992CMJxHxdzC0xn3"
    "M1Z25R4Ez1jE8J4gisOwJG6W3IACMRRL0J6i2jf2LSq2B/+m6/FvkTk5rU71rM2UjYd5p3"
    "2UTqf6ipHpQ3ZDj0JfM0sxkOIS56ORVzwhXRY2Qxz9X0bDjU/Yqwhb5tOuAqz/g2/oSv7l"
    "f3RhNDoBUjKoE6jnVXkrBb5t2RL59AYwj447uLq4ubC/Deg79+5AehAf5ixtjiSQV5x/No"
    "prFlznNuS8MYX+0ZYwynTBPkEyKbhL/O6th7Ef7vLwV/RP9r4wAkrL5WlCBS2+QbS3TQ3n"
    "tQy7J+UGFZP8hb1jX6wveKSHk5ykkZxLkZzg09RRkxdBfVcxeFe3eTpTopg5k5uckLb9Vs"
    "3oYSu1sgetK3rDBhZR9TdPhiUJqlU450Wqp7C8TxSQ2cj09KcYZbaZyNUqaZUJFJrRzntF"
    "T3cNZ7Vs1tr3Lfy63FmnNRUKnzWP/39ccPxVgnZbLGaW4p8n/E4XJrHoAEdRn53FHclc/h"
    "sY9BVwCjlLUhl5iWzUHLrObQQTYxrZN+A8wGaZMt6Rp8peXGpOvQlXq/NclkQdQzJ52REV"
    "XWFJz6Ua7Fcioki9z6hHqMjIQPvv3Q5hJYaqJrcdoFCaKri/L9N/2IryYLZCo8/m+h//Ja"
    "90cV2KTgI7LDVmCbgl4sMWeScJdQ4ujbXtAT5KPoNYp5IEDH+joMo3xu0kt819XvDh3Dkz"
    "WCrgxIsgzSVZZMdy8WzO2HvyT6XfBL4ooF8GDMMtkjlztmmTzBLSAVCBysKE3HOCG2gQFu"
    "mcLbpfF12ZLJxp/wSgpHt82jG27b+eEtr9aREOmETXbX1TpKk1aeWsbKxsLTPCEaBi1FEh"
    "hFkJ3DdWM3Fh675cJvGL6RlELs18Uec692jznmXmHuFeZeYe7VPgffvaXWlF26t9Thmn2V"
    "Fk7NN+tXG1AtEBjwhETtlCwGJkaphKfvUrJgnhTuD5IsqKfA9slVH0qeUqLoBMyRPCiK41"
    "CpCNSv48XZVxvoNTCXsoWwpkHonu3RpUvGnpiHplU9hV2LkeEw+Pmm6UBfHg4fbMCk80Zh"
    "MlH7zSx/j2u6TC1+Jwd1Vj/dqnT5M/fuyc9ShdVRyuGOBTq43Ww+2ACLrcbgntbA9rQU2t"
    "MssmbFaebmiEW6ZEfYcWphJ/0a6NRuk472RVIztcuUs+B+La3Mj5veq439YsrEuzaZcwmZ"
    "BlpTCrUoUJIgGX0qfC+vbzWQe4BSNPKtGWv8ya2ktvG5PaqqtO+fHOpkj6aTTXlx3l254h"
    "BJdKZW+I6VhmBpbIb5SgZRr496u3Zy+2I+YrYdQFO2nSca3bOns6jhwOzu9fb1M3LLIOeg"
    "T6g0tgtjrgsMIZKMHUHV0SEJIqBk4dEzDcUfsMvP2F1DGzsaPtY1fGCa4a7TDH2bg82wkX"
    "8jIbPDDBexdINwyL2ziig6KdhnzzyPljg2IoEMursO/IfnPUbgPwSt/PNfOR/Rv9kg9urU"
    "DFNJC3XJwoSFlNB2VC+ejn1bcN3dGgOclmzVAKO9IjvMUlGHDXxX8YLSftXjnBHF8Ng2j/"
    "MtdfyGcRKxCMZa9fc2SML+zORC41BlhF+16VeTdseZD7ywbRPeHlaRdag78fXbkrmwmUOo"
    "KyGVyg7SvaZiqZm4Ym6YZKUpuuZoNqETPYClhWkf2CXye+T3yO+R3yO/R36P/B75/RMiBM"
    "jvn8QwI79/GuNcwu/LCwaVsfsdVAt6nCHdSl2gKZy4K/ziUvOVQSgrMYyJ2NuYiGtGPWva"
    "qzCthC361YaVIC4BKvfoxmtYVgJBMoaSOVWH+KQbofUDrR9o/UDrB1o/0PqB1g+0fjwhuo"
    "TWjycxzGj9eBrjjNaPnVk/2sPAIQrBVb1i8h3e7N+TWRg0q1nk4aPLCNV4MDgxLUgODCoy"
    "QL1XyA5c+J6GjL2BOgxcEhdOOCLWlLoTCEkQrnNHmJ4ZBRR9c10H5R7g/F1T50HvU9GBTS"
    "yuDxHfNdUjlkGVCZctzZOUEDOTEGFOEsVjl/bw2KVwsjThrwkRTDyskXjIbrldbCMo33SS"
    "MrjvPMDqPvGoux49S0u2SntHetZKeoZa+9ZGOamkNB3nrCyOdJtHer9cGI8zqPfoeznelU"
    "Y3D+1PwmN84v7KAnv6pX4PWqZ8hGrvl7Cj/QR1dTXxAnqJiFlJck7pn28zh6lALT67fnv2"
    "7qL3/RG5rOZz0lQcvGZSllc0LGjYv5fjxiIDGcg0ILxJcUMcodogvAq5NEx0ym2t1GoSyR"
    "1maKNxSZk6gwbfErK7mW6RmO4XMYUhLzyfttRZlZDYnafqYEugopsKeVAzvWlhrznAaUkc"
    "4JYOMPum9IpOnYYV2TNiWJa9Vll2rQCronMeqoqxRRI7jOmBw+Zu2bY29q0bRl17oDcX2e"
    "wU+rRU9+bzy+MaOL88LsUZbmXip3zPLQs9LtWm0kKdCTzemEKlv3dvvf02LYn7bVv3W/CR"
    "rmNWTsihqbHNI4yHZ7fOXRdabNb47NKS+OG1+cMzYwU2xmaWtYzYA0xs+zO2DXIRxtRiA1"
    "PcpCGuOUFENnPun1bYuMUX1FUNoc1LIrZpbNHft1E4bwVfcxXIS+JURV/qTnypJWvtRsAN"
    "XZ+f0t3u5fS9H+n8dpMCXL8H+fDl6qpXtmRsBPHfoL/3UXcdRTq/WtZAeqVobQTon2j3cc"
    "7ppiUwl4djpO2gRcdRhGI//fqZOfHZj2WgJ8MqbnSHHVm4YX58313kikHu3rCVCN/aMSvx"
    "CNcLWGHfgrSI12QJdQ/gnIfECkok5WF5yPg2PD4uHVkcrvLQTiErIx3YAiEvENcSRuRgOA"
    "uGs2xr1cFwFvS+tMJEiOEsXR9gtPts1EQpJFfNNpikCJb2KNhkzHxT7FvBEnSjr1ZM0kio"
    "C9Ep9xSaqXYBpkrhR82zfsFMtIrW9hqjnhJC1JujPmXA8JrCnpZC3JvjvieBhpaYL4x/fV"
    "usa9uxhlR6g3mT0lcrgbX2xpZN601vjR7Tz2O31GkGalYMoc1DCyenjLkn1UCJGXObAVws"
    "jDAXw9wYWoSzDE6lZDM4VwIIZ9H6qn9Hwx0rJYOg5kENFkYovyqaIZsXRHgLlgChmuoDSR"
    "GENA8pdxd+uJU3gTUrhtDmoRW+WgvbnByCWzBvbTZfCMVc627QsP57gWgX7Aq7yFkM3MMN"
    "jeppKbSrV8f8yVUhjQeH75QU6NhPmO+P5ElPtHYVVbnwqPQ91iuMSIlu9qsDUVjQrGb4yV"
    "lUtHM5FabQJohDfc6ZK5YuGd0RSqZUTgl1hMveEFcoEhvh4lonECUCx5UKb5YPRtnOIzDw"
    "ZFsm0O0Enkh/9L/MKrDqV1iYVyJY4LOGbTnEawAf0xo4x3IdBHvzyezNCwY8sFhAuwE+qa"
    "VJnlRokid5TdKk/ReQovK02JUEJsVW+wjXSIodsYm/TuHLpBzGQbU0DirWuNaJZczIYtZz"
    "20Y6RyUfi+G8C3One4UUJ757D8eJMrBrk5xIgGj6QV3CbpmrXhtCEubrmyj4fniwgAmKv0"
    "tEx4+YpV8VDjngqojgbLL74DQEPd7C9yw2HJJnEMrVJ4lMnz5ZpaP0iX4XH85g+NF0uBLV"
    "DFdLU48FD9HM66sbvs6b8BKc3ACsa0Is6nmcSS1upLhrIv2Hw0Su+3D4POhdCc986rqdpH"
    "eSKOiLq68ukDtFZ/o3wnTp69ZjDiW/TNOwlaZ3BJ4IZ0FoqEaa8JnEApdx4HHBeQ/w7LHw"
    "zOEOGhV9Y65xOSOAxA/6FvS6Ah0eKYMEB0M0dQszAjL4bU+KLponwR/He8YPMQ53o3G40S"
    "LQjKCsZDpIUTZPuBMrbZN5mxHDufvY1LplyuYOmDU1hzc3m7ZJGSzJ0Np6UUiPt0GPE2pv"
    "0xHOiCI5bvM4R4Sl6SAn5XCE2zbCrTF/rEplFNo/UpU0qgwgK/5f2wRihpPZxnQQHNcI/K"
    "nImlHR8qnQ6K54XTHdv4fp/qjmYbo/DnDriBrqeFjY9/HHtoGRw/w3B2e5VS5q30Fb8lYC"
    "pxeegOOWC4p5VhyCnZDpnu3zoBbMBxUwHxTYPj3FNbVRA9/jeajLiwxk5boA967LDFhTZs"
    "2kP2+Ce1IGMe9saYcFc22AbTcLy8Z9gX/41OHqbiAt4RXskj85gpbM75xkBvQxiHZqmr/7"
    "+OX86oJ8+nzx9vL6MoxUjBVIcxMu6Qs8SMz4fHF2lU3tkoPVqWNprM+FcBh1SwxLSbkM0i"
    "MtuK35HV/ZLdTnHz9epVaU88vskvHl/fmFnuw/piHPGz/wmJrWReRi0AwW1m9BSt0DDinP"
    "pTRutDB2/XTGdm6euy6N/asrlg6zJ+xdGFPaK3RT5Zv1q91Vs0hgEAWr1ndbaV4QxI4Gp6"
    "2TOb0zmYOFnqvSxhBVewM1ruGVIN3QxJYGyyKZ608aolUlo541HdwyiHQZDiFel1tT8ilY"
    "Na7/58rkJfqKSTL2xJworhz21YWwWz1SygT9BpmKriAGdDJl0LUUwVu5Qk31y0J4qke0Wm"
    "fr1/DI0uPQZRhajC42dLGhiw1dbF21zaOLreMDjC62JzPK6GLbsIvNaJRNTLWxQAedbFvK"
    "KTeKeiMHxEqkEyjv3OkT4Beg1mBuZ+V26IwAIvkfC4cGPHZPHZ1hllGhm7PC+ZOS6oLDLe"
    "u6Pz6t5bs/Pq1w3sPN4lnetPpKVq4TS8y2q6/ccslHHNxmTaBOS+1wORFLN7AA76NnE/3H"
    "u0CZeZ5oFPkTC3Rxia4bXlUZX5WP/FGKzRdFFYXKj19IiOzOWPdiWzBv2FgH1fiaxautJD"
    "o5bTcfFOgwKrU25ipecFhvtTklI4r2lDbbUzC6AqMr2qrNY3TFnkZXbDda4LMG+4rPeUmU"
    "wOp2vzo6AAZt4EDL2lEBI9+aMfWaTMWS6De8I0EdfPC+T8HtThUZDlf+IvDlj+5MiShYL0"
    "d6XySWI6zCasUb7fsB3vw2VMy936O/j9pVuTNfc8iF4EXm4QoilpDpoPFmK1qtXgJsrR8V"
    "HdJyzielbCwl1qWzYv96eHh09OrwxdHL05PjV69OTl/E1Cx/q4qjnV/+DDQtNRIFobx6gM"
    "tOHKmIVE+LrRmm3rYR2HKc+howI8TNIKaOI5asQE+vTARISO0wDSDaP/c2CwDDdzpoiGhN"
    "fZyYM3yR1OyMVbwiaFObXAz8uP29DOMXrfuLsWKuCRMO1WpzeEm4bJhauzZzOTOEAFpFei"
    "AUz4V/T4VfUF5noz0ju2ihlovs4rHZRcDgm+5PK6lW7U1oKs+aysv1vQrqWK7u7a8fb8es"
    "MdiUmsG+kkHU66PeGn0sTKD7BLUvLL6gZRlhBe3u0csWq6Y1rb7XYs5Gwr4z5yoo6swkUS"
    "I4IgDCa36QJuXrjbHESjhPYaYnidGmPDaGpKz4hpbJK2ab7R7yzS5NKtiU2/ojCM+xM1lg"
    "pj+4Fca7Y9rXHqZ9oXNwo4Hv8DE1UYuj9h1UibdxTsG4CbZhcwzQqUU2dloV7enBC09rdg"
    "bgSqIdMTHwvM7ExGB6bsfJNdr3OzjADfgkFmSpHa21g4IsJratkHFHUW9VHBsIR01y/ftU"
    "mKIkmpvKsHhKniKXNULuul/cFUuW9LBkCW6ZqBPhAGPJkic2yliyZMOWWzanRalpFRENkU"
    "AHbbdHh3VMYLpVqQnM3MNzF3Z67oI5NTwowt3c3FgsjabHjZseJVP6R00aDU5Sph1D0qkM"
    "SemP4vccKN4sFbxQeIcFI8YeY9saiG149NYy4sF7ReV2H2jEk2wvM2xKLXfpteUxbZ17CV"
    "nmCNKHoJY69rSLWKWqXj8EqcLK211E7FbwjU2v36Cvzs2v7TseLgxRK/U+XEQ87j4XxMAw"
    "vpqOCCjSrjm9Vjr0mgynD0NYncNvNUavzd9n7E7/ny0kYdSaQrDdDzIMqQvGLO+32FCfD3"
    "BzhE9voh4lRDqXbbFBmowRerss3/FYcciJJbxwPUov8VULUnZjaXJ0upGtd3Z6UVN0k6Kb"
    "FN2k6Cbtqn8F3aQdH2B0kz6ZUUY3KR6evkFVAg9Pf4Q8Ijw8/fEWfTw8vRuYY/H7goUFD0"
    "/f84ppeHg6Hp7+5INX0D+A5b1367eNXgAPT++iy/yMedya9gr9U+G9frVviq5a3eeVKgdj"
    "w16mUl9H4TJY4OYIJ0d7PdMbcXOs4UWqOKes1I3UCfPPyUkd88/JSbn5B+5l7BL6s2qAcN"
    "i8g+huxepTemhqufJafmjqDnTXx1GWNqalPmrYxff/B3Yi5OA="
)
