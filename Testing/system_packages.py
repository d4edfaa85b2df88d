"""What the tests need of the operating system; ``make test`` looks before it installs all else.

``python3 -m Testing.system_packages`` needs nothing but Python itself. On Debian and Ubuntu it
installs what is missing, as root or where ``sudo`` asks for no password. Elsewhere the tests
concerned are skipped, and the last lines of the run say how many and what to type. With ``CI=true``
nothing may be skipped for that: then it ends with 1, and so does the run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from Testing.bench import check

#: Programs that tests start, and the Debian packages that hold them.
PROGRAMS = {"cmake": "cmake"}

#: How a reason for skipping begins that is explained in the run's last lines.
LACKING = "not on this machine: "


def missing() -> list[str]:
    """Debian packages whose libraries, fonts or programs this machine lacks, in order."""
    programs = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    return sorted(programs + check.missing_system_packages())


def command(packages: list[str]) -> str:
    """The line to type that installs packages on Debian or Ubuntu."""
    return f"sudo apt-get update && sudo apt-get install --yes {' '.join(packages)}"


def demanded() -> bool:
    """Whether no test may be skipped for what this machine lacks."""
    return os.environ.get("CI") == "true"


def pytest_unconfigure(config) -> None:
    """Count and explain, below all else, what was skipped for what this machine lacks."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    reports = reporter.stats.get("skipped", ()) if reporter is not None else ()
    skipped = sum(f"Skipped: {LACKING}" in str(report.longrepr) for report in reports)
    if skipped:
        reporter.write_line(
            f"\n{skipped} tests were skipped: they need {', '.join(missing())}. "
            f"On Debian or Ubuntu type\n    {command(missing())}\nand run make test again.",
            yellow=True,
        )


def _becoming_root() -> list[str] | None:
    """What to put before a command that only root may run; None where that asks for a password."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    asked = subprocess.run(["sudo", "-n", "true"], capture_output=True)
    return ["sudo", "-n"] if asked.returncode == 0 else None


def _install(packages: list[str]) -> None:
    """Install with apt-get where that can be done without asking; say what was done, or why not."""
    if shutil.which("apt-get") is None:
        print("system: there is no apt-get, so nothing was installed", flush=True)
        return
    prefix = _becoming_root()
    if prefix is None:
        print("system: nothing was installed: you are not root, and sudo is not there or asks")
        return
    print(f"system: installing {' '.join(packages)} with apt-get", flush=True)
    options = ["-q", "-o", "DPkg::Lock::Timeout=120"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if prefix:
        prefix = [*prefix, "DEBIAN_FRONTEND=noninteractive"]
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        line = [*prefix, "apt-get", *options, *arguments]
        made = subprocess.run(
            line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if made.returncode:
            words = "\n    ".join(made.stdout.splitlines()[-5:])
            print(f"system: '{' '.join(line)}' failed:\n    {words}", flush=True)
            return


def main() -> int:
    """Look, install what can be installed, say what is left.

    Returns:
        1 where something is left and ``CI=true`` demands it, else 0.
    """
    packages = missing()
    if not packages:
        return 0
    print(f"system: this machine lacks {', '.join(packages)}, which tests need", flush=True)
    _install(packages)
    left = missing()
    if not left:
        return 0
    print(f"system: still missing: {', '.join(left)}. On Debian or Ubuntu:\n    {command(left)}")
    if demanded():
        print("system: CI=true, so no test may be skipped for that")
        return 1
    print("system: the tests that need them are skipped, all others run")
    return 0


if __name__ == "__main__":
    sys.exit(main())
