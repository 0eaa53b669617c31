"""What the vault's records are made by, and the parts that work on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, dataclass_transform

if TYPE_CHECKING:
    from typing import TypeVar

    T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """Make a dataclass that is written once and shows none of its values: what has no text cannot tell a secret.

    The type checker refuses whoever writes to it. Python itself would, too (``frozen=True``), and take twice as long to
    make the class: a function loads up to thirty, and they were a tenth of its cold start.
    """
    return dataclass(slots=True, repr=False)(cls)
