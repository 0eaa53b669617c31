"""What an answer means: a revocation is confirmed or not, and a redirect adds to a token response."""

import pytest

from functions.vault.base.errors import (
    GatehouseError,
    ProviderMisconfigured,
    ProviderThrottled,
    ProviderUnavailable,
    RevocationRefused,
    TokenTypeNotRevoked,
)
from functions.vault.grant.token_set import TokenSet
from functions.vault.grant.tokens import TokenResponse
from functions.vault.oauth.responses import account_in, is_revoked, with_redirect_metadata
from functions.vault.oauth.transport import Answer
from functions.vault.provider.provider import Provider
from tests.unit.samples import answer
from tests.unit.token_answers import ACME, ERROR, TRY_AGAIN, explained


@pytest.mark.parametrize(
    ("metadata", "subject", "kept"),
    [
        ({}, None, (None, {"region": "eu"})),
        ({"realmId": "[0-9]{1,20}"}, None, (None, {"region": "eu", "realmId": "46"})),
        ({"realmId": "[0-9]{1,20}"}, "realmId", ("46", {"region": "eu", "realmId": "46"})),
        ({"realmId": ["46", "47"]}, "realmId", ("46", {"region": "eu", "realmId": "46"})),
        ({"missing": "[a-z]{1,9}", "empty": "[a-z]{1,9}"}, "missing", (None, {"region": "eu"})),
        ({"realmId": "[0-9]"}, "realmId", (None, {"region": "eu"})),
        ({"realmId": ["4", "467"]}, "realmId", (None, {"region": "eu"})),
    ],
)
def test_a_redirect_can_name_the_account(
    metadata: dict[str, str | list[str]], subject: str | None, kept: tuple[str | None, dict[str, str]]
) -> None:
    """Values that match the provider's data are kept beside what came with the tokens, and can name the account."""
    provider = Provider("acme", callback_metadata=metadata, subject=subject)
    response = TokenResponse(TokenSet("AT-1"), metadata={"region": "eu"})

    named = with_redirect_metadata(response, provider, {"realmId": "46", "empty": "", "state": "not kept"})

    assert (named.subject, named.metadata) == kept


def test_the_account_in_the_answer_takes_precedence_over_the_redirects() -> None:
    """The server's word counts more than the browser's."""
    provider = Provider("acme", callback_metadata={"account": "[a-z-]{1,20}"}, subject="account")
    response = TokenResponse(TokenSet("AT-1"), subject="of-the-token", metadata={"account": "of-the-token"})

    named = with_redirect_metadata(response, provider, {"account": "of-the-browser"})

    assert (named.subject, named.metadata) == ("of-the-token", {"account": "of-the-token"})


SUCCESSFUL = Provider("acme", revocation_success="successful")
AT_ITS_ADDRESS = Provider("acme", revocation_method="DELETE", revocation_endpoint="https://acme.example/{token}")
IN_A_BODY = Provider("acme", revocation_method="DELETE", revocation_endpoint="https://acme.example/grant")
EXPLAINED = Provider("acme", error_codes={"E-1": "invalid_token"})
GONE = explained({"endpoint": "revocation", "status": 400, "means": "invalid_token"})
REPEATED = Provider(
    "acme",
    revocation_success="successful",
    refusals=({"endpoint": "revocation", "words": ["revoked already"], "means": "invalid_token"},),
)


@pytest.mark.parametrize(
    ("provider", "given", "is_known"),
    [
        (ACME, answer("", 200), True),
        (ACME, answer("<html>ok</html>", 200, content_type="text/html"), True),
        (ACME, answer("", 204), True),
        (SUCCESSFUL, answer('{"successful":true,"message":"done"}'), True),
        (ACME, answer(ERROR % "invalid_token", 400), False),
        (ACME, answer(ERROR % "invalid_grant", 400), False),
        (ACME, answer(ERROR % "token_revoked", 200), False),
        (ACME, answer('{"ok":false,"error":"token_expired"}', 200), False),
        (ACME, answer(ERROR % "INVALID_TOKEN", 400), False),
        (EXPLAINED, answer(ERROR % "E-1", 400), False),
        (explained(http_400="invalid_token"), answer("", 400), False),
        (GONE, answer("", 400), False),
        (GONE, answer('{"status":"failure"}', 400), False),
        (REPEATED, answer('{"successful":false,"message":"It was revoked already."}'), False),
        (AT_ITS_ADDRESS, answer("", 404), False),
        (AT_ITS_ADDRESS, answer('{"message":"no such token"}', 410), False),
    ],
)
def test_a_revocation_is_believed(provider: Provider, given: Answer, *, is_known: bool) -> None:
    """RFC 7009 section 2.2: any 200 is a success. That a token is unknown does not confirm its end."""
    assert is_revoked(given, provider, secrets=()) is is_known


@pytest.mark.parametrize(
    ("provider", "given", "meaning", "said"),
    [
        (SUCCESSFUL, answer('{"successful":false,"message":"no"}'), RevocationRefused, ("not_revoked", "no")),
        (SUCCESSFUL, answer('{"successful":"true"}'), RevocationRefused, ("not_revoked", None)),
        (SUCCESSFUL, answer('{"successful":1}'), RevocationRefused, ("not_revoked", None)),
        (SUCCESSFUL, answer(""), ProviderUnavailable, ("not_revoked", None)),
        (SUCCESSFUL, answer("<html>"), ProviderUnavailable, ("not_revoked", None)),
        (ACME, answer(ERROR % "invalid_client", 401), ProviderMisconfigured, ("invalid_client", "why")),
        (ACME, answer(ERROR % "unsupported_token_type", 400), TokenTypeNotRevoked, ("unsupported_token_type", "why")),
        (ACME, answer("", 404), ProviderMisconfigured, ("http_404", None)),
        (IN_A_BODY, answer("", 404), ProviderMisconfigured, ("http_404", None)),
        (AT_ITS_ADDRESS, answer("", 401), ProviderMisconfigured, ("http_401", None)),
        (ACME, answer(ERROR % "E-1", 400), ProviderMisconfigured, ("E-1", "why")),
        (
            ACME,
            answer(TRY_AGAIN % "E-1", 400),
            ProviderMisconfigured,
            ("E-1", "Something went wrong. Please TRY  again later."),
        ),
        (ACME, answer("", 400), ProviderUnavailable, ("http_400", None)),
        (ACME, answer(ERROR % "account_inactive", 400), RevocationRefused, ("account_inactive", "why")),
        (ACME, answer("<html>blocked</html>", 400), ProviderUnavailable, ("http_400", None)),
        (GONE, answer("<html>blocked</html>", 400), ProviderUnavailable, ("http_400", None)),
        (GONE, answer(ERROR % "E-1", 403), ProviderMisconfigured, ("E-1", "why")),
        (explained(http_400="busy"), answer("", 400), ProviderUnavailable, ("http_400", None)),
        (REPEATED, answer('{"successful":false,"message":"no"}'), RevocationRefused, ("not_revoked", "no")),
        (ACME, answer(ERROR % "invalid_token", 429), ProviderThrottled, ("invalid_token", "why")),
        (ACME, answer("", 503), ProviderUnavailable, ("http_503", None)),
        (ACME, answer("", 429), ProviderThrottled, ("http_429", None)),
        (ACME, answer("", 302), ProviderMisconfigured, ("http_302", None)),
    ],
)
def test_a_revocation_that_is_not_confirmed_is_a_failure(
    provider: Provider, given: Answer, meaning: type[GatehouseError], said: tuple[str, str | None]
) -> None:
    """Even with a 200, if the provider is known to answer so."""
    with pytest.raises(meaning) as caught:
        is_revoked(given, provider, secrets=())

    assert caught.value.description
    assert isinstance(caught.value, RevocationRefused) is issubclass(meaning, RevocationRefused)
    assert caught.value.provider_error is not None
    assert (caught.value.provider_error.error, caught.value.provider_error.error_description) == said


def test_a_refused_revocation_does_not_repeat_the_token() -> None:
    """The message of an unconfirming 200 is masked like any other."""
    given = answer('{"successful":false,"message":"token AT-1 is unknown"}')

    with pytest.raises(ProviderUnavailable) as caught:
        is_revoked(given, SUCCESSFUL, secrets=("AT-1",))

    assert caught.value.as_result()["provider_error"]["error_description"] == "token *** is unknown"


def test_an_answer_shows_neither_its_headers_nor_its_body() -> None:
    """An exception that holds an answer does not show the tokens in it."""
    shown = repr(answer('{"access_token":"AT-1"}', set_cookie="session=1"))

    assert "AT-1" not in shown
    assert "session" not in shown


# The account

ASKED = Provider("acme", subject="id")


def test_an_account_endpoint_that_throttles_names_its_time() -> None:
    """It counts as a throttle, as everywhere: others of the provider are not asked meanwhile."""
    with pytest.raises(ProviderThrottled) as caught:
        account_in(answer("{}", 429, retry_after="30"), ASKED, secrets=())

    assert caught.value.retry_after == 30


def test_what_an_account_endpoint_refuses_says_nothing_of_the_grant() -> None:
    """It is asked again, at the time that it names; the operator reads what it said."""
    refused = answer('{"error": "scope_needed"}', 503, retry_after="40")

    with pytest.raises(ProviderUnavailable, match="does not say whose the tokens are") as caught:
        account_in(refused, ASKED, secrets=())

    said = caught.value.provider_error
    assert (caught.value.retry_after, said and said.error) == (40, "scope_needed")


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [("OK", ProviderUnavailable, "not a JSON object"), ('{"name": "x"}', ProviderMisconfigured, "has no id")],
)
def test_an_answer_that_names_no_account_is_explained(body: str, kind: type[Exception], words: str) -> None:
    """What was looked for, and what there was."""
    with pytest.raises(kind, match=words):
        account_in(answer(body), ASKED, secrets=())


def test_an_operator_reads_with_which_status_a_revocation_was_not_confirmed() -> None:
    """The server has said 200, and not what its data expects."""
    with pytest.raises(RevocationRefused) as caught:
        is_revoked(answer('{"message": "later"}'), Provider("acme", revocation_success="done"), secrets=())

    said = caught.value.provider_error
    assert said
    assert (said.error, said.error_description, said.status) == ("not_revoked", "later", 200)
    assert caught.value.description == (
        "The revocation endpoint did not confirm the revocation: done in its answer is not true. If it "
        "confirms otherwise, correct revocation_success in the registration. Of the answer: its fields are message."
    )


def test_a_refused_account_request_names_the_fields_of_its_answer() -> None:
    """If neither a code nor words in it say why."""
    with pytest.raises(
        ProviderUnavailable, match=r"does not say whose the tokens are\. Of the answer: its fields are fault\.$"
    ):
        account_in(answer('{"fault": "no"}', 400), ASKED, secrets=())


def test_an_error_in_a_form_has_the_providers_name_for_it() -> None:
    """A form is read as one by the fields that the provider's answers have."""
    named = Provider("acme", error_fields={"error": "problem"})

    with pytest.raises(GatehouseError) as caught:
        is_revoked(answer("problem=try_later&x=1", 400), named, secrets=())

    said = caught.value.provider_error
    assert said
    assert said.error == "try_later"
