"""django-oauth-toolkit (PyPI) as it comes: PKCE required, refresh tokens good for one use, and reuse ends the grant.

Reads `{clients: [...]}`, fields of its Application, from the standard input; prints its port. Everybody who comes is
signed in; its own page asks them for their consent.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from django.conf import settings

if TYPE_CHECKING:
    from collections.abc import Callable

_GIVEN = json.load(sys.stdin)
_FOLDER = Path(tempfile.mkdtemp())


def _signed_in(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def middleware(request: Any) -> Any:
        from django.contrib.auth.models import User  # noqa: PLC0415 - models can be imported once Django is set up

        request.user = User.objects.get(username="merchant")
        return get_response(request)

    return middleware


settings.configure(
    SECRET_KEY="a key of a test",
    ALLOWED_HOSTS=["127.0.0.1"],
    DEBUG=False,
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(_FOLDER / "db.sqlite3"),
            "OPTIONS": {"timeout": 20},
        }
    },
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "oauth2_provider",
    ],
    # How a secret is hashed shows in no answer, and the usual way is meant to take long: half a second each time.
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    # Tables as the models are now, instead of as a hundred migrations have made them.
    MIGRATION_MODULES=dict.fromkeys(("auth", "contenttypes", "sessions", "oauth2_provider")),
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        f"{__name__}._signed_in",
    ],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    OAUTH2_PROVIDER={
        "ACCESS_TOKEN_EXPIRE_SECONDS": 3600,
        "PKCE_REQUIRED": True,
        "ROTATE_REFRESH_TOKEN": True,
        "REFRESH_TOKEN_GRACE_PERIOD_SECONDS": 0,
        "REFRESH_TOKEN_REUSE_PROTECTION": True,
        "SCOPES": {"read": "Read orders", "write": "Write orders"},
        **_GIVEN.get("settings", {}),
    },
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402 - as above
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import JsonResponse  # noqa: E402
from django.urls import include, path  # noqa: E402
from oauth2_provider.models import Application  # noqa: E402
from oauth2_provider.views.generic import ProtectedResourceView  # noqa: E402


class _Me(ProtectedResourceView):  # type: ignore[misc]  # Django comes without types
    """Names the account of a token."""

    def get(self, request: Any) -> JsonResponse:
        """Answer the bearer of a valid token."""
        return JsonResponse({"name": request.resource_owner.username})


urlpatterns = [path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")), path("me", _Me.as_view())]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Log nothing."""


def main() -> None:
    """Create the tables, the person and the clients, and serve."""
    logging.disable(logging.CRITICAL)
    call_command("migrate", run_syncdb=True, verbosity=0)
    user = User.objects.create(username="merchant")
    for client in _GIVEN["clients"]:
        Application.objects.create(user=user, **client)
    with make_server("127.0.0.1", 0, get_wsgi_application(), server_class=_Server, handler_class=_Quiet) as server:
        print(server.server_port, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
