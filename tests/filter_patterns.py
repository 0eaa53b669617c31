"""Filter patterns of CloudWatch Logs as tests use them: those of the local stack."""

from local.aws.filter_patterns import matches, value_at

__all__ = ["matches", "value_at"]
