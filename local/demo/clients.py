"""The applications and merchants that the demo authorization server knows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_LOOPBACK = frozenset({"localhost", "127.0.0.1"})
_CALLBACK = re.compile(r"/callback/[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Client:
    """A registered application (RFC 6749 section 2)."""

    client_id: str
    application_name: str
    scopes: tuple[str, ...]
    secret: str = field(repr=False)
    is_confidential: bool
    """Whether the client must authenticate; a public client may, and then has to do it right."""

    def accepts(self, redirect_uri: str, also_at: str | None = None) -> bool:
        """Return whether `redirect_uri` is registered: `/callback/NAME` on a loopback host and any port.

        ``also_at`` is one origin more where it may be.
        """
        try:
            url = urlsplit(redirect_uri)
            _ = url.port
        except ValueError:
            return False
        has_extras = bool(url.query or url.fragment or "@" in url.netloc)
        is_callback = _CALLBACK.fullmatch(url.path) is not None
        is_here = url.scheme == "http" and url.hostname in _LOOPBACK
        return (is_here or f"{url.scheme}://{url.netloc}" == also_at) and is_callback and not has_extras


@dataclass(frozen=True)
class Merchant:
    """The account whose owner consents: the resource owner."""

    merchant_id: str
    name: str

    @classmethod
    def named(cls, merchant_id: str | None) -> Merchant:
        """Return the merchant of that id, or the usual one."""
        if not merchant_id:
            return cls("DEMO", "Demo Outfitters")
        return cls(merchant_id, f"Demo merchant {merchant_id}")


# The secrets below guard nothing: the server that knows them listens on loopback and holds invented data.
ULTRACART_CLIENT = Client(
    client_id="demo5e31ce86e17f02015a35257c4715",
    application_name="Gatehouse demo application",
    scopes=("item_read", "order_read", "order_write"),
    secret="demo-ultracart-client-secret",  # noqa: S106 - see above
    is_confidential=False,
)
# Characters that break a client which forgets the form-encoding of RFC 6749 section 2.3.1.
STANDARD_CLIENT = Client(
    client_id="demo client:1",
    application_name="Gatehouse demo application",
    scopes=("orders:read", "orders:write"),
    secret="s3cret+/=&%ü",  # noqa: S106 - see above
    is_confidential=True,
)
