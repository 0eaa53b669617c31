"""The same calls as they are usually written: boto3's clients, Powertools, requests, and AES-GCM for what is sealed."""

from __future__ import annotations

import os
from typing import Any

import boto3
import plan
import requests
from aws_lambda_powertools import Logger
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_logger = Logger(service="ordinary")
_clients: dict[str, Any] = {service: boto3.client(service) for service in plan.SERVICES}
_session = requests.Session()


@_logger.inject_lambda_context
def handler(_event: object, _context: object) -> dict[str, Any]:
    """Make the calls, and seal a text under each key that KMS gives."""
    for service, method, document in plan.CALLS:
        answer = getattr(_clients[service], method)(**document)
        if "Plaintext" in answer:
            AESGCM(answer["Plaintext"]).encrypt(os.urandom(12), b"a token set" * 12, None)
    if plan.PROVIDER:
        url, form = plan.PROVIDER
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        _session.post(url, form, headers=headers, timeout=10).raise_for_status()
    _logger.info("done")
    return {}
