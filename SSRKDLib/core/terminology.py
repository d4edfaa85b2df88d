"""What bones and sides are called: in words, and in the codes of SNOMED CT.

Source: DICOM PS3.16, CID 7184 and CID 244.
"""

from __future__ import annotations

#: SNOMED CT code of each bone.
BONE_CODES = {
    "patella": "64234005",
    "femur": "71341001",
    "fibula": "87342007",
    "tibia": "12611008",
}

#: SNOMED CT code of each side.
SIDE_CODES = {"L": "7771000", "R": "24028007"}

#: The list of 3D Slicer itself, and the module's, which names what that one lacks; the latter is
#: in SSRKD/Resources/Terminologies.
MASTER_LIST = "Segmentation category and type - DICOM master list"
OWN_LIST = "Segmentation category and type - Knee bones (SSR-KD)"

#: Bones that are not in 3D Slicer's :data:`MASTER_LIST`.
_NOT_IN_MASTER_LIST = {"tibia"}

#: Each side in words.
SIDES = {"L": "left", "R": "right"}


def slicer_entry(bone: str, laterality: str | None) -> str:
    """A bone as 3D Slicer writes it: list, category, type, modifier, no region.

    Args:
        bone: one of :data:`~SSRKDLib.core.anatomy.BONES`.
        laterality: "L", "R" or None (unknown: no modifier).
    """
    context = OWN_LIST if bone in _NOT_IN_MASTER_LIST else MASTER_LIST
    side = f"SCT^{SIDE_CODES[laterality]}^{SIDES[laterality].capitalize()}" if laterality else "^^"
    return (
        f"{context}~SCT^123037004^Anatomical Structure"
        f"~SCT^{BONE_CODES[bone]}^{bone.capitalize()}"
        f"~{side}"
        "~Anatomic codes - DICOM master list~^^~^^"
    )
