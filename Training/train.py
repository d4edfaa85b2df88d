"""Train networks: the default weights on virtual knees (``default``), or a network of SSR-KD on
prepared cases: ``segmentation``, ``teacher``, ``student`` (the published architecture) or
``own_student`` (the project's own).

    python Training/train.py default --config Training/configs/virtual_knee.yaml \\
        --data.cohort runs/cohort --output runs/virtual_knee
    python Training/train.py teacher --config Training/configs/teacher.yaml \\
        --data.processed runs/processed --output runs/teacher

A configuration contains what differs from the defaults, which ``python Training/train.py TASK
--help`` explains; every setting can be given on the command line. Stop it whenever you like: it
goes on from the last checkpoint in --output. Export with Training/export.py.
"""

from __future__ import annotations

import sys

from SSRKDLib.training.command import run

if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[:1] in (["-h"], ["--help"]):
        print(__doc__)
        sys.exit(0)
    sys.exit(run(arguments))
