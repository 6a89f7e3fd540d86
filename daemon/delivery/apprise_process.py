"""The process that calls Apprise for a sink: one that hangs can be ended, and no message of Apprise, which may quote a
URL, gets anywhere.

Reads lines of JSON: first a list of URLs; then objects with `target` (index of a URL), `title`, `body` and `attach` (a
path, or null). Answers the list with a list of which URLs can be used, and each object with one that has `ok` and, of a
failure, `status` (of HTTP, or null) and `offline` (whether the service could not be reached).
"""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import Any

from sightd.daemon.config.apprise_urls import apprise_service

_STATUS = re.compile(r"\berror[ =:]+(\d{3})\b", re.IGNORECASE)
_OFFLINE = re.compile(r"connection|connect to|timed? ?out|unreachable", re.IGNORECASE)


def main() -> None:
    """Serves until standard input ends."""
    logging.getLogger().addHandler(logging.NullHandler())
    logging.lastResort = None
    answers, sys.stdout = sys.stdout, sys.stderr
    services = [apprise_service(url) for url in json.loads(sys.stdin.readline())]
    _write(answers, [service is not None for service in services])
    for line in sys.stdin:
        request = json.loads(line)
        _write(answers, _sent(services[request["target"]], request))


def _sent(service: Any, request: dict[str, Any]) -> dict[str, Any]:
    if service is None:
        return {"ok": False, "status": None, "offline": False}
    result = service.notify(body=request["body"], title=request["title"], body_format="text", attach=request["attach"])
    if result:
        return {"ok": True}
    messages = [entry.message for entry in result.logs()]
    statuses = [int(found[1]) for message in messages if (found := _STATUS.search(message))]
    return {
        "ok": False,
        "status": statuses[0] if statuses else None,
        "offline": any(_OFFLINE.search(message) for message in messages),
    }


def _write(answers: Any, answer: object) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
