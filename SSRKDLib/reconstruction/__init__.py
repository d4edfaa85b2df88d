"""From radiographs, or a CT, to bones and the result folder.

Not here: how bones are compared with a reference (see :mod:`SSRKDLib.evaluation`).
"""
