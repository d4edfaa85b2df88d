"""What a user can choose of what is delivered."""

from __future__ import annotations

from SSRKDLib.core.errors import InputError
from SSRKDLib.core.messages import Message

#: The population's shape model fitted to the radiographs or the CT, or the isosurface of the
#: network's field.
SURFACES = ("fitted", "field")

#: The views of a pair, in the order of their virtual cameras, and further ones that bones are
#: fitted to.
VIEW_NAMES, FURTHER_NAMES = ("frontal", "lateral"), ("third", "fourth")

#: Where bones moved between the views, the view in whose pose they are delivered, the default
#: first: in the lateral view flexion, height and depth of the joint are seen best.
POSES = ("lateral", "frontal")


def chosen_surface(surface: str | None, default: str) -> str:
    """The surface that is asked for, or the default where that is None.

    Raises:
        InputError: none of :data:`SURFACES`.
    """
    if surface is None:
        return default
    if surface not in SURFACES:
        raise InputError(
            "There is no surface called '{surface}'.",
            "Use one of {surfaces}.",
            surface=surface,
            surfaces=", ".join(SURFACES),
        )
    return surface


def pose_sentence(pose: str) -> str:
    """A sentence on the pose of bones that moved between the views."""
    return Message(
        "The surfaces are shown as the bones lay in the {pose} view; their depth "
        "along the X-ray beam is uncertain.",
        pose=pose,
    )
