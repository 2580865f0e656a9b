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


-- Deletions: each an event, which a restore takes back and time makes final -------------------

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
    CONSTRAINT ck_deletions__resource CHECK (resource IN ('user', 'voice_model', 'face_model', 'document')),
    CONSTRAINT ck_deletions__final_at CHECK (restored_at IS NULL OR final_at IS NULL)
);
CREATE INDEX ix_deletions__id ON deletions (id);
-- The oldest that may become final
CREATE INDEX ix_deletions__deleted_at ON deletions (deleted_at, id) WHERE restored_at IS NULL AND final_at IS NULL;
CREATE TRIGGER deletions_guard BEFORE DELETE ON deletions
    FOR EACH ROW EXECUTE FUNCTION digitwin_guard();

-- Releases before this one delete without an event; those after it store theirs themselves
CREATE FUNCTION digitwin_note_deletion() RETURNS trigger LANGUAGE plpgsql AS $note$
BEGIN
    IF TG_TABLE_NAME = 'users' THEN
        INSERT INTO deletions (user_id, id, resource, resource_id, deleted_at)
        VALUES (NEW.id, NEW.deletion_id, TG_ARGV[0], NEW.id, NEW.deleted_at) ON CONFLICT DO NOTHING;
    ELSE
        INSERT INTO deletions (user_id, id, resource, resource_id, deleted_at)
        VALUES (NEW.user_id, NEW.deletion_id, TG_ARGV[0], NEW.id, NEW.deleted_at) ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END
$note$;
CREATE TRIGGER users_deletion AFTER UPDATE OF deleted_at ON users
    FOR EACH ROW WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL)
    EXECUTE FUNCTION digitwin_note_deletion('user');
CREATE TRIGGER voice_models_deletion AFTER UPDATE OF deleted_at ON voice_models
    FOR EACH ROW WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL)
    EXECUTE FUNCTION digitwin_note_deletion('voice_model');
CREATE TRIGGER face_models_deletion AFTER UPDATE OF deleted_at ON face_models
    FOR EACH ROW WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL)
    EXECUTE FUNCTION digitwin_note_deletion('face_model');
CREATE TRIGGER knowledge_documents_deletion AFTER UPDATE OF deleted_at ON knowledge_documents
    FOR EACH ROW WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL)
    EXECUTE FUNCTION digitwin_note_deletion('document');

-- What was deleted already; a user first, whose id the rows that went along carry too
INSERT INTO deletions (user_id, id, resource, resource_id, deleted_at)
SELECT id, deletion_id, 'user', id, deleted_at FROM users WHERE deleted_at IS NOT NULL;
INSERT INTO deletions (user_id, id, resource, resource_id, deleted_at)
SELECT user_id, deletion_id, 'voice_model', id, deleted_at FROM voice_models WHERE deleted_at IS NOT NULL
ON CONFLICT DO NOTHING;
INSERT INTO deletions (user_id, id, resource, resource_id, deleted_at)
SELECT user_id, deletion_id, 'face_model', id, deleted_at FROM face_models WHERE deleted_at IS NOT NULL
ON CONFLICT DO NOTHING;
INSERT INTO deletions (user_id, id, resource, resource_id, deleted_at)
SELECT user_id, deletion_id, 'document', id, deleted_at FROM knowledge_documents WHERE deleted_at IS NOT NULL
ON CONFLICT DO NOTHING;


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

-- Somebody who talked to many people's twins is found by the name they all know
CREATE INDEX ix_participants__ref ON participants (ref, kind) WHERE ref IS NOT NULL;

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
DROP INDEX ix_participants__ref;
DROP TABLE consents;
DROP TABLE user_keys;
ALTER TABLE face_models
    ALTER COLUMN artifact_uri TYPE varchar(2048), ALTER COLUMN checksum TYPE varchar(128);
ALTER TABLE voice_models
    ALTER COLUMN artifact_uri TYPE varchar(2048), ALTER COLUMN checksum TYPE varchar(128);
DROP TRIGGER users_deletion ON users;
DROP TRIGGER voice_models_deletion ON voice_models;
DROP TRIGGER face_models_deletion ON face_models;
DROP TRIGGER knowledge_documents_deletion ON knowledge_documents;
DROP FUNCTION digitwin_note_deletion();
DROP TABLE deletions;
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
