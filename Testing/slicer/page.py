"""Turns a report of :mod:`Testing.slicer.run_in_slicer` into a page for people.

    python -m Testing.slicer.page report.json               # writes report.html beside it
    python -m Testing.slicer.page report.json --markdown    # prints a table, for a job's summary

The page follows ``Docs/first-run.md`` step by step: what must be seen, what the report says of it,
its picture, and a box for what only a person can judge. Needs nothing but Python itself.
"""

from __future__ import annotations

import argparse
import html
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

PROTOCOL = Path(__file__).resolve().parents[2] / "Docs" / "first-run.md"

_HEADING = re.compile(r"^## (\d+)\. (.+)$")
_REPORTED = re.compile(r"^Report: (.+)$")
_MARKS = {"passed": "&#10004;", "failed": "&#10008;", "skipped": "&ndash;"}

_STYLE = """
body { font: 15px/1.45 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; }
img { max-width: 100%; border: 1px solid #999; }
table { border-collapse: collapse; } td, th { border: 1px solid #bbb; padding: .2em .6em; }
.passed { color: #176b2c; } .failed { color: #b00020; } .skipped { color: #666; }
pre { background: #f4f4f4; padding: .6em; overflow: auto; }
"""


@dataclass(frozen=True)
class Instruction:
    """A step of the protocol.

    Attributes:
        number: from 1.
        title: what is done.
        seen: what must be seen, a sentence each.
        reported: names of the steps of a report that prove it; empty where only a person can tell.
    """

    number: int
    title: str
    seen: tuple[str, ...]
    reported: tuple[str, ...]


def read_protocol(path: Path = PROTOCOL) -> list[Instruction]:
    """The numbered steps of ``Docs/first-run.md``."""
    found: list[Instruction] = []
    for block in re.split(r"(?m)^(?=## )", path.read_text(encoding="utf-8")):
        lines = block.splitlines()
        heading = _HEADING.match(lines[0]) if lines else None
        if heading is None:
            continue
        seen = tuple(line[6:] for line in lines if line.startswith("- [ ] "))
        reported = [match for line in lines if (match := _REPORTED.match(line))]
        names = tuple(re.findall(r"`([^`]+)`", reported[0].group(1))) if reported else ()
        found.append(Instruction(int(heading.group(1)), heading.group(2), seen, names))
    return found


def markdown(report: dict) -> str:
    """A table of a report's steps, for the summary of a job."""
    about = ", ".join(f"{key} {value}" for key, value in report["about"].items())
    lines = [about, "", "| step | outcome | seconds | |", "|---|---|---|---|"]
    for step in report["steps"]:
        detail = " ".join(step["detail"].split()).replace("|", "\\|")[:300]
        lines.append(f"| {step['name']} | {step['outcome']} | {step['seconds']} | {detail} |")
    return "\n".join(lines) + "\n"


def page(report: dict, protocol: list[Instruction]) -> str:
    """A report as HTML; pictures are named as they lie beside it."""
    steps = {step["name"]: step for step in report["steps"]}
    rows = "".join(
        f"<tr><th>{html.escape(key)}</th><td>{html.escape(str(value))}</td></tr>"
        for key, value in report["about"].items()
    )
    parts = [f"<h1>SSRKD in 3D Slicer</h1><table>{rows}</table>"]
    for instruction in protocol:
        parts.append(f"<h2>{instruction.number}. {html.escape(instruction.title)}</h2>")
        boxes = "".join(
            f"<li><label><input type='checkbox'> {_inline(sentence)}</label></li>"
            for sentence in instruction.seen
        )
        parts.append(f"<ul style='list-style: none'>{boxes}</ul>")
        parts += [_outcome(steps[name]) for name in instruction.reported if name in steps]
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>SSRKD in 3D Slicer</title>"
        f"<style>{_STYLE}</style><body>{''.join(parts)}</body></html>\n"
    )


def _outcome(step: dict) -> str:
    kind = step["outcome"]
    text = (
        f"<p class='{kind}'>{_MARKS[kind]} <b>{html.escape(step['name'])}</b> {kind} "
        f"({step['seconds']} s). {html.escape(step['title'])}. {html.escape(step['detail'])}</p>"
    )
    if step["traceback"]:
        text += f"<pre>{html.escape(step['traceback'])}</pre>"
    if step["picture"]:
        name = html.escape(step["picture"], quote=True)
        text += f"<a href='{name}'><img src='{name}' alt='{html.escape(step['title'])}'></a>"
    return text


def _inline(sentence: str) -> str:
    text = html.escape(sentence)
    text = re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", text)
    text = re.sub(r"\*([^*]+)\*", r"<i>\1</i>", text)
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text)


def parser() -> argparse.ArgumentParser:
    """Of the command line."""
    made = argparse.ArgumentParser(prog="page", description=__doc__.split("\n")[0])
    made.add_argument("report", type=Path, help="report.json of run_in_slicer")
    made.add_argument("--markdown", action="store_true", help="print a table instead of a page")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Write the page or print the table.

    Returns:
        0; 2 where there is no such report.
    """
    chosen = parser().parse_args(arguments)
    try:
        report = json.loads(chosen.report.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        print(
            f"{chosen.report} is no report of run_in_slicer ({error}). Name the report.json that "
            "it wrote.",
            file=sys.stderr,
        )
        return 2
    if chosen.markdown:
        print(markdown(report), end="")
        return 0
    path = chosen.report.with_suffix(".html")
    path.write_text(page(report, read_protocol()), encoding="utf-8")
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
