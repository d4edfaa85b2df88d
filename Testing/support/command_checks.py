"""What tests of the command line share."""

from __future__ import annotations

from pathlib import Path

from SSRKDLib.cli import main as cli


def tree(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder, with contents."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def refused(arguments: list, capsys, *words: str) -> None:
    """The command must end with 2 and one sentence that holds the words."""
    assert cli.main([str(argument) for argument in arguments]) == cli.BAD_INPUT
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1 and shown.err.endswith("\n")
    for word in words:
        assert word in shown.err
