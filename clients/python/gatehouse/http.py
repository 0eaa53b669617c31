"""By HTTP: the API of the stack, signed with SigV4, so that an IAM policy can name whose tokens a caller may have."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from .errors import InvalidRequest, NoAnswer
from .transport import CONNECT_SECONDS, USER_AGENT, answer_of, parsed, refused, without_tls

if TYPE_CHECKING:
    import boto3
    from botocore.httpsession import URLLib3Session

READ_SECONDS = 35
"""API Gateway gives up after 30 s, and answers 503."""
_CONNECTIONS = 50
_HOST_WITH_REGION = re.compile(r"https://\w+\.execute-api\.([a-z0-9-]+)\.amazonaws\.com")
_IN_A_PATH = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,256}")


@dataclass(frozen=True)
class Paths:
    """Which paths a client calls: all connections', an owner's, or those of single connections."""

    owner: str | None = None
    connection: str | Literal[True] | None = None
    """A connection's id; or True: each call goes to the path of the connection that it names."""

    def path(self, function: str, request: dict[str, Any]) -> str:
        """Return the path of a call. Raises `InvalidRequest` if there is none."""
        if self.owner is not None:
            return f"/v1/owners/{_checked('owner', self.owner)}/{function}"
        if self.connection is None:
            return f"/v1/{function}"
        connection_id = request.get("connection_id") if self.connection is True else self.connection
        if connection_id is None:
            raise InvalidRequest(f"This client calls by the path of a connection: {function} has to name one.")
        return f"/v1/connections/{_checked('connection_id', str(connection_id))}/{function}"


def _checked(name: str, value: str) -> str:
    if _IN_A_PATH.fullmatch(value):
        return value
    raise InvalidRequest(f"{name}: {value!r} cannot stand in a path, which takes A-Z a-z 0-9 . _ - only.")


class Http:
    """Posts to `URL/v1/...`."""

    longest: float = CONNECT_SECONDS + READ_SECONDS

    def __init__(
        self, url: str, paths: Paths, *, session: boto3.Session | None = None, region: str | None = None
    ) -> None:
        self._url = url.rstrip("/")
        self._paths = paths
        self._session = session
        self._region = region
        self._making = threading.Lock()
        self._made: tuple[Any, str, URLLib3Session] | None = None

    def __repr__(self) -> str:
        return f"url={self._url!r}"

    def connect(self) -> tuple[Any, str, URLLib3Session]:
        """Return the credentials, the region and the connections, made once for all threads."""
        with self._making:
            if self._made is None:
                self._made = self._make()
            return self._made

    def _make(self) -> tuple[Any, str, URLLib3Session]:
        import boto3  # noqa: PLC0415 - see invoke.py
        from botocore.exceptions import NoCredentialsError, NoRegionError  # noqa: PLC0415 - as above
        from botocore.httpsession import URLLib3Session  # noqa: PLC0415 - as above
        from botocore.utils import get_environ_proxies  # noqa: PLC0415 - as above

        session = self._session or boto3.Session()
        named = _HOST_WITH_REGION.match(self._url)
        region = self._region or (named[1] if named else session.region_name)
        if region is None:
            raise NoRegionError
        credentials = session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        bundle = session._session.get_config_variable("ca_bundle")  # noqa: SLF001 - boto3 has no other way to ask
        sender = URLLib3Session(
            verify=bundle or True,
            proxies=get_environ_proxies(self._url),
            timeout=(CONNECT_SECONDS, READ_SECONDS),  # type: ignore[arg-type]  # the stubs know of one number only
            max_pool_connections=_CONNECTIONS,
        )
        return credentials, region, sender

    def send(self, function: str, request: dict[str, Any]) -> dict[str, Any]:
        """Post a request once, and wait for its answer."""
        from botocore.exceptions import (  # noqa: PLC0415 - as above
            ConnectTimeoutError,
            EndpointConnectionError,
            HTTPClientError,
            ProxyConnectionError,
            SSLError,
        )

        url = self._url + self._paths.path(function, request)
        try:
            response = self._post(url, request)
            content: bytes = response.content
        except (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError) as error:
            raise NoAnswer(f"{self._url} cannot be reached: {error}", may_have_run=False) from error
        except SSLError as error:
            raise without_tls(error, self._url) from error
        except HTTPClientError as error:
            raise NoAnswer(f"No answer of {url} came: {type(error).__name__}.") from error
        return _answer(response.status_code, content, url)

    def _post(self, url: str, request: dict[str, Any]) -> Any:
        from botocore.auth import SigV4Auth  # noqa: PLC0415 - as above
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415 - as above

        credentials, region, sender = self.connect()
        headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT}
        signed = AWSRequest("POST", url, headers=headers, data=json.dumps(request).encode())
        SigV4Auth(credentials.get_frozen_credentials(), "execute-api", region).add_auth(signed)
        return sender.send(signed.prepare())


def _answer(status: int, content: bytes, url: str) -> dict[str, Any]:
    """Return a successful answer, or raise what it means: Gatehouse's own has `error`, API Gateway's a `message`."""
    body = parsed(content) or {}
    if status < 300 or "error" in body:  # noqa: PLR2004 - HTTP
        return answer_of(content)
    said = str(body.get("message", body.get("Message", "")))
    if status == 429:  # noqa: PLR2004 - HTTP: throttled before the function ran
        raise NoAnswer(f"API Gateway throttles {url}: {said}", may_have_run=False)
    if status == 413:  # noqa: PLR2004 - HTTP
        raise InvalidRequest(f"The request is too large for API Gateway: {said}")
    if status < 500:  # noqa: PLR2004 - HTTP
        raise refused(status, said, url)
    raise NoAnswer(f"API Gateway answered {status}: {said}")
