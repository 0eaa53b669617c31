"""Sealing with KMS: what is stored opens only for its own connection, provider and version."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from functions.vault.base.errors import TemporarilyUnavailable
from functions.vault.grant.connection import Connection
from functions.vault.grant.life import Place
from functions.vault.grant.seal import PENDING, Seal, Whose
from functions.vault.grant.seal import TOKENS as TOKENS_IN_USE
from functions.vault.grant.stored_set import Pending, StoredSet
from functions.vault.grant.token_set import TokenSet
from functions.vault.storage import sealing
from functions.vault.storage.aws import ClientOf
from functions.vault.storage.cipher import Cipher
from functions.vault.storage.opened import Opened
from functions.vault.storage.sealing import SealBroken, wrapped_key_of
from tests.unit.samples import NOW, TOKENS, WHOSE, connection, sealed_tokens, token_response, with_current
from tests.unit.services import Events, MemoryKms


class Kms:
    """A KMS in front of another that records its calls, and can fail."""

    def __init__(self, kms: Any) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.error: Exception | None = None
        self.refuses: dict[str, Exception] = {}
        self._kms = kms

    def __call__(self, service: str) -> "Kms":
        """Return the client of a service."""
        assert service == "kms"
        return self

    def generate_data_key(self, **arguments: Any) -> Any:
        """Pass the call on."""
        return self._pass("generate_data_key", arguments)

    def decrypt(self, **arguments: Any) -> Any:
        """Pass the call on."""
        return self._pass("decrypt", arguments)

    def _pass(self, operation: str, arguments: dict[str, Any]) -> Any:
        self.calls.append((operation, arguments))
        error = self.error or self.refuses.get(arguments["KeyId"])
        if error is not None:
            raise error
        return getattr(self._kms, operation)(**arguments)


@pytest.fixture
def kms() -> Kms:
    """Return a KMS that records its calls. It refuses what KMS refuses, with the same errors."""
    return Kms(MemoryKms(Events()))


@pytest.fixture
def key_id() -> str:
    """Return the name of a key."""
    return "key-1"


def test_the_emulated_kms_takes_the_same_calls(aws: ClientOf, new_key: Callable[[], str]) -> None:
    """It is the one that the local stack has, and boto3 checks what it is asked: names and types of parameters."""
    kms, key_id, other = Kms(aws("kms")), new_key(), new_key()
    made, foreign = stored(kms, key_id), stored(kms, other)

    assert Cipher(kms, key_id).tokens_of(made) == Cipher(kms, key_id, other).tokens_of(foreign) == TOKENS
    with pytest.raises(SealBroken, match="KMS does not open"):
        Cipher(kms, key_id).tokens_of(replace(made, connection_id="merchant-2"))


def stored(kms: Kms, key_id: str, tokens: TokenSet = TOKENS) -> Connection:
    """Return a connection whose tokens were sealed by another function."""
    sealer = Cipher(kms, key_id).prepare("merchant-1", 1, WHOSE)
    return connection(tokens=sealed_tokens(token_response(tokens=tokens), sealer))


def keeping(kms: Kms, key_id: str, clock: Callable[[], float] = lambda: NOW) -> Cipher:
    """Return the cipher of a function that keeps in memory what it opens."""
    made = Cipher(kms, key_id)
    made.keep(Opened(clock))
    return made


def current(of: Connection) -> StoredSet:
    """Return its current token set."""
    assert of.current is not None
    return of.current


def with_ciphertext(made: Connection, ciphertext: bytes) -> Connection:
    """Return a connection with another ciphertext."""
    return with_current(made, seal=replace(current(made).seal, ciphertext=ciphertext))


def failing(code: str, status: int = 400) -> ClientError:
    """Return an error of AWS."""
    answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "Decrypt")


def test_one_function_opens_what_another_has_sealed(kms: Kms, key_id: str) -> None:
    """With one data key and one decryption, under an encryption context that KMS checks and CloudTrail records."""
    context = {"purpose": "gatehouse/tokens", "connection_id": "merchant-1", "provider": "acme", "version": "1"}

    tokens = Cipher(kms, key_id).tokens_of(stored(kms, key_id))

    assert tokens == TOKENS
    (made, make), (opened, open_) = kms.calls
    assert (made, opened) == ("generate_data_key", "decrypt")
    assert make == {"KeyId": key_id, "KeySpec": "AES_256", "EncryptionContext": context}
    assert open_.pop("CiphertextBlob")
    assert open_ == {"KeyId": key_id, "EncryptionContext": context}


def test_the_stored_form_shows_no_token(kms: Kms, key_id: str) -> None:
    """Neither do the objects that hold it."""
    cipher = Cipher(kms, key_id)
    sealed = current(stored(kms, key_id, TokenSet("AT-secret", "RT-secret"))).seal.ciphertext

    assert b"secret" not in sealed
    assert "secret" not in repr(cipher) + repr(cipher.prepare("merchant-1", 1, WHOSE))


def test_a_ciphertext_opens_without_a_record(kms: Kms, key_id: str) -> None:
    """The rescue queue holds it in a document that has everything needed to open it."""
    made = stored(kms, key_id)

    assert Cipher(kms, key_id).open("merchant-1", current(made)) == TOKENS
    other = replace(current(made), seal=replace(current(made).seal, version=2))
    with pytest.raises(SealBroken):
        Cipher(kms, key_id).open("merchant-1", other)


def test_a_function_keeps_nothing_in_memory_by_default(kms: Kms, key_id: str) -> None:
    """Whoever takes over `callback` later finds no tokens there: neither those that it has sealed, nor opened ones."""
    cipher, made = Cipher(kms, key_id), stored(kms, key_id)
    sealer = cipher.prepare("merchant-1", 1, WHOSE)
    sealed = connection(tokens=sealed_tokens(token_response(), sealer))
    kms.calls.clear()

    assert [cipher.tokens_of(each) for each in (made, made, sealed)] == [TOKENS] * 3

    assert [operation for operation, _ in kms.calls] == ["decrypt"] * 3


def test_opened_tokens_stay_in_memory(kms: Kms, key_id: str) -> None:
    """A warm function that vends asks KMS once for each token set, and never for one that it has sealed itself."""
    warm, made = keeping(kms, key_id), stored(kms, key_id)
    sealed = connection(tokens=sealed_tokens(token_response(), warm.prepare("merchant-1", 1, WHOSE)))
    kms.calls.clear()

    assert [warm.tokens_of(each) for each in (made, made, made, sealed)] == [TOKENS] * 4

    assert [operation for operation, _ in kms.calls] == ["decrypt"]


@pytest.mark.parametrize("later", [3600, -1])
def test_opened_tokens_stay_for_an_hour(kms: Kms, key_id: str, later: int) -> None:
    """However often they are used. Then KMS is asked again, as it is if the clock has gone back."""
    now = [NOW]
    warm, made = keeping(kms, key_id, lambda: now[0]), stored(kms, key_id)
    warm.tokens_of(made)
    now[0] += max(later - 1, 0)
    kms.calls.clear()
    warm.tokens_of(made)
    assert kms.calls == []

    now[0] = NOW + later

    warm.tokens_of(made)
    assert [operation for operation, _ in kms.calls] == ["decrypt"]


def test_pending_tokens_are_never_kept(kms: Kms, key_id: str) -> None:
    """KMS decides each time who opens them."""
    warm = keeping(kms, key_id)
    sealer = warm.prepare("merchant-1", 1, WHOSE, purpose=PENDING)
    waiting = with_current(connection(tokens=sealed_tokens(sealed=sealer)), place=Place.PENDING)
    kms.calls.clear()

    for _ in range(2):
        warm.open("merchant-1", waiting.sets[0])

    assert [operation for operation, _ in kms.calls] == ["decrypt"] * 2


def test_tokens_in_memory_are_bound_to_their_context(kms: Kms, key_id: str) -> None:
    """A row with the ciphertext of another row does not open, even if that one was opened just before."""
    warm, made = keeping(kms, key_id), stored(kms, key_id)
    assert warm.tokens_of(made) == TOKENS

    for moved in (replace(made, connection_id="merchant-2"), replace(made, provider="b"), replace(made, version=2)):
        with pytest.raises(SealBroken):
            warm.tokens_of(moved)


@pytest.mark.parametrize(
    "moved", [{"connection_id": "merchant-2"}, {"provider": "acme2"}, {"version": 2}, {"version": 11}]
)
def test_a_ciphertext_opens_only_in_its_own_row(kms: Kms, key_id: str, moved: dict[str, Any]) -> None:
    """KMS refuses the data key under another encryption context."""
    made = stored(kms, key_id)
    seal, whose = current(made).seal, current(made).whose
    # Someone who moves a ciphertext can change the whole record to match.
    copied = with_current(
        replace(made, **moved),
        seal=replace(seal, version=moved.get("version", 1)),
        whose=replace(whose, provider=moved.get("provider", "acme")),
    )

    with pytest.raises(SealBroken, match="KMS does not open"):
        Cipher(kms, key_id).tokens_of(copied)


@pytest.mark.parametrize(
    "moved",
    [
        {"id": "another"},
        {"whose": replace(WHOSE, client_id="client-2")},
        {"whose": replace(WHOSE, parameters={"shop": "2"})},
        {"whose": replace(WHOSE, origins={"token": "https://evil.example"})},
    ],
    ids=["set", "client", "tenant", "origin"],
)
def test_a_ciphertext_opens_only_as_its_own_set(kms: Kms, key_id: str, moved: dict[str, Any]) -> None:
    """Moved to another set of the same row, or with another owner, it does not open, not even from memory."""
    warm, made = keeping(kms, key_id), stored(kms, key_id)
    assert warm.tokens_of(made) == TOKENS

    for cipher in (warm, Cipher(kms, key_id)):
        with pytest.raises(SealBroken, match="another connection, provider, version or token set"):
            cipher.tokens_of(with_current(made, **moved))


def test_a_ciphertext_cannot_be_made_one_of_an_earlier_format(kms: Kms, key_id: str) -> None:
    """That format is bound to less. Neither the record nor the first octet can claim it."""
    made = stored(kms, key_id)
    seal = current(made).seal
    kms.calls.clear()
    for changed in (replace(seal, format=1), replace(seal, format=3), replace(seal, ciphertext=b"\x01sealed")):
        with pytest.raises(SealBroken, match="name different formats"):
            Cipher(kms, key_id).tokens_of(with_current(made, seal=changed))
    assert kms.calls == []

    as_format_1 = replace(seal, format=1, ciphertext=b"\x01" + seal.ciphertext[1:])
    with pytest.raises(SealBroken):
        Cipher(kms, key_id).tokens_of(with_current(made, seal=as_format_1))


def test_pending_tokens_open_only_in_their_place(kms: Kms, key_id: str) -> None:
    """KMS checks the purpose: a role without that right cannot open pending tokens, and none opens them as current."""
    sealer = Cipher(kms, key_id).prepare("merchant-1", 1, WHOSE, purpose=PENDING)
    waiting = with_current(connection(tokens=sealed_tokens(sealed=sealer)), place=Place.PENDING)
    (held,) = waiting.in_place(Place.PENDING)

    assert Cipher(kms, key_id).open("merchant-1", held) == TOKENS
    assert kms.calls[0][1]["EncryptionContext"]["purpose"] == "gatehouse/pending"
    for place in (Place.CURRENT, Place.SUPERSEDED, Place.KEPT, Place.REVOKING):
        with pytest.raises(SealBroken, match="KMS does not open"):
            Cipher(kms, key_id).open("merchant-1", replace(held, place=place))
    in_use = replace(current(stored(kms, key_id)), place=Place.PENDING)
    with pytest.raises(SealBroken, match="KMS does not open"):
        Cipher(kms, key_id).open("merchant-1", in_use)


def test_what_had_waited_opens_while_it_is_revoked(kms: Kms, key_id: str) -> None:
    """It was never put to use, and keeps the purpose that it was sealed for."""
    sealer = Cipher(kms, key_id).prepare("merchant-1", 1, WHOSE, purpose=PENDING)
    waited = replace(
        current(connection(tokens=sealed_tokens(sealed=sealer))),
        place=Place.REVOKING,
        pending=Pending(until=NOW, obtained_at=NOW, revocations=0),
    )

    assert Cipher(kms, key_id).open("merchant-1", waited) == TOKENS
    with pytest.raises(SealBroken, match="KMS does not open"):
        Cipher(kms, key_id).open("merchant-1", replace(waited, place=Place.CURRENT))


def test_what_is_in_no_record_yet_opens_for_its_own_purpose(kms: Kms, key_id: str) -> None:
    """An answer in the rescue queue says what it was sealed for, and KMS holds it to that."""
    waits, is_used = (
        sealed_tokens(sealed=Cipher(kms, key_id).prepare("merchant-1", 1, WHOSE, purpose=purpose))
        for purpose in (PENDING, TOKENS_IN_USE)
    )

    assert Cipher(kms, key_id).open("merchant-1", waits, PENDING) == TOKENS
    assert Cipher(kms, key_id).open("merchant-1", is_used) == TOKENS
    for tokens, purpose in ((waits, TOKENS_IN_USE), (is_used, PENDING)):
        with pytest.raises(SealBroken, match="KMS does not open"):
            Cipher(kms, key_id).open("merchant-1", tokens, purpose)


def test_a_new_set_has_an_id_of_its_own(kms: Kms, key_id: str) -> None:
    """Eight random octets. One that is sealed again keeps what it had."""
    cipher = Cipher(kms, key_id)
    ids = {cipher.prepare("merchant-1", 1, WHOSE).id for _ in range(3)}

    assert {len(bytes.fromhex(each)) for each in ids} == {8}
    assert len(ids) == 3
    assert cipher.prepare("merchant-1", 1, WHOSE, "set-1").id == "set-1"


def test_a_set_names_the_key_that_sealed_it(kms: Kms, key_id: str) -> None:
    """A set sealed by another key is refused by its name, before KMS is asked."""
    made = stored(kms, key_id)
    assert (current(made).seal.format, current(made).seal.key) == (2, key_id)
    kms.calls.clear()

    with pytest.raises(SealBroken, match="under the KMS key another, and"):
        Cipher(kms, key_id).tokens_of(with_current(made, seal=replace(current(made).seal, key="another")))

    assert kms.calls == []


def test_with_one_key_no_other_is_tried(kms: Kms, key_id: str) -> None:
    """KMS is asked once, by its name, whatever the format. So is it where no key has been changed yet."""
    for made in (in_format_1(kms, "key-2"), with_current(in_format_1(kms, key_id), id="moved")):
        for cipher in (Cipher(kms, key_id), Cipher(kms, key_id, "")):
            kms.calls.clear()
            with suppress(SealBroken):
                cipher.tokens_of(made)
            assert [arguments["KeyId"] for _, arguments in kms.calls] == [key_id]


def test_what_either_of_two_keys_sealed_opens(kms: Kms, key_id: str) -> None:
    """While keys are changed there are two: the one that seals, and the one that sealed before."""
    other = "key-2"
    by_first, by_other = stored(kms, key_id), stored(kms, other)

    changed, back = Cipher(kms, other, key_id), Cipher(kms, key_id, other)

    for cipher in (changed, back):
        assert (cipher.tokens_of(by_first), cipher.tokens_of(by_other)) == (TOKENS, TOKENS)
    assert changed.prepare("merchant-1", 1, WHOSE).seal(TOKENS).key == other
    assert back.prepare("merchant-1", 1, WHOSE).seal(TOKENS).key == key_id
    with pytest.raises(SealBroken, match="this deployment has another"):
        changed.tokens_of(stored(kms, "key-3"))


def test_each_key_is_tried_for_what_does_not_say_its_key(kms: Kms, key_id: str) -> None:
    """A token set in format 1 may be of either key. A third one opens nothing, also if the record is of format 1."""
    other, third = "key-2", "key-3"
    by_first, by_third = in_format_1(kms, key_id), in_format_1(kms, third)

    assert Cipher(kms, other, key_id).tokens_of(by_first) == TOKENS
    assert [arguments["KeyId"] for operation, arguments in kms.calls if operation == "decrypt"] == [other, key_id]
    assert Cipher(kms, key_id, other).tokens_of(by_first) == TOKENS
    with pytest.raises(SealBroken, match="KMS does not open"):
        Cipher(kms, key_id, other).tokens_of(by_third)


@pytest.mark.parametrize("code", ["IncorrectKeyException", "AccessDeniedException"])
def test_a_key_that_is_another_or_no_longer_ours_is_passed_over(kms: Kms, key_id: str, code: str) -> None:
    """The other may have sealed it. If none is left to be tried, a missing right is a defect."""
    made = in_format_1(kms, key_id)
    kms.refuses = {"key-2": failing(code)}

    assert Cipher(kms, "key-2", key_id).tokens_of(made) == TOKENS

    kms.refuses = dict.fromkeys(("key-2", key_id), failing("AccessDeniedException"))
    with pytest.raises(ClientError, match="AccessDenied"):
        Cipher(kms, "key-2", key_id).tokens_of(made)


def test_a_key_that_fails_is_not_taken_for_the_wrong_one(kms: Kms, key_id: str) -> None:
    """A disabled key, or an outage, says nothing about which key sealed: no other is tried."""
    made = in_format_1(kms, key_id)
    for error in (failing("DisabledException"), failing("ThrottlingException")):
        kms.calls.clear()
        kms.error = error
        with pytest.raises((ClientError, TemporarilyUnavailable)):
            Cipher(kms, key_id, "key-2").tokens_of(made)
        assert len(kms.calls) == 1


def test_a_token_set_is_sealed_again_under_the_key_that_seals(kms: Kms, key_id: str) -> None:
    """With the same tokens, id and version. The old key is then needed for it no more."""
    other = "key-2"
    for made in (stored(kms, key_id), in_format_1(kms, key_id)):
        cipher = Cipher(kms, other, key_id)

        again = cipher.seal_again("merchant-1", current(made))

        seal = again.seal
        assert replace(again, seal=current(made).seal) == current(made)
        assert (seal.key, seal.format, seal.version) == (other, 2, 1)
        assert (cipher.is_sealed_now(current(made).seal), cipher.is_sealed_now(seal)) == (False, True)
        assert not cipher.is_sealed_now(replace(seal, format=1))
        assert Cipher(kms, other).tokens_of(with_current(made, seal=seal)) == TOKENS


def in_format_1(kms: Kms, key_id: str) -> Connection:
    """Return a connection as an earlier release sealed it: whose it is, and which key sealed it, nobody knows."""
    context = sealing.context_of("merchant-1", "acme", 1)
    key = kms.generate_data_key(KeyId=key_id, KeySpec="AES_256", EncryptionContext=context)
    sealed = sealing.seal(TOKENS.to_bytes(), context, key["Plaintext"], key["CiphertextBlob"], made_as=1)
    kms.calls.clear()
    return with_current(connection(), seal=Seal(sealed, 1, 1), whose=Whose("acme", None, {"shop": "1"}))


def test_a_current_set_has_the_version_of_its_record(kms: Kms, key_id: str) -> None:
    """An old token set that is put back does not open, although its seal is intact."""
    made = stored(kms, key_id)

    with pytest.raises(SealBroken, match="of another version or provider than the connection"):
        Cipher(kms, key_id).tokens_of(replace(made, version=2))


def test_a_data_key_moved_into_another_ciphertext_does_not_open(kms: Kms, key_id: str) -> None:
    """Each token set has its own key. Two sets of the same row cannot be mixed."""
    first, second = stored(kms, key_id), stored(kms, key_id)
    one, other = current(first).seal.ciphertext, current(second).seal.ciphertext
    end = 3 + len(wrapped_key_of(one))

    mixed = with_ciphertext(first, one[:end] + other[end:])

    with pytest.raises(SealBroken):
        Cipher(kms, key_id).tokens_of(mixed)


def test_a_ciphertext_with_a_changed_octet_does_not_open(kms: Kms, key_id: str) -> None:
    """Whichever it is: format, lengths, wrapped key, salt, commitment, nonce, ciphertext, tag."""
    made, opened = stored(kms, key_id), []
    ciphertext = current(made).seal.ciphertext

    for position in range(len(ciphertext)):
        changed = bytearray(ciphertext)
        changed[position] ^= 1
        with suppress(SealBroken):
            opened.append((position, Cipher(kms, key_id).tokens_of(with_ciphertext(made, bytes(changed)))))

    assert opened == []


def test_another_kms_key_does_not_open(kms: Kms, key_id: str) -> None:
    """The request to decrypt names the key: a ciphertext under any other key is not accepted."""
    foreign = current(stored(kms, "key-2"))

    with pytest.raises(SealBroken, match="KMS does not open"):
        Cipher(kms, key_id).open("merchant-1", replace(foreign, seal=replace(foreign.seal, key=key_id)))


@pytest.mark.parametrize("code", ["IncorrectKeyException", "InvalidCiphertextException"])
def test_an_error_of_kms_about_the_ciphertext_is_a_broken_seal(kms: Kms, key_id: str, code: str) -> None:
    """Both errors mean that the ciphertext is not what it should be."""
    made = stored(kms, key_id)
    kms.error = failing(code)

    with pytest.raises(SealBroken):
        Cipher(kms, key_id).tokens_of(made)


def test_a_connection_without_ciphertext_does_not_open(kms: Kms, key_id: str) -> None:
    """A revoked connection has none, and KMS is not asked."""
    with pytest.raises(SealBroken, match="has no current token set"):
        Cipher(kms, key_id).tokens_of(replace(connection(), sets=()))

    assert kms.calls == []


@pytest.mark.parametrize(
    "error",
    [
        failing("ThrottlingException"),
        failing("KMSInternalException", 500),
        failing("DependencyTimeoutException", 503),
        failing("SomethingNew", 503),
        EndpointConnectionError(endpoint_url="https://kms.example"),
    ],
)
def test_an_outage_of_kms_is_temporary(kms: Kms, key_id: str, error: Exception) -> None:
    """It says nothing about the ciphertext. The caller may try again."""
    made = stored(kms, key_id)
    kms.error = error

    with pytest.raises(TemporarilyUnavailable, match="KMS"):
        Cipher(kms, key_id).tokens_of(made)
    with pytest.raises(TemporarilyUnavailable, match="KMS"):
        Cipher(kms, key_id).prepare("merchant-1", 1, WHOSE)


def test_a_missing_permission_is_a_defect(kms: Kms, key_id: str) -> None:
    """A wrong role is neither an outage nor a broken seal."""
    made = stored(kms, key_id)
    kms.error = failing("AccessDeniedException")

    with pytest.raises(ClientError):
        Cipher(kms, key_id).tokens_of(made)


def test_memory_is_bounded(kms: Kms, key_id: str) -> None:
    """The 256 token sets used last stay in memory. An older one is decrypted again."""
    cipher, sealer = keeping(kms, key_id), Cipher(kms, key_id).prepare("merchant-1", 1, WHOSE)
    many = [connection(tokens=sealed_tokens(sealed=sealer)) for _ in range(257)]
    for each in many:
        cipher.tokens_of(each)
    kms.calls.clear()

    cipher.tokens_of(many[-1])
    assert kms.calls == []
    cipher.tokens_of(many[0])
    assert [operation for operation, _ in kms.calls] == ["decrypt"]
