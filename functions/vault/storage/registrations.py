"""The owner's registrations: a JSON document in Secrets Manager for each provider, over its file or its metadata."""

from __future__ import annotations

import contextlib
import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from functions.vault.base.errors import (
    GatehouseError,
    ProviderMisconfigured,
    ProviderUnavailable,
    TemporarilyUnavailable,
    TooLittleTime,
)
from functions.vault.base.timing import NEVER
from functions.vault.provider import merging, vocabulary
from functions.vault.provider.registration import Registration
from functions.vault.provider.vocabulary import CREDENTIALS, REGISTRATION

from .aws import ClientError, code_of, outages_are_temporary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from functions.vault.base.timing import Deadline
    from functions.vault.oauth.discovery import Discovery
    from functions.vault.oauth.transport import Transport
    from functions.vault.provider.names import Problem

    from .aws import ClientOf

KEPT = 300.0
"""Seconds for which a registration and its discovered metadata stay in memory."""

LONGEST_REREAD_PAUSE = 60
"""The most seconds between two readings of a registration whose credentials a server keeps refusing."""

KEPT_FAILURE = 5.0
"""Seconds for which a failure of Secrets Manager or of an issuer is remembered, instead of trying again."""


class _NotReadable(ProviderMisconfigured):
    """Secrets Manager refuses to show this one secret, because of its policy or its key."""


_Kept = Registration | TemporarilyUnavailable | ProviderUnavailable | _NotReadable
_FILES = Path(__file__).parent.parent.parent / "providers"


class Registrations:
    """Finds the registration of a provider by its name. `loopback_http` allows http endpoints on loopback."""

    def __init__(
        self, client_of: ClientOf, prefix: str, transport: Transport, clock: Callable[[], float], *, loopback_http: bool
    ) -> None:
        self._client_of = client_of
        self._prefix = prefix
        self._transport = transport
        self._clock = clock
        self._vocabulary = vocabulary.checks(loopback_http=loopback_http) | REGISTRATION
        self._loopback_http = loopback_http
        self._kept: dict[str, tuple[float, _Kept | None]] = {}
        self._discovering: Discovery | None = None
        self._vain_rereads: dict[str, tuple[int, float]] = {}
        self._whole: dict[str, Registration] = {}

    def get(self, name: str, deadline: Deadline = NEVER) -> Registration:
        """Return the registration of provider `name`. If an issuer has to be asked, `deadline` limits that.

        Raises `UnknownProvider` if there is none, and `ProviderMisconfigured` naming each key that is wrong.
        """
        now = self._clock()
        kept_until, kept = self._kept.get(name, (0.0, None))
        if now >= kept_until:
            kept = self._reload(name, kept, deadline)
        if isinstance(kept, Registration):
            return kept
        assert kept is not None  # noqa: S101 - what is not kept has just been reloaded
        retry_after = max(kept.retry_after or 0, int(KEPT_FAILURE))
        raise type(kept)(kept.description, retry_after=retry_after if kept.retryable else None)

    def whole(self, name: str, deadline: Deadline = NEVER) -> Registration:
        """Return the registration as `get` does, if it is complete enough to connect a customer.

        Raises `ProviderMisconfigured` naming everything that is wrong or missing, before a customer is sent anywhere.
        """
        registration = self.get(name, deadline)
        if self._whole.get(name) is not registration:
            from functions.vault.provider import readiness  # noqa: PLC0415 - only for a function that sends a customer somewhere

            if problems := list(readiness.problems(registration)):
                raise self._refused(registration, [*problems], {})
            self._whole[name] = registration
        return registration

    def has_slots(self, name: str) -> bool:
        """Return whether provider `name` is known to limit how many requests it takes at a time.

        This does not ask its issuer: no metadata says it.
        """
        kept_until, kept = self._kept.get(name, (0.0, None))
        if isinstance(kept, Registration) and self._clock() < kept_until:
            return kept.provider.has_slots
        with contextlib.suppress(GatehouseError):
            own, _ = vocabulary.checked(self._document(name), self._vocabulary)
            return bool((self._file_under(name, own, []) | own).get("max_concurrency"))
        return False

    def reread(self, refused: Registration) -> Registration | None:
        """Return the registration as it is now, if its credentials are other than those that a server has refused.

        Return None if they are the same, or if it cannot be read. After readings that brought nothing new, it is not
        read for a while: the first two are at once, the next after seconds, later ones up to a minute apart. This makes
        one call to AWS. Discovered metadata may be old, because a request is waiting.
        """
        name, now = refused.provider.name, self._clock()
        _, kept = self._kept.get(name, (0.0, None))
        vain, last = self._vain_rereads.get(name, (0, now))
        if kept is refused and now >= last + min(2**vain // 4, LONGEST_REREAD_PAUSE):
            self._vain_rereads[name] = (vain + 1, now)
            with contextlib.suppress(GatehouseError):
                kept = self._reload(name, kept, None)
        if not isinstance(kept, Registration) or kept.credentials == refused.credentials:
            return None
        self._vain_rereads.pop(name, None)
        return kept

    def _reload(self, name: str, kept: _Kept | None, deadline: Deadline | None) -> _Kept:
        """Keep and return the registration, the old one during an outage, or the failure."""
        now = self._clock()
        found: _Kept
        try:
            kept_until, found = now + KEPT, self._load(name, deadline)
        except TooLittleTime:
            if isinstance(kept, Registration):
                return kept
            raise
        except (TemporarilyUnavailable, ProviderUnavailable) as outage:
            found = kept if isinstance(kept, Registration) else outage
            kept_until = self._clock() + KEPT_FAILURE
        except _NotReadable as refusal:
            found, kept_until = refusal, self._clock() + KEPT_FAILURE
        self._kept[name] = (kept_until, found)
        return found

    def _load(self, name: str, deadline: Deadline | None) -> Registration:
        document = self._document(name)
        own, wrong = vocabulary.checked(document, self._vocabulary)
        problems: list[tuple[str, Problem]] = [*wrong.items()]
        credentials = {key: own.pop(key) for key in CREDENTIALS if key in own}
        layers = [self._file_under(name, own, problems), own]
        issuer = own.get("issuer")
        # If something is wrong already, the issuer is not asked.
        if issuer is not None and "token_endpoint" not in own and not problems:
            try:
                layers.insert(1, {**self._discovery.metadata_of(issuer, deadline), "is_discovered": True})
            except ProviderMisconfigured as failure:
                problems.append(("issuer", failure.description.rstrip(".")))
        registration, further = merging.merge(name, layers, credentials)
        problems += [(key, problem) for key, problem in further if key not in wrong]
        if problems:
            raise self._refused(registration, problems, document)
        return registration

    def _refused(
        self, registration: Registration, problems: list[tuple[str, Problem]], document: Mapping[str, Any]
    ) -> ProviderMisconfigured:
        """Return the failure that names everything that is wrong with a registration."""
        from functions.vault.provider import hints, readiness  # noqa: PLC0415 - most registrations are right

        known = {key for key, _ in problems}
        further = [each for each in readiness.problems(registration) if each[0] not in known]
        return hints.refused(
            registration.provider.name,
            document,
            [*problems, *further],
            checks=self._vocabulary,
            parameters=registration.provider.parameters,
            files=_file_names(),
        )

    @staticmethod
    def _file_under(name: str, own: dict[str, Any], problems: list[tuple[str, Problem]]) -> dict[str, Any]:
        """Return the provider file below a registration: the one that it names, or the one of its own name."""
        based_on = own.pop("based_on", None)
        file = _file(name if based_on is None else based_on)
        if based_on is not None and not file:
            from functions.vault.provider.hints import nearest_file  # noqa: PLC0415 - as above

            problems.append(("based_on", nearest_file(based_on, _file_names())))
        return file

    @property
    def _discovery(self) -> Discovery:
        if self._discovering is None:
            from functions.vault.oauth.discovery import Discovery  # noqa: PLC0415 - most registrations have their endpoints

            self._discovering = Discovery(self._transport, self._clock, loopback_http=self._loopback_http)
        return self._discovering

    def _document(self, name: str) -> dict[str, Any]:
        try:
            with outages_are_temporary("Secrets Manager"):
                secret = self._client_of("secretsmanager").get_secret_value(SecretId=self._prefix + name)
        except ClientError as error:
            # The second is the error for a secret that is scheduled for deletion, for up to thirty days.
            if code_of(error) in {"ResourceNotFoundException", "InvalidRequestException"}:
                from functions.vault.provider.hints import unknown_provider  # noqa: PLC0415 - as above

                raise unknown_provider(name, self._prefix + name, _file_names()) from None
            raise _NotReadable(_why_not_readable(self._prefix + name, error)) from None
        text = secret.get("SecretString", "").removeprefix("\ufeff")  # some editors write a byte order mark
        try:
            document = json.loads(text, object_pairs_hook=_unambiguous, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            from functions.vault.provider.hints import not_json  # noqa: PLC0415 - as above

            raise ProviderMisconfigured(
                f"The secret {self._prefix}{name} does not hold a JSON document: {not_json(text, error)}."
            ) from None
        if not isinstance(document, dict):
            from functions.vault.provider.hints import no_object  # noqa: PLC0415 - as above

            raise ProviderMisconfigured(f"The registration of provider {name!r}: {no_object(document)}.")
        return document


def _no_constant(word: str) -> NoReturn:
    """Refuse the NaN and Infinity that Python reads and JSON does not have: NaN is not even equal to itself."""
    raise ValueError(f"{word} is no JSON: a number is written in digits, like 3600")


class _Twice(ValueError):
    """A document has a key twice, with different values. The text names the key."""


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; raise `_Twice` if a key has two values, because either could be meant."""
    document: dict[str, Any] = {}
    for key, value in pairs:
        if document.setdefault(key, value) != value:
            from functions.vault.base.refused_fields import shown  # noqa: PLC0415 - as above

            raise _Twice(f"{shown(key)} is there twice, with different values")
    return document


def _why_not_readable(secret: str, error: ClientError) -> str:
    """Return why Secrets Manager does not show a secret, and what to do, without AWS's own text.

    AccessDeniedException can be about the secret or about its KMS key. Only AWS's text distinguishes the two.
    """
    code, text = code_of(error), str(error.response.get("Error", {}).get("Message", ""))
    reason = f"The secret {secret} cannot be read (Secrets Manager says {code}): "
    if code == "DecryptionFailure" or (code == "AccessDeniedException" and "KMS" in text):
        return reason + (
            "the function's role lacks kms:Decrypt on the key that encrypts the secret, or the key is disabled. "
            "Allow it in the key's policy and in the role's, or encrypt the secret with the key aws/secretsmanager."
        )
    if code == "AccessDeniedException":
        return reason + (
            "the function's role lacks secretsmanager:GetSecretValue on it. Allow it, "
            "and see whether the secret's own policy denies it."
        )
    return reason + "try aws secretsmanager get-secret-value with it, and correct what that says."


def _file_names() -> list[str]:
    return sorted(path.stem for path in _FILES.glob("*.toml"))


def _file(name: str) -> dict[str, Any]:
    """Return the provider file of that name, empty if there is none. `name` has been checked to be a plain name."""
    path = _FILES / f"{name}.toml"
    if not path.is_file():
        return {}
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    return vocabulary.validated(document, f"providers/{path.name}", vocabulary.checks(loopback_http=False))
