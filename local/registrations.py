"""The registrations: the demo server's and those of a file, put where the functions look for them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import boto3

from local.demo.clients import STANDARD_CLIENT, ULTRACART_CLIENT
from local.errors import RegistrationsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SECRET_PREFIX = "gatehouse/providers/"  # noqa: S105 - the name of a secret
# A provider's name is part of a URL path and of a secret's name.
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def of_demo(url: str) -> dict[str, dict[str, Any]]:
    """Return the registrations of the demo authorization server at ``url``, one for each of its dialects.

    ``ultracart`` is the real provider's file with its endpoints moved; ``demo`` is any server by its issuer alone.
    """
    return {
        "ultracart": {
            "client_id": ULTRACART_CLIENT.client_id,
            "authorization_endpoint": f"{url}/rest/v2/oauth/authorize",
            "token_endpoint": f"{url}/rest/v2/oauth/token",
            "revocation_endpoint": f"{url}/rest/v2/oauth/revoke",
        },
        "demo": {
            "client_id": STANDARD_CLIENT.client_id,
            "client_secret": STANDARD_CLIENT.secret,
            "issuer": f"{url}/standard",
            "scopes": list(STANDARD_CLIENT.scopes),
        },
    }


def read(path: Path) -> dict[str, dict[str, Any]]:
    """Read ``{NAME: registration}``, JSON, from ``path``.

    Only the outline is checked here; what a registration may hold is for the functions to say. Raises
    ``RegistrationsError`` that names the place, never the content: it holds client secrets.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _error(path, error.strerror or "cannot be read") from None
    except UnicodeDecodeError:
        raise _error(path, "is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise _error(path, f"line {error.lineno}, column {error.colno}: not JSON: {error.msg}") from None
    return _checked(path, document)


def _checked(path: Path, document: object) -> dict[str, dict[str, Any]]:
    if not isinstance(document, dict):
        raise _error(path, 'must be an object {"NAME": {"client_id": "...", ...}, ...}')
    for name, registration in document.items():
        if not _NAME.fullmatch(name):
            raise _error(path, f"{json.dumps(name)}: a provider's name is 1 to 64 of a-z 0-9 _ -, not _ or - first")
        if not isinstance(registration, dict):
            raise _error(path, f"{name}: must be an object with client_id and what else the registration holds")
        if not isinstance(registration.get("client_id"), str) or not registration["client_id"]:
            raise _error(path, f"{name}.client_id: must be a non-empty string")
    return document


def _error(path: Path, message: str) -> RegistrationsError:
    return RegistrationsError(f"Registrations file {path}: {message}")


def store(registrations: Mapping[str, Mapping[str, Any]]) -> None:
    """Create one secret for each registration."""
    client = boto3.client("secretsmanager")
    for name, registration in registrations.items():
        client.create_secret(Name=f"{SECRET_PREFIX}{name}", SecretString=json.dumps(registration))
