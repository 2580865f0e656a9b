"""The tables of the limiter.

Their keys are composite, which Tortoise does not support: rows are read and written by this
package's own statements only. The models exist for Aerich.
"""

from __future__ import annotations

from tortoise import fields
from tortoise.fields.db_defaults import Now

from digitwin.kernel.orm.model import Model


class RateLimit(Model):
    """A bucket: how many tokens it held at ``updated_at``, by the database clock."""

    subject = fields.CharField(max_length=200, primary_key=True)
    endpoint = fields.CharField(max_length=200)
    window_ms = fields.BigIntField()
    max_tokens = fields.FloatField()
    tokens = fields.FloatField()
    allowed = fields.BooleanField(default=True)
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "rate_limits"


class RateLimitUsage(Model):
    """How often a subject's calls to an endpoint were allowed and denied in one hour."""

    endpoint = fields.CharField(max_length=200)
    subject = fields.CharField(max_length=200, primary_key=True)
    bucket = fields.DatetimeField()
    allowed = fields.BigIntField(default=0)
    denied = fields.BigIntField(default=0)

    class Meta:
        table = "rate_limit_usage"
