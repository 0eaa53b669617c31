"""Which addresses an authorization server may have: only those of the public internet.

Gatehouse connects from inside the owner's account to whatever a registration or an issuer's metadata names. A name that
leads to the machine's metadata service, to a private network or back to Gatehouse is an attempt to get in.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

# All of the public IPv6 internet is in here; mapped, NAT64, site-local and unique local addresses are not.
_GLOBAL_UNICAST = IPv6Network("2000::/3")

_NO_SERVERS = (
    IPv4Network("192.0.0.0/24"),  # for protocols, not for hosts (RFC 6890)
    IPv4Network("192.88.99.0/24"),  # relays of 6to4 (RFC 7526)
    IPv6Network("2002::/16"),  # 6to4 (RFC 3056) and, in the next, Teredo: they contain an unchecked IPv4 address
    IPv6Network("2001::/23"),
    IPv6Network("3fff::/20"),  # for examples (RFC 9637); older Pythons do not know it
)


def is_allowed(address: str, *, loopback: bool) -> bool:
    """Return whether Gatehouse may connect to this address, which is in its numeric form.

    Loopback addresses are allowed only with `loopback`: on one machine. Anything that is not an address is refused.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if loopback and found.is_loopback:
        return True
    is_public = found.is_global and not found.is_multicast and not found.is_reserved
    is_host = not isinstance(found, IPv6Address) or found in _GLOBAL_UNICAST
    return is_public and is_host and not any(found in network for network in _NO_SERVERS)
