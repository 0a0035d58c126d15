"""What a column may be as a clock: its type, or its type and a declared format, or not at all."""

from retentiond.catalog.model import Column, Family
from retentiond.policy.clocks import ClockType, pattern_fault, type_of_format

_BY_TYPE = {
    Family.DATE: ClockType.DATE,
    Family.NAIVE: ClockType.NAIVE,
    Family.INSTANT: ClockType.INSTANT,
    Family.TEXT_DATE: ClockType.TEXT_DATE,
    Family.TEXT_DATETIME: ClockType.TEXT_DATETIME,
}
_EPOCHS = (ClockType.EPOCH_S, ClockType.EPOCH_MS)
_NUMBERS = (Family.INTEGER, Family.DECIMAL, Family.FLOAT)
_TEXTS = (Family.TEXT, Family.TEXT_DATE, Family.TEXT_DATETIME)


def clock_type(column: Column, clock_format: str | None) -> ClockType | str:
    """The clock type of a column, or a sentence that says why it cannot be one."""
    if clock_format is None:
        if column.family in _BY_TYPE:
            return _BY_TYPE[column.family]
        return f"a column of type {column.type or 'none'} needs a declared `format` to be a clock"
    if column.family in (Family.DATE, Family.NAIVE, Family.INSTANT):
        return f"a column of type {column.type} says itself what it is; remove its `format`"
    if type_of_format(clock_format) in _EPOCHS:
        untyped = column.family in (Family.TEXT_DATE, Family.TEXT_DATETIME, Family.OTHER)
        if column.family in _NUMBERS or untyped:
            return type_of_format(clock_format)
        return f"`{clock_format}` needs a column of numbers, not {column.type}"
    if column.family not in _TEXTS:
        return f"`{clock_format}` needs a column of text, not {column.type}"
    found = type_of_format(clock_format)
    if found is ClockType.PATTERN and (fault := pattern_fault(clock_format)):
        return f"the format {clock_format} cannot be read: {fault}"
    return found
