"""``python -m SSRKDLib``: see :mod:`SSRKDLib.cli.main`."""

from __future__ import annotations

import argparse
import os
import signal
import sys


def _end(number: int, frame: object) -> None:
    """Unwind as for an exception, so that working folders are removed on the way out."""
    raise SystemExit(128 + number)


def _open_closed_streams() -> None:
    """Give the process those of its three streams that its caller closed, on nothing: the files
    that it opens would get their numbers, and what is printed would end in one of them."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            number = os.open(os.devnull, os.O_RDWR)  # the lowest that is free: the stream's own
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8"))


def _main() -> int:
    try:
        from SSRKDLib.cli.main import main
    except ImportError as error:  # of numpy or scipy: there are no commands then, but one
        if sys.argv[1:2] == ["doctor"]:
            from SSRKDLib.cli import doctor

            return doctor.run(argparse.Namespace(folder=(*sys.argv[2:], ".")[0]))
        reason = " ".join(str(error).split())[:160]
        print(
            f"error: A package does not load ({reason}). See: python -m SSRKDLib doctor",
            file=sys.stderr,
        )
        return 1
    # Names that the terminal's or the file's encoding does not have are written all the same.
    sys.stdout.reconfigure(errors="backslashreplace")
    return main()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    # The terminal was closed; where nohup has the signal ignored, it stays so.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, _end)
    _open_closed_streams()
    try:
        code = _main()
    except KeyboardInterrupt:  # before the command began
        print("Cancelled.", file=sys.stderr)
        code = 130
    sys.exit(code)
