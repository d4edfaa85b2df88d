"""The commands of ``python -m SSRKDLib``: each a module with ``add_parser`` and ``run``."""
