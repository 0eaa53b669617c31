"""An application's own functions, as far as IAM goes: users with one of the stack's managed policies each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tools.deploy_check.account import Account
from tools.deploy_check.emulator import REGION
from tools.deploy_check.report import Wrong, expect

if TYPE_CHECKING:
    from tools.deploy_check.deployed import Deployed

_ANSWERED_WITHIN = 40


def logical_id_of(function: str) -> str:
    """Return what the template calls a function: `ImportConnectionFunction` is `import_connection`."""
    return f"{''.join(part.capitalize() for part in function.split('_'))}Function"


@dataclass(frozen=True)
class Caller:
    """Calls the functions of one stack with the rights of one policy."""

    name: str
    account: Account
    deployed: Deployed
    api_host: str

    @classmethod
    def made(cls, deployed: Deployed, policy_output: str, api_host: str) -> Caller:
        """Make the user with the policy that an output names. ``api_host`` is what the emulator calls the HTTP API."""
        made = cls._without_rights(deployed, policy_output.removesuffix("Arn"), api_host)
        iam = deployed.account.client("iam")
        iam.attach_user_policy(UserName=made.name, PolicyArn=deployed.outputs[policy_output])
        return made

    @classmethod
    def with_policy(cls, deployed: Deployed, document: str, api_host: str) -> Caller:
        """Make a user with a policy of a page, whose region, account and API are put in place of the page's."""
        made = cls._without_rights(deployed, "PolicyOfThePage", api_host)
        account = deployed.stack_id.split(":")[4]
        for written, own in (
            ("us-east-1", REGION),
            ("123456789012", account),
            ("a1b2c3d4e5", deployed.outputs["ApiId"]),
        ):
            document = document.replace(written, own)
        iam = deployed.account.client("iam")
        iam.put_user_policy(UserName=made.name, PolicyName="of-the-page", PolicyDocument=document)
        return made

    @classmethod
    def _without_rights(cls, deployed: Deployed, name: str, api_host: str) -> Caller:
        iam = deployed.account.client("iam")
        name = f"{deployed.stack_name}-{name}"
        iam.create_user(UserName=name)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        root = deployed.account
        account = Account(root.endpoint, root.certificate, key["AccessKeyId"], key["SecretAccessKey"])
        return cls(name, account, deployed, api_host)

    def leave(self) -> None:
        """Take the user away again: a policy that somebody has cannot be deleted with its stack."""
        iam = self.deployed.account.client("iam")
        for policy in iam.list_attached_user_policies(UserName=self.name)["AttachedPolicies"]:
            iam.detach_user_policy(UserName=self.name, PolicyArn=policy["PolicyArn"])
        for inline in iam.list_user_policies(UserName=self.name)["PolicyNames"]:
            iam.delete_user_policy(UserName=self.name, PolicyName=inline)
        iam.delete_access_key(UserName=self.name, AccessKeyId=self.account.key_id)
        iam.delete_user(UserName=self.name)

    def invoke(self, function: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Return a function's answer, of its alias where it has one. Raises ``Wrong`` where IAM denies it."""
        try:
            return self._invoked(function, payload)
        except ClientError as error:
            raise Wrong(f"{self.name} may not invoke {function}: {error}") from None

    def is_denied(self, function: str, payload: dict[str, Any]) -> bool:
        """Return whether IAM keeps this caller from invoking the function. Raises ``Wrong`` on any other failure."""
        try:
            self._invoked(function, payload)
        except ClientError as error:
            expect(error.response["Error"]["Code"] == "AccessDeniedException", f"Not IAM's denial: {error}")
            return True
        return False

    def post(self, function: str, payload: dict[str, Any], *, signed: bool = True) -> tuple[int, dict[str, Any]]:
        """Call a function over the HTTP API, as docs/calling.md does from other clouds; return status and document."""
        body = json.dumps(payload)
        request = AWSRequest(
            "POST",
            f"https://{self.api_host}/v1/{function}",
            headers={"Content-Type": "application/json", "Host": self.api_host},
            data=body,
        )
        if signed:
            credentials = Credentials(self.account.key_id, self.account.secret_key)
            SigV4Auth(credentials, "execute-api", REGION).add_auth(request)
        answer = self._pool.request(
            "POST", f"/v1/{function}", headers=dict(request.headers), body=body, timeout=_ANSWERED_WITHIN
        )
        return answer.status, json.loads(answer.data)

    def _invoked(self, function: str, payload: dict[str, Any]) -> dict[str, Any]:
        logical_id = logical_id_of(function)
        arn = self.deployed.outputs.get(f"{logical_id}Arn", "")
        qualified = {"Qualifier": "live"} if (logical_id, "live") in self._aliases else {}
        answer = self._lambda.invoke(
            FunctionName=arn or self.deployed.physical(logical_id), Payload=json.dumps(payload), **qualified
        )
        document: dict[str, Any] = json.load(answer["Payload"])
        return document

    @cached_property
    def _aliases(self) -> list[tuple[str, str]]:
        return self.deployed.aliases()

    @cached_property
    def _lambda(self) -> Any:
        return self.account.client("lambda")

    @cached_property
    def _pool(self) -> urllib3.HTTPSConnectionPool:
        # The emulator distinguishes its APIs by the header Host alone: names below localhost are not found everywhere.
        port = int(self.api_host.rpartition(":")[2])
        return urllib3.HTTPSConnectionPool("localhost", port, ca_certs=self.account.certificate)
