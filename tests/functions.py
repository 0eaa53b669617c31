"""The functions that are deployed: each has a module, a role and a part of the template of its own."""

FUNCTIONS = (
    "start",
    "authorize",
    "callback",
    "confirm",
    "token",
    "refresh",
    "revoke",
    "connections",
    "sweep",
    "rescue",
    "reseal",
    "events",
)
