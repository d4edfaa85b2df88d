"""A population's shape model of the bones, fitted to what two radiographs show of them.

Not here: what the networks see in radiographs (see :mod:`SSRKDLib.models`), and which surface is
delivered (see :mod:`SSRKDLib.reconstruction.radiographs`).
"""
