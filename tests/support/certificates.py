"""A self-signed certificate for 127.0.0.1, made with openssl as an operator would."""

from __future__ import annotations

import shutil
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization


def self_signed(folder: Path, days: int = 30) -> dict[str, str]:
    """Creates a certificate, valid for `days`, and its key in the folder and returns the `tls:` options. Skips the test
    if openssl is missing."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, so no certificate can be created")
    pair = {"certificate": str(folder / "certificate.pem"), "key": str(folder / "key.pem")}
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", str(days), "-subj", "/CN=127.0.0.1"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [*command, *names, "-keyout", pair["key"], "-out", pair["certificate"]], check=True, capture_output=True
    )
    return pair


def valid_until(end: datetime, pair: dict[str, str]) -> None:
    """Replaces the certificate of `self_signed` with one that its key signs and that expires at `end`."""
    path = Path(pair["certificate"])
    old = x509.load_pem_x509_certificate(path.read_bytes())
    key = serialization.load_pem_private_key(Path(pair["key"]).read_bytes(), None)
    builder = x509.CertificateBuilder(old.issuer, old.subject, old.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(end - timedelta(days=90)).not_valid_after(end)
    signed = builder.sign(key, hashes.SHA256())  # type: ignore[arg-type]  # RSA
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
