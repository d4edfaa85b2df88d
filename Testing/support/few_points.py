"""The paper's protocol with few points, where nothing looks at it: it takes half a comparison."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from SSRKDLib.evaluation import metrics

FEW = 2_000


@pytest.fixture(scope="module", autouse=True)
def few_points() -> Iterator[None]:
    """For every test of a file that imports it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "PAPER_POINTS", FEW)
        yield
