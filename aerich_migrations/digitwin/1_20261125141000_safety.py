"""What safety needs: deletions as events, row security, sealed audit, erasure, keys, consents.

Safe on a filled database: nothing here rewrites a table, and no release before is shut out.
"""

from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
SET LOCAL lock_timeout = '5s';

-- First of all: here a second one that migrates meets the first
UPDATE digitwin_schema SET version = 2;


-- Guards: participants are a person's data too ----------------------------------------------

CREATE TRIGGER participants_guard BEFORE DELETE ON participants
    FOR EACH ROW EXECUTE FUNCTION digitwin_guard();

-- An address goes with its owner's deletion, and else not
CREATE FUNCTION digitwin_guard_email() RETURNS trigger LANGUAGE plpgsql AS $guard$
BEGIN
    IF current_setting('digitwin.allow_hard_delete', true) IS DISTINCT FROM 'on'
        AND EXISTS (SELECT 1 FROM users WHERE id = OLD.user_id AND deleted_at IS NULL) THEN
        RAISE EXCEPTION '% on % is refused: what is kept here is changed through digitwin', TG_OP, TG_TABLE_NAME;
    END IF;
    RETURN OLD;
END
$guard$;
CREATE TRIGGER user_emails_guard BEFORE DELETE ON user_emails
    FOR EACH ROW EXECUTE FUNCTION digitwin_guard_email();


-- Cache: how long an old value may be shown; which entries are the oldest, and how large ------

ALTER TABLE embedding_cache ADD COLUMN stale_until timestamptz;
ALTER TABLE vector_search_cache ADD COLUMN stale_until timestamptz;
ALTER TABLE llm_response_cache ADD COLUMN stale_until timestamptz;
CREATE INDEX ix_embedding_cache__created_at ON embedding_cache (created_at) INCLUDE (size_bytes);
CREATE INDEX ix_vector_search_cache__created_at ON vector_search_cache (created_at) INCLUDE (size_bytes);
CREATE INDEX ix_llm_response_cache__created_at ON llm_response_cache (created_at) INCLUDE (size_bytes);


-- Sensitive fields are sealed with a key for each person -------------------------------------
-- From varchar to text no row is written anew

ALTER TABLE voice_models ALTER COLUMN artifact_uri TYPE text, ALTER COLUMN checksum TYPE text;
ALTER TABLE face_models ALTER COLUMN artifact_uri TYPE text, ALTER COLUMN checksum TYPE text;

-- Wrapped by a master key. A backup leaves its rows out, so it has no foreign key
CREATE TABLE user_keys (
    user_id uuid PRIMARY KEY,
    key_id varchar(200) NOT NULL,
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ck_user_keys__key_id CHECK (key_id <> ''),
    CONSTRAINT ck_user_keys__wrapped CHECK (octet_length(wrapped) BETWEEN 1 AND 8192)
);


-- Consents --------------------------------------------------------------------------------

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


-- Erasures: who is gone, as a hash, and what of theirs is still kept elsewhere ---------------

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

-- The address is sealed with the service's key. A row that is claimed is due again when the claim has passed
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
    CONSTRAINT ck_artifact_deletions__attempts CHECK (attempts >= 0)
);
CREATE INDEX ix_artifact_deletions__due_at ON artifact_deletions (due_at);
CREATE INDEX ix_artifact_deletions__erasure_id ON artifact_deletions (erasure_id) WHERE erasure_id IS NOT NULL;
CREATE TRIGGER artifact_deletions_guard BEFORE DELETE ON artifact_deletions
    FOR EACH ROW EXECUTE FUNCTION digitwin_guard();

-- Volatile, so that it sees what was committed while it waited: the statement around it does not
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

-- The audit trail, sealed ---------------------------------------------------------------------
-- A seal covers a batch of records and the seal before it; a leaf is what it holds of one record

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

-- Six commitments and six salts of one record, side by side; the salts of the erased are zero
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

-- Of a leaf nothing changes but that salts are erased
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

-- What was removed lawfully: records older than a time, and seals up to a number
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
"""


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
SET LOCAL lock_timeout = '5s';

DROP TABLE audit_checkpoints;
DROP TABLE audit_leaves;
DROP TABLE audit_seals;
DROP FUNCTION digitwin_leaf_guard();
DROP FUNCTION digitwin_is_erased(uuid, bigint);
DROP TABLE artifact_deletions;
DROP TABLE erasures;
DROP TABLE consents;
DROP TABLE user_keys;
ALTER TABLE face_models
    ALTER COLUMN artifact_uri TYPE varchar(2048), ALTER COLUMN checksum TYPE varchar(128);
ALTER TABLE voice_models
    ALTER COLUMN artifact_uri TYPE varchar(2048), ALTER COLUMN checksum TYPE varchar(128);
DROP TRIGGER participants_guard ON participants;
DROP TRIGGER user_emails_guard ON user_emails;
DROP FUNCTION digitwin_guard_email();
DROP INDEX ix_embedding_cache__created_at;
DROP INDEX ix_vector_search_cache__created_at;
DROP INDEX ix_llm_response_cache__created_at;
ALTER TABLE embedding_cache DROP COLUMN stale_until;
ALTER TABLE vector_search_cache DROP COLUMN stale_until;
ALTER TABLE llm_response_cache DROP COLUMN stale_until;
UPDATE digitwin_schema SET version = 1;
"""


MODELS_STATE = (
    "eJztXXtz27aW/yoY/dN2RjcbvxLfZGdn7MRpvXUeGzvtfeQOBZGQiBVFqARoxbeb774A+B"
    "DfJmRJpujTmbYJiQNSvwMenDf+HDh0SsWS+s/OAkEn2BZviUcEZf7gFfpz4OM5kX9oGDVE"
    "A7xYZMeoSwKPPU2I4/GWExNwTTHmIpBX5YgJ9jiRlxzC7YAu4icPztAtozZBLJAj5P+TeZ"
    "BwsfoPQZwEt2oE5YgL6nlIMKQfQl4jKjjCjhMQzvV9gj3iPFNPdpgtH0396TYfEvr0j5BY"
    "gk2JnCSQj/rnv+Rl6jvkG+HJXxcza0KJ5+SApo6aQF+3xN1CX/vy5fLtOz1S/YCxZTMvnP"
    "ur0Ys74TI/HR6G1HmmaNS9KfFJgAVxMlD7oefF/EkuRW8sL4ggJOmrOqsLDpng0FMMG/zn"
    "JPRtxSekn6T+c/xf8atlhlnWh4831vXFjWUNSvxVr1DgRnzJlktErg3qCwXUn9+jeVeA6K"
    "sD9YA3v5x9/vHoxU8aAsbFNNA3NVyD75oQCxyRatBXKEtIeBgQywztPNUDUI8xTUFPhqxQ"
    "X30VCZ4JYh3DeIXpTL59Gc03Lg6q0UzGF3CUL7bOun1kCAdz/M3yiD8VrvzrwYsGSH87+6"
    "xRPYhQZVIORqLyQ3znUN/KgxvLmTK+N+SbqMY3Q9ILiBsgvbn4242aec75H14Wyh/fn/1N"
    "ozy/i+9cffzwczI8A/2bq4/nRciFIPOFqMD80q+DPENSwFz+im1h/nxba3qq3uAvhwfHL4"
    "9Pj14cn8oh+i3TKy8beHL54aYAqCO3RCzKcL6VeAg6J9WYrqgKiDox2bPkDztd0x/Y8sef"
    "trSaL99fXN+cvf+UW9Jvz24u1J3D3HJOrv5YFCbpJOj3y5tfkPor+sfHDxdFQZ6Ou/nHQL"
    "0TDgWzfLa0pPjIoJFcTi7lGEuCgAUmoj8lWEswdWz3zIv+w+fPW8h+OapW+Ot7+S/HDoiC"
    "Y42vJ08JX1CHviBlAkxmGfVUXRhje7bEgWOV7rBDVje2fGt+OC9ewT6eavYoNDV2qUkXOl"
    "S8cYk9WzC1TVXbfYVBw3vMPjXcstPxLa2+35XdtcQcBWTObomDPLycyPe9GyLOVlaZRF7E"
    "9tgtCaj8pfyVvGizwOGIeQ4J1Fi/ZO9tdvqv/mgUT2SNyYQFZDQaIuw7seUofyIKF8piHI"
    "3U30YjtKTCRViZkS6hAfIIviX8oSajH87HpEL+ntNpraayotmMnnK/2bhNCRwpKn89PDw6"
    "enn4/OjF6cnxy5cnp89TjaV8q0l1Ob/8WWkvOWmQqDP1NmUvhfT2Vfd9ENXZvTj/xZuyuk"
    "wN7O40u5XgNhOtCcXuDMCeiNY86JZLcIU/6Zz6OLirRz4lK8A/vhOE7yEDmrBUPovsZyRN"
    "iPPLD2ef/17t9kjGZz+R87/fXJwV0I81HbNVnyGChb/2wjdf87DcH7rcZ+SuMg7Q4LlOKc"
    "B/0cp/gb0pC6TpMzdBOUfUCw92HumjwxZAHx3W4qxuFbZNOvWxCKu00sZtM0u2phzp2Jre"
    "kRjplgvniuDJoN55o28P27htIreEgccGa28HcpmnHCQTxHwS+0teIfkcwgXPOEawJ7j2hL"
    "BQoKVLbRf5isLGPhoTNA0J51XR+u0+6gEOmOj5hsHkHBFE8E0j+GCXPYJ6uvCwXbG51EKe"
    "ju8T5huLh4LDcB2ZsXceJPnTBPEreNykk2WIwLIzUcmyyHuxxtMe9oQCMF8Xc5vN51TMiV"
    "+VONO84nOEwIF1OaCVXkMLMCEB1E1Q75j5x6aDButP3h22Mv7YtKXpd83mZMycO2l3OYjL"
    "vwhXMuU1Go1CTgJp2YxGKi966bI5ogJJHtkk8KV5NhrJeVk8Qt7WE1BRtvg2/oSv/lf/Rh"
    "qGyqwYY65Mx4mciiNyS4I79OWT0hgi+/HtxdXFzYWK3qt4/TiMUgPCxYyQxZNK8k7X0Uxi"
    "S7xn1OHaYny5ZxZjvGRMkM+QbBL+NtJx8Dz+5y8V/0n+6SIDMl5fOykQae3yTSl66O89aO"
    "VZP2jwrB+UPesSfRYGVUZ5PcpZGsDZDGfDSFGBDMJF7cJF8d5tIqqzNFCZU1q86q3M1m1M"
    "sTsBMeChbccFK/tYokMXVm2VTj3Sear+CYjjkxY4H5/U4qxu5XHWSpm0hKpcavU456n6h7"
    "Pcs1pue437XkkWS5sLK5W6jPV/X3/8UI11lqbonKa2QP+HPMq3FgHImC7jkHqC+vyZeuxj"
    "mCsKo5y3oVSYVqxBK0hzNUGxMK2XcQOoBumSL+laxUrrnUnXcSj1fm+SroJo5046Q2MsbF"
    "cF9ZNai6XLOEnC+ggHBI1ZqGL7sc8l8tQk19KyCxRlV1fV+2/6EV91FYjLAvpvJv/wSs6H"
    "hfJJqY/IiUcp35SaxWZzwhH1EUaevB1EM6l6FCmjSKAI8EReV2zkz3R5Sej78t3VxOrJEk"
    "GfR0Yyj8pVlkROzxbEH8a/JPld6pekHQvUg6HKZI9C7lBl8gS3gFwicCRRTHmcIdsAgzum"
    "8PaJvz5ZEm78Ca+ogLtd5m68bZfZW9+tI0PSC5/srrt11BatPLWKlY2lpwWMGSYtJRSQRV"
    "Bcw21zNxYBuaUsNEzfyFIB9utiD7VXu8ccaq+g9gpqr6D2ap+T795g2yWX/i32qLS+ahun"
    "locNmx2otiKwaIaidUkWUS5GLlgg72K0IAFn/g8cLXAglO+TiqFqeYqRwFPljqRRUxwPc4"
    "FU/zpaXX21gVkjdylZMNuNUvecAC99NAnYPHatyiXs2wSNRtHP10MteXk0erADE8+N0mSS"
    "8ZsRf4/ruswJv5ODNtJPjqoVf/rePfVZorI7Sj3cKUEPt5vNJxtAs9UU3NMW2J7WQntaRF"
    "ZLHLMwR0rSJz/CjksLexnXgKB2l3S0LxzrpV2nnEX3W2llYTr0Xm3sF90m3nfQnHJVaSA1"
    "pViLUkqSKkZ3WRiU9S0DugcoRePQnhHjT25FtY3P7VFVpX3/5EAnezSdzKXVdXf1ikNC0Z"
    "te4TtWGiLRaIb5igZQb496t3Zy52I+Jo4TQVO3nWcG3bOnk2SgpXf3dvv6GbolquZgiDDX"
    "vgvtroscIRxNPIbF0SGKMqB45dEzhuQP2OVn5M7Qxw6Oj3UdH1BmuOsyw9ChymdoFN/I0O"
    "ywwoUt/Sgdcu+8IgJPK/bZsyDANYGNhKCA7q4T/9XzHiPxXyWt/PNfpRjRv4mVRnVapqnk"
    "ifrkYYJGSuA7apdPR74tqJxuDQbnKTvFYPBXFNnMBfaIFfqCVrT2a+ZzgRTSY7vM51vshY"
    "Z5EikJ5FoN9zZJwvlM+ELi0OSEX40ZNhvtnje3gnisid0ed5H1sD8N5duiOXOIh7DPVSmV"
    "E5V7uWwpLXFB/LjISpro0kZzEJ5KBtY2pn3glGDfg30P9j3Y92Dfg30P9j3Y90/IIAD7/k"
    "mwGez7p8HnGvu+vmFQnXW/g25Bj8PSrfQFctWJuyysbjXfmISyIoOciL3NibgmOLDdQYNr"
    "JR4xbHasRHkJqnOPHLyGZyUiRBPVMqfpEJ/8IPB+gPcDvB/g/QDvB3g/wPsB3o8nZC6B9+"
    "NJsBm8H0+Dz+D92Jn3ozsWuMpC8MWg2viObw7vqSyMhrVs8vDRJwhLPIg6MS0qDow6Mqh+"
    "r6o6cBEGEjLyWvVhoBz56oQjZLvYn6qUBOZ7d4jIlVFhom9u6qjdgzp/V/d5kPtUcmATSf"
    "tDpHd194hl1GXCJ0v9JMHYTBdE6JNE4dilPTx2KV4sJvZrhgQKD1sUHpJb6lT7COo3nSwN"
    "7DsP8LpPA+yvZ57lKTulvYN51knzDLT2rXE5q6SY8rlIC5zuMqf3K4TxOEy9R98r2V15dM"
    "vQvmMBoVP/VxL50y/le+A65SNWe7/EE+0nqKurmReQIiK1SrJrSv58h3hERGrx2fWbs7cX"
    "g++PaMtKe47rjoPXhPP6joYVA4f32rgpicUjGgODN0uuDUfVbVC9CrrUlqhLHanUSiOSek"
    "SbjTokpfsManxrjN3NTAuG6X4ZporllefT1garMhS7i1QdbAlUCFOBHWSmNy2cNRmcpwQG"
    "d5TB5JuQEh17hh3ZC2TQlr1VW3apAIuqcx6amrElFDvM6VGHzd2SbW3sW3eM+o4lNxdudg"
    "p9nqp/6/nFcQucXxzX4qxuFfKnwsCvSz2u1abyRL1JPN6YQiW/92C9/TZPCfttV/dbFSNd"
    "x62coQNXY5c5DIdndy5cF3ts1vjs8pTw4XX5w9O8Uj5GM89agewBLrb94a1BLcIE28TSzU"
    "0McS0RArKFc/+kwkZtusC+MIS2TAnY5rGFeN9G4bxldE0pUKaEpQqx1J3EUmtk7UbAjUOf"
    "n/LT7uXyvR/p8naTA1y+B/rw5epqUCcyNoL4b2q+98l0PUW6LC1bIL1StDYC9Dvcf5xLum"
    "kNzPXpGHk/aNVxFDHZu18/Ey89+7EO9GxaxY2csCeCW62P77vLXNHI3Zu2kuDbOmcl5XC7"
    "hBXyLSqLeIWWqu+BOuchI0ERxzRuD5neVo9PW0dWp6s8dFJVlZFPbFEpLyqvJc7IgXQWSG"
    "fZltSBdBaIvnTCRQjpLH1nMPh9NuqiZJwKsw0mSwKtPSo2Gb3eBPlWIYJu5NWGRZoQ9SE7"
    "5Z5GM80hwFwr/GR4MS5YyFaR2p4x6jkiQN0cdZcoC88U9jwV4G6O+54kGtpsvtDx9W1ZXd"
    "vONcQ8sOYmra9WBGvtjR1b1pveGgMin0dusWcGapEMoC1Dq05OmdCAC0uwGfHNAK4mBpir"
    "YTaGFuCsg1MIbgbnigDgrJKv8ncY7lg5GgC1DGokGFX7VWaGbJkQ4K0QAUyY6gNZEoC0DC"
    "n1F2G8lZvAWiQDaMvQslCshW2JDsCtWLcOmS+YIL59Zxn2f68g7YNfYRc1i1F42NCpnqcC"
    "v3pzzh9fNdJ4cPpOTYOO/YT5/kye/ELrVlOViwDzMCCDyoyU5OawORGFRMNapp+cJU07ly"
    "7TjTYVuerPOfPZ0kfjO4SRi7mLsMd88hr5TKDUCZf2OlFZIuq4UhbMysko23kEJJ5sywW6"
    "ncQTHo7/l9gVXv0GD/OKBBp8tvAtx3hZ6mNaA+eUrodgb76Y3bxhwAObBXQb4JNWmuRJgy"
    "Z5UtYkddl/hVFUXxa7ooCi2OYY4RpFsWMyDddpfJmlgzyojuZBpRrXOrmMBVqoeu4ap0um"
    "5GNZOKtakUobJ1dK0mTlrOoxWhs6mp3SolCk0XkFKkeqyl5pGAlmx36ZHZDvPoB8d1ADIN"
    "8dGAydbZ4Yl6GzzYaLG/T/S3DWe3yS8T3092wlcrgImDpvqKKbRcMpUBma/gVoD1rBfNAA"
    "80EZZlUFLE0bYYUBLUNdn2VfpOsD3LvOs7ddYs94ODfBPUsDmPe2tmFBfEfBthvBsvHo0x"
    "8h9qi4s7jNgopd8p3HcM36LlEWQJ8o0l4t87cfv5xfXaBPny/eXF5fxq76VIHUN9UleYFG"
    "mQmfL86uirlN3Fq13c5jfc6YR7Bf41jK0hWQHkvCba3v9MpuoT7/+PEqJ1HOL4si48v78w"
    "u52H/KQ152fkCf1s6FpKB6GzrLdSCn7AGndJVy+jbaGap9Pl83N89d94b61WdLjzhT8pbZ"
    "4bz2rO7ysGFzuGqWEFhOTNE+bCXtAiRUj6bouDE0x3c6da4yclU7WLVzulFNntQrqXw7fX"
    "J2JBbRXH7SQzQacYID27VuiS1YMBoNVfad7aJPkdS4/p8rnZgXCsLRJGBzJKjwyFdfdZGS"
    "nBLyZ71KTvtmSIOOXKKm5ix6K58JV74s0meBS7XO4fo474CqKamAEBuE2CDEBiG2XvvmIc"
    "TWcwZDiO3JcBlCbBsOsWmN0sRVmxL0MMi2paRqragbBSBWJL1AeedBnwi/CDWDtV2k22Ew"
    "QhmS/7HwcGTH7mmgk7MwsEl1mLMh+JOj6kPArRi6Pz5tFbs/Pm0I3qub1avctPyoSNcLEb"
    "Pt8qNbyumYqrCZCdR5qh2KE7b0Iw/wPkY2IX68C5RJEDCjzJ+UoI8ium16VWN+VTnzRwgy"
    "X1SV1NX3H8yQwOm7RWedKkc3y1dbUfRy2W4+KdAjmEttzBe04rSaZndKgRT8KV32p0B2BW"
    "RXdFWbh+yKPc2u2G62wGcJ9hWd05osgdXtYXN2gGKa5amRrbMCxqE9I+IVctkSyTe8Q1Ej"
    "OBV9d1XYHQs0Gq3iRSqWP77TpzwpeTmW+yKyPWZXtuvZ6NwPiOZ3oWXM/RH9fdSu6oP50o"
    "ZcMFrlHm4wxDI0PXTebEWrlSLAkfpRVZfSczqttcZyZH06LOWvh4dHRy8Pnx+9OD05fvny"
    "5PR5apqVbzXZaOeXPyszLceJilReyeC6lpsNmep5sjXT1LvGgS3nqa8BM0BsBjH2PLYkFX"
    "p6YyFAhmqHZQDJ/rm3VQCQvtNDR0Rn+uOkNsMXjvXO2GRXRGNaGxdWmI6/18L4Rer+bCKI"
    "r9OEY7Vad++MxYY+OtYhPiXaIFCjEj0Q0YjKZWFFe52NzgzWRQe1XLAuHtu6iCx40/1pRd"
    "WpvQlc5UVXeb2+12A61qt7+xvH27HVGG1KZrCvaAD19qh3Rh+LC+g+qd4XNl3guoqwinH3"
    "6GWL1dCWXt9rNidj5tzpRuoCezOOBNP6kE6v+YHrkq/X2hPL5QuimVwkWpsKyEQVZaU3JE"
    "1ZMdvs9Kre7FKXgrnUkR9B3MhdV4Hp+dStON8dyr72sOwLgoMbTXxXH5OJWpyM76FKvPnc"
    "MimgTLCNh0OCTitjY6dd0Z4evOppZk3wVxTdyIlRz+tNTgyU5/bcuAb/fg8ZbGBPQkOW1t"
    "laO2jIonPbKi3uJOutycZWBkdL4/p3l+mmJNI25XHzlLKJXDcIbNf9sl2hZckAWpbAlgk6"
    "ETAYWpY8MS5Dy5INe27JHFeVpjVkNCQEPfTdHh22cYHJUbUuMH0Pzl3Y6bkL+nzmqAm3ub"
    "uxmhpcjxt3PXIi5I+aGjEnS9MNlvSqQpKH4/Q9LUHNSsEriXfYMGISELItRmwjoreWE0+9"
    "V9Ju94FOPE72ssKm1nOXly2P6evcS8gKR5A+BLXcsad9xCrX9fohSFV23u4jYreMbmx5/a"
    "bm6t362n7g4UIbarXRh4vEjrsvBGFpi69lIEI1aZc2vVQ6pExWpw+rtDqP3kqMXuk/z8id"
    "/JcsOCLYdlWy3Q88TqmLeFaOW2xozgeEOeKnm6hHGZLeVVts0EyGDL1dtu94rDzkjAivlE"
    "d5Ed8kkIobi8nR6Zq23dnpVUMhTAphUgiTQpi0r/EVCJP2nMEQJn0yXIYwKRyevkFVAg5P"
    "f4Q6Ijg8/fGEPhye3g/Mofl9hWCBw9P3vGMaHJ4Oh6c/+eQViA9Ae+/dxm2TF4DD0/sYMj"
    "8jAbXdQWV8Kr43bI5N4dWo+6JS9WBsOMpUG+uoFIMVYY54cXQ3Mr2RMMcaUaSGc8pqw0i9"
    "cP+cnLRx/5yc1Lt/1L2CX0J+VgYIx8N7iO5WvD61h6bWK6/1h6buQHd9HGVpY1rqo6ZdfP"
    "9/6GdjQg=="
)
