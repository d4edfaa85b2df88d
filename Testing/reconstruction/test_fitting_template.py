"""Delivered bones: cut, and still in correspondence."""

import numpy as np

from SSRKDLib.reconstruction.fitting.shape_model import knee_shape_model
from SSRKDLib.reconstruction.fitting.template import correspondence, cut_bone
from SSRKDLib.simulation.population import load_population


def test_a_cut_bone_keeps_the_templates_vertices_in_order():
    part = knee_shape_model().bones["femur"]
    points = part.shape(np.random.default_rng(3).normal(size=knee_shape_model().components))
    height = 82.5
    bone = cut_bone(part, points, height - points[:, 2])
    inside = (points[:, 2] < height) & ~part.rim
    np.testing.assert_array_equal(bone.kept, part.vertices[inside])
    np.testing.assert_array_equal(bone.mesh.vertices[: inside.sum()], points[inside])
    # One round end, flat at the height where it was cut; nothing torn.
    added = bone.mesh.vertices[inside.sum() :]
    np.testing.assert_allclose(added[:, 2], height, atol=0.2)
    report = bone.mesh.edge_report()
    assert report.open == len(added) > 20 and report.non_manifold == 0
    assert len(bone.mesh.open_loops()) == 1
    assert bone.mesh.volume() > 0


def test_a_bone_that_is_not_cut_is_whole():
    part = knee_shape_model().bones["patella"]
    bone = cut_bone(part, part.mean, np.ones(len(part.mean)))
    assert bone.mesh.is_closed
    np.testing.assert_array_equal(bone.mesh.faces, load_population().faces["patella"])
    assert cut_bone(part, part.mean, -np.ones(len(part.mean))) is None


def test_the_report_names_every_vertex():
    part = knee_shape_model().bones["tibia"]
    bone = cut_bone(part, part.mean, part.mean[:, 2] + 70.0)
    report = correspondence({"tibia": bone})
    named = np.concatenate([np.arange(a, b + 1) for a, b in report["bones"]["tibia"]["vertices"]])
    np.testing.assert_array_equal(named, bone.kept)
    added = report["bones"]["tibia"]["cut_vertices"]
    assert len(named) + added == len(bone.mesh.vertices)
