"""What the module does, from nodes to nodes: the networks' part runs in the worker."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

import numpy as np
import slicer
from slicer.i18n import tr as _

from SSRKDLib.core.errors import SSRKDError
from SSRKDLib.models.ct_model import check_teacher
from SSRKDLib.reconstruction.choices import POSES

from .bones.ct_volume import writeCt
from .bones.results import addModels, posesChoice, showPose, withPose
from .radiographs import outlines
from .radiographs.placing import placeRadiographs
from .radiographs.simulation import addRadiographs, writePresetRig
from .scene import timing
from .scene.folders import folderOf, newFolder
from .scene.masks import editedMasks, showMasks
from .scene.words import kneeOfPair, word
from .worker.job_folder import JobFolder, uncropped
from .worker.worker_job import unexpected

#: Node reference of a model: the CT that it was made of.
FROM_CT = "SSRKD.FromCt"


@dataclass(frozen=True)
class Options:
    """How to reconstruct.

    Attributes:
        weights: name or path of a bundle; None or "": the shipped one.
        device: "auto", "cpu" or "cuda".
        spacing: of the grid that the field's surfaces are taken from, mm.
        surface: "fitted", "field" or None: by the weights.
        pose: "lateral" or "frontal": where bones moved between the radiographs, the one in whose
            pose the models are shown.
    """

    weights: str | None = None
    device: str = "auto"
    spacing: float = 1.0
    surface: str | None = None
    pose: str = POSES[0]

    def request(self):
        return {
            "weights": self.weights or None, "device": self.device, "spacing": self.spacing,
            "surface": self.surface, "pose": self.pose,
        }  # fmt: skip


@dataclass
class CaseNodes:
    """What the scene holds of one pair of radiographs, or of one CT.

    Attributes:
        placed: copies on the detector planes, frontal and lateral; None where there is none yet.
        masks: segmentations on them.
        models: model nodes by bone.
        report: of the reconstruction.
        messages: sentences for the user: warnings first, then notes.
    """

    placed: tuple = (None, None)
    masks: tuple = (None, None)
    models: dict = field(default_factory=dict)
    report: dict = field(default_factory=dict)
    messages: tuple = ()

    def folder(self):
        """The case's folder in the subject hierarchy, or None."""
        # Simulated radiographs are no copies: they lie in a folder of their own.
        return folderOf(*self.models.values(), *self.masks, *self.placed)

    def name(self):
        """What the case's folder is called."""
        hierarchy, folder = slicer.mrmlScene.GetSubjectHierarchyNode(), self.folder()
        return hierarchy.GetItemName(folder) if folder else _("Knee")

    def stillThere(self):
        """The case without nodes that were removed meanwhile."""

        def kept(nodes):
            return tuple(node if _isPresent(node) else None for node in nodes)

        models = {bone: node for bone, node in self.models.items() if _isPresent(node)}
        return CaseNodes(kept(self.placed), kept(self.masks), models, self.report, self.messages)


class Tasks:
    """Starts jobs in a worker and shows what comes back.

    Every method returns the job at once and never raises for bad input: ``onFailed`` gets the
    error. Bad input leaves the scene as it was.

    Args:
        worker: :class:`~SSRKDSlicer.worker.worker_client.WorkerClient`; also an attribute.
    """

    def __init__(self, worker):
        self.worker = worker

    def reconstruct(self, setup, options, case=None, in3D=False, **callbacks):
        """Bones of two radiographs; ``onDone`` gets the :class:`CaseNodes`.

        Args:
            setup: :class:`~SSRKDSlicer.radiographs.view_setup.Setup`.
            options: :class:`Options`.
            case: :class:`CaseNodes` of the same pair so far; edited masks are used, placed copies
                moved, models get new surfaces.
            in3D: draw the outlines on the radiographs in the 3D view, too.
            callbacks: onProgress, onDone, onFailed, see
                :class:`~SSRKDSlicer.worker.worker_client.Job`.
        """
        case = case or CaseNodes()
        started = time.monotonic()

        def prepare(folder):
            masks = tuple(
                _edited(radiograph, placed, node)
                for radiograph, placed, node in zip(setup.radiographs, case.placed, case.masks)
            )
            entries, notes = folder.writeSetup(setup, masks)
            request = {"do": "reconstruct", **options.request(), **entries}
            return request, (masks, notes)

        def show(folder, result, prepared):
            masks, notes = prepared
            report = result["report"]
            used = setup.asUsed(report["rig"])
            made = self._showResult(used, options, folder, report, case.stillThere(), in3D)
            edited = [
                _("The {view} bone masks were edited; they were used.").format(view=word(r.role))
                for r, mask in zip(setup.radiographs, masks)
                if mask is not None
            ]
            made.messages = (*report["warnings"], *edited, *notes, *report["radiographs"])
            timing.rememberGpu(report.get("gpu"))
            timing.remember(
                report["weights"], report["device"], options.spacing, options.surface,
                time.monotonic() - started,
            )  # fmt: skip
            return made

        return self.run(prepare, show, callbacks)

    def reconstructCt(self, ctNode, roiNode, laterality, options, case=None, **callbacks):
        """Bones of a CT; ``onDone`` gets the :class:`CaseNodes`.

        The models come under the CT's parent transform: they are where the CT is, and move with it.

        Args:
            ctNode: volume node in Hounsfield units.
            roiNode: region around one knee, or None.
            laterality: "L", "R" or None (from the bones).
            options: :class:`Options`; the spacing is the weights' own.
            case: what was made of the same CT so far: its models get new surfaces.
            callbacks: onProgress, onDone, onFailed.
        """

        def prepare(folder):
            check_teacher(options.weights or None)
            path = folder.path / "ct.nrrd"
            writeCt(ctNode, roiNode, path, inWorld=False)
            return {
                "do": "reconstruct_ct",
                "ct": str(path),
                "weights": options.weights or None,
                "device": options.device,
                "surface": options.surface,
                "laterality": laterality,
            }, ctNode.GetName()

        def show(folder, result, name):
            report = result["report"]
            before = (case or CaseNodes()).stillThere()
            item = before.folder() or newFolder(_("Knee of {name}").format(name=name))
            models = self._showModels(folder, report, item, before.models)
            for node in models.values():
                node.SetNodeReferenceID(FROM_CT, ctNode.GetID() if _isPresent(ctNode) else None)
                if _isPresent(ctNode):
                    node.SetAndObserveTransformNodeID(ctNode.GetTransformNodeID())
            timing.rememberGpu(report.get("gpu"))
            return CaseNodes(models=models, report=report, messages=tuple(report["warnings"]))

        return self.run(prepare, show, callbacks)

    def segment(self, setup, options, case=None, in3D=False, **callbacks):
        """Bone masks on two radiographs; ``onDone`` gets the :class:`CaseNodes`."""
        case = case or CaseNodes()

        def prepare(folder):
            entries, notes = folder.writeSetup(setup)
            return {"do": "segment", **options.request(), **entries}, notes

        def show(folder, result, notes):
            _stillThere(setup)
            before = case.stillThere()
            item = before.folder() or newCaseFolder(setup)
            used = setup.asUsed(result["rig"])
            placed = placeRadiographs(used, item, before.placed, before.masks)
            nodes = []
            for index, radiograph in enumerate(setup.radiographs):
                masks = uncropped(np.load(result["masks"][index]), setup, index)
                nodes.append(
                    showMasks(
                        masks, placed[index], radiograph.role, result["laterality"], item,
                        before.masks[index],
                    )
                )  # fmt: skip
            outlines.updateOutlines(before.models, placed, item, in3D)
            messages = (*result["warnings"], *notes, *result["notes"])
            return CaseNodes(tuple(placed), tuple(nodes), before.models, before.report, messages)

        return self.run(prepare, show, callbacks)

    def locate(self, setup, options, **callbacks):
        """The knee in two radiographs; ``onDone`` gets, for each, (left, top, columns, rows) of
        pixels around it, or None where it is not in it, and sentences for the log."""

        def prepare(folder):
            entries, notes = folder.writeSetup(setup)
            return {"do": "locate", **options.request(), **entries}, notes

        def show(folder, result, notes):
            return result["regions"], (*result["notes"], *notes)

        return self.run(prepare, show, callbacks)

    def simulate(self, ctNode, roiNode, preset, laterality, energy, noise, **callbacks):
        """Radiographs of a CT; ``onDone`` gets their (frontal, lateral) volume nodes."""

        def prepare(folder):
            ct, rig = folder.path / "ct.nrrd", folder.path / "rig.json"
            centre = writeCt(ctNode, roiNode, ct)
            writePresetRig(preset, laterality, centre, rig)
            request = {
                "do": "simulate",
                "ct": str(ct),
                "rig": str(rig),
                "energy": energy,
                "noise_free": not noise,
            }
            return request, ctNode.GetName()

        def show(folder, result, name):
            return addRadiographs(result["rig"], name)

        return self.run(prepare, show, callbacks)

    def describe(self, **callbacks):
        """What is installed where the worker runs; see :mod:`SSRKDLib.worker.tasks`."""
        return self.worker.submit({"do": "describe"}, **callbacks)

    def importWeights(self, files, **callbacks):
        """Weights from files into the user's folder; ``onDone`` gets their name and title."""
        return self.worker.submit({"do": "import_weights", "files": list(files)}, **callbacks)

    def run(self, prepare, show, callbacks):
        """A job with a folder of its own: prepared, run, shown, removed.

        Args:
            prepare: called with the :class:`~SSRKDSlicer.worker.job_folder.JobFolder`; returns the
                request and anything that ``show`` needs.
            show: called with the folder, the worker's result and that; returns what ``onDone``
                gets.
            callbacks: onProgress, onDone, onFailed.
        """
        onDone, onFailed = callbacks.get("onDone"), callbacks.get("onFailed")
        folder = prepared = None

        def failed(error):
            if folder is not None:
                folder.remove()
            if onFailed is not None:
                onFailed(error)

        def done(result):
            try:
                with slicer.util.RenderBlocker():  # views are drawn once everything is there
                    shown = show(folder, result, prepared)
            except SSRKDError as error:
                failed(error)
                return
            except Exception as error:  # else the panel would wait for ever
                failed(unexpected(error))
                return
            folder.remove()
            if onDone is not None:
                onDone(shown)

        try:
            folder = JobFolder(os.path.join(slicer.app.temporaryPath, "SSRKD"))
            request, prepared = prepare(folder)
        except SSRKDError as error:
            return self.worker.refused(error, failed)
        except Exception as error:
            return self.worker.refused(unexpected(error), failed)
        request["output"] = str(folder.output)
        return self.worker.submit(request, callbacks.get("onProgress"), done, failed)

    def _showResult(self, setup, options, folder, report, case, in3D):
        item = case.folder() or newCaseFolder(setup)
        present = [_isPresent(radiograph.node) for radiograph in setup.radiographs]
        placed = (None, None)
        if all(present):
            placed = tuple(placeRadiographs(setup, item, case.placed, case.masks))
        models = self._showModels(folder, report, item, case.models, setup.croppedRig())
        if posesChoice(models) not in (None, options.pose):
            # The networks found the frontal and the lateral radiograph exchanged.
            showPose(models, options.pose)
            report.update(withPose(report, options.pose))
        outlines.updateOutlines(models, placed, item, in3D)
        made = CaseNodes(placed, case.masks, models, report)
        if not all(present):
            report["warnings"].append(
                _("A radiograph was removed meanwhile; the bones are shown without outlines.")
            )
        return made

    @staticmethod
    def _showModels(folder, report, item, before, rig=None):
        """The models of a result; earlier ones of bones that are not in it any more are removed."""
        models = addModels(folder.output, report, item, before, rig)
        lost = [node for bone, node in before.items() if bone not in models]
        for node in (*outlines.outlinesOf(lost), *lost):
            slicer.mrmlScene.RemoveNode(node)
        return models


def waitFor(start, progress=None):
    """Start a job and let events run until it has ended.

    Args:
        start: starts it, given onProgress, onDone and onFailed; returns it.
        progress: see :class:`~SSRKDSlicer.worker.worker_job.Job`.

    Returns:
        What the job gave to ``onDone``.

    Raises:
        SSRKDError: what it gave to ``onFailed``.
    """
    ended = {}
    job = start(
        onProgress=progress or (lambda stage, fraction, message: None),
        onDone=lambda result: ended.update(result=result),
        onFailed=lambda error: ended.update(error=error),
    )
    while not job.finished:
        slicer.app.processEvents()
        time.sleep(0.01)
    if "error" in ended:
        raise ended["error"]
    return ended["result"]


def newCaseFolder(setup):
    """A subject hierarchy folder for what is made of a pair of radiographs."""
    return newFolder(kneeOfPair([radiograph.name for radiograph in setup.radiographs]))


def _isPresent(node):
    return node is not None and slicer.mrmlScene.IsNodePresent(node)


def _stillThere(setup):
    from SSRKDLib.core.errors import InputError

    if not all(_isPresent(radiograph.node) for radiograph in setup.radiographs):
        raise InputError(
            _("A radiograph was removed meanwhile."), _("Load it again, then click again.")
        )


def _edited(radiograph, placed, maskNode):
    """The user's masks of a radiograph, None where they are of another one or untouched."""
    if placed is None or not _isPresent(maskNode) or not _isPresent(placed):
        return None
    if radiograph.node not in (placed, placed.GetNodeReference("SSRKD.CopyOf")):
        return None
    return editedMasks(maskNode, placed)
