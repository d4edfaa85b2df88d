"""The trainings: resuming, several processes, from checkpoints to weights that reconstruct."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from SSRKDLib.core.errors import WeightsError  # noqa: E402
from SSRKDLib.models.loading import load_ct_model, load_model  # noqa: E402
from SSRKDLib.training import command  # noqa: E402
from SSRKDLib.training.checkpoints import read_network  # noqa: E402
from SSRKDLib.training.export import export  # noqa: E402
from SSRKDLib.weights import catalogue  # noqa: E402
from SSRKDLib.weights.bundle import read_bundle, read_manifest  # noqa: E402
from Testing.support.prepared_cases import PIXELS, SIZE  # noqa: E402
from Testing.support.shared_data import needs_shared, official_arrays  # noqa: E402
from Testing.support.small_trainings import ROOT, arguments, losses, train  # noqa: E402


@pytest.fixture(scope="module")
def trained(processed, tmp_path_factory):
    """Segmenter, teacher and student of a few steps, each on what came before."""
    folder = tmp_path_factory.mktemp("runs")
    last = {task: train(task, processed, folder / task, 7) for task in ("segmentation", "teacher")}
    last["student"] = train(
        "student", processed, folder / "student", 7, **ready(last)
    )  # fmt: skip
    return last


def ready(last: dict[str, Path]) -> dict[str, str]:
    return {
        "model.segmenter": str(last["segmentation"]), "data.teacher": str(last["teacher"])
    }  # fmt: skip


def assert_same_weights(first: Path, second: Path, name: str) -> None:
    a, b = (read_network(path, name).state_dict() for path in (first, second))
    for key, value in a.items():
        torch.testing.assert_close(b[key], value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("task", "name", "loss"),
    [("segmentation", "segmenter", "supervised"), ("teacher", "teacher", "supervised")],
)
def test_resume_goes_on_within_an_epoch(processed, trained, tmp_path, task, name, loss):
    output = tmp_path / task
    train(task, processed, output, 3)  # an epoch has 5 steps
    assert_same_weights(trained[task], train(task, processed, output, 7), name)
    straight = losses(trained[task].parent, loss)
    assert sorted(straight) == list(range(7))
    assert losses(output, loss) == pytest.approx(straight, rel=1e-4)


def test_resume_of_a_killed_training_continues_the_loss_curve(processed, trained, tmp_path):
    output = tmp_path / "killed"
    given = arguments("student", processed, output, 10_000, **ready(trained))
    script = ROOT / "Training" / "train.py"
    process = subprocess.Popen(
        [sys.executable, str(script), *given], cwd=ROOT, start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        give_up = time.monotonic() + 240
        while not (output / command.LAST).exists():
            assert process.poll() is None and time.monotonic() < give_up
            time.sleep(0.05)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    reached = torch.load(output / command.LAST, weights_only=True)["global_step"]
    steps = max(7, reached + 3)
    train("student", processed, output, steps, **ready(trained))
    straight = tmp_path / "straight"
    last = train("student", processed, straight, steps, **ready(trained))
    assert_same_weights(last, output / command.LAST, "student")
    expected, found = losses(straight, "loss"), losses(output, "loss")
    resumed = {step: value for step, value in found.items() if step >= reached}
    assert sorted(resumed) == list(range(reached, steps))
    assert resumed == pytest.approx({step: expected[step] for step in resumed}, rel=1e-4)


def test_ddp_of_two_processes_is_one_with_the_doubled_batch(processed, trained, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    # Plain descent: AdamW makes whole steps of gradients that differ by rounding alone. No masks:
    # rounding decides where the segmenter of seven steps is undecided.
    options = {
        **ready(trained), "data.seed": 4, "model.optimizer": "torch.optim.SGD",
        "model.optimizer.init_args.lr": 0.05, "model.masks": "false",
    }  # fmt: skip
    last = train("student", processed, one, 4, **options, **{"data.batch_size": 2})
    given = arguments("student", processed, two, 4, **options)
    given += ["--trainer.devices=2", "--trainer.strategy=ddp"]
    script = ROOT / "Training" / "train.py"
    done = subprocess.run(
        [sys.executable, str(script), *given], cwd=ROOT, capture_output=True, encoding="utf-8",
        timeout=400, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert losses(two, "loss") == pytest.approx(losses(one, "loss"), rel=1e-3)
    a, b = (read_network(path, "student").state_dict() for path in (last, two / command.LAST))
    for key, value in a.items():
        torch.testing.assert_close(b[key], value, rtol=1e-4, atol=1e-5)


def test_trained_weights_are_a_bundle_that_describes_their_training(trained, tmp_path):
    bundle = tmp_path / "mine.zip"
    export(list(trained.values()), bundle, "mine")
    manifest = read_manifest(bundle)
    assert sorted(manifest["networks"]) == ["segmenter", "student", "teacher"]
    assert manifest["geometry"]["ct"] == {
        "voxel_mm": pytest.approx(200 / SIZE), "window": SIZE, "extent_mm": pytest.approx(200),
    }  # fmt: skip
    assert manifest["geometry"]["detector_size"] == [PIXELS, PIXELS]
    about = manifest["training"]["student"]["about"]
    assert (about["labelled"], about["unlabelled"]) == (2, 2)
    assert about["data"] == "virtual people" and manifest["training"]["student"]["steps"] == 7
    assert manifest["training"]["student"]["options"]["teacher"] == "teacher/last.ckpt"
    model = load_model(bundle, "cpu")
    assert model.name == "mine"
    # The CT network works in the voxels that it was trained on, not in the published ones.
    teacher = load_ct_model(bundle, "cpu")
    assert (teacher.voxel, teacher.window, teacher.notes) == (pytest.approx(6.25), SIZE, ())
    read = read_bundle(bundle).network_tensors("student")
    for key, value in read_network(trained["student"], "student").state_dict().items():
        torch.testing.assert_close(read[key], value)


def test_a_teacher_joins_another_bundle(trained, tmp_path):
    export([trained["teacher"]], tmp_path / "both.zip", "both", "virtual-knee")
    manifest = read_manifest(tmp_path / "both.zip")
    assert list(manifest["networks"]) == ["segmenter", "locator", "student", "teacher"]
    shipped = read_manifest(catalogue.find_bundle())
    assert manifest["scores"] == shipped["scores"] and manifest["kind"] == "ssrkd"
    a, b = load_model(None, "cpu"), load_model(tmp_path / "both.zip", "cpu")
    images = np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype(np.float32)
    # The shipped networks are in 8 bits; the new bundle keeps them, as all, in half precision.
    np.testing.assert_allclose(b.segment(images), a.segment(images), atol=2e-3)


def test_networks_of_different_pixels_are_not_joined(processed, trained, tmp_path):
    both = tmp_path / "both.zip"
    export([trained["segmentation"], trained["student"]], both, "both")
    other = train("segmentation", processed, tmp_path / "other", 1, **{"data.pixel_mm": 4.0})
    with pytest.raises(WeightsError, match="The student of 'both' reads images of other pixels"):
        export([other], tmp_path / "x.zip", "x", str(both))
    export([trained["segmentation"]], tmp_path / "y.zip", "y", str(both))
    assert read_manifest(tmp_path / "y.zip")["networks"] == read_manifest(both)["networks"]


@pytest.mark.parametrize(
    ("names", "base", "match"),
    [
        (["teacher"], None, "needs a segmenter and a student"),
        (["student", "student"], None, "Two of the checkpoints contain a student"),
        (["student"], "virtual-knee", "does not belong into the bundle 'virtual-knee'"),
    ],
)
def test_what_makes_no_bundle_is_refused(trained, tmp_path, names, base, match):
    with pytest.raises(WeightsError, match=match):
        export([trained[name] for name in names], tmp_path / "x.zip", "x", base)
    assert not (tmp_path / "x.zip").exists()


def test_a_damaged_or_foreign_checkpoint_is_refused(trained, tmp_path):
    cut, other = tmp_path / "cut.ckpt", tmp_path / "other.ckpt"
    cut.write_bytes(trained["student"].read_bytes()[:-3000])
    torch.save({"state_dict": {}}, other)
    for path, match in ((cut, "damaged"), (other, "is not a checkpoint of this program"),
                        (tmp_path / "none.ckpt", "was not found")):  # fmt: skip
        with pytest.raises(WeightsError, match=match):
            read_network(path, "student")
    with pytest.raises(WeightsError, match="contains no teacher, only student"):
        read_network(trained["student"], "teacher")


def test_the_own_student_is_tuned_on_prepared_cases_and_exported_with_its_bundle(
    processed, trained, tmp_path
):
    output = tmp_path / "own"
    config = {
        "trainer": {"accelerator": "cpu", "max_steps": 2, "enable_progress_bar": False,
                    "enable_model_summary": False},
        "model": {"embedding": 4},
        "data": {
            "processed": str(processed), "batch_size": 1, "steps_per_epoch": 2, "workers": 0,
            "taking": {"lateral": [0, 180], "frontal": [90]}, "points": 100, "size": SIZE,
            "window": 16, "answers": 100, "teacher": str(trained["teacher"]),
        },
        "output": str(output),
    }  # fmt: skip
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump(config))
    assert command.run(["own_student", "--config", str(file)]) == 0
    bundle = tmp_path / "own.zip"
    export([output / command.LAST], bundle, "own")
    manifest = read_manifest(bundle)
    assert sorted(manifest["networks"]) == ["locator", "segmenter", "student", "teacher"]
    assert manifest["kind"] == "ssrkd" and manifest["scores"] == {}
    shipped = read_bundle(catalogue.find_bundle()).network_tensors("student")
    tuned = read_bundle(bundle).network_tensors("student")
    change = max(float((tuned[key] - shipped[key]).abs().max()) for key in shipped)
    assert 0 < change < 0.01  # two small steps from where the bundle was
    assert load_model(bundle, "cpu").name == "own"
    config["data"]["taking"] = {"pixels": 96}
    config["output"] = str(tmp_path / "other")
    file.write_text(yaml.safe_dump(config))
    assert command.run(["own_student", "--config", str(file)]) == 2


@pytest.mark.parametrize(
    ("task", "options", "match"),
    [
        ("student", {}, "Unlabelled cases have labels only from a teacher"),
        ("student", {"data.unlabelled": "false", "data.taking.lateral": "[30]"}, "no radiograph"),
        ("teacher", {"data.crop": 24}, "a multiple of 16 voxels, up to the CT's 32 (got 24)"),
        ("segmentation", {"data.processed": "nowhere"}, "no info.json in nowhere"),
        ("segmentation", {"model.start": "nothing.ckpt"}, "'nothing.ckpt' was not found"),
        ("segmentation", {"trainer.accumulate_grad_batches": 3}, "not made of whole groups of 3"),
        ("segmentation", {"data.crop": 64}, "The crop must have 16 to 48 pixels"),
        ("segmentation", {"data.labelled": 0}, "has no labelled cases to train on"),
        ("student", {"data.unlabelled": "false", "model.depth": 3}, "a multiple of 32 pixels"),
        (
            "student",
            {"data.unlabelled": "false", "data.window": 24, "data.size": 160},
            "a multiple of 16 voxels",
        ),
    ],
)
def test_what_cannot_be_trained_is_reported_in_one_line(
    processed, tmp_path, capsys, task, options, match
):
    assert command.run(arguments(task, processed, tmp_path / "out", 2, **options)) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and match in error


def test_what_goes_wrong_in_a_loader_s_process_is_one_line_too(processed, tmp_path, capsys):
    options = {"data.unlabelled": "false", "data.taking.lateral": "[30]", "data.workers": 1}
    assert command.run(arguments("student", processed, tmp_path / "out", 2, **options)) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: A case has no radiograph at 30 degrees") and len(error) < 250


def test_a_training_does_not_go_on_from_another_s_checkpoint(processed, tmp_path, capsys):
    output = tmp_path / "run"
    train("segmentation", processed, output, 1)
    again = arguments("segmentation", processed, output, 2, **{"model.width": 8})
    assert command.run(again) == 2
    assert "belongs to a training of other networks or sizes" in capsys.readouterr().err


def test_a_torn_last_checkpoint_is_replaced_by_the_newest_sound_one_and_said(
    processed, tmp_path, capsys
):
    last = train("segmentation", processed, tmp_path / "run", 2)
    torn = last.read_bytes()[:1000]
    for path in (last, last.with_name("step-0000002.ckpt")):
        path.write_bytes(torn)
    assert command.run(arguments("segmentation", processed, tmp_path / "run", 2)) == 0
    assert "last.ckpt is damaged or cut off" in (said := capsys.readouterr().err)
    assert "Going on from step-0000001.ckpt." in said
    assert torch.load(last, weights_only=True)["global_step"] == 2
    for path in (last, *last.parent.glob("step-*.ckpt")):
        path.write_bytes(torn)
    assert command.run(arguments("segmentation", processed, tmp_path / "run", 2)) == 2
    assert "is damaged" in capsys.readouterr().err


def test_features_of_another_width_are_refused_before_any_step(
    processed, trained, tmp_path, capsys
):
    given = arguments(
        "student", processed, tmp_path / "x", 2, **ready(trained), **{"model.embedding": 8}
    )
    assert command.run(given) == 2
    assert "have 4 channels, the student projects to 8" in capsys.readouterr().err


def test_an_unknown_task_is_named(capsys):
    assert command.run(["segment"]) == 2
    assert (
        "'segment' is not a task. Use one of default, segmentation, teacher"
        in capsys.readouterr().err
    )


def test_a_training_that_diverges_stops_and_keeps_no_broken_weights(processed, tmp_path, capsys):
    output = tmp_path / "diverged"
    options = {
        "model.optimizer": "torch.optim.SGD", "model.optimizer.init_args.lr": "1e30",
        "trainer.gradient_clip_val": "null", "trainer.max_steps": 6,
    }  # fmt: skip
    assert command.run(arguments("segmentation", processed, output, 6, **options)) == 2
    assert "is not a finite number at step" in capsys.readouterr().err
    for file in output.glob("*.ckpt"):
        state = torch.load(file, weights_only=True)["state_dict"]
        assert all(bool(value.isfinite().all()) for value in state.values())


CONFIGS = sorted((ROOT / "Training" / "configs").rglob("*.yaml"))


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_committed_configurations_contain_what_differs_from_the_defaults(file, capsys):
    task = {"virtual_knee": "default", "virtual_ct": "teacher"}.get(file.stem, file.stem)
    task = task if task in command.TASKS else task.partition("_")[0]
    committed = yaml.safe_load(file.read_text())

    def settings(*options: str) -> dict:
        with pytest.raises(SystemExit) as ended:
            command.run([task, *options, "--print_config"])
        assert ended.value.code == 0
        return yaml.safe_load(capsys.readouterr().out)

    required = ["--data.cohort=x"] if task == "default" else ["--data.processed=x"]
    defaults = settings("--output=x", *required)
    used = settings("--config", str(file), "--output=x", *required)
    for path, value in leaves(committed):
        assert at(defaults, path) != value, f"{'.'.join(path)} has its default"
        if path[-1] not in ("output", "processed", "optimizer", "scheduler"):
            assert at(used, path) == value


def leaves(settings: dict, path: tuple = ()):
    for key, value in settings.items():
        if isinstance(value, dict) and "class_path" not in value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def at(settings: dict, path: tuple):
    for key in path:
        settings = settings.get(key) if isinstance(settings, dict) else None
    return settings


@needs_shared
@pytest.mark.parametrize(("name", "network"), [("recon_ct", "teacher"), ("recon_xray", "student")])
def test_official_checkpoints_are_where_fine_tuning_starts(
    processed, trained, tmp_path, monkeypatch, name, network
):
    monkeypatch.setenv("SSRKD_WEIGHTS", str(tmp_path / "weights"))
    arrays = official_arrays({"recon_ct": "ct", "recon_xray": "xray"}[name])
    state = {key: torch.from_numpy(array) for key, array in arrays.items()}
    file = tmp_path / "published.pth"
    torch.save({"A": state, "B": state} if name == "recon_ct" else state, file)
    info = catalogue.import_bundle([file])
    file.unlink()
    options = {
        "teacher": {"model.width": 16, "model.head_channels": 64, "model.cross_pseudo": 0,
                    "model.hidden": "[128,256,128,64]"},
        "student": {"model.width": 256, "model.stacks": 4, "model.depth": 2,
                    "model.hidden": "[512,128]", "model.embedding": 64, "data.unlabelled": "false",
                    "model.weights.distillation": 0},
    }[network]  # fmt: skip
    output = tmp_path / "tuned"
    options |= {"model.start": info.name, "model.optimizer": "torch.optim.SGD",
                "model.optimizer.init_args.lr": "1e-5"}  # fmt: skip
    last = train(network, processed, output, 1, **options)
    tuned = read_network(last, network).state_dict()
    weights = [key for key in state if state[key].dim() > 1]
    off = [float((tuned[key] - state[key]).abs().max()) for key in weights]
    assert max(off) < 1e-3 and max(off) > 0
    # Sizes that do not fit are refused, not filled in part.
    assert command.run(arguments(network, processed, tmp_path / "x", 1, **{
        "model.start": info.name, "data.unlabelled": "false"})) == 2  # fmt: skip
