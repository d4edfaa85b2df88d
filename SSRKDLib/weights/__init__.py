"""Bundles of weights: reading, writing, the catalogue, and the import of published checkpoints.

Not here: what a network is asked (see :mod:`SSRKDLib.models`).
"""
