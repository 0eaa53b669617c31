"""Where moto's KMS signs otherwise than AWS's does.

AWS salts a signature of RSASSA-PSS with as many octets as its hash has, as RFC 7518 section 3.5 wants it; moto with as
many as fit, which no server that verifies client assertions takes. To go when moto does as AWS does.
"""

from __future__ import annotations

from typing import Any

_METHOD = "_RSAPrivateKey__padding_and_hash_algorithm"


def mend() -> None:
    """Have moto salt its signatures as AWS does; twice does no more than once."""
    from cryptography.hazmat.primitives.asymmetric.padding import PSS  # noqa: PLC0415 - with moto, half of a start
    from moto.kms.utils import RSAPrivateKey  # noqa: PLC0415

    theirs = getattr(RSAPrivateKey, _METHOD)
    if theirs.__module__ == __name__:
        return

    def padding_and_hash(key: Any, algorithm: str) -> tuple[Any, Any]:
        padding, digest = theirs(key, algorithm)
        return (PSS(padding.mgf, digest.digest_size) if isinstance(padding, PSS) else padding), digest

    setattr(RSAPrivateKey, _METHOD, padding_and_hash)
