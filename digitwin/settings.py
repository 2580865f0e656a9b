"""Settings, read once and validated before anything connects.

Each field is also an environment variable: ``pool_max`` is ``DIGITWIN_POOL_MAX``, in the
environment or in a ``.env`` file of the working folder. Python arguments override the
environment, and the environment overrides the file. An invalid value raises a
:class:`~digitwin.ConfigurationError` that names the field and its limit.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
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
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from digitwin.errors import ConfigurationError
from digitwin.policies import Policy, parse_policies
from digitwin.retention import DAY, Retention, RetentionByTier, Seconds

MASTER_KEY_BYTES = 32


def _not_reserved(schema: str) -> str:
    if schema.startswith("pg_"):
        raise ValueError("names that start with pg_ are reserved by PostgreSQL")
    return schema


def master_key_bytes(text: str) -> bytes:
    """Decode a key from a setting or from a line of a key file.

    Raises:
        ValueError: it is not 32 bytes in base64; the message does not contain it.
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


Timeout = Annotated[Seconds, Field(ge=0.01, le=DAY)]
SchemaName = Annotated[
    str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$"), AfterValidator(_not_reserved)
]
MasterKey = Annotated[SecretStr, AfterValidator(_one_key)]
MasterKeys = Annotated[SecretStr, AfterValidator(_several_keys)]
ApplicationName = Annotated[str, Field(pattern=r"^[ -~]{1,63}$")]


class _Environment(EnvSettingsSource):
    """Reads the variables that are set; pydantic's own examines the type of every field (3 ms)."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        alias = field.validation_alias
        for key in (alias, field_name):
            if isinstance(key, str):
                name = key if key is alias else f"{self.env_prefix}{key}"
                value = self.env_vars.get(name.lower())
                if value is not None:
                    return value, key, False
        return None, field_name, False

    def prepare_field_value(
        self, field_name: str, field: FieldInfo, value: Any, value_is_complex: bool
    ) -> Any:
        if value is None:
            return None
        return super().prepare_field_value(field_name, field, value, value_is_complex)


class Settings(BaseSettings):
    """Configuration of a handle. Immutable; durations are seconds or ``timedelta``."""

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
    """URL of the database, in any form libpq accepts."""
    database_url: SecretStr | None = Field(None, validation_alias="DATABASE_URL")
    """Set by hosting platforms; used if ``url`` is unset."""
    embedded: Literal["auto", "never", "always"] = "auto"
    """When to use the embedded PostgreSQL: if no URL is set (auto), never, or always, even if the
    environment sets a URL. A URL passed as an argument takes precedence."""
    home: Path = Path(".digitwin")
    """Folder of the embedded PostgreSQL."""

    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None = (
        None
    )
    """TLS mode as in libpq, unless the URL sets it."""
    sslrootcert: str | None = None
    """File with trusted CA certificates, or ``system``, unless the URL sets it."""
    ssl_min_protocol_version: Literal["TLSv1.2", "TLSv1.3"] | None = None
    """Minimum TLS version, unless the URL sets it."""

    pool_min: int = Field(1, ge=0, le=1000)
    """Connections that are kept open, from the start on."""
    pool_max: int = Field(10, ge=2, le=1000)
    """Maximum number of connections; transactions and streams use at most one fewer."""
    connect_timeout: Timeout = 10.0
    """Timeout for connecting, DNS lookup included."""
    acquire_timeout: Timeout = 10.0
    """How long a call waits for a free connection."""
    idle_timeout: Annotated[Seconds, Field(ge=0, le=30 * DAY)] = 600.0
    """Close a connection that was idle for this long; 0: never."""
    max_lifetime: Annotated[Seconds, Field(ge=0, le=30 * DAY)] = 3600.0
    """Replace a connection after this time, plus or minus 10%; 0: never."""
    statement_timeout: Timeout = 30.0
    """Timeout of one statement."""
    lock_timeout: Timeout = 5.0
    """How long a statement waits for a lock."""
    idle_in_transaction_timeout: Timeout = 60.0
    """The server ends a transaction that was idle for this long."""
    drain_timeout: Annotated[Seconds, Field(ge=0, le=DAY)] = 10.0
    """How long ``close()`` waits for running calls."""

    schema_name: SchemaName = Field("public", validation_alias="DIGITWIN_SCHEMA")
    """The schema of the tables; as an argument: ``schema=``."""
    application_name: ApplicationName = "digitwin"
    """Name shown in ``pg_stat_activity``."""
    migrate: Literal["auto", "check", "skip"] | None = None
    """At start-up: upgrade the schema (auto), refuse an old one (check), or ignore it (skip).
    None: auto on the embedded server, check elsewhere."""

    scope: Literal["optional", "required"] = "optional"
    """Whether personal data can be accessed without ``for_user`` or ``for_service``."""

    master_key: MasterKey | None = None
    """Key that wraps people's keys: 32 bytes in base64, from ``digitwin keys generate``. The
    embedded server generates one in its folder."""
    master_keys_retired: MasterKeys | None = None
    """Previous master keys, separated by commas, until ``digitwin keys rotate`` was run."""
    master_key_file: Path | None = None
    """File with the master key, instead of ``master_key``; further lines are previous keys."""
    key_store_path: Path | None = None
    """Folder for people's wrapped keys; None: the table ``user_keys``."""

    flush_interval: Annotated[Seconds, Field(ge=0.01, le=3600)] = 5.0
    """Interval at which buffered counters are written."""
    maintenance_interval: Annotated[Seconds, Field(ge=0.01, le=30 * DAY)] | None = None
    """Interval at which a background task runs ``maintain()``; None: never."""
    audit_retention: Retention = 90 * DAY
    """``maintain()`` removes audit rows older than this."""
    deletion_retention: Retention = 30 * DAY
    """``maintain()`` makes soft deletes older than this final: they cannot be restored."""
    session_retention: Annotated[RetentionByTier | None, NoDecode] = None
    """``maintain()`` removes sessions that ended longer ago, with everything in them: one value,
    or one for each tier, as in ``{"free": 2592000, "pro": 31536000}``. None, and a tier that is
    left out: they are kept."""
    session_archive: Path | None = None
    """Folder in which sessions are stored as JSON lines before ``session_retention`` removes them;
    None: no archive."""
    audit_seal_interval: Annotated[Seconds, Field(ge=0, le=30 * DAY)] = 60.0
    """Interval at which a background task seals new audit records; 0: only ``maintain()`` does."""
    audit_key: MasterKey | None = None
    """Key that signs seals: 32 bytes in base64, from ``digitwin keys generate``. The embedded
    server generates one in its folder; without a key, seals are not signed."""
    audit_keys_retired: MasterKeys | None = None
    """Previous keys, separated by commas, that still verify signatures."""
    audit_key_file: Path | None = None
    """File with the key, instead of ``audit_key``; further lines are previous keys."""
    audit_signature: Literal["hmac-sha256", "ed25519"] = "hmac-sha256"
    """Signature algorithm: a shared secret, or a key pair whose public key verifies."""
    audit_public_keys: Annotated[str, AfterValidator(_several_public_keys)] | None = None
    """Ed25519 public keys that verify signatures, separated by commas, for read-only verifiers."""
    audit_checkpoints: Path | None = None
    """File to which the head of every seal is appended, and which ``verify()`` compares. Keep it
    where administrators of the database cannot write."""
    audit_archive: Path | None = None
    """Folder in which audit records are archived before their removal; None: no archive."""
    limiter_retention: Retention = 366 * DAY
    """``maintain()`` removes rate limits that were unused for this long."""

    late_turns: Annotated[Seconds, Field(ge=0, le=DAY)] = 60.0
    """How long after a session's end turns are still stored, such as a transcript's last text."""
    open_turn_timeout: Annotated[Seconds, Field(gt=0, le=30 * DAY)] = 900.0
    """``maintain()`` closes an open turn as abandoned when nothing was written to it for this long,
    as after a crash. A turn that is abandoned while it lives can still be extended and closed."""
    session_idle_timeout: Annotated[Seconds, Field(ge=0, le=366 * DAY)] | None = DAY
    """``maintain()`` ends a session in which nothing has happened for this long, at the end of its
    last turn; None or 0: never."""

    recorder_lag: Annotated[Seconds, Field(ge=0.02, le=60)] = 0.25
    """How far what a recorder has stored may lag behind its calls, while the database answers.
    A shorter lag takes more statements."""
    recorder_buffer_bytes: int = Field(8 * 2**20, ge=2**16, le=2**36)
    """Approximate maximum bytes that a recorder keeps while they cannot be stored."""
    recorder_when_full: Literal["wait", "drop"] = "wait"
    """When the buffer is full, a call raises until there is room (wait), or its event is dropped
    and counted (drop)."""

    cache_memory_entries: int = Field(10_000, ge=0, le=10_000_000)
    """Maximum number of cached values kept in memory; 0 disables the memory cache and its
    separate connection for invalidations."""
    cache_memory_bytes: int = Field(64 * 2**20, ge=0, le=2**40)
    """Maximum bytes of cached values kept in memory; 0 disables the memory cache."""
    cache_max_rows: int = Field(1_000_000, ge=0, le=10**12)
    """Approximate maximum rows per cache store; the oldest are evicted. 0: unlimited."""
    cache_max_bytes: int = Field(4 * 2**30, ge=0, le=2**50)
    """Approximate maximum bytes per cache store; the oldest are evicted. 0: unlimited."""
    cache_ttl_jitter: float = Field(0.1, ge=0, le=0.5)
    """Maximum fraction by which a TTL is randomly shortened, so that entries stored together do
    not expire together."""

    document_max_attempts: int = Field(5, ge=1, le=1000)
    """How often a document is leased to a worker before it fails, unless ``claim`` says."""

    erasure_ledger: Path | None = None
    """File outside the database that records erasures as hashes, so that ``digitwin privacy
    replay`` can repeat them after a backup was restored."""
    erasure_pepper: SecretStr | None = None
    """Secret that keys the hashes of erased participants, whose refs could be guessed."""

    policies: Annotated[tuple[Policy, ...], BeforeValidator(parse_policies)] = ()
    """Rate limits for ``db.limits.check``; in the environment a JSON list."""
    decision_timeout: Timeout | None = None
    """How long a limiter call waits for the database. On timeout or connection failure, and on a
    server that is read-only or full, it falls back to ``limiter_on_timeout``; None: it raises."""
    limiter_on_timeout: Literal["deny", "allow"] = "deny"
    """The limiter's decision if the database cannot be reached in time."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the arguments, the environment, and ``.env`` if it sets anything."""
        sources = (init_settings, _Environment(settings_cls))
        return (*sources, dotenv_settings) if vars(dotenv_settings)["env_vars"] else sources

    def __init__(self, **values: Any) -> None:
        if "schema" in values:
            values["schema_name"] = values.pop("schema")
        unknown = {name for name in values if name[:1] != "_"} - type(self).model_fields.keys()
        if unknown:
            name = min(unknown)
            raise ConfigurationError(f"There is no setting `{name}`", field=name)
        try:
            super().__init__(**values)
            return
        except ValidationError as error:
            refused = _to_error(error)
        except SettingsError:  # the only field that is parsed as JSON
            refused = ConfigurationError(
                "Setting `policies`: must be a JSON list", field="policies"
            )
        except UnicodeDecodeError:
            refused = ConfigurationError("The file .env is not valid UTF-8")
        except ConfigurationError:
            raise
        except Exception as error:  # noqa: BLE001 - raised by a method of a value, or by the file
            kind = type(error).__name__
            refused = ConfigurationError(f"The settings cannot be read ({kind})")
        raise refused  # outside the handlers: their errors hold values, such as secrets

    @property
    def schema(self) -> str:  # type: ignore[override]
        """The schema of the tables."""
        return self.schema_name

    def with_overrides(self, **overrides: Any) -> Settings:
        """Return a validated copy with some fields replaced.

        Raises:
            ConfigurationError: a value is invalid.
        """
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
    """Return the caller's settings, else those of the environment, with overrides applied.

    Raises:
        ConfigurationError: they are no ``Settings``, or a value is invalid.
    """
    if given is None:
        return Settings(**overrides)
    if not issubclass(type(given), Settings):
        raise ConfigurationError("settings must be digitwin.Settings", field="settings")
    return given.with_overrides(**overrides) if overrides else given


def _to_error(error: ValidationError) -> ConfigurationError:
    """Describe the first error, without the value, which may be a secret."""
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
"""Field names for messages, where pydantic reports the alias."""
