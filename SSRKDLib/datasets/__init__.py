"""Cases on disk: CTs with or without bone surfaces, prepared for training and evaluation.

Not here: how networks are trained on them (see :mod:`SSRKDLib.training`).
"""
