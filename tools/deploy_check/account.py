"""The emulated account, as its root user sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from tools.deploy_check.emulator import ACCOUNT, REGION, SECRET_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tools.deploy_check.emulator import Emulator

# What a call of a function may take, and no second one: what is counted here must not be done twice.
_CONFIG = Config(connect_timeout=5, read_timeout=60, retries={"total_max_attempts": 1})


@dataclass(frozen=True)
class Account:
    """Where it is, and who asks. Any other user is one that `callers` has made in it."""

    endpoint: str
    certificate: str
    key_id: str = ACCOUNT
    secret_key: str = SECRET_KEY

    @classmethod
    def of(cls, emulator: Emulator) -> Account:
        """Return the account of a running emulator, seen by its root user."""
        return cls(emulator.endpoint, str(emulator.certificate))

    def client(self, service: str) -> Any:
        """Return boto3's client of a service."""
        session = boto3.Session(self.key_id, self.secret_key, region_name=REGION)
        # The stubs know a service by its literal name.
        make: Any = session.client
        return make(service, endpoint_url=self.endpoint, verify=self.certificate, config=_CONFIG)

    def environment(self) -> Mapping[str, str]:
        """Return what leads `sam` and `aws` here, and nowhere else."""
        return {
            "AWS_ACCESS_KEY_ID": self.key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_CA_BUNDLE": self.certificate,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
        }

    def inventory(self) -> set[str]:
        """Return what there is in the account of all the kinds that the template makes, as `KIND NAME`."""
        return set(self._inventory())

    def _inventory(self) -> Iterator[str]:
        for service, operation, field, names in _LISTED:
            listed = self.client(service)
            pages = (
                listed.get_paginator(operation).paginate(**_ONLY_OURS.get(operation, {}))
                if listed.can_paginate(operation)
                else [getattr(listed, operation)()]
            )
            for page in pages:
                for each in page.get(field, []):
                    yield f"{operation.partition('_')[2]} {each if isinstance(each, str) else each[names]}"
        yield from (f"kms_keys {key}" for key in self._keys())

    def _keys(self) -> Iterator[str]:
        """Keys that are not on their way out."""
        kms = self.client("kms")
        for key in kms.list_keys()["Keys"]:
            if kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"] != "PendingDeletion":
                yield key["KeyArn"]


_ONLY_OURS = {"list_policies": {"Scope": "Local"}}
_LISTED = (
    ("apigatewayv2", "get_apis", "Items", "Name"),
    ("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    ("dynamodb", "list_tables", "TableNames", ""),
    ("events", "list_rules", "Rules", "Name"),
    ("iam", "list_policies", "Policies", "PolicyName"),
    ("iam", "list_roles", "Roles", "RoleName"),
    ("kms", "list_aliases", "Aliases", "AliasName"),
    ("lambda", "list_event_source_mappings", "EventSourceMappings", "EventSourceArn"),
    ("lambda", "list_functions", "Functions", "FunctionName"),
    ("logs", "describe_log_groups", "logGroups", "logGroupName"),
    ("logs", "describe_metric_filters", "metricFilters", "filterName"),
    ("sqs", "list_queues", "QueueUrls", ""),
)
