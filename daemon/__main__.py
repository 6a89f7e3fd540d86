"""Entry point of the `sightd` command: `python -m sightd.daemon` and the script that pip installs.

Imported by nothing else: until the command runs, Ctrl-C ends the process at once, without a traceback. While it runs,
SIGTERM and SIGHUP end it the way Ctrl-C does: temporary files are removed and child processes end. A second signal ends
it at once. `sightd run` installs its own handlers.
"""

import os
import signal

_INTERRUPTIBLE = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # false if run in a shell's background
if _INTERRUPTIBLE:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys  # noqa: E402 — nothing slow may be imported before the lines above

from sightd.daemon.common import streams  # noqa: E402


def main() -> int:
    """Runs the command named by the arguments and returns its exit code; see `daemon.cli.main.main`. `sightd run` ends
    the process instead of returning: whatever a plug-in or library left running, such as a thread that never ends,
    would keep the interpreter from exiting."""
    streams.prepare()
    try:
        code = _run()
        streams.finish()
    except streams.OutputError as error:
        streams.discard_output()
        code = 1
        if not error.reader_left:
            print(error, file=sys.stderr)  # noqa: T201
    finally:
        _end_at_once_if_interrupted()
    if sys.argv[1:2] == ["run"]:
        os._exit(code)
    return code


def _run() -> int:
    from sightd.daemon.cli.main import main as run_command

    try:
        if _INTERRUPTIBLE:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if sys.argv[1:2] != ["run"]:  # systemd counts death by SIGTERM as a clean stop, but not an exit code
            _exit_on(signal.SIGTERM, signal.SIGHUP)
        return run_command()
    except KeyboardInterrupt:
        return 130
    except SystemExit as stop:  # raised by argparse
        return stop.code if isinstance(stop.code, int) else 1


def _exit_on(*numbers: signal.Signals) -> None:
    """Installs the handler unless the caller ignored the signal, as nohup does."""
    for number in numbers:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _exit)


def _exit(number: int, _frame: object) -> None:
    signal.signal(number, signal.SIG_DFL)
    raise SystemExit(128 + number)


def _end_at_once_if_interrupted() -> None:
    """Restores the default handlers once all work is done, so that a signal at interpreter exit prints no traceback."""
    if _INTERRUPTIBLE:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is _exit:
            signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main())
