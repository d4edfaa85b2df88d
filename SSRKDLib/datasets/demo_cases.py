"""The demo's cases: what is reconstructed, from what, and whom to thank for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from SSRKDLib.core.progress import Reporter
from SSRKDLib.geometry.rig_presets import c_arm, orthogonal
from SSRKDLib.geometry.views import Rig
from SSRKDLib.images.writing import write_image
from SSRKDLib.radiographs.exposure import Source, with_sources
from SSRKDLib.radiographs.rig_file import write_rig
from SSRKDLib.simulation.radiographs import simulate_exposures
from SSRKDLib.surfaces.knee import joint_centre
from SSRKDLib.surfaces.mesh import Mesh
from SSRKDLib.surfaces.mesh_files import read_meshes

#: Makes a case's radiographs in a folder; returns their rig and the true bones, where known.
Prepare = Callable[[Path, Reporter], "tuple[Rig, dict[str, Mesh] | None]"]

#: Which held-out person, of tissue and noise which seed, and where the knee lies in the rig, mm.
_PERSON, _SEED = 20, 20
_OFF_CENTRE = 27.0 * np.array([0.67, -0.45, 0.59]) / np.linalg.norm([0.67, -0.45, 0.59])

_VISIBLE_HUMANS = {
    "VHF_L": (
        "Visible Human Female",
        'K. Browne, H. Schlehlein, "3D Reference Organ for Knee, Female, Left v1.3", HuBMAP 2024, '
        "doi.org/10.48539/HBM892.RGKB.238",
    ),
    "VHM_L": (
        "Visible Human Male",
        'K. Browne, H. Schlehlein, "3D Reference Organ for Knee, Male, Left v1.2", HuBMAP 2024, '
        "doi.org/10.48539/HBM839.JJQF.873",
    ),
}


@dataclass(frozen=True)
class DemoCase:
    """One case.

    Attributes:
        name: of its folder.
        title: heading of its picture.
        credit: line at the bottom of its picture.
        prepare: makes it, see :data:`Prepare`.
        needs: a folder of the shared material that it needs, or None.
    """

    name: str
    title: str
    credit: str
    prepare: Prepare
    needs: Path | None = None

    @property
    def reason_to_skip(self) -> str | None:
        """Why the case cannot be run here, or None."""
        if self.needs is None or self.needs.is_dir():
            return None
        return f"there is no {self.needs} (set SSRKD_SHARED to the folder that holds data/)"


def demo_cases() -> list[DemoCase]:
    """All cases, also those whose material is not here."""
    data = shared_folder() / "data"
    cases = [
        DemoCase(
            name=f"llp26-{_PERSON}",
            title=f"Real person, held out (LLP26, no. {_PERSON}): from two DICOM files",
            credit="Bones: LLP26, Auckland Bioengineering Institute (MPL-2.0); radiographs "
            "simulated from them",
            prepare=_person,
        )
    ]
    for name, (who, source) in _VISIBLE_HUMANS.items():
        folder = data / "visible_human" / name
        cases.append(
            DemoCase(
                name=name,
                title=f"{who}, left knee: from two simulated C-arm radiographs",
                credit=f"Bones: {source}, CC BY 4.0; radiographs simulated from them",
                prepare=partial(_visible_human, folder),
                needs=folder,
            )
        )
    folder = data / "biplane_knee"
    biplane = DemoCase(
        name="biplane-0180",
        title="Living person, left knee, hopping: from two real fluoroscopy frames",
        credit="Radiographs: Autoscoper sample data, Brown University (BSD-3-style licence)",
        prepare=partial(_biplane, folder),
        needs=folder,
    )
    return [*cases, biplane]


def shared_folder() -> Path:
    """Where the material shared between projects is: ``$SSRKD_SHARED``, else beside the checkout.

    It need not exist.
    """
    given = os.environ.get("SSRKD_SHARED")
    return Path(given) if given else Path(__file__).resolve().parents[3] / "shared"


def _person(folder: Path, report: Reporter) -> tuple[Rig, dict[str, Mesh]]:
    """DICOM files whose tags are all that the reconstruction gets to know."""
    from SSRKDLib.radiographs.dicom_writing import write_dicom
    from SSRKDLib.radiographs.rig_from_dicom import rig_from_dicom
    from SSRKDLib.simulation.population import load_person

    bones = load_person(_PERSON)
    shift = np.eye(4)
    shift[:3, 3] = _OFF_CENTRE - joint_centre(bones)
    bones = {bone: mesh.transformed(shift) for bone, mesh in bones.items()}
    rig = orthogonal(pixels=512)
    paths = []
    for index, image in enumerate(simulate_exposures(bones, rig, _SEED, report)):
        view = rig.views[index]
        paths.append(folder / f"{view.name}.dcm")
        write_dicom(
            paths[-1], image, view, laterality="L", case=f"llp26-{_PERSON}", instance=index + 1
        )
    report("reading the geometry from the DICOM tags")
    return rig_from_dicom(*paths), bones


def _visible_human(source: Path, folder: Path, report: Reporter) -> tuple[Rig, dict[str, Mesh]]:
    """Line integrals as NRRD, and a rig file beside them."""
    bones = read_meshes(source)
    rig = c_arm(laterality="L", centre=tuple(joint_centre(bones)))
    sources = []
    for view, image in zip(rig.views, simulate_exposures(bones, rig, _SEED, report)):
        path = folder / f"{view.name}.nrrd"
        write_image(path, image)
        sources.append(Source(str(path.resolve())))
    rig = with_sources(rig, sources)
    write_rig(rig, folder / "rig.json")
    return rig, bones


def _biplane(source: Path, folder: Path, report: Reporter) -> tuple[Rig, None]:
    """A rig in the calibration's own frame; the pose of the leg is for the program to find."""
    from SSRKDLib.radiographs.rig_from_calibration import rig_from_calibration

    report("reading the calibration")
    rig = rig_from_calibration(
        [
            (source / f"xr_calib_left_knee_cam0{k}.txt", source / f"L_Hop_Cam{k}_001_UND.0180.tif")
            for k in (1, 2)
        ],
        laterality="L",
        values=["intensity", "intensity"],
    )
    rig = with_sources(rig, [replace(s, image=str(Path(s.image).resolve())) for s in rig.sources])
    write_rig(rig, folder / "rig.json")
    return rig, None
