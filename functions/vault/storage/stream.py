"""What the stream of the table of connections shows of a write, as far as events need it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.vault.grant.announced import READ, READ_IN_SUMMARY

from . import attributes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .items import Item


def announced_image(image: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of an item in the stream that events are made from, in DynamoDB's form, and no others.

    The whole image has the ciphertexts, too. They are not even read.
    """
    summary = image.get("summary", {}).get("M", {})
    wanted = {name: image[name] for name in READ if name in image}
    return wanted | {"summary": {"M": {name: summary[name] for name in READ_IN_SUMMARY if name in summary}}}


def announced_item(image: Mapping[str, Any]) -> Item:
    """Return the values that events are made from."""
    item = attributes.read_item(announced_image(image))
    return {**item, **item.pop("summary")}
