"""The classifier over raw media, and from pretrained encoders: what is trained, started from, kept, refused."""

import gc
import json
import shutil
import threading
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone

import modest
from modest import MultimodalClassifier
from modest.encoders import embed
from modest.encoders.table import table
from modest.encoders.towers import Tower
from modest.encoders.trainable import build
from modest.learning import METHODS, Towers
from modest.learning.assembly import Projected, assembled
from modest.learning.presets import of_preset
from modest.learning.trained import recipe_over
from modest.representation import Objective, pretrain
from modest.training import Batches, Plan
from modest.training.plan import optimiser

IMAGE = {"name": "resnet18", "depth": [1, 1], "width": 0.1, "size": 16}
TEXT = {"name": "bert", "layers": 1, "hidden": 16, "heads": 2, "vocab": 64, "positions": 8, "length": 8}
RAW = {"image": IMAGE, "text": TEXT}
FAST = {"epochs": 2, "batch_size": 11, "width": 8, "hidden": (), "method": "late"}
N, TRAIN = 34, 26
ABSENT = {"image": (5, 9), "text": (6, 10, 11)}
BROKEN = (3, 17)  # pictures that are no pictures


def picture(path, label, rng):
    pixels = rng.integers(0, 80, (20, 18, 3))
    pixels[..., label] += 150
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return str(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Pool of pictures in two columns, captions and two views of one modality; 26 rows are labelled training rows."""
    place, rng, y = tmp_path_factory.mktemp("raw"), np.random.default_rng(0), np.arange(N) % 2
    images = [picture(place / f"{i}.png", y[i], rng) for i in range(N)]
    photos = [picture(place / f"photo{i}.png", 2, rng) for i in range(N)]
    texts = [f"{('blue hat', 'red shoe')[k]} number {i}" for i, k in enumerate(y)]
    for i in BROKEN:
        (place / f"{i}.png").write_bytes(b"")
    for name, rows in ABSENT.items():
        for i in rows:
            (images if name == "image" else texts)[i] = None
    views = rng.normal(size=(2, N, 4)).astype(np.float32) + 3 * y[:, None]
    split = np.array(["train"] * TRAIN + ["test"] * (N - TRAIN))
    label = np.array(["hat", "shoe"], dtype=object)[y]
    told = {"image": images, "photo": photos, "text": texts, "numbers": views[0], "label": label, "split": split}
    modest.ingest(told, place / "pool")
    np.save(place / "other.npy", views[1])
    embed(modest.open(place / "pool"), {"numbers": f"npy:{place / 'other.npy'}"})
    return place / "pool"


@pytest.fixture
def pool(made):
    return modest.open(made)


@pytest.fixture(scope="module")
def stage1(made):
    """A representation of the pool's pictures and captions, and one of the pictures and the ready view."""
    plan, rows = Plan(epochs=1, lr=1e-3), np.arange(TRAIN)
    more = {"plan": plan, "objective": Objective(0), "batch_size": 11, "width": 6, "rows": rows}
    mixed = {"image": IMAGE, "numbers": {"name": "mlp", "hidden": [5], "width": 7}}
    pool = modest.open(made)
    return pretrain(pool, RAW, **more).result, pretrain(pool, mixed, **more).result


def fitted(pool, encoders=RAW, validation=False, **more):
    return MultimodalClassifier(**{**FAST, "encoders": encoders, **more}).fit(pool, validation=validation)


def state(net):
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# --- training


@pytest.mark.parametrize("method", METHODS)
def test_encoders_of_raw_media_are_trained(pool, method):
    slow = method in ("film", "bigated", "dgl")  # what is gated, or learns on features it does not shape, needs longer
    clf = fitted(pool, method=method, epochs=25 if slow else 5, lr=1e-2 if slow else 3e-3)
    start, _ = assembled(pool, RAW, ({}, {}), ((), 8), torch.Generator().manual_seed(0), 0)
    assert clf.names_ == ("image", "text")
    for m, (name, module) in enumerate(start.modules.items()):
        now = clf.recipe_.towers.encoders[m]
        assert isinstance(now, Projected), name
        for part in ("encoder", "projector"):
            before, after = (list(getattr(net, part).parameters()) for net in (module, now))
            changed = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
            assert all(changed), (name, part)
    train = np.arange(TRAIN)
    assert (clf.outputs(pool, train).proba.argmax(1) == train % 2).mean() > 0.9
    assert clf.predict(pool).shape == (N,)


def test_absent_rows_give_an_encoder_no_gradient(pool):
    """With norms and dropout still, the gradient of a batch is that of its present rows; without any there is none."""
    start, reader = assembled(pool, RAW, ({}, {}), ((), 8), torch.Generator().manual_seed(0), 0)
    recipe = recipe_over(start, METHODS["late"], 2, "feature", None, torch.Generator().manual_seed(1))
    recipe.net.eval()
    found = reader.read(pool)

    def gradients(rows, m):
        recipe.net.zero_grad(set_to_none=True)
        y = np.arange(N) % 2
        (batch,) = Batches(found.columns, found.present, np.asarray(rows), y, N, shuffle=False, augment=False).epoch()
        for _, loss in recipe.turns(batch):
            loss.backward()
        return [p.grad for p in recipe.towers.encoders[m].parameters() if p.requires_grad]

    some = range(2, 14)
    for m, name in enumerate(RAW):
        lacking = [*ABSENT[name], *(BROKEN if name == "image" else ())]
        whole, there = gradients(some, m), gradients([row for row in some if row not in lacking], m)
        assert any(gradient.abs().max() > 1e-6 for gradient in there)
        for a, b in zip(whole, there, strict=True):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)
        assert all(gradient is None for gradient in gradients(lacking, m))


def test_raw_media_and_a_ready_view_together(pool):
    clf = fitted(pool, {"text": TEXT, "numbers": "mlp"}, epochs=4, lr=1e-2)
    text, numbers = clf.recipe_.towers.encoders
    assert isinstance(text, Projected)
    assert isinstance(numbers, Tower)
    given = np.asarray(pool.views({"numbers": "given"}).arrays["numbers"])[:TRAIN]
    np.testing.assert_allclose(numbers.shift.numpy(), given.mean(axis=0), atol=1e-5)
    own = clf.outputs(pool).modality
    assert np.isnan(own[0]).any(axis=1).nonzero()[0].tolist() == list(ABSENT["text"])
    assert not np.isnan(own[1]).any()
    assert (own[1].argmax(axis=1) == np.arange(N) % 2).mean() > 0.9


def test_an_mlp_with_knobs_is_standardised_like_any_tower(pool):
    clf = fitted(pool, {"text": TEXT, "numbers": {"name": "mlp", "hidden": [5], "width": 7}})
    given = np.asarray(pool.views({"numbers": "given"}).arrays["numbers"])[:TRAIN]
    tower = clf.recipe_.towers.encoders[1].encoder
    np.testing.assert_allclose(tower.shift.numpy(), given.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(tower.scale.numpy(), given.std(axis=0), rtol=1e-4)
    raw = fitted(pool, {"numbers": {"name": "mlp"}}, standardise=False)
    assert not raw.recipe_.towers.encoders[0].encoder.shift.any()


def test_a_last_batch_of_one_row_is_trained_on(pool):
    """Small pictures are one place at the end, where a batch norm has nothing to take a mean of."""
    small = {"image": {**IMAGE, "depth": "resnet18"}}
    y = pool.labels
    y[[*BROKEN, *ABSENT["image"], *range(19, N)]] = None
    assert sum(label is not None for label in y) == 15  # 7 + 7 + 1
    clf = MultimodalClassifier(**{**FAST, "encoders": small, "batch_size": 7}).fit(pool, y, validation=False)
    assert np.isfinite(clf.outputs(pool, np.arange(3)).proba).all()


@pytest.mark.parametrize("give", ["backbone", "mapping"])
def test_what_is_handed_in_stays_as_it_is(pool, give):
    backbone = build("mlp", generator=torch.Generator().manual_seed(0), inputs=4, width=5)
    before = state(backbone.net)
    clf = MultimodalClassifier(**{**FAST, "encoders": {"numbers": backbone if give == "backbone" else "mlp"}})
    first = state(clf.fit(pool, validation=False).recipe_.net)
    assert same(first, state(clf.fit(pool, validation=False).recipe_.net))  # fitted again, the same model
    assert same(before, state(backbone.net))


def test_no_threads_stay_behind(pool):
    before = set(threading.enumerate())
    run = MultimodalClassifier(**{**FAST, "encoders": RAW, "epochs": 50}).run(pool, validation=False)
    next(run)  # left in the middle of an epoch, while batches are made ahead
    assert set(threading.enumerate()) - before
    del run
    fitted(pool).predict(pool)
    gc.collect()
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
    assert not set(threading.enumerate()) - before


def test_passes_without_gradients_hold_few_rows_of_raw_media(pool, monkeypatch):
    from modest.learning import trained

    monkeypatch.setattr(trained, "_RAW_ROWS", 5)
    sizes, whole = [], Towers.features

    def features(self, batch, m):
        if not torch.is_grad_enabled():
            sizes.append(len(batch))
        return whole(self, batch, m)

    monkeypatch.setattr(Towers, "features", features)
    fitted(pool, validation=0.4).predict(pool)
    assert sizes
    assert max(sizes) == 5
    sizes.clear()
    fitted(pool, None, validation=0.4).predict(pool)
    assert max(sizes) == N


# --- starting from stage 1


def test_it_starts_from_the_features_of_the_representation(pool, stage1, tmp_path):
    given, _ = stage1
    given.save(tmp_path / "stage1")
    expected = given.encode(pool)
    for encoders in (given, tmp_path / "stage1", str(tmp_path / "stage1")):
        start, reader = assembled(pool, encoders, ({}, {}), ((256,), 128), torch.Generator().manual_seed(5), 0)
        assert start.width == 6
        towers = Towers(list(start.modules.values()), start.width).eval()
        found = reader.read(pool, partial=False)
        (batch,) = Batches(found.columns, found.present, np.arange(N), size=N, shuffle=False, augment=False).epoch()
        for m, name in enumerate(("image", "text")):
            with torch.no_grad():
                features, rows = towers.features(batch, m)
            unit = torch.nn.functional.normalize(features, dim=1).numpy()
            there = ~np.isnan(expected.arrays[name][:, 0])
            assert np.array_equal(rows.numpy(), there)
            np.testing.assert_allclose(unit, expected.arrays[name][there], atol=1e-6)
    still = fitted(pool, tmp_path / "stage1", lr=1e-30, weight_decay=0.0)  # steps too small to be seen
    for m in range(2):
        now = still.recipe_.towers.encoders[m]
        for a, b in ((now.encoder, given.net.encoders[m]), (now.projector, given.net.projectors[m])):
            for p, q in zip(a.parameters(), b.parameters(), strict=True):
                torch.testing.assert_close(p, q, atol=1e-12, rtol=0)


def test_the_representation_handed_in_is_not_trained(pool, stage1):
    for given in stage1:
        before, features = state(given.net), given.encode(pool)
        clf = fitted(pool, given, lr=1e-2)
        assert same(before, state(given.net))
        assert clf.names_ == given.names
        again = given.encode(pool)
        assert all(np.array_equal(features.arrays[m], again.arrays[m], equal_nan=True) for m in given.names)
        for m in range(2):  # and yet what was trained is something else
            now = clf.recipe_.towers.encoders[m].encoder.state_dict()
            assert not same(now, dict(given.net.encoders[m].state_dict()))


def test_a_pretrained_tower_keeps_its_mean_and_deviation(pool, stage1):
    _, mixed = stage1
    y = pool.labels
    y[:20] = None  # the labelled rows have other means than those of stage 1
    clf = MultimodalClassifier(**{**FAST, "encoders": mixed}).fit(pool, y, validation=False)
    assert torch.equal(clf.recipe_.towers.encoders[1].encoder.shift, mixed.net.encoders[1].shift)
    assert mixed.net.encoders[1].shift.any()


def test_what_stage_1_read_is_read_again_unless_told_otherwise(pool):
    sources = {"encoders": {"numbers": "other.npy"}, "columns": {"image": "photo"}}
    more = {"plan": Plan(epochs=1, lr=1e-3), "objective": Objective(0), "batch_size": 11, "width": 6}
    given = pretrain(pool, {"image": IMAGE, "numbers": "mlp"}, sources=sources, rows=np.arange(TRAIN), **more).result
    clf = fitted(pool, given)
    assert (clf.trained_.reader.views, clf.trained_.reader.columns) == ({"numbers": "other.npy"}, {"image": "photo"})
    assert clf.unreadable_ == {}  # the photos are all there
    told = fitted(pool, given, views={"numbers": "given"}, columns={"image": "image"})
    assert (told.trained_.reader.views, told.trained_.reader.columns) == ({"numbers": "given"}, {"image": "image"})
    assert set(told.unreadable_) == {"image"}


def test_a_folder_that_is_no_representation_is_refused(pool, tmp_path):
    fitted(pool, {"numbers": "mlp"}).save(tmp_path / "clf")
    with pytest.raises(ValueError, match="kind 'classifier', unknown here; known: representation"):
        fitted(pool, tmp_path / "clf")
    with pytest.raises(FileNotFoundError, match="nowhere holds no config"):
        fitted(pool, tmp_path / "nowhere")


# --- saving, and tables that lack something


@pytest.mark.parametrize("kind", ["raw", "mixed", "pretrained"])
def test_saved_and_loaded_it_predicts_the_same(pool, stage1, tmp_path, kind):
    encoders = {"raw": RAW, "mixed": {"text": TEXT, "numbers": {"name": "mlp"}}, "pretrained": stage1[1]}[kind]
    clf = fitted(pool, encoders, method="mla")
    clf.save(tmp_path / "m")
    loaded = modest.load(tmp_path / "m")
    one, other = clf.outputs(pool), loaded.outputs(pool)
    for what in ("proba", "modality", "weights", "present"):
        assert np.array_equal(getattr(one, what), getattr(other, what), equal_nan=what == "modality"), what
    assert "unreadable_" in vars(loaded)
    # the architecture is known, too: fitted anew it is over the same media, from scratch
    again = clone(loaded).fit(pool, validation=False)
    assert [type(e) for e in again.recipe_.towers.encoders] == [type(e) for e in clf.recipe_.towers.encoders]
    assert not same(state(again.recipe_.net), state(clf.recipe_.net)) or kind != "pretrained"


def test_a_column_or_view_that_a_pool_lacks_is_absent(pool, tmp_path):
    clf = fitted(pool, {"image": IMAGE, "text": TEXT, "numbers": "mlp"}, method="mla")
    frame = pool.table
    whole = clf.outputs(pool)
    rows = [i for i in range(N) if i not in ABSENT["text"]]
    only = {"text": frame["text"][rows].tolist(), "id": pool.ids[rows]}
    less = modest.ingest(only, tmp_path / "less")
    found = clf.outputs(less)
    assert found.present.tolist() == [[False, True, False]] * len(rows)
    np.testing.assert_allclose(found.proba, whole.modality[1][rows], atol=1e-5)
    np.testing.assert_allclose(found.modality[1], whole.modality[1][rows], atol=1e-5)
    assert np.isnan(found.modality[[0, 2]]).all()
    view = modest.ingest({"numbers": np.asarray(pool.views({"numbers": "given"}).arrays["numbers"])}, tmp_path / "view")
    np.testing.assert_allclose(clf.outputs(view).modality[2], whole.modality[2], atol=1e-6)
    with pytest.raises(ValueError, match="no item has any of image, text, numbers"):
        clf.predict(modest.ingest({"sound": ["a.wav", "b.wav"]}, tmp_path / "none"))
    # arrays stand for a ready view, and for nothing else
    np.testing.assert_allclose(
        clf.outputs({"numbers": view.views().arrays["numbers"]}).modality, clf.outputs(view).modality
    )
    with pytest.raises(ValueError, match="modality 'image', unknown in training; known: numbers"):
        clf.predict({"image": np.zeros((3, 4))})


def test_files_that_cannot_be_read_count_as_absent_and_are_listed(pool):
    clf = fitted(pool, method="mla", validation=0.3)
    assert set(clf.unreadable_) == {"image"}
    assert set(clf.unreadable_["image"]) == set(BROKEN)
    assert all(f"{row}.png" in told for row, told in clf.unreadable_["image"].items())
    found = clf.outputs(pool)
    assert np.flatnonzero(~found.present[:, 0]).tolist() == sorted([*BROKEN, *ABSENT["image"]])
    assert (found.weights[list(BROKEN)] == [0, 1]).all()
    assert np.isnan(found.modality[0][list(BROKEN)]).all()


def test_a_row_without_anything_readable_is_warned_of(pool):
    y = pool.labels
    y[list(ABSENT["image"])] = None
    clf = MultimodalClassifier(**{**FAST, "encoders": {"image": IMAGE}}).fit(pool, y, validation=False)
    with pytest.warns(UserWarning, match=f"2 rows have no modality that could be read, the first is '{pool.ids[3]}'"):
        found = clf.outputs(pool, np.array([0, *BROKEN, 20]))
    assert found.present[:, 0].tolist() == [True, False, False, True]
    assert np.isfinite(found.proba).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf.outputs(pool, np.array([0, 20]))


# --- parameters


def test_rates_go_by_modality_and_projectors(pool):
    before = {"text": 1e-30, "projectors": 1e-30}
    clf = fitted(pool, rates=before, lr=1e-2, weight_decay=0.0)
    start, _ = assembled(pool, RAW, ({}, {}), ((), 8), torch.Generator().manual_seed(0), 0)
    moved = [
        max(float((a - b).detach().abs().max()) for a, b in zip(x.parameters(), y.parameters(), strict=True))
        for one, other in zip(start.modules.values(), clf.recipe_.towers.encoders)
        for x, y in ((one.encoder, other.encoder), (one.projector, other.projector))
    ]
    assert moved[0] > 1e-3
    assert max(moved[1:]) < 1e-12
    made, plan = clf.trained_.made, Plan(rates=clf.trained_.made.rates({"text": 1e-5}))
    groups = optimiser(clf.recipe_.net, plan).param_groups  # a modality's rate is its encoder's alone
    slow = {id(p) for group in groups if group["lr"] == 1e-5 for p in group["params"]}
    assert slow == {id(p) for p in made.modules["text"].encoder.parameters()}
    with pytest.raises(ValueError, match="rates names 'titles'; known: image, text, projectors"):
        fitted(pool, rates={"titles": 1e-4})
    with pytest.raises(ValueError, match=r"rates names 'projectors'; known: numbers\."):
        fitted(pool, {"numbers": "mlp"}, rates={"projectors": 1e-4})


@pytest.mark.parametrize("fill", ["mean", "zero"])
def test_a_fill_of_inputs_is_refused_for_raw_media(pool, fill):
    with pytest.raises(ValueError, match=f"fill='{fill}' needs ready views"):
        fitted(pool, fill=fill)


def test_clone_and_seeds(pool, tmp_path):
    clf = fitted(pool)
    copy = clone(clf)
    assert copy.get_params() == clf.get_params()
    assert not hasattr(copy, "recipe_")
    copy.fit(pool, validation=False)
    other = fitted(pool, random_state=1)
    for name, one in (("a", clf), ("b", copy), ("c", other)):
        one.save(tmp_path / name)
    a, b, c = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_columns_and_views_are_chosen_and_remembered(made, tmp_path):
    place = shutil.copytree(made, tmp_path / "pool")
    pool = modest.open(place)
    encoders = {"image": IMAGE, "numbers": "mlp"}
    clf = fitted(pool, encoders, columns={"image": "photo"}, views={"numbers": "other.npy"})
    usual = fitted(pool, encoders)
    assert clf.unreadable_ == {}  # the photos are all there
    assert set(usual.unreadable_) == {"image"}
    tower = clf.recipe_.towers.encoders[1]
    for name, one in (("other.npy", tower), ("given", usual.recipe_.towers.encoders[1])):
        view = np.asarray(pool.views({"numbers": name}).arrays["numbers"])[:TRAIN]
        np.testing.assert_allclose(one.shift.numpy(), view.mean(axis=0), atol=1e-5)
    clf.save(tmp_path / "m")
    expected = [clf.outputs(pool), usual.outputs(pool)]
    assert expected[0].present.all()
    assert not np.allclose(expected[0].proba, expected[1].proba)
    config = json.loads((place / "config.json").read_text())
    assert config["modalities"]["numbers"] == "given"
    config["modalities"]["numbers"] = "other.npy"  # the default changes
    (place / "config.json").write_text(json.dumps(config))
    changed = modest.open(place)
    for one, before in ((clf, expected[0]), (modest.load(tmp_path / "m"), expected[0]), (usual, expected[1])):
        assert np.array_equal(one.outputs(changed).proba, before.proba)


@pytest.mark.parametrize(
    ("encoders", "more", "error", "told"),
    [
        (RAW, {"columns": {"image": "pictures"}}, ValueError, "no raw column 'pictures' for image"),
        ({"imgae": IMAGE, "text": TEXT}, {}, ValueError, "no raw column 'imgae'"),
        ({"image": "resnet19"}, {}, ValueError, "name='resnet19' is unknown"),
        ({"image": {**IMAGE, "depht": 1}}, {}, ValueError, "knob of resnet18='depht' is unknown"),
        ({"image": {"width": 0.1}}, {}, ValueError, "give 'mlp', a name"),
        ({"image": 3}, {}, ValueError, "encoders holds 3"),
        ({}, {}, ValueError, "encoders is empty"),
        ({"image": "mlp"}, {}, FileNotFoundError, "has no view of 'image'"),
        ({"numbers": "mlp"}, {"views": {"numbers": "third"}}, FileNotFoundError, "no view numbers=third"),
        (RAW, {"random_state": -1}, ValueError, "seed=-1 is negative"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(pool, encoders, more, error, told):
    with pytest.raises(error, match=told):
        fitted(pool, encoders, **more)


def test_encoders_need_what_they_read():
    X, y = {"numbers": np.random.default_rng(0).normal(size=(20, 4))}, np.arange(20) % 2
    backbone = build("mlp", generator=torch.Generator().manual_seed(0), inputs=4, width=5)
    for encoders, told in (
        ({"image": IMAGE, "numbers": "mlp"}, "only a Pool has"),
        ({"image": "mlp", "numbers": "mlp"}, "no ready view 'image' for an mlp; it has numbers"),
        ({"image": {"name": "mlp"}, "numbers": "mlp"}, "no ready view 'image'"),
        ({"image": backbone, "numbers": "mlp"}, "no ready view 'image'"),
    ):
        with pytest.raises(ValueError, match=told):
            MultimodalClassifier(**{**FAST, "encoders": encoders}).fit(X, y, validation=False)


def test_rows_are_numbers_of_rows(pool):
    clf = fitted(pool, {"numbers": "mlp"})
    every = clf.outputs(pool).proba
    rows = np.array([7, 2, 30])
    np.testing.assert_allclose(clf.outputs(pool, rows).proba, every[rows], atol=1e-6)
    with pytest.raises(TypeError, match="rows is bool"):
        clf.outputs(pool, np.arange(N) > 30)
    for odd in (-1, N):
        with pytest.raises(ValueError, match=f"rows holds {odd}"):
            clf.outputs(pool, [0, odd])


# --- concat with heads of its own


def joint(unimodal, method="concat", hidden=(), seed=3):
    generator = torch.Generator().manual_seed(seed)
    towers = Towers.over((4, 3, 5), 6, generator, hidden, "feature", torch.float64)
    options = {"unimodal_heads": True} if unimodal else None
    return METHODS[method].build(towers, ("image", "text", "audio"), 3, generator, options)


def toy(absent=()):
    from modest.training import Batch

    rng = np.random.default_rng(0)
    present = rng.random((14, 3)) < 0.6
    present[~present.any(axis=1), 0] = True
    present[:, list(absent)] = False
    x = [
        torch.from_numpy(np.where(present[:, m, None], rng.normal(size=(14, d)), 0.0)) for m, d in enumerate((4, 3, 5))
    ]
    return Batch(tuple(x), torch.from_numpy(present), torch.from_numpy(rng.integers(3, size=14)))


def slow(recipe, batch, absent=()):
    """Joint and own logits, row by row in numpy, NaN where there are none; and the loss."""
    net = {name: tensor.numpy() for name, tensor in recipe.net.state_dict().items()}
    z, own = np.tile(net["head.bias"], (14, 1)), np.full((3, 14, 3), np.nan)
    for i in range(14):
        for m in range(3):
            if batch.present[i, m]:
                tower = f"towers.encoders.{m}.layers.0"
                f = net[f"{tower}.weight"] @ batch.x[m][i].numpy() + net[f"{tower}.bias"]
                z[i] += net["head.weight"][:, 6 * m : 6 * m + 6] @ f
                own[m, i] = net[f"own.{m}.weight"] @ f + net[f"own.{m}.bias"]

    def nll(logits, label):
        return np.log(np.exp(logits).sum()) - logits[label]

    y = batch.y.numpy()
    parts = [np.mean([nll(z[i], y[i]) for i in range(14)])]
    for m in range(3):
        if m not in absent:
            parts.append(np.mean([nll(own[m, i], y[i]) for i in range(14) if batch.present[i, m]]))
    return z, own, np.mean(parts)


@pytest.mark.parametrize("absent", [(), (1,)])
def test_unimodal_heads_equal_a_slow_loop(absent):
    recipe, batch = joint(True), toy(absent)
    z, own, loss = slow(recipe, batch, absent)
    ((group, found),) = recipe.turns(batch)
    assert group == "all"
    assert float(found.detach()) == pytest.approx(loss, abs=1e-12)
    said = recipe.logits(batch)
    np.testing.assert_allclose(said.fused.detach().numpy(), z, atol=1e-12)
    np.testing.assert_allclose(said.modality.detach().numpy(), np.nan_to_num(own), atol=1e-12)
    found.backward()
    for m in range(3):
        own_parts = [*recipe.towers.encoders[m].layers.parameters(), *recipe.own[m].parameters()]
        assert all((p.grad is None or not p.grad.any()) == (m in absent) for p in own_parts)


def test_gradients_of_unimodal_heads_match_finite_differences():
    recipe, batch = joint(True, hidden=(7,)), toy()

    def total():
        return sum(loss for _, loss in recipe.turns(batch))

    total().backward()
    rng = np.random.default_rng(0)
    looked_at = set()
    for name, parameter in recipe.net.named_parameters():
        if not parameter.requires_grad:
            continue
        looked_at.add(name.split(".")[0])
        flat, gradient = parameter.data.view(-1), parameter.grad.view(-1)
        for j in rng.choice(len(flat), size=min(4, len(flat)), replace=False):
            kept, step = float(flat[j]), 1e-6
            flat[j] = kept + step
            above = float(total().detach())
            flat[j] = kept - step
            slope = (above - float(total().detach())) / (2 * step)
            flat[j] = kept
            assert abs(slope - float(gradient[j])) < 1e-7, name
    assert looked_at == {"towers", "head", "own"}


def test_without_the_option_concat_is_what_it_was():
    plain, more, batch = joint(False), joint(True), toy()
    names = [name for name in more.net.state_dict() if not name.startswith("own.")]
    assert list(plain.net.state_dict()) == names
    assert all(torch.equal(plain.net.state_dict()[name], more.net.state_dict()[name]) for name in names)
    ((_, loss),) = plain.turns(batch)
    z, _, _ = slow(more, batch)
    expected = torch.nn.functional.cross_entropy(torch.from_numpy(z), batch.y)
    torch.testing.assert_close(loss.detach(), expected)
    said = plain.logits(batch)
    np.testing.assert_allclose(said.fused.detach().numpy(), z, atol=1e-12)
    parts = said.modality.detach().numpy() - plain.head.bias.detach().numpy() / 3 * batch.present.numpy().T[:, :, None]
    np.testing.assert_allclose(parts.sum(axis=0) + plain.head.bias.detach().numpy(), z, atol=1e-12)


def test_unimodal_heads_are_saved(pool, tmp_path):
    clf = fitted(pool, method="concat", options={"unimodal_heads": True})
    assert any(name.startswith("own.1.") for name in clf.recipe_.net.state_dict())
    clf.save(tmp_path / "m")
    one, other = clf.modality_proba(pool), modest.load(tmp_path / "m").modality_proba(pool)
    assert np.array_equal(one, other, equal_nan=True)


# --- taken up after a cut


@pytest.mark.parametrize(("method", "validation"), [("mla", 0.3), ("concat", False), ("late", 0.3)])
def test_a_cut_run_goes_on_to_the_same_bits(pool, tmp_path, method, validation):
    settings = {**FAST, "method": method, "encoders": RAW, "epochs": 3, "modality_dropout": 0.2}

    def run(**more):
        clf = MultimodalClassifier(**{**settings, **more})
        return clf.run(pool, validation=validation, checkpoint=tmp_path / "run")

    whole = MultimodalClassifier(**settings).fit(pool, validation=validation)
    for record in run():
        if "losses" in record.values and record.epoch == 1:
            break
    assert (tmp_path / "run").is_file()
    again = run().result
    assert same(state(whole.recipe_.net), state(again.recipe_.net))
    told = [[record.values for record in clf.history_] for clf in (whole, again)]
    assert told[0] == told[1]
    assert np.array_equal(whole.predict_proba(pool), again.predict_proba(pool))


def test_a_checkpoint_of_another_run_is_refused(pool, stage1, tmp_path):
    settings = {**FAST, "encoders": RAW}

    def run(y=None, **more):
        clf = MultimodalClassifier(**{**settings, **more})
        return clf.run(pool, y, validation=False, checkpoint=tmp_path / "run")

    next(record for record in run() if "losses" in record.values)
    labels = pool.labels
    labels[0] = "shoe"
    fewer = pool.labels
    fewer[0] = None
    for y, more in (
        (labels, {}),
        (fewer, {}),
        (None, {"lr": 2e-3}),
        (None, {"random_state": 1}),
        (None, {"method": "concat"}),
        (None, {"columns": {"image": "photo"}}),
        (None, {"encoders": {"image": {**IMAGE, "augment": 0.5}, "text": TEXT}}),
        (None, {"encoders": stage1[0]}),
    ):
        with pytest.raises(ValueError, match="kept by a run with other settings or data"):
            next(run(y, **more))
    run().result  # noqa: B018 - the same goes on
    X, y = {"numbers": np.random.default_rng(0).normal(size=(20, 4))}, np.arange(20) % 2
    changed, other = {"numbers": X["numbers"] + 1e-3}, MultimodalClassifier(**FAST)
    next(record for record in other.run(X, y, checkpoint=tmp_path / "views") if "losses" in record.values)
    unscaled = MultimodalClassifier(**FAST, standardise=False)
    next(record for record in unscaled.run(X, y, checkpoint=tmp_path / "unscaled") if "losses" in record.values)
    for clf, name in ((other, "views"), (unscaled, "unscaled")):
        with pytest.raises(ValueError, match="kept by a run with other settings or data"):
            next(clf.run(changed, y, checkpoint=tmp_path / name))
    with pytest.raises(ValueError, match="track_items"):
        MultimodalClassifier(**settings).run(pool, track_items=True, checkpoint=tmp_path / "run")


# --- presets

# of 6.2 and 6.3: epochs, warm-up, rate of the first encoder, of the second
TOLD = {
    "food101/supervised": (15, 5, 1e-4, 1e-5),
    "food101/semi_supervised": (10, 5, 2e-5, 2e-6),
    "kinetics_sound/supervised": (45, 15, 1e-3, 1e-3),
    "kinetics_sound/semi_supervised": (20, 10, 5e-4, 5e-4),
    "vggsound/supervised": (45, 15, 1e-3, 1e-3),
    "vggsound/semi_supervised": (20, 10, 1e-4, 1e-4),
}


@pytest.mark.parametrize("name", TOLD)
def test_numbers_of_a_preset_reach_the_optimiser(name):
    epochs, warmup, *rates = TOLD[name]
    names = ("image", "text") if name.startswith("food101") else ("video", "audio")
    settings = of_preset(name)
    if name.endswith("/supervised"):
        assert [settings["encoders"][m]["name"] for m in names] == (
            ["resnet101", "bert"] if "food101" in name else ["r2plus1d18", "audio_resnet18"]
        )
    else:
        assert settings["encoders"] is None
    assert (settings["weight_decay"], settings["betas"]) == (0.01, (0.9, 0.999))  # the classifier's own numbers, too
    X = {m: np.zeros((4, 3), dtype=np.float32) for m in names}
    clf = MultimodalClassifier(**{**settings, "encoders": {m: {"name": "mlp", "width": 2} for m in names}})
    made, _, generator = clf._assembled(X)
    recipe, plan = recipe_over(made, METHODS[clf.method], 5, clf.fill, clf.options, generator), clf._plan(made)
    assert (plan.epochs, plan.warmup, plan.schedule) == (epochs, warmup, "cosine")
    assert (clf.batch_size, clf.width, clf.method, clf.options) == (256, 512, "concat", {"unimodal_heads": True})
    steps = optimiser(recipe.net, plan)
    assert isinstance(steps, torch.optim.AdamW)
    assert {(group["weight_decay"], group["betas"]) for group in steps.param_groups} == {(0.01, (0.9, 0.999))}
    rate = {id(p): group["lr"] for group in steps.param_groups for p in group["params"]}
    expected = {"0.encoder": rates[0], "1.encoder": rates[1], "0.projector": 1e-3, "1.projector": 1e-3}
    seen = set()
    for parameter, tensor in recipe.net.named_parameters():
        if not tensor.requires_grad:
            continue
        _, _, place = parameter.partition("towers.encoders.")
        part = ".".join(place.split(".")[:2]) if place else parameter.split(".")[0]
        assert rate[id(tensor)] == expected.get(part, 1e-3), parameter
        seen.add(part)
    assert seen == {*expected, "head", "own"}


def test_a_preset_that_pretrains_is_refused():
    with pytest.raises(ValueError, match="no labels to train on"):
        of_preset("food101/pretraining")


def test_the_table_of_a_pool_is_read_once_per_use(pool):
    """Ready rows, raw rows and ids are of one frame: row i of every column is item i."""
    readings = {"text": build(**TEXT, generator=torch.Generator().manual_seed(0)).reading, "numbers": None}
    found = table(pool, readings)
    rows = np.array([20, 0, 33])
    tokens, read = found.columns[0].block(rows, None)
    assert read.all()
    for k, row in enumerate(rows):
        expected = readings["text"].eval(readings["text"].read(pool.table["text"][row]))
        assert torch.equal(tokens[k], expected)
    numbers = np.asarray(pool.views({"numbers": "given"}).arrays["numbers"])
    assert np.array_equal(found.columns[1].block(rows, None)[0].numpy(), numbers[rows])
