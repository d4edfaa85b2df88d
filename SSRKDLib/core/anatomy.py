"""The four bones, in the order and with the labels of the SSR-KD paper."""

from __future__ import annotations

#: Bone names; label ``k + 1`` belongs to ``BONES[k]``, label 0 is background.
BONES: tuple[str, ...] = ("patella", "femur", "fibula", "tibia")

#: Label of each bone in label maps, official weights and case files.
LABELS: dict[str, int] = {bone: index + 1 for index, bone in enumerate(BONES)}

#: Display colours (sRGB, 0..1), distinguishable with the common colour vision deficiencies
#: (Okabe and Ito's palette).
COLOURS: dict[str, tuple[float, float, float]] = {
    "patella": (0.90, 0.62, 0.00),
    "femur": (0.34, 0.71, 0.91),
    "fibula": (0.80, 0.47, 0.65),
    "tibia": (0.00, 0.62, 0.45),
}
