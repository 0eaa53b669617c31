"""By Invoke: the Lambda API, with boto3. Who may Invoke `token` may have every connection's token."""

from __future__ import annotations

import io
import json
import threading
from typing import TYPE_CHECKING, Any

from .errors import InvalidRequest, NoAnswer, ServerError
from .transport import CONNECT_SECONDS, USER_AGENT, answer_of, parsed, refused, without_tls

if TYPE_CHECKING:
    import boto3
    from botocore.exceptions import ClientError

READ_SECONDS = 40
"""Gatehouse answers within 29 s, and a cold start takes 10 s at the most."""
_CONNECTIONS = 50
_SECRETS_IN_REQUEST = frozenset({"confirm", "import_connection"})


class Invoke:
    """Invokes `STACK-function:live`. The client is made at the first call, or passed in."""

    longest: float = CONNECT_SECONDS + READ_SECONDS

    def __init__(
        self,
        stack: str,
        *,
        session: boto3.Session | None = None,
        region: str | None = None,
        client: Any = None,
        is_forked: bool = False,
    ) -> None:
        if is_forked and client is not None:
            # Its idle connections are the parent's, too: two processes on one would get each other's answers. Closed
            # here, they stay open there, and the client opens others.
            client.close()
        self._stack = stack
        self._session = session
        self._region = region
        self._client = client
        self._making = threading.Lock()

    def __repr__(self) -> str:
        return f"stack={self._stack!r}"

    def connect(self) -> Any:
        """Return the client, made once for all threads."""
        if self._client is None:
            with self._making:
                if self._client is None:
                    self._client = self._made()
        return self._client

    def _made(self) -> Any:
        import boto3  # noqa: PLC0415 - `import gatehouse` stays quick for those who only catch its errors
        from botocore.config import Config  # noqa: PLC0415 - as above

        config = Config(
            # One attempt: botocore would also repeat what timed out. calls.py decides what is sent again.
            retries={"total_max_attempts": 1},
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            # NAT gateways forget connections that say nothing.
            tcp_keepalive=True,
            max_pool_connections=_CONNECTIONS,
            user_agent_extra=USER_AGENT,
        )
        session = self._session or boto3.Session()
        return session.client("lambda", region_name=self._region, config=config)

    def send(self, function: str, request: dict[str, Any]) -> dict[str, Any]:
        """Invoke a function once, and wait for its answer."""
        from botocore.exceptions import (  # noqa: PLC0415 - as above
            ClientError,
            ConnectTimeoutError,
            EndpointConnectionError,
            HTTPClientError,
            IncompleteReadError,
            ProxyConnectionError,
            SSLError,
        )

        name = f"{self._stack}-{function}:live"
        client = self.connect()
        content = json.dumps(request).encode()
        try:
            # botocore's debug log repeats bytes; of a file, it says only that it is one.
            body = io.BytesIO(content) if function in _SECRETS_IN_REQUEST else content
            response = client.invoke(FunctionName=name, Payload=body)
            payload = response["Payload"].read()
        except ClientError as error:
            raise _refusal(error, name) from error
        except (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError) as error:
            raise NoAnswer(f"Lambda cannot be reached: {error}", may_have_run=False) from error
        except SSLError as error:
            raise without_tls(error, "Lambda") from error
        except (HTTPClientError, IncompleteReadError) as error:
            raise NoAnswer(f"No answer of {name} came: {type(error).__name__}.") from error
        if response.get("FunctionError"):
            raise _failure(name, payload)
        return answer_of(payload)


def _refusal(error: ClientError, name: str) -> Exception:
    """Return what an error of Lambda's own means."""
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    said = str(error.response.get("Error", {}).get("Message", ""))
    if status == 429:  # noqa: PLR2004 - HTTP: throttled before the function ran
        return NoAnswer(f"Lambda throttles {name}: {said}", may_have_run=False)
    if status == 413:  # noqa: PLR2004 - HTTP
        return InvalidRequest(f"The request is too large for Lambda: {said}")
    if status in {408, 409}:  # it is being changed, or SnapStart has not restored it
        return NoAnswer(f"Lambda is not ready to run {name}: {said}", may_have_run=False)
    if 400 <= status < 500:  # noqa: PLR2004 - HTTP
        return refused(status, said, f"the function {name}")
    return NoAnswer(f"Lambda failed with {status}: {said}")


def _failure(name: str, payload: bytes) -> ServerError:
    """Return the error of a function that raised, or that Lambda ended.

    Only Gatehouse's own text and Lambda's are kept. Any other is that of an exception, and nobody knows what is in it.
    """
    failure = parsed(payload) or {}
    kind = str(failure.get("errorType", "unknown"))
    if kind == "ServerError" or kind.startswith(("Sandbox.", "Runtime.")):
        return ServerError(str(failure.get("errorMessage", kind)))
    return ServerError(f"{name} failed with {kind}; its log says more.")
