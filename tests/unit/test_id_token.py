"""ID tokens signed by real keys of every kind, and all the ways in which verification fails."""

import json
from base64 import urlsafe_b64encode
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from functions.vault.oauth.assertion import jose_signature
from functions.vault.oauth.authorization import LIFETIME
from functions.vault.oauth.id_token import Expected, KeyUnknown, NotVerified, verified_subject
from tests.unit.samples import NOW
from tools.jwk import jwk_of

ISSUER = "https://id.example"
US = Expected(ISSUER, "client-1", NOW)
CLAIMS = {"iss": ISSUER, "sub": "user-1", "aud": "client-1", "exp": NOW + 60, "iat": NOW - 5}
CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", *CURVES, "EdDSA", "Ed25519"]


@cache
def private_key(kind: str) -> Any:
    """Return a key for an algorithm, made once."""
    if kind in CURVES:
        return ec.generate_private_key(CURVES[kind])
    if kind.startswith("Ed"):
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, 1024 if kind == "short" else 2048)


def key_for(algorithm: str) -> Any:
    """Return the key that signs with an algorithm."""
    return private_key(algorithm if algorithm in CURVES else algorithm[:2].replace("PS", "RS"))


def public(algorithm: str, **members: Any) -> dict[str, Any]:
    """Return the public half of a key as a JWK."""
    key = key_for(algorithm).public_key()
    if algorithm.startswith("Ed"):
        raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return {"kty": "OKP", "crv": "Ed25519", "x": encoded(raw), "kid": "k-1", **members}
    return {**jwk_of(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)), "kid": "k-1", **members}


def encoded(octets: bytes) -> str:
    """Return base64url."""
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def signed(claims: Any = None, algorithm: str = "ES256", key: Any = None, **header: Any) -> str:
    """Return an ID token."""
    head = {"alg": algorithm, "kid": "k-1", **header}
    parts = [head, CLAIMS if claims is None else claims]
    body = ".".join(encoded(part if isinstance(part, bytes) else json.dumps(part).encode()) for part in parts)
    return f"{body}.{encoded(signature(body.encode(), algorithm, key or key_for(algorithm)))}"


def signature(octets: bytes, algorithm: str, key: Any) -> bytes:
    """Return the signature by a key."""
    if algorithm.startswith("Ed"):
        return bytes(key.sign(octets))
    digest = getattr(hashes, f"SHA{algorithm[2:]}")()
    if algorithm in CURVES:
        return jose_signature(key.sign(octets, ec.ECDSA(digest)), algorithm)
    pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
    return bytes(key.sign(octets, pss if algorithm.startswith("PS") else padding.PKCS1v15(), digest))


def why_not(token: Any, *keys: dict[str, Any], expected: Expected = US) -> str:
    """Return the reason why an ID token is not believed."""
    with pytest.raises(NotVerified) as caught:
        verified_subject(token, keys or [public("ES256")], expected)
    return str(caught.value)


def test_an_answer_without_an_id_token_says_which_scope_is_missing() -> None:
    """Servers issue one to whoever asks for openid (OpenID Connect Core section 3.1.2.1)."""
    assert why_not(None) == "the answer has none; add openid to the scopes that are requested"
    assert why_not("x" * 20_000).startswith("it is longer than ")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_the_issuer_has_signed_is_believed(algorithm: str) -> None:
    """By each kind of key, among other keys of the issuer."""
    others = [public("RS256", kid="k-0"), public("ES256", kid="k-2"), {"kty": "oct", "k": "AAAA", "kid": "k-1"}]

    assert verified_subject(signed(algorithm=algorithm), [*others, public(algorithm)], US) == "user-1"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_was_changed_is_not_believed(algorithm: str) -> None:
    """Other claims under the signature of the first, and a signature with one bit flipped."""
    head, _, mark = signed(algorithm=algorithm).split(".")
    others = encoded(json.dumps({**CLAIMS, "sub": "user-2"}).encode())
    turned = ("A" if mark[0] != "A" else "B") + mark[1:]

    assert why_not(f"{head}.{others}.{mark}", public(algorithm)) == "its signature is wrong"
    assert why_not(signed(algorithm=algorithm).rpartition(".")[0] + f".{turned}", public(algorithm)) == (
        "its signature is wrong"
    )


def test_a_key_need_not_be_named() -> None:
    """If the token names none, any key of the right kind may have signed it."""
    token = signed(kid=None)

    assert verified_subject(token, [public("ES256", kid="a"), public("ES256", kid="b")], US) == "user-1"


@pytest.mark.parametrize(
    "key",
    [
        public("ES256", kid="k-2"),
        public("RS256"),
        public("ES256", use="enc"),
        public("ES256", alg="ES384"),
        {"kid": "k-1"},
    ],
    ids=["another", "another kind", "for encryption", "for another algorithm", "nothing"],
)
def test_an_unknown_key_is_distinguished(key: dict[str, Any]) -> None:
    """The issuer may have changed its keys since they were read."""
    with pytest.raises(KeyUnknown):
        verified_subject(signed(), [key], US)


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS1", "", None, 7, ["ES256"], {"a": 1}, "es256"])
def test_only_signatures_of_private_keys_count(algorithm: Any) -> None:
    """Neither `none` nor a shared secret counts, and no public key is used as a secret."""
    head = encoded(json.dumps({"alg": algorithm, "kid": "k-1"}).encode())
    body = encoded(json.dumps(CLAIMS).encode())

    assert "signed in a way" in why_not(f"{head}.{body}.{encoded(b'x')}")
    assert why_not(f"{head}.{body}.") in {"it is not base64url", "it is signed in a way that is not verified here"}


def test_a_critical_header_is_refused() -> None:
    """RFC 7515 section 4.1.11."""
    assert "signed in a way" in why_not(signed(crit=["b64"]))


@pytest.mark.parametrize(
    "members",
    [
        {"x": "AAAA"},
        {"x": None},
        {"y": 7},
        {"crv": "P-384"},
        {"crv": ["P-256"]},
        {"x": "A" * 20_000},
        {"x": "*"},
    ],
)
def test_an_invalid_ec_key_verifies_nothing(members: dict[str, Any]) -> None:
    """And it raises nothing else."""
    assert why_not(signed(), public("ES256", **members)) == "its signature is wrong"


@pytest.mark.parametrize("members", [{"n": "AQAB"}, {"n": None}, {"e": "AQ"}, {"e": None}])
def test_an_invalid_rsa_key_verifies_nothing(members: dict[str, Any]) -> None:
    """The same for the other kind."""
    assert why_not(signed(algorithm="RS256"), public("RS256", **members)) == "its signature is wrong"


def test_an_rsa_key_that_is_too_short_verifies_nothing() -> None:
    """RFC 7518 section 3.3: 2048 bits."""
    key = private_key("short")
    numbers = key.public_key().public_numbers()
    jwk = {"kty": "RSA", "kid": "k-1", "e": "AQAB", "n": encoded(numbers.n.to_bytes(128, "big"))}

    assert why_not(signed(algorithm="RS256", key=key), jwk) == "its signature is wrong"


@pytest.mark.parametrize("members", [{"crv": "X25519"}, {"x": "AAAA"}, {"x": None}])
def test_an_invalid_ed25519_key_verifies_nothing(members: dict[str, Any]) -> None:
    """The same for the third."""
    assert why_not(signed(algorithm="EdDSA"), public("EdDSA", **members)) == "its signature is wrong"


@pytest.mark.parametrize(
    "token",
    [
        *(None, "", 7, [], {}, "a", "a.b", "a.b.c.d", "..", "*.*.*", "a.b.c", "A.A.A", "x" * 20_000, "\u00e9.a.b"),
        f"{encoded(b'[]')}.{encoded(b'{}')}.AAAA",
        f"{encoded(b'{}')}.{encoded(b'[]')}.AAAA",
        f"{encoded(b'{}')}.{encoded(b'{}')}.AAAA",
        f"{encoded(b'{' * 5000)}.{encoded(b'{}')}.AAAA",
        f"{encoded(b'[' * 9000)}.{encoded(b'{}')}.AAAA",
    ],
    ids=range(19),
)
def test_anything_but_a_signed_jwt_is_refused(token: Any) -> None:
    """Whatever it is instead."""
    assert why_not(token)


@pytest.mark.parametrize(
    "octets", [b'{"alg":"ES256","alg":"none"}', b'{"alg":"ES256","kid":"k-1","kid":"k-2"}', b"\xff", b'{"alg":NaN}']
)
def test_a_header_that_can_be_read_in_two_ways_is_refused(octets: bytes) -> None:
    """One reader would take the first, another the second."""
    assert why_not(f"{encoded(octets)}.{encoded(json.dumps(CLAIMS).encode())}.AAAA")


def test_claims_that_can_be_read_in_two_ways_are_refused() -> None:
    """Signed or not."""
    twice = json.dumps(CLAIMS)[:-1].encode() + b',"sub":"user-2"}'

    assert why_not(signed(twice)) == "it is not JSON"


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"iss": "https://evil.example"}, "another issuer"),
        ({"iss": f"{ISSUER}/"}, "another issuer"),
        ({"iss": None}, "another issuer"),
        ({"aud": "client-2"}, "another client"),
        ({"aud": ["client-2"]}, "another client"),
        ({"aud": ["client-1", "client-2"]}, "another client"),
        ({"aud": ["client-1", "client-2"], "azp": "client-2"}, "another client"),
        ({"azp": "client-2"}, "another client"),
        ({"aud": None}, "another client"),
        ({"aud": {"client-1": 1}}, "another client"),
        ({"aud": []}, "another client"),
        ({"exp": NOW - 120}, "expired: exp is 120 s before it was requested"),
        ({"exp": 0}, "expired"),
        ({"iat": NOW + 121}, "of the future: iat is 121 s from now, and 120 s are allowed"),
        ({"nbf": NOW + 121}, "of the future: nbf is 121 s from now, and 120 s are allowed"),
        ({"nbf": NOW + 30, "iat": NOW + 121}, "iat is"),
        (
            {"iat": NOW - 2521},
            "too old for this request: iat is 2521 s before it was requested, and 2400 s are allowed",
        ),
        ({"iat": 0}, "too old"),
        *(({"nbf": value}, "does not say when") for value in (None, "1", True, -1, 10**300)),
        *(({name: value}, "does not say when") for name in ("exp", "iat") for value in (None, "1", True, -1, 10**300)),
        ({"exp": float("inf")}, "does not say when"),
        ({"iat": float("nan")}, "does not say when"),
        ({"sub": None}, "no sub"),
        ({"sub": ""}, "no sub"),
        ({"sub": 7}, "no sub"),
        ({"sub": "x" * 256}, "no sub"),
        ({"sub": "a\nb"}, "no sub"),
        ({"sub": "\u00fc"}, "no sub"),
    ],
)
def test_an_id_token_that_is_not_ours_or_not_current_is_refused(claims: dict[str, Any], said: str) -> None:
    """OpenID Connect Core section 3.1.3.7, with a valid signature each time."""
    assert said in why_not(signed({**CLAIMS, **claims}))


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": ["client-1"]},
        {"aud": ["client-2", "client-1"], "azp": "client-1"},
        {"azp": "client-1"},
        {"exp": NOW - 119},
        {"iat": NOW + 120},
        {"iat": NOW - 2520},
        {"nbf": NOW + 120},
        {"nbf": 0},
        {"exp": NOW + 0.5, "nonce": "x", "extra": {"a": [1]}},
    ],
)
def test_an_id_token_that_is_ours_and_current_is_believed(claims: dict[str, Any]) -> None:
    """Up to the limits."""
    assert verified_subject(signed({**CLAIMS, **claims}), [public("ES256")], US) == "user-1"


@pytest.mark.parametrize(
    ("claims", "sent", "is_ours"),
    [
        ({"nonce": "n-1"}, "n-1", True),
        ({"nonce": "n-1"}, None, True),
        ({}, None, True),
        ({}, "n-1", False),
        ({"nonce": "n-2"}, "n-1", False),
        ({"nonce": None}, "n-1", False),
        ({"nonce": ["n-1"]}, "n-1", False),
    ],
)
def test_an_id_token_is_for_the_request_whose_nonce_it_has(
    claims: dict[str, Any], sent: str | None, *, is_ours: bool
) -> None:
    """OpenID Connect Core section 3.1.3.7: the nonce that was sent has to come back; if none was, any will do."""
    token = signed({**CLAIMS, **claims})
    expected = Expected(ISSUER, "client-1", NOW, nonce=sent)

    if is_ours:
        assert verified_subject(token, [public("ES256")], expected) == "user-1"
    else:
        assert "nonce" in why_not(token, expected=expected)


def test_without_an_issuer_nothing_is_believed() -> None:
    """There would be nothing to compare `iss` with."""
    assert "another issuer" in why_not(signed(), expected=Expected(None, "client-1", NOW))


def test_an_id_token_is_as_old_as_an_authorization_request_may_be() -> None:
    """Nothing that was issued before the request began can be about it, and a customer may take their time."""
    long_ago = {**CLAIMS, "iat": NOW - LIFETIME}

    assert verified_subject(signed(long_ago), [public("ES256")], US) == "user-1"
    assert "too old" in why_not(signed({**CLAIMS, "iat": NOW - LIFETIME - 121}))


def test_times_are_those_of_the_response_that_brought_the_id_token() -> None:
    """It was valid when it was requested. Neither a slow answer nor a key that comes out later makes it too old."""
    slow = Expected(ISSUER, "client-1", NOW, asked_at=NOW - 20)
    later = Expected(ISSUER, "client-1")

    assert verified_subject(signed({**CLAIMS, "exp": NOW - 130}), [public("ES256")], slow) == "user-1"
    assert verified_subject(signed({**CLAIMS, "exp": 1, "iat": 1, "nbf": 1}), [public("ES256")], later) == "user-1"
    assert "does not say when" in why_not(signed({**CLAIMS, "nbf": "soon"}), expected=later)


FAPI = replace(US, algorithms=("PS256", "ES256", "EdDSA"))
"""What FAPI 2.0 Security Profile section 5.4 allows."""


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_registration_may_allow_fewer_algorithms(algorithm: str) -> None:
    """What it does not name is refused whoever has signed it, before a key is looked for, and the message says both."""
    token = signed(algorithm=algorithm)

    if algorithm in {"PS256", "ES256", "EdDSA"}:
        assert verified_subject(token, [public(algorithm)], FAPI) == "user-1"
    else:
        said = f"it is signed by {algorithm}, and id_token_signed_response_alg expects PS256 or ES256 or EdDSA"
        assert why_not(token, public(algorithm), expected=FAPI) == said


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_no_registration_allows_what_is_not_a_signature(algorithm: str) -> None:
    """Even one that would name it."""
    head = encoded(json.dumps({"alg": algorithm}).encode())
    body = encoded(json.dumps(CLAIMS).encode())

    said = why_not(f"{head}.{body}.{encoded(b'x')}", expected=replace(US, algorithms=("none", "HS256")))

    assert said == f"it is signed in a way that is not verified here ({algorithm})"


@pytest.mark.parametrize("members", [{"key_ops": ["sign"]}, {"key_ops": []}, {"key_ops": "verify"}, {"use": "enc"}])
def test_a_key_for_something_else_signs_no_id_token(members: dict[str, Any]) -> None:
    """RFC 7517 sections 4.2 and 4.3."""
    with pytest.raises(KeyUnknown, match=r"no key of the issuer's \(ES256, kid k-1\)"):
        verified_subject(signed(), [public("ES256", **members)], FAPI)

    assert verified_subject(signed(), [public("ES256", key_ops=["verify"], use="sig")], FAPI) == "user-1"


@pytest.mark.parametrize(("algorithm", "other"), [("ES256", "ES384"), ("PS256", "RS256"), ("EdDSA", "ES256")])
def test_a_key_of_another_size_or_kind_verifies_nothing(algorithm: str, other: str) -> None:
    """A P-384 key has not signed by ES256, whatever the token says, and an RSA key may say which scheme it is for."""
    with pytest.raises(NotVerified):
        verified_subject(signed(algorithm=algorithm), [public(other, alg=other)], FAPI)


def test_what_nobody_has_verified_is_repeated_only_if_it_is_a_plain_word() -> None:
    """An operator reads which issuer it was, and no text that somebody else has made up."""
    assert "(https://other.example/a, expected https://id.example)" in why_not(
        signed({**CLAIMS, "iss": "https://other.example/a"})
    )
    for odd in ("<script>", "a\nb", "x" * 101, 7, ["x"], {"a": 1}):
        assert "(an unusual value, expected https://id.example)" in why_not(signed({**CLAIMS, "iss": odd}))
