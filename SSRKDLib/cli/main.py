"""The command line: ``python -m SSRKDLib <command>``.

Exit codes: 0 done; 1 something failed that is not the input's fault; 2 the input cannot be used
(one line with cause and remedy); 130 cancelled. Nothing here imports torch; commands import what
they need when they run.
"""

from __future__ import annotations

import argparse
import inspect
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Sequence

from SSRKDLib import __version__
from SSRKDLib.cli import (
    compare,
    demo,
    doctor,
    evaluate,
    plan,
    prepare,
    reconstruct,
    rig,
    simulate,
    weights,
    worker,
)
from SSRKDLib.core.errors import Cancelled, InputError, SSRKDError, describe_unexpected
from SSRKDLib.core.log_text import shortened
from SSRKDLib.core.progress import ProgressLine
from SSRKDLib.core.system_errors import of_the_system

COMMANDS = (
    reconstruct, compare, plan, evaluate, rig, simulate, prepare, weights, doctor, demo, worker
)  # fmt: skip

OK, FAILED, BAD_INPUT, CANCELLED = 0, 1, 2, 130


class _Parser(argparse.ArgumentParser):
    """Mistakes in the command line are bad input like any other: one line, exit code 2."""

    def error(self, message: str) -> None:
        message = message[:1].upper() + message[1:].rstrip(".")
        raise InputError(f"{message}.", f"See: {self.prog} --help")


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = _Parser(
        prog="python -m SSRKDLib",
        description=(
            "Bone surfaces of the knee from two radiographs. For research, not for diagnosis."
        ),
    )
    parser.add_argument("--version", action="version", version=f"SSRKD {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(subparsers)
    for chosen in subparsers.choices.values():
        chosen.add_argument("--verbose", action="store_true", help="report each step on stderr")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: what follows ``python -m SSRKDLib``; default: the process's own.

    Returns:
        The exit code, see the module's text. Every error is one line on stderr.

    Raises:
        SystemExit: for ``--help`` and ``--version`` (code 0).
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    try:
        if any(argument == "" or re.fullmatch("--[a-z-]+=", argument) for argument in argv):
            raise InputError(
                "One of the arguments is empty.",
                "Give a path or a value; a variable of your script may be unset.",
            )
        arguments = build_parser().parse_args(argv)
        with ProgressLine(arguments.verbose) as line:
            # Commands that take long accept a progress callback; the others need none.
            takes_long = "progress" in inspect.signature(arguments.run).parameters
            code = arguments.run(arguments, **({"progress": line.show} if takes_long else {}))
        sys.stdout.flush()
        return code
    except InputError as error:
        return _fail(error, BAD_INPUT)
    except (KeyboardInterrupt, Cancelled):
        return _fail("Cancelled.", CANCELLED)
    except SSRKDError as error:
        return _fail(error, FAILED)
    except BrokenPipeError:
        # Who reads our output (head, less) has seen enough. Python would complain once more when
        # it flushes stdout at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        told = of_the_system(error)
        if told is not None:
            return _fail(told, BAD_INPUT if isinstance(told, InputError) else FAILED)
        return _fail(f"{describe_unexpected(error)} {_log(argv)}", FAILED)


def _fail(what: object, code: int) -> int:
    prefix = "" if code == CANCELLED else "error: "
    print(f"{prefix}{what}", file=sys.stderr)
    return code


def _log(argv: Sequence[str]) -> str:
    """Keep the traceback of the current exception; returns a sentence with its path."""
    text = f"SSRKD {__version__}, Python {sys.version}\n{list(argv)}\n\n{traceback.format_exc()}"
    text = shortened(text, argv)
    try:
        handle, path = tempfile.mkstemp(prefix="ssrkd-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        print(text, file=sys.stderr)
        return "No log could be written; the details are above."
    return f"The details are in {path}, without your files' names; please report them."
