"""What Slicer's Python can import once the module is loaded from a checkout."""

from __future__ import annotations

import subprocess
import sys

from Testing.structure.repository import ROOT

#: Slicer without the extension's library: what SSRKD.py imports of it, and no installed packages.
CODE = """
import sys, types
for name in ("slicer", "slicer.i18n", "slicer.ScriptedLoadableModule"):
    sys.modules[name] = types.ModuleType(name)
slicer = sys.modules["slicer"]
slicer.app = types.SimpleNamespace(connect=lambda *arguments: None)
sys.modules["slicer.i18n"].tr = sys.modules["slicer.i18n"].translate = lambda *texts: texts[-1]
base = sys.modules["slicer.ScriptedLoadableModule"]
for name in ("", "Logic", "Test", "Widget"):
    made = type(f"ScriptedLoadableModule{name}", (), {"__init__": lambda self, parent: None})
    setattr(base, made.__name__, made)
base.ScriptedLoadableModule.parent = types.SimpleNamespace()

sys.path.append(sys.argv[1])
before, imported = list(sys.path), set(sys.modules)
import SSRKD
assert not [name for name in set(sys.modules) - imported if name.startswith("SSRKDLib")]
SSRKD.SSRKD(None)
assert "SSRKDLib" not in sys.modules, "loaded before it is needed"
from SSRKDLib.core import errors
import SSRKDLib.core.anatomy
assert sys.path == before, sys.path
for name in ("Testing", "Training"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    raise AssertionError(f"{name} can be imported")
print(errors.__file__)
"""


def test_the_library_is_found_in_a_checkout_and_nothing_else_of_it(tmp_path):
    command = [sys.executable, "-S", "-E", "-c", CODE, str(ROOT / "SSRKD")]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert made.stdout.strip() == str(ROOT / "SSRKDLib" / "core" / "errors.py"), made.stderr
