"""What customers read and what is in no template: headings, reasons, and what stands for a name that is not known.

Together with `templates/` this is every text of the pages, and `pages` alone reads it: another language needs another
of each, `_layout.html` with its `lang` included.
"""

from functions.vault.oauth.visit_outcome import SUBJECT_MISMATCH

TITLES = {
    "connected": "Connected",
    "already": "This link was already used",
    "unfinished": "Still connecting",
    "waiting": "Waiting to connect",
    "denied": "You declined access",
    "expired": "This link has expired",
    "failed": "The connection failed",
    "refused": "This answer was not accepted",
    "not_connected": "Nothing was connected",
    "begin_here": "Continue in the application",
    "invalid_link": "This link does not work",
    "forbidden": "This address is not open",
    "method_not_allowed": "This page cannot be asked for in this way",
    "error": "Something went wrong here",
}
"""The heading of each page."""

REASONS = {
    "provider_unavailable": "The provider did not answer as expected. This usually passes after a moment.",
    "provider_throttled": "The provider is answering too many requests right now. Wait a minute, then try again.",
    **dict.fromkeys(
        ("provider_misconfigured", "invalid_scope", "unauthorized_client", "unsupported_response_type"),
        "The provider does not accept this application's settings. The application's owner has to correct them.",
    ),
    "unknown_provider": "The provider is no longer set up here. The application's owner has to correct this.",
    "temporarily_unavailable": "A service that we need did not answer. This usually passes after a moment.",
    "reauthorization_required": "The provider did not accept its own approval, perhaps because it came too late.",
    "invalid_request": "The provider found the request too old or incomplete.",
    SUBJECT_MISMATCH: (
        "It was connected to another account at the provider before. Sign in there with that one, then try again."
    ),
}
"""What a page says about a failure, by the error code: our own words, never the server's."""

OTHER_REASON = "The provider reported an error instead of an approval."

ACCOUNT = "your account"
"""Stands for the provider if it is not known."""
