"""What one signs in with: an application with a secret and a certificate, and a user with a password.

Made once for a state directory and written to sandbox.json.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from crosstie.sandbox.database import Database
from crosstie.sandbox.dynamics.generate import fixed_id
from crosstie.sandbox.tls import write_private

TENANT_ID = fixed_id("tenant")
TENANT_DOMAIN = "acme.example"


class Credentials(msgspec.Struct, frozen=True):
    """The secrets of a state directory."""

    client_id: str
    client_secret: str
    key_id: str
    username: str
    password: str

    def __repr__(self) -> str:
        return f"Credentials(client_id={self.client_id!r})"


@dataclass(frozen=True, slots=True)
class Certificate:
    """The application's certificate, with the files of its private key and of itself."""

    key_file: Path
    file: Path

    @property
    def der(self) -> bytes:
        """The certificate as assertions' thumbprints are taken of it."""
        return x509.load_pem_x509_certificate(self.file.read_bytes()).public_bytes(serialization.Encoding.DER)

    @property
    def thumbprint(self) -> bytes:
        """SHA-1 of it: customKeyIdentifier of the application's manifest, x5t of an assertion."""
        return hashlib.sha1(self.der, usedforsecurity=False).digest()

    def public_key(self) -> rsa.RSAPublicKey:
        """What assertions are verified with."""
        key = x509.load_pem_x509_certificate(self.file.read_bytes()).public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            raise ValueError(f"{self.file} does not hold the sandbox's RSA certificate. Remove it to make a new one.")
        return key


def load_credentials(database: Database) -> Credentials:
    """The credentials of this state directory, made on the first start."""
    kept = database.setting("credentials")
    if kept is not None:
        return msgspec.convert(kept, Credentials)
    made = Credentials(
        client_id=fixed_id("application"),
        client_secret=f"kX8Q~{secrets.token_urlsafe(28)}",
        key_id=fixed_id("key"),
        username=f"sync@{TENANT_DOMAIN}",
        # A password with what breaks careless form encoding.
        password=f"p&ss=w+ö {secrets.token_hex(4)}%",
    )
    database.keep_setting("credentials", msgspec.to_builtins(made))
    return made


def load_certificate(state_dir: Path) -> Certificate:
    """The certificate of this state directory, made on the first start."""
    found = Certificate(state_dir / "dynamics_key.pem", state_dir / "dynamics_certificate.pem")
    if found.key_file.exists() and found.file.exists():
        return found
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Crosstie sandbox application")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_private(found.file, certificate.public_bytes(serialization.Encoding.PEM))
    write_private(found.key_file, pem)
    return found


def ways_to_sign_in(known: Credentials, certificate: Certificate) -> list[dict[str, Any]]:
    """Each flow with what it needs. The private key is there as a file, and in base64 as a manifest's users keep it."""
    return [
        {"flow": "client_secret", "client_id": known.client_id, "client_secret": known.client_secret},
        {
            "flow": "certificate",
            "client_id": known.client_id,
            "private_key_file": str(certificate.key_file),
            "certificate_file": str(certificate.file),
            "private_key": base64.b64encode(certificate.key_file.read_bytes()).decode(),
            "custom_key_identifier": base64.b64encode(certificate.thumbprint).decode(),
            "key_id": known.key_id,
        },
        {
            "flow": "password",
            "client_id": known.client_id,
            "username": known.username,
            "password": known.password,
        },
    ]
