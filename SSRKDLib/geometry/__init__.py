"""Views and rigs as numbers: projection, cameras, angles, and the rig file.

Not here: pixels, or any file but the rig's.
"""
