"""Tests share a machine: two threads are enough for torch."""

from __future__ import annotations

import torch

from Testing.packaging import installed  # noqa: F401  (a fixture for every test)

torch.set_num_threads(min(2, torch.get_num_threads()))
