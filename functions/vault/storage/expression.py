"""DynamoDB expressions: conditions and updates, with a placeholder for every name and value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import attributes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Expression:
    """Collects the names and values that the expressions of one call use.

    Every attribute name gets a placeholder, because DynamoDB reserves hundreds of words.
    """

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.values: dict[str, Any] = {}

    def name(self, path: str) -> str:
        """Return the placeholder for an attribute; dots in `path` lead into maps."""
        parts = []
        for part in path.split("."):
            self.names[f"#{part}"] = part
            parts.append(f"#{part}")
        return ".".join(parts)

    def name_in(self, path: str, placeholder: str, name: str) -> str:
        """Return the placeholders for an entry of a map, whatever the entry is called: `placeholder` is for it."""
        self.names[f"#{placeholder}"] = name
        return f"{self.name(path)}.#{placeholder}"

    def value(self, name: str, value: Any) -> str:
        """Return the placeholder for a value."""
        self.values[f":{name}"] = attributes.write(value)
        return f":{name}"

    def is_(self, path: str, value: Any) -> str:
        """Return the condition that an attribute has this value; None means that it is absent."""
        if value is None:
            return self.is_absent(path)
        return f"{self.name(path)} = {self.value('was_' + path.replace('.', '_'), value)}"

    def is_absent(self, path: str) -> str:
        """Return the condition that an item does not have an attribute."""
        return f"attribute_not_exists({self.name(path)})"

    def exists(self, path: str) -> str:
        """Return the condition that an item has an attribute."""
        return f"attribute_exists({self.name(path)})"

    def assignment(self, item: Mapping[str, Any], was: Mapping[str, Any], also_removed: Iterable[str] = ()) -> str:
        """Return the update that turns `was` into `item` and removes `also_removed`. It names only what changes."""
        changed = [
            f"{self.name(name)} = {self.value(name, value)}" for name, value in item.items() if was.get(name) != value
        ]
        removed = [self.name(name) for name in (*was, *also_removed) if name not in item]
        clauses = (("SET", changed), ("REMOVE", removed))
        return " ".join(f"{verb} {', '.join(parts)}" for verb, parts in clauses if parts)

    def arguments(self) -> dict[str, Any]:
        """Return the names and values as arguments of a call."""
        arguments: dict[str, Any] = {"ExpressionAttributeNames": self.names}
        if self.values:
            arguments["ExpressionAttributeValues"] = self.values
        return arguments
