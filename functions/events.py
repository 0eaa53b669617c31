"""`events`: publishes on EventBridge what has happened to connections. The stream of their table calls it.

It also works off the queue of events that the bus did not take. An operator can invoke it with one of those.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from functions.vault.base import fields
from functions.vault.base.fields import FieldCheck, Fields, Mismatch
from functions.web.stream_handler import StreamHandler

if TYPE_CHECKING:
    from collections.abc import Callable

    from functions.vault.base.timing import Deadline
    from functions.vault.services import Services


def _detail(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not isinstance(value.get("id"), str):
        raise Mismatch("the detail of an event, with its id")
    return dict(value)


def _image(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(each, Mapping) for each in value.values()):
        raise Mismatch("an item in DynamoDB's form")
    return dict(value)


_LATEST = 253_402_300_799
"""The last second of the year 9999: boto3 sends no later time."""

_DETAIL = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}
_EVENT = Fields(
    required={
        "detail_type": fields.text(r"connection\.[a-z_]{1,64}", "the type of an event", "connection.revoked"),
        "detail": FieldCheck(_detail, _DETAIL, {"id": "ff584969031005730773f46bf7f50d12", "connection_id": "shop-1"}),
        "at": fields.integer(0, _LATEST).like(1767225600),
    }
)
_IMAGE = Fields(required={"image": _image})


def _publish(
    services: Services, images: list[Mapping[str, Any]], deadline: Deadline, on_defect: Callable[[Exception], None]
) -> int:
    return services.publishing.publish(images, deadline, on_defect)


def _publish_one(services: Services, document: dict[str, Any], _deadline: Deadline) -> dict[str, Any]:
    return services.publishing.publish_one(document)


def _consume(services: Services, message: dict[str, Any], _deadline: Deadline) -> None:
    """Publish what the bus did not take, or what could not be made an event."""
    if "image" in message:
        services.publishing.publish_image(_IMAGE.read(message)["image"])
    else:
        services.publishing.publish_one(_EVENT.read(message))


def _preload(services: Services) -> None:
    services.preload("publishing", clients=("events",))


handler = StreamHandler(
    "events",
    _publish,
    fields=lambda _services: _EVENT,
    use=_publish_one,
    consume=_consume,
    preload=_preload,
    logged=("published",),
)
