"""SSRKDLib: four knee bones from two radiographs (the part that is not Slicer)."""

__version__ = "0.1.0"
