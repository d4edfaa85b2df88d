"""``slicer.dicomDatabase``: returns the file of a DICOM instance, and nothing more."""

from __future__ import annotations

from PySide6 import QtCore

from .pythonqt import stand_in

_files: dict[str, str] = {}


def register_instance(uid: str, path) -> None:
    """Put a file into the database, under its SOP instance UID."""
    _files[str(uid)] = str(path)


def forget_instances() -> None:
    """Empty the database."""
    _files.clear()


@stand_in(exposed="fileForInstance")
class ctkDICOMDatabase(QtCore.QObject):
    """The part of CTK's DICOM database that maps instances to files."""

    isOpen = QtCore.Property(bool, lambda _self: True)

    def fileForInstance(self, uid):
        """The instance's file, or an empty text."""
        return _files.get(uid, "")
