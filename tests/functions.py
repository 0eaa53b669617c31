"""The functions that are deployed: each has a module, a role and a part of the template of its own."""

FUNCTIONS = (
    "start",
    "authorize",
    "callback",
    "confirm",
    "token",
    "refresh",
    "revoke",
    "import_connection",
    "connections",
    "sweep",
    "rescue",
    "reseal",
    "export",
    "events",
)


def logical_name(function: str) -> str:
    """Return how the names of a function's resources begin in the template, which may have letters and digits only."""
    return "".join(part.capitalize() for part in function.split("_"))
