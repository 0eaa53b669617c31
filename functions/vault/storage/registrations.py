"""The owner's registrations: a JSON document for each provider in Secrets Manager, over its file or its metadata."""

from __future__ import annotations

import contextlib
import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import (
    GatehouseError,
    ProviderMisconfigured,
    ProviderUnavailable,
    TemporarilyUnavailable,
    TooLittleTime,
    UnknownProvider,
)
from functions.vault.base.fields import shown
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

    from .aws import ClientOf

KEPT = 300.0
"""Seconds for which a registration, with its discovered metadata, is kept in memory."""

LONGEST_REREAD_PAUSE = 60
"""Seconds for which a registration that a server goes on refusing is not read again, at the most."""

KEPT_FAILURE = 5.0
"""Seconds from when it is known for which an outage of Secrets Manager or of an issuer, or a refusal of Secrets
Manager, is not asked about again."""


class _NotReadable(ProviderMisconfigured):
    """Secrets Manager refuses to show the secret, and that is a matter of this secret: of its policy, or of its key."""


_Kept = Registration | TemporarilyUnavailable | ProviderUnavailable | _NotReadable
_FILES = Path(__file__).parent.parent.parent / "providers"


class Registrations:
    """Finds the registration of a provider by its name. Loopback http endpoints only where `loopback_http` says so."""

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
        """Return the registration of provider `name`; where an issuer has to be asked for it, within the caller's time.

        Raises `UnknownProvider` where there is none, and `ProviderMisconfigured` naming each key that is wrong.
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
        """Return the registration as `get` does, where a customer could be connected by it.

        Raises `ProviderMisconfigured` naming all that is wrong or missing, before anybody is sent anywhere.
        """
        registration = self.get(name, deadline)
        if self._whole.get(name) is not registration:
            from functions.vault.provider import readiness  # noqa: PLC0415 - only who sends a customer somewhere asks

            if problems := list(readiness.problems(registration)):
                raise self._refused(registration, problems, {})
            self._whole[name] = registration
        return registration

    def has_slots(self, name: str) -> bool:
        """Tell whether provider `name` is known to take a limited number of requests at a time, whoever makes them.

        Its issuer is not asked: no metadata has a word for this.
        """
        kept_until, kept = self._kept.get(name, (0.0, None))
        if isinstance(kept, Registration) and self._clock() < kept_until:
            return kept.provider.has_slots
        with contextlib.suppress(GatehouseError):
            own, _ = vocabulary.checked(self._document(name), self._vocabulary)
            return bool((self._file_under(name, own, []) | own).get("max_concurrency"))
        return False

    def reread(self, refused: Registration) -> Registration | None:
        """Return the registration as it is by now, where its credentials are not those that a server has refused.

        None where they are, where it cannot be read, and for a while after readings that brought nothing: twice it is
        read at once, then after seconds, then after up to a minute. One call to AWS; discovered metadata will do
        however old it is, for a request waits for this.
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
        """Keep and return the registration, through an outage the old one, or what is the matter."""
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
        problems = [*wrong.items()]
        credentials = {key: own.pop(key) for key in CREDENTIALS if key in own}
        layers = [self._file_under(name, own, problems), own]
        issuer = own.get("issuer")
        # Where something is wrong already, nobody is asked about the rest.
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
        self, registration: Registration, problems: list[tuple[str, str]], document: Mapping[str, Any]
    ) -> ProviderMisconfigured:
        """Return the failure that names all that is wrong with a registration."""
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
    def _file_under(name: str, own: dict[str, Any], problems: list[tuple[str, str]]) -> dict[str, Any]:
        """Return the provider file that a registration is laid over: the one that it names, or the one of its name."""
        based_on = own.pop("based_on", None)
        file = _file(name if based_on is None else based_on)
        if based_on is not None and not file:
            from functions.vault.provider.hints import nearest_file  # noqa: PLC0415 - as above

            problems.append(("based_on", nearest_file(based_on, _file_names())))
        return file

    @property
    def _discovery(self) -> Discovery:
        if self._discovering is None:
            from functions.vault.oauth.discovery import Discovery  # noqa: PLC0415 - most registrations know where their endpoints are

            self._discovering = Discovery(self._transport, self._clock, loopback_http=self._loopback_http)
        return self._discovering

    def _document(self, name: str) -> dict[str, Any]:
        try:
            with outages_are_temporary("Secrets Manager"):
                secret = self._client_of("secretsmanager").get_secret_value(SecretId=self._prefix + name)
        except ClientError as error:
            # The second is what a secret that waits for its deletion answers, for up to thirty days.
            if code_of(error) in {"ResourceNotFoundException", "InvalidRequestException"}:
                raise UnknownProvider(
                    f"No provider {name!r} is configured: create the secret {self._prefix}{name} with its registration."
                ) from None
            raise _NotReadable(_why_not_readable(self._prefix + name, error)) from None
        text = secret.get("SecretString", "").removeprefix("\ufeff")  # a byte order mark, as some editors put it there
        try:
            document = json.loads(text, object_pairs_hook=_unambiguous)
        except (ValueError, RecursionError) as error:
            from functions.vault.provider.hints import not_json  # noqa: PLC0415 - as above

            raise ProviderMisconfigured(
                f"The secret {self._prefix}{name} does not hold a JSON document: {not_json(text, error)}."
            ) from None
        if not isinstance(document, dict):
            from functions.vault.provider.hints import no_object  # noqa: PLC0415 - as above

            raise ProviderMisconfigured(f"The registration of provider {name!r}: {no_object(document)}.")
        return document


class _Twice(ValueError):
    """A key is there twice, with different values; the text is the key."""


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object in which no key has two values: nobody knows which of them was meant."""
    document: dict[str, Any] = {}
    for key, value in pairs:
        if document.setdefault(key, value) != value:
            raise _Twice(f"{shown(key)} is there twice, with different values")
    return document


def _why_not_readable(secret: str, error: ClientError) -> str:
    """Return what Secrets Manager says of a secret that it does not show, and what to do. AWS's own text stays here.

    It answers AccessDeniedException for its own right and for that of KMS alike; only the text tells them apart.
    """
    code, text = code_of(error), str(error.response.get("Error", {}).get("Message", ""))
    told = f"The secret {secret} cannot be read (Secrets Manager says {code}): "
    if code == "DecryptionFailure" or (code == "AccessDeniedException" and "KMS" in text):
        return told + (
            "the function's role lacks kms:Decrypt on the key that encrypts the secret, or the key is disabled. "
            "Allow it in the key's policy and in the role's, or encrypt the secret with the key aws/secretsmanager."
        )
    if code == "AccessDeniedException":
        return told + (
            "the function's role lacks secretsmanager:GetSecretValue on it. Allow it, "
            "and see whether the secret's own policy denies it."
        )
    return told + "try aws secretsmanager get-secret-value with it, and correct what that says."


def _file_names() -> list[str]:
    return sorted(path.stem for path in _FILES.glob("*.toml"))


def _file(name: str) -> dict[str, Any]:
    """Return the provider file of that name, where Gatehouse ships one. `name` has been checked to be a plain name."""
    path = _FILES / f"{name}.toml"
    if not path.is_file():
        return {}
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    return vocabulary.validated(document, f"providers/{path.name}", vocabulary.checks(loopback_http=False))
