"""The module's self-test on its samples. Without PyTorch everything but the networks is tested."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import slicer

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.evaluation.metrics import compare_meshes
from SSRKDLib.evaluation.regions import region_around
from SSRKDLib.surfaces.knee import joint_centre
from SSRKDLib.surfaces.mesh_files import read_mesh

from .bones.comparison import compare
from .bones.results import addModel, exportModels
from .radiographs import outlines, sample_data
from .scene.masks import editedMasks, readMasks, showMasks
from .scene.parameters import VIEWS
from .tasks import waitFor
from .worker.installation import missingPackages

#: Farther than this from the true bones a reconstruction of the sample is wrong, mm.
_LARGEST_DISTANCE = 1.2


class SelfTest:
    """The steps, each on what the ones before it left in the scene.

    Args:
        test: the running ``ScriptedLoadableModuleTest``: its assertions and messages.
        logic: the module's ``SSRKDLogic``.
    """

    def __init__(self, test, logic):
        self.test, self.logic = test, logic
        self.frontal = self.lateral = self.case = None
        self.truth = {}

    def run(self):
        """All steps in order; the first that fails ends the test."""
        for title, step in (
            ("Loading the sample", self.loadSample),
            ("Placing the radiographs", self.place),
            ("Drawing outlines", self.drawOutlines),
            ("Editing masks", self.editMasks),
            ("Exporting", self.export),
            ("Comparing", self.compare),
            ("Opening the panel", self.openPanel),
        ):
            self.test.delayDisplay(title)
            step()
        missing = missingPackages()
        if missing:
            names = " and ".join({"torch": "PyTorch"}.get(name, name) for name in missing)
            self.test.delayDisplay(
                f"Reconstruction is skipped: {names} cannot be found in Slicer's Python. "
                "Everything else passed"
            )
            return
        self.test.delayDisplay("Reconstructing")
        self.test.delayDisplay(f"Test passed: {self.reconstruct():.2f} mm from the true bones")

    def loadSample(self):
        """Both radiographs and the true bones, by Slicer's Sample Data."""
        self.frontal, self.lateral, *bones = sample_data.loadRadiographs()
        self.truth = dict(zip(BONES, map(outlines.worldMesh, bones)))
        self.test.assertEqual(list(self.truth), list(BONES))

    def place(self):
        """Each radiograph where its detector was."""
        self.case = self.logic.place(self.frontal, self.lateral)
        distances = [np.linalg.norm(node.GetOrigin()) for node in self.case.placed]
        self.test.assertGreater(min(distances), 100.0)  # mm; the files' own origins are zero

    def drawOutlines(self):
        """The true bones as the module's models, and an outline of each on each radiograph."""
        folder = self.case.folder()
        self.case.models = {
            bone: addModel(bone, mesh, "L", {"spacing_mm": 2.0}, folder)
            for bone, mesh in self.truth.items()
        }
        drawn = outlines.updateOutlines(self.case.models, self.case.placed, folder)
        self.test.assertEqual(len(drawn), len(BONES) * len(VIEWS))
        self.test.assertGreater(min(node.GetPolyData().GetNumberOfPoints() for node in drawn), 10)

    def editMasks(self):
        """Masks on the frontal radiograph come back as they were put in; an edit is noticed."""
        placed = self.case.placed[0]
        columns, rows, _ = placed.GetImageData().GetDimensions()
        masks = np.zeros((len(BONES), rows, columns), bool)
        for index in range(len(BONES)):
            masks[index, 10 * index : 10 * index + 20, : columns // 2] = True
        node = showMasks(masks, placed, VIEWS[0], "L", self.case.folder())
        self.test.assertTrue((readMasks(node, placed) == masks).all())
        self.test.assertIsNone(editedMasks(node, placed))
        masks[0, 15] = False
        slicer.util.updateSegmentBinaryLabelmapFromArray(
            masks[0][None].astype(np.uint8), node, BONES[0], placed
        )
        self.test.assertTrue((editedMasks(node, placed) == masks).all())

    def export(self):
        """STL files with the bones where they are, in LPS."""
        with tempfile.TemporaryDirectory(dir=slicer.app.temporaryPath) as folder:
            paths = exportModels(self.case.models, folder, "STL")
            self.test.assertEqual(len(paths), len(BONES))
            for path, mesh in zip(paths, self.truth.values()):
                written = read_mesh(Path(path))
                self.test.assertLess(np.abs(written.bounds - mesh.bounds).max(), 0.01)

    def compare(self):
        """Bones that are the reference are no distance from it."""
        models = self.case.models

        def start(**callbacks):
            return compare(self.logic.tasks, models, None, {}, "none", **callbacks)

        made = waitFor(start)
        self.test.assertLess(made.rows[-1]["assd_mm"], 0.05)
        self.test.assertEqual(set(made.references), set(BONES))

    def openPanel(self):
        """The panel chooses the radiographs, and knows how they were taken."""
        frame = slicer.modules.ssrkd.widgetRepresentation()
        entered = frame.isEntered
        if not entered:
            frame.enter()
        slicer.app.processEvents()
        ui = frame.self().ui
        chosen = [ui.frontalSelector.currentNode(), ui.lateralSelector.currentNode()]
        self.test.assertEqual(chosen, [self.frontal, self.lateral])
        self.test.assertIn("Left knee", ui.summaryLabel.text)
        if not entered:
            frame.exit()

    def reconstruct(self):
        """Bones by the networks, where the true ones are; their mean distance, mm."""
        models = self.logic.reconstruct(self.frontal, self.lateral)
        self.test.assertEqual(list(models), list(BONES))
        made = {bone: outlines.worldMesh(node) for bone, node in models.items()}
        rows = compare_meshes(made, self.truth, region_around(joint_centre(self.truth)))
        self.test.assertLess(rows[-1]["assd_mm"], _LARGEST_DISTANCE)
        return rows[-1]["assd_mm"]
