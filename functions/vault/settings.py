"""The environment of a function as one typed object. Nothing else reads `os.environ`."""

from __future__ import annotations

import hmac
import os
import re
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping


_MOST_ORIGIN_DIGESTS = 2


class SettingMissing(Exception):
    """A variable of the function's environment is missing or wrong. The text names it: the deployment is at fault."""


def running_in_lambda() -> bool:
    """Return whether this process is a Lambda function, which can be prepared before its first call."""
    return "AWS_LAMBDA_RUNTIME_API" in os.environ


def snapshot_follows() -> bool:
    """Return whether Lambda takes a snapshot of this process once the function is loaded (SnapStart)."""
    return os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start"


class Appearance(NamedTuple):
    """How the pages look that a customer sees. Empty is what the deployment does not say.

    `color` is `#rrggbb`, and `support` an e-mail address or a URL. `language` is the one for whoever asks for none.
    """

    application_name: str = ""
    logo_url: str = ""
    color: str = ""
    support: str = ""
    language: str = "en"


_ORIGIN = r"(?:https://[A-Za-z0-9.-]+|http://(?:localhost|127\.0\.0\.1))(?::[0-9]{1,5})?"
_MAILBOX = r"[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
_APPEARANCE = {
    "application_name": (r"(?=\S).{0,63}\S", "1 to 64 characters in one line, none of them a blank at an end"),
    # Nothing in it ends a source expression of a Content-Security-Policy, or is a part of the URL that one has not.
    "logo_url": (_ORIGIN + r"/[A-Za-z0-9._~/%-]{1,400}", "an https URL without query (http only for localhost)"),
    "color": (r"#[0-9A-Fa-f]{6}", "a color like #0b5c4a"),
    "support": (
        rf"{_MAILBOX}|{_ORIGIN}(?:[/?][A-Za-z0-9._~:/?@!$'()*+,;=%&-]*)?",
        "an e-mail address, or an https URL without user name and fragment (http only for localhost)",
    ),
    "language": (r"[a-z]{2,3}(?:-[a-z0-9]{2,8})*", "the tag of a language, like en"),
}
"""What each field of `Appearance` may be, and how to say that. In the environment it is `GATEHOUSE_` and its name."""


class Settings:
    """The settings of one function.

    Each is read and checked when it is first used, because the environment of a function has only what that function
    needs. A required one that is missing or wrong raises `SettingMissing`.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        """`environ` replaces the environment of the process."""
        self._environ = os.environ if environ is None else environ

    def _required(self, name: str) -> str:
        value = self._environ.get(name, "")
        if not value:
            raise SettingMissing(f"The environment variable {name} is not set.")
        return value

    # URLs

    @cached_property
    def base_url(self) -> str:
        """Return where browsers reach Gatehouse, without a trailing slash: https, or http on this machine itself."""
        base_url = self._required("GATEHOUSE_BASE_URL").rstrip("/")
        parts = urlsplit(base_url)
        local = parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1"}
        if not parts.hostname or not (parts.scheme == "https" or local) or parts.query or parts.fragment:
            raise SettingMissing("GATEHOUSE_BASE_URL must be an https URL (or http://localhost, http://127.0.0.1).")
        return base_url

    @property
    def secure(self) -> bool:
        """Return whether browsers reach Gatehouse by https."""
        return self.base_url.startswith("https:")

    @property
    def is_on_loopback(self) -> bool:
        """Return whether this deployment is on one machine. A function that no browser calls may have no base URL."""
        return urlsplit(self._environ.get("GATEHOUSE_BASE_URL", "")).scheme == "http"

    @cached_property
    def return_to_origins(self) -> frozenset[str]:
        """Return the origins to which a callback may send its user back."""
        origins = self._environ.get("GATEHOUSE_RETURN_TO_ORIGINS", "").split(",")
        return frozenset(origin.strip().rstrip("/").lower() for origin in origins if origin.strip())

    @cached_property
    def confirmation_is_required(self) -> bool:
        """Return whether the application has to confirm every authorization, whatever `start` is asked for."""
        confirm = self._environ.get("GATEHOUSE_CONFIRM", "optional")
        if confirm not in {"optional", "required"}:
            raise SettingMissing("GATEHOUSE_CONFIRM must be optional or required.")
        return confirm == "required"

    @cached_property
    def application_url(self) -> str | None:
        """Return the application's own address, for installs that begin at a provider; None if it is not set."""
        url = self._environ.get("GATEHOUSE_APPLICATION_URL", "")
        if url and urlsplit(url).scheme not in {"https", "http"}:
            raise SettingMissing("GATEHOUSE_APPLICATION_URL must be an http or https URL.")
        return url or None

    @cached_property
    def appearance(self) -> Appearance:
        """Return how pages look. A value that is wrong is never shown: it raises `SettingMissing`, which names it."""
        given = {field: self._environ.get(f"GATEHOUSE_{field.upper()}", "") for field in _APPEARANCE}
        for field, value in given.items():
            pattern, expected = _APPEARANCE[field]
            if value and not (value.isprintable() and re.fullmatch(pattern, value)):
                raise SettingMissing(f"GATEHOUSE_{field.upper()} must be empty, or {expected}.")
        return Appearance(**{field: value for field, value in given.items() if value})

    @cached_property
    def _origin_digests(self) -> tuple[str, ...]:
        """Return the SHA-256 (hex) of each value that a proxy's header may have: two while the value is changed."""
        given = self._environ.get("GATEHOUSE_ORIGIN_VERIFY_SHA256", "")
        digests = tuple(given.split(",")) if given else ()
        # The digest of nothing would be fulfilled by everybody.
        are_good = all(re.fullmatch("[0-9a-f]{64}", each) and each != sha256().hexdigest() for each in digests)
        if not are_good or len(digests) > _MOST_ORIGIN_DIGESTS:
            raise SettingMissing(
                "GATEHOUSE_ORIGIN_VERIFY_SHA256 must be one or two SHA-256 digests in lower-case hex, joined by a "
                "comma, and not the digest of nothing."
            )
        return digests

    def accepts_origin_header(self, value: str) -> bool:
        """Return, in constant time, whether a request with this header came by the proxy, or none is asked for."""
        accepted = self._origin_digests
        digest = sha256(value.encode()).hexdigest()
        # A list: all are compared, whichever is the one.
        return not accepted or any([hmac.compare_digest(digest, each) for each in accepted])  # noqa: C419 - as above

    # Rights that a deployment gives only where they are needed

    @property
    def may_push(self) -> bool:
        """Return whether `authorize` has the rights to push authorization requests (RFC 9126)."""
        return self._environ.get("GATEHOUSE_PUSHED_REQUESTS") == "true"

    # Names of AWS resources

    @property
    def connections_table(self) -> str:
        """Return the name of the table of connections."""
        return self._required("GATEHOUSE_CONNECTIONS_TABLE")

    @property
    def authorizations_table(self) -> str:
        """Return the name of the table of authorization requests."""
        return self._required("GATEHOUSE_AUTHORIZATIONS_TABLE")

    @property
    def shared_table(self) -> str:
        """Return the name of the table of what connections share."""
        return self._required("GATEHOUSE_SHARED_TABLE")

    @property
    def key_id(self) -> str:
        """Return the id of the KMS key that seals tokens."""
        return self._required("GATEHOUSE_KEY_ID")

    @property
    def other_key_id(self) -> str | None:
        """Return the id of the KMS key that does not seal, but still opens; None if there is only one."""
        return self._environ.get("GATEHOUSE_OTHER_KEY_ID") or None

    @property
    def refresh_queue_url(self) -> str:
        """Return the URL of the queue of refreshes."""
        return self._required("GATEHOUSE_REFRESH_QUEUE_URL")

    @property
    def revoke_queue_url(self) -> str:
        """Return the URL of the queue of revocations."""
        return self._required("GATEHOUSE_REVOKE_QUEUE_URL")

    @property
    def rescue_queue_url(self) -> str:
        """Return the URL of the rescue queue; empty for `rescue`, which commits what comes from it."""
        return self._environ.get("GATEHOUSE_RESCUE_QUEUE_URL", "")

    @property
    def unpublished_queue_url(self) -> str:
        """Return the URL of the queue of events that the bus did not take."""
        return self._required("GATEHOUSE_UNPUBLISHED_QUEUE_URL")

    @property
    def event_bus(self) -> str:
        """Return the name of the event bus."""
        return self._required("GATEHOUSE_EVENT_BUS")

    @property
    def deployment(self) -> str:
        """Return the name of the stack, by which events say where they come from."""
        return self._required("GATEHOUSE_DEPLOYMENT")

    @property
    def publishes_refreshes(self) -> bool:
        """Return whether every refresh is published, too."""
        return self._environ.get("GATEHOUSE_PUBLISH_REFRESHES") == "true"

    @property
    def secret_prefix(self) -> str:
        """Return what the names of the registrations' secrets begin with."""
        return self._environ.get("GATEHOUSE_SECRET_PREFIX", "gatehouse/providers/")
