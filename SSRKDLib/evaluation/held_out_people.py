"""How good the reconstruction is on people who were never trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.evaluation.metrics import compare_meshes
from SSRKDLib.evaluation.regions import region_around
from SSRKDLib.geometry.rig_presets import c_arm, oblique, orthogonal
from SSRKDLib.geometry.views import Rig, View
from SSRKDLib.geometry.virtual_cameras import MIRROR
from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.reconstruction.radiographs import reconstruct
from SSRKDLib.simulation.population import HELD_OUT_PEOPLE, load_person
from SSRKDLib.simulation.random_radiograph import random_line_integral
from SSRKDLib.simulation.surface_phantom import material_paths, random_leg
from SSRKDLib.simulation.voxel_phantom import simulate_view, voxel_knee
from SSRKDLib.surfaces.knee import joint_centre
from SSRKDLib.surfaces.mesh import Mesh, from_polydata, to_polydata
from SSRKDLib.surfaces.mesh_files import read_meshes

#: Where the joint lies in the rig, mm: 27 off the origin.
OFF_ORIGIN = np.array([15.0, -10.0, 20.0])

RIGS = {"orthogonal": orthogonal, "c_arm": c_arm, "oblique": oblique}

SIMULATORS = ("voxel", "mesh")


@dataclass(frozen=True)
class Person:
    """A left knee with its joint at :data:`OFF_ORIGIN`, in the pose in which it came."""

    group: str
    name: str
    bones: dict[str, Mesh]

    def mirrored(self) -> dict[str, Mesh]:
        """The same knee as a right one."""
        return {bone: mesh.transformed(MIRROR) for bone, mesh in self.bones.items()}


def held_out_people(shared: Path | None) -> list[Person]:
    """People 20 to 25 of LLP26, and the two Visible Humans where ``shared`` holds them."""
    people = [Person("llp26", f"llp26-{k}", placed(load_person(k))) for k in HELD_OUT_PEOPLE]
    if shared is not None:
        for name in ("VHF_L", "VHM_L"):
            bones = read_meshes(shared / "data" / "visible_human" / name)
            people.append(Person("visible human", name, placed(bones)))
    return people


def strangers(shared: Path | None) -> list[Person]:
    """Knees of other laboratories in ``shared``, right ones mirrored to left."""
    folder = None if shared is None else shared / "data" / "strangers"
    if folder is None or not folder.is_dir():
        return []
    people = []
    for path in sorted(path for path in folder.iterdir() if path.is_dir()):
        bones = {bone: _divided(mesh) for bone, mesh in read_meshes(path).items()}
        if path.name.endswith("_R"):
            bones = Person("", "", bones).mirrored()
        people.append(Person("stranger", path.name, placed(bones)))
    return people


def _divided(mesh: Mesh, edge: float = 10.0) -> Mesh:
    """The same surface without edges longer than ``edge`` mm: shafts that were prolonged have
    vertices at their ends only, and simulators look for the middle of a shaft."""
    from vtkmodules.vtkFiltersModeling import vtkAdaptiveSubdivisionFilter

    divide = vtkAdaptiveSubdivisionFilter()
    divide.SetInputData(to_polydata(mesh))
    divide.SetMaximumEdgeLength(edge)
    divide.SetMaximumTriangleArea(edge**2)
    divide.Update()
    return from_polydata(divide.GetOutput())


def placed(bones: dict[str, Mesh], joint: np.ndarray = OFF_ORIGIN) -> dict[str, Mesh]:
    """The bones, shifted so that their joint lies at ``joint``, mm."""
    shift = np.eye(4)
    shift[:3, 3] = joint - joint_centre(bones)
    return {bone: mesh.transformed(shift) for bone, mesh in bones.items()}


def projector(
    bones: dict[str, Mesh], simulator: str, tissue: np.random.Generator, noise: np.random.Generator
) -> Callable[[View], np.ndarray]:
    """Radiographs of one knee by view: line integrals, float32 ``[rows, columns]``.

    Args:
        bones: mm, the views' frame.
        simulator: ``voxel``, the one that training never sees, or ``mesh``, the one that it learns
            from, with its random exposures.
        tissue: the leg around the bones is drawn from it at once.
        noise: the exposures are drawn from it, view by view.
    """
    if simulator == "voxel":
        volume = voxel_knee(bones, tissue)
        return lambda view: simulate_view(volume, view, noise)
    joint = joint_centre(bones)
    centred = {bone: mesh.vertices - joint for bone, mesh in bones.items()}
    leg = random_leg(centred, {bone: mesh.faces for bone, mesh in bones.items()}, tissue)
    shift = np.eye(4)
    shift[:3, 3] = -joint

    def take(view: View) -> np.ndarray:
        moved = view.transformed(shift)
        row = float(moved.project(np.zeros(3))[1])
        paths, _ = material_paths(leg, moved)
        pixel = moved.pixel_size(float(moved.depths(np.zeros(3))))[0]
        return random_line_integral(paths, row, pixel, noise)

    return take


def radiographs(
    bones: dict[str, Mesh], rigs: dict[str, Rig], simulator: str, seed: int
) -> dict[str, list[Exposure]]:
    """Exposures of one knee in each rig (see :func:`projector`)."""
    rng = np.random.default_rng(seed)
    take = projector(bones, simulator, rng, rng)
    return {name: [exposed(view, take(view)) for view in rig.views] for name, rig in rigs.items()}


def exposed(view: View, image: np.ndarray) -> Exposure:
    """An exposure without borders."""
    return Exposure(view, image, np.ones(image.shape, bool))


def evaluate(
    model: KneeModel,
    people: list[Person],
    simulators: tuple[str, ...],
    sides: str,
    spacing: float,
    presets: Mapping[str, Callable[..., Rig]] = RIGS,
) -> Iterator[dict]:
    """One row per person, side, simulator, rig and bone: ``assd_mm`` and the other metrics of
    :func:`~SSRKDLib.evaluation.metrics.compare_meshes`, NaN where a bone was not found; ``presets``
    are of :data:`~SSRKDLib.geometry.rig_presets.PRESETS`."""
    for person in people:
        for side in sides:
            bones = person.bones if side == "L" else person.mirrored()
            centre = OFF_ORIGIN * ([1, 1, 1] if side == "L" else [-1, 1, 1])
            region = region_around(centre)
            rigs = {name: make(laterality=side) for name, make in presets.items()}
            for simulator in simulators:
                exposures = radiographs(bones, rigs, simulator, seed=sum(map(ord, person.name)))
                for rig_name, rig in rigs.items():
                    result = reconstruct(exposures[rig_name], rig, model, spacing)
                    for row in compare_meshes(result.bones, bones, region):
                        if row["bone"] in BONES:
                            yield {
                                "group": person.group, "person": person.name, "side": side,
                                "simulator": simulator, "rig": rig_name,
                                "agreement": result.report["locating"]["agreement"], **row,
                            }  # fmt: skip


def summary(rows: list[dict]) -> list[dict]:
    """Mean, 95th percentile and maximum of ``assd_mm`` by group, simulator and side.

    NaN where a bone of the group is missing: a lost bone must not make the rest look good.
    """
    keys = sorted({(row["group"], row["simulator"], row["side"]) for row in rows})
    table = []
    for group, simulator, side in keys:
        chosen = [
            row for row in rows
            if (row["group"], row["simulator"], row["side"]) == (group, simulator, side)
        ]  # fmt: skip
        distances = np.array([row["assd_mm"] for row in chosen], float)
        by_bone = {
            bone: float(np.mean([r["assd_mm"] for r in chosen if r["bone"] == bone]))
            for bone in BONES
        }
        table.append(
            {
                "group": group, "simulator": simulator, "side": side,
                "surfaces": len(distances), "missing": int(np.isnan(distances).sum()),
                "mean": float(np.mean(distances)),
                "p95": float(np.percentile(distances, 95)),
                "worst": float(np.max(distances)), **by_bone,
            }
        )  # fmt: skip
    return table
