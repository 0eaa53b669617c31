"""The example under examples/other-cloud gets a token with an OIDC token of its own, and no key of AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.documents import run
from tests.requirements import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from local.stack import Stack
    from tests.browser import Browser

APP = (ROOT / "examples" / "other-cloud" / "app.py").read_text(encoding="utf-8")
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")


def test_a_program_elsewhere_gets_a_token_with_its_own_identity(
    stack: Stack, browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It exchanges its OIDC token for a role's credentials, and calls the path of its owner; others' are not found."""
    # given a container with a file, and without keys
    connection_id = browser.connect(connection_id="elsewhere-1", owner="acme")
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    identity = tmp_path / "token"
    identity.write_text("an OIDC token", encoding="utf-8")
    environment = {
        "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/elsewhere",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(identity),
        "AWS_ENDPOINT_URL_STS": stack.aws_endpoint,
        "GATEHOUSE_API_URL": stack.base_url,
    }
    program = APP.replace("sys.argv[1]", repr(connection_id))
    asked = len(stack.aws_calls)

    # when it asks as its owner, and as another
    printed = run(program, **environment, GATEHOUSE_OWNER="acme")
    with pytest.raises(AssertionError, match="ConnectionNotFound"):
        run(program, **environment, GATEHOUSE_OWNER="other")

    # then
    assert printed == "calls the API with a token of version 1"
    assert ("sts", "AssumeRoleWithWebIdentity") in stack.aws_calls[asked:]
