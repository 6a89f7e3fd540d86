"""A viewer in its own process, so that a test can stop or kill it; prints a line once it plays."""

from __future__ import annotations

import sys

from tests.daemon.serve.numbered import player

if __name__ == "__main__":
    with player(sys.argv[1], sys.argv[2]) as frames:
        for count, _ in enumerate(frames):
            if count == 3:
                sys.stdout.write("playing\n")
                sys.stdout.flush()
