"""Radiographs from the file to the network input: reading, line integrals, normalisation.

Not here: networks, or where the knee is found (see :mod:`SSRKDLib.reconstruction`).
"""
