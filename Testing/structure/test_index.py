"""The checks of the Extensions Index pass, each fails where it should, and the address is one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest

from Testing import index
from Testing.address import PLACEHOLDER, address, main, raw, write_address
from Testing.structure.repository import ROOT, repository_files

NEW = "https://github.com/knee-lab/Slicer-Knees"


@pytest.mark.parametrize("name", index.CHECKS)
def test_the_index_would_take_the_extension(name):
    assert index.CHECKS[name](ROOT) == []


@pytest.fixture
def checkout(tmp_path):
    """A git checkout of the few files that the checks read."""
    names = ("SSRKD.json", "SSRKD.s4ext", "CMakeLists.txt", "LICENSE.txt", "README.md", "SSRKD.png")
    for name in names:
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "Docs" / "pictures").mkdir(parents=True)
    for url in re.findall(r"Docs/pictures/[\w-]+\.png", (ROOT / "CMakeLists.txt").read_text()):
        (tmp_path / url).touch()
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=tmp_path, check=True)
    return tmp_path


def change(path, before: str, after: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after), encoding="utf-8")


@pytest.mark.parametrize(
    ("check", "name", "before", "after", "words"),
    [
        ("json and schema", "SSRKD.json", '"tier": ', '"tier": 7', "1 to 5"),
        ("json and schema", "SSRKD.json", '"tier"', '"teer"', "does not know"),
        ("json and schema", "SSRKD.json", '"build_subdirectory": "."', '"enabled": 1', "bool"),
        ("category", "SSRKD.json", "Tomographic Reconstruction", "Knees", "Knees"),
        ("names", "SSRKD.json", "/Slicer", "/Knee", "does not begin with Slicer"),
        ("project", "CMakeLists.txt", "project(SSRKD)", "project(Knee)", "Knee"),
        ("icon and screenshots", "CMakeLists.txt", "/main/SSRKD.png", "/main/no.png", "no.png"),
        ("icon and screenshots", "SSRKD.json", '"main"', '"release"', "branch"),
        ("licence", "README.md", "MIT", "free", "does not name"),
        ("dependencies", "SSRKD.json", '"PyTorch"', '"Torch"', "something else"),
    ],
)
def test_each_check_fails_where_it_should(checkout, check, name, before, after, words):
    assert index.CHECKS[check](checkout) == []
    change(checkout / name, before, after)
    assert words in " ".join(index.CHECKS[check](checkout))


def test_a_clone_is_counted_with_its_history(checkout):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c"]
    large = checkout / "weights.bin"
    sizes = []
    for number in (1, 2):
        large.write_bytes(bytes(range(256)) * 10 + ROOT.joinpath("SSRKD.png").read_bytes() * number)
        subprocess.run([*git, "add", "-A"], cwd=checkout, check=True)
        subprocess.run([*git, "commit", "-qm", "weights"], cwd=checkout, check=True)
        sizes.append(index.clone_size(checkout))
    files = sum(path.stat().st_size for path in repository_files(checkout))
    assert sizes[0] < sizes[1]
    assert sizes[1] > files + 5000


def test_dicom_studies_with_radiographs_suggest_the_extension():
    rule = json.loads((ROOT / "SSRKD.json").read_text())["dicom_support_rule"]
    for modality, expected in (("CR", True), ("DX", True), ("XA", True), ("MR", False)):
        # The rules' language agrees with Python's in what is used here.
        assert eval(rule, {"Modality": modality, "SOPClassUID": ""}) is expected, modality


def test_the_address_is_written_everywhere_at_once(checkout):
    old = address(checkout)
    changed = write_address(NEW, checkout)
    assert {"CMakeLists.txt", "README.md", "SSRKD.json", "SSRKD.s4ext"} <= set(changed)
    assert address(checkout) == NEW
    everything = "\n".join(
        path.read_text("utf-8") for path in repository_files(checkout) if path.suffix != ".png"
    )
    assert old not in everything
    assert raw(old) not in everything
    assert index.check_pictures(checkout) == []
    assert write_address(NEW, checkout) == []


@pytest.mark.parametrize(
    "url",
    ["https://github.com/lab/Knees", "http://github.com/lab/SlicerKnees", f"{NEW}.git", f"{NEW}/x"],
)
def test_addresses_that_the_index_refuses_are_refused(checkout, url, capsys):
    with pytest.raises(ValueError, match="begins with Slicer"):
        write_address(url, checkout)
    assert main([url]) == 2
    assert "SlicerNAME" in capsys.readouterr().out


def test_no_other_address_of_the_project_is_in_any_file():
    """Whatever names the project's repository or a raw file of it has the one address."""
    owner = address().rsplit("/", 1)[0]
    wrong = []
    for path in repository_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for start in (owner, raw(owner)):
            for found in re.findall(re.escape(start) + r"/[\w.-]+", text):
                if found not in (address(), raw(address()), f"{address()}.git"):
                    wrong.append(f"{path.relative_to(ROOT)}: {found}")
    assert not wrong, "\n".join(wrong)
    assert index.urlparse(PLACEHOLDER).path.rsplit("/", 1)[1].startswith("Slicer")
