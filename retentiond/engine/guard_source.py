"""The guards `identity`, `superuser`, `owner` and `blind-role`: the database we know, and we no more than a guest."""

from collections.abc import Collection, Iterator

from retentiond.catalog.roles import Role
from retentiond.engine.guard_objection import Objection
from retentiond.state.pins import Pin

_MAY_ACCEPT = "or write it into `accept` of the source"


def identity_objections(pin: Pin | None, source: str, identity: str | None, address: str) -> Iterator[Objection]:
    """What differs from when the source was met first."""
    if pin is None:
        return
    hint = "if that is meant, `retentiond approve`"
    if identity is None and address == pin.address:
        message = f"{source} has lost its fence: it was restored from a back-up of before, or is another file"
        yield Objection("restore", message, f"`retentiond replay {source}` lists what came back")
    elif identity != pin.identity:
        message = f"another database answers for {source} than before: its identity differs"
        if address != pin.address:
            message += f", and its address ({pin.address} before, {address} now)"
        yield Objection("identity", message, hint, approvable=True)
    elif address != pin.address:
        message = f"{source} is reached elsewhere: at {pin.address} before, at {address} now; it may be a copy"
        yield Objection("identity", message, hint, approvable=True)


def role_objections(source: str, role: Role, accepted: Collection[str], *, blind: bool) -> Iterator[Objection]:
    """Why the role should not be let near the tables, unless somebody has accepted it."""
    who = f"the role {role.name} on {source}" if role.name else f"the role on {source}"
    if role.superuser and "superuser" not in accepted:
        hint = f"give retentiond a role of its own (`retentiond prepare {source}`), {_MAY_ACCEPT}"
        yield Objection("superuser", f"{who} may do everything", hint)
    if role.owned and not {"owner", "superuser"} & set(accepted):
        tables = ", ".join(role.owned)
        hint = f"give retentiond a role of its own (`retentiond prepare {source}`), {_MAY_ACCEPT}"
        yield Objection("owner", f"{who} owns {tables}, or may come to", hint)
    if blind and "blind-role" not in accepted:
        hint = f"GRANT PROCESS ON *.* to it, {_MAY_ACCEPT}"
        yield Objection("blind-role", f"{who} cannot see every foreign key that points at its tables", hint)
