"""The minimum: the same requests, by the same libraries and with the same settings, and nothing else."""

from __future__ import annotations

from typing import Any

import boto3
import plan
from botocore.config import Config

if plan.PROVIDER:
    import requests

_CONFIG = Config(
    connect_timeout=1,
    read_timeout=2,
    retries={"mode": "standard", "total_max_attempts": 2},
    tcp_keepalive=True,
    max_pool_connections=32,
)
_session = boto3.Session()
_clients = {service: _session.client(service, config=_CONFIG) for service in plan.SERVICES}
_calls = [(getattr(_clients[service], method), document) for service, method, document in plan.CALLS]


def handler(_event: object, _context: object) -> dict[str, Any]:
    """Make the calls."""
    for call, document in _calls:
        call(**document)
    if plan.PROVIDER:
        url, form = plan.PROVIDER
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Connection": "close"}
        with requests.Session() as session:
            session.trust_env = False
            assert session.post(url, form, headers=headers).status_code == 200
    return {}
