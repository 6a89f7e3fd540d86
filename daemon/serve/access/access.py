"""Access control state shared by both servers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Literal

from sightd.daemon.config.model import Access as Options
from sightd.daemon.serve.access.login_throttle import LoginThrottle
from sightd.daemon.serve.access.principals import PeerRoles, TokenStore
from sightd.engines.log_throttle import LogThrottle

log = logging.getLogger(__name__)

Server = Literal["http", "rtsp"]
Reason = Literal["missing", "wrong", "limited", "role", "foreign", "invalid"]
"""Why a request is rejected: no token; a wrong token; too many wrong tokens before; the token's role is insufficient; a
page or program that must not reach this machine; a Host header that cannot be parsed."""
Refused = Callable[[str, Reason], None]


class Access:
    """The tokens and the record of failed logins. Thread-safe. `count` is called with the server's name and the
    reason."""

    def __init__(
        self, options: Options, count: Refused = lambda _server, _reason: None, peers: PeerRoles | None = None
    ) -> None:
        """`peers` decides which users of this machine may use the control socket."""
        self.peers = peers or PeerRoles()
        self.tokens = options.tokens
        self.token_store = TokenStore(options.tokens)
        self.login_throttles: Mapping[Server, LoginThrottle] = {"http": LoginThrottle(), "rtsp": LoginThrottle()}
        self._count = count
        self._throttle = LogThrottle()

    def refused(self, server: Server, address: str, reason: Reason, guess: str | None = None) -> None:
        """Counts a rejected request. A wrong token or password (`guess`, if readable) throttles the address sooner, and
        is logged at a limited rate."""
        self._count(server, reason)
        if reason == "wrong":
            self.login_throttles[server].failed(address, guess)
            if self._throttle.add():
                log.warning("%s: wrong token or password from %s", server, address)
