"""Radiographs of a volume of attenuation, written to files beside their rig."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from SSRKDLib.core.anatomy import COLOURS
from SSRKDLib.core.errors import InputError
from SSRKDLib.core.messages import Message
from SSRKDLib.core.output_file import cannot_write
from SSRKDLib.core.output_manifest import ResultKind
from SSRKDLib.core.progress import Progress
from SSRKDLib.geometry.views import Rig, View
from SSRKDLib.images.writing import write_image
from SSRKDLib.radiographs.exposure import Source, with_sources
from SSRKDLib.radiographs.rig_file import read_written_rig, write_rig
from SSRKDLib.surfaces.mesh import Mesh
from SSRKDLib.surfaces.mesh_files import write_mesh

if TYPE_CHECKING:
    from SSRKDLib.simulation.joseph import Volume

#: Name of the rig beside the images; folder of the true bones, with a folder for each view.
RIG, TRUE_BONES = "rig.json", "bones"

#: Methods of projection by name: Joseph's, in torch, anywhere; TIGRE's, on a GPU. They agree to the
#: accuracy of their sampling.
PROJECTORS = ("joseph", "tigre")


def earlier_radiographs(folder: Path) -> Collection[str]:
    """Names of the files in a folder that :func:`write_radiographs` wrote, as far as they tell.

    A folder of a user's radiographs with a rig is not taken for one: the rig has to be as this
    program writes it, with every image named after its view, and of the only kind that is made.
    """
    rig = read_written_rig(folder / RIG)
    if rig is None:
        return ()
    names: list[str] = []
    for index, (view, source) in enumerate(zip(rig.views, rig.sources)):
        names.append(_file_name(view, index, names))
        if source != Source(names[-1]):
            return ()
    return {RIG, *names}


#: What ``simulate`` writes.
SIMULATION = ResultKind("simulation", earlier_radiographs)

#: Effective photon energies that attenuation is known for, keV.
ENERGIES = (40.0, 100.0)


@dataclass(frozen=True)
class ExposureSettings:
    """How radiographs are exposed.

    Attributes:
        energy: effective photon energy, keV.
        photons: mean count per pixel behind air.
        scatter: scatter / (scatter + primary) behind the leg.
        noise_free: bare projections: no noise, scatter or blur.
        seed: of the noise.
        projector: see :func:`~SSRKDLib.simulation.projector.project_view`.
    """

    energy: float = 60.0
    photons: float = 3e4
    scatter: float = 0.15
    noise_free: bool = False
    seed: int = 0
    projector: str = "joseph"

    def __post_init__(self) -> None:
        if not ENERGIES[0] <= self.energy <= ENERGIES[1]:
            raise InputError(
                "The energy must be 40 to 100 keV (got {energy:g}).", energy=self.energy
            )
        if not 1 <= self.photons <= 1e12:
            raise InputError(
                "The count of photons must be 1 to 1e12 (got {photons:g}).", photons=self.photons
            )
        if not 0 <= self.scatter < 0.95:
            raise InputError(
                "The share of scatter must be 0 to 0.95 (got {scatter:g}).", scatter=self.scatter
            )
        if self.seed < 0:
            raise InputError("The seed must be 0 or more (got {seed}).", seed=self.seed)
        check_projector(self.projector)


def check_projector(name: str) -> None:
    """Raise :class:`~SSRKDLib.core.errors.InputError` where a name is not in
    :data:`PROJECTORS`."""
    if name not in PROJECTORS:
        raise InputError(
            "'{name}' is not a projector: use {projectors}.",
            name=name,
            projectors=" or ".join(PROJECTORS),
        )


def write_radiographs(
    volumes: Sequence[Volume],
    rig: Rig,
    folder: Path,
    how: ExposureSettings,
    rng: np.random.Generator,
    progress: Progress,
) -> Rig:
    """Expose every view; write one line-integral image per view (NRRD, float32) and the rig.

    Args:
        volumes: what each view sees: attenuation, 1/mm, in the rig's frame.
        rig: how to look at it.
        folder: where to write.
        how: the exposure (its seed is for the caller, who makes ``rng``).
        rng: the noise.
        progress: called with stage, fraction done (0 to 1) and message before each view.

    Returns:
        The rig with the images' names.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    sources: list[Source] = []
    for index, (view, volume) in enumerate(zip(rig.views, volumes)):
        progress("project", index / len(rig.views), Message("Projecting {view}", view=view.name))
        name = _file_name(view, index, [str(other.image) for other in sources])
        write_image(folder / name, _expose(volume, view, how, rng))
        sources.append(Source(name))
    made = with_sources(rig, sources)
    write_rig(made, folder / RIG)
    return made


def write_true_bones(
    folder: Path, images: Sequence[str | Path], bones: Sequence[Mapping[str, Mesh]]
) -> None:
    """Write the bones as they lay in each view: ``bones/VIEW/BONE.ply``, mm, the rig's frame.

    Args:
        folder: where the radiographs were written.
        images: their names, after which the views' folders are named.
        bones: of each view.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    for image, lying in zip(images, bones):
        place = folder / TRUE_BONES / Path(image).stem
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(place, error) from error
        for bone, mesh in lying.items():
            write_mesh(place / f"{bone}.ply", mesh, COLOURS[bone])


def _expose(
    volume: Volume, view: View, how: ExposureSettings, rng: np.random.Generator
) -> np.ndarray:
    """Line integrals of one view, float32 ``[rows, columns]``."""
    import torch

    from SSRKDLib.simulation.projector import project_view
    from SSRKDLib.simulation.voxel_phantom import simulate_view

    if how.noise_free:
        with torch.no_grad():
            return project_view(volume, view, how.projector).cpu().numpy().astype(np.float32)
    return simulate_view(
        volume, view, rng, photons=how.photons, scatter_fraction=how.scatter,
        projector=how.projector,
    )  # fmt: skip


def _file_name(view: View, index: int, before: Collection[str]) -> str:
    """The view's name as a file name, made unique."""
    name = re.sub(r"[^A-Za-z0-9-]+", "_", view.name).strip("_") or f"view_{index}"
    taken = {Path(other).stem for other in before}
    return f"{name}_{index}.nrrd" if name in taken else f"{name}.nrrd"
