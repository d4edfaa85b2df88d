"""Which part of a reference is which bone, and of which side.

Bones are found by what the user picked, then by terminology (SNOMED CT, or the older SRT codes
that DICOM still carries), then by name in English, Latin, French, German, Spanish, Italian,
Portuguese or Dutch, with accents or without. What is not found is reported.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import MeshError
from SSRKDLib.core.messages import Message
from SSRKDLib.core.terminology import BONE_CODES, SIDE_CODES, SIDES

#: Codes of the bones: SNOMED CT, and SRT (DICOM PS3.16).
_CODE_TO_BONE = {
    **{code: bone for bone, code in BONE_CODES.items()},
    "T-12730": "patella", "T-12710": "femur", "T-12750": "fibula", "T-12740": "tibia",
}  # fmt: skip
_CODE_TO_SIDE = {**{code: side for side, code in SIDE_CODES.items()}, "G-A101": "L", "G-A100": "R"}

#: Words that name a bone, and pairs of words that do.
_BONE_WORDS = {
    "patella": "patella patellae patellar kneecap rotula rotule kniescheibe patela knieschijf",
    "femur": "femur femoris femoral fem thighbone femore oberschenkel oberschenkelknochen dijbeen",
    "fibula": "fibula fibulae fibular fib calfbone perone peroneo fibule wadenbein kuitbeen",
    "tibia": "tibia tibiae tibial tib shin shinbone schienbein scheenbeen",
}
_BONE_PAIRS = {
    ("knee", "cap"): "patella", ("thigh", "bone"): "femur", ("calf", "bone"): "fibula",
    ("os", "cruris"): "tibia",
}  # fmt: skip
_WORD_TO_BONE = {word: bone for bone, words in _BONE_WORDS.items() for word in words.split()}
_SIDE_WORDS = {
    "L": "l left lt sin sinister sinistra sinistrum sinistri sinistro gauche links linkes "
    "linker izquierdo izquierda izq",
    "R": "r right rt dex dexter dextra dextrum dextri destro destra droit droite rechts "
    "rechtes rechter derecho derecha",
}
#: Short forms that may mean anything elsewhere than as the last word, or of two letters the first.
_LAST_WORD = {
    "g": "L", "d": "R", "li": "L", "re": "R", "sx": "L", "dx": "R", "der": "R"
}  # fmt: skip
_WORD_TO_SIDE = {word: side for side, words in _SIDE_WORDS.items() for word in words.split()}

#: Words that make of a bone's name that of something else ("rectus femoris").
_OTHER_THINGS = (
    "cartilage cartilages cart cartilago meniscus menisci ligament ligaments lig ligamentum "
    "tendon tendo muscle musculus rectus biceps quadriceps vastus artery arteria vein vena nerve "
    "nervus marrow canal implant component tray insert prosthesis stem head neck caput collum "
    "collateral cruciate retinaculum bursa background skin growth plate physis "
    "ligamento menisco musculo tendini menisque muscle cartilagine meniske knorpel meniskus band "
    "sehne muskel implantat prothese prothesis kopf hals nail screw osteophyte osteophytes "
    "femorotibial femoropatellar artere veine"
)
_NOT_BONE = frozenset(_OTHER_THINGS.split())


class NamedSurface(NamedTuple):
    """A segment, model or file: its ``name``, and any ``codes`` of its terminology.

    Codes may stand alone or anywhere in a longer text, as in the tags of ``.seg.nrrd`` files.
    """

    name: str
    codes: tuple[str, ...] = ()


class NameMatch(NamedTuple):
    """What was found: ``bones`` (bone to name), ``sentences`` that give the reasons where one is
    not, the ``side`` ("L", "R" or None) of names and codes, and ``candidates``: names that match
    one bone equally well, of which none was taken."""

    bones: dict[str, str]
    sentences: tuple[str, ...]
    side: str | None
    candidates: dict[str, tuple[str, ...]]


def match_bones(
    names: Sequence[NamedSurface],
    laterality: str | None = None,
    chosen: Mapping[str, str] | None = None,
) -> NameMatch:
    """Find the bones among named things.

    Args:
        names: the things. Where several match a bone, the one called exactly like it is taken;
            where there is none such, none is.
        laterality: side of the knee that is wanted, "L", "R" or None (unknown). Things of the
            other side are then not considered.
        chosen: bone to name, as picked by the user.

    Raises:
        MeshError: everything is of the other side, the sides of the bones found differ, or a
            pick does not exist.
    """
    chosen = dict(chosen or {})
    _check_chosen(chosen, names)
    known = {item.name: (identify(item), side_of(item)) for item in names}
    bones, candidates, sentences, other_side = {}, {}, [], []
    for bone in BONES:
        if bone in chosen:
            bones[bone] = chosen[bone]
            continue
        matches = [
            name
            for name, (what, _) in known.items()
            if what == bone and name not in chosen.values()
        ]
        fitting = [name for name in matches if _agree(known[name][1], laterality)]
        sided = [name for name in fitting if known[name][1] is not None]
        exact = [name for name in fitting if name.strip().lower() == bone]
        if laterality is not None and len(sided) == 1:
            exact = exact or sided
        best = exact if len(exact) == 1 else fitting
        if len(best) == 1:
            bones[bone] = best[0]
            left = [name for name in fitting if name != best[0]]
            if left:
                sentences.append(
                    Message(
                        "The {bone} is {first}; {others} would match it, too.",
                        bone=bone,
                        first=best[0],
                        others=", ".join(left),
                    )
                )
        elif best:
            candidates[bone] = tuple(best)
            sentences.append(
                Message(
                    "Both {first} and {second} match the {bone}: pick one.",
                    first=best[0],
                    second=best[1],
                    bone=bone,
                )
            )
        elif matches:
            other_side += matches
            sentences.append(
                Message(
                    "The {bone} was found only for the other side ({name}).",
                    bone=bone,
                    name=matches[0],
                )
            )
        else:
            sentences.append(Message("Nothing is named after the {bone}.", bone=bone))
    wrong = [name for name in bones.values() if not _agree(known[name][1], laterality)]
    if wrong or (other_side and not bones and not candidates):
        _refuse(laterality, (wrong or other_side)[0])
    side = _common_side({bone: known[name][1] for bone, name in bones.items()})
    return NameMatch(bones, tuple(sentences), side or laterality, candidates)


def identify(item: NamedSurface) -> str | None:
    """The bone that a thing is by its codes, else by its name; None if none, or several."""
    coded = {bone for code, bone in _CODE_TO_BONE.items() if _has_code(item.codes, code)}
    if coded:
        return coded.pop() if len(coded) == 1 else None
    words = _words(item.name)
    if _NOT_BONE.intersection(words):
        return None
    found = {_WORD_TO_BONE[word] for word in words if word in _WORD_TO_BONE}
    found |= {_BONE_PAIRS[pair] for pair in zip(words, words[1:]) if pair in _BONE_PAIRS}
    return found.pop() if len(found) == 1 else None


def side_of(item: NamedSurface) -> str | None:
    """The side of a thing by its codes, else by its name: "L", "R" or None."""
    coded = {side for code, side in _CODE_TO_SIDE.items() if _has_code(item.codes, code)}
    named = {_WORD_TO_SIDE[word] for word in _words(item.name) if word in _WORD_TO_SIDE}
    last = re.search(r"[\s_.-]([a-z]+)$", item.name.strip().lower())
    words = _words(item.name)
    short = {last[1]} if last else set()
    if len(words) > 1 and len(words[0]) == 2 and words[1] in _WORD_TO_BONE:
        short.add(words[0])
    if not named and identify(item) is not None:
        named = {_LAST_WORD[word] for word in short if word in _LAST_WORD}
    found = coded or named
    return found.pop() if len(found) == 1 else None


def check_sides(reference: str | None, reconstruction: str | None) -> None:
    """Raise :class:`~SSRKDLib.core.errors.MeshError` where one is left and the other right."""
    if not _agree(reference, reconstruction):
        raise MeshError(
            "The reference is a {other_side} knee, the reconstruction a {side} one.",
            "Choose the reference of the same knee.",
            other_side=SIDES[reference],
            side=SIDES[reconstruction],
        )


def _words(name: str) -> list[str]:
    """Lower-case words of a name, without accents: split at anything but letters, and in
    camelCase."""
    words = []
    # An accent follows its letter in this form.
    name = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name):
        word = word.lower()
        # Sides written without a gap: lfemur, femurl, leftfemur.
        sides = () if word in _WORD_TO_BONE else ("l", "r", "left", "right")
        glued = [(side, word[len(side) :]) for side in sides if word.startswith(side)]
        glued += [(side, word[: -len(side)]) for side in sides if word.endswith(side)]
        words += next((pair for pair in glued if pair[1] in _WORD_TO_BONE), (word,))
    return words


def _has_code(texts: Sequence[str], code: str) -> bool:
    pattern = rf"(?<![\w-]){re.escape(code)}(?![\w-])"
    return any(re.search(pattern, text) for text in texts)


def _agree(one: str | None, other: str | None) -> bool:
    return one is None or other is None or one == other


def _check_chosen(chosen: Mapping[str, str], names: Sequence[NamedSurface]) -> None:
    for bone, name in chosen.items():
        if bone not in BONES or name not in {item.name for item in names}:
            raise MeshError(
                "There is no '{name}' to pick as the {bone}.",
                "Pick one that exists.",
                name=name,
                bone=bone,
            )
    twice = [name for name in chosen.values() if list(chosen.values()).count(name) > 1]
    if twice:
        raise MeshError("'{name}' was picked for two bones.", "Pick it for one.", name=twice[0])


def _common_side(sides: Mapping[str, str | None]) -> str | None:
    known = {bone: side for bone, side in sides.items() if side is not None}
    if len(set(known.values())) > 1:
        parts = " and ".join(f"{SIDES[side]} {bone}" for bone, side in known.items())
        raise MeshError(
            "The bones are of both sides ({parts}).", "Pick those of one knee.", parts=parts
        )
    return next(iter(known.values()), None)


def _refuse(laterality: str | None, name: str) -> None:
    side = SIDES[laterality or "L"]
    raise MeshError(
        "A {side} knee is wanted, and '{name}' is of the other side.",
        "Choose the bones of the same knee.",
        side=side,
        name=name,
    )
