"""A self-signed certificate for 127.0.0.1, made with openssl as an operator would."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def self_signed(folder: Path) -> dict[str, str]:
    """Creates a certificate and its key in the folder and returns the `tls:` options. Skips the test if openssl is
    missing."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not on the PATH: no certificate can be made")
    pair = {"certificate": str(folder / "certificate.pem"), "key": str(folder / "key.pem")}
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [*command, *names, "-keyout", pair["key"], "-out", pair["certificate"]], check=True, capture_output=True
    )
    return pair
