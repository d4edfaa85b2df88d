"""Image files: which formats are read, and how images are written.

Not here: what a pixel value means (see :mod:`SSRKDLib.radiographs`, :mod:`SSRKDLib.ct`).
"""
