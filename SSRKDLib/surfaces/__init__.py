"""Triangle meshes and label maps: types, files, distances, and the knee's own axes.

Not here: how bones are compared (see :mod:`SSRKDLib.evaluation`).
"""
