"""One deployed Gatehouse with all that is around it: who calls it, who consents, where browsers come in."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from functions.vault.grant.connection import JUST_OBTAINED
from tools.deploy_check.account import Account
from tools.deploy_check.browser import Browser
from tools.deploy_check.callers import Caller
from tools.deploy_check.report import Wrong, expect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from local.demo import DemoServer
    from tools.deploy_check.deployed import Deployed
    from tools.deploy_check.front import Front


@dataclass(frozen=True)
class Installation:
    """A stack, its front, the demo authorization server, and a caller with each of the stack's managed policies."""

    deployed: Deployed
    demo: DemoServer
    secret_prefix: str
    tokens: Caller
    manager: Caller

    @classmethod
    def of(cls, deployed: Deployed, front: Front, demo: DemoServer, secret_prefix: str) -> Installation:
        """Let the front lead to the stack, and make the callers."""
        host = front.lead_to(deployed.outputs["ApiId"])
        return cls(
            deployed,
            demo,
            secret_prefix,
            Caller.made(deployed, "UseTokensPolicyArn", host),
            Caller.made(deployed, "ManageConnectionsPolicyArn", host),
        )

    def leave(self) -> None:
        """Take the callers away."""
        self.tokens.leave()
        self.manager.leave()

    def register(self, provider: str, registration: Mapping[str, Any]) -> None:
        """Put a provider's registration where the functions look for it."""
        secrets = self.deployed.account.client("secretsmanager")
        secrets.create_secret(Name=f"{self.secret_prefix}{provider}", SecretString=json.dumps(registration))

    def forget(self, providers: Sequence[str]) -> None:
        """Delete registrations at once."""
        secrets = self.deployed.account.client("secretsmanager")
        for provider in providers:
            secrets.delete_secret(SecretId=f"{self.secret_prefix}{provider}", ForceDeleteWithoutRecovery=True)

    def connect(self, connection_id: str, provider: str = "demo", **fields: Any) -> str:
        """Have a customer consent, and return the text of the page on which they end."""
        started = self.manager.invoke("start", {"provider": provider, "connection_id": connection_id, **fields})
        expect("authorize_url" in started, f"start gave no link: {started}")
        page = Browser().visit(started["authorize_url"])
        return page.headers.get("Location", page.text)

    def connected(self, connection_id: str, provider: str = "demo", **fields: Any) -> None:
        """Have a customer consent. Raises ``Wrong`` unless they read that they are connected."""
        page = self.connect(connection_id, provider, **fields)
        expect(
            ">Your account is connected<" in page,
            f"The customer of {connection_id} is not shown as connected: {heading(page)}",
        )

    def connection(self, connection_id: str) -> dict[str, Any]:
        """Return what `connections` answers about one, be it that there is none."""
        answer = self.manager.invoke("connections", {"connection_id": connection_id})
        found: dict[str, Any] = answer.get("connection", answer)
        return found

    def token(self, connection_id: str) -> dict[str, Any]:
        """Return what `token` answers."""
        return self.tokens.invoke("token", {"connection_id": connection_id})

    def refresh(self, connection_id: str, **fields: Any) -> dict[str, Any]:
        """Return what `refresh` answers, once the token set is not one of a moment ago, which it returns as it is."""
        young_until = self.connection(connection_id)["refreshed_at"] + JUST_OBTAINED
        time.sleep(max(0.0, young_until + 1 - time.time()))
        return self.tokens.invoke("refresh", {"connection_id": connection_id, **fields})

    @contextmanager
    def denying(self, role: str, action: str, resource: str = "*", purpose: str = "") -> Iterator[None]:
        """Deny an action to the role with this logical id, and allow it again afterwards.

        With ``purpose``, deny it where that is the purpose in KMS's encryption context.
        """
        iam = self.deployed.account.client("iam")
        name = self.deployed.physical(role)
        statement: dict[str, Any] = {"Effect": "Deny", "Action": action, "Resource": resource}
        if purpose:
            statement["Condition"] = {"StringEquals": {"kms:EncryptionContext:purpose": purpose}}
        document = {"Version": "2012-10-17", "Statement": [statement]}
        iam.put_role_policy(RoleName=name, PolicyName="deploy-check", PolicyDocument=json.dumps(document))
        try:
            yield
        finally:
            iam.delete_role_policy(RoleName=name, PolicyName="deploy-check")


@contextmanager
def administrator(deployed: Deployed) -> Iterator[Account]:
    """Give the account as somebody sees it to whom IAM allows everything, and take that user away again."""
    root, name = deployed.account, "deploy-check-administrator"
    iam = root.client("iam")
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam.create_user(UserName=name)
    iam.put_user_policy(
        UserName=name,
        PolicyName="everything",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [everything]}),
    )
    key = iam.create_access_key(UserName=name)["AccessKey"]
    try:
        yield Account(root.endpoint, root.certificate, key["AccessKeyId"], key["SecretAccessKey"])
    finally:
        iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        iam.delete_user_policy(UserName=name, PolicyName="everything")
        iam.delete_user(UserName=name)


def heading(page: str) -> str:
    """Return a page's heading; its beginning where it has none."""
    return page.partition("<h1>")[2].partition("</h1>")[0] or page[:200]


def waited(holds: Callable[[], object], within: float, wrong: str) -> float:
    """Return after how many seconds it held. Raises ``Wrong`` where it does not, in so many seconds."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > within:
            raise Wrong(f"{wrong} (waited {within:.0f} s)")
        time.sleep(0.5)
    return time.monotonic() - began
