"""Brings up the bench; fails a test on faults that Slicer would print and forget.

Where the machine lacks libraries that the bench needs, every test of this room is skipped.
"""

from __future__ import annotations

import ast
import sys
import types
from pathlib import Path

import pytest

from Testing import bench, system_packages
from Testing.bench import check
from Testing.module import remembering_worker

_MISSING = check.missing_system_packages()
_SKIPPED = bool(_MISSING) and not system_packages.demanded()

# Test modules say ``import qt``, so the bench must be up before they are collected.
try:
    _SLICER = None if _SKIPPED else bench.boot()
except RuntimeError as missing:
    pytest.exit(str(missing), returncode=1)


class _Skipped(pytest.Item):
    """A test whose module cannot be imported without the bench."""

    def runtest(self):
        pytest.skip(f"{system_packages.LACKING}{', '.join(_MISSING)}")


class _NotImported(pytest.File):
    """A test module of which only the names of the tests are read, so that they are counted."""

    def collect(self):
        for node in ast.parse(self.path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
                yield _Skipped.from_parent(self, name=node.name)


def pytest_pycollect_makemodule(module_path, parent):
    """Import a test module only where the bench is up."""
    return _NotImported.from_parent(parent, path=module_path) if _SKIPPED else None


MODULE = Path(__file__).resolve().parents[2] / "SSRKD" / "SSRKD.py"


@pytest.fixture(scope="session")
def booted():
    """The package ``slicer``, once in a run."""
    return _SLICER


@pytest.fixture(autouse=True)
def slicer(booted):
    """The package ``slicer`` with an empty scene; nothing may have gone wrong unseen."""
    from Testing.bench import application, dicom, faults
    from Testing.bench.pythonqt import Inside

    booted.mrmlScene.Clear(0)
    Inside(booted.app.layoutManager()).reset()
    booted.app.settings().clear()
    dicom.forget_instances()
    faults.take()
    yield booted
    application.settle()
    unseen = faults.take()
    assert not unseen, "went wrong unseen:\n" + "\n".join(unseen)


@pytest.fixture(scope="session")
def module(booted):
    """The module SSRKD, loaded as at Slicer's start-up."""
    loaded = bench.load_module(MODULE)
    bench.start_up()
    yield loaded
    worker_of(loaded).stop()


@pytest.fixture(scope="session")
def remembered(tmp_path_factory):
    """Where the worker keeps what it reconstructed, see ``remembering_worker.py``."""
    return tmp_path_factory.mktemp("remembered")


@pytest.fixture(autouse=True)
def _remembering(request, slicer, monkeypatch, remembered):
    """The module's worker remembers; one that a test starts itself (``worker``) does not."""
    if "module" in request.fixturenames and "worker" not in request.fixturenames:
        request.getfixturevalue("module")
        from SSRKDSlicer.worker import worker_client  # a reload makes it anew

        program = worker_client.workerCommand()[0]
        command = [program, "-m", remembering_worker.__name__, str(remembered)]
        monkeypatch.setattr(worker_client, "workerCommand", lambda: command)


@pytest.fixture
def afresh(remembered):
    """For a test that needs the worker at work: it computes what it may have computed before."""
    (remembered / remembering_worker.FORGETFUL).touch()
    yield
    (remembered / remembering_worker.FORGETFUL).unlink()


def worker_of(module):
    """The worker that the module's panel and its scripts share."""
    return module.sharedWorker()


def keep_worker(monkeypatch):
    """Let the worker live when the module is closed."""
    current = sys.modules["SSRKD"]  # a reload, which some test does, makes it anew
    monkeypatch.setattr(current, "stopSharedWorker", lambda: None)


@pytest.fixture
def panel(module, slicer, monkeypatch):
    """The open panel: the object of class SSRKDWidget. Its worker goes on from test to test, which
    saves each of them some seconds."""
    keep_worker(monkeypatch)
    yield bench.open_module("SSRKD")
    bench.shut_down_module("SSRKD")


@pytest.fixture
def dialogs(slicer, monkeypatch):
    """Records messages and questions of ``slicer.util``; set ``dialogs.answer``."""
    from Testing.bench.dialogs import Dialogs

    recorder = Dialogs()
    recorder.install(monkeypatch)
    return recorder


@pytest.fixture
def core(panel, slicer):
    """The inner object of a panel whose sections are all open."""
    from Testing.bench import user

    for name in ("modelSection", "ctSection", "installationSection"):
        user.click(getattr(panel.ui, name))
    for name in ("scaleGroup", "logGroup", "displayGroup"):
        getattr(panel.ui, name).collapsed = False
    slicer.app.processEvents()
    return panel.panel


@pytest.fixture
def there(monkeypatch):
    """Names of the packages that Slicer's Python is made to have; none to begin with."""
    from SSRKDSlicer.worker import installation

    names = set()
    monkeypatch.setattr(
        installation, "installedVersion", lambda name: "2.13" if name in names else None
    )
    return names


@pytest.fixture
def extension(there, monkeypatch):
    """What the PyTorch extension was asked to do; it installs PyTorch unless told to fail."""
    calls = []

    class Logic:
        fails = None

        def installTorch(self, askConfirmation=False, torchVersionRequirement=None):
            calls.append(("install", askConfirmation, torchVersionRequirement))
            if Logic.fails:
                raise RuntimeError(Logic.fails)
            if Logic.fails is None:
                there.add("torch")

        def uninstallTorch(self):
            calls.append("uninstall")
            there.discard("torch")

    module = types.ModuleType("PyTorchUtils")
    module.PyTorchUtilsLogic = Logic
    monkeypatch.setitem(sys.modules, "PyTorchUtils", module)
    return types.SimpleNamespace(calls=calls, Logic=Logic)
