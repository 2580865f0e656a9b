"""The tables of the limiter, declared."""

from digitwin.kernel.sql.spelling import id_in, spellings
from digitwin.kernel.sql.tables import SHARED, PersonalData, Table, declare

_OF_A_PERSON = f"subject = ANY({spellings(':person::uuid::text')})"
_OF_A_NAME = f"subject = ANY({spellings(':ref::text')})"

declare(
    Table(
        name="rate_limits",
        rights=SHARED,
        late_writes=id_in("late.subject"),
        personal=PersonalData(
            title="Limits",
            key=("subject", "endpoint", "window_ms"),
            columns={
                "subject": "the person's id",
                "endpoint": "what is limited",
                "window_ms": "milliseconds in which an empty budget fills up",
                "max_tokens": "the whole budget",
                "tokens": "what was left of it at the last use",
                "allowed": "whether the last use was allowed",
                "updated_at": "when it was last used",
            },
            found_by=_OF_A_PERSON,
            by_name=_OF_A_NAME,
        ),
    ),
    Table(
        name="rate_limit_usage",
        rights=SHARED,
        late_writes=id_in("late.subject"),
        personal=PersonalData(
            title="Use of what is limited",
            key=("endpoint", "subject", "bucket"),
            columns={
                "subject": "the person's id",
                "endpoint": "what was used",
                "bucket": "the hour",
                "allowed": "how often it was allowed",
                "denied": "how often it was denied",
            },
            found_by=_OF_A_PERSON,
            by_name=_OF_A_NAME,
        ),
    ),
)
