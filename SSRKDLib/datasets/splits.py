"""Who is trained on and who is evaluated: ``info.json``.

``train``, ``eval`` and ``test`` contain labelled cases, ``unlabeled`` the others (the published
names). People are dealt out, not knees: both knees of a person are in one split, or one of them in
none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from SSRKDLib.core.errors import InputError
from SSRKDLib.core.input_files import beginning, json_or_none, read_json
from SSRKDLib.core.output_folder import write_into
from SSRKDLib.core.output_manifest import ResultKind
from SSRKDLib.datasets.case_folder import CaseFolder, is_case_name

INFO = "info.json"
SPLITS = ("train", "unlabeled", "eval", "test")


@dataclass(frozen=True)
class Knee:
    """One case, as far as dealing it out goes; ``side`` "L", "R" or None, ``sex`` any word."""

    case_id: str
    person: str
    labelled: bool
    side: str | None = None
    sex: str | None = None


def make_splits(
    knees: Iterable[Knee], seed: int, eval_share: float = 0.1, test_share: float = 0.2
) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """Deal cases out.

    Labelled people are sorted by sex and sides, at random among equals, and every n-th of them is
    taken for ``test``, then for ``eval``: each part has its share of every group, to within one
    person. The order of ``knees`` does not matter.

    Args:
        knees: all cases.
        seed: of the randomness.
        eval_share, test_share: of the labelled people; at least one each where the share is not
            0 and one is left to train on.

    Returns:
        Sorted case names by split, and the cases left out: those without labels of people who
        also have a labelled one.

    Raises:
        InputError: shares that leave nothing to train on.
    """
    if min(eval_share, test_share) < 0 or eval_share + test_share >= 1:
        raise InputError(
            f"Shares of {eval_share:g} and {test_share:g} leave nothing to train on.",
            "Give two shares of at least 0 whose sum is below 1.",
        )
    people: dict[str, list[Knee]] = {}
    for knee in sorted(knees, key=lambda knee: knee.case_id):
        people.setdefault(knee.person, []).append(knee)
    labelled = {
        person: [knee for knee in own if knee.labelled]
        for person, own in people.items()
        if any(knee.labelled for knee in own)
    }

    def place(person: str) -> tuple[str, str, str]:
        own = labelled[person]
        sexes = {knee.sex for knee in own if knee.sex}
        sides = "".join(sorted(knee.side or "?" for knee in own))
        chance = hashlib.sha256(f"{seed} {person}".encode()).hexdigest()
        return "/".join(sorted(sexes)), sides, chance

    order = sorted(labelled, key=place)
    wanted = {"test": round(test_share * len(order)), "eval": round(eval_share * len(order))}
    chosen: dict[str, list[str]] = {}
    for split, share in (("test", test_share), ("eval", eval_share)):
        count = min(max(wanted[split], int(share > 0)), len(order) - 1)
        every = [order[int((n + 0.5) * len(order) / count)] for n in range(count)]
        chosen[split] = every
        order = [person for person in order if person not in set(every)]
    chosen["train"] = order
    splits = {
        split: sorted(knee.case_id for person in chosen[split] for knee in labelled[person])
        for split in chosen
    }
    unlabelled = [knee for own in people.values() for knee in own if not knee.labelled]
    splits["unlabeled"] = sorted(k.case_id for k in unlabelled if k.person not in labelled)
    left_out = tuple(sorted(k.case_id for k in unlabelled if k.person in labelled))
    return {split: splits[split] for split in SPLITS}, left_out


def finished_knees(processed: Path) -> list[Knee]:
    """The cases that this project has prepared in a folder, by name."""
    knees = []
    for path in sorted(processed.iterdir()) if processed.is_dir() else ():
        # A name with a dot in front is a case that was interrupted.
        if path.name.startswith(".") or not path.is_dir() or not CaseFolder(path).finished:
            continue
        record = CaseFolder(path).record()
        knees.append(
            Knee(
                path.name,
                str(record.get("person") or path.name),
                bool(record.get("labelled")),
                record.get("side"),
                record.get("sex"),
            )
        )
    return knees


def _earlier(folder: Path) -> Collection[str]:
    """A file as earlier versions wrote it, not one that somebody edited."""
    data = json_or_none(folder / INFO)
    ours = isinstance(data, dict) and tuple(data)[: len(SPLITS)] == SPLITS
    text = json.dumps(data, indent=1) + "\n"
    return (INFO,) if ours and beginning(folder / INFO, len(text) + 1) == text.encode() else ()


#: What ``prepare`` writes, beside the folders of the cases.
PREPARED_CASES = ResultKind("prepared cases", _earlier)


def write_info(processed: Path, splits: dict[str, list[str]], failed: Sequence[str] = ()) -> None:
    """Write ``info.json`` beside the cases: the splits and, under ``failed``, the cases that could
    not be prepared and are in none of them.

    Raises:
        OutputError: it cannot be written, or was changed since this program wrote it.
    """
    content = {**splits, "failed": list(failed)} if failed else splits
    write_into(processed, PREPARED_CASES, INFO, json.dumps(content, indent=1) + "\n")


def read_info(processed: str | Path) -> dict[str, list[str]]:
    """The splits, from beside the cases or, as the published code has it, one folder above.

    Splits that are absent come out empty.

    Raises:
        InputError: there is no such file, it is damaged, a name of a case is none, or a case is in
            two splits.
    """
    processed = Path(processed)
    path = next((p for p in (processed / INFO, processed.parent / INFO) if p.is_file()), None)
    if path is None:
        raise InputError(f"There is no {INFO} in {processed}.", "Run prepare, or add it.")
    try:
        data = read_json(path, InputError, "Run prepare again.")
        splits = {split: list(data.get(split, [])) for split in SPLITS}
        every = [case for cases in splits.values() for case in cases]
        if any(isinstance(data[split], str) for split in SPLITS if split in data):
            raise ValueError("a split is a list of cases")
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({error}).", "Run prepare again.") from error
    for case in every:
        if not is_case_name(case):
            raise InputError(
                f"{path}: {case!r} cannot name a case.", "Use letters, digits, _, -, + and ."
            )
    twice = sorted({case for case in every if every.count(case) > 1})
    if twice:
        raise InputError(f"{path} has {twice[0]} in two splits.", "Leave it in one.")
    return splits
