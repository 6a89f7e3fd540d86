"""Apprise's services, made of URLs. Imports Apprise, so only for processes of their own: `python -m` this module reads
a JSON list of URLs and prints, as a JSON list, which of them Apprise can use."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from apprise import Apprise, AppriseAsset


def apprise_service(url: str) -> Apprise | None:
    """Returns what sends to one URL; None if Apprise does not understand it.

    What Apprise does unasked is off: it follows no redirects, and adds no pictures from its authors' web site. Nothing
    is stored on disk.
    """
    asset = AppriseAsset(
        app_id="sightd", app_desc="sightd", app_url="", image_url_mask="", image_url_logo="", http_redirects=False,
        async_mode=False, pgp_autogen=False, pem_autogen=False, storage_mode="memory", service_timeout=0,
        allow_templates=False, interpret_escapes=False,
    )  # fmt: skip
    service = Apprise.instantiate(url, asset=asset)
    if service is None:
        return None
    sender = Apprise(asset=asset)
    sender.add(service)
    return sender


def main() -> None:
    """Checks the URLs on standard input."""
    logging.disable(logging.CRITICAL)  # Apprise's messages quote URLs
    urls: list[Any] = json.load(sys.stdin)
    json.dump([apprise_service(url) is not None for url in urls], sys.stdout)


if __name__ == "__main__":
    main()
