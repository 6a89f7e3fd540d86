"""The process of a `sightd` command: `python -m sightd.daemon`, and the script that pip installs.

Imported by these only: until the command runs, Ctrl-C ends the process at once and without a traceback. While it runs,
SIGTERM and SIGHUP end it as Ctrl-C does: temporary files are removed and child processes end. A second one ends it at
once. `sightd run` has handlers of its own.
"""

import signal

_INTERRUPTIBLE = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not in a shell's background
if _INTERRUPTIBLE:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys  # noqa: E402 — nothing that takes time is imported before the lines above

from sightd.daemon import streams  # noqa: E402


def main() -> int:
    """Runs the command that the arguments name and returns its exit code; see `daemon.cli.main`."""
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
    return code


def _run() -> int:
    from sightd.daemon import cli

    try:
        if _INTERRUPTIBLE:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if sys.argv[1:2] != ["run"]:  # systemd takes an exit by SIGTERM itself, and no exit code, for a clean stop
            _exit_on(signal.SIGTERM, signal.SIGHUP)
        return cli.main()
    except KeyboardInterrupt:
        return 130
    except SystemExit as stop:  # argparse's
        return stop.code if isinstance(stop.code, int) else 1


def _exit_on(*numbers: signal.Signals) -> None:
    """Leaves alone what the caller had ignored, as nohup does."""
    for number in numbers:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _exit)


def _exit(number: int, _frame: object) -> None:
    signal.signal(number, signal.SIG_DFL)
    raise SystemExit(128 + number)


def _end_at_once_if_interrupted() -> None:
    """All is done: a signal must not show where the interpreter is while it ends."""
    if _INTERRUPTIBLE:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is _exit:
            signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main())
