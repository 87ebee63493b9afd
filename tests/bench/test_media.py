"""Learners that read the pool's own media: trained from scratch, or from stage 1's encoders."""

import numpy as np
import pytest
import torch
from PIL import Image

import modest
from modest.bench import Protocol, results, run
from modest.bench.sets import LabelledViews
from modest.representation import Objective
from modest.representation.stage import represent
from modest.training import Plan

IMAGE = {"name": "resnet18", "width": 0.1, "size": 16}
WORDS = {"red": (200, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 200)}


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """60 flat pictures with their colour's name in the text, with ready views of both."""
    place, rng = tmp_path_factory.mktemp("media"), np.random.default_rng(0)
    rows = []
    for i in range(60):
        word = list(WORDS)[i % 3]
        noise = rng.integers(-25, 25, (16, 16, 3))
        Image.fromarray((np.array(WORDS[word]) + noise).astype(np.uint8)).save(place / f"{i:02}.png")
        rows.append(f"{i:02},{i:02}.png,a {word} thing {i % 7},{word},{'train' if i < 45 else 'test'}")
    (place / "items.csv").write_text("\n".join(["id,image,text,label,split", *rows]))
    made = modest.ingest(place / "items.csv", place / "pool")
    modest.encoders.embed(made, {"image": "pixels?size=4", "text": "hashed-text?width=32"})
    return modest.open(made.path)


@pytest.fixture(scope="module")
def start(pool):
    represent(
        pool,
        {"image": IMAGE, "text": "mlp"},
        objective=Objective(3),
        plan=Plan(epochs=2, warmup=1, schedule="cosine"),
        batch_size=16,
        width=8,
    )
    return pool.path / "models" / "stage1"


def protocol(pool, out, **more):
    about = {"methods": ("random",), "budgets": (9, 36), "seeds": 1, "classifier": {"epochs": 3, "width": 8}}
    return Protocol(pool=pool.path, out=out, **{**about, **more})


def test_both_ways_are_run_and_remembered(pool, start, tmp_path):
    learners = ("probe", "concat@supervised", "concat@semi_supervised")
    about = protocol(pool, tmp_path / "b", learner=learners, encoders={"image": IMAGE, "text": "mlp"}, start=start)
    done = [record for record in run(about) if record.stage == "cell"]
    frame = results(tmp_path / "b")
    assert sorted(frame["learner"].unique()) == sorted(learners)
    assert len(frame) == len(done) == 6
    assert frame.groupby("items")["choice"].nunique().tolist() == [1, 1]  # the learners share the choice
    assert set(frame["rows"]) == {15}
    assert frame["image:accuracy"].between(0, 1).all()
    assert [record.stage for record in run(about)] == ["plan"]  # nothing is left


def test_semi_supervised_starts_from_the_representation(pool, start, monkeypatch, tmp_path):
    """With no step taken the encoders of the fitted classifier are stage 1's own."""
    import modest.bench.cell as cell

    seen = []

    class Spied(cell.MultimodalClassifier):
        def fit(self, *given, **more):
            seen.append(super().fit(*given, **more))
            return seen[-1]

    monkeypatch.setattr(cell, "MultimodalClassifier", Spied)
    classifier = {"epochs": 1, "width": 8, "lr": 1e-12, "weight_decay": 0.0}
    about = {"learner": "late@semi_supervised", "start": start, "budgets": (9,), "classifier": classifier}
    list(run(protocol(pool, tmp_path, **about)))
    own = modest.load(start).net
    fitted = seen[0].recipe_.towers.encoders
    for m in range(2):
        torch.testing.assert_close(fitted[m].projector.weight, own.projectors[m].weight, rtol=0, atol=1e-6)
    assert len(seen[0].classes_) == 3


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"learner": "concat@supervised"}, "needs encoders"),
        ({"learner": "concat@semi_supervised"}, "needs start"),
        ({"learner": "concat@unsupervised"}, "training='unsupervised' is unknown"),
        ({"learner": "probe@supervised"}, "unknown"),
        ({"learner": "concat@supervised", "encoders": {"image": IMAGE}, "missing": (0.2,)}, "missing must be 0"),
    ],
)
def test_what_cannot_be_is_said(pool, tmp_path, more, told):
    with pytest.raises(ValueError, match=told):
        protocol(pool, tmp_path, **more)


def test_views_in_memory_have_no_media(tmp_path):
    ground = LabelledViews(modest.Views({"a": np.eye(4)}), list("abab"))
    with pytest.raises(ValueError, match="only a pool on disk has"):
        Protocol(pool={"x": ground}, out=tmp_path, learner="late@supervised", encoders={"a": "mlp"})
