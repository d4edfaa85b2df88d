"""Readers that do what libraries do on some damaged files."""

from __future__ import annotations

import errno
import os
import signal
import sys
import tempfile
import warnings

import numpy as np

from SSRKDLib.core.errors import ImageError
from SSRKDLib.core.reading_child import apart


@apart(ImageError)
def good(path, factor=1):
    print("a library says something")
    print("and complains", file=sys.stderr)
    warnings.warn("it goes on", stacklevel=1)
    array = (np.arange(6).reshape(2, 3) * factor).astype(">u2")
    return {"path": path, "array": array, "process": os.getpid()}


@apart(ImageError)
def crash(path):
    os.kill(os.getpid(), signal.SIGSEGV)


@apart(ImageError)
def leave(path):
    os._exit(7)


@apart(ImageError)
def spin(path):
    while True:
        pass


@apart(ImageError)
def sleep(path):
    signal.pause()


@apart(ImageError)
def hog(path):
    return np.ones(1 << 28)


@apart(ImageError)
def nest(path):
    return nest.__wrapped__(path)


@apart(ImageError)
def fill(path):
    with open(path, "wb") as stream:
        stream.truncate(1 << 40)


@apart(ImageError)
def bar(path):
    raise PermissionError(errno.EACCES, "says nothing")


@apart(ImageError)
def brim(path):
    raise OSError from OSError(errno.ENOSPC, "says nothing")  # as pydicom does


@apart(ImageError)
def lack(path):
    raise ImportError("DLL load failed")


@apart(ImageError)
def refuse(path):
    raise ImageError("It is blue.", "Paint it grey.")


@apart(ImageError)
def drop(path):
    made, name = tempfile.mkstemp(suffix=".dcm")
    os.close(made)
    path.write_text(name)
    os.kill(os.getpid(), signal.SIGKILL)
