"""What the tools for operators share: a time that a person has given, and the parts of a deployed stack."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def moment(text: str) -> datetime:
    """Return a time that a person has given, like 2026-11-28T20:00:00Z; one without an offset is UTC.

    Raises ``ValueError`` for what is no time.
    """
    given = datetime.fromisoformat(text)
    return given if given.tzinfo else given.replace(tzinfo=UTC)


def physical_ids(cloudformation: Any, stack_name: str, kind: str) -> list[str]:
    """Return the names of a stack's resources of one kind, like ``AWS::Lambda::Function``."""
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack_name)
    resources = (each for page in pages for each in page["StackResourceSummaries"])
    return [each["PhysicalResourceId"] for each in resources if each["ResourceType"] == kind]
