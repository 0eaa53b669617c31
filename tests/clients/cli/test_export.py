"""`gatehouse export`: grants in a file that only the holder of a private key opens."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jwcrypto.jwe import JWE  # type: ignore[import-untyped]  # it has no types
from jwcrypto.jwk import JWK  # type: ignore[import-untyped]  # as above

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from local.stack import Stack
    from tests.browser import Browser
    from tests.clients.cli.conftest import Gatehouse


def test_grants_are_handed_out_to_a_key(gatehouse: Gatehouse, browser: Browser, stack: Stack, tmp_path: Path) -> None:
    """The file opens with the private key, and nobody else may read it. Neither that key nor an old file is touched."""
    # given
    connection_id = browser.connect(connection_id="cli-export", owner="cli-export")
    key = ec.generate_private_key(ec.SECP256R1())
    private, public, file = tmp_path / "key.pem", tmp_path / "key.pub.pem", tmp_path / "grants.jwe"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    by = ("export", str(file), "--owner", "cli-export")
    stack.aws_calls.clear()

    # when
    unasked = gatehouse(*by, "--key", str(public))
    with_private = gatehouse(*by, "--key", str(private), "--yes")
    left_nothing, called = not file.exists(), list(stack.aws_calls)
    exported = gatehouse(*by, "--key", str(public), "--yes", "--json")
    again = gatehouse(*by, "--key", str(public), "--yes")

    # then
    assert (unasked.code, with_private.code, left_nothing, called) == (2, 2, True, [])
    assert "It was not sent anywhere." in with_private.err
    assert (exported.code, exported.json["exported"], exported.json["left_out"]) == (0, 1, [])
    assert (again.code, file.stat().st_mode & 0o777) == (2, 0o600)
    sealed = JWE(algs=["ECDH-ES", "A256GCM"])
    sealed.deserialize(file.read_text("ascii").strip(), JWK.from_pem(private.read_bytes()))
    (grant,) = json.loads(sealed.payload)["connections"]
    assert (grant["connection_id"], grant["owner"]) == (connection_id, "cli-export")
    assert grant["refresh_token"] not in exported.out + exported.err


def test_grants_that_are_left_behind_alive_are_said(
    gatehouse: Gatehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come first, and the exit code says it: whoever deletes the stack afterwards would lose them."""
    # given
    left_out = [{"connection_id": "old", "reason": "revoked"}, {"connection_id": "busy", "reason": "unsettled"}]
    answer = {"exported": 1, "left_out": left_out, "token_sets_left": {"current": 1}, "key": "k", "jwe": "x"}
    gone = {"exported": 0, "left_out": left_out[:1], "token_sets_left": {"revoking": 2}, "key": "k"}
    public = tmp_path / "key.pub.pem"
    public.write_text("a public key", "utf-8")
    by = ("--key", str(public), "--yes")

    def hands_out(*answers: dict[str, Any]) -> None:
        monkeypatch.setattr("gatehouse.cli.account.Account.pass_of", lambda *_: iter(answers))

    # when
    hands_out(answer, gone)
    in_words, in_json = (
        gatehouse("export", str(tmp_path / "1"), *by),
        gatehouse("export", str(tmp_path / "2"), *by, "--json"),
    )
    hands_out(gone)
    without = gatehouse("export", str(tmp_path / "3"), *by)

    # then
    assert (in_words.code, in_json.code, without.code) == (1, 1, 0)
    assert in_words.out.splitlines()[1] == "  left out: busy  unsettled  and may be alive"
    assert [each["connection_id"] for each in in_json.json["left_out"]] == ["busy", "old", "old"]
    assert in_json.json["token_sets_left"] == {"current": 1, "revoking": 2}
