"""The door under TLS, as a Twisted endpoint string opens it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from twisted.internet import reactor as installed_reactor
from twisted.internet.endpoints import SSL4ClientEndpoint
from twisted.internet.ssl import CertificateOptions

from .case import AcceptanceCase
from .phone import DIALECTS, connect
from .program import HOST

reactor: Any = installed_reactor


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """A new key and its self-signed certificate, valid for an hour, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "llamaproxy")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    key_file, certificate_file = folder / "key.pem", folder / "certificate.pem"
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    certificate_file.write_bytes(certificate.public_bytes(Encoding.PEM))
    return key_file, certificate_file


class TLSTests(AcceptanceCase):
    async def test_client_that_offers_http_2_is_served_over_http_1(self) -> None:
        key, certificate = write_certificate(self.home.path)
        await self.serve(
            "--listen", f"ssl:{self.home.port}:interface={HOST}:privateKey={key}:certKey={certificate}"
        )
        options = CertificateOptions(acceptableProtocols=[b"h2", b"http/1.1"])
        text = "." * 100_000
        for dialect in DIALECTS:
            phone = await connect(SSL4ClientEndpoint(reactor, HOST, self.home.port, options))
            phone.ask(dialect, "hello")
            (await self.upstream.call()).answer(*[text] * 20)
            self.assertEqual(dialect.text(await phone.response()), text * 20)
            self.assertEqual(cast(Any, phone.transport).negotiatedProtocol, b"http/1.1")
