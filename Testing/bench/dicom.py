"""``slicer.dicomDatabase``: returns the file of a DICOM instance, and nothing more."""

from __future__ import annotations

import itertools

from PySide6 import QtCore

from . import folders
from .pythonqt import stand_in

_files: dict[str, str] = {}
_database = folders.inside("dicom") / "ctkDICOM.sql"
_changes = itertools.count()


def register_instance(uid: str, path) -> None:
    """Put a file into the database, under its SOP instance UID."""
    _files[str(uid)] = str(path)
    _changed()


def forget_instances() -> None:
    """Empty the database."""
    _files.clear()
    _changed()


def _changed() -> None:
    """The file changes with the database, and never back to an earlier state."""
    _database.write_text("x" * next(_changes))


@stand_in(exposed="fileForInstance")
class ctkDICOMDatabase(QtCore.QObject):
    """The part of CTK's DICOM database that maps instances to files."""

    databaseFilename = QtCore.Property(str, lambda _self: str(_database))
    isOpen = QtCore.Property(bool, lambda _self: True)

    def fileForInstance(self, uid):
        """The instance's file, or an empty text."""
        return _files.get(uid, "")
