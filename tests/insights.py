"""CloudWatch Logs Insights as tests use it: that of the local stack."""

from local.aws.insights import lines_of, run

__all__ = ["lines_of", "run"]
