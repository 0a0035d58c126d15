"""New values as SQL, for the methods that SQL says exactly as `masks.mask_value` does; Python computes the others."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from retentiond.catalog.model import Column
from retentiond.compiler.constants import typed_constant
from retentiond.compiler.constants_sql import literal_sql
from retentiond.compiler.plan import Relation
from retentiond.policy.model import Method


def set_sql(
    method: Method,
    column: Column,
    relation: Relation,
    table: sa.FromClause,  # noqa: ARG001 - for the methods that will need the old value
) -> ColumnElement[Any] | None:
    """The column's new value; None where Python has to compute it."""
    if method.name == "empty":
        return sa.null()
    if method.name != "constant":
        return None
    try:
        constant = typed_constant(str(method.argument), column.family)
    except ValueError:  # Python says so, row by row
        return None
    return literal_sql(constant, column, relation)
