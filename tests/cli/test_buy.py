"""modest select --buy: a round that says which items to get a modality for, and --bought, which puts it in place."""

import json

import numpy as np
import pytest

import modest
from modest.data.rounds import find_rounds

N = 120


@pytest.fixture
def pool(tmp_path):
    """Audio decides, image hints; a third lacks audio; a late classifier trained on the labelled training rows."""
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=N)
    arrays = {"image": y[:, None] + rng.normal(size=(N, 3)), "audio": 3.0 * y[:, None] + 0.3 * rng.normal(size=(N, 3))}
    whole = arrays["audio"].copy()
    arrays["audio"][::3] = np.nan
    split = np.where(np.arange(N) % 4 == 3, "test", "train")
    made = modest.ingest({**arrays, "label": np.array(["no", "yes"])[y], "split": split}, tmp_path / "pool")
    made.add(dict.fromkeys(made.ids[::5], None))
    clf = modest.MultimodalClassifier(method="late", epochs=5, hidden=(), device="cpu").fit(made, validation=False)
    clf.save(made.path / "models" / "late")
    np.savez(tmp_path / "all.npz", id=made.ids, audio=whole)
    return made


def asked(shell, pool, *more):
    said = shell("select", pool.path, "--buy", "audio", "--model", "late", "--device", "cpu", "--json", *more)
    assert said.code == 0, said.err
    return json.loads(said.out)


def test_a_round_says_for_which_items(pool, shell):
    told = asked(shell, pool, "--budget", 4, "--split", "test")
    lacks = (pool.split == "test") & ~pool.present[:, pool.names.index("audio")]
    assert told["candidates"] == lacks.sum()
    assert set(told["ids"]) <= set(pool.ids[lacks])
    views = pool.views(["image", "audio"])
    clf = modest.load(pool.path / "models" / "late", device="cpu")
    expected = modest.selection.buy(views, 4, "audio", clf.predict_proba, among=lacks)
    assert told["ids"] == expected.ids.tolist()
    (found,) = find_rounds(pool.path, "buy")
    assert found.manifest["trace"]["model"] == "late"
    assert told["path"].endswith("buy.csv")


def test_the_next_round_asks_for_others_and_labelled_training_rows_are_left_alone(pool, shell):
    one, two = (asked(shell, pool, "--budget", 3)["ids"] for _ in range(2))
    assert not set(one) & set(two)
    unknown = np.array([label is None for label in pool.labels])
    assert set(one) | set(two) <= set(pool.ids[unknown])
    more = asked(shell, pool, "--budget", 0.5, "--ignore-labels", "--method", "random")
    lacks = (pool.split == "train") & ~pool.present[:, pool.names.index("audio")]
    assert more["candidates"] == lacks.sum()


def test_what_came_is_put_into_the_pool(pool, shell, tmp_path):
    ids = asked(shell, pool, "--budget", 4, "--split", "test")["ids"]
    with np.load(tmp_path / "all.npz") as every:
        at = np.isin(every["id"], ids)
        np.savez(tmp_path / "came.npz", id=every["id"][at], audio=every["audio"][at])
    said = shell("select", pool.path, "--buy", "audio", "--bought", tmp_path / "came.npz")
    assert said.code == 0, said.err
    assert "audio of 4 items is in" in said.out
    again = modest.open(pool.path)
    assert again.present[np.isin(again.ids, ids)].all()
    assert (again.present.sum(), pool.present.shape) == (pool.present.sum(), again.present.shape)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--buy", "audio", "--budget", 3], "--buy needs a trained classifier"),
        (["--buy", "smell", "--budget", 3, "--model", "late"], "--buy='smell' is unknown; known: "),
        (["--buy", "audio", "--model", "late"], "--budget is missing"),
        (["--buy", "audio", "--budget", 3, "--model", "late", "--method", "badge"], "score='badge' is unknown"),
        (["--buy", "audio", "--budget", 3, "--model", "late", "--split", "val"], "--split='val' is unknown"),
        (["--buy", "image", "--budget", 3, "--model", "late"], "lacks image"),
        (["--buy", "audio", "--budget", 3, "--model", "late", "--quota", "3"], "go without quotas"),
        (["--bought", "x.csv"], "name it by --buy"),
        (["--buy", "audio", "--bought", "gone.csv"], "gone.csv is not there"),
        (["--buy", "audio", "--budget", 999, "--model", "late"], "rows are free"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(pool, shell, words, said):
    found = shell("select", pool.path, *words)
    assert found.code == 2
    assert said in found.err
    assert len(found.err.strip().splitlines()) == 1
    assert not (pool.path / "rounds").exists()


def test_a_model_over_raw_media_is_refused(pictures, shell):
    small = {"image": {"name": "resnet18", "width": 0.05, "size": 16}}
    pool = modest.open(pictures)
    modest.MultimodalClassifier(method="late", epochs=1, encoders=small, width=8).fit(pool, validation=False).save(
        pool.path / "models" / "raw"
    )
    said = shell("select", pool.path, "--buy", "image", "--budget", 1, "--model", "raw")
    assert said.code == 2
    assert "ready views" in said.err
