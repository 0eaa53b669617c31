"""How the vault's records are defined, and how they become plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, dataclass_transform

if TYPE_CHECKING:
    from typing import Any, TypeVar

    T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """Make a dataclass that is never changed and has no text with its values: so no log or error can show a secret.

    The type checker refuses code that changes one. Python itself would too (``frozen=True``), but it takes twice as
    long to make such a class: a function loads up to thirty, and they were a tenth of its cold start.
    """
    return dataclass(slots=True, repr=False)(cls)


def plain(value: Any) -> Any:
    """Return a record as a dict of its values, and so the records in it and in its tuples.

    Unlike `dataclasses.asdict`, it copies nothing: what is in a record is not changed.
    """
    if isinstance(value, tuple):
        return tuple(plain(each) for each in value)
    names = getattr(type(value), "__dataclass_fields__", None)
    return value if names is None else {name: plain(getattr(value, name)) for name in names}
