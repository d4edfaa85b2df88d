"""How the networks are trained: tasks, data, losses, checkpoints, export.

Not here: architectures (see :mod:`SSRKDLib.networks`) and cases on disk (:mod:`SSRKDLib.datasets`).
"""
