"""Checks a registration before it is stored, as `start` would check it, without AWS and without a customer.

    python -m tools.check_registration FILE NAME    FILE is the document of the secret gatehouse/providers/NAME
    python -m tools.check_registration FILE         FILE holds {NAME: registration}, as `make run` takes it

The registration is merged with the provider file of its name, or with the one that its `based_on` names. If it names an
issuer, the issuer is asked. The output has a line for each registration; the exit code is 1 if one is invalid, and its
line says why. The line also says what the registration asks for and the issuer does not publish, and the other way
round: that need not be wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from functions.vault.base import fields
from functions.vault.base.errors import GatehouseError
from functions.vault.grant.scopes import OFFLINE_ACCESS
from functions.vault.oauth.outbound import Outbound
from functions.vault.storage.registrations import Registrations

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from functions.vault.oauth.transport import Answer, Transport
    from functions.vault.provider.registration import Registration

SECRET_PREFIX = "gatehouse/providers/"  # noqa: S105 - the name of a secret


class _File:
    """A file in place of Secrets Manager, with one secret in it."""

    def __init__(self, text: str) -> None:
        self._text = text

    def client_of(self, _service: str) -> Any:
        """Return it as the client of Secrets Manager, the only service that is used."""
        return self

    def get_secret_value(self, SecretId: str) -> dict[str, str]:  # noqa: N803 - boto3's own name for it
        """Return the secret as Secrets Manager does."""
        return {"Name": SecretId, "SecretString": self._text}


class _Listening:
    """Sends requests, and keeps the last JSON object in an answer: an issuer's metadata."""

    def __init__(self, web: Transport) -> None:
        self._web = web
        self.metadata: dict[str, Any] = {}

    def send(self, method: str, url: str, headers: Mapping[str, str], body: str | None, timeout: float) -> Answer:
        """Return the answer."""
        answer = self._web.send(method, url, headers, body, timeout)
        with suppress(ValueError, RecursionError):
            document = json.loads(answer.body)
            self.metadata = document if isinstance(document, dict) else self.metadata
        return answer

    def names(self, key: str) -> set[str] | None:
        """Return what the metadata lists under a key; None if it lists nothing."""
        listed = self.metadata.get(key)
        return {each for each in listed if isinstance(each, str)} if isinstance(listed, list) and listed else None


class Unreadable(Exception):
    """The file cannot be read; the text says why, and nothing of what the file contains."""


def documents(path: Path, name: str | None) -> dict[str, str]:
    """Return the text of each registration in a file, by name. Raises ``Unreadable``."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Unreadable(error.strerror or "cannot be read") from None
    return documents_of(decoded(content), name)


def decoded(content: bytes) -> str:
    """Return the text that a file contains. Raises ``Unreadable``."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise Unreadable("is not UTF-8: save it in that encoding") from None


def documents_of(text: str, name: str | None) -> dict[str, str]:
    """Return the text of each registration in what a file contains, by name. Raises ``Unreadable``."""
    if name is not None:
        return {name: text}
    try:
        found = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        at = f"line {error.lineno}, column {error.colno}: " if isinstance(error, json.JSONDecodeError) else ""
        raise Unreadable(f"{at}not JSON") from None
    if not isinstance(found, dict) or not all(fields.matches(each, fields.PROVIDER_NAME) for each in found):
        raise Unreadable('expected {"NAME": {"client_id": "...", ...}, ...}; or name the one registration that it is')
    if "client_id" in found:
        raise Unreadable("it is one registration: name it, as the last argument")
    return {each: json.dumps(document) for each, document in found.items()}


def registration(name: str, text: str, *, local: bool) -> Registration:
    """Return a registration over the provider file under it, as `start` has it. Raises a `GatehouseError`."""
    return _known(text, _Listening(Outbound(loopback=local)), local=local).whole(name)


def _known(text: str, web: _Listening, *, local: bool) -> Registrations:
    # With the text in the place of the secret, the rest is what `start` does.
    return Registrations(_File(text).client_of, SECRET_PREFIX, web, time.time, loopback_http=local)


def findings(texts: dict[str, str], base_url: str, *, local: bool) -> Iterator[tuple[str, str, bool]]:
    """Yield a report on each registration: its name, the report, and whether it is valid."""
    for name, text in texts.items():
        web = _Listening(Outbound(loopback=local))
        try:
            found = _known(text, web, local=local).whole(name)
            yield name, " ".join([_report(found, base_url), *_unpublished(found, web)]), True
        except GatehouseError as error:
            yield name, f"{error.code}: {error.description}", False


def _report(registration: Registration, base_url: str) -> str:
    provider, expected = registration.provider, f"{base_url.rstrip('/')}/callback/{registration.provider.name}"
    report = f"right. Client authentication: {registration.auth_method}. Register {expected} at the provider."
    redirect_uri = provider.redirect_uri or ""
    if "://" in redirect_uri and not redirect_uri.endswith(f"/callback/{provider.name}"):
        report += (
            " Its own redirect_uri leads elsewhere: what is there has to send customers on to that, with the query."
        )
    return report


def _unpublished(registration: Registration, web: _Listening) -> Iterator[str]:
    """Yield what the registration asks for and the issuer does not publish, or the other way round.

    A server may omit what it accepts (RFC 8414 section 2), so that none of this need be wrong.
    """
    provider, scopes = registration.provider, web.names("scopes_supported")
    if not registration.is_discovered:
        return
    if scopes is not None and (unknown := [each for each in provider.scopes if each not in {*scopes, OFFLINE_ACCESS}]):
        yield f"The issuer does not publish these scopes: {', '.join(unknown)}. Check how they are written."
    if scopes is not None and OFFLINE_ACCESS in scopes and OFFLINE_ACCESS not in provider.scopes:
        yield "It publishes offline_access, which is not among scopes: it may give no refresh token without."
    modes = web.names("response_modes_supported")
    if modes is not None and provider.response_mode not in {None, *modes}:
        yield f"It does not publish the response_mode {provider.response_mode}."


def main(arguments: list[str]) -> int:
    """Print the reports, and return 1 if a registration is invalid."""
    parser = argparse.ArgumentParser(prog="check_registration", description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("name", nargs="?", type=_name, help="what the registration is called; else FILE says it")
    parser.add_argument("--base-url", default="https://YOUR-BASE-URL", help="where your stack is")
    parser.add_argument(
        "--local", action="store_true", help="for `make run`: takes http for a provider on this machine"
    )
    options = parser.parse_args(arguments)
    try:
        found = list(findings(documents(options.file, options.name), options.base_url, local=options.local))
    except Unreadable as error:
        print(f"{options.file}: {error}", file=sys.stderr)
        return 1
    for name, report, _ in found:
        print(f"{name}: {report}")
    return 0 if all(is_right for *_, is_right in found) else 1


def _name(text: str) -> Any:
    if not fields.matches(text, fields.PROVIDER_NAME):
        raise argparse.ArgumentTypeError("expected 1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or digit")
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
