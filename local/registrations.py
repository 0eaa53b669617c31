"""The registrations of a file, read and checked, and put where the functions look for them."""

from __future__ import annotations

import json
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3

from functions.vault.base.errors import GatehouseError, ProviderUnavailable
from functions.vault.base.fields import PROVIDER_NAME, matches
from functions.vault.provider import pattern_words
from functions.vault.storage.registrations import Registrations
from local.base.errors import RegistrationsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from functions.vault.oauth.transport import Answer

SECRET_PREFIX = "gatehouse/providers/"  # noqa: S105 - the name of a secret
_FILES = Path(__file__).parent.parent / "functions" / "providers"


def read(path: Path) -> dict[str, dict[str, Any]]:
    """Read ``{NAME: registration}``, JSON, from ``path``, as the functions will read it.

    Raises ``RegistrationsError`` that names all that is wrong, never the content: it holds client secrets. Only an
    issuer is not asked yet: it may be a server on this machine that is not up.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _error(path, error.strerror or "cannot be read") from None
    except UnicodeDecodeError:
        raise _error(path, "is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise _error(path, f"line {error.lineno}, column {error.colno}: not JSON: {error.msg}") from None
    if not isinstance(document, dict):
        raise _error(path, 'must be an object {"NAME": {"client_id": "...", ...}, ...}')
    if problems := [*_problems(document)]:
        raise _error(path, "\n  ".join(["nothing was started, because of this:", *problems]))
    return document


def _problems(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with each registration: all of it at once, with what may have been meant."""
    for name, registration in document.items():
        if not matches(name, PROVIDER_NAME):
            yield f"{json.dumps(name)}: a provider's name is 1 to 64 of A-Z a-z 0-9 . _ -, a letter or digit first"
            continue
        secret = _File(json.dumps(registration))
        known = Registrations(secret.client_of, SECRET_PREFIX, _Nobody(), time.time, loopback_http=True)
        try:
            known.whole(name)
        except ProviderUnavailable:
            continue
        except GatehouseError as error:
            yield f"{name}: {error.description.removeprefix(f'The registration of provider {name!r}: ')}"


class _File:
    """A file in the place of Secrets Manager, with one registration in it."""

    def __init__(self, text: str) -> None:
        self._text = text

    def client_of(self, _service: str) -> Any:
        """Return it as the client of Secrets Manager, the only service that is used."""
        return self

    def get_secret_value(self, SecretId: str) -> dict[str, str]:  # noqa: N803 - boto3's own name for it
        """Return the registration as Secrets Manager does."""
        return {"Name": SecretId, "SecretString": self._text}


class _Nobody:
    """A network in which nobody answers."""

    def send(self, *_request: object) -> Answer:
        """Fail as a server out of reach does."""
        raise ProviderUnavailable("Nobody is asked before the stack has started.")


def parameters_of(name: str, registration: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters that connections of a provider have, each with what it may be, in words."""
    path = _FILES / f"{registration.get('based_on', name)}.toml"
    file = tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    patterns = {**file.get("parameters", {}), **registration.get("parameters", {})}
    regions = {**file.get("regions", {}), **registration.get("regions", {})}
    words = {name: pattern_words.described(pattern) for name, pattern in patterns.items()}
    return words | ({"region": f"one of {', '.join(regions)}"} if regions else {})


def _error(path: Path, message: str) -> RegistrationsError:
    return RegistrationsError(f"Registrations file {path}: {message}")


def store(registrations: Mapping[str, Mapping[str, Any]]) -> None:
    """Create one secret for each registration."""
    client = boto3.client("secretsmanager")
    for name, registration in registrations.items():
        client.create_secret(Name=f"{SECRET_PREFIX}{name}", SecretString=json.dumps(registration))
