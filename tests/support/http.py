"""HTTP without TLS. By default httpx loads all CA certificates before each request, even without TLS: 40 ms of CPU,
which a test that polls 20 times a second takes from the daemon it observes."""

from __future__ import annotations

import functools
import ssl

import httpx

_VERIFY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
get = functools.partial(httpx.get, verify=_VERIFY)
post = functools.partial(httpx.post, verify=_VERIFY)
delete = functools.partial(httpx.delete, verify=_VERIFY)
