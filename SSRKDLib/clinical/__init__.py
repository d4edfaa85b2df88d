"""Clinical measures of the knee: slopes, widths, angles and patellar height, with landmarks.

Not here: distances between surfaces (see :mod:`SSRKDLib.evaluation`).
"""
