"""Radiographs, and people that never were: projectors, phantoms, tissue, detector, population.

Volumes hold linear attenuation in 1/mm, indexed ``[k, j, i]``, with an index-to-world affine in LPS
millimetres. Not here: cases on disk (see :mod:`SSRKDLib.datasets`).
"""
