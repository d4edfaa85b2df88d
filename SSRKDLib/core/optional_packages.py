"""From which version on packages that may be missing are safe."""

from __future__ import annotations

#: Older versions of PyTorch could be made to run code by a crafted checkpoint.
OLDEST_TORCH = (2, 10)
