"""``make test`` on a machine that lacks libraries, with stand-ins for apt-get and sudo."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from Testing import system_packages
from Testing.bench import check
from Testing.structure.repository import ROOT

#: Loaded by pytest before any test: a machine that lacks one library, which the bench needs.
LACKING = """
from Testing import system_packages
from Testing.bench import check
check.LIBRARIES = {"libnot-there.so.7": ("libnot7",)}
check._has_fonts = lambda: True
system_packages.PROGRAMS = {}
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine that lacks the program ``notcmake``; what apt-get and sudo were asked is noted."""
    programs = tmp_path / "programs"
    programs.mkdir()
    said = tmp_path / "said.txt"

    def put(name: str, script: str) -> None:
        path = programs / name
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    def lines() -> list[str]:
        return said.read_text(encoding="utf-8").splitlines() if said.is_file() else []

    note = f'echo "$(basename "$0") $*" >> "{said}"'
    copy = f'case "$*" in *"install --yes"*) cp "$0" "{programs}/notcmake";; esac'
    monkeypatch.setattr(system_packages, "PROGRAMS", {"notcmake": "not-cmake"})
    monkeypatch.setattr(check, "missing_system_packages", list)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}/bin{os.pathsep}/usr/bin")
    monkeypatch.delenv("CI", raising=False)
    which = system_packages.shutil.which
    monkeypatch.setattr(
        system_packages.shutil, "which",
        lambda name: which(name, path=str(programs)),
    )  # fmt: skip
    return SimpleNamespace(put=put, lines=lines, note=note, apt=f"{note}\n{copy}")


def as_user(monkeypatch, number: int) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: number)


def test_root_on_debian_gets_what_is_missing_and_is_told(machine, monkeypatch, capfd):
    as_user(monkeypatch, 0)
    machine.put("apt-get", machine.apt)
    assert system_packages.main() == 0
    assert [line.split()[-1] for line in machine.lines()] == ["update", "not-cmake"]
    assert "installing not-cmake with apt-get" in capfd.readouterr().out
    assert system_packages.main() == 0  # nothing is missing any more
    assert capfd.readouterr().out == ""
    assert len(machine.lines()) == 2


def test_sudo_is_used_where_it_asks_for_no_password(machine, monkeypatch):
    as_user(monkeypatch, 1000)
    machine.put("apt-get", machine.apt)
    machine.put("sudo", f'{machine.note}\nshift\n[ "$1" = true ] || exec env "$@"')
    assert system_packages.main() == 0
    assert [line.split()[0] for line in machine.lines()] == [
        "sudo", "sudo", "apt-get", "sudo", "apt-get",
    ]  # fmt: skip


@pytest.mark.parametrize("sudo", [None, "exit 1"])
def test_without_leave_to_install_the_line_to_type_is_told(machine, monkeypatch, capfd, sudo):
    as_user(monkeypatch, 1000)
    machine.put("apt-get", machine.apt)
    if sudo:
        machine.put("sudo", sudo)
    assert system_packages.main() == 0
    assert machine.lines() == []
    out = capfd.readouterr().out
    assert "sudo apt-get update && sudo apt-get install --yes not-cmake\n" in out
    assert "are skipped, all others run" in out
    monkeypatch.setenv("CI", "true")
    assert system_packages.main() == 1


def test_an_installation_that_fails_is_said(machine, monkeypatch, capfd):
    as_user(monkeypatch, 0)
    machine.put("apt-get", "echo no route to the mirror\nexit 100")
    assert system_packages.main() == 0
    out = capfd.readouterr().out
    assert "update' failed:\n    no route to the mirror\n" in out
    assert "still missing: not-cmake" in out


def test_tests_of_the_bench_are_skipped_counted_and_explained(tmp_path):
    (tmp_path / "lacking.py").write_text(LACKING, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    # Not a test of its own run, as its environment may say.
    for name in ("CI", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER"):
        environment.pop(name, None)
    # What Testing/conftest.py takes from there, without its import of torch.
    plugins = ["-p", "lacking", "-p", "Testing.system_packages", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "-q", *plugins, "--confcutdir=Testing/module"]
    command += ["Testing/module/test_samples.py"]
    made = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    assert "5 skipped" in made.stdout
    *_, explained, line, _ = made.stdout.splitlines()
    assert explained.startswith("5 tests were skipped: they need libnot7.")
    assert line == f"    {system_packages.command(['libnot7'])}"
