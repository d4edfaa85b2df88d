"""The commands of ``python -m SSRKDLib``, one module each.

Not here: the work itself.
"""
