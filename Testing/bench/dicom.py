"""``slicer.dicomDatabase``: tells where the file of a DICOM instance is, and nothing more."""

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


@stand_in()
class ctkDICOMDatabase(QtCore.QObject):  # noqa: N801
    """The part of CTK's DICOM database that maps instances to files and reads their tags."""

    isOpen = QtCore.Property(bool, lambda _self: True)  # noqa: N815

    def fileForInstance(self, uid):  # noqa: N802
        """The instance's file, or an empty text."""
        return _files.get(uid, "")

    def instanceForFile(self, path):  # noqa: N802
        return next((uid for uid, known in _files.items() if known == str(path)), "")

    def instanceValue(self, uid, tag):  # noqa: N802
        return self.fileValue(self.fileForInstance(uid), tag)

    def fileValue(self, path, tag):  # noqa: N802
        """A tag, such as ``"0028,0030"``, as text; empty where it is missing."""
        import pydicom

        if not path:
            return ""
        group, element = (int(part, 16) for part in tag.split(","))
        found = pydicom.dcmread(path, stop_before_pixels=True).get((group, element))
        if found is None or found.value is None:
            return ""
        many = isinstance(found.value, (list, pydicom.multival.MultiValue))
        return "\\".join(map(str, found.value)) if many else str(found.value)
