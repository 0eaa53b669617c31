"""What this emulator does not do as AWS does: found out where that can be asked, and said at the end of each run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tools.deploy_check.browser import Browser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.deploy_check.adapting import Adapted
    from tools.deploy_check.installation import Installation

# What was put right in emulator_process.py, and how it is made, which no question to it answers.
BY_ITS_MAKING = (
    "Its HTTP API gives functions no list of cookies (payload format 2.0): it was started with that put right.",
    "To its IAM a role's session has an ARN of its own as `aws:PrincipalArn`, and not the role's: put right as well.",
    "Its HTTP API names no alias in a function's context: it was started with that put right, too.",
    "Its KMS passes IAM nothing of a request's encryption context: that was put right as well.",
    "It tells IAM of no function that asks (lambda:SourceFunctionArn): a passed role was not tried in another.",
    "Nor does it pass IAM the aliases of a key: client keys in KMS (private_key_jwt) were not tried.",
    "Functions run on this machine, by the emulator's own Python: nothing of Amazon Linux, arm64, memory is seen.",
    "No cold start is like one of Lambda's, and of SnapStart there are the hooks alone.",
    "Whoever deploys is the account's root user: what rights a deployment needs is not seen.",
    "The SAM transform is the package aws-sam-translator's, without the values of parameters; AWS runs one of its own.",
    "`aws` is version 1, which pip can install. Version 2 is in no registry, and was not tried.",
)


def of_the_template(adapted: Adapted) -> Iterator[str]:
    """Say what had to be changed in the template for the emulator to take it."""
    if adapted.left_out:
        yield (
            "Alarms of several metrics, and saved queries, fail the stack: "
            f"{', '.join(adapted.left_out)} left out of the copy."
        )
    yield (
        f"It reads no OpenAPI document: the {len(adapted.routes)} routes of the HTTP API are resources in the copy, "
        "with the same integrations and the same IAM."
    )


def of_the_stack(installation: Installation, started_at: float) -> Iterator[str]:
    """Ask the stack, after the walk. ``started_at`` is when the check began, in Unix seconds."""
    deployed = installation.deployed
    account = deployed.account
    if not account.client("logs").filter_log_events(logGroupName=deployed.physical("AccessLogGroup"))["events"]:
        yield "The HTTP API writes no access log."
    backups = account.client("dynamodb").describe_continuous_backups(TableName=deployed.physical("ConnectionsTable"))
    recovery = backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    if recovery["PointInTimeRecoveryStatus"] != "ENABLED":
        yield "Point-in-time recovery of the tables stays off, although the template switches it on."
    stage = account.client("apigatewayv2").get_stage(ApiId=deployed.outputs["ApiId"], StageName="$default")
    if not stage.get("DefaultRouteSettings"):
        yield "The HTTP API throttles nothing."
    yield from _of_metrics(account.client("cloudwatch"), f"Gatehouse/{deployed.stack_name}", started_at)


def _of_metrics(cloudwatch: Any, namespace: str, started_at: float) -> Iterator[str]:
    # The walk has denied a function its table, which is a defect in its log.
    counted = cloudwatch.get_metric_statistics(
        Namespace=namespace,
        MetricName="Defects",
        StartTime=started_at,
        EndTime=time.time(),
        Period=60,
        Statistics=["Sum"],
    )
    if not counted["Datapoints"]:
        yield "Metric filters count no lines: no alarm on what the functions log could be seen to fire."
    if not cloudwatch.list_metrics(Namespace="AWS/SQS")["Metrics"]:
        yield "Queues have no metrics: no alarm on them could be seen to fire."


def of_the_api(installation: Installation) -> Iterator[str]:
    """Take the HTTP API's permission to invoke `authorize` away: for the last, as it is not given back."""
    deployed = installation.deployed
    lambda_ = deployed.account.client("lambda")
    statement = deployed.physical("AuthorizePermission")
    function = deployed.physical("AuthorizeFunction")
    lambda_.remove_permission(FunctionName=function, Qualifier="http", StatementId=statement)
    started = installation.manager.invoke("start", {"provider": "demo"})
    if Browser().is_redirected(started["authorize_url"]):
        yield "The HTTP API invokes a function without its permission: AWS::Lambda::Permission is not evaluated."
