"""Train a network of SSR-KD on prepared cases: ``segmentation``, ``teacher``, ``student`` (the
published architecture) or ``own_student`` (the project's own).

    python Training/learn.py teacher --config Training/configs/teacher.yaml \\
        --data.processed runs/processed --output runs/teacher

Every setting stands in the configuration and can be given on the command line
(``python Training/learn.py teacher --help``). Stop it whenever you like: it goes on from the last
checkpoint in --output. Export with Training/export.py.
"""

import sys

from SSRKDLib.training.command import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
