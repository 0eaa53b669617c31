"""English."""

from functions.vault.oauth.visit_outcome import SUBJECT_MISMATCH

APPLICATION = {
    "application": ("$application", "the application"),
    "to_application": ("to $application", "to the application"),
}
"""How sentences name the application: if its name is known, and if not. Each language has what its grammar needs."""

PAGES = {
    "connected": (
        "Your account is connected",
        "Your $provider account is connected. You can close this window.",
        "From now on, $application can use the account within what you allowed. You can take that back at any time, either there or at $provider.",
    ),
    "already": (
        "This link was already used",
        "This link to connect your $provider account has been used before, and works only once. This time, nothing was changed.",
        "If you connected your account with it, you can close this window. If not, go back $to_application and start from there.",
    ),
    "unfinished": (
        "Still connecting",
        "We are still waiting for $provider to finish connecting your account. This takes a few seconds.",
        "You do not have to do anything: this page shows the result as soon as there is one.",
    ),
    "waiting": (
        "Waiting to connect",
        "$provider takes few requests at a time, and is busy with others. Yours will be next in a moment.",
        "Nothing is lost by waiting, and nothing is done twice.",
    ),
    "denied": (
        "You declined access",
        "You declined to give access to your $provider account, so nothing was connected.",
        "Nothing was stored. If this account was connected before, that connection is as it was.",
        "If this is what you wanted, you can close this window.",
    ),
    "expired": (
        "This link has expired",
        "A link to connect an account has to be opened within 10 minutes and used within 40, and it works only a few times. The one for $provider cannot be used any more.",
        "Nothing was changed.",
        "Go back $to_application and start again from there.",
    ),
    "failed": (
        "Your account could not be connected",
        "Your $provider account was not connected. $reason",
        "There is no new access to it. If this account was connected before, that connection is as it was.",
    ),
    "refused": (
        "Please start again",
        "What came back does not belong to a connection that was started in this browser. Nothing was changed.",
        "This happens when the page is opened in another browser or a private window, when a newer attempt has taken the place of this one, or when cookies are blocked.",
        "Go back $to_application and try again, in the same browser and with cookies allowed. If you did not start anything, you can close this window.",
    ),
    "no_longer_shown": (
        "This result is no longer shown",
        "How an attempt to connect an account ended is shown for 10 minutes, and only in the browser in which it was made. Opening this page changed nothing.",
        "Go back $to_application to see whether your account is connected.",
    ),
    "not_connected": (
        "Nothing was connected",
        "The answer that came back does not say which connection it is about, so nothing was connected and nothing was changed.",
        "If you declined to give access, there is nothing more to do. If not, the link that you came with still works.",
    ),
    "begin_here": (
        "Continue in $application",
        "To connect your account, first sign in $to_application and connect it from there. So far, nothing was connected.",
    ),
    "invalid_link": (
        "This link does not work",
        "This link to connect an account is not complete, or it is not known here. Nothing was changed.",
        "It may have been cut short when it was copied, or it may be an old one.",
        "Open the whole link again, or go back $to_application and start from there.",
    ),
    "forbidden": (
        "This is not the right address",
        "These pages are at another address. Nothing was changed.",
        "Go back $to_application and start again from there.",
    ),
    "method_not_allowed": (
        "This page only opens from a link",
        "Your browser asked for it in another way. Nothing was changed.",
        "Go back $to_application and start again from there.",
    ),
    "error": (
        "Something went wrong",
        "This is a fault of ours; you did nothing wrong.",
        "It may have happened before or after your account was connected: go back $to_application to see which.",
        "If your account is not connected there, try again in a few minutes.",
    ),
}
"""The heading of each page, and its paragraphs."""

ACCOUNT_CONNECTED = "Your $provider account $account is connected. You can close this window."
"""The first paragraph of `connected`, if the account's name is known."""

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
    SUBJECT_MISMATCH: "It was connected to another account at the provider before. Sign in there with that one, then try again.",
}
"""What a page says about a failure, by the error code: our own words, never the server's."""

OTHER_REASON = "The provider reported an error instead of an approval."

TRY_AGAIN = "Try again"
CHECK_AGAIN = "Check again"
GO_ON = "Go $to_application"
START_AGAIN = "To try again, go back $to_application and start from there."

HELP = (
    "If you need help, contact $support and give this reference: $reference",
    "If you need help, tell the people who run $application this reference: $reference",
)
"""What a page ends with if something did not work: if the deployment has a support address, and if not."""

FOOTER = "This page comes from Gatehouse, which keeps the connection between your account and $application."
