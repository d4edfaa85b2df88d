"""Clinical measures of reconstructed bones, and the bones as one segmentation."""

from __future__ import annotations

from dataclasses import dataclass

from slicer.i18n import tr as _

from SSRKDLib.core.errors import InputError
from SSRKDLib.reconstruction.report import expected_errors
from SSRKDLib.surfaces.mesh_files import write_mesh

from ..radiographs.outlines import worldMesh
from .results import aboutModel, posesChoice


@dataclass
class Measures:
    """Measures, and what they are of.

    Attributes:
        rows: of :func:`SSRKDLib.clinical.table.measure_rows`.
        models: model nodes by bone.
        surfaces: their polygons as they were measured.
    """

    rows: list
    models: dict
    surfaces: dict

    def holds(self, models):
        """Whether they are of these models as they are now."""
        return self.models == models and all(
            node.GetPolyData() is self.surfaces[bone] for bone, node in models.items()
        )


def measure(tasks, models, **callbacks):
    """Measure models; ``onDone`` gets the :class:`Measures`.

    Args:
        tasks: :class:`~SSRKDSlicer.tasks.Tasks`.
        models: model nodes by bone.
        callbacks: onProgress, onDone, onFailed.
    """

    def prepare(folder):
        if not models:
            raise InputError(_("There are no bones to measure."), _("Click Reconstruct first."))
        laterality = next(iter(models.values())).GetAttribute("SSRKD.Laterality")
        if laterality is None:
            raise InputError(
                _("It is not known whether the bones are of a left or a right knee."),
                _("Choose the side in the section From CT, and reconstruct again."),
            )
        (folder.path / "recon").mkdir()
        for bone, node in models.items():
            write_mesh(folder.path / "recon" / f"{bone}.ply", worldMesh(node))
        request = {
            "do": "measure",
            "recon": str(folder.path / "recon"),
            "laterality": laterality,
            "errors": expected_errors(
                {"bones": {bone: aboutModel(node) for bone, node in models.items()}}
            ),
            "pose": posesChoice(models),
        }
        return request, {bone: node.GetPolyData() for bone, node in models.items()}

    def show(folder, result, surfaces):
        return Measures(result["rows"], dict(models), surfaces)

    return tasks.run(prepare, show, callbacks)
