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
    CONSTRAINT ck_consents__evidence CHECK (jsonb_typeof(evidence) = 'object'),
    CONSTRAINT ck_consents__expires_at CHECK (expires_at > granted_at),
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
"""


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
SET LOCAL lock_timeout = '5s';

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
    "eJztXWtz2zYW/SsYfWk7483Gr9ib7uyMnSitt46dje12H92hIRKSsKIIlQCtaLv57wuAD/"
    "EtUqYkir6daRITOCR9LgjcFy5+71l0RMWcOq8uXEGH2BTviU0EZU7vLfq95+Apkf8o6XWA"
    "eng2i/dRlwQe2BqIg/6GFQC4Rgy4cOVV2WOIbU7kJYtw06Wz4Mm9C/TEqEkQc2UP+Xd4Hy"
    "TGWP1BECfuk+pBOeKC2jYSDOmHkO8RFRxhy3IJ57qdYJtYr9STLWbKR1NntMmHeA79zSOG"
    "YCMib+LKR/3r3/IydSzyhfDwx9nEGFJiWwmiqaVuoK8bYjHT1x4ert5/0D3VLzAwTGZ7U2"
    "fZe7YQY+ZE3T2PWq8URrWNiENcLIgVo9rxbDuQT3jJf2N5QbgeiV7VWl6wyBB7thJY789D"
    "zzGVnJB+kvrj5C/Bq8W6GcbN7b1x1783jF5GvuoVUtIILplyiMixQR2hiPr9q3/fJSH6ak"
    "894N2PF5+/PX7znaaAcTFydaOmq/dVA7HAPlSTvmRZUsI9lxj12E6insF6wGlEethlyfry"
    "qwj5DBlrGcdLTify7bNsvhtjN5/NsH+KR/li64zbHVPYm+Ivhk2ckRjLHw/flFD688Vnze"
    "qhzyqT86A/Vd4ELUe6KUluMM9k+b0nX0Q+vzFIJyguofS+//d7decp57/ZcSq//Xjxd83y"
    "dBG0XN/e/BB2j1H/7vr2Mk25EGQ6EzmcXzlFlMcgKc7lb7Epzl9vakyP1Bv84ejw5Ozk/P"
    "jNybnsot8yunJWIpOrm/sUoZZcErHI0vle8iHolORzukSlGLUC2KvwH1sd0zds/u13GxrN"
    "Vx/7d/cXHz8lhvT7i/u+ajlKDOfw6rfpySS6Cfrl6v5HpH5E/7y96acn8qjf/T976p2wJ5"
    "jhsLkhp48YG+Hl8FJCsMR1mVtn6o8Aa01MLVs9k1P/0evXFeZ+2atw8tdtyS/HdImiY42v"
    "J4mEL6hFX5AyAYaTmHqqLgywOZlj1zIyLeyIFfXNNk2Ppukr2MEjLR7FpuYuMuk8i4prNu"
    "rlG3xh68EKQ0/1M2w2qmjg3bEpGTBrgSxqIS5/EGMp7e/R46MnjS6pYz8+KqtqPmZTaWkh"
    "KXyTuA4/kB3kfVnQQzbrG1CRte4af8Kvzq/OvTQKlVkxwJwglwzlrTgiT8RdoIdPaiwdIO"
    "xY6H3/un/fV9YilkbjwPOtSW82IWT2okzEaBxNJLfEfkUtri3Gsz2zGIMhU4f5GKRJ+qtM"
    "uL3XwX9/yPkj/K+NAoip32boXqqqVSwRnbB3UiZlJb3isESvOMzqFZJ95rkmqcNyHAM81+"
    "M5dwJZTXX+JALKcr6yHK7ddabqOAb8epnBq96q3rgNENubIHrcM83A3bWPDj46Mwp9fMVM"
    "J1HdmyBOTivwfHJayLNqSvKslTJpCTm1RnQS1T2e5ZpVcdkrXfcyc7G0ubBSqbNc//Xu9i"
    "af6zgm7bCgpkD/QzblG3OmxkyXgUdtQR3+Sj12F+aK4qjcrZ32YKdmc3WDtFsbfEngS9qc"
    "L+kdNsfkynnCNpUDoTCLINvtoNy7ZCqAQWOIim6mX8bEQRhxqd/JVoxmxOXM+YajGXYFYk"
    "NExYGK/2Mk8AhRR3mC5pgjG3OBVDCH5iUONHJX5U56fCQzZo59T5Tl4rmDhi6bBrkH8qtw"
    "TIIeH/1fX3c15OXHx+f6kPTfNRbAsH8zCt1qD9LWVr7Tw6MKC5/sVbju6bZy55EeJ3Xojg"
    "BdtLAb150h8yAi97wCt+eF1J6nmdUzTpbaSzoqjIFHkO0FwDfJrh8D/9PR0fHx2dHr4zfn"
    "pydnZ6fnr6NgeLapLCp+efWDCown+M9GykFHAx1twzraA8d6aBcpZ357Ja3Mi7qu1MZ+1D"
    "mTjoWmlKvAmdSUAi1KKUnMIWjMPDerb9XAPUMpGnjmhNT+5JaoTXxuO1WV9v2TA51sZzrZ"
    "mOZlzpUpDiGiM4lzW1Ya/KmxHudLDLBenfV2reRWfzogluVTU7ScxzqtWNNJ2NHQq3u1df"
    "0CPREVQjtAmGvfxWAh/GVaLdxDm2FxfCTfX97b5bn7MGrCn7HKT8iilrHodwfHxzqOD8ia"
    "2XbWjGdR5TOsM8LjmC0GbNlc3nQ74dqGvSICj3LW2QvXxYt8hkNAit1tx7HU83YRx1L7Lf"
    "717xSJnP6XGHqez1JZqK8kQV3yMDW2ywJ8R500ZGM+2S8zKm+3hoCTyFYJGPwVaTFzgW1i"
    "eI6gdl05p6ANCLplyStdkvMTtr0cde2SOtgtUCciSEqy0cLYnc/2MshqiSQptbLLq5uLz/"
    "/I39p5mZMFc/mP+/5F+8z2z4TPJA9lTvhln4Nyo922p4Yb9K1jt/+i6hxgZGNn5Mm3RVNm"
    "ERthh8+JSyx/K8uYzaUlLojjV0VQaQzSRrMQHkkB5qVGNHFLsO/Bvgf7Hux7sO/Bvgf7Hu"
    "z7F2QQgH3/IsQM9v3LkHOBfV+8/6XIut/C5pfdiHQj21zGVEhOvbxtXiuSUJYwyInY25yI"
    "O4Jdc9wrca0EPQ7KHSt+XoLBdec1PCs+EA3lkMrdRpLfCbwf4P0A7wd4P8D7Ad4P8H6A9+"
    "MFmUvg/XgRYgbvx8uQM3g/tub9aI8FrrIQHNHLN76DxoMVOwv9bhWLPNw6BGHJB5lKjL85"
    "0K/IoApwqt2BM8+VlOkzG1ShBUcV7ETmGDsjlZLAHHuBiBwZOSZ6c7f2yz3MqRjrOg9ynQ"
    "rrj5KoPkTUqqtHzP0qEw6Z6ycJxiZ6Q8TMxiaBKqJ7WEU0GCx17NcYBDYeVth4SJ6ole8j"
    "KF504hhYd57hdR+52FnPPEsiW6W9g3nWSvMMtPaNSTmupNSVcxoLkm6zpPcrhLEboa7Q9z"
    "J2V5LdLLUfmEvoyPmJ+P70K/keuEj5CNTeh+BG+0nq8mrsBeQUEVkl8TElf33/gD1N/cXd"
    "u4v3/d7XHdqy0p7juuLgHeG8uKJhTseDlTZuBDG4j6lh8Mbh2nBU1QbVq6ArbYmOqSWVWm"
    "lEUptos1GHpHSdQc1vgbHbzG3BMN0vw1SJPPe4hcJgVQyxvUjV4YZIhTAV2EH19KaZtaaA"
    "k0gQcEsFTL4IOaNju+aRHSlY9yrFb+TIDqkAC6/WwQdLxBZzetQBQ09kUwv7xh2jjmXIxY"
    "XXO1QpiereeH5zUoHnNyeFPKumVP6U5zpFqceF2lQS1JnE48YUKvm9u+utt0kkrLdtXW9V"
    "jHQdt3IMB67GNksYzoJpXbgu8Niscyp3AgkfXps/PC0r5WOs51lLweBYvOS3M8QmMXRxk5"
    "q8ZoDAbJJZdYYONekMO6ImtVkkcJtz/B3E+5qi84nRNWeBLBKGKsRStxJLLZhrGyE3CH1+"
    "St52L4fvaqazy02CcPke6Obh+rpXNGU0wvjP6n4fw9t1lOnsbFmB6aWi1QjRH3D3ec7opg"
    "U0F6djJP2gecdRBLAPP30mdnT2YxHp8bSKe3nDjkzcanx83V7mimZuZdpKyG/lnJVIwtUS"
    "VsgXf1vEWzRXdQ/UOQ+xGRRxTIPykFGzenxUOjI/XaWJm0Kyyg4cWpCs0pbYCiSrdNwBCM"
    "kqXRcweHUadUAyTkW9BSYOgcIdOYuMHm+CfMmZgu7l1ZJBGoK6kHuyooxMeYAvUeg+7J6O"
    "+qVyUaS2V5v1BAhYr8/6mCj7rS7tSRTwXp/3PUkjNNl0pqPnm7K6Np1JiLlrTOsUtloC1l"
    "obWzasm14aXSKfR56wXY/UNAyozVKrzkUZUpcLQ7AJceoRnA8GmvNprk0t0FlEpxC8Hp1L"
    "ANCZN7/K36PmipXAAKlZUv2JURVXZfWYzQKB3pwpgIm6+kAcApRmKaXOzAuW8jq0pmFAbZ"
    "Za5om1uM3ggNyccWuR6YwJ4pgLo2Z19xxoF/wK29iR6Ocx1XSqJ1HgVy/P6OPLMhnPTs4p"
    "KL+xnzSvztNJDrR2lUzpu5h7Lunl5puEjQflaSbE71YxueQiLMk5HzNdRlPBVfXNicPmDh"
    "osEEZjzMcI28wh3yOHCRQ54aJKJqqEiTqMlLmTbKrJZh4BiSebcoFuJvGEe4P/EDPHq1/i"
    "YV5CoHxnBd9ywJehPqY1eI5wHSS7+a3q9csBPLMUQLsJPq2kSZ6WaJKnWU1Sb+rPMYqKN7"
    "0uEbDltTxGuMaW1wEZeeuUtYzjIA+qpXlQkca1Ti5jCgt7mtsm6YwpuSsLZ7kTJNfGSWwU"
    "KbNylrstKhs6WpzSolBQ/zQClSOVZ6+U9ASzY7/MDsh370G+O6gBkO8OAoa6NS9MylC3pu"
    "HNDfrvDJ3FHp+wfwf9PRuJHM5cpk4TyqlVUXLGUwzTvQDtYSWaD0toPszSrPb4StNGGJ5L"
    "s1QXZ9mncV2ge9t59uaYmBPuTevwHscA553d2zAjjqVo287E0nj06TcP21QsDG4yN2eV/G"
    "AzXDC+M8gU6UMF7dQwf3/7cHndR58+999d3V0FrvpIgdSN6pK8QP3MhM/9i+t0bhM3lkW1"
    "k1xfMmYT7BQ4luK4FNMDCdzU+I6ubJfqy9vb68SMcnmVnjIePl725WD/Lkl51vkBVVhbF5"
    "KC3dtQN64FOWXPOIMrk9PXaN2n6vl87Vw8t1356SeHzW1ijch7ZnrTwpO4s90OysNVkxBg"
    "WAGiethK2gVIqApM/mFiaIoXOnUuN3JV2FkdoX2vSjipV1L5dvpcbH9aRFP5SR+gx0dOsG"
    "uOjSdiCuY+Ph6o7DtzjD75s8bd3651Yp4nCEdDl02RoMImvzqqRpSUlJC/1tvwLG+GNOlo"
    "TNStOfPfymFiLF8W6ZO+pVpncX1Yt0vVLamAEBuE2CDEBiG2TvvmIcTWcQFDiO3FSBlCbA"
    "2H2LRGWcdVGwE6GGTbUFK1VtRrBSCWkE6wvPWgj8+fz1qNsZ3GbTEYoQzJP85s7Nuxexro"
    "5MxzTZIf5iwJ/iRQXQi4pUP3J+eVYvcn5yXBe9WYP8rrbj9K4zoxxWx6+9ET5XRAVdisDt"
    "VJ1BanE33Q/ZZmkub31UH8eAssE9dltTJ/IkAXp+iq6VWl+VXZzB8hyHSWt6WuuP5gDAJn"
    "66addWo7er18tSWik8O2+aRAm2AutTFH0JyzaMrdKSko+FPa7E+B7ArIrmirNg/ZFXuaXb"
    "HZbIHPkuxrOqUFWQLL5oPy7AAlNMNWPStnBQw8c0LEWzRmcyTfcIH8QnAq+j5WYXcs0OPj"
    "Ml6kYvmDhT7DSc2XA7kuItNmZm65nkbv/YxofhtKxqyO6O+jdlUczJc25IzRPPdwiSEWw3"
    "TQebMRrVZOAZbUj/KqlF7SUaE1loB16bCUPx0dHR+fHb0+fnN+enJ2dnr+OjLNsk1lNtrl"
    "1Q/KTEtIIieVVwq4qORmSaZ6ErZmmnrbJLDhPPU1aAaK61GMbZvNSY6eXroRIIba4jaAcP"
    "3c210AkL7TQUdEa+rjRDbDA8d6ZSyzK/w+lY0Lw4v6r7QwfpS6PxsK4ug04UCt1tU7g2lD"
    "HwxrEYcSbRCoXqEeiKiPGjMvp7xOo3cG66KFWi5YF7u2LnwLvu76tES1am0CV3naVV6s75"
    "WYjsXq3v7G8bZsNfqLUj3alxhgvTrrrdHHgg10n1TtC5POcNGOsJx+K/Sy2bJrRa/vHZuS"
    "AbMWupC6wPaEI8G0PqTTa77hesvX99oTy+ULookcJFqbcslQbcqKGiQmq5g1f3vYybWDSO"
    "AzdnJBvK/RXHb1fdTRdMP+HdRym08Xk3NOHW6D7pBzU8l+2Gqhs5dHr3pavbr2S0Q70lzU"
    "8zqT5gI7bjtuL4PLvoMCrmEiQo2VyglYW6ixotPVco3oMJGtzGxWBkdFe/mXMdN1RqT5yo"
    "N6KFmrt6gT2K77ZbtCFZIeVCGBJRN0IhAwVCF5YVKGKiQNe27JFOftNitJUggBHfTdHh9V"
    "cYHJXoUuMN0GRyls9SgFfeSyX1e7vrsxHw2ux8Zdj5wI+UuNagknjmmHSDq16ZF7g+g9DU"
    "Hr7e7OBW+xBsTQJWRTgthERG8tJ556r7CC7jOdeJzs5aaZQs9dcm7Zpa9zLylLnSr6HNYS"
    "J5l2katEIevnMJVbTLuLjD0x2tjw+lndq3Pja/OBh7421AqjD/3QjlsVgjC0xVcxEKHqrk"
    "ubXiodck5WBwqrTDmbPkmO3up/T8hC/k9mHBFsjlX+3Dfcz7pDvsyycYuG7vmMMEfw9Drq"
    "UQzSuQ0UDZrJkKG3zYocu0otjk3hufNRcoovm5DSC0ud09A1ttpx6HldIUwKYVIIk0KYtK"
    "vxFQiTdlzAECZ9MVKGMCmch96gKgHnoe9gHxGch767SR/OQ+8G51DPPmdigfPQ97wIGpyH"
    "Duehv/jkFYgPQMXu7cZtwxeA89C7GDK/IC41x73c+FTQdlAem8LLXquiUsVkNBxlKox15E"
    "6DOWGOYHC0NzLdSJhjjShSydFjhWGkTrh/Tk+ruH9OT4vdP6ot5ZeQn1UNhoPuHWR3I16f"
    "wnNQi5XX4nNQt6C77kZZakxL3Wnaxdf/A9cBX48="
)
