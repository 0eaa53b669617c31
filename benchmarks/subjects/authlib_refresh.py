"""A refresh with Authlib on requests, and the tokens in a table, as they come: what many functions do."""

from __future__ import annotations

import time
from typing import Any

import boto3
import plan
from authlib.integrations.requests_client import OAuth2Session

_dynamodb = boto3.client("dynamodb")


def handler(_event: object, _context: object) -> dict[str, Any]:
    """Read, refresh, write."""
    assert plan.PROVIDER is not None
    read, write = (document for _, _, document in plan.CALLS)
    _dynamodb.get_item(**read)
    token = {"access_token": "at", "refresh_token": "rt", "expires_at": time.time() - 1}
    session = OAuth2Session("client", token_endpoint_auth_method="none", token=token)  # noqa: S106 - a method's name
    refreshed = session.refresh_token(plan.PROVIDER[0])
    _dynamodb.update_item(**write)
    return {"expires_at": refreshed["expires_at"]}
