"""`sightd token`: generates a token for `access.tokens`."""

from __future__ import annotations

import argparse
import secrets

from sightd.daemon.cli.arguments import SubParsers

_BYTES = 32
_EPILOG = """\
example:
  install -m 600 /dev/stdin /etc/sightd/wall.token < <(sightd token)

and in the configuration:
  access:
    tokens:
      wall: {role: view, token: "${file:/etc/sightd/wall.token}"}

roles: view (images, state, metrics, events), operate (also faces), admin (everything)
"""


def add(commands: SubParsers) -> None:
    """Declares the command's arguments."""
    parser = commands.add_parser(
        "token",
        help="generate an access token",
        description="Prints a new token of 256 random bits. The token is not stored; write it to a file that "
        "only the service can read.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)


def run(_args: argparse.Namespace) -> int:
    """Prints a token."""
    print(secrets.token_urlsafe(_BYTES))
    return 0
