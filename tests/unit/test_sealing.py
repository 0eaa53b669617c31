"""The sealed form: it never changes, and it opens only with its key, in its place and unaltered."""

import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from functions.vault.grant.seal import PENDING, Whose
from functions.vault.storage.sealing import SealBroken, context_of, seal, unseal, whole_context_of, wrapped_key_of

PLAINTEXT = b'{"access_token":"AT-1","refresh_token":"RT-1"}'
CONTEXT = context_of("merchant-1", "acme", 7)
KEY = bytes(range(32))
WRAPPED = b"wrapped"

# Sealed with KEY, and with the octets 00 01 02 ... as random ones. This is version 1 of the format, and never changes.
VECTOR = bytes.fromhex(
    """
    01 0007 77726170706564
    000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
    1fc7bda17de58fb348580df49da0e897e6d7cbf80dbbeeac68ffca738ab38902
    000102030405060708090a0b
    10e014eaafe0944df9fc44536b0441948598377064df8e00524123a5000f0152b8bac181f7c7448bac725371b337a417a2a674210e634c89
    00e2cb1fd381
    """
)

WHOSE = Whose(
    "acme",
    "client-1",
    {"shop": "ü"},
    "https://acme.example",
    {"token": "https://acme.example", "revocation": "https://acme.example"},
)
WHOLE = whole_context_of(CONTEXT, "set-1", WHOSE, "key-1")

OTHERS = (
    replace(WHOSE, provider="other"),
    replace(WHOSE, client_id="client-2"),
    replace(WHOSE, client_id=None),
    replace(WHOSE, parameters={}),
    replace(WHOSE, parameters={"shop": "1"}),
    replace(WHOSE, issuer=None),
    replace(WHOSE, origins={"token": "https://acme.example"}),
    replace(WHOSE, origins={"token": "https://evil.example", "revocation": "https://acme.example"}),
)

# The same for format 2.
VECTOR_2 = bytes.fromhex(
    """
    02 0007 77726170706564
    000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
    0bf50adbbc2b45a862171b2799421061af2f6b1335d4258db873fb3885b8d51b
    000102030405060708090a0b
    b772942e165309d1c9906e6f2004cd65d51cf41d6cee8ac0901629ee81ac5885fb1850cdd5a1f5820fe422102f3c245765e0eba52b38c0f9
    9e11280587a7
    """
)
VECTORS = {VECTOR: CONTEXT, VECTOR_2: WHOLE}


def counting(length: int) -> bytes:
    """Return the octets 00 01 02 ..., in place of random ones."""
    return bytes(range(length))


def test_the_format_does_not_change() -> None:
    """Every later version has to open what this version stores. A change is a new format, not a new vector."""
    assert seal(PLAINTEXT, WHOLE, KEY, WRAPPED, random=counting) == VECTOR_2
    assert unseal(VECTOR_2, WHOLE, KEY) == PLAINTEXT
    assert wrapped_key_of(VECTOR_2) == WRAPPED


def test_the_earlier_format_still_opens() -> None:
    """Although nothing is sealed in it any more."""
    assert seal(PLAINTEXT, CONTEXT, KEY, WRAPPED, made_as=1, random=counting) == VECTOR
    assert unseal(VECTOR, CONTEXT, KEY) == PLAINTEXT
    assert wrapped_key_of(VECTOR) == WRAPPED


def test_the_vector_matches_the_description_of_the_format() -> None:
    """Computed here from the description alone: HKDF-SHA-512, AES-256-GCM, header and context as associated data."""
    salt, nonce = counting(32), counting(12)
    derived = HKDF(SHA512(), 64, salt=salt, info=b"gatehouse sealed token set v1").derive(KEY)
    header = b"\x01\x00\x07wrapped" + salt + derived[32:] + nonce
    context = b'{"connection_id":"merchant-1","provider":"acme","purpose":"gatehouse/tokens","version":"7"}'

    assert header + AESGCM(derived[:32]).encrypt(nonce, PLAINTEXT, header + context) == VECTOR


def test_the_vector_of_format_2_matches_the_description() -> None:
    """The same, with the key and the owner in its context."""
    salt, nonce = counting(32), counting(12)
    derived = HKDF(SHA512(), 64, salt=salt, info=b"gatehouse sealed token set v2").derive(KEY)
    header = b"\x02\x00\x07wrapped" + salt + derived[32:] + nonce
    context = (
        b'{"connection_id":"merchant-1","key":"key-1","provider":"acme","purpose":"gatehouse/tokens","set":"set-1",'
        b'"version":"7","whose":{"client_id":"client-1","issuer":"https://acme.example","origins":{"revocation":'
        b'"https://acme.example","token":"https://acme.example"},"parameters":{"shop":"\\u00fc"},"provider":"acme"}}'
    )

    assert header + AESGCM(derived[:32]).encrypt(nonce, PLAINTEXT, header + context) == VECTOR_2


@pytest.mark.parametrize("position", range(len(VECTOR)))
def test_a_changed_octet_does_not_open(position: int) -> None:
    """Every octet, with each bit changed and with all of them, in both formats."""
    for flip in (*(1 << bit for bit in range(8)), 0xFF):
        for vector, context in VECTORS.items():
            changed = bytearray(vector)
            changed[position] ^= flip
            for tried in (CONTEXT, WHOLE, context):
                with pytest.raises(SealBroken):
                    unseal(bytes(changed), tried, KEY)


@pytest.mark.parametrize("length", range(len(VECTOR)))
def test_a_truncated_text_does_not_open(length: int) -> None:
    """Cut at the front or at the end, down to nothing."""
    with pytest.raises(SealBroken):
        unseal(VECTOR[:length], CONTEXT, KEY)
    with pytest.raises(SealBroken):
        unseal(VECTOR[len(VECTOR) - length :], CONTEXT, KEY)


@pytest.mark.parametrize("more", [b"\x00", b"x", VECTOR])
def test_an_extended_text_does_not_open(more: bytes) -> None:
    """Not even if it is extended by another sealed text."""
    for changed in (VECTOR + more, more + VECTOR[1:], VECTOR[:70] + more + VECTOR[70:]):
        with pytest.raises(SealBroken):
            unseal(changed, CONTEXT, KEY)


@pytest.mark.parametrize(
    "context",
    [
        context_of("merchant-2", "acme", 7),
        context_of("merchant-1", "acme2", 7),
        context_of("merchant-1", "acme", 8),
        context_of("merchant-1", "acme", 77),
        context_of("merchant-1acme", "", 7),
        context_of("acme", "merchant-1", 7),
        context_of('merchant-1","provider":"acme', "acme", 7),
        {},
        dict(CONTEXT) | {"purpose": "other"},
        dict(CONTEXT) | {"more": ""},
    ],
)
def test_a_ciphertext_opens_only_where_it_belongs(context: dict[str, str]) -> None:
    """Copied to another connection, provider or version, it does not open."""
    with pytest.raises(SealBroken):
        unseal(VECTOR, context, KEY)


@pytest.mark.parametrize(
    "context",
    [
        CONTEXT,
        whole_context_of(context_of("merchant-2", "acme", 7), "set-1", WHOSE, "key-1"),
        whole_context_of(context_of("merchant-1", "acme", 8), "set-1", WHOSE, "key-1"),
        whole_context_of(context_of("merchant-1", "acme", 7, PENDING), "set-1", WHOSE, "key-1"),
        whole_context_of(CONTEXT, "set-2", WHOSE, "key-1"),
        whole_context_of(CONTEXT, "set-1", WHOSE, "key-2"),
        *(whole_context_of(CONTEXT, "set-1", other, "key-1") for other in OTHERS),
    ],
)
def test_a_ciphertext_of_format_2_opens_only_for_its_own_set(context: dict[str, Any]) -> None:
    """Moved to another set, owner or server, or out of the pending tokens, it does not open."""
    with pytest.raises(SealBroken):
        unseal(VECTOR_2, context, KEY)


@pytest.mark.parametrize("key", [bytes(32), bytes(range(1, 33)), KEY[:31], KEY + b"\x00", KEY[::-1]])
def test_no_other_key_opens(key: bytes) -> None:
    """The commitment shows it before anything is decrypted."""
    with pytest.raises(SealBroken, match="not the one that this was sealed with"):
        unseal(VECTOR, CONTEXT, key)


def test_each_seal_is_different() -> None:
    """The same tokens sealed twice have nothing in common but the wrapped key."""
    first, second = (seal(PLAINTEXT, CONTEXT, KEY, WRAPPED) for _ in range(2))

    assert first[10:42] != second[10:42]
    assert first[42:74] != second[42:74]
    assert first[74:86] != second[74:86]
    assert unseal(first, CONTEXT, KEY) == unseal(second, CONTEXT, KEY) == PLAINTEXT


@pytest.mark.parametrize("plaintext", [b"", b"x", b"x" * 300_000])
@pytest.mark.parametrize("wrapped", [b"", b"w" * 65_535])
def test_tokens_of_any_length_are_sealed(plaintext: bytes, wrapped: bytes) -> None:
    """From none to more than any server issues, with any wrapped key."""
    sealed = seal(plaintext, CONTEXT, KEY, wrapped)

    assert unseal(sealed, CONTEXT, KEY) == plaintext
    assert wrapped_key_of(sealed) == wrapped


def test_a_broken_seal_names_no_secret() -> None:
    """The text of the exception is fixed."""
    with pytest.raises(SealBroken) as caught:
        unseal(VECTOR, context_of("merchant-2", "acme", 7), KEY)

    assert "merchant" not in str(caught.value)
    assert caught.value.__cause__ is None


# AES-GCM is not key-committing: with two keys, one can make a ciphertext that each of them opens to another text.


def _times(left: int, right: int) -> int:
    """Multiply in GCM's field (NIST SP 800-38D section 6.3); the first bit of a block is its highest."""
    product = 0
    for bit in range(127, -1, -1):
        if left >> bit & 1:
            product ^= right
        right = right >> 1 ^ (0xE1 << 120 if right & 1 else 0)
    return product


def _inverse(value: int) -> int:
    """Return value ** (2 ** 128 - 2), by Fermat."""
    result, power = 1 << 127, value
    for _ in range(127):
        power = _times(power, power)
        result = _times(result, power)
    return result


def _block(key: bytes, block: bytes) -> int:
    encryptor = Cipher(algorithms.AES256(key), modes.ECB()).encryptor()  # noqa: S305 - the block cipher inside GCM
    return int.from_bytes(encryptor.update(block), "big")


def _for_both(keys: tuple[bytes, bytes], nonce: bytes, associated: bytes) -> bytes:
    """Return two blocks of ciphertext and a tag that are valid AES-GCM under both keys (Dodis and others, 2018)."""
    lengths = (len(associated) * 8 << 64) | 256
    padded = associated + bytes(-len(associated) % 16)
    blocks = [int.from_bytes(padded[at : at + 16], "big") for at in range(0, len(padded), 16)]

    def equation(key: bytes) -> tuple[int, int, int]:
        """Return tag = constant + a * first block + b * second block under `key`."""
        subkey = _block(key, bytes(16))
        hashed = 0
        for block in blocks:
            hashed = _times(hashed ^ block, subkey)
        squared = _times(subkey, subkey)
        cubed = _times(squared, subkey)
        constant = _times(hashed, cubed) ^ _times(lengths, subkey) ^ _block(key, nonce + b"\x00\x00\x00\x01")
        return constant, cubed, squared

    (c1, a1, b1), (c2, a2, b2) = (equation(key) for key in keys)
    first = 0
    second = _times(c1 ^ c2 ^ _times(a1 ^ a2, first), _inverse(b1 ^ b2))
    tag = c1 ^ _times(a1, first) ^ _times(b1, second)
    return b"".join(part.to_bytes(16, "big") for part in (first, second, tag))


def _derived(data_key: bytes) -> tuple[bytes, bytes]:
    derived = HKDF(SHA512(), 64, salt=counting(32), info=b"gatehouse sealed token set v1").derive(data_key)
    return derived[:32], derived[32:]


def test_a_ciphertext_made_for_two_keys_opens_with_one() -> None:
    """Without the commitment, both keys open it: AES-GCM alone does not prevent that."""
    other = bytes(range(32, 64))
    (key, commitment), (other_key, other_commitment) = _derived(KEY), _derived(other)
    for chosen, opens, refuses in ((commitment, KEY, other), (other_commitment, other, KEY)):
        header = b"\x01\x00\x07wrapped" + counting(32) + chosen + counting(12)
        associated = header + json.dumps(CONTEXT, sort_keys=True, separators=(",", ":")).encode()
        both = _for_both((key, other_key), counting(12), associated)

        texts = {AESGCM(each).decrypt(counting(12), both, associated) for each in (key, other_key)}
        assert len(texts) == 2, "this is the ciphertext that the test is about: plain AES-GCM opens it with either key"

        assert unseal(header + both, CONTEXT, opens) in texts
        with pytest.raises(SealBroken):
            unseal(header + both, CONTEXT, refuses)


def test_a_forged_commitment_does_not_help() -> None:
    """Replacing the commitment changes the associated data."""
    other = bytes(range(32, 64))
    forged = VECTOR[:42] + _derived(other)[1] + VECTOR[74:]

    for data_key in (KEY, other):
        with pytest.raises(SealBroken):
            unseal(forged, CONTEXT, data_key)
