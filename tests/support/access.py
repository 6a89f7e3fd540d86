"""Access control without tokens, the default for servers on the loopback."""

from __future__ import annotations

from sightd.daemon.config.model import Access as Options
from sightd.daemon.serve.auth import Access

NO_TOKENS = Access(Options())
