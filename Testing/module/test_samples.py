"""The samples as the Sample Data module offers them."""

from __future__ import annotations

import numpy as np
import pytest

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.images.formats import whole_image_kind
from Testing.bench import user


@pytest.fixture
def sources(module, slicer):
    import SampleData

    return {
        source.sampleName: source
        for source in SampleData.SampleDataLogic.sampleDataSourcesByCategory("SSRKD")
    }


def test_samples_are_offered_with_thumbnails_and_checksums(sources):
    assert len(sources) == 2
    for source in sources.values():
        assert all(checksum.startswith("SHA256:") for checksum in source.checksums)
        assert all(uri.startswith("file:") for uri in source.uris)
        assert whole_image_kind(source.thumbnailFileName) == "PNGImageIO"


def test_samples_of_radiographs_bring_geometry_and_truth(sources, slicer, panel):
    import SampleData

    SampleData.SampleDataLogic().click(sources["Knee radiographs (left, virtual)"])
    slicer.app.processEvents()
    models = slicer.util.getNodesByClass("vtkMRMLModelNode")
    assert {node.GetName() for node in models} >= {f"True {bone}" for bone in BONES}
    assert "Left knee" in panel.ui.summaryLabel.text  # the panel chose them by itself
    assert panel.ui.reconstructButton.enabled


def test_samples_in_the_scene_are_chosen_and_not_loaded_again(sources, slicer, panel):
    import SampleData

    nodes = SampleData.SampleDataLogic().click(sources["Knee radiographs (left, virtual)"])
    panel.panel.parameters.setNode("frontal", "", None)
    user.click(panel.ui.sampleButton)
    assert panel.panel.parameters.nodeOf("frontal") is nodes[0]
    assert slicer.mrmlScene.GetNodesByName("True femur").GetNumberOfItems() == 1
    slicer.mrmlScene.RemoveNode(nodes[2])  # not the whole sample any more
    user.click(panel.ui.sampleButton)
    assert panel.panel.parameters.nodeOf("frontal") is not nodes[0]


def test_samples_of_ct_lie_on_each_other(sources, slicer):
    import SampleData

    SampleData.SampleDataLogic().click(sources["Knee CT (right, virtual)"])
    ct = slicer.util.getNode("Knee CT")
    segmentation = slicer.util.getNode("Knee CT bones")
    array = slicer.util.arrayFromVolume(ct)
    ids = segmentation.GetSegmentation().GetSegmentIDs()
    assert len(ids) == 4
    for segmentId in ids:
        mask = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segmentId, ct) > 0
        assert array[mask].mean() > 200  # bone, in Hounsfield units
        assert np.median(array[~mask]) < 100


def test_samples_that_are_damaged_are_said(panel, slicer, monkeypatch, tmp_path):
    from SSRKDSlicer.radiographs import sample_data

    monkeypatch.setattr(sample_data, "loadRadiographs", lambda: [])
    user.click(panel.ui.sampleButton)
    assert "The sample could not be loaded" in panel.ui.statusLabel.text
