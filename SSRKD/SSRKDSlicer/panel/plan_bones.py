"""Within Plan osteotomy: the bones that are chosen, and their landmarks, which the worker finds."""

from __future__ import annotations

from slicer.i18n import tr as _

from SSRKDLib.core.errors import InputError

from ..bones.osteotomy import findBasis, state


class PlanBones:
    """What is planned on.

    Args:
        panel: :class:`~SSRKDSlicer.panel.panel.Panel`.
        side: called for the side that is chosen: "L", "R" or None.
    """

    def __init__(self, panel, side):
        self._panel, self._side = panel, side
        self._found = None

    def chosen(self):
        """(models by bone, segmentation or None)."""
        return self._panel.case().models, self._panel.parameters.nodeOf("plan", "Bones")

    def suffice(self):
        """Whether they may hold what an osteotomy needs."""
        models, node = self.chosen()
        return node is not None or {"tibia", "fibula"} <= set(models)

    def basis(self):
        """Their :class:`~SSRKDSlicer.bones.osteotomy.Basis`, or None: it must be found first."""
        found = self._found
        return found if found is not None and found.state == state(*self.chosen()) else None

    def find(self, what, then):
        """Find their landmarks in a job; ``then`` gets the basis.

        Args:
            what: for the log, in the user's language.
        """
        models, node = self.chosen()

        def starter(**callbacks):
            return findBasis(self._panel.tasks, models, node, self._side(), **callbacks)

        def done(basis):
            self._found = basis
            then(basis)

        self._panel.start(what, starter, done)

    def give(self, what, then):
        """As :meth:`find`, without a job where the landmarks are known.

        Raises:
            InputError: another job is running.
        """
        basis = self.basis()
        if basis is not None:
            then(basis)
        elif self._panel.job is not None:
            raise InputError(
                _("The bones have changed since they were planned on."),
                _("Wait until the running job has ended."),
            )
        else:
            self.find(what, then)
