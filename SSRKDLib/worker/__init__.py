"""The process behind Slicer: its protocol, its loop, its tasks.

Not here: Slicer's side of it (see ``SSRKDSlicer.worker``).
"""
