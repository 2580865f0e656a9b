"""Work across people, by any login: the owner's, which no policy binds, and a service's."""

from __future__ import annotations

from digitwin.kernel.connection.scopes import ACROSS_PEOPLE, Scope
from digitwin.kernel.execution.core import Core


async def across_people(core: Core, scope: Scope = ACROSS_PEOPLE) -> Core:
    """Return the core in a scope that reaches all people, if row security applies to this login.

    Args:
        scope: which role does the work.

    Raises:
        ConfigurationError: row security applies, and the role is missing or not granted to this
            login; raised by the first statement in the scope.
    """
    if await core.db.fetchval("SELECT row_security_active('users')"):
        return core.scoped(scope)
    return core
