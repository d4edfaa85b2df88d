"""The implementations equal the published networks, number by number."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from SSRKDLib.networks.official_segmenter import OfficialSegmenter  # noqa: E402
from SSRKDLib.networks.official_student import OfficialStudent  # noqa: E402
from SSRKDLib.networks.official_teacher import OfficialTeacher  # noqa: E402
from SSRKDLib.networks.point_tables import PointTables  # noqa: E402
from Testing.support.shared_data import (  # noqa: E402
    SHARED,
    draw,
    needs_shared,
    official_arrays,
    official_shapes,
)

CLASSES = {"seg": OfficialSegmenter, "ct": OfficialTeacher, "xray": OfficialStudent}
TOLERANCE = 1e-4


@pytest.fixture(autouse=True)
def _inference():
    with torch.no_grad():
        yield


def official_network(name):
    network = CLASSES[name]()
    arrays = official_arrays(name)
    network.load_state_dict({key: torch.from_numpy(array) for key, array in arrays.items()})
    return network.eval()


def expected(name):
    with np.load(SHARED / "official" / f"parity_{name}.npz") as file:
        return dict(file)


def drawn(name, *shape):
    return torch.from_numpy(draw(name, shape))


def assert_same(found, wanted):
    np.testing.assert_allclose(found.numpy(), wanted, rtol=0, atol=TOLERANCE)


@needs_shared
@pytest.mark.parametrize("name", CLASSES)
def test_keys_and_shapes(name):
    with torch.device("meta"):
        state = CLASSES[name]().state_dict()
    assert {key: tuple(tensor.shape) for key, tensor in state.items()} == official_shapes(name)


@needs_shared
def test_segmenter():
    logits = official_network("seg")(drawn("seg_input", 1, 1, 96, 80))
    assert_same(logits, expected("seg")["seg_logits"])


@needs_shared
def test_teacher():
    network, wanted = official_network("ct"), expected("ct")
    features = network.encode(drawn("ct_input", 1, 1, 32, 32, 48))
    answers = network.query(features, drawn("ct_points", 1, 3, 50).tanh())
    assert len(answers) == 4
    for head, answer in enumerate(answers):
        assert_same(answer.logits, wanted[f"ct_pred_{head}"])
        assert_same(answer.embedding, wanted[f"ct_feat_{head}"])


@needs_shared
def test_student_and_its_tables():
    network, wanted = official_network("xray"), expected("xray")
    views = drawn("xray_input", 1, 2, 2, 128, 96)
    points = drawn("xray_points", 1, 2, 50, 2).tanh()

    features = network.encode(views)
    (answer,) = network.query(features, points)
    assert_same(answer.logits, wanted["xray_pred_eval"])
    assert_same(answer.embedding, wanted["xray_feat_eval"])
    assert_same(PointTables(network, features)(points[0]).t(), wanted["xray_pred_eval"][0])

    network.train()
    answers = network.query(network.encode(views), points)
    assert len(answers) == 4
    for stack, answer in enumerate(answers):
        assert_same(answer.logits, wanted[f"xray_pred_train_{stack}"])


@pytest.mark.parametrize("hidden", [(32, 16), (24, 16, 8), ()])
def test_tables_equal_the_plain_query_in_and_out_of_view(hidden):
    torch.manual_seed(0)
    student = OfficialStudent(width=32, stacks=2, depth=1, hidden=hidden, embedding=8).eval()
    features = student.encode(torch.randn(1, 2, 2, 48, 32))
    points = torch.rand(1, 2, 500, 2) * 3 - 1.5
    corners = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [-1.0, 1.0], [0.0, 0.0]])
    points = torch.cat((points, corners.expand(1, 2, 4, 2)), dim=2)
    plain = student.query(features, points)[-1].logits[0].t()
    assert_same(PointTables(student, features)(points[0]), plain.numpy())


def test_tables_ignore_a_view_that_does_not_see_the_point():
    torch.manual_seed(0)
    student = OfficialStudent(width=16, stacks=1, depth=1, hidden=(8,), embedding=8).eval()
    tables = PointTables(student, student.encode(torch.randn(1, 2, 2, 32, 32)))
    seen = torch.zeros(2, 3, 2)
    seen[1] = torch.tensor([[float("nan")] * 2, [float("inf")] * 2, [9.0, 9.0]])
    logits = tables(seen)
    assert logits.isfinite().all()
    assert torch.allclose(logits, logits[-1].expand_as(logits), atol=1e-6)


def test_tables_take_one_pair_only():
    student = OfficialStudent(width=16, stacks=1, depth=1, hidden=(8,), embedding=8).eval()
    with pytest.raises(ValueError, match="one pair"):
        PointTables(student, student.encode(torch.zeros(2, 2, 2, 32, 32)))


def test_reduced_networks_train():
    with torch.enable_grad():
        student = OfficialStudent(width=16, stacks=2, depth=1, hidden=(8,), embedding=8)
        features = student.encode(torch.randn(1, 2, 2, 32, 32))
        answers = student.query(features, torch.zeros(1, 2, 5, 2))
        sum(a.logits.sum() + a.embedding.sum() for a in answers).backward()
        teacher = OfficialTeacher(width=2, head_channels=8, hidden=(8,))
        heads = teacher.query(teacher.encode(torch.randn(1, 1, 32, 32, 32)), torch.zeros(1, 3, 5))
        sum(a.logits.sum() for a in heads).backward()
        OfficialSegmenter(width=2)(torch.randn(1, 1, 37, 50)).sum().backward()
    assert len(answers) == 2 and answers[0].logits.shape == (1, 5, 5)
    assert len(heads) == 4 and heads[0].embedding.shape == (1, 8, 5)
    assert teacher.im_filter.block_one.conv[0].weight.grad.isfinite().all()
