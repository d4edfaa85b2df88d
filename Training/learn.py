"""The former name of Training/train.py, with the same arguments."""

import sys

from SSRKDLib.training.command import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
