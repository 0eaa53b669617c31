"""Requests that a client authenticates, repeated only if the server refuses its credentials.

If the server refuses the client (`invalid_client`, any 401, a 403 `unauthorized_client`), the next of its secrets is
tried: the other live one, then what `reread` finds in the registration by now. After `invalid_client` and a 401 this
holds even for an authorization code, although a code is sent only once. A server that does not know the client has to
refuse before it looks at the code (RFC 6749 sections 3.2.1 and 5.2), so nothing was issued for it, and nothing can be
revoked because the code comes again (section 4.1.2). A server that spends the code nevertheless answers
`invalid_grant` to the second request: then the user tries again, and the refused secret goes last. No other answer, and
no silence, ever lets a request be repeated.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Self, TypeVar

from functions.vault.base.errors import ProviderMisconfigured, ReauthorizationRequired
from functions.vault.base.timing import CALL, SHORTEST_REQUEST, Deadline

from . import provider_requests
from .authentication import advice, identities, proof_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from functions.vault.provider.registration import Registration

    from .authentication import Identity, Sign
    from .provider_requests import Request
    from .transport import Answer, Transport

    Form = Sequence[tuple[str, str]]
    Reread = Callable[[Registration], Registration | None]

T = TypeVar("T")

_SPENT = (
    " The code had come with another client secret before, which the server refuses: this server spends a code then. "
    "Take that secret out of client_secrets, or try again: for some minutes the other one goes first."
)

_REFUSED_FOR = 300.0
"""Seconds for which a secret that the server has refused is sent only after the client's other one."""


class AuthenticatedRequests:
    """Sends forms as a registered client (RFC 6749 section 2.3)."""

    def __init__(
        self,
        transport: Transport,
        clock: Callable[[], float],
        sign: Sign,
        reread: Reread,
        wall_clock: Callable[[], float],
    ) -> None:
        """`sign` signs with a key in KMS; `reread` reads a registration again and returns it if its credentials differ.

        Assertions are dated by `wall_clock`: the local stack can move `clock` forward, and a server's clock it cannot.
        """
        self.transport = transport
        self._clock = clock
        self._sign = sign
        self._reread = reread
        self._wall_clock = wall_clock
        self._refused: dict[tuple[str, str | None], float] = {}
        """When a secret was refused (`clock`): known only to this process, and not for long."""

    def over(self, transport: Transport) -> Self:
        """Return these requests as sent over another transport; both know which secrets were refused."""
        requests = copy.copy(self)
        requests.transport = transport
        return requests

    def send(  # noqa: PLR0913, PLR0917 - a request, what is confidential in it, and how its answer is read
        self,
        kind: str,
        registration: Registration,
        form: Form,
        secrets: tuple[str, ...],
        read: Callable[[Answer, Identity, tuple[str, ...]], T],
        timeout: float,
    ) -> T:
        """Send a form as the client, once for each identity until the server takes one, within `timeout` seconds.

        `kind` is as in `provider_requests.request`; `read` returns what the answer brings, or raises the failure.
        """
        deadline, refused = Deadline.after(timeout), None
        for identity in self._identities(kind, registration, deadline):
            if refused is not None and deadline.remaining() < SHORTEST_REQUEST:
                break
            asked, confidential = self._request(identity, kind, form)
            # If nothing has taken time yet, the request has all of it.
            has_waited = refused is not None or identity.is_signed_elsewhere
            left = max(deadline.remaining(), SHORTEST_REQUEST) if has_waited else timeout
            try:
                with provider_requests.requesting(kind, self._endpoint(identity, kind)):
                    answer = self.transport.send(asked.method, asked.url, asked.headers, asked.body, left)
                    return read(answer, identity, (*secrets, *confidential))
            except ReauthorizationRequired as error:
                if refused is not None and kind == "token":
                    error.description += _SPENT
                raise
            except ProviderMisconfigured as error:
                if not error.refuses_client:
                    raise
                self._refused[identity.key] = self._clock()
                error.description += advice(identity)
                if kind == "token" and not error.refused_first:
                    raise
                refused = error
        assert refused is not None  # noqa: S101 - a client has at least one identity
        raise refused

    def _request(self, identity: Identity, kind: str, form: Form) -> tuple[Request, tuple[str, ...]]:
        """Return the request that one identity sends, and what the server's words must not repeat of it."""
        registration = identity.registration
        proof = proof_of(identity, self._sign, self._wall_clock(), self._endpoint(identity, kind))
        request = provider_requests.request(kind, registration, form, proof.fields, proof.headers)
        # All secrets of the client: a header of the provider's own may hold one, whatever the method is.
        return request, (*registration.secrets, *proof.confidential)

    @staticmethod
    def _endpoint(identity: Identity, kind: str) -> str:
        return provider_requests.endpoint_of(kind, identity.registration.provider)

    def _identities(self, kind: str, registration: Registration, deadline: Deadline) -> Iterator[Identity]:
        yield from self._in_order(identities(registration.for_revocation() if kind == "revocation" else registration))
        # Reading the registration may take as long as a call to AWS can; the request after it needs time, too.
        if deadline.remaining() < CALL + SHORTEST_REQUEST:
            return
        if (fresh := self._reread(registration.whole or registration)) is not None:
            fresh = _same_client(fresh.for_tenant(registration.tenant), registration)
            if fresh is None:
                return
            yield from identities(fresh.for_revocation() if kind == "revocation" else fresh)

    def _in_order(self, known: Iterator[Identity]) -> list[Identity]:
        """Return the identities in the order in which they are tried: one that was just refused goes last."""
        since = self._clock() - _REFUSED_FOR
        for key in [key for key, at in self._refused.items() if at < since]:
            self._refused.pop(key, None)
        return sorted(known, key=lambda identity: self._refused.get(identity.key, 0.0))


def _same_client(fresh: Registration, refused: Registration) -> Registration | None:
    """Return a registration that was read again as the client that the server has refused; None for any other.

    What was issued to one client, or at one origin, is never sent as or to another.
    """
    theirs, tenant = fresh.of_client(refused.client_id), refused.tenant
    if theirs is None or theirs.whose(tenant).origins != refused.whose(tenant).origins:
        return None
    return theirs
