"""Everything that can be set, read once and checked before anything connects.

Each field is also an environment variable: ``pool_max`` is ``DIGITWIN_POOL_MAX``, in the
environment or in a ``.env`` file of the working folder. What is given in Python wins over
the environment, and the environment over the file. A wrong value is a
:class:`~digitwin.ConfigurationError` that names the field and its limit.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from digitwin.errors import ConfigurationError
from digitwin.policies import Policy, policies_of

DAY = 86_400.0
MASTER_KEY_BYTES = 32


def _as_seconds(value: object) -> object:
    """Seconds as a number, as text (from the environment), or as a ``timedelta``."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            seconds = float(value)
        except (ValueError, OverflowError):
            raise ValueError("must be seconds, as in 30 or 0.5") from None
        if math.isfinite(seconds):
            return seconds
    raise ValueError("must be seconds or a timedelta")


def _not_reserved(schema: str) -> str:
    if schema.startswith("pg_"):
        raise ValueError("names that begin with pg_ belong to PostgreSQL")
    return schema


def master_key_bytes(text: str) -> bytes:
    """The key that a setting or a line of a key file spells.

    Raises:
        ValueError: it is not 32 bytes in base64; nothing of it is repeated.
    """
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != MASTER_KEY_BYTES:
        raise ValueError("must be 32 bytes in base64, as `digitwin keys generate` prints them")
    return key


def _one_key(secret: SecretStr) -> SecretStr:
    master_key_bytes(secret.get_secret_value())
    return secret


def _several_keys(secret: SecretStr) -> SecretStr:
    for text in secret.get_secret_value().split(","):
        master_key_bytes(text)
    return secret


def _several_public_keys(keys: str) -> str:
    for text in keys.split(","):
        master_key_bytes(text)
    return keys


Seconds = Annotated[float, BeforeValidator(_as_seconds)]
Timeout = Annotated[Seconds, Field(ge=0.01, le=DAY)]
Retention = Annotated[Seconds, Field(gt=0, le=36_525 * DAY)]
SchemaName = Annotated[
    str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$"), AfterValidator(_not_reserved)
]
MasterKey = Annotated[SecretStr, AfterValidator(_one_key)]
MasterKeys = Annotated[SecretStr, AfterValidator(_several_keys)]
ApplicationName = Annotated[str, Field(pattern=r"^[ -~]{1,63}$")]


class Settings(BaseSettings):
    """How a handle connects and behaves. Frozen; durations are seconds or ``timedelta``."""

    model_config = SettingsConfigDict(
        env_prefix="DIGITWIN_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )

    url: SecretStr | None = Field(None, validation_alias="DIGITWIN_DATABASE_URL")
    """Where the database is; see :mod:`digitwin.kernel.connection.dsn` for the spellings."""
    database_url: SecretStr | None = Field(None, validation_alias="DATABASE_URL")
    """What hosting platforms set; used when ``url`` is not given."""
    embedded: Literal["auto", "never", "always"] = "auto"
    """Use the embedded PostgreSQL: when no URL is known, never, or whatever is in the
    environment (a URL given as an argument still wins)."""
    home: Path = Path(".digitwin")
    """The embedded PostgreSQL's folder."""

    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None = (
        None
    )
    """Encryption, with libpq's meanings, where the URL does not say."""
    sslrootcert: str | None = None
    """The file of the authority to trust, or ``system``, where the URL does not say."""
    ssl_min_protocol_version: Literal["TLSv1.2", "TLSv1.3"] | None = None
    """The oldest version of TLS to speak, where the URL does not say."""

    pool_min: int = Field(1, ge=0, le=1000)
    """Connections opened at the start."""
    pool_max: int = Field(10, ge=2, le=1000)
    """Connections at most; transactions and streams together hold at most one less."""
    connect_timeout: Timeout = 10.0
    """For the whole of connecting, name look-up included."""
    acquire_timeout: Timeout = 10.0
    """How long a call waits for a free connection."""
    idle_timeout: Annotated[Seconds, Field(ge=0, le=30 * DAY)] = 600.0
    """After this long unused a connection is closed; 0 keeps it."""
    max_lifetime: Annotated[Seconds, Field(ge=0, le=30 * DAY)] = 3600.0
    """After this long a connection is replaced, give or take a tenth; 0 keeps it."""
    statement_timeout: Timeout = 30.0
    """How long one statement may run."""
    lock_timeout: Timeout = 5.0
    """How long a statement waits for another's lock."""
    idle_in_transaction_timeout: Timeout = 60.0
    """How long an open transaction may do nothing before the server ends it."""
    drain_timeout: Annotated[Seconds, Field(ge=0, le=DAY)] = 10.0
    """How long ``close()`` waits for work under way."""

    schema_name: SchemaName = Field("public", validation_alias="DIGITWIN_SCHEMA")
    """The schema that holds the tables; ``schema=`` as an argument."""
    application_name: ApplicationName = "digitwin"
    """What ``pg_stat_activity`` shows."""
    migrate: Literal["auto", "check", "skip"] | None = None
    """At the start: upgrade the schema, refuse an old one, or do not look. None: upgrade on
    the embedded server, check elsewhere."""

    scope: Literal["optional", "required"] = "optional"
    """Whether a person's data can be asked for without ``for_user`` or ``for_service``."""

    master_key: MasterKey | None = None
    """What people's keys are wrapped with: 32 bytes in base64, as ``digitwin keys generate``
    prints them. The embedded server has one in its folder."""
    master_keys_retired: MasterKeys | None = None
    """Earlier ones, separated by commas, until ``digitwin keys rotate`` was run."""
    master_key_file: Path | None = None
    """The file with the master key, in place of ``master_key``; further lines are retired."""
    key_store_path: Path | None = None
    """A folder for people's wrapped keys; None: they are in the table ``user_keys``."""

    flush_interval: Annotated[Seconds, Field(ge=0.01, le=3600)] = 5.0
    """How often counters that are gathered in memory are written."""
    maintenance_interval: Annotated[Seconds, Field(ge=0.01, le=30 * DAY)] | None = None
    """How often a background task runs ``maintain()``; None: never."""
    audit_retention: Retention = 90 * DAY
    """``maintain()`` removes audit rows older than this."""
    deletion_retention: Retention = 30 * DAY
    """``maintain()`` makes deletions older than this final: nothing restores them any more."""
    audit_seal_interval: Annotated[Seconds, Field(ge=0, le=30 * DAY)] = 60.0
    """How often a background task seals new audit records; 0: ``maintain()`` alone does."""
    audit_key: MasterKey | None = None
    """What seals are signed with: 32 bytes in base64, as ``digitwin keys generate`` prints
    them. The embedded server has one in its folder; without one, seals are unsigned."""
    audit_keys_retired: MasterKeys | None = None
    """Earlier ones, separated by commas, whose signatures are still believed."""
    audit_key_file: Path | None = None
    """The file with the key, in place of ``audit_key``; further lines are retired."""
    audit_signature: Literal["hmac-sha256", "ed25519"] = "hmac-sha256"
    """How the key signs: as a shared secret, or so that its public half verifies."""
    audit_public_keys: Annotated[str, AfterValidator(_several_public_keys)] | None = None
    """Public halves of ed25519 keys to believe, separated by commas: for who only verifies."""
    audit_checkpoints: Path | None = None
    """A file that the head of every seal is appended to, best where the database's
    administrators cannot write; ``verify()`` compares."""
    audit_archive: Path | None = None
    """A folder that audit records are archived in before they are removed; None: they are not."""
    limiter_retention: Retention = 366 * DAY
    """``maintain()`` removes rate limits that nobody has used for this long."""

    cache_memory_entries: int = Field(10_000, ge=0, le=10_000_000)
    """Cached values that a handle keeps in memory at most; 0 keeps none, and opens no
    connection beside the pool to hear of changes."""
    cache_memory_bytes: int = Field(64 * 2**20, ge=0, le=2**40)
    """Bytes that these take at most; 0 keeps none."""
    cache_max_rows: int = Field(1_000_000, ge=0, le=10**12)
    """Entries that each of the cache's stores holds, about; the oldest go first. 0: any number."""
    cache_max_bytes: int = Field(4 * 2**30, ge=0, le=2**50)
    """Bytes of their values, about; 0: any number."""
    cache_ttl_jitter: float = Field(0.1, ge=0, le=0.5)
    """By how much of its time at most a cached value lives shorter, at random, so that what was
    stored together does not expire together."""

    erasure_ledger: Path | None = None
    """A file outside the database that keeps who was erased, as hashes, so that ``digitwin
    privacy replay`` can erase them again after a backup was restored."""
    erasure_pepper: SecretStr | None = None
    """A secret that keys the hashes of erased participants, whose refs could be guessed."""

    policies: Annotated[tuple[Policy, ...], BeforeValidator(policies_of)] = ()
    """Who may ask for how much, for ``db.limits.check``; in the environment a list in JSON."""
    decision_timeout: Timeout | None = None
    """How long a decision of the limiter waits for the database, after which, or when it
    cannot be reached, ``limiter_on_timeout`` decides; None: such a call raises, as all do."""
    limiter_on_timeout: Literal["deny", "allow"] = "deny"
    """What the limiter answers in place of a database that does not."""

    def __init__(self, **values: Any) -> None:
        if "schema" in values:
            values["schema_name"] = values.pop("schema")
        unknown = {name for name in values if name[:1] != "_"} - type(self).model_fields.keys()
        if unknown:
            name = min(unknown)
            raise ConfigurationError(f"There is no setting `{name}`", field=name)
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise _explained(error) from None
        except SettingsError:  # of the fields, these alone are read as JSON
            raise ConfigurationError(
                "Setting `policies`: must be a list in JSON", field="policies"
            ) from None
        except UnicodeDecodeError:
            raise ConfigurationError("The file .env is not text in UTF-8") from None

    @property
    def schema(self) -> str:  # type: ignore[override]
        """The schema that holds the tables."""
        return self.schema_name

    def but(self, **overrides: Any) -> Settings:
        """These settings with some of them replaced, checked anew."""
        kept = {name: getattr(self, name) for name in type(self).model_fields}
        if "schema" in overrides:
            del kept["schema_name"]
        return type(self)(**kept | overrides)

    @model_validator(mode="after")
    def _pool_bounds(self) -> Self:
        if self.pool_min > self.pool_max:
            raise ValueError(f"must be at most `pool_max`, which is {self.pool_max}")
        return self


def load_settings(given: Settings | None, overrides: Mapping[str, Any]) -> Settings:
    """What the caller gave, or else the environment, with single fields replaced."""
    if given is None:
        return Settings(**overrides)
    return given.but(**overrides) if overrides else given


def _explained(error: ValidationError) -> ConfigurationError:
    """The first thing that is wrong; the value is left out, for it may be a secret."""
    fault = error.errors(include_url=False, include_input=False)[0]
    limit = {
        name: value
        for name, value in fault.get("ctx", {}).items()
        if isinstance(value, int | float | str)
    }
    message = fault["msg"].removeprefix("Value error, ")
    place = str(fault["loc"][0]) if fault["loc"] else "pool_min"
    field = _NAMES.get(place, place)
    return ConfigurationError(
        f"Setting `{field}`: {message[:1].lower()}{message[1:]}", field=field, **limit
    )


_NAMES = {
    "DIGITWIN_DATABASE_URL": "url",
    "DATABASE_URL": "database_url",
    "DIGITWIN_SCHEMA": "schema",
    "schema_name": "schema",
}
"""Pydantic speaks of a field by its alias; a user knows it by its own name."""
