"""The bones' terms are in lists that Slicer has."""

from __future__ import annotations

import numpy as np
import pytest

from SSRKDLib.core.anatomy import BONES, COLOURS
from SSRKDLib.core.terminology import OWN_LIST, slicer_entry


@pytest.mark.parametrize("side", ["L", "R"])
def test_terminology_is_in_lists_that_slicer_has(module, slicer, side):
    """Each entry is found by its codes in the list that it names; the module's own has all four."""
    logic = slicer.modules.terminologies.logic()
    for bone in BONES:
        entry = slicer.vtkSlicerTerminologyEntry()
        assert logic.DeserializeTerminologyEntry(slicer_entry(bone, side), entry)
        parts = entry.GetCategoryObject(), entry.GetTypeObject(), entry.GetTypeModifierObject()
        codes = [(part.GetCodingSchemeDesignator(), part.GetCodeValue()) for part in parts]
        for wanted in (entry.GetTerminologyContextName(), OWN_LIST):
            assert logic.FindTerminologyNames(*sum(codes, ()), [wanted]) == (wanted,)


def test_terminology_of_the_module_has_the_colours_of_the_bones(module, slicer):
    logic, category = slicer.modules.terminologies.logic(), slicer.vtkSlicerTerminologyCategory()
    assert logic.GetNthCategoryInTerminology(OWN_LIST, 0, category)
    assert logic.GetNumberOfTypesInTerminologyCategory(OWN_LIST, category) == len(BONES)
    for index, bone in enumerate(BONES):
        kind, side = slicer.vtkSlicerTerminologyType(), slicer.vtkSlicerTerminologyType()
        assert logic.GetNthTypeInTerminologyCategory(OWN_LIST, category, index, kind)
        assert logic.GetNthTypeModifierInTerminologyType(OWN_LIST, category, kind, 1, side)
        assert (kind.GetCodeMeaning(), side.GetCodeMeaning()) == (bone.capitalize(), "Right")
        for coloured in (kind, side):
            colour = np.array(coloured.GetRecommendedDisplayRGBValue()) / 255
            assert np.allclose(colour, COLOURS[bone], atol=0.003)
