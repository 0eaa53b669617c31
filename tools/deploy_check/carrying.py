"""A grant is handed out to a public key, and taken in under another id: each by a caller who may do that alone."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jwcrypto.jwe import JWE  # type: ignore[import-untyped]  # it has no types
from jwcrypto.jwk import JWK  # type: ignore[import-untyped]  # as above

from tools.deploy_check.callers import Caller, logical_id_of
from tools.deploy_check.report import expect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.deploy_check.installation import Installation
    from tools.deploy_check.report import Report

_OWNER = "carried"


def carried(report: Report, installation: Installation) -> None:
    """Export the grants of one owner, open them, and import one: a refresh proves it, and it is vended."""
    key = JWK.generate(kty="EC", crv="P-256")
    request = {"public_key": key.export_to_pem().decode(), "owner": _OWNER}
    with report.step("export to a public key, for who has that right alone") as seen:
        installation.connected("shop-carried", owner=_OWNER)
        _expect_denied(installation, "export", request)
        with _only(installation, "export") as caller:
            answer = caller.invoke("export", request)
        expect(answer.get("exported") == 1, f"One grant was expected: {answer}")
        grant = _opened(answer["jwe"], key)
        expect(grant["connection_id"] == "shop-carried", f"It is another's: {grant['connection_id']}")
        seen.append("denied to both managed policies; 1 grant, which the private key opens")
    with report.step("import_connection takes it in under another id, for who has that right alone") as seen:
        # The access token is left out, so that what is vended afterwards came of the refresh that proves the grant.
        taken = {name: value for name, value in grant.items() if name not in {"access_token", "expires_at"}}
        taken |= {"connection_id": "shop-taken", "owner": "taker"}
        _expect_denied(installation, "import_connection", taken)
        with _only(installation, "import_connection") as caller:
            answer = caller.invoke("import_connection", taken)
        expect(answer.get("status") == "active", f"active was expected: {answer}")
        vended = installation.token("shop-taken")
        expect("access_token" in vended, f"token should vend it: {vended}")
        found = installation.connection("shop-taken")
        expect(found.get("owner") == "taker", f"It should be the new owner's: {found}")
        seen.append(f"denied to both managed policies; {answer['status']}, version {answer['version']}, and vended")


def _expect_denied(installation: Installation, function: str, request: dict[str, Any]) -> None:
    for caller in (installation.tokens, installation.manager):
        expect(caller.is_denied(function, request), f"{caller.name} may invoke {function}.")


@contextmanager
def _only(installation: Installation, function: str) -> Iterator[Caller]:
    """Give a caller who may invoke one function, and nothing else."""
    deployed = installation.deployed
    arn = deployed.outputs[f"{logical_id_of(function)}Arn"]
    statement = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": [arn, f"{arn}:live"]}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    caller = Caller.with_policy(deployed, document, installation.tokens.api_host)
    try:
        yield caller
    finally:
        caller.leave()


def _opened(sealed: str, key: JWK) -> dict[str, Any]:
    """Return the one grant of an export."""
    jwe = JWE(algs=["ECDH-ES", "A256GCM"])
    jwe.deserialize(sealed, key)
    (grant,) = json.loads(jwe.payload)["connections"]
    return dict(grant)
