"""modest train and modest predict on a small pool."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import modest
from modest.cli import predict, train
from modest.data.history import labelled


@pytest.fixture
def pool(tmp_path):
    """A pool with two views, some rows without the second, three quarters of the rows labelled."""
    rng = np.random.default_rng(0)
    n = 80
    y = np.array(["no", "yes"])[np.arange(n) % 2]
    a = np.where(y == "yes", 3.0, 0.0)[:, None] + rng.normal(size=(n, 3))
    b = rng.normal(size=(n, 2))
    b[::5] = np.nan
    np.savez(
        tmp_path / "source.npz",
        a=a,
        b=b,
        id=np.array([f"i{i:02d}" for i in range(n)]),
        label=np.where(np.arange(n) % 4 == 3, -1, np.arange(n) % 2),
        class_names=np.array(["no", "yes"]),
        split=np.where(np.arange(n) < 60, "train", "test"),
    )
    modest.ingest(tmp_path / "source.npz", tmp_path / "pool")
    return tmp_path / "pool"


def call(command, *arguments):
    import typer

    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_train_then_predict(pool, tmp_path):
    result = call(train.command, pool, "--method", "late", "--epochs", 3, "--name", "first", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout.splitlines()[-1])
    folder = pool / "models" / "first"
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "metrics.json", "model.safetensors"]
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["method"] == "late"
    assert metrics["classes"] == ["no", "yes"]
    assert (metrics["labelled"], metrics["labels"]) == labelled(modest.open(pool))
    assert told["next"] == f"modest evaluate {pool} --model {folder}"
    out = tmp_path / "predictions.csv"
    result = call(predict.command, pool, "--model", folder, "--out", out)
    assert result.exit_code == 0, result.output
    frame = pd.read_csv(out)
    assert list(frame.columns) == ["id", "label", "probability", "weight_a", "weight_b"]
    assert len(frame) == 80
    opened, clf = modest.open(pool), modest.load(folder)
    assert frame["id"].tolist() == np.asarray(opened.ids).tolist()
    assert frame["label"].tolist() == clf.predict(opened).tolist()
    np.testing.assert_allclose(frame["probability"], clf.predict_proba(opened).max(axis=1))
    assert (frame["weight_b"][::5] == 0).all()
    result = call(predict.command, pool, "--model", folder, "--out", out, "--split", "test")
    assert len(pd.read_csv(out)) == 20
    assert not list(tmp_path.glob(".*.tmp"))


def test_training_uses_the_labelled_training_rows_only(pool):
    result = call(train.command, pool, "--epochs", 2, "--seed", 3)
    assert result.exit_code == 0, result.output
    opened = modest.open(pool)
    labels = np.asarray(opened.labels, dtype=object)
    rows = np.flatnonzero((np.asarray(opened.split) == "train") & np.array([x is not None for x in labels]))
    assert len(rows) == 45
    clf = modest.MultimodalClassifier(epochs=2, random_state=3).fit(opened.views()[rows], labels[rows])
    saved = modest.load(pool / "models" / "mla")
    assert np.array_equal(clf.predict_proba(opened), saved.predict_proba(opened))


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        (train.command, ["--method", "nonsense"], "method='nonsense'"),
        (train.command, ["--name", "../x"], "plain folder name"),
        (train.command, ["--epochs", 0], "epochs=0"),
        (predict.command, ["--model", "nowhere"], "is neither a folder of a model"),
    ],
)
def test_errors_are_one_sentence_and_leave_nothing(pool, command, arguments, message):
    result = call(command, pool, *arguments)
    assert result.exit_code != 0
    assert message in str(result.exception)
    assert not (pool / "models").exists()


def test_an_item_of_which_nothing_could_be_read_is_left_out(tmp_path):
    from PIL import Image

    rng, lines = np.random.default_rng(0), ["id,image,label"]
    for i in range(12):
        low = 0 if i % 2 else 128
        Image.fromarray(rng.integers(low, low + 128, (8, 8, 3), dtype=np.uint8)).save(tmp_path / f"{i:02}.png")
        lines.append(f"{i:02},{i:02}.png,{'dark' if i % 2 else 'light'}")
    (tmp_path / "05.png").write_bytes(b"")
    (tmp_path / "items.csv").write_text("\n".join(lines))
    opened = modest.ingest(tmp_path / "items.csv", tmp_path / "pool")
    modest.encoders.embed(opened, {"image": "pixels?size=4"})
    assert call(train.command, tmp_path / "pool", "--method", "late", "--epochs", 3).exit_code == 0
    clf, opened = modest.load(tmp_path / "pool/models/late"), modest.open(tmp_path / "pool")
    with pytest.warns(UserWarning, match="1 rows have no modality that could be read, the first is '05'"):
        found = clf.outputs(opened)
    assert found.proba[5].tolist() == [0.5, 0.5]
    assert not found.present[5].any()
    views = opened.views()
    with pytest.raises(ValueError, match=r"row 5 \(id 05\) has no modality"):  # of views in memory it is an error
        clf.outputs(views)


def test_a_model_of_the_first_format_is_refused_in_a_sentence(pool):
    import json

    assert call(train.command, pool, "--epochs", 1).exit_code == 0
    path = pool / "models" / "mla" / "config.json"
    config = json.loads(path.read_text())
    del config["modalities"], config["reading"], config["params"]["betas"]  # what such a model does not have
    path.write_text(json.dumps({**config, "format": 1}))
    with pytest.raises(ValueError, match=r"saved by modest 0\.1.*train it again"):
        modest.load(path.parent)
