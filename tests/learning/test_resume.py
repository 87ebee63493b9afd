"""A training cut after any epoch of any stage and taken up from its checkpoint is the one never cut, to the bit."""

import numpy as np
import pytest

from modest import MultimodalClassifier
from modest.learning import METHODS
from modest.training.task import Stateful
from modest.types import Views

EPOCHS, N = 3, 30
MORE = {
    "mla-ema": {"mean": "ema"},
    "mla-dataset": {"mean": "dataset", "reset": "epoch"},
    "mla-step": {"project_step": "step", "project_with": "previous"},
    "mla-momentum": {"momentum": "modality", "alpha": "decay"},
    "mla-literal": {"published": "literal"},
    "mla-sum": {"alternate": False, "normalize": "trace"},
    "auto-folds": {},  # nothing validates, so folds are trained for its temperatures
}
CASES = {**{name: {} for name in METHODS}, **MORE}


def table():
    """Views, classes, and rows that validate; theirs are wrong, so that an early epoch is the best and must be kept."""
    rng = np.random.default_rng(0)
    y = np.arange(N) % 3
    present = rng.random((N, 3)) < 0.7
    present[~present.any(axis=1), 0] = True
    arrays = {m: (rng.standard_normal((N, 4)) + y[:, None]).astype(np.float32) for m in ("a", "b", "c")}
    held = np.arange(N) >= 24
    return Views(arrays, present), np.where(held, (y + 1) % 3, y), held


def run(case, checkpoint=None, optimizer="adamw"):
    clf = MultimodalClassifier(
        method=case.split("-")[0],
        options=CASES[case],
        epochs=EPOCHS,
        batch_size=7,
        lr=0.01,
        hidden=(5,),
        width=6,
        optimizer=optimizer,
        modality_dropout=0.2,
    )
    views, y, held = table()
    return clf.run(views, y, False if case == "auto-folds" else held, checkpoint=checkpoint)


def epochs(training):
    """Records of one epoch after the other, each with its steps; those a checkpoint holds have none."""
    steps = []
    for record in training:
        steps.append((record.stage, record.epoch, record.step, dict(record.values)))
        if "losses" in record.values:
            yield steps
            steps = []


def kept(clf):
    """Every number a trained classifier holds: its net, and what its tasks hold beside it."""
    told = {f"net/{name}": tensor for name, tensor in clf.recipe_.net.state_dict().items()}
    for number, task in enumerate(clf.recipe_.stages()):
        told |= {f"stage{number}/{name}": tensor for name, tensor in task.net.state_dict().items()}
        if isinstance(task, Stateful):
            told |= {f"task{number}/{name}": tensor for name, tensor in task.state().items()}
    return told


@pytest.mark.filterwarnings("ignore:the shared head of mla")
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("case", CASES)
def test_cut_after_every_epoch_is_never_cut(case, optimizer, tmp_path):
    training = run(case, optimizer=optimizer)
    whole, expected = list(epochs(training)), kept(training.result)
    stages = len(training.result.recipe_.stages())
    assert len(whole) % (EPOCHS * stages) == 0
    for done in range(len(whole)):  # takes up what was cut, trains one epoch more, and is cut again
        again = epochs(run(case, tmp_path / "run", optimizer))
        before = [next(again) for _ in range(done)]
        assert before == [steps[-1:] for steps in whole[:done]]
        assert next(again) == whole[done]
        again.close()
    training = run(case, tmp_path / "run", optimizer)
    assert list(epochs(training)) == [steps[-1:] for steps in whole]
    found = kept(training.result)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].numpy().tobytes() == tensor.numpy().tobytes(), name  # NaN is equal to itself so
    views = table()[0]
    assert np.array_equal(training.result.predict_proba(views), run(case, None, optimizer).result.predict_proba(views))


def test_there_is_something_to_be_kept():
    """Fails if the examination above had nothing to look at."""
    trained = {case: run(case).result for case in ("mla", "concat")}
    assert {"task0/current", "task0/steps"} <= set(kept(trained["mla"]))
    assert not any(clf.history_[-1].values["best"] for clf in trained.values())
