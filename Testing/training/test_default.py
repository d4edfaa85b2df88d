"""The training of the default weights: samples, stopping and resuming, export."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from SSRKDLib.core.errors import InputError, WeightsError  # noqa: E402
from SSRKDLib.datasets.virtual_cohort import FINGERPRINT, ViewRanges, VirtualCohort  # noqa: E402
from SSRKDLib.geometry.virtual_cameras import Framing  # noqa: E402
from SSRKDLib.models.knee_model import KneeModel  # noqa: E402
from SSRKDLib.training import command, step_log  # noqa: E402
from SSRKDLib.training.checkpoints import ENTRY, LAST, read_network  # noqa: E402
from SSRKDLib.training.data.virtual_dataset import KneeSamples  # noqa: E402
from SSRKDLib.training.export import export  # noqa: E402
from SSRKDLib.training.step_log import LOG  # noqa: E402
from SSRKDLib.training.tasks.default import DefaultTask, mixed_masks  # noqa: E402
from SSRKDLib.weights.bundle import read_bundle, read_manifest, write_bundle  # noqa: E402
from Testing.support.small_trainings import ROOT, SMALL, arguments, train  # noqa: E402

FRAMING = Framing(**SMALL["default"]["data"]["framing"])

#: Of the trainings that are compared; a line of their logs comes with the last.
STEPS = 8


@pytest.fixture(scope="module", autouse=True)
def _short_logs():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step_log, "EVERY", STEPS)
        yield


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return tmp_path_factory.mktemp("cohort")


@pytest.fixture(scope="module")
def straight(cohort, tmp_path_factory):
    """The last checkpoint of all steps in one go."""
    return go(cohort, tmp_path_factory.mktemp("straight"), STEPS)


def go(cohort: Path, output: Path, steps: int, **options: object) -> Path:
    return train("default", cohort, output, steps, checkpoint_every=100, **options)


def samples(folder: Path, points: int, framing: Framing = FRAMING) -> KneeSamples:
    return KneeSamples(VirtualCohort(1, folder), 3, framing, points)


def assert_same_state(first: Path, second: Path) -> None:
    """Networks, averages and optimiser, bit for bit."""
    a, b = (torch.load(path, weights_only=True) for path in (first, second))
    assert a["global_step"] == b["global_step"]
    for key, value in a["state_dict"].items():
        assert torch.equal(b["state_dict"][key], value), key
    a, b = (state["optimizer_states"][0]["state"] for state in (a, b))
    for index, moments in a.items():
        assert all(torch.equal(b[index][key], value) for key, value in moments.items()), index


def steps_logged(output: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (output / LOG).read_text().splitlines()]


def test_four_steps_and_four_resumed_ones_are_eight(cohort, straight, tmp_path):
    output = tmp_path / "stopped"
    go(cohort, output, STEPS // 2)
    assert_same_state(straight, go(cohort, output, STEPS))
    assert steps_logged(output) == steps_logged(straight.parent) == [STEPS]


def test_a_resumed_training_logs_no_step_twice(tmp_path):
    log = tmp_path / LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text('{"step": 50}\n{"step": 100}\n{"step": 150}\n{"step": 2')
    trainer = types.SimpleNamespace(default_root_dir=tmp_path, global_step=100)
    step_log.StepLog().on_train_start(trainer, None)
    assert steps_logged(tmp_path) == [50, 100]


def test_a_training_stopped_by_sigterm_loses_no_step(cohort, straight, tmp_path):
    output = tmp_path / "stopped"
    asked = arguments("default", cohort, output, STEPS, checkpoint_every=1000)
    process = subprocess.Popen(
        [sys.executable, "-c", STOP_AFTER_THREE, *asked], cwd=ROOT, encoding="utf-8",
        env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE,
    )  # fmt: skip
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 128 + signal.SIGTERM and "Stopped after step 3;" in out
    assert torch.load(output / LAST, weights_only=True)["global_step"] == 3
    assert_same_state(straight, go(cohort, output, STEPS))


#: A training that receives SIGTERM in the middle of its third step.
STOP_AFTER_THREE = """
import os, signal, sys
import torch
from SSRKDLib.training import command
from SSRKDLib.training.tasks import default

torch.set_num_threads(1)
mixed, calls = default.mixed_masks, []

def mixed_masks(*arguments):
    calls.append(1)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGTERM)
    return mixed(*arguments)

default.mixed_masks = mixed_masks
sys.exit(command.run(sys.argv[1:]))
"""


def test_a_loader_s_process_changes_nothing(cohort, straight, tmp_path):
    assert_same_state(straight, go(cohort, tmp_path / "beside", STEPS, **{"data.workers": 1}))


def test_training_lowers_its_losses(straight, cohort, tmp_path):
    task = DefaultTask(SMALL["default"]["model"]["networks"], learning_rate=3e-3, warm_up=1)
    made = samples(cohort, 200)
    batch = torch.utils.data.default_collate([made[0], made[1]])
    found = steps_of(task, batch, 25)
    for key in ("field", "segmentation", "locating", "marking", "doubt"):
        assert found[-1][key] < 0.8 * found[0][key]


def steps_of(task: DefaultTask, batch: dict, count: int) -> list[dict[str, float]]:
    """The losses of steps on one batch, without a loader."""
    from lightning.pytorch import Trainer

    losses = []

    class Log:
        def on_train_batch_end(self, outputs, *_):
            losses.append({key: float(value) for key, value in outputs.items()})

    task.on_train_batch_end = Log().on_train_batch_end
    task.configure_callbacks = lambda: []
    trainer = Trainer(
        accelerator="cpu", devices=1, max_steps=count, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(task, torch.utils.data.DataLoader([batch] * count, batch_size=None))
    return losses


def test_the_rate_warms_up_stays_and_falls_to_two_per_cent():
    task = DefaultTask(SMALL["default"]["model"]["networks"], decay=100)
    rates = [task.rate(step, 600) for step in (0, 99, 400, 550, 600)]
    assert rates[0] < rates[1] == rates[2] > rates[3] > rates[4]
    assert rates[4] == pytest.approx(0.02 * rates[2])
    task.decay = 0
    assert task.rate(600, 600) == task.learning_rate


def test_an_export_reads_back_as_a_model_and_describes_its_training(straight, tmp_path):
    text = {"name": "tiny", "title": "Tiny knees"}
    checkpoint = torch.load(straight, weights_only=True)
    checkpoint[ENTRY]["bundle"] |= text
    torch.save(checkpoint, tmp_path / "named.ckpt")
    export([tmp_path / "named.ckpt"], tmp_path / "small.zip")
    manifest = read_manifest(tmp_path / "small.zip")
    assert (manifest["name"], manifest["title"]) == ("tiny", "Tiny knees")
    assert manifest["normalisation"] == "local-contrast-1" and manifest["storage"] == "float16"
    assert manifest["geometry"]["framing"] == vars(FRAMING)
    assert manifest["geometry"]["magnification"] == [1.05, 1.6]
    assert "people 20 to 25 held out" in manifest["training"]["data"]
    assert (manifest["training"]["steps"], manifest["training"]["batch"]) == (STEPS, 2)
    # Weights whose configuration has no name, or that are given one, are their own.
    export([straight], tmp_path / "mine.zip", storage="int8")
    mine = read_manifest(tmp_path / "mine.zip")
    assert (mine["name"], mine["storage"]) == ("mine", "int8")
    export([tmp_path / "named.ckpt"], tmp_path / "small.zip", "other")
    assert read_manifest(tmp_path / "small.zip")["title"].startswith("other (")
    model = KneeModel.load(tmp_path / "small.zip")
    images = np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype(np.float32)
    segmenter = read_network(straight, "segmenter")
    expected = segmenter(torch.from_numpy(images)).sigmoid().detach()
    np.testing.assert_allclose(model.segment(images), expected, atol=5e-3)
    for key, value in segmenter.state_dict().items():
        assert torch.equal(value, checkpoint["state_dict"][f"average.segmenter.{key}"])


def test_a_training_begins_with_a_bundle_s_networks_and_sizes(straight, tmp_path):
    export([straight], tmp_path / "small.zip")
    bundle = read_bundle(tmp_path / "small.zip")
    manifest = {**bundle.manifest, "networks": dict(bundle.manifest["networks"])}
    del manifest["networks"]["bone_locator"]
    tensors = {k: v for k, v in bundle.tensors.items() if not k.startswith("bone_locator.")}
    write_bundle(tmp_path / "earlier.zip", manifest, tensors)
    task = DefaultTask(start=str(tmp_path / "earlier.zip"))
    for part in (task.networks, task.average):
        for name in ("segmenter", "locator", "student"):
            for key, value in part[name].state_dict().items():
                assert torch.equal(value, bundle.tensors[f"{name}.{key}"].float())
    assert task.arguments["student"] == SMALL["default"]["model"]["networks"]["student"]
    assert task.options()["start"].endswith("earlier.zip")
    with pytest.raises(WeightsError, match="locator .* of another architecture or size"):
        DefaultTask({"locator": {"width": 16}}, start=str(tmp_path / "earlier.zip"))


def test_manifests_with_the_first_bundles_normalisation_load_and_unknown_ones_do_not(
    straight, tmp_path
):
    export([straight], tmp_path / "a.zip")
    bundle = read_bundle(tmp_path / "a.zip")
    place = "SSRKDLib.radiographs.intensity.network_channels"
    write_bundle(tmp_path / "b.zip", {**bundle.manifest, "normalisation": place}, bundle.tensors)
    assert KneeModel.load(tmp_path / "b.zip").name == "a"
    unknown = {**bundle.manifest, "normalisation": "global-contrast-2"}
    write_bundle(tmp_path / "c.zip", unknown, bundle.tensors)
    with pytest.raises(WeightsError, match="'global-contrast-2', which this version"):
        KneeModel.load(tmp_path / "c.zip")


def test_a_cohort_of_another_seed_or_simulator_is_refused(cohort, straight, tmp_path, capsys):
    assert command.run(arguments("default", cohort, tmp_path / "x", 1, **{"data.seed": 2})) == 2
    assert "has knees of another seed (1, not 2)" in capsys.readouterr().err
    VirtualCohort(1, cohort).check()
    with pytest.raises(InputError, match="another views"):
        VirtualCohort(1, cohort, ViewRanges(magnification=(1.1, 1.2))).check()
    knees = tmp_path / "knees"
    VirtualCohort(3, knees).check()
    recorded = json.loads((knees / FINGERPRINT).read_text())
    (knees / FINGERPRINT).write_text(json.dumps({**recorded, "simulator": 0}))
    with pytest.raises(InputError, match=r"another simulator \(0, not"):
        VirtualCohort(3, knees).check()
    (knees / FINGERPRINT).unlink()
    (knees / "000").mkdir()
    (knees / "000" / "000000.npz").touch()
    with pytest.raises(InputError, match="does not record how its knees were made"):
        VirtualCohort(3, knees).check()
    assert sorted(path.name for path in knees.iterdir()) == ["000"]


def test_every_tensor_of_a_step_is_on_the_task_s_device(cohort, monkeypatch):
    # The meta device stands in for a GPU: it refuses tensors of the CPU.
    task = DefaultTask(SMALL["default"]["model"]["networks"]).to("meta")
    made, asked = samples(cohort, 200), []
    batch = torch.utils.data.default_collate([made[0], made[1]])
    batch = {key: value.to("meta") for key, value in batch.items()}
    optimiser = torch.optim.SGD(task.trained_parameters())

    def autocast(device, *_, **__):
        asked.append(device)
        return contextlib.nullcontext()

    monkeypatch.setattr(torch, "autocast", autocast)
    monkeypatch.setattr(task, "optimizers", lambda: optimiser)
    monkeypatch.setattr(task, "manual_backward", lambda loss: loss.backward())
    monkeypatch.setattr(task, "rate", lambda *_: 1e-3)
    monkeypatch.setattr(DefaultTask, "global_step", 0)
    monkeypatch.setattr(DefaultTask, "trainer", types.SimpleNamespace(max_steps=9))
    assert task.training_step(batch, 0)["field"].device.type == "meta" and set(asked) == {"meta"}
    generator = torch.Generator().manual_seed(0)
    for _ in range(8):  # masks of every kind are drawn
        masks = mixed_masks(batch["masks"], batch["masks"], generator)
        assert masks.device.type == "meta"


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"model.decay": 5}, "A decay over the last 5 steps needs as many steps"),
        ({"trainer.devices": 2}, "trains on one device"),
        ({"trainer.gradient_clip_val": 1}, "gradient clipping is not supported"),
        ({"data.batch_size": 0}, "must be 1 to 4096"),
        ({"model.networks": '{"teacher": {}}'}, "There is no network 'teacher'"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_one_line(cohort, tmp_path, capsys, options, match):
    assert command.run(arguments("default", cohort, tmp_path / "x", 2, **options)) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and match in error


def test_a_configuration_written_by_hand_is_not_replaced(cohort, tmp_path, capsys):
    config = tmp_path / "config.yaml"
    config.write_text("# mine\n")
    assert command.run(arguments("default", cohort, tmp_path, 2)) == 2
    assert "config.yaml' was not written by a training" in capsys.readouterr().err
    assert config.read_text() == "# mine\n"
