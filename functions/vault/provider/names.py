"""Names in a provider's data: keys that belong together, names that Gatehouse reserves, and what a name looks like."""

from functions.vault.base.fields import Mismatch, text

FIELD_NAME = r"[A-Za-z0-9_.\-\[\]]{1,64}"
"""A parameter of a request, or a field of an answer: also a path of names joined by dots."""

HEADER_NAME = r"[A-Za-z0-9-]{1,64}"
PARAMETER_NAME = r"[a-z][a-z0-9_]{0,31}"
"""A parameter of a connection, as `start` takes it."""

ENDPOINTS = (
    "authorization_endpoint",
    "pushed_authorization_request_endpoint",
    "token_endpoint",
    "refresh_endpoint",
    "revocation_endpoint",
    "account_endpoint",
)
PARAM_NAMES = ("authorization_param_names", "token_param_names", "refresh_param_names", "revocation_param_names")
"""Keys that give parameters of a request another name."""

TEMPLATE_PARAMS = ("authorization_params", "token_params", "refresh_params", "revocation_params")
"""Keys whose values may contain `{placeholders}` for a connection's parameters."""

REGION = "region"
"""The parameter of a connection that says in which of a provider's regions it is."""

PLACEHOLDERS = ("client_id", "client_secret", "token")
"""Placeholders that are no parameters: all three work in revocation headers, client id and token in its endpoint."""

MAY_HOLD_API_KEYS = ("token_headers", "token_params", "refresh_params", "revocation_headers", "revocation_params")
"""Keys under which an owner may have to write an API key."""

SHORTEST_PRIVATE = 8
"""A value under one of those keys is confidential if it has this many characters: shorter ones occur in plain words."""

NAMES_A_KEY = r"(api|access|private|subscription|client)[_-]?key|secret|passw|credential|signature|(api|auth)[_-]?token"
"""A value whose name matches this is confidential even if it is shorter."""

UNKNOWN = "unknown key"
"""The problem of a key that the vocabulary does not have."""

Problem = str | Mismatch
"""What is wrong with a key: in words, or as its check has it."""

field_name = text(FIELD_NAME, "1 to 64 of A-Z a-z 0-9 _ . - [ ]")
header_name = text(HEADER_NAME, "1 to 64 of A-Z a-z 0-9 -")
parameter_name = text(PARAMETER_NAME, "1 to 32 of a-z 0-9 _, beginning with a letter")

# What Gatehouse itself puts into requests cannot be set from data: a file that did so would break the flow's
# guarantees.
OWN_AUTHORIZATION_PARAMS = frozenset(
    {
        *("response_type", "response_mode", "client_id", "redirect_uri", "scope", "state"),
        *("code_challenge", "code_challenge_method", "request", "request_uri"),
        *("client_secret", "client_assertion", "client_assertion_type"),
    }
)
RENAMABLE_AUTHORIZATION_PARAMS = ("response_type", "client_id", "redirect_uri", "scope")
"""Parameters of the authorization request that may have another name. Servers have to know the others."""

OWN_TOKEN_PARAMS = frozenset(
    {
        *("grant_type", "code", "redirect_uri", "code_verifier", "refresh_token", "token"),
        *("client_id", "client_secret", "client_assertion", "client_assertion_type"),
    }
)
OWN_HEADERS = frozenset({"authorization", "connection", "content-length", "content-type", "cookie", "host"})
