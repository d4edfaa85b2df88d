"""Damage to a file, drawn at random: to its bytes, to numbers and words in its text, to values of
JSON, to lengths of DICOM elements, to members of an archive."""

from __future__ import annotations

import io
import json
import random
import re
import zipfile

_NUMBERS = [
    "0", "-1", "1e-37", "1e30", "1e308", "nan", "inf", "999999999", "2147483648", "4294967295",
    "9223372036854775807", "1e999", "",
]  # fmt: skip
_VALUES = [
    None, True, [], {}, "", -1, 0, 1e308, float("nan"), 10**30, "x" * 300, [[1]], {"a": 1},
    "../../../etc/passwd", [0] * 7000,
]  # fmt: skip
_WORDS = [b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80"]


def damaged(content: bytes, rng: random.Random) -> bytes:
    """The content with one to four kinds of damage."""
    kinds = [_flip, _flip, _word, _cut, _repeat, _remove, _swap, _number]
    if content[:1] in b"{[":
        kinds = [_json, _json, _json, _number, _cut]
    elif content[128:132] == b"DICM":
        kinds += [_element] * 6
    elif content[:2] == b"PK":
        kinds += [_member] * 6
    for _ in range(rng.choice((1, 1, 2, 4))):
        content = rng.choice(kinds)(content, rng)
    return content


def _place(content: bytes, rng: random.Random) -> int:
    """Mostly in the header."""
    end = len(content) if rng.random() < 0.4 else min(len(content), 600)
    return rng.randrange(max(1, end))


def _flip(content: bytes, rng: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(rng.choice((1, 3, 20))):
        if data:
            data[_place(data, rng)] = rng.randrange(256)
    return bytes(data)


def _word(content: bytes, rng: random.Random) -> bytes:
    n = _place(content, rng)
    return content[:n] + rng.choice(_WORDS) + content[n + 4 :]


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(1, max(2, len(content)))]


def _repeat(content: bytes, rng: random.Random) -> bytes:
    n, length = _place(content, rng), rng.choice((1, 8, 200))
    return content[:n] + content[n : n + length] * rng.choice((2, 50)) + content[n + length :]


def _remove(content: bytes, rng: random.Random) -> bytes:
    n = _place(content, rng)
    return content[:n] + content[n + rng.choice((1, 8, 200)) :]


def _swap(content: bytes, rng: random.Random) -> bytes:
    a, b = sorted((_place(content, rng), _place(content, rng)))
    return content[:a] + content[b : b + 16] + content[a + 16 : b] + content[a : a + 16]


def _number(content: bytes, rng: random.Random) -> bytes:
    found = list(re.finditer(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?", content[:20_000]))
    if not found:
        return _flip(content, rng)
    one = rng.choice(found)
    return content[: one.start()] + rng.choice(_NUMBERS).encode() + content[one.end() :]


def _json(content: bytes, rng: random.Random) -> bytes:
    try:
        data = json.loads(content)
    except ValueError:
        return _flip(content, rng)
    places = list(_entries(data)) if isinstance(data, (dict, list)) else []
    if places:
        where, key = rng.choice(places)
        if rng.random() < 0.2:
            del where[key]
        else:
            where[key] = rng.choice(_VALUES)
    return json.dumps(data).encode()


def _entries(data):
    for key in list(data) if isinstance(data, dict) else range(len(data)):
        yield data, key
        if isinstance(data[key], (dict, list)):
            yield from _entries(data[key])


def _element(content: bytes, rng: random.Random) -> bytes:
    """Length, kind or value of an element of explicit VR."""
    found = list(re.finditer(rb"[\x00-\x54]\x00[\x00-\xff]{2}[A-Z]{2}", content[132:4000]))
    if not found:
        return _flip(content, rng)
    n = 132 + rng.choice(found).start()
    kind = rng.choice((b"SQ", b"DS", b"US", b"FL", b"UN", b"OW", b"PN", b"AT", b"IS", b"UT"))
    change = rng.choice(("kind", "length", "value"))
    if change == "kind":
        return content[: n + 4] + kind + content[n + 6 :]
    if change == "length":
        return content[: n + 6] + rng.choice(_WORDS)[: rng.choice((2, 4))] + content[n + 8 :]
    return content[: n + 8] + rng.randbytes(4) + content[n + 12 :]


def _member(content: bytes, rng: random.Random) -> bytes:
    """One member of an archive damaged, the archive itself sound."""
    made = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
            names = old.namelist()
            chosen = rng.choice(names)
            for name in names:
                data = old.read(name)
                new.writestr(name, _word(_flip(data, rng), rng) if name == chosen else data)
    except Exception:  # it was damaged before
        return _flip(content, rng)
    return made.getvalue()
