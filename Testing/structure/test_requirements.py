"""What ``make setup`` installs is pinned, by version and by hash, and the audit reads it right."""

from __future__ import annotations

import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from Testing import audit
from Testing.structure.repository import ROOT

tomllib = pytest.importorskip("tomllib")

FILES = sorted((ROOT / "requirements").glob("*.txt"))
TORCH = {"torch"}


def names_in(name: str) -> set[str]:
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return {canonicalize_name(found) for found in re.findall(r"(?m)^([\w.-]+)==", text)}


def names_of(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in requirements}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_pinned_package_has_hashes(path):
    entries = re.split(r"(?m)^(?=[\w])", path.read_text(encoding="utf-8"))[1:]
    assert entries
    for entry in entries:
        pattern = r"[\w.-]+==\S+( ; [^\n]+)? \\\n(    --hash=sha256:[0-9a-f]{64}( \\)?\n)+"
        assert re.fullmatch(pattern, entry), entry[:80]


def test_a_user_a_trainer_and_a_tester_get_what_the_project_names():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    user, training, test = (names_in(name) for name in ("user", "training", "test"))
    assert names_of(project["dependencies"]) - TORCH <= user
    assert names_of(extras["training"]) <= user | training
    assert names_of(extras["test"]) <= user | training | test
    assert not user & training
    assert not (user | training) & test
    assert TORCH == names_in("torch-cpu") <= names_in("torch")


def test_the_audit_finds_a_version_in_lists_and_in_ranges(tmp_path):
    def advisory(name, entry):
        text = f"id: {name}\naffected:\n- package: {{ecosystem: PyPI, name: Lib_A}}\n  {entry}\n"
        # As the databases write it, with the name on a line of its own.
        text = text.replace(
            "{ecosystem: PyPI, name: Lib_A}", "\n    ecosystem: PyPI\n    name: Lib_A"
        )
        (tmp_path / f"{name}.yaml").write_text(text)

    ended = "events: [{introduced: '0'}, {fixed: 1.9}, {introduced: 2.0}, {fixed: 2.1.10}]"
    advisory("listed", "versions: [2.1.9]")
    advisory("between", f"ranges: [{{type: ECOSYSTEM, {ended}}}]")
    advisory(
        "last", "ranges: [{type: ECOSYSTEM, events: [{introduced: 1.0}, {last_affected: 2.1.9}]}]"
    )
    advisory("fixed", "ranges: [{type: ECOSYSTEM, events: [{introduced: '0'}, {fixed: 2.1.9}]}]")
    advisory("other", "versions: ['2.1']")
    for name, pinned in (("one", "lib.a==2.1.9 \\\n"), ("two", "Lib_A==3.0 ; x\nother==1\n")):
        (tmp_path / f"{name}.txt").write_text(pinned)
    packages = audit.pinned(tmp_path)
    assert packages == {"lib-a": {Version("2.1.9"), Version("3.0")}, "other": {Version("1")}}
    read = list(audit.read_advisories(tmp_path, packages))
    assert len(read) == 5
    found = {one["id"]: audit.affected(one, packages) for one in read}
    hit = {("lib-a", Version("2.1.9"))}
    assert found == {
        "listed": hit, "between": hit, "last": hit, "fixed": set(), "other": set(),
    }  # fmt: skip
