"""The module in the real application: steps that a person or a workflow runs inside 3D Slicer.

They run on the bench as well, so that they are tested themselves. Start with
:mod:`Testing.slicer.run_in_slicer`.
"""
