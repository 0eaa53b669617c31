"""What it costs that every request to a provider makes its own connection, over TLS, on one machine."""

from __future__ import annotations

import ssl
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from urllib3 import HTTPSConnectionPool

from benchmarks.measure import in_turn, say
from benchmarks.scenes import Playing

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.measure import Compared
    from benchmarks.scenes import Scene

_PAIRS = 200


def handshake(scene: Scene, folder: Path) -> Compared:
    """Measure a token request on a connection of its own, beside one on a connection that was kept."""
    certificate = _certificate(folder / "server.pem")
    trust = ssl.create_default_context(cafile=certificate)
    with Playing(scene.answers(), certificate) as playing:
        port = int(playing.url.rpartition(":")[2])

        def ask(pool: HTTPSConnectionPool) -> float:
            began = time.perf_counter()
            assert pool.request("POST", "/rest/v2/oauth/token", body=b"grant_type=refresh_token").status == 200
            return time.perf_counter() - began

        def new() -> HTTPSConnectionPool:
            return HTTPSConnectionPool("127.0.0.1", port, ssl_context=trust, retries=False)

        def ask_on_new_connection() -> float:
            with new() as pool:
                return ask(pool)

        with new() as kept:
            found = in_turn(ask_on_new_connection, lambda: ask(kept), _PAIRS)
    say(f"a token request on its own connection: {found.ours_ms - found.other_ms:.2f} ms more, without the network")
    return found


def _certificate(path: Path) -> Path:
    """Write a key, and the certificate that it has signed itself, of a server at 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    signed = builder.add_extension(address, critical=False).sign(key, SHA256())
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(plain + signed.public_bytes(Encoding.PEM))
    return path
