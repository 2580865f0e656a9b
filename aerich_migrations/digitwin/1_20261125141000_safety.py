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
"""


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
SET LOCAL lock_timeout = '5s';

DROP TABLE consents;
DROP TABLE user_keys;
ALTER TABLE face_models
    ALTER COLUMN artifact_uri TYPE varchar(2048), ALTER COLUMN checksum TYPE varchar(128);
ALTER TABLE voice_models
    ALTER COLUMN artifact_uri TYPE varchar(2048), ALTER COLUMN checksum TYPE varchar(128);
DROP TRIGGER participants_guard ON participants;
DROP INDEX ix_embedding_cache__created_at;
DROP INDEX ix_vector_search_cache__created_at;
DROP INDEX ix_llm_response_cache__created_at;
ALTER TABLE embedding_cache DROP COLUMN stale_until;
ALTER TABLE vector_search_cache DROP COLUMN stale_until;
ALTER TABLE llm_response_cache DROP COLUMN stale_until;
UPDATE digitwin_schema SET version = 1;
"""


MODELS_STATE = (
    "eJztXXtz2zYS/yoY/dN0xpdL5GfTm5uxE6Xx1bFzfjR9Dg2RkIgTRagEaMXXy3c/AKQovk"
    "3aFCXRm5kkNoGFoN+Ci31h8VfPomMq5tR9eexbVJyxce8N+qvn4imRP+S07qAens3ibeqR"
    "wENHE2DVz3DYmOueQy48bArZMsIOJ/KRRbjp0ZmgzFX9r9iUDJl1jyxqIS5/ETZ1x9+j21"
    "ufE8+g1u0tohzNbTZFVCCTuSbxXL4jO8hxWdhDNusBqHipPtZipvxcOc5KPuF393f32ibI"
    "wvJbY06QR0ZyKI7IHfHu0c2nd8fXgx2EXQu9G5wNrgdIMIQdBw19gYQk9GcTQmZ6pr5L//"
    "SJIdhYTot4cr6//SEfU9ciXwhf/DqbGCNKHCvBGmqpAfRzQ9zP9LObm9N373VPhcLQMJnj"
    "T91l79m9sJkbdfd9ar1UNKptTFziYUGsGLNc33FCzi4eBTOWD4Tnk2iq1vKBRUbYdxTLe/"
    "8Y+a6pOI2idTSR2BLnJbX4S/Xph/8MZxqjMozzi2vjanBtGL3MglEzSnE4fCQZpxYbdYXC"
    "7a+vwbhLfPTTnvqAtx+OL1/sHnyrEWFcjD3dqNHrfdWEkrUBqebBEvRwydRBPkbSJPyLB0"
    "v8l29YBOWr8M/fcv5Z/NlEBiwBx3r9ZPF+a2MvH+8lRQpuOblVAb0AZQUw9qb4i+EQdyxs"
    "+evrV69KcP3p+FJDK3tpbJmUvYFYPg+b+kFbEmOJPvM9k9RBOU4DONfDOVeAPAx1vhCphn"
    "YomzcT7H4lsPslYPezYC/27jqiOk7zBFm9YWA3I4hli5pVvXUbUrQnIHrcN03C+ao2tZSU"
    "OKgiJA6KZcRBetXSmYEtywu/QVWkk1TdExB7+xVw3tsvxFk1JXHWShmWmNRa0Umq7uEs96"
    "yK217pvpeRxdLmwkqlzmL9r6uL83ys4zQppC1qCvQ/5FAuViZHlqbL0KeOoC5/qT52HeaK"
    "wkiNPOX8TycO9ouPxz+n+fD27OIkLc3VACcplpgeUZAZOOcFeCdbBJ2SfMYkKdOsCUlfLn"
    "5oVRM8Z/MX366GCdenHwdX18cfPyU4oSx91dLXT+9TT1+kJX80CPp8ev0BqV/RrxfngzTD"
    "on7Xv/bUnLAvmOGyuZLyMTQWjxePvipfwWgSM1zVgyE2J3PsWUamhfVZUd9s07Q/TT/Brp"
    "SFVoimxm5h5b/Fpk1O3TvsULkQAi7kOJWy3XbKvUumIjBojKKim+mzTVyEEZf6nWzFaEY8"
    "ztxvOJphTyA2QlTsIObJFoHHiLrKEzTHHDmYC0SmchxiZV1LjYyq3Em3t2TGTDvwRFkenr"
    "to5LGp9hZxIt8K1yTo9jb4+rqrIR/f3j7Vh6T/r7EBLvo3o9A97EFqbefbf92vsPHJXoX7"
    "nm4rdx7pdVIH7oigixZ247rzRH6vOugu+ncQ3KMK2B4VQnuURlZLnCy0J3R86op8cCOSFL"
    "rUXZnOtkp0x2oSf/uu39/dPey/2j042t87PNw/enUk++oZZ5sOS3hwcvrD6fl1En/1AHQ0"
    "0NFa1dFuONZLu0g5C9oraWV+1PVBbewDFVzHx6aUq8CZ1JRCLUopScwlyGa+l9W3atA9QS"
    "ka+uaE1H7lllSreN3Wqipt+ysHOtnadDJbvrH1FIcFRXt6w6tOKQ2BaKyH+ZIGUK+O+mbt"
    "5NZgOiSWFUBTtJ3HOj2wp5NFR0Pv7tX29WN0R1QIbQdhrn0Xw3sRbNNq4x45DIvdvpy/HN"
    "vj2e29PvkTdvkJua9lLAbdwfHxGMcHZM20nTXjW1T5DOus8DhNiwFbNpeDthOubdgrIvA4"
    "Z5899jx8n4/wgiCFbttxLPV564hjXQ9+vv7tjxSInP6XGFrOZ6Es1FeSRF3yMPVf7x3uHe"
    "0e7EXaSvSkTEkB39GTF+d2GLIxn+yXGZXDPYLBScqNYjD4K9Js5gI7xPBdQZ26fE6RNsDo"
    "DUte6RKf77Dj56hrJ9TFXoE6EZGkOBttjN15bU/CrJaIk1IrOzk9P778JcqBidh5dnH+w0"
    "lOFszJL9eD480z2y8Jn0kcypzwyz475Ua740wNL+xbx27/bGOBMHKwO/blbNGUWcRB2OVz"
    "4hErOMpis7m0xAVxpWWOgzQGaaNZCI8lA/NSI5oYEux7sO/Bvgf7Hux7sO/Bvgf7/hkZBG"
    "DfPws2g33/PPhcYN8Xn38psu5bOPyyHpau5JiLTYXE1M875vVAEsqSDHIitjYn4opgz7R7"
    "Ja6VsMdOuWMlyEswuO78CM9KQIhGcknlHiPJ7wTeD/B+gPcDvB/g/QDvB3g/wPvxjMwl8H"
    "48CzaD9+N58Bm8H615PzbHAldZCK7o5RvfYePOAycLg24VizxcuARhiQeZSprgcGBQkUEV"
    "4FSnA2e+JyEj36s6DJQjVxXsRKaN3bFKSWCuc4+IXBk5JnpzQwflHuZU2LrOg9ynFvVHSV"
    "QfImrV1SPmQZUJl8z1JwnGJvpAxMzBJoEqoltYRTRcLHXs1xgJHDyscPCQ3FEr30dQvOnE"
    "aWDfeYLXfexh93HmWZJyo7R3MM820jwDrX1lXI4rKXX5nKYFTm8yp7crhLEepj6g72Xsri"
    "S6WWjfM4/QsfsjCfzpp3IeuEj5CNXem3Cg7QR1+TQ2ASkiIqskvqbk17eIQ0SgFh9fvT1+"
    "N+h9XaMtK+05risOXhHOiysa5nTcedDGjUgMHtDUMHjj5NpwVNUG1VTQqbZEbWpJpVYakd"
    "Qh2mzUISldZ1DjW2DsNjMsGKbbZZgqludet1AYrIpRtBeper0iUCFMBXZQPb1pZj2SwUlK"
    "YPCGMph8EVKiY6fmlR0psu5Vil/JlR1SARZ+rYsPlhQt5vSoC4buyKo29pU7Rl3LkJsLr3"
    "epUpKqe+v5YK8Czgd7hTirplT+lO+5RanHhdpUkqgziceNKVTyffcet98mKWG/3dT9VsVI"
    "H+NWjtGBq3GTOQx3wWxcuC702DzitUtSwou3yS+e5pXyMdbzrKXI4Fq85LszwiYxdHGTmr"
    "hmCAHZJLLqDh1q0hl2RU1os5SAbc71dxDvawrOO0YfKQWylLBUIZbaSiy1QNY2Am4Y+vyU"
    "HHYrl+/DSGe3mwTgch7o/ObsrFckMhpB/Cc13sfFcB1FOistKyC9VLQaAfo97j7OGd20AO"
    "bidIykHzTvOoqQ7P2Pl8SJ7n4sAj2eVnEtB+yI4Fbr42t7mSsauQfTVhb4Vs5ZiThcLWGF"
    "fAmORbxBc1X3QN3zEJOgiGMaloeMmtXHR6Uj89NVmhgUklXW4NCCZJVNia1AskrHHYCQrN"
    "J1BoNXp1EHJONU1Ntg4iRQuCNnk9HrTZAvOSLoWj4tWaQLoi7knjxQRqY8wJcodL/ono76"
    "pXJRpLZXG/UEEaBeH3WbKPutLuxJKsC9Pu5bkkZosulMR89XZXWtOpMQc8+Y1ilstSR41N"
    "64Ycu66a3RI/LzyB126oGaJgNos9Cqe1FG1OPCEGxC3HoA5xMDzPkw14YW4CyCUwheD84l"
    "AcCZJ1/l96i5YyVoANQsqIFgVMVVWT1ks4QAb44IYKKuPhAnAUizkFJ35odbeR1Y02QAbR"
    "Za5otHYZuhA3Bz1q1FpjMmiGveGzWru+eQdsGv0MaJxCCPqaZTPUkFfvXyjD6+LJPx5OSc"
    "gvIb2wnzw3k6yYW2WSVTlnlSuRkniTSqslSTZS5SxRyTY6RBIxZSpEGtThVByCaOlPaEbJ"
    "BV+SUhG2QL1A3IBul6sgBkg3SbwXCq89lwGU51Npz6o//PwFlsYS/6d7A090rs6pnHVK3t"
    "nJNcJRXQYzTdc1+8rgTz6xKYX2dhVhnw0rQRhu/RLNTFOShpui7A3XYWimkTc8L9aR3c4z"
    "SAeWczf2bEtRRs7QiWxvN+/vSxQ8W9wU3m5eyS7x2GC9Z3hjIF+kiRdmqZv7u4OTkboE+X"
    "g7enV6dh7ZZIgdSN6pF8QAO/3eXg+Czt+efGsuRc6hQdYw7BboFjKU6XQnooCVe1vqMn7U"
    "J9cnFxlpAoJ6dpkXHz8WQgF/u3Scizzg+oUbRxNYrgbANUVdiAiMsTKtRnIl6NnoquHu3a"
    "zM2z7XPRP7ps7hBrTN4x058W3lOX7bZTHq6aLAgMK6SoHraSdgESwV3w+nTyFN8jNV5u5K"
    "qws7pg7lodcFZTQjbm+ta4QCyiqXyld9DtbXiTfXCv/e3tjirkb9roUyA1rv59hlR6ui8I"
    "RyOPTZGgwiG/u+oEteSUkF/rzeKmO4Y06MgmamjOglm5TNhyskjfgyfVOovrq+w8qoakAk"
    "JsEGKDEBuE2Drtm4cQW8cZDCG2Z8NlCLE1HGLTGmUdV21E0MEg236l6M9+SfRnPxv9CRX1"
    "WgGIJUknUG496BPgF6BWY22n6VoMRihD8u8zBwd27JYGOjnzPZPkhzlLgj8Jqi4E3NKh+7"
    "2jSrH7vaOS4L1qzF/lNub2Y1b5gq4TImbV98jcUU6HVIXN6kCdpGpRnOhrIFuSJI1HNiF+"
    "3AbKxPNYrcyfiKCLIrpqelVpflU280cIMp2JWtU5YiRw81TaWTdn3qRevtqSopPLtvmkQI"
    "dgLrUxV9CcSs3l7pQUKfhTNtmfAtkVkF2xqdo8ZFdsaXbFarMFLiXYZ3RKC7IEls075dkB"
    "immGo3pWzgoY+uaEiDfIZnMkZ3iPgjIJKvpuq7A7Fuj2dhkvUrH84b2ucK7k5VDui8h0mD"
    "nJSyJodOwnRPO5P/wPMXM8lSWG15KkGcvr4Yj+NmpXxcF8aUPOGM1zD5feAhzRdNB5sxKt"
    "VooAS+pHeTV8Tui40BpLkHWplPB3/f7u7mH/1e7B0f7e4eH+0avINMs2ldloJ6c/KDMtwY"
    "mcVF7J4KKCNCWZ6kmyR6apbxoHVpyn/giYAeJ6EGPHYXOSo6eXHgSIUbV4DGCxf27tKQBI"
    "3+mgIyJjpq3dpLjhWO+MZXZF0KeycWH4Uf8HLYwPUvdnI0FcnSYcqtVojjkKxYa+NskiLi"
    "XaIFC9FnogogGVzfyc8jqNjgzWxQZquWBdrNu6CCz4uvvTkmqj9iZwladd5cX6XonpWKzu"
    "bW8cr2WrMdiU6sG+pAHUq6O+MfpYzpXFuTpZ/tXGZXpZ7CLKil7fKzYlQ2bdo7nNkMDOhC"
    "PBtD6k02u+4frI1/faE8vlBNFELhKtTXlkpA5lRQ2SJquYNT88nORaQyTwCSe5IN7XaC67"
    "ej/qaLqL/h3UcptPF5Mypw62YXfIualkP7Ra6Oz5was+LS8JrzjRZUmxGWku6vM6k+YCJ2"
    "47bi+Dy76DDK5hIkKNlcoJWC3UWNHparlG9CKRrcxsVgZHRXv5s810nRFpvvKwHkrW6i3q"
    "BLbrdtmuUIWkB1VIYMsEnQgYDFVInhmXoQpJw55bMsV5p81KkhQWBB303e72q7jAZK9CF5"
    "hug6sUWr1KQSq3zA3qatd3N+ZTg+uxcdcjJ0J+qXEt5sRpNoMlnTr0yP1hNE9D0Hqnu3OJ"
    "W6wBMfIIWRUjVhHRe5QTT81rUUH3iU48Trby0Eyh5y7nlto1+Tq3ErLUraJPQS1xk2kXsU"
    "oUsn4KUrnFtLuI2B2jjS2vn9RYnVtfqw88DLShVhh9GCzsuIdCEIa2+CoGIlTddWnTS6VD"
    "ymR1obDKlHPoncTojf55Qu7lXzLjiGDTVvlz3/Ag6w4FPMvGLRoa8wlhjvDT66hHMZLOHa"
    "Bo0EyGDL02K3KsK7U4JsJz5VFSxJcJpPTGUuc2dE1b7Tr0vK4QJoUwKYRJIUza1fgKhEk7"
    "zmAIkz4bLkOYFO5Db1CVgPvQ13COCO5DX5/Qh/vQu4E51LPPESxwH/qWF0GD+9DhPvRnn7"
    "wC8QGo2N1u3HYxAbgPvYsh82PiUdPu5canwrad8tgUXvZ6KCpVDEbDUabCWEeuGMwJc4SL"
    "Y3Mj042EOR4RRSq5eqwwjNQJ98/+fhX3z/5+sftHtaX8EvK1qoFw2L2D6K7E61N4D2qx8l"
    "p8D2oLuut6lKXGtNS1pl18/T9iJ8L9"
)
