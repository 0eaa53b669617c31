"""Where moto does with each request what it need do once, or need not do: half of its time.

Inside moto, values are in DynamoDB's own JSON already. Then it goes through each for all ten types that it might have,
under every name that each might have in Python. To go when moto does none of that.
"""

from __future__ import annotations

import base64
from functools import cache
from typing import Any


def mend() -> None:
    """Have moto remember what stays, and answer values as they are; twice does no more than once."""
    from moto import backends  # noqa: PLC0415 - with moto, half of a start
    from moto.core import responses, utils  # noqa: PLC0415
    from moto.core.serialize import BaseJSONSerializer as Serializer  # noqa: PLC0415
    from moto.dynamodb.models.dynamo_type import DynamoType  # noqa: PLC0415

    structure = Serializer._serialize_type_structure  # noqa: SLF001 - it is moto that is mended
    if structure.__module__ == __name__:
        return
    modules = frozenset(backends.list_of_moto_modules())

    def serialize(serializer: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
        if shape.name == "AttributeValue" and type(value) is dict:
            serialized[key] = in_json(value)
        else:
            structure(serializer, serialized, value, shape, key)

    def in_json(value: Any) -> Any:
        if isinstance(value, DynamoType):
            value = value.to_json()
        if isinstance(value, dict):
            return {name: in_json(each) for name, each in value.items()}
        if isinstance(value, list):
            return [in_json(each) for each in value]
        return base64.b64encode(value).decode() if isinstance(value, bytes) else value

    backends.list_of_moto_modules = lambda: modules
    responses.method_names_from_class = cache(utils.method_names_from_class)  # type: ignore[attr-defined]
    Serializer._serialize_type_structure = serialize  # type: ignore[method-assign,assignment]  # noqa: SLF001
