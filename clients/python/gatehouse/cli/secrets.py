"""A registration in Secrets Manager."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from . import exits
from .failures import Failure

if TYPE_CHECKING:
    from .account import Account


class Secret:
    """The secret of one provider's registration."""

    def __init__(self, account: Account, provider: str) -> None:
        self._account = account
        self._provider = provider
        self.name = account.secret_prefix + provider

    def read_or_empty(self) -> dict[str, Any] | None:
        """Return what is to be written over: empty if it cannot be understood, None if nothing is there."""
        try:
            return self.read()
        except Failure:
            return {}

    def read(self) -> dict[str, Any] | None:
        """Return the registration, or None if there is none. Raises `Failure` if it is not JSON."""
        from botocore.exceptions import ClientError  # noqa: PLC0415 - it takes long to load

        try:
            answer = self._account.client("secretsmanager").get_secret_value(SecretId=self.name)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return None
            raise
        try:
            # A secret that was stored as binary has none.
            document = json.loads(answer.get("SecretString", ""))
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            # What it has could be a secret: none of it is shown.
            raise Failure(
                "unreadable",
                f"The secret {self.name} holds no JSON object.",
                advice="See what it should be: docs/providers.md. To write over it: "
                f"gatehouse register {self._provider} --replace{self._account.options}",
                code=exits.MISCONFIGURED,
            )
        return document

    def write(self, registration: dict[str, Any], *, is_there: bool) -> None:
        """Store it."""
        client, text = self._account.client("secretsmanager"), json.dumps(registration)
        if is_there:
            client.put_secret_value(SecretId=self.name, SecretString=text)
        else:
            client.create_secret(Name=self.name, SecretString=text)
