"""Where the steps run: the Slicer application, or the bench. What differs between them is here."""

from __future__ import annotations

import os
import platform
import sys
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAME = "SSRKD"


class Application:
    """3D Slicer itself, started with the module's folder among its module paths."""

    kind = "3D Slicer"

    def __init__(self):
        import slicer

        self.slicer = slicer

    def about(self) -> dict[str, str]:
        """Versions, by what they are of."""
        import vtk

        app = self.slicer.app
        return {
            "application": self.kind,
            "Slicer": f"{app.applicationVersion} {getattr(app, 'revision', '')}".strip(),
            "Python": platform.python_version(),
            "VTK": vtk.vtkVersion.GetVTKVersion(),
            "system": platform.platform(),
        }

    def open(self):
        """Show the module's panel.

        Returns:
            Its ``SSRKDWidget``.
        """
        if self.slicer.util.mainWindow() is None:  # nothing selects modules then
            frame = self._frame()
            frame.show()
            frame.enter()
            return frame.self()
        self.slicer.util.selectModule(NAME)
        self.slicer.app.processEvents()
        return self.slicer.util.getModuleWidget(NAME)

    def _frame(self):
        """The application's widget around the module's."""
        return getattr(self.slicer.modules, NAME.lower()).widgetRepresentation()

    def leave(self) -> None:
        """Show another module's panel."""
        if self.slicer.util.mainWindow() is None:
            self._frame().exit()
            return
        self.slicer.util.selectModule("Data")
        self.slicer.app.processEvents()

    def reload(self):
        """Reload the module as its button does.

        Returns:
            The new ``SSRKDWidget``.
        """
        self.slicer.util.getModuleWidget(NAME).onReload()
        return self.open()

    @contextmanager
    def segment_editor(self):
        """Where *Edit masks* may open the Segment Editor.

        Yields:
            What tells which segmentation and volume the editor holds, None before it was opened.
        """

        def opened():
            widget = getattr(self.slicer.modules, "SegmentEditorWidget", None)
            if widget is None or self.slicer.util.selectedModule() != "SegmentEditor":
                return None
            node = widget.editor.mrmlSegmentEditorNode()
            return node.GetSegmentationNode(), node.GetSourceVolumeNode()

        yield opened

    def picture(self, path: Path) -> bool:
        """Save a picture of the main window; whether there is one."""
        window = self.slicer.util.mainWindow()
        if window is None:
            return False
        self.slicer.util.forceRenderAllViews()
        self.slicer.app.processEvents()
        return bool(window.grab().save(str(path)))

    def log(self) -> str:
        """What the application logged."""
        path = self.slicer.app.errorLogModel().filePath
        if not path or not os.path.isfile(path):
            return ""
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def faults(self) -> list[str]:
        """What went wrong where no caller could see it, since the last call; the application only
        logs such faults."""
        return []

    def quit(self, status: int) -> None:
        """End the application."""
        self.slicer.util.exit(status)


class Bench(Application):
    """The bench, in this process. The module is loaded, and its panel not opened yet."""

    kind = "bench"

    @classmethod
    def start(cls) -> Bench:
        """Bring up the bench with the module, as Slicer's start-up does."""
        from Testing import bench

        bench.boot()
        bench.load_module(ROOT / NAME / f"{NAME}.py")
        bench.start_up()
        return cls()

    def open(self):
        from Testing import bench

        widget = bench.open_module(NAME)
        self.slicer.app.processEvents()
        return widget

    def leave(self) -> None:
        from Testing import bench

        bench.close_module(NAME)

    def reload(self):
        from Testing import bench

        bench.reload_module(NAME)
        return self.open()

    @contextmanager
    def segment_editor(self):
        from SSRKDSlicer.panel import run_section

        held = []
        original = run_section.openSegmentEditor
        run_section.openSegmentEditor = lambda *nodes: held.append(nodes)
        try:
            yield lambda: held[-1] if held else None
        finally:
            run_section.openSegmentEditor = original

    def picture(self, path: Path) -> bool:
        from Testing.bench.screenshot import window_picture

        window_picture(self._frame(), path)
        return True

    def log(self) -> str:
        return ""  # there is no other than Python's

    def faults(self) -> list[str]:
        from Testing.bench import application, faults

        application.settle()
        return faults.take()

    def quit(self, status: int) -> None:
        from Testing import bench

        if hasattr(self.slicer.modules, f"{NAME}Widget"):
            bench.shut_down_module(NAME)
        sys.modules[NAME].stopSharedWorker()
