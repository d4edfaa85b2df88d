"""Bones compared with a reference: alignment, distances, overlap, cohorts, reports.

Not here: clinical measures themselves (see :mod:`SSRKDLib.clinical`).
"""
