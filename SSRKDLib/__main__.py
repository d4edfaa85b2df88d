"""``python -m SSRKDLib``: see :mod:`SSRKDLib.cli.main`."""

from __future__ import annotations

import signal
import sys

from SSRKDLib.cli.main import main


def _end(number: int, frame: object) -> None:
    """Unwind as for an exception, so that working folders are removed on the way out."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    # The terminal was closed; where nohup has the signal ignored, it stays so.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, _end)
    sys.exit(main())
