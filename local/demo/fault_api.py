"""`/_demo/...`: the fault switches and the record, for tests in other processes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from local.demo.dialect import json_answer
from local.demo.faults import FaultError, Faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from werkzeug.wrappers import Request, Response

    from local.demo.faults import FaultBook
    from local.demo.grants import Grants
    from local.demo.observation import Ledger

PREFIX = "/_demo/"
_LOOPBACK = frozenset({"localhost", "127.0.0.1"})


class FaultApi:
    """Faults, requests, grants and secrets over HTTP."""

    def __init__(self, faults: FaultBook, ledger: Ledger, grants: Grants) -> None:
        """Set the faults of one server, and read what it saw."""
        self._faults = faults
        self._ledger = ledger
        self._grants = grants
        self._operations: dict[str, Callable[[Request], object]] = {
            "GET faults": lambda _: self._in_force(),
            "PUT faults": self._put_faults,
            "DELETE faults": self._clear_faults,
            "GET requests": lambda _: ledger.requests(),
            "DELETE requests": self._clear_requests,
            "GET grants": lambda _: self.grants(),
            "DELETE grants": self._withdraw,
            "GET secrets": lambda _: ledger.secrets(),
        }

    def answer(self, request: Request) -> Response:
        """Answer a request below `/_demo/`."""
        # A page of another site can resolve its own name to 127.0.0.1; it cannot choose the Host header.
        if urlsplit(f"//{request.host}").hostname not in _LOOPBACK:
            return _refused(403, "host: must be a loopback address")
        operation = self._operations.get(f"{request.method} {request.path.removeprefix(PREFIX)}")
        if operation is None:
            return _refused(404, f"path: known are {', '.join(self._operations)}")
        try:
            return json_answer(operation(request))
        except FaultError as error:
            return _refused(400, str(error))

    def grants(self) -> list[dict[str, object]]:
        """Return every grant, with how many of its token requests were ever open at once."""
        most = self._ledger.most_simultaneous()
        return [grant | {"max_simultaneous": most.get(str(grant["grant_id"]), 0)} for grant in self._grants.summary()]

    def _put_faults(self, request: Request) -> object:
        try:
            document = json.loads(request.get_data())
        except ValueError:
            raise FaultError("document: not JSON") from None
        documents = document if isinstance(document, list) else [document]
        self._faults.put(*(Faults.from_document(each) for each in documents))
        return self._in_force()

    def _clear_faults(self, _: Request) -> object:
        self._faults.clear()
        return self._in_force()

    def _clear_requests(self, _: Request) -> object:
        self._ledger.clear()
        return self._ledger.requests()

    def _withdraw(self, request: Request) -> object:
        self._grants.withdraw(request.args.get("merchant_id"))
        return self.grants()

    def _in_force(self) -> object:
        return [faults.document() for faults in self._faults.in_force()]


def _refused(status: int, message: str) -> Response:
    return json_answer({"error": message}, status)
