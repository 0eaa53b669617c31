"""The whole life of a connection, each call by whoever makes it in production, with no more rights than there."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import requests
from botocore.exceptions import ClientError

from local.demo.faults import Faults
from tools.build import ROOT
from tools.deploy_check.browser import Browser
from tools.deploy_check.callers import Caller
from tools.deploy_check.documents import policy
from tools.deploy_check.installation import administrator, heading, waited
from tools.deploy_check.report import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.demo import DemoServer
    from tools.deploy_check.installation import Installation
    from tools.deploy_check.project import Project
    from tools.deploy_check.report import Report

_FORBIDDEN = 403
_OK = 200
_NOT_FOUND = 404
_WORKED_OFF_WITHIN = 45
SHORT_LIFE = 8
"""Seconds that an access token lives where its background refresh is to be due soon."""
_PROVIDERS = ("ultracart", "demo", "demo-fresh")


def providers(installation: Installation) -> None:
    """Register the demo server as two more providers: as it is, and with tokens that are kept fresh."""
    standard = installation.demo.standard_registration("standard")
    installation.register("demo", standard)
    installation.register("demo-fresh", {**standard, "background_refresh": "keep_fresh"})


def iam_is_on(report: Report, installation: Installation) -> None:
    """Show that what the managed policies do not allow is denied, by Invoke and over HTTP."""
    with report.step("IAM denies what a policy does not allow") as seen:
        tokens, manager = installation.tokens, installation.manager
        start, token = {"provider": "demo"}, {"connection_id": "shop-1"}
        expect(tokens.is_denied("start", start), "UseTokensPolicy lets its caller invoke start.")
        expect(manager.is_denied("token", token), "ManageConnectionsPolicy lets its caller invoke token.")
        seen.append("UseTokensPolicy cannot invoke start, ManageConnectionsPolicy cannot invoke token")
        answers = {
            "unsigned POST /v1/token": tokens.post("token", token, signed=False)[0],
            "UseTokensPolicy POST /v1/start": tokens.post("start", start)[0],
        }
        expect(set(answers.values()) == {_FORBIDDEN}, f"The HTTP API should answer 403 to all of these: {answers}")
        seen.append("403 to " + " and ".join(answers))


def first_merchant(report: Report, project: Project, installation: Installation) -> None:
    """Register a provider and connect a merchant by the commands of README's steps 3 and 4."""
    with report.step("README's commands register the provider and start a connection") as seen:
        # What README has a person write into it, and where the demo server stands in UltraCart's place.
        registration = installation.demo.registrations["ultracart"]
        (project.folder / "ultracart.local.json").write_text(json.dumps(registration), encoding="utf-8")
        project.documented("README.md", "Deploy it", "create-secret")
        printed = project.documented("README.md", "Deploy it", "gatehouse-start").output
        started = json.JSONDecoder().raw_decode(printed[printed.index("{") :])[0]
        expect("authorize_url" in started, f"README's command printed no link: {printed}")
        seen.append(f"a link for {started['connection_id']}")
    with report.step("authorize, consent and callback, in a browser") as seen:
        page = Browser().visit(started["authorize_url"])
        expect(
            ">Your account is connected<" in page.text,
            f"The page should say that the account is connected, and says: {heading(page.text)}",
        )
        seen.append("the page says that the account is connected")


def tokens(report: Report, installation: Installation) -> None:
    """Vend a token by Invoke and over HTTP, refresh it, and list the connection."""
    with report.step("token, by Invoke and over HTTP with SigV4") as seen:
        vended = installation.token("shop-1")
        expect("access_token" in vended, f"token should answer with an access token: {vended}")
        merchant = _merchant(installation.demo, vended["access_token"])
        status, over_http = installation.tokens.post("token", {"connection_id": "shop-1"})
        expect((status, over_http) == (_OK, vended), f"HTTP should answer as Invoke does: {status} {over_http}")
        seen.append(f"the authorization server takes it for merchant {merchant}; version {vended['version']} by both")
    with report.step("refresh of the rejected version") as seen:
        refreshed = installation.refresh("shop-1", if_version=vended["version"])
        expect(refreshed.get("version") == vended["version"] + 1, f"A version more was expected: {refreshed}")
        seen.append(f"version {refreshed['version']}")
    with report.step("connections") as seen:
        found = installation.connection("shop-1")
        expect(found.get("status") == "active", f"An active connection was expected: {found}")
        expect(refreshed["access_token"] not in json.dumps(found), "connections shows a token.")
        seen.append(f"{found['status']}, version {found['version']}, no token in it")


def narrowed(report: Report, installation: Installation) -> None:
    """Give a caller the policy for one owner, as docs/permissions.md has it, and see what it opens."""
    with report.step("the policy for one owner opens that owner's connections, and nothing else") as seen:
        document = policy(ROOT / "docs" / "permissions.md", "One owner")
        caller = Caller.with_policy(installation.deployed, document, installation.tokens.api_host)
        installation.connected("shop-acme", owner="acme")
        own, others = {"connection_id": "shop-acme"}, {"connection_id": "shop-1"}
        try:
            vended = caller.post("owners/acme/token", own)
            answers = {
                "its own path, another's connection": caller.post("owners/acme/token", others)[0],
                "another owner's path": caller.post("owners/acme-2/token", own)[0],
                "a connection's path": caller.post("connections/shop-acme/token", {})[0],
                "/v1/token": caller.post("token", own)[0],
            }
            expect(caller.is_denied("token", own), "The policy lets its caller invoke token.")
        finally:
            caller.leave()
        expect(vended[0] == _OK and "access_token" in vended[1], f"It should open its own connection: {vended}")
        expected = dict.fromkeys(answers, _FORBIDDEN) | {"its own path, another's connection": _NOT_FOUND}
        expect(answers == expected, f"It should open nothing else: {answers}")
        seen.append("200 for its own; 404, 403, 403 and 403 for " + "; ".join(answers))


def roles(report: Report, installation: Installation) -> None:
    """Show that the functions' own roles are evaluated, and the conditions on the key, by denying them something."""
    with report.step("the roles of the functions are evaluated") as seen:
        with installation.denying("TokenRole", "dynamodb:GetItem"):
            refused = installation.tokens.invoke("token", {"connection_id": "shop-1"})
        expect("access_token" not in refused, "token gets by without dynamodb:GetItem: no role is evaluated.")
        expect("access_token" in installation.token("shop-1"), "token should work again.")
        seen.append("token without dynamodb:GetItem fails, with it answers")
    with report.step("conditions on the encryption context are evaluated") as seen:
        denied = ("CallbackRole", "kms:GenerateDataKey", installation.deployed.outputs["TokensKeyArn"])
        with installation.denying(*denied, purpose="another"):
            installation.connected("shop-context")
        with installation.denying(*denied, purpose="gatehouse/tokens"):
            page = installation.connect("shop-unsealed")
        expect(">Your account is connected<" not in page, "callback seals although its context is denied.")
        seen.append("denied for another purpose callback connects, denied for its own it does not")


def key(report: Report, installation: Installation) -> None:
    """Show that an administrator administers the key, and cannot use it."""
    with report.step("the key's policy denies an administrator its use") as seen:
        arn = installation.deployed.outputs["TokensKeyArn"]
        with administrator(installation.deployed) as account:
            kms = account.client("kms")
            denied = {
                "GenerateDataKey": _is_denied(lambda: kms.generate_data_key(KeyId=arn, KeySpec="AES_256")),
                "Encrypt": _is_denied(lambda: kms.encrypt(KeyId=arn, Plaintext=b"tokens")),
                "DescribeKey": _is_denied(lambda: kms.describe_key(KeyId=arn)),
            }
        expect(denied == {"GenerateDataKey": True, "Encrypt": True, "DescribeKey": False}, f"Denied: {denied}")
        seen.append("GenerateDataKey and Encrypt are denied, DescribeKey is not")


def _is_denied(call: Callable[[], object]) -> bool:
    try:
        call()
    except ClientError as error:
        expect(error.response["Error"]["Code"] == "AccessDeniedException", f"Not IAM's denial: {error}")
        return True
    return False


def background(report: Report, installation: Installation) -> None:
    """Let work become due, sweep, and see the queues worked off."""
    with report.step("a sweep queues a due refresh, and refresh works it off") as seen:
        installation.demo.put_faults(Faults(endpoint="token", lifetime_seconds=SHORT_LIFE))
        installation.connected("shop-fresh", "demo-fresh")
        installation.demo.reset()
        # As long as they are good, tokens of a moment ago are not refreshed.
        time.sleep(SHORT_LIFE)
        queued, seconds = swept_until(
            installation,
            lambda: installation.connection("shop-fresh")["version"] > 1,
            "The connection is not refreshed.",
        )
        seen.append(f"queued {queued}; version 2 after {seconds:.1f} s")
    with report.step("tokens that the table does not take go to the queue, and rescue stores them") as seen:
        with installation.denying("CallbackRole", "dynamodb:PutItem"):
            page = installation.connect("shop-rescued")
        expect("Check again" in page, f"The page should ask to check again, and says: {heading(page)}")
        seconds = waited(
            lambda: installation.connection("shop-rescued").get("status") == "active",
            _WORKED_OFF_WITHIN,
            "rescue has not stored what callback could not.",
        )
        seen.append(f"active {seconds:.1f} s after the table was closed to callback")


def revocation(report: Report, installation: Installation) -> None:
    """Revoke a connection at once, and another by the queue."""
    with report.step("revoke") as seen:
        answer = installation.manager.invoke("revoke", {"connection_id": "shop-1"})
        expect(answer.get("status") == "revoked", f"revoked was expected: {answer}")
        after = installation.token("shop-1")
        expect(after.get("error") == "connection_revoked", f"token should answer connection_revoked: {after}")
        seen.append("revoked; token answers connection_revoked")
    with report.step("a revocation that the server does not take at first") as seen:
        installation.demo.put_faults(Faults(endpoint="revoke", status=503))
        answer = installation.manager.invoke("revoke", {"connection_id": "shop-fresh"})
        installation.demo.reset()
        expect(answer.get("status") == "revoking", f"revoking was expected: {answer}")
        queued, seconds = swept_until(
            installation,
            lambda: installation.connection("shop-fresh")["status"] == "revoked",
            "The connection is not revoked.",
        )
        seen.append(f"revoking; queued {queued}; revoked after {seconds:.1f} s")


def swept_until(installation: Installation, is_done: Callable[[], bool], wrong: str) -> tuple[int, float]:
    """Sweep as the schedule does until work is done; return how much was queued, and how many seconds that took.

    Nothing is queued here if the schedule's own sweep comes first. Raises ``Wrong`` if the work is not done in time.
    """
    root = installation.deployed.account.client("lambda")
    name = installation.deployed.physical("SweepFunction")
    queued = 0

    def swept() -> bool:
        nonlocal queued
        if is_done():
            return True
        answer = json.load(root.invoke(FunctionName=name, Payload=b"{}")["Payload"])
        expect(answer.get("complete"), f"The sweep should be complete: {answer}")
        queued += int(answer["queued"])
        return False

    seconds = waited(swept, 2 * _WORKED_OFF_WITHIN, wrong)
    return queued, seconds


def _merchant(demo: DemoServer, access_token: str) -> str:
    headers = {"Authorization": f"Bearer {access_token}", "X-UltraCart-Api-Version": "2017-03-01"}
    answer = requests.get(f"{demo.url}/rest/v2/oauth/me", headers=headers, timeout=10)
    expect(answer.ok, f"The authorization server does not take the access token: {answer.status_code}")
    return str(answer.json()["merchant_id"])
