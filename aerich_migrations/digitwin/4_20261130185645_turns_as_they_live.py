"""Turns as they live: open, streamed and cut off; what is inside them, who spoke, what it cost.

A turn exists from its first word on. `started_at` and `ended_at` have a default for the release
before, which knows neither; in turns that are older than this they stay NULL, since nobody knows.
A turn may have no text: an open one not yet, an abandoned one for ever, another one items alone.

Rows of a session refer to its turns by id, without a foreign key: a turn goes with its session
alone, and so do they. A key on the turn's id would need an index that every turn pays for.
"""

from tortoise import BaseDBAsyncClient

from digitwin.kernel.migrations.steps import in_one_transaction

RUN_IN_TRANSACTION = True

TURNS = """
ALTER TABLE conversation_turns
    ADD COLUMN IF NOT EXISTS started_at timestamptz,
    ADD COLUMN IF NOT EXISTS ended_at timestamptz,
    ADD COLUMN IF NOT EXISTS participant_id uuid,
    ADD COLUMN IF NOT EXISTS language varchar(35),
    ADD COLUMN IF NOT EXISTS end_of_turn_ms integer,
    ADD COLUMN IF NOT EXISTS tool_ms integer,
    ADD COLUMN IF NOT EXISTS tts_first_audio_ms integer,
    ADD COLUMN IF NOT EXISTS extra jsonb,
    ALTER COLUMN started_at SET DEFAULT now(),
    ALTER COLUMN ended_at SET DEFAULT now(),
    DROP CONSTRAINT IF EXISTS ck_conversation_turns__text,
    DROP CONSTRAINT IF EXISTS ck_conversation_turns__ended_at,
    DROP CONSTRAINT IF EXISTS ck_conversation_turns__language,
    DROP CONSTRAINT IF EXISTS ck_conversation_turns__end_of_turn_ms,
    DROP CONSTRAINT IF EXISTS ck_conversation_turns__tool_ms,
    DROP CONSTRAINT IF EXISTS ck_conversation_turns__tts_first_audio_ms,
    DROP CONSTRAINT IF EXISTS ck_conversation_turns__extra,
    ADD CONSTRAINT ck_conversation_turns__ended_at
        CHECK (ended_at >= started_at AND (status <> 'open' OR ended_at IS NULL)) NOT VALID,
    ADD CONSTRAINT ck_conversation_turns__language CHECK (language <> '') NOT VALID,
    ADD CONSTRAINT ck_conversation_turns__end_of_turn_ms CHECK (end_of_turn_ms >= 0) NOT VALID,
    ADD CONSTRAINT ck_conversation_turns__tool_ms CHECK (tool_ms >= 0) NOT VALID,
    ADD CONSTRAINT ck_conversation_turns__tts_first_audio_ms CHECK (tts_first_audio_ms >= 0) NOT VALID,
    ADD CONSTRAINT ck_conversation_turns__extra CHECK (jsonb_typeof(extra) = 'object') NOT VALID
"""

VALID_TURNS = """
ALTER TABLE conversation_turns
    VALIDATE CONSTRAINT ck_conversation_turns__ended_at,
    VALIDATE CONSTRAINT ck_conversation_turns__language,
    VALIDATE CONSTRAINT ck_conversation_turns__end_of_turn_ms,
    VALIDATE CONSTRAINT ck_conversation_turns__tool_ms,
    VALIDATE CONSTRAINT ck_conversation_turns__tts_first_audio_ms,
    VALIDATE CONSTRAINT ck_conversation_turns__extra
"""

SPEAKERS = """
LOCK TABLE conversation_turns IN SHARE ROW EXCLUSIVE MODE;
LOCK TABLE participants IN SHARE ROW EXCLUSIVE MODE NOWAIT;
ALTER TABLE conversation_turns
    DROP CONSTRAINT IF EXISTS fk_conversation_turns__participant_id,
    ADD CONSTRAINT fk_conversation_turns__participant_id FOREIGN KEY (user_id, participant_id)
        REFERENCES participants (user_id, id) ON DELETE SET NULL (participant_id) NOT VALID
"""

INDEXES = [
    # An erasure finds the turns of a speaker
    """
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_conversation_turns__participant_id
    ON conversation_turns (participant_id) WHERE participant_id IS NOT NULL
""",
    # A person's sessions with one participant, in their order. Without it the plan for any values
    # reads all of that person's sessions
    """
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_conversation_sessions__user_participant
    ON conversation_sessions (user_id, participant_id, id) WHERE participant_id IS NOT NULL
""",
    # Maintenance finds the turns that nobody closed. Its condition changes once in a turn's life
    """
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_conversation_turns__open
    ON conversation_turns (id) WHERE status = 'open'
""",
]

SESSIONS = [
    """
ALTER TABLE conversation_sessions
    ADD COLUMN IF NOT EXISTS item_count integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS indexed_to integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS is_indexed boolean NOT NULL DEFAULT false,
    DROP CONSTRAINT IF EXISTS ck_conversation_sessions__item_count,
    DROP CONSTRAINT IF EXISTS ck_conversation_sessions__indexed_to,
    ADD CONSTRAINT ck_conversation_sessions__item_count CHECK (item_count >= 0) NOT VALID,
    ADD CONSTRAINT ck_conversation_sessions__indexed_to CHECK (indexed_to >= 0) NOT VALID
""",
    """
ALTER TABLE conversation_sessions
    VALIDATE CONSTRAINT ck_conversation_sessions__item_count,
    VALIDATE CONSTRAINT ck_conversation_sessions__indexed_to
""",
    # What a search reads as it is, or leaves out. No column of it changes with a turn: that update
    # stays HOT
    """
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_conversation_sessions__not_indexed
    ON conversation_sessions (user_id, id) WHERE NOT is_indexed OR deleted_at IS NOT NULL
""",
]

# The words of up to 32 turns of a session, as a lexeme's positions the places of its turns. A row is
# kept in the table, as it is, as long as it fits a page: a search reads all rows of a person
WORDS = """
CREATE TABLE IF NOT EXISTS conversation_words (
    user_id uuid NOT NULL,
    session_id uuid NOT NULL,
    first_position integer NOT NULL,
    last_position integer NOT NULL,
    language text NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    words tsvector NOT NULL,
    pairs bit(8192) NOT NULL,
    PRIMARY KEY (user_id, session_id, first_position),
    CONSTRAINT fk_conversation_words__session_id FOREIGN KEY (user_id, session_id)
        REFERENCES conversation_sessions (user_id, id) ON DELETE CASCADE,
    CONSTRAINT ck_conversation_words__first_position CHECK (first_position >= 1),
    CONSTRAINT ck_conversation_words__last_position CHECK (last_position >= first_position)
) WITH (toast_tuple_target = 8160);
ALTER TABLE conversation_words ALTER COLUMN words SET STORAGE EXTERNAL;
CREATE INDEX IF NOT EXISTS ix_conversation_words__language ON conversation_words (user_id, language)
    WHERE language <> 'english';
CREATE OR REPLACE TRIGGER conversation_words_guard BEFORE DELETE ON conversation_words
    FOR EACH ROW EXECUTE FUNCTION digitwin_guard();
"""

# Names are unique among the living: a deleted session gives its name back. It stays in the index,
# which finds it by name too; its NULL is distinct from any other
NAMES = [
    """
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS uq_conversation_sessions__external_id_new
    ON conversation_sessions (external_id, user_id, nullif(deleted_at IS NOT NULL, true))
    WHERE external_id IS NOT NULL
""",
    "DROP INDEX CONCURRENTLY IF EXISTS uq_conversation_sessions__external_id",
    """
ALTER INDEX IF EXISTS uq_conversation_sessions__external_id_new RENAME TO uq_conversation_sessions__external_id
""",
]

# Maintenance finds the sessions of a person that are past their retention
ENDED = """
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_conversation_sessions__ended_at
    ON conversation_sessions (user_id, ended_at) WHERE ended_at IS NOT NULL AND deleted_at IS NULL
"""

# `number` comes from the session's counter. A tool's result may be a text or a list as well
ITEMS = """
CREATE TABLE IF NOT EXISTS turn_items (
    user_id uuid NOT NULL,
    session_id uuid NOT NULL,
    number integer NOT NULL,
    id uuid NOT NULL,
    turn_id uuid,
    kind varchar(16) NOT NULL,
    item_id varchar(200),
    call_id varchar(200),
    name varchar(200),
    payload jsonb NOT NULL DEFAULT '{}',
    is_error boolean NOT NULL DEFAULT false,
    started_at timestamptz,
    ended_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, session_id, number),
    CONSTRAINT fk_turn_items__session_id FOREIGN KEY (user_id, session_id)
        REFERENCES conversation_sessions (user_id, id) ON DELETE CASCADE,
    CONSTRAINT ck_turn_items__number CHECK (number >= 1),
    CONSTRAINT ck_turn_items__kind CHECK (kind IN (
        'message', 'tool_call', 'tool_result', 'handoff', 'reasoning', 'image', 'audio', 'file', 'custom')),
    CONSTRAINT ck_turn_items__payload CHECK (jsonb_typeof(payload) <> 'null'),
    CONSTRAINT ck_turn_items__ended_at CHECK (ended_at >= started_at)
);
CREATE UNIQUE INDEX IF NOT EXISTS uq_turn_items__id ON turn_items (id);
CREATE UNIQUE INDEX IF NOT EXISTS uq_turn_items__item_id ON turn_items (user_id, session_id, item_id)
    WHERE item_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS ix_turn_items__turn_id ON turn_items (turn_id, number) WHERE turn_id IS NOT NULL;
CREATE OR REPLACE TRIGGER turn_items_guard BEFORE DELETE ON turn_items
    FOR EACH ROW EXECUTE FUNCTION digitwin_guard();
"""

USAGE = """
CREATE TABLE IF NOT EXISTS usage_records (
    user_id uuid NOT NULL,
    session_id uuid NOT NULL,
    id uuid NOT NULL,
    turn_id uuid,
    kind varchar(16) NOT NULL,
    provider varchar(100),
    model varchar(200),
    request_id varchar(200),
    input_tokens integer,
    cached_input_tokens integer,
    cache_write_tokens integer,
    output_tokens integer,
    reasoning_tokens integer,
    audio_input_tokens integer,
    audio_output_tokens integer,
    characters integer,
    audio_ms integer,
    extra jsonb,
    used_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, session_id, id),
    CONSTRAINT fk_usage_records__session_id FOREIGN KEY (user_id, session_id)
        REFERENCES conversation_sessions (user_id, id) ON DELETE CASCADE,
    CONSTRAINT ck_usage_records__kind CHECK (kind IN ('llm', 'stt', 'tts', 'avatar', 'embedding')),
    CONSTRAINT ck_usage_records__input_tokens CHECK (input_tokens >= 0),
    CONSTRAINT ck_usage_records__cached_input_tokens CHECK (cached_input_tokens >= 0),
    CONSTRAINT ck_usage_records__cache_write_tokens CHECK (cache_write_tokens >= 0),
    CONSTRAINT ck_usage_records__output_tokens CHECK (output_tokens >= 0),
    CONSTRAINT ck_usage_records__reasoning_tokens CHECK (reasoning_tokens >= 0),
    CONSTRAINT ck_usage_records__audio_input_tokens CHECK (audio_input_tokens >= 0),
    CONSTRAINT ck_usage_records__audio_output_tokens CHECK (audio_output_tokens >= 0),
    CONSTRAINT ck_usage_records__characters CHECK (characters >= 0),
    CONSTRAINT ck_usage_records__audio_ms CHECK (audio_ms >= 0),
    CONSTRAINT ck_usage_records__extra CHECK (jsonb_typeof(extra) = 'object')
);
CREATE UNIQUE INDEX IF NOT EXISTS uq_usage_records__id ON usage_records (id);
CREATE UNIQUE INDEX IF NOT EXISTS uq_usage_records__request_id
    ON usage_records (user_id, session_id, kind, request_id) WHERE request_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS ix_usage_records__turn_id ON usage_records (turn_id) WHERE turn_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS ix_usage_records__used_at ON usage_records (user_id, used_at);
CREATE OR REPLACE TRIGGER usage_records_guard BEFORE DELETE ON usage_records
    FOR EACH ROW EXECUTE FUNCTION digitwin_guard();
"""

SOURCES = """
CREATE TABLE IF NOT EXISTS turn_sources (
    user_id uuid NOT NULL,
    session_id uuid NOT NULL,
    turn_id uuid NOT NULL,
    id uuid NOT NULL,
    document_id uuid,
    passage varchar(200),
    score double precision,
    quote text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, session_id, turn_id, id),
    CONSTRAINT fk_turn_sources__session_id FOREIGN KEY (user_id, session_id)
        REFERENCES conversation_sessions (user_id, id) ON DELETE CASCADE,
    CONSTRAINT ck_turn_sources__score CHECK (score > '-Infinity' AND score < 'Infinity'),
    CONSTRAINT ck_turn_sources__quote CHECK (octet_length(quote) <= 400000)
);
CREATE UNIQUE INDEX IF NOT EXISTS uq_turn_sources__id ON turn_sources (id);
CREATE INDEX IF NOT EXISTS ix_turn_sources__turn_id ON turn_sources (turn_id, id);
CREATE INDEX IF NOT EXISTS ix_turn_sources__document_id ON turn_sources (user_id, document_id)
    WHERE document_id IS NOT NULL;
-- What is left to clear once a document is gone: nearly always nothing
CREATE INDEX IF NOT EXISTS ix_turn_sources__orphaned ON turn_sources (user_id)
    WHERE document_id IS NULL AND quote IS NOT NULL;
CREATE OR REPLACE TRIGGER turn_sources_guard BEFORE DELETE ON turn_sources
    FOR EACH ROW EXECUTE FUNCTION digitwin_guard();
"""

CITED = """
LOCK TABLE knowledge_documents IN SHARE ROW EXCLUSIVE MODE;
LOCK TABLE turn_sources IN SHARE ROW EXCLUSIVE MODE NOWAIT;
ALTER TABLE turn_sources
    DROP CONSTRAINT IF EXISTS fk_turn_sources__document_id,
    ADD CONSTRAINT fk_turn_sources__document_id FOREIGN KEY (user_id, document_id)
        REFERENCES knowledge_documents (user_id, id) ON DELETE SET NULL (document_id) NOT VALID
"""

# artifact_uri and checksum are stored encrypted: text that begins with the format's prefix
ARTIFACTS = """
CREATE TABLE IF NOT EXISTS session_artifacts (
    user_id uuid NOT NULL,
    id uuid NOT NULL,
    session_id uuid NOT NULL,
    turn_id uuid,
    kind varchar(16) NOT NULL,
    artifact_uri text,
    checksum text,
    content_type varchar(100),
    size_bytes bigint,
    duration_ms integer,
    started_at timestamptz,
    metadata jsonb NOT NULL DEFAULT '{}',
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, id),
    CONSTRAINT fk_session_artifacts__session_id FOREIGN KEY (user_id, session_id)
        REFERENCES conversation_sessions (user_id, id) ON DELETE CASCADE,
    CONSTRAINT ck_session_artifacts__kind CHECK (kind IN ('recording', 'video', 'image', 'file')),
    CONSTRAINT ck_session_artifacts__artifact_uri CHECK (starts_with(artifact_uri, 'dt1:')),
    CONSTRAINT ck_session_artifacts__checksum CHECK (starts_with(checksum, 'dt1:')),
    CONSTRAINT ck_session_artifacts__size_bytes CHECK (size_bytes >= 0),
    CONSTRAINT ck_session_artifacts__duration_ms CHECK (duration_ms >= 0),
    CONSTRAINT ck_session_artifacts__metadata CHECK (jsonb_typeof(metadata) = 'object'),
    CONSTRAINT ck_session_artifacts__version CHECK (version >= 1)
);
CREATE UNIQUE INDEX IF NOT EXISTS uq_session_artifacts__id ON session_artifacts (id);
CREATE INDEX IF NOT EXISTS ix_session_artifacts__session_id ON session_artifacts (user_id, session_id);
CREATE OR REPLACE TRIGGER session_artifacts_guard BEFORE DELETE ON session_artifacts
    FOR EACH ROW EXECUTE FUNCTION digitwin_guard();
"""

# What each recorder has written: a flush that is sent again after a lost reply stores nothing twice
WRITERS = """
CREATE TABLE IF NOT EXISTS session_writers (
    user_id uuid NOT NULL,
    session_id uuid NOT NULL,
    writer uuid NOT NULL,
    sequence integer NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, session_id, writer),
    CONSTRAINT fk_session_writers__session_id FOREIGN KEY (user_id, session_id)
        REFERENCES conversation_sessions (user_id, id) ON DELETE CASCADE,
    CONSTRAINT ck_session_writers__sequence CHECK (sequence >= 1)
) WITH (fillfactor = 50);
CREATE INDEX IF NOT EXISTS ix_session_writers__updated_at ON session_writers USING brin (updated_at);
CREATE OR REPLACE TRIGGER session_writers_guard BEFORE DELETE ON session_writers
    FOR EACH ROW EXECUTE FUNCTION digitwin_guard();
"""

KINDS = [
    """
ALTER TABLE artifact_deletions
    DROP CONSTRAINT IF EXISTS ck_artifact_deletions__kind,
    ADD CONSTRAINT ck_artifact_deletions__kind
        CHECK (kind IN ('voice', 'face', 'recording', 'video', 'image', 'file')) NOT VALID
""",
    "ALTER TABLE artifact_deletions VALIDATE CONSTRAINT ck_artifact_deletions__kind",
]

STEPS = [
    TURNS,
    VALID_TURNS,
    SPEAKERS,
    "ALTER TABLE conversation_turns VALIDATE CONSTRAINT fk_conversation_turns__participant_id",
    *INDEXES,
    *SESSIONS,
    *NAMES,
    ENDED,
    ITEMS,
    USAGE,
    SOURCES,
    CITED,
    "ALTER TABLE turn_sources VALIDATE CONSTRAINT fk_turn_sources__document_id",
    ARTIFACTS,
    WRITERS,
    WORDS,
    *KINDS,
    # Fences a worker's lease
    "ALTER TABLE knowledge_documents ADD COLUMN IF NOT EXISTS lease_token uuid",
    "UPDATE digitwin_schema SET version = 5",
]

# What the way back loses, besides what is in the tables and columns that it drops: name and query
LOSES: dict[str, str] = {
    # Neither outlives the process that wrote it
    "rows of session_writers": "SELECT false",
    "knowledge_documents.lease_token": "SELECT false",
    # The index of the search is made anew from the turns
    "rows of conversation_words": "SELECT false",
    "conversation_sessions.indexed_to": "SELECT false",
    "conversation_sessions.is_indexed": "SELECT false",
    "conversation_sessions.item_count": "SELECT EXISTS (SELECT FROM turn_items)",
    "conversation_turns.started_at": """
SELECT EXISTS (SELECT FROM conversation_turns WHERE started_at <> created_at)
""",
    "conversation_turns.ended_at": """
SELECT EXISTS (SELECT FROM conversation_turns WHERE ended_at <> created_at)
""",
    "turns without a text": """
SELECT EXISTS (SELECT FROM conversation_turns WHERE user_text IS NULL AND twin_text IS NULL)
""",
    "external_id of a deleted session, where another session has it": """
SELECT EXISTS (
    SELECT FROM conversation_sessions WHERE external_id IS NOT NULL
    GROUP BY user_id, external_id HAVING count(*) > 1)
""",
    "queued deletions of recordings and files": """
SELECT EXISTS (SELECT FROM artifact_deletions WHERE kind NOT IN ('voice', 'face'))
""",
}


async def upgrade(db: BaseDBAsyncClient) -> str:
    return in_one_transaction(STEPS)


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
SET LOCAL lock_timeout = '50ms';

ALTER TABLE knowledge_documents DROP COLUMN lease_token;

DELETE FROM artifact_deletions WHERE kind NOT IN ('voice', 'face');
ALTER TABLE artifact_deletions
    DROP CONSTRAINT ck_artifact_deletions__kind,
    ADD CONSTRAINT ck_artifact_deletions__kind CHECK (kind IN ('voice', 'face'));

DROP TABLE conversation_words, session_writers, session_artifacts, turn_sources, usage_records, turn_items;

DROP INDEX ix_conversation_sessions__not_indexed;
ALTER TABLE conversation_sessions
    DROP COLUMN is_indexed,
    DROP COLUMN indexed_to,
    DROP COLUMN item_count;

DROP INDEX ix_conversation_sessions__user_participant;
DROP INDEX ix_conversation_sessions__ended_at, uq_conversation_sessions__external_id;
UPDATE conversation_sessions AS hidden SET external_id = NULL
WHERE deleted_at IS NOT NULL AND EXISTS (
    SELECT FROM conversation_sessions AS other
    WHERE other.user_id = hidden.user_id AND other.external_id = hidden.external_id
      AND (other.deleted_at IS NULL OR other.id > hidden.id));
CREATE UNIQUE INDEX uq_conversation_sessions__external_id ON conversation_sessions (external_id, user_id)
    WHERE external_id IS NOT NULL;

DROP INDEX ix_conversation_turns__open;
UPDATE conversation_turns SET twin_text = '' WHERE user_text IS NULL AND twin_text IS NULL;
ALTER TABLE conversation_turns
    DROP COLUMN extra,
    DROP COLUMN tts_first_audio_ms,
    DROP COLUMN tool_ms,
    DROP COLUMN end_of_turn_ms,
    DROP COLUMN language,
    DROP COLUMN participant_id,
    DROP COLUMN ended_at,
    DROP COLUMN started_at,
    ADD CONSTRAINT ck_conversation_turns__text CHECK (user_text IS NOT NULL OR twin_text IS NOT NULL);

UPDATE digitwin_schema SET version = 4;
"""


MODELS_STATE = (
    "eJztXWtz2ziW/SsofenuKo03cewkm2xtlZ040952J12OM9MzkykJJmEJa4pQk6AVz2z+++"
    "KCD/EB0oRepug7VZNOSByQOhcE7gsX/x64fMLlgvsHv/hi4TF3wt4LJ5oxXw7ekH8PfDpj"
    "6i9NzYZkQOfzfCO4JOm1p5G3KWDkJohQQ65DGVAHnnJDvZCpSy4LnYDPJRc+AE+IZN8kkV"
    "MqCSXQL4G+wgOAq74UnvuTxpZf/a/+1ZQR/TJEPUaQKQ1VmwnzWUAlc4kjvGjmk/E4ZDRw"
    "pqM75kgRjMdE3LGASC4B6EM7X6p3PyDnkvCQ+EI96qt/w5nnkikL1PurzvUb8LgBA7wnqK"
    "seIgKyCLhUHeiXj3z+R8RGUkyYVFj1E/7xT3WZ+y77xsL0n/Pbke6+IAfuQgf6+kjez/W1"
    "L1/O33/QLYGY61H8k5at5/dyKvyseRRx9wAwcC8jIicHP/K8RHrppfiN1QUZRCx7VXd5wW"
    "U3NPJAmoP/uol8B4RIskFzywKfeQfzgM+45HcsPOBueAAv8uq/k5fOdTAaffx0Nfp8djUa"
    "DSrDAl6uJP/kkpIQDCkOA0xR9j3ud0mVvjqAB7z7+eTyxxcvf9LkiFBOAn1TEzn4roFU0h"
    "iqxbHkXwk1hBepCOHcl2YZ5BAlQfD447EVQXphKYPlB5Ry+HxLpKqXVf/50+Hzo1dHr1+8"
    "PHqtmui3zK68auD9/OOVpndJpxMw+OUjKquMvld3JJ8xM61FZIlZN4EepH/ZFs8pcQWqP4"
    "rFjz9tZ+Renf969vnq5NffoPtZGP7haaZOrs7gzqG+el+6+mM80IWabeMZOeuE/PX86mcC"
    "/yR///TxrPw5ZO2u/j6Ad6KRFCM1r46om2cjvZxeKgg4mrsrCriIRAF3VMAu89hqAi4iNy"
    "DgZClaX75bX4D2U8rq94/s9I8SbA1FZH9k+6BysWRVa5dVPt9NaWDmMwOUmFSvttMJcEPK"
    "xIx+G3nMn8ip+ufxs2cNrP7l5FITq1qVPoOPya3D+F5Jv4i19irHV8pgqFEslpBesNw0DZ"
    "39flWYgVIuf/z15PefCrPQxaePf06b57h/d/Hp1Ex5zJrF2C7jdkf+AKzH/5h7NLZctz/U"
    "n7ca6s8bhvrz6lAPRRQ4bBQF3Ib1Imolzjs2NRepPnx29LoF19Csluz4pnmUT2k4XWWUp7"
    "heTDFFyl8etSD85VEt3XCrSPYdD/k197i8t6G6iNrhdCIWqtMdzSQv20wkZc0xN4+8rEwj"
    "ksootJpCMsQOOZ4z3wWa9pRlFgQisCE5A/Rxim61HEKzhim6uiBSKdlsLg1judZXl4fszl"
    "n3bFs0b9hZtxDBLbMatUtEL4dtu1HbNGjLY9ZjNITAwC0zuJjr7ewSDO1sE6uRL7ln66Qq"
    "QdFL1WUv1YxJCpGbqpD/5/Onj2YB5zFl6XJHkv8jHg+3NvXngmXXEfck98MDeOxjRMWAo2"
    "ZvQNnwL4kQOih7A6KQBZZOwxxkk5HL7n5nD8xkEAu+uTVGI4GqKrUfRMD4xP+F3WuCz9V7"
    "UN8xOVWyAO2XpKP9JHV5NfcCAV1k8fP8mFI/P448aOpPPr87eX820CRfU+d2QQN3VGAb7o"
    "hDUbqSta3emh3OyleoTyeaHfgZ+qVT4v8iuMN+FeqNBsZ0i9z9YXOexR20HM2gafsECyCN"
    "uURjibghlABTxgyLhqaYz4D5DNs1kTCfAcPdnVAxMZ+h5wLGfIYnI2XMZ9iwn0X/t0JnvX"
    "swbd/DINhWvIPzQNxx184Fm8f0zwm7lUg6DSS/UZaTOZZenzlSxvWB7p1nj0yZcxtGMxve"
    "8xjk3J5zDPkaJpaNh3z/iCjkIoxCRwSGVfKDJ2jN+K4gS6TfALRXw/z9py+nF2fkt8uzd+"
    "efzxO3dKZA6ptwSV3gsR/v8uzkosQ3D0dqLuZ3Bq5PhfAY9Wt8THlcielrBdzW+M6u7Jbq"
    "00+fLgozyul5ecr48uvpmRrsPxUprzo/MPyC4ZeuaucYftnT8EtOTWEhOJ4Nisppgvzwyy"
    "XzqDR7pzOy3wkffNi63ee4z71dPAvUwyt+32646gNtjFYtbw+bg1XKTFo1VgXQdqEqQ0uM"
    "VGGk6g1Gqt5gpKr3Lm6MVPVcwBipejJSxkgVRqo2qEpgpAojVRipwkjV3nGOkSrDxIKRKo"
    "xUYaRKD2qMVO1CEBip6qaBg5Gqh0jFSFU3qN9BpEoPVGOQKh3CTfEpGAYtI1NQX1ZX/IhD"
    "TfoRlaBUXSOMR2E86g3Go95gPKr3jmyMR/VcwBiPejJSxnjUhuNRbEZNtWka6oGlgB5GpF"
    "4ctgmVqFa1Pk19DyN+O434KeVW+LH7F55sqrtW71wzo7vhZoPn9cbNFjKpftTESjh5TDdE"
    "0ivPZxhdZ+85ktwuaG4E7zDUdRMwtk9xroqPtI0/r3Bw0ToOPePhSXu2ltT68woVe0vFiN"
    "YhrVgCqY9slbLh1yGrkIHfR64e17e+l5TB3U3MXu/ifvpE03ZjEKYxZgxJ1AzGpgiFk4OM"
    "8h/FwxGLTz4jeThZcDlNohJvyZS7LlPXptxjRCniSdyChyRx01SjG5voECMhGAnBSMgAIy"
    "H9d6FiJKTnAmbfpJrcqWf0kTf4dIuwPiQI78DxuCc5wctMzX1xlRRGtO+O1OISmlb5hgFd"
    "QPVvPG/+pCMZBb4iMDIdWVerTRVBeG5JWaHiks2sSS2CkNQyqWoSDVZTYopIVGK6qsQo8l"
    "YRbx6HqRxdljDuguhcLBBzqJ7Ch4c5VNvIoVpG0Sx5rQCR2VJuD+wXd/ic+tKS2ioSucV9"
    "b1ukM5d4YMlqFYlDFfcU7mRPYc1cuxFyk3Dyb8Vu93L4Psx0dbkpEK7eg3z8cnExqJsyNs"
    "K4Vb7SvjJdnS1bML1UtDZCtE2u077yXNFNa2huk8YIfuKN5k1dqQ57MnFXkqbSEklrE5ZM"
    "wCdJf33lC/zla3MFA+pcddRXkqKQTtgoYI4I3LXJ+gKdXeq++spXKKLAYRsZVp91V30ian"
    "e5i3qefzBxMV0NWmctZutRu5RF9s2ZUn/C3pDFlEoip4zk9D0SUu4S6rvLu/B0dSVcsKAu"
    "a3HNPr/6X/2fy+mNSTIm4SEmNmJiIyY2YmLjU4lrYGJj3wWMzuqNxlVEyKXdApOH7G6F2W"
    "ZG3YYXGT3eJPtmmILq6/IWQH3IU2yadLZRmBcUP2vWCyBk3Z71KQNDz5b2Igp5720ZakfM"
    "5jopaFtW17azzjuUY7qxEY/qZH9TTFG2mDO0C7vBo/4kohOrelZ5TB/W/FLJsOM2FcOO6w"
    "uGHZt2PIkb7aMemQJbtRZaFbiSndY1ujdsptEwsKN1CUA6q3QGTD2P3VHPjtQyDKmtUut5"
    "EDULQjmS4pZZTgZmMNJsptmaWqSzjk4phOVckEMgoQZCZZh8yTRyubDk1ghGms00W1OLdN"
    "brBep3WGpaBQySWiV15WkAp4B2S5e01WPzEKTUUAHBn0eJCmpDaxmG1FapFZFcidsKDsmt"
    "ksu+qc6rpNZvT88Aa+1N7xiru96Ezl02mwvJfOd+dMvubbyMBmj/nI3bKWMVZ41a+sqLKE"
    "ywad6xGC5Lq669+ai/9YPTFyjsQyoONNujEbebql7eYWPMVDdsw2lKVE9/b2Eb0MN56ick"
    "3tyhOB8SOM1eDAmfqRcnIiA3kCGuz/9Leh+SWzaXhPs6tTxkwR132A+6QC4JpZo4Jqyatr"
    "75R2AWO2axYxY7ZrFj5kI82WAWe88FjFnsm8xG0ZkOdnTmIJjbU2TzVr29jcWdtu/hOXWb"
    "TyhNtflRFPAqyfUp02VcH3wau06adqbMuQ2jmQ3veQxyvgLnwpfMlzFpFpNKGdcH7ktzSy"
    "sf3vMGH95zgw+P/4uNru+lsWIBn9TaW0VcjwIB/3l4+OLFq8NnL16+Pj569er49bPM+qre"
    "ajLDTs//DJZYQRRV08yNgriygFXwsITqEf19LPbdMab7ZBdhPejOheIwKoRRIYwKDVaJCp"
    "1ELpcXYjIwhoOyu8PmOBAka8mRJyaWAaA3ZDxOnEbjMZx1qEsL6VPO4ahEB6IL7lA1Ur2J"
    "pNViKojLXcJlfdRnzX4h1HOlEDBlX9OQqV5vVHchYWrY3pMvv8FCNNQlj+Ir788uzq7OoE"
    "4ShJGu7wkl8yiIg03UJ2pUh1HAMES03yGi/fKIDp4l//uT4Y/0f10UQM4R5ZjrftSb5EtE"
    "Hz1927DGFftZzb+2LOcxyLMdz5anHZZg/XMxbSVNLF3WbabqPAbDLZXBC29lN24TxA5LeY"
    "SR4yhde1uL2rbjLnwOfogg+QWtk0kLqP5NEEdtNq0f1W9aP6psWtdKmTKITGcH1PNcRPWP"
    "Z7VmtVz2Gte9ylyM/rLO+cswOauHPuqK7+5RXUqfGfUG9T4lfXvYxqkUqpatvUrXVDpTyO"
    "xNiseTCDZpEuEz8EewUA7VxOHfMpdIkaT6Uo9csxsRGHOI1+oPvEjj8VQE/F9C/eUNoZ6X"
    "daRT4JKWhEtC4T+QfszDuJPEc0QDj8dPPIDegsj31dtBb7rOdkD9MLZ5wcdFJYGK20TMmT"
    "8Eh5Z2XcUPnNF7EkquXkFxrrpd1xnlR7Nr08lGTRHcJWYzCbMPO6R6Eryt90n1cirHoGM5"
    "6JjMIrYyzsEwqNxl+fpswULrT3iJQul2WbrJql0Vb31OXw7SCw/rrnP6ak8PaijokSGwZL"
    "ipSIoQhgnqlPs0uK9hNEGU6MxS+PaM0CbdLTG8syGsRvDp+ceTy7+Zx/CpwVA//dvV2Um5"
    "9H3A7rgwFVFu4j2PQu5X5X7KqCF+0MR7ikDOV+X8lt1bxseWiP55ZLcTGvMmyiiQU8MOg4"
    "aweh7UC32kVBj3sAXRLw7rC+MeVpPcJz6VUWCIqzdNIQXYivNIx8b0jqaRbrk/Lxi9GTSk"
    "1MHtYaucOkbvWEv/p05Z027JEHyW4KWMlVrwLFLtVoyT1rSnknpxMyhj4IjZjMsZUyKruk"
    "E31+0a7sb4iZYh/QLo0TLh9JPgj6M9y3cLEye9xRadBNEnA2rHu3PmHjUlY9UfdZW27xPn"
    "WIYCHWw2DrZkJ6adrpUDocVmo2oVCpInmkx72lMEcr4q5zm1ynbEF4AogVUloLVcS8suhS"
    "DrNqx3y6x7B5UW5iLe61Vn3OUaDduYeE7WvnWeS7K5yM+2O6VZHsKD/BQ5pT4ZjwM2E3dK"
    "hYmzTMZjnQNyzciMh6Gui5cZbZBjQ6J5xfTb2pO++lIoHPxTtU7u8oDE5q7Ohkn6xDyVPT"
    "JjME/liSvixYnAVtRVNIq70+JGD9HOptYi6SP76GQBhkroqqp/bWJJ06jvaW7Jjgc+RuR3"
    "P9wxIo8ReYzIY0R+n10376gzZe6ZsuldN+bF4LopNxo2u25Y2nDkALCt4+aOwS7zoT5UgL"
    "mEhuTGE1S+OCR6LJn2ILWBrOEfsTy6Zp3jajrmFynMN8fP20w4qlXtjKPvYQGZDmQ05JbW"
    "yOXMtytuksfssHaBWPixy3H7Y/11i5H+unacvy4vrJJODObQSRDQmiU1BZTY3fWWbnjeY2"
    "TkwAaGf/zToijuNividk4LxASQh6l+6lvdi4cfzrnqbgUBF5GdEjB6miueZkk9Nop8yQ0O"
    "5weLK+ehuFWyy3K+o15kaaFnEPTyDffXPP/MaOBMBw22edJi2GyYx+YylA1RjW2Mc0hzj6"
    "uWpUcDQg/mdPiadmiGoxmOZjia4WiGoxmOZjia4U9Ib0cz/EmIGc3wpyHnGjO8vmJrnRG+"
    "g3KtjyPSjRVm7ZgdfsnCuSKBDRos8azNsNkW97zZKEja2sXJPepPIvWiZCZc5v0QkrSbeC"
    "vBVCyU8S2ZD6UzFxRKZgbpXoFS+HyNntCcR3MezXk059GcR3MezXk055+Q/o/m/JMQM5rz"
    "T0POaM7vzJwvbFiC3f0iMhemqd8tVoDtTv94tl3lYwebxbrlSjn31VfEXZrwVedNKTQbNj"
    "tUtA9lxHMIi9KAHg0lyWOT/AXYVzCEE2v1+bg/hIT5SqAshGvKqICTSKDmH1y9N6dDbKTn"
    "+LgUNhfOdDyG0oEsJDeBmCV1I9Q4VuYjGY9jDnS7kbo8Hq9dIYLOrEzZtD16a1bx1uhBYU"
    "N3BujhLrfNnyF4q36Xlecxad9DcjfskNEzjt1CnkH65ETY8aZvdDX00DbplqL2JaSTpnhX"
    "fL+VahZlTVsEufTKprSiKdRKhmAUlMtSWg/3tVo0FVFgimi1ha2hEl1Hzi2z/uCWqG18bI"
    "+qKO37B4ca2aNpZPCZWtv/Ow497L/pXzhxWM+HdpwvMcj6PjpcIKOjripnevOhFTxu1r4I"
    "Z+rVSIBwBiwswPMoUFM2e0v4bBbp3oeEfXPYXMZHtHJJHOpDecwFl1M3oAvftMxvsvvYt5"
    "L9W6nE4zHRJ81KspjGyS/qn1kD8MwETJeWd8n1PaHEZwt9CO2aioVdmsYjH9yQDaBbFvjM"
    "O5gHfMYlv2PhAXdDfaTDqz070iEZPDarfQ6C632L9Z7dcdecHVMfbsljMOKyRsRlElB/NW"
    "9BEYnegk4ZL51MTMB49daknNdUbOVcxqKkuyzp/UrefRyhPqDvVYywIrtVaj+IgPGJ/wuL"
    "M0nP1XvQOuUj0YC/JB3tJ6nLq7kXUFNEZqDkx5T6+S7zmIzV4pPP707enw2+P5Zh+5mFof"
    "rRv9FAcofPaZ2Na2g3bDZ358umliYvWIfzQCiNaRabnJJ6tyHYpxCqhwel5wTq9OshAeVW"
    "cvWbtTEJIUfttw7YTb3hu8mHgPn7M3dVA2Xtco/pLjQMrN5Y2mtv+UDT9nFNW1xJNrrJAx"
    "MJtugjUJOSDbdJc6yn3aqe9k7zuZ4evfA0U0Sr3ru1ROzet9WlLUpb8XhhfkzfLeS5u6KA"
    "i0gUcIcEbBE4zR/8o208U2Q7QX745ZJ5WSZ5nTH/Tvh3ysbS7RK7cf9WOpNpD6/4fbv2+F"
    "UU+OeSzQZGKzy7O2y2vaVqN+KqYXvLW1nrcVa9k5PeG/XvmZKgeludUy+ERxzqeWA8Q3ZY"
    "XKcQbk2VLSxubuCvN8oCNtrdG34EWN2nzBP+RJvtCqt+9RBwiRGfjGdCPTDjfxyPY1rcOD"
    "b9UV386YCMx/FpjPFFeKII4ORJrnrPdfJWNQRCMzjcg/dkwQ8h2PqEu0MSD17IlMtB0fBH"
    "wx8Nf1Qo+6xvFAy4eJa1+V5ykDW+l25qEGt+LnXnC+/scOHH9jhsuLQE+h236HdMNCQbfn"
    "MQdJC1cpCB1mlJcg6CJKOT9/HpndN7T5hOW6338uYg3XDzwmN74+bl4YgFgTAoGqfKImfU"
    "r5m9c7Dy8RgKty1xZFd2fDzGp08XBeZPz0vbFj5++fX0TC2aWgyqEY/TPAyHbEsarGYFFZ"
    "GYfdZlU4gpCleRcR6HEu6yhBMfn6W9W0Shi6g5yzBcxhDWTjRcLTbRUZofzjssDrRupR7q"
    "be+XzBFB0d9tbDBsDnjoffGjQLdtGfP4KyT9QWAggNo/oYxjCPNAwF6ZgDhqiL4lPruDv0"
    "+pPzGVf16hD4haQE0jXYArJK4gvlB9qCYenb+BKIM/j+RIilvmh+MxoQGkE4qQxVmKC6b+"
    "7TMOQQT1VOrGNYwo0fUBVF/BV38RcAkVp5MNfZClCL3Ac6BMrhiqp4hIFh6TewQtPiEUvv"
    "q10HOMxnAGhjOe+FqF4YwnpOFhOAPTfvfE/Z4qHjYE5zH9c14+b+W8fN7gvHxedV7qkz5s"
    "OM4A/SN4K97hRJu2DHIUUUh1K6rz1kaV7Nogcxm2Uqi5a2xv+hADfZbRaEWGa9BIdA3RI7"
    "B62Yo8V8BIc5XmgsvAguEKDsmtkps5Wuz5NUGR4irF2nu16nRsBiPNdTSvOlnUoJFow7Kn"
    "NGHqSBZYLXcFENJaN35n9oN2hpTWUMq+qc6rfDbUK0sBa2X6dIzVXaf0ROFqu/pC9El33S"
    "eNWQeYdYBZB4NVN1h+FlHgsEHtFsvk/rDFJstQN7XYZql3OsbbIBXj0UxX3tVhd71/8Qco"
    "uR8uWEBgHjZvo7TrIq7NmzYsbH8kAo48gq2KWT/LekXkRgRkIoQLWx//iIRkMXCh0xBoSP"
    "Q1LGuE6QBPfRHBdIAnpHo9WjpAP7+X3LpkQ2kJhlkW5e01YXpQUOs8gCUEQ6etQqehYzzX"
    "5oMnaN3J7475YJsbgOwfxw2Uvv/05fTijPx2efbu/PN54tzI5nF9Ey4td8hcnp1clPjV+m"
    "WV3yv2rYbeDNCHAdy0Zp79ftXsLcqovvj08c9p87IL6Tu6FNCl0A2a99ulcKn4vgBDcGD0"
    "KCxvD5sdCiC3kQctW/sT4iPx3pCpWBD1hvckDpnBeTtT9fZEmerj8bJO23g8hOLF2uJXBu"
    "E1DRlxPOHcmhwNG+17DQ9BGF3/L3MM9lTDCXJLSO9OUd6gLlPvFWC+OxfcdLB8Pel5TA/T"
    "dbeiQ6opwFX2pyna2HSaXAHWpzIvuz7JTwm4LkWhQY8vwlZU5rsmgS1r8yvQjBTbUUw9Ty"
    "yYQX9vLOGQQ+2wgkO6fu5tAQcsm9tDR2/Fdnt0k6Lh7PBSm9bGhc0h4j8r3V/cwGZiShKl"
    "Gk4MVXNGXHPVJ6nWF+9MTiYTvefYZT4cltJ42vgW+kdLo4MaL1oaj21pxNa87Vq1RHVqnc"
    "I6NOWwZL3u12BG1qt+eCp5SwsyXoTsaF9ikPX2rHdGNzsLaBgFNUpZevMBbYzFzdr6eZUa"
    "FAPeLo+hi0vQw3WlBAnfu48PUp/ScHpALiNfV22Jj6Mbjx0xm+usruxodvhZBq/vNp+EWW"
    "J7myXWBc24Uzra5os3JHyN4LNagecM10OyXx61IPvlUS3ZcMu03dKG5iWihwQft7I4jhss"
    "jmNDnWpd4azKcf22nyUCK/wWDI9NbAe6ZpNolfPO87hOGYFP3VlZ/NaWWpetgMtYLDjbNU"
    "l3xvQ5CZRBoEyV95B8EwvBYANVWj1gDNGkfZzTk55A1yb95U5wh8GJXwrOSNoPWVClbiub"
    "BHaw6HyUpF8yFeL2rT7kSzGuhBKCfcJ8J7ifS/Numy084amYQfpJ8MfRnhk7iQVsmQpZRG"
    "FGOtb925npmEw1VX7rc6VzkF5QvOt0aSolm81N5k29tz0H6Y3jd2M1Ily1JNrrrksUmiYd"
    "UlgLxT/Mx8o0RHdrDpTZy20cuzgPDLec9u8L6ozJ12zqtTXxLC07OCCB3UE9Al3lIBQ3Mj"
    "Ox3pDFVGRFCqAawVD9CRlEPvzzfqj/ApsWuCT6IJ2qXbfh/uMSC0riuhjEeEx+hC3yw9h4"
    "HOnqv0NtQKZ/T7ev/qT7WkLj6gzxkQ8sfYevfiAW8bnW6uIND0L92iEcK0G9tPKD+t6C+5"
    "DJFPUWfmBwTxQ2OTmCLks7LLic6n0cNIxPudZk/KCMVZeoZuNxSoZ+oYP4DaUIclE9eJQO"
    "AyZ34FCJG+5TL24RM6ZePb6r44CCwGHdLCDqAwm5GhkHJBNEGEtizoIQTuwO4EiNmbhL3x"
    "XeMb6HJnR3zDusKrEj6zmdH+wCVktML0y8bVvRuUnYZtyWYDh2HzvU2mkLYCuRVqVLCdvp"
    "No9BZ2U5qW/VWFoRiRZVhyyq0lSfarO2Ei5BMVjaZTmnBomtkPM4lHDXJNwZ38gXZbKczS"
    "j3BkbnyPL28KHTK5Xpw6ClhX8kjS8ru5lRZwrFHgPtutCmds4PAMFoSEGlwT25ZfB/Ns/C"
    "0ywk8bA0O0m28ZA1jPfaQFe9MrnxQFeHNmi9OGyjTKpWtcqkvoem/JZ1y85MWCcs4M7UPF"
    "sl9x6Yquiy1UOzVD2xG3bf1Z9S1XKTTfIFd/er30istf4Th0JSxrpU9dNqDtJD59Lh8XGb"
    "ON3xcX2cDu6VrHT1WdksXHHzHrK7lUMZ1RMlM20jbko3zyC7zzd/nIVqY5nlj7qkff9/JF"
    "JQfw=="
)
