"""Every sentence that a user of the Slicer module reads, for translators.

    python -m Testing.sentences SSRKD_de.ts

writes them for Qt's Linguist. The module's own stand as literals in ``_()``, those of the library
in its errors and :class:`~SSRKDLib.core.messages.Message`, those of the panel in its .ui files.
:func:`left_out` finds those that a translator would miss.
"""

from __future__ import annotations

import ast
import re
import string
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from SSRKDLib.core import errors
from Testing.structure.repository import ROOT

#: Rooms of the library whose sentences reach the panel.
ROOMS = (
    "core", "geometry", "images", "surfaces", "radiographs", "ct", "simulation", "weights",
    "models", "reconstruction", "clinical", "evaluation", "planning", "worker",
)  # fmt: skip

#: Documents of their own, in English, and what no person reads.
_DOCUMENTS = {"html_report.py", "report_page.py", "cohort_summary.py", "cohort.py", "server.py"}

#: Text of the module that is no sentence, or data that scripts find things by.
_DATA = re.compile(
    r"<|SSRKD|Lin et al|True |Knee (Bone Rec|frontal|lateral|CT|radiographs \()|--only-binary"
    r"|Fatal Python|file:|label \{|Distances \{|Share \(%\)|3D "
    r"|HD\d* \(mm\)|ASSD|Residual of|Expected error|Distance to reference|all bones"
    r"|\{…\} radiograph with|reconstruction coloured|the plan$"
    r"|[a-z_0-9]+\?$|models in the scene|\{view\} radiograph|\{number\} cm³"
)
_ERRORS = {name for name in vars(errors) if name.endswith("Error")} | {"WorkerError", "kind"}
_OF_PROGRAMMERS = {"ValueError", "OSError", "RuntimeError", "TypeError", "KeyError", "print"}
_PLACEHOLDER = re.compile(r"[a-z][A-Za-z0-9_]*$")


def sentences(root: Path = ROOT) -> dict[str, list[str]]:
    """The keys by the context in which Slicer looks a translation up."""
    found: dict[str, list[str]] = {}
    for path in _modules(root):
        where = _context(path)
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and _name(call.func) == "_":
                found.setdefault(where, []).append(ast.literal_eval(call.args[0]))
    for path in _library(root):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if _speaks(node):
                found.setdefault("SSRKDLib", []).extend(_texts(node))
    for path in sorted((root / "SSRKD" / "Resources" / "UI").glob("*.ui")):
        tree = ET.parse(path).getroot()
        texts = [element.text for element in tree.iter("string") if element.text]
        found.setdefault(tree.findtext("class"), []).extend(texts)
    return {where: list(dict.fromkeys(texts)) for where, texts in found.items()}


def left_out(root: Path = ROOT) -> list[str]:
    """Sentences that no translator would see, or could not use: file, line and why."""
    found = []
    for path in _modules(root):
        found += [f"{path.relative_to(root)}:{what}" for what in left_out_of_module(path)]
    for path in _library(root):
        found += [f"{path.relative_to(root)}:{what}" for what in left_out_of_library(path)]
    for path in sorted((root / "SSRKD" / "Resources" / "UI").glob("*.ui")):
        if 'notr="true"' in path.read_text(encoding="utf-8"):
            found.append(f"{path.relative_to(root)}: a text is marked as not for translation")
    return found


def left_out_of_module(path: Path) -> Iterator[str]:
    """As :func:`left_out`, of a file of the Slicer module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    parents = _parents(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) == "_":
            yield from _misuse(node, parents.get(node))
        elif _is_text(node) and not _is_docstring(node, parents):
            parent = parents.get(node)
            called = _name(parent.func) if isinstance(parent, ast.Call) else ""
            if called in ("_", "translate") or isinstance(
                parent, (ast.JoinedStr, ast.FormattedValue)
            ):
                continue
            text = _text(node)
            shown = isinstance(parent, ast.Assign) and _shows(parent.targets[0])
            if not _DATA.match(text) and (_reads_like_one(text) or shown and text.isalpha()):
                yield f"{node.lineno}: {text!r} is not in _()"


def left_out_of_library(path: Path) -> Iterator[str]:
    """As :func:`left_out`, of a file of the library."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    parents = _parents(tree)
    for node in ast.walk(tree):
        if _speaks(node):
            names = {keyword.arg for keyword in node.keywords if keyword.arg}
            for text in _texts(node):
                wanted = set(_placeholders(text)) if names else set()
                if not wanted <= names:
                    yield f"{node.lineno}: {text!r} lacks values for {sorted(wanted - names)}"
        if not isinstance(node, ast.JoinedStr) or path.name in _DOCUMENTS:
            continue
        calls = _calls_around(node, parents)
        if calls & _OF_PROGRAMMERS or "" in calls:
            continue
        text = _text(node)
        if calls & _ERRORS and "Message" not in calls and "join" not in calls:
            yield f"{node.lineno}: {text!r} is put together before the error gets it"
        elif re.search(r"[a-z] .*[a-z]{2}\.$", text) and "Message" not in calls:
            yield f"{node.lineno}: {text!r} is not a Message"


def _modules(root: Path) -> list[Path]:
    # The self-test speaks to developers.
    return [p for p in sorted((root / "SSRKD").rglob("*.py")) if p.name != "self_test.py"]


def _library(root: Path) -> list[Path]:
    return [path for room in ROOMS for path in sorted((root / "SSRKDLib" / room).rglob("*.py"))]


def _context(path: Path) -> str:
    """As Slicer's ``i18n`` has it: the file, after its folder where that is a package."""
    package = path.parent.name + "." if (path.parent / "__init__.py").is_file() else ""
    return package + path.stem


def _name(function: ast.expr) -> str:
    return getattr(function, "id", getattr(function, "attr", ""))


def _speaks(node: ast.AST) -> bool:
    """Whether a call makes a sentence with a key: an error, or a Message."""
    return isinstance(node, ast.Call) and _name(node.func) in {*_ERRORS, "Message", "Unmeasurable"}


def _texts(call: ast.Call) -> Iterator[str]:
    for argument in call.args:
        for text in _literals(argument):
            if " " in text:
                yield text


def _literals(node: ast.expr) -> Iterator[str]:
    """The texts that an expression of literals may be."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from (*_literals(node.body), *_literals(node.orelse))
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        rights = list(_literals(node.right))
        yield from (left + right for left in _literals(node.left) for right in rights)


def _placeholders(text: str) -> list[str]:
    return [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]


def _misuse(call: ast.Call, parent: ast.AST | None) -> Iterator[str]:
    (key,) = call.args
    if not (isinstance(key, ast.Constant) and isinstance(key.value, str)):
        yield f"{call.lineno}: what stands in _() is no literal"
        return
    names = set(_placeholders(key.value))
    if not all(map(_PLACEHOLDER.match, names)):
        yield f"{call.lineno}: {key.value!r} has placeholders without a name"
    elif names and not (isinstance(parent, ast.Attribute) and parent.attr == "format"):
        yield f"{call.lineno}: {key.value!r} is not given its values"


def _parents(tree: ast.AST) -> dict[ast.AST, ast.AST]:
    return {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}


def _is_text(node: ast.AST) -> bool:
    constant = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return constant or isinstance(node, ast.JoinedStr)


def _is_docstring(node: ast.AST, parents: dict) -> bool:
    return isinstance(parents.get(node), ast.Expr)


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.Constant):
        return node.value
    return "".join(part.value if isinstance(part, ast.Constant) else "{…}" for part in node.values)


def _reads_like_one(text: str) -> bool:
    words = re.sub(r"\{[^}]*\}", "", text)
    sentence = re.search(r"[A-Za-z]\S* \S", text) and re.search(r"[A-Za-z]{2}", words)
    return bool(sentence or re.search(r"[A-Za-z]{2}[.!?:]$", words))


def _shows(target: ast.expr) -> bool:
    return getattr(target, "attr", "") in ("text", "toolTip", "format", "title")


def _calls_around(node: ast.AST, parents: dict) -> set[str]:
    """Names of the calls that a text is an argument of; "" where it is a named value."""
    names, above = set(), parents.get(node)
    while above is not None and not isinstance(above, ast.stmt):
        if isinstance(above, ast.keyword):
            names.add("")
        if isinstance(above, ast.Call):
            names.add(_name(above.func))
        above = parents.get(above)
    return names


def write_ts(path: Path) -> int:
    """Write all keys as Qt's translation source; returns how many."""
    tree = ET.Element("TS", version="2.1")
    for where, texts in sentences().items():
        context = ET.SubElement(tree, "context")
        ET.SubElement(context, "name").text = where
        for text in texts:
            message = ET.SubElement(context, "message")
            ET.SubElement(message, "source").text = text
            ET.SubElement(message, "translation", type="unfinished")
    ET.indent(tree)
    ET.ElementTree(tree).write(path, encoding="utf-8", xml_declaration=True)
    return sum(map(len, sentences().values()))


def main(arguments: list[str]) -> int:
    """Write the file.

    Returns:
        0; 1 where sentences are left out, which are printed; 2 without a file's name.
    """
    if len(arguments) != 1:
        print("Name the file: python -m Testing.sentences SSRKD_de.ts")
        return 2
    missed = left_out()
    print("\n".join(missed) or f"{write_ts(Path(arguments[0]))} sentences are in {arguments[0]}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
