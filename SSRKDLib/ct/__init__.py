"""CT volumes from the file to the network grid, and what a label volume consists of.

Not here: networks (see :mod:`SSRKDLib.models`).
"""
