"""The registrations of a file, read, and put where the functions look for them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3

from functions.vault.base.fields import PROVIDER_NAME, matches
from local.base.errors import RegistrationsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SECRET_PREFIX = "gatehouse/providers/"  # noqa: S105 - the name of a secret


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
        if not matches(name, PROVIDER_NAME):
            raise _error(
                path, f"{json.dumps(name)}: a provider's name is 1 to 64 of A-Z a-z 0-9 . _ -, a letter or digit first"
            )
        if not isinstance(registration, dict):
            raise _error(path, f"{name}: must be an object with client_id and what else the registration holds")
        if not isinstance(registration.get("client_id"), str) or not registration["client_id"]:
            more = f'make check-registration ARGS="{path} --local" says all that is wrong'
            raise _error(path, f"{name}.client_id: must be a non-empty string; {more}")
    return document


def _error(path: Path, message: str) -> RegistrationsError:
    return RegistrationsError(f"Registrations file {path}: {message}")


def store(registrations: Mapping[str, Mapping[str, Any]]) -> None:
    """Create one secret for each registration."""
    client = boto3.client("secretsmanager")
    for name, registration in registrations.items():
        client.create_secret(Name=f"{SECRET_PREFIX}{name}", SecretString=json.dumps(registration))
