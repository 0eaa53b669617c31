"""What each built function loads before its first call. A cold start pays for every module."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

import pytest

from tests.built import LAMBDA_ENVIRONMENT
from tools.build import package

# boto3's clients and what they import by themselves, and Powertools' logger.
AWS = {
    "aws_lambda_powertools",
    "boto3",
    "botocore",
    "certifi",
    "dateutil",
    "jmespath",
    "s3transfer",
    "six",
    "urllib3",
}
SEALING = {"cryptography", "_cffi_backend", "_openssl"}
# What a provider is asked with: only where the usual call asks one.
ASKING = {"charset_normalizer", "requests"}

PACKAGES = {"base", "grant", "provider", "oauth", "storage", "usecases"}

# Modules of the vault: those that every function has, and those that go together with a part of it.
EVERY = {
    "storage.attributes",
    "storage.aws",
    "base.errors",
    "storage.expression",
    "base.fields",
    "storage.items",
    "base.noted",
    "base.record",
    "resources",
    "services",
    "settings",
    "storage.table",
    "base.timing",
}
CONNECTIONS = {
    "storage.change_notes",
    "grant.connection",
    "storage.connection_item",
    "storage.connections",
    "storage.due",
    "grant.failure",
    "grant.lease",
    "grant.life",
    "grant.revocation",
    "grant.revoked",
    "grant.seal",
    "storage.listed",
    "grant.stored_set",
}
AUTHORIZATIONS = {"oauth.authorization", "storage.authorizations"}
SEALS = {"storage.cipher", "storage.sealing", "grant.token_set"}
REGISTRATIONS = {
    "provider.answer_checks",
    "provider.auth_methods",
    "provider.merging",
    "provider.names",
    "provider.object_checks",
    "provider.provider",
    "provider.refusal_rules",
    "provider.registration",
    "provider.request_checks",
    "provider.tenant_checks",
    "provider.tenants",
    "provider.url_checks",
    "provider.vocabulary",
    "storage.registrations",
    "grant.upkeep",
}
PROVIDERS = REGISTRATIONS | {
    "oauth.addresses",
    "oauth.answer_document",
    "oauth.answer_errors",
    "oauth.answer_times",
    "oauth.assertion",
    "oauth.authenticated_requests",
    "oauth.authentication",
    "oauth.client",
    "oauth.id_token",
    "oauth.outbound",
    "oauth.provider_requests",
    "oauth.refusal",
    "oauth.refusal_meaning",
    "oauth.refused_answer",
    "oauth.responses",
    "oauth.token_fields",
    "oauth.transport",
    "grant.scopes",
    "storage.signer",
    "grant.tokens",
    "oauth.wire",
}
CHANGING = {"grant.transition", "grant.consents", "grant.refreshes", "grant.unproved"}
COMMITTING = CHANGING | {
    "usecases.committing",
    "grant.late_answers",
    "grant.obtained",
    "storage.queues",
    "grant.token_set",
    "grant.tokens",
}

LOADS: dict[str, tuple[set[str], set[str]]] = {
    "authorize": (
        AWS,
        EVERY | AUTHORIZATIONS | {"usecases.binding", "oauth.cookies", "grant.life", "oauth.visit_outcome"},
    ),
    "callback": (
        AWS | SEALING | ASKING,
        EVERY
        | CONNECTIONS
        | AUTHORIZATIONS
        | SEALS
        | PROVIDERS
        | COMMITTING
        | {
            "oauth.authorization_response",
            "oauth.result_address",
            "usecases.completing",
            "usecases.exchanging",
            "oauth.cookies",
            "grant.authorized",
            "grant.last_attempt",
            "oauth.visit_outcome",
            "storage.shared",
        },
    ),
    "confirm": (
        AWS | SEALING,
        EVERY
        | CONNECTIONS
        | SEALS
        | CHANGING
        | {
            "grant.after_waiting",
            "grant.authorized",
            "grant.late_answers",
            "grant.obtained",
            "grant.tokens",
            "oauth.authorization",
            "usecases.confirming",
        },
    ),
    "import_connection": (
        AWS | SEALING | ASKING,
        EVERY
        | CONNECTIONS
        | SEALS
        | PROVIDERS
        | COMMITTING
        | {
            "grant.imports",
            "provider.registration_changes",
            "storage.shared",
            "usecases.importing",
            "usecases.parties",
            "usecases.refresh_results",
            "usecases.refreshing",
            "usecases.token_refresh",
        },
    ),
    "connections": (AWS, EVERY | CONNECTIONS | {"base.cursor", "usecases.listing", "storage.shared"}),
    # No table: the writes come to it.
    "events": (
        AWS,
        EVERY - {"storage.expression", "storage.items", "storage.table"}
        | {"grant.announced", "grant.life", "storage.bus", "storage.queues", "storage.stream", "usecases.publishing"},
    ),
    "export": (
        AWS | SEALING,
        EVERY | CONNECTIONS | SEALS | {"base.cursor", "usecases.exporting", "usecases.pace"},
    ),
    "refresh": (
        AWS | SEALING | ASKING,
        EVERY
        | CONNECTIONS
        | SEALS
        | PROVIDERS
        | COMMITTING
        | {
            "provider.registration_changes",
            "usecases.refresh_results",
            "usecases.refreshing",
            "storage.opened",
            "storage.shared",
            "usecases.token_refresh",
            "usecases.vending",
        },
    ),
    "rescue": (
        AWS | SEALING,
        EVERY
        | CONNECTIONS
        | SEALS
        | COMMITTING
        | {"base.read_record", "grant.authorized", "grant.obtained_document", "usecases.rescuing"},
    ),
    "reseal": (
        AWS | SEALING,
        EVERY
        | CONNECTIONS
        | SEALS
        | {
            "base.cursor",
            "grant.another_key",
            "grant.transition",
            "usecases.pace",
            "usecases.resealing",
            "usecases.resealing_counts",
        },
    ),
    "revoke": (
        AWS | SEALING | ASKING,
        EVERY
        | CONNECTIONS
        | SEALS
        | PROVIDERS
        | CHANGING
        | {
            "grant.revocation_attempt",
            "grant.revocations",
            "provider.registration_changes",
            "usecases.revocation_results",
            "usecases.revoking",
            "usecases.token_revocation",
        },
    ),
    "start": (
        AWS,
        EVERY
        | CONNECTIONS
        | AUTHORIZATIONS
        | REGISTRATIONS
        | {"oauth.provider_requests", "usecases.parties", "usecases.starting"},
    ),
    "sweep": (AWS, EVERY | CONNECTIONS | {"storage.queues", "storage.shared", "usecases.sweeping"}),
    # A stored token that is still valid needs no provider and no write: all that is loaded with the first refresh.
    "token": (AWS | SEALING, EVERY | CONNECTIONS | SEALS | {"storage.opened", "usecases.vending"}),
}

CODE = """
import importlib, json, sys
folder, module = sys.argv[1:]
sys.path.insert(0, folder)
importlib.import_module(module)
print(json.dumps(sorted(sys.modules)))
"""


@cache
def loaded(name: str) -> frozenset[str]:
    """Return the modules that a built function has loaded before it gets its first event."""
    command = [sys.executable, "-I", "-S", "-B", "-c", CODE, str(package(for_lambda=False)), f"functions.{name}"]
    done = subprocess.run(command, env=LAMBDA_ENVIRONMENT, capture_output=True, text=True, check=True)
    return frozenset(json.loads(done.stdout))


def test_every_function_is_in_the_table() -> None:
    """A new function has to be added before it can be deployed."""
    handlers = {path.stem for path in (package(for_lambda=False) / "functions").glob("*.py")}

    assert handlers - {"__init__"} == set(LOADS)


@pytest.mark.parametrize("name", LOADS)
def test_a_function_loads_no_other_package(name: str) -> None:
    """Another package would slow every cold start down."""
    roots = {module.partition(".")[0] for module in loaded(name)}

    assert roots - sys.stdlib_module_names - {"__main__", "functions"} == LOADS[name][0]


@pytest.mark.parametrize("name", LOADS)
def test_a_function_loads_what_its_usual_call_needs_and_no_more(name: str) -> None:
    """What it needs is loaded before the first call, and what it seldom needs is not."""
    vault = {
        module.removeprefix("functions.vault.") for module in loaded(name) if module.startswith("functions.vault.")
    }

    assert vault - PACKAGES == LOADS[name][1]


@pytest.mark.parametrize("name", LOADS)
def test_pages_are_loaded_with_the_first_page(name: str) -> None:
    """Most browsers are redirected, and most functions serve none."""
    assert "functions.web.pages" not in loaded(name)
