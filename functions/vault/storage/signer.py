"""Signs client assertions with KMS (RFC 7523 section 2.2). The private key never leaves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.vault.base.errors import ProviderMisconfigured
from functions.vault.oauth.assertion import jose_signature

from .aws import ClientError, code_of, outages_are_temporary

if TYPE_CHECKING:
    from .aws import ClientOf

_FAMILIES = {"ES": "ECDSA", "PS": "RSASSA_PSS", "RS": "RSASSA_PKCS1_V1_5"}

# KMS's errors for a key that does not exist, is not ours, is disabled, or is not for signing with this algorithm.
_UNFIT = frozenset(
    {
        "AccessDeniedException",
        "DisabledException",
        "InvalidArnException",
        "InvalidKeyUsageException",
        "KMSInvalidStateException",
        "NotFoundException",
        "ValidationException",
    }
)


class Signer:
    """Signs with asymmetric keys in KMS: one `Sign` for each signature, and nothing is cached."""

    def __init__(self, client_of: ClientOf) -> None:
        self._client_of = client_of

    def sign(self, key: str, algorithm: str, octets: bytes) -> bytes:
        """Return the JOSE signature (RFC 7518 section 3) of at most 4,096 octets with the key of this ARN or alias.

        Raises `ProviderMisconfigured` if the key cannot sign with this algorithm, and `TemporarilyUnavailable` if KMS
        is down.
        """
        family, size = _FAMILIES[algorithm[:2]], algorithm[2:]
        try:
            with outages_are_temporary("KMS"):
                answer = self._client_of("kms").sign(
                    KeyId=key, Message=octets, MessageType="RAW", SigningAlgorithm=f"{family}_SHA_{size}"
                )
        except ClientError as error:
            if code_of(error) not in _UNFIT:
                raise
            raise ProviderMisconfigured(
                f"KMS does not sign as {algorithm} with the key of the registration ({code_of(error)}): check that "
                "client_signing_key exists, is a key for signing of a kind that fits token_endpoint_auth_signing_alg, "
                "and has an alias that Gatehouse may use."
            ) from None
        return jose_signature(answer["Signature"], algorithm)
