"""Networks with their weights, ready for use.

Not here: how radiographs become bones (see :mod:`SSRKDLib.reconstruction`).
"""
