"""Pictures and plots of results.

Not here: tables and reports (see :mod:`SSRKDLib.evaluation`).
"""
