"""Bundles of weights: reading, writing, the catalogue, and the import of published checkpoints.

Not here: how a network is used (see :mod:`SSRKDLib.models`).
"""
