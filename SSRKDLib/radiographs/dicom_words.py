"""What people and devices write for a side or a view into the tags of a DICOM radiograph.

Source: DICOM PS3.3 C.8.7.5 and PS3.16 CID 4010 (views), CID 244 (laterality), and what files hold.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from SSRKDLib.core.bone_names import NamedSurface, side_of

#: Key of a view -> SNOMED CT and SNOMED RT codes (CID 4010), then words.
_VIEWS = {
    "AP": ("399348003", "R10206", "AP", "ANTEROPOSTERIOR", "ANTERIORPOSTERIOR"),
    "PA": ("272479007", "R10214", "PA", "POSTEROANTERIOR", "POSTERIORANTERIOR"),
    "LL": ("399173006", "R10236", "LL", "LLAT", "LEFTLATERAL", "LATERALLEFT"),
    "RL": ("399198007", "R10232", "RL", "RLAT", "RIGHTLATERAL", "LATERALRIGHT"),
    "ML": ("399260004", "R10224", "ML", "MEDIOLATERAL", "MEDIALLATERAL"),
    "LM": ("399352003", "R10228", "LM", "LATEROMEDIAL", "LATERALMEDIAL"),
    "LATERAL": ("LAT", "LATERAL", "LATERALPROJECTION", "PROFIL", "PROFILE", "SEITLICH",
                "LATERALE", "LATERALES", "XTABLE", "CROSSTABLE"),
}  # fmt: skip
_VIEW_KEY = {word: key for key, words in _VIEWS.items() for word in words}
#: Words that name the plane only; radiographs from the front are mostly AP.
_FRONTAL = {"FRONTAL", "FACE", "FRONTALE", "ANTERIOR"}
#: Views of a knee that are neither frontal nor lateral.
_OTHER = re.compile(r"OBL|LLO|RLO|LLD|RLD|SUNRISE|MERCHANT|SKYLINE|TANGENTIAL|AXIAL|NOTCH|TUNNEL")

_SIDES = {
    "L": "L LT LEFT LI LINKS GAUCHE G IZQUIERDA IZQUIERDO IZQ SINISTRA SINISTRO SX",
    "R": "R RT RIGHT RE RECHTS DROITE DROIT D DERECHA DERECHO DER DESTRA DESTRO DX",
    "B": "B BOTH BILATERAL BEIDE BEIDSEITS BILATERALE",
}
_SIDE_KEY = {word: side for side, words in _SIDES.items() for word in words.split()}


def _words(text: str) -> list[str]:
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return re.findall(r"[A-Z]+", plain.upper())


def view_key(text: str) -> str | None:
    """AP, PA, LL, RL, ML, LM or LATERAL of a code or of words such as "LAT STANDING"; None where
    they name no view of these, or two."""
    whole = _VIEW_KEY.get("".join(c for c in text.upper() if c.isalnum()))
    if whole is not None or _OTHER.search(text.upper()):
        return whole
    # One letter apart, as in "A-P": "KNEE A P".
    words = _words(re.sub(r"\b([A-Za-z])\W([A-Za-z])\b", r"\1\2", text))
    found = {_VIEW_KEY[word] for word in words if word in _VIEW_KEY}
    found |= {"AP"} if _FRONTAL & set(words) and "PA" not in found else set()
    if len(found) > 1:  # "mediolateral" says more than "lateral"
        found -= {"LATERAL"} if found <= {"LATERAL", "ML", "LM", "LL", "RL"} else set()
    return found.pop() if len(found) == 1 else None


def side_key(text: str) -> str:
    """L, R, B (both) or "" of a laterality tag."""
    found = {_SIDE_KEY[word] for word in _words(text) if word in _SIDE_KEY}
    return found.pop() if len(found) == 1 else ""


def side_in_words(texts: Sequence[str], codes: Sequence[str] = ()) -> str:
    """L, R or "" of codes (CID 244), else of descriptions, in which single letters mean nothing."""
    coded = {side_of(NamedSurface("", (code,))) for code in codes} - {None}
    if len(coded) == 1:
        return coded.pop()
    words = {
        word for text in texts for word in _words(text) if len(word) > 3 or word in ("LT", "RT")
    }
    found = {_SIDE_KEY[word] for word in words if word in _SIDE_KEY} & {"L", "R"}
    return found.pop() if len(found) == 1 else ""
