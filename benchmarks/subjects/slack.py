"""slack-bolt's own Lambda handler for the redirect of an installation, with its own stores in S3."""

from __future__ import annotations

import os
from typing import Any

from slack_bolt import App
from slack_bolt.adapter.aws_lambda import SlackRequestHandler
from slack_bolt.adapter.aws_lambda.lambda_s3_oauth_flow import LambdaS3OAuthFlow
from slack_bolt.oauth.oauth_settings import OAuthSettings
from slack_sdk import WebClient

_settings = OAuthSettings(client_id="client", client_secret="secret", scopes=["chat:write"])  # noqa: S106 - made up
_app = App(
    signing_secret="secret",  # noqa: S106 - made up
    process_before_response=True,
    oauth_flow=LambdaS3OAuthFlow(client=WebClient(base_url=os.environ["SLACK_API"]), settings=_settings),
)
_handler = SlackRequestHandler(_app)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer the redirect."""
    answer: dict[str, Any] = _handler.handle(event, context)
    return answer
