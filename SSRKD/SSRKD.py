"""Knee Bone Reconstruction (SSR-KD): a scripted module of 3D Slicer.

The work is done in the package SSRKDSlicer beside this file, and in SSRKDLib, which knows nothing
of Slicer. Networks run in a process of their own; torch is never imported here.
"""

import importlib.util
import os
import sys

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

#: Where the project is, documentation and all.
ADDRESS = "https://github.com/SSRKD/SlicerSSRKD"


class LibraryFinder:
    """Finds SSRKDLib beside this module's folder, where it is run from a checkout. Put among
    Python's finders instead of the checkout's folder into ``sys.path``, where that would offer
    everything else that lies there."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        checkout = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        folder = os.path.join(checkout, "SSRKDLib")
        if name != "SSRKDLib" or not os.path.isdir(folder):
            return None
        return importlib.util.spec_from_file_location(
            name, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
        )


class SSRKD(ScriptedLoadableModule):
    """The module's metadata, and what happens when Slicer has started."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        if importlib.util.find_spec("SSRKDLib") is None:  # not installed
            sys.meta_path.append(LibraryFinder)
        self.parent.title = _("Knee Bone Reconstruction (SSR-KD)")
        self.parent.categories = [
            translate("qSlicerAbstractCoreModule", "Tomographic Reconstruction"),
            translate("qSlicerAbstractCoreModule", "Segmentation"),
        ]
        self.parent.dependencies = ["Volumes", "Segmentations", "Markups", "Colors", "SampleData"]
        self.parent.associatedNodeTypes = ["vtkMRMLScriptedModuleNode"]  # its own parameters'
        self.parent.contributors = ["SSRKD contributors"]
        self.parent.helpText = _(
            "Surface models of patella, femur, fibula and tibia from two knee radiographs: choose "
            "them, click Reconstruct. From a CT: see the section From CT. "
            "For research, not for diagnosis. "
            '<a href="{address}/blob/main/Docs/slicer.md">Every control, the Python console and '
            "troubleshooting</a>."
        ).format(address=ADDRESS)
        self.parent.acknowledgementText = _(
            "Implements SSR-KD: Lin et al., Real-Time, Population-Based Reconstruction of 3D Bone "
            "Models via Very-Low-Dose Protocols, "
            '<a href="https://arxiv.org/abs/2508.13947">arXiv 2508.13947</a>. Please cite it.'
        )
        slicer.app.connect("startupCompleted()", self.onStartupCompleted)
        slicer.app.connect("aboutToQuit()", stopSharedWorker)

    def onStartupCompleted(self):
        """Offer samples, layouts and terms, which scenes may have been saved in; nothing else
        happens at start-up, and nothing but the standard library and Slicer is imported for it."""
        offer()


def offer():
    """Make the module's layouts, terms and samples known to Slicer; again is harmless."""
    from SSRKDSlicer.radiographs import sample_data
    from SSRKDSlicer.scene import layout_descriptions, terminology

    layout_descriptions.register()
    terminology.register()
    sample_data.register()


def sharedWorker():
    """The one worker of this Slicer; see :mod:`SSRKDSlicer.worker.worker_client`."""
    from SSRKDSlicer.worker import worker_client

    return worker_client.sharedWorker()


def stopSharedWorker():
    """End the worker, if there is one: Slicer is closing, or the module is."""
    client = sys.modules.get("SSRKDSlicer.worker.worker_client")
    if client is not None:
        client.stopSharedWorker()


class SSRKDWidget(ScriptedLoadableModuleWidget):
    """The panel; see :mod:`SSRKDSlicer.panel`."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        self.logic = self.panel = None

    def setup(self):
        from SSRKDSlicer.panel.panel import Panel

        ScriptedLoadableModuleWidget.setup(self)
        offer()  # a module that is loaded after Slicer's start has not been told of it
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/SSRKD.ui"))
        self.layout.addWidget(uiWidget)
        planWidget = slicer.util.loadUI(self.resourcePath("UI/Osteotomy.ui"))
        compare = slicer.util.childWidgetVariables(uiWidget).compareSection
        uiWidget.layout().insertWidget(uiWidget.layout().indexOf(compare) + 1, planWidget)
        uiWidget.layout().insertWidget(0, slicer.util.loadUI(self.resourcePath("UI/Cases.ui")))
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = SSRKDLogic()
        self.panel = Panel(self.ui, self.logic)
        if self.parent.isEntered:  # the module is reloaded
            self.panel.enter()

    def nodeEditable(self, node):
        """How well this module edits a node, as Slicer asks before it opens one for it."""
        return 0.9 if node is not None and node.GetAttribute("ModuleName") == "SSRKD" else 0.0

    def enter(self):
        """The module was opened."""
        if self.panel is not None:
            self.panel.enter()

    def exit(self):
        """The user goes to another module."""
        if self.panel is not None:
            self.panel.leave()

    def cleanup(self):
        """The module is being closed: its job and its worker end."""
        if self.panel is not None:
            self.panel.close()
            self.panel = None
        stopSharedWorker()

    def onReload(self):
        """Reload the packages, too, not only this file."""
        self.cleanup()
        for name in list(sys.modules):
            if name.split(".")[0] in ("SSRKDSlicer", "SSRKDLib"):
                del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)


class SSRKDLogic(ScriptedLoadableModuleLogic):
    """The module for scripts: works without the panel and without a main window.

    Every method waits for its result, or returns at once where ``done`` is given. Errors are
    :class:`SSRKDLib.core.errors.SSRKDError`: raised, or given to ``failed``. ``progress`` is
    called with stage, fraction (0 to 1) and message.

    Attributes:
        tasks: :class:`SSRKDSlicer.tasks.Tasks`, which the panel works through.
    """

    def __init__(self):
        from SSRKDSlicer.tasks import Tasks

        ScriptedLoadableModuleLogic.__init__(self)
        self.tasks = Tasks(sharedWorker())

    def reconstruct(
        self,
        frontal,
        lateral,
        rig=None,
        laterality=None,
        weights=None,
        device="auto",
        spacing=1.0,
        case=None,
        progress=None,
        done=None,
        failed=None,
        surface=None,
        pose="lateral",
    ):
        """Surface models of the bones.

        Args:
            frontal, lateral: volume nodes.
            rig: how they were taken: path of a rig file or :class:`SSRKDLib.geometry.views.Rig`.
                None: from the nodes' DICOM files, or from what the module stored with them.
            laterality: "L", "R" or None (find out).
            weights: name or path of a bundle; None: the bundled ones.
            device: "auto", "cpu" or "cuda".
            spacing: of the grid that the field's surfaces are taken from, mm.
            case: what an earlier :meth:`segment` or :meth:`place` of the same pair returned: its
                masks are used where they were edited.
            progress, done, failed: see the class; ``done`` gets the case.
            surface: "fitted" (a population's shape model, fitted to the radiographs), "field" (the
                isosurface of the network's field) or None: fitted, where the weights allow it.
            pose: "lateral" or "frontal": where bones moved between the radiographs, the one in
                whose pose the models are shown.

        Returns:
            Model nodes by bone; with ``done``, the running job, whose ``cancel()`` ends it.
        """
        from SSRKDSlicer.tasks import Options

        setup = self._setup(frontal, lateral, rig, laterality)
        options = Options(weights, device, spacing, surface, pose)

        def start(**callbacks):
            return self.tasks.reconstruct(setup, options, case, **callbacks)

        made = self._run(start, progress, done, failed)
        return made if done is not None else made.models

    def reconstructFromCt(
        self, ct, region=None, laterality=None, weights=None, device="auto", surface=None,
        case=None, progress=None, done=None, failed=None,
    ):  # fmt: skip
        """Surface models of the bones in a CT, under the CT's parent transform.

        Args:
            ct: volume node in Hounsfield units.
            region: markups ROI node around one knee, or None for the whole CT.
            laterality: "L", "R" or None (from where the fibula lies).
            weights: name or path of a bundle with a teacher; None: the bundled ones.
            device: "auto", "cpu" or "cuda".
            surface: "fitted" (a population's shape model), "field" (the network's own), or None:
                by the weights.
            case: what ``done`` got earlier of the same CT: its models get new surfaces.
            progress, done, failed: see the class; ``done`` gets the case.

        Returns:
            Model nodes by bone; with ``done``, the running job.
        """
        from SSRKDSlicer.tasks import Options

        options = Options(weights, device, surface=surface)

        def start(**callbacks):
            return self.tasks.reconstructCt(ct, region, laterality, options, case, **callbacks)

        made = self._run(start, progress, done, failed)
        return made if done is not None else made.models

    def segment(
        self, frontal, lateral, rig=None, laterality=None, weights=None, device="auto",
        case=None, progress=None, done=None, failed=None,
    ):  # fmt: skip
        """Editable bone masks on the radiographs; arguments as in :meth:`reconstruct`.

        Returns:
            The case: ``masks`` holds the two segmentation nodes, ``placed`` the radiographs that
            they lie on. Give it to :meth:`reconstruct`.
        """
        from SSRKDSlicer.tasks import Options

        setup = self._setup(frontal, lateral, rig, laterality)
        options = Options(weights, device)

        def start(**callbacks):
            return self.tasks.segment(setup, options, case, **callbacks)

        return self._run(start, progress, done, failed)

    def place(self, frontal, lateral, rig=None, laterality=None, case=None):
        """Copies of the radiographs on their detector planes; arguments as in :meth:`reconstruct`.

        Returns:
            The case; ``placed`` holds the two volume nodes.
        """
        from SSRKDSlicer.radiographs.placing import placeRadiographs
        from SSRKDSlicer.tasks import CaseNodes, newCaseFolder

        setup = self._setup(frontal, lateral, rig, laterality)
        case = case or CaseNodes()
        folder = case.folder() or newCaseFolder(setup)
        case.placed = tuple(placeRadiographs(setup, folder, case.placed, case.masks))
        return case

    def simulate(
        self, ct, region=None, preset="orthogonal", laterality=None, energy=60.0, noise=True,
        progress=None, done=None, failed=None,
    ):  # fmt: skip
        """Radiographs of a CT, on their detector planes around it.

        Args:
            ct: volume node in Hounsfield units.
            region: markups ROI node around one knee, or None for the whole CT.
            preset: "orthogonal", "c_arm" or "oblique".
            laterality: "L", "R" or None; written down with the radiographs.
            energy: effective energy of the X-rays, keV.
            noise: noise, scatter and blur as in a real radiograph.
            progress, done, failed: see the class.

        Returns:
            The (frontal, lateral) volume nodes.
        """

        def start(**callbacks):
            return self.tasks.simulate(ct, region, preset, laterality, energy, noise, **callbacks)

        return self._run(start, progress, done, failed)

    def measure(self, models, progress=None, done=None, failed=None):
        """Clinical measures of reconstructed bones.

        Args:
            models: what :meth:`reconstruct` returns.
            progress, done, failed: see the class.

        Returns:
            Rows of :func:`SSRKDLib.clinical.table.measure_rows`; with ``done``, the running job,
            and ``done`` gets :class:`SSRKDSlicer.bones.measures.Measures`.
        """
        from SSRKDSlicer.bones.measures import measure

        def start(**callbacks):
            return measure(self.tasks, models, **callbacks)

        made = self._run(start, progress, done, failed)
        return made if done is not None else made.rows

    def asSegmentation(self, models):
        """Reconstructed bones as the segments of a new segmentation node, which is returned."""
        from SSRKDSlicer.bones.segmentation import bonesAsSegmentation

        return bonesAsSegmentation(models)

    def planOsteotomy(
        self, bones, angle=8.0, kind="opening", entry=None, hinge=10.0, tubercle=None, side=None,
        inclination=None, turn=0.0, progress=None, done=None, failed=None,
    ):  # fmt: skip
        """A high tibial osteotomy by rule: plane and hinge as Markups, the parts as models.

        Args:
            bones: what :meth:`reconstruct` returns, or a segmentation or label map volume node.
            angle: of the correction into valgus, degrees.
            kind: "opening" (medial wedge) or "closing" (lateral).
            entry: mm below the joint line; None: 40 opening, 20 closing.
            hinge: mm of bone left behind the hinge.
            tubercle: thickness of the tubercle's fragment, mm, in a biplanar osteotomy, or None.
            side: "L", "R" or None: as the bones say.
            inclination: fall of the cut to the back, degrees; None: as the medial slope.
            turn: of the hinge in the cut, its back end to medial, degrees.

            progress, done, failed: see the class; ``done`` gets what is returned otherwise.

        Returns:
            Numbers as in ``plan.json``, and the nodes: ``plane``, ``hinge`` and ``parts`` by name;
            with ``done``, the running job.
        """
        from SSRKDLib.planning.cut import ENTRY
        from SSRKDSlicer.bones.osteotomy import Settings, planByRule

        models, node = (bones, None) if isinstance(bones, dict) else ({}, bones)
        settings = Settings(
            kind, angle, ENTRY.get(kind) if entry is None else entry, hinge, tubercle, side,
            inclination, turn,
        )  # fmt: skip

        def start(**callbacks):
            return planByRule(self.tasks, models, node, settings, **callbacks)

        return self._run(start, progress, done, failed)

    def _setup(self, frontal, lateral, rig, laterality):
        from SSRKDSlicer.radiographs.view_setup import setupFromRig

        return setupFromRig(frontal, lateral, rig, laterality)

    def _run(self, start, progress, done, failed):
        from SSRKDSlicer.tasks import waitFor

        if done is not None:
            return start(onProgress=progress, onDone=done, onFailed=failed)
        return waitFor(start, progress)


class SSRKDTest(ScriptedLoadableModuleTest):
    """The module's self-test; see :mod:`SSRKDSlicer.self_test`."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        from SSRKDSlicer.self_test import SelfTest

        self.setUp()
        SelfTest(self, SSRKDLogic()).run()
