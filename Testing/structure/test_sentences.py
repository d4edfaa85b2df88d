"""Every sentence that a user of the module reads can be translated."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from Testing import sentences


def test_no_sentence_is_left_out():
    missed = sentences.left_out()
    assert not missed, 'write InputError("... {name} ...", name=name):\n' + "\n".join(missed)


def test_translators_get_the_sentences_of_panel_module_and_library(tmp_path):
    path = tmp_path / "SSRKD_de.ts"
    assert sentences.main([str(path)]) == 0
    contexts = {
        context.findtext("name"): {one.text for one in context.iter("source")}
        for context in ET.parse(path).getroot()
    }
    assert "Load sample radiographs" in contexts["SSRKD"]  # of the .ui file
    assert "Knee Bone Reconstruction (SSR-KD)" in contexts["SSRKD"]  # of SSRKD.py
    assert "Choose the {view} radiograph first." in contexts["panel.scale_tool"]
    assert "The {bone} was not found." in contexts["SSRKDLib"]
    # Of one error, with and without an end.
    assert any(text.endswith("({count} such gaps).") for text in contexts["SSRKDLib"])


@pytest.mark.parametrize(
    "code, why",
    [
        ('label.toolTip = "Opacity of the bone."', "is not in _()"),
        ('label.text = "Cancel"', "is not in _()"),
        ('label.text = f"The {bone} was not found."', "is not in _()"),
        ("label.text = _(text)", "no literal"),
        ('label.text = _("The {} was not found.").format(bone)', "without a name"),
        ('label.text = _("The {bone} was not found.")', "not given its values"),
        ('label.text = _("The {bone} was not found.").format(bone=bone)', None),
        ('node.SetAttribute("SSRKD.Bone", bone)', None),
    ],
)
def test_a_sentence_of_the_module_that_is_left_out_is_found(tmp_path, code, why):
    path = tmp_path / "module.py"
    path.write_text(f'"""Not for users."""\n{code}\n')
    found = list(sentences.left_out_of_module(path))
    assert (found == []) if why is None else (len(found) == 1 and why in found[0])


@pytest.mark.parametrize(
    "code, why",
    [
        ('raise InputError(f"\'{path}\' is empty.", "Copy it again.")', "put together before"),
        ('notes.append(f"The {bone} was not found.")', "is not a Message"),
        ('raise InputError("\'{path}\' is empty.", "Copy it again.", name=path)', "lacks values"),
        ('raise InputError("\'{path}\' is empty.", "Copy it again.", path=path)', None),
        ('notes.append(Message("The {bone} was not found.", bone=bone))', None),
        ('raise ValueError(f"{kind} is none of the kinds.")', None),
    ],
)
def test_a_sentence_of_the_library_that_is_left_out_is_found(tmp_path, code, why):
    path = tmp_path / "module.py"
    path.write_text(code + "\n")
    found = list(sentences.left_out_of_library(path))
    assert (found == []) if why is None else (len(found) == 1 and why in found[0])
