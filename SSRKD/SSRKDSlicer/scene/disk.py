"""What the panel asks of the disk at every refresh: read once until it changes there."""

from __future__ import annotations

import os


class ReadOnce:
    """Answers that are kept as long as what they were read from stays as it was."""

    def __init__(self):
        self._kept = {}

    def __call__(self, key, stamp, read):
        """The answer that was kept, or a new one.

        Args:
            key: what is asked.
            stamp: of what is read, see :func:`stampOf`; None where nothing tells a change: it is
                read each time.
            read: called without arguments; gives the answer.
        """
        kept = self._kept.get(key)
        if stamp is None or kept is None or kept[0] != stamp:
            self._kept[key] = kept = (stamp, read())
        return kept[1]


def stampOf(*paths):
    """What changes when files or folders do: time and size of each, of a folder also when an entry
    comes, goes or is renamed. None where none of them is there."""
    stamps = tuple(map(_stamp, paths))
    return stamps if any(stamps) else None


def _stamp(path):
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def treeOf(folder, depth):
    """Paths of a folder and of what is in it, ``depth`` levels down."""
    paths = [str(folder)]
    if depth:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            return paths
        for entry in entries:
            paths += treeOf(entry.path, depth - 1) if entry.is_dir() else [entry.path]
    return paths
