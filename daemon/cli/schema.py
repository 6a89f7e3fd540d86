"""`sightd schema`: prints the JSON schema of the configuration file."""

from __future__ import annotations

import argparse

from sightd.daemon.cli.arguments import SubParsers
from sightd.daemon.config.plugin_entries import plugin_configs
from sightd.daemon.config.schema import as_text, config_schema

_EPILOG = """\
examples:
  sightd schema > sightd.schema.json
  sightd schema --installed > sightd.schema.json    including all installed plug-ins

To use it in an editor, write `# yaml-language-server: $schema=./sightd.schema.json` into the first line of your file.
"""


def add(commands: SubParsers) -> None:
    """Declares the command's arguments."""
    parser = commands.add_parser(
        "schema",
        help="print the JSON schema of a configuration file",
        description="Prints the JSON schema of a configuration file, including the options of the built-in plug-ins.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--installed", action="store_true", help="include the plug-ins of other packages")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the schema."""
    print(as_text(config_schema(plugin_configs(others=args.installed))), end="")
    return 0
