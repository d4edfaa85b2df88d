"""Planning of operations on the bones: high tibial osteotomies, and whether two plans are the same.

Not here: the measures that a plan changes (see :mod:`SSRKDLib.clinical`).
"""
