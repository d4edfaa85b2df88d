"""The panel in another language."""

from __future__ import annotations

import subprocess
import sys

from Testing.bench.pseudo_language import pseudo
from Testing.module.cases import ROOT


def test_pseudo_language_changes_letters_only():
    assert pseudo("About {seconds:.0f} s (from <b>one</b> run).").count("{seconds:.0f}") == 1
    assert "<b>" in pseudo("<b>one</b>") and "one" not in pseudo("<b>one</b>")
    assert len(pseudo("Reconstruct")) >= 1.3 * len("Reconstruct")


def test_pseudo_language_fits_into_the_panel(tmp_path):
    """In a process of its own: a language is chosen before a module is loaded."""
    command = [sys.executable, "-m", "Testing.module.pseudo_pictures", "-o", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing is cut" in done.stdout


def test_pseudo_language_says_what_the_library_says(module, monkeypatch):
    from SSRKDLib.core.errors import MeshError
    from SSRKDLib.core.messages import Message
    from SSRKDSlicer.scene import words

    german = {
        "The {bone} of the {what} is empty.": "Die {bone} in {what} ist leer.",
        "Leave it out.": "Weglassen.",
        "the reference": "der Vorlage",
    }
    monkeypatch.setattr(words, "translate", lambda context, text: german.get(text, text))
    monkeypatch.setitem(words._WORDS, "patella", "Kniescheibe")
    error = MeshError(
        "The {bone} of the {what} is empty.", "Leave it out.", bone="patella",
        what=Message("the reference"),
    )  # fmt: skip
    assert words.errorText(error) == "Die Kniescheibe in der Vorlage ist leer. Weglassen."
    assert words.said("Never translated {1}.") == "Never translated {1}."
