"""What is at the top of the repository, and what its files must not name."""

from __future__ import annotations

import re

from Testing.structure.repository import ROOT, repository_files

TOP_LEVEL = {
    "SSRKD", "SSRKDLib", "Training", "Testing", "Docs", "requirements", ".ci", ".github",
    "CMakeLists.txt", "SSRKD.s4ext", "SSRKD.json", "SSRKD.png", "README.md", "LICENSE.txt",
    "THIRD_PARTY.md", "SECURITY.md", "CHANGELOG.md", "CITATION.cff", "pyproject.toml", "Makefile",
    ".gitignore", ".gitattributes",
}  # fmt: skip

#: Places that exist on one machine only, and registries a checkout must not depend on.
#: Pieces in brackets keep this file from matching itself.
MACHINE = re.compile(
    r"(?<![\w.])/(?:work|root|opt/(?:wheels|pypi[\w-]*))/"
    r"|/(?:home|Users)/[a-z]\w*/"
    r"|(?:files[.]pythonhosted|test[.]pypi|pypi|download[.]pytorch|conda[.]anaconda)[.]org"
)


def test_no_file_names_a_machine_or_a_registry():
    wrong = []
    for path in repository_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # binary data
        for number, line in enumerate(text.splitlines(), start=1):
            if MACHINE.search(line):
                wrong.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert not wrong, "\n" + "\n".join(wrong)


def test_only_known_names_are_at_the_top():
    assert {path.relative_to(ROOT).parts[0] for path in repository_files()} <= TOP_LEVEL


def test_the_module_s_folder_does_not_shadow_the_module():
    assert not (ROOT / "SSRKD" / "__init__.py").exists()


def test_one_function_removes_folders_that_are_not_empty():
    """What belongs to the user can be lost in one place only, which a reader can look through."""
    rooms = ("SSRKD", "SSRKDLib", "Training")
    files = [path for path in repository_files() if path.suffix == ".py"]
    found = [
        path.relative_to(ROOT).as_posix()
        for path in files
        if path.relative_to(ROOT).parts[0] in rooms and "rmtree" in path.read_text(encoding="utf-8")
    ]
    assert found == ["SSRKDLib/core/output_file.py"]
