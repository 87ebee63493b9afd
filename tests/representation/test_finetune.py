"""Fine-tuning of small towers: what a step does, lock, continue and restart, resuming, batches, what is refused."""

import copy
import math
import os
import signal

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

import modest
from modest.representation import MODELS, PRESETS, Scale, clip_loss, finetune, pretrain, siglip_loss, towers
from modest.training import Plan, fit, weights_hash
from modest.types import Views

PLAN = Plan(epochs=3, lr=1e-2, schedule="cosine", weight_decay=0.01)


def data(n=60, seed=0, widths=None):
    rng = np.random.default_rng(seed)
    meaning = rng.standard_normal((n, 5))
    sides = widths or {"image": 8, "text": 6}
    return {m: (meaning @ rng.standard_normal((5, d)) + 3).astype(np.float32) for m, d in sides.items()}


def diagonal(k):
    return np.stack([np.arange(k), np.arange(k)], axis=1)


def start(width=4, **more):
    return towers({"image": 8, "text": 6}, width=width, **more)


def run(first=None, sides=None, pairs=None, **more):
    more = {"plan": PLAN, "batch_size": 10, **more}
    pairs = diagonal(40) if pairs is None else pairs
    return finetune(first or start(), sides or data(), pairs, **more)


def weights(representation):
    return {name: tensor.clone() for name, tensor in representation.net.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def standardised(x):
    x = x.astype(np.float64)
    return torch.from_numpy((x - x.mean(axis=0)) / x.std(axis=0))


@pytest.mark.parametrize("loss", ["clip", "siglip"])
def test_the_first_loss_is_that_of_the_first_batch_through_the_first_weights(loss):
    first, sides = start(), data()
    record = next(iter(run(first, sides, loss=loss)))
    order = np.random.default_rng([0, 0]).permutation(40)[:10]
    rows = []
    for encoder, x in zip(first.net.encoders, sides.values()):
        layer = encoder.layers[0]
        whole = standardised(x) @ layer.weight.double().T + layer.bias.double()  # by all rows, not the paired ones
        rows.append(normalize(whole, dim=1)[order])
    t = math.log(1 / 0.07) if loss == "clip" else math.log(10)
    expected = clip_loss(*rows, t) if loss == "clip" else siglip_loss(*rows, t, -10.0)
    assert record.values["loss"] == pytest.approx(float(expected.detach()), rel=1e-5)


@pytest.mark.parametrize("loss", ["clip", "siglip"])
def test_pairs_come_together(loss):
    plan = Plan(epochs=60, lr=1e-2)
    tuned = run(loss=loss, plan=plan).result
    sides = data()
    a, b = (tuned.encode({m: x}).arrays[m] for m, x in sides.items())
    assert np.allclose(np.linalg.norm(a, axis=1), 1, atol=1e-5)
    assert ((a @ b.T)[:40].argmax(axis=1) == np.arange(40)).mean() > 0.7
    assert tuned.about["history"][-1]["all"] < tuned.about["history"][0]["all"]


def test_start_and_inputs_are_not_changed_and_the_same_seed_gives_the_same_bits():
    first, sides, pairs = start(), data(), diagonal(40)
    before, copies = weights(first), copy.deepcopy((sides, pairs))
    one, two = run(first, sides, pairs).result, run(first, sides, pairs).result
    assert same(weights(first), before)
    assert first.about == start().about
    assert all(np.array_equal(sides[m], copies[0][m]) for m in sides)
    assert np.array_equal(pairs, copies[1])
    assert same(weights(one), weights(two))
    assert one.about == two.about
    assert not same(weights(one), weights(run(first, sides, pairs, seed=1).result))
    assert not same(weights(start()), weights(start(seed=1)))


def test_neither_the_order_of_pairs_nor_a_repetition_nor_the_sides_of_a_key_matter():
    pairs = diagonal(40)
    shuffled = np.random.default_rng(3).permutation(np.concatenate([pairs, pairs[:7]]))
    expected = weights(run(pairs=pairs).result)
    assert same(weights(run(pairs=shuffled).result), expected)
    assert same(weights(run(pairs={("text", "image"): shuffled[:, ::-1]}).result), expected)


@pytest.mark.parametrize("hidden", [(), (7,)])
@pytest.mark.parametrize("locked", ["image", "text"])
def test_a_locked_side_keeps_its_bits_and_the_other_moves(locked, hidden):
    first = run(start(hidden=hidden)).result
    tuned = run(first, lock=locked).result
    m = first.names.index(locked)
    for k, (old, new) in enumerate(zip(first.net.encoders, tuned.net.encoders)):
        assert (weights_hash(old) == weights_hash(new)) == (k == m)
    assert tuned.about["lock"] == locked


def test_a_locked_projector_of_stage_one_stays_too():
    sides = data()
    first = pretrain(sides, plan=Plan(epochs=2, warmup=1), batch_size=20, width=4).result
    tuned = run(first, sides, lock="image").result
    for part in (tuned.net.encoders, tuned.net.projectors):
        assert not same(part[1].state_dict(), dict(zip(part[1].state_dict(), [torch.zeros(1)] * 99)))
    assert weights_hash(tuned.net.projectors[0]) == weights_hash(first.net.projectors[0])
    assert weights_hash(tuned.net.encoders[0]) == weights_hash(first.net.encoders[0])
    assert weights_hash(tuned.net.projectors[1]) != weights_hash(first.net.projectors[1])


def test_a_locked_side_keeps_running_means():
    first, sides = start(), data()
    for m in (0, 1):
        first.net.encoders[m].layers.append(torch.nn.BatchNorm1d(4))
    tuned = run(first, sides, lock="image").result
    means = [encoder.layers[1].running_mean for encoder in tuned.net.encoders]
    assert not means[0].any()
    assert means[1].any()


@pytest.mark.parametrize("loss", ["clip", "siglip"])
def test_the_scale_is_learned_and_gone_on_from_under_the_same_loss(loss):
    training = run(loss=loss)
    learned = training.result.about["scale"]
    first = training.about["first_scale"]
    assert all(learned[name] != first[name] for name in ("logit_scale", "bias") if first[name] is not None)
    assert run(training.result, loss=loss).about["first_scale"] == learned
    other = {"clip": "siglip", "siglip": "clip"}[loss]
    assert run(training.result, loss=other).about["first_scale"] == run(loss=other).about["first_scale"]


def test_the_scale_never_stands_above_100_where_a_step_would_push_it(monkeypatch):
    seen, clamp = [], Scale.clamp
    monkeypatch.setattr(Scale, "clamp", lambda self: (seen.append(float(self.logit_scale.detach())), clamp(self))[1])
    sides = dict.fromkeys(("image", "text"), data()["image"] - 3)
    first = towers({"image": 8, "text": 8}, width=8, first="identity")  # all pairs right, so the scale would rise
    first.about["scale"] = {"loss": "clip", "logit_scale": math.log(100) - 0.3, "bias": None}
    tuned = run(first, sides, plan=Plan(epochs=3, lr=1e-6, rates={"scale": 0.5})).result
    assert max(seen) > math.log(100)
    assert tuned.about["scale"]["logit_scale"] <= math.log(100) + 1e-6


def test_continue_and_restart_differ():
    first, sides = start(), data()
    one = run(first, sides, diagonal(20)).result
    restarted, continued = run(first, sides, diagonal(40)).result, run(one, sides, diagonal(40)).result
    assert not same(weights(restarted), weights(continued))
    assert same(weights(restarted), weights(run(first, sides, diagonal(40)).result))


def test_statistics_are_those_of_all_rows_and_taken_once():
    first, sides = start(), data()
    one = run(first, sides, diagonal(10)).result
    for encoder, x in zip(one.net.encoders, sides.values()):
        assert np.allclose(encoder.shift.detach().numpy(), x.mean(axis=0), atol=1e-5)
        assert np.allclose(encoder.scale.detach().numpy(), x.std(axis=0), atol=1e-5)
    two = run(one, data(seed=5), diagonal(10)).result
    for old, new in zip(one.net.encoders, two.net.encoders):
        assert torch.equal(old.shift, new.shift)


def test_identity_towers_change_nothing_until_trained():
    sides = data(widths={"image": 8, "text": 8})
    first = towers({"image": 8, "text": 8}, width=8, first="identity")
    for m, x in sides.items():
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        assert np.allclose(first.encode({m: x}).arrays[m], unit, atol=1e-6)
    tuned = run(first, sides).result
    assert not tuned.net.encoders[0].standardised
    again = run(tuned, sides).result  # nor in a later round
    assert not again.net.encoders[0].standardised


def test_a_last_batch_of_one_is_dropped():
    steps = [r for r in run(pairs=diagonal(21)) if "turn" in r.values]
    assert len(steps) == 2 * PLAN.epochs
    steps = [r for r in run(pairs=diagonal(22)) if "turn" in r.values]
    assert len(steps) == 3 * PLAN.epochs


def batches(monkeypatch, **more):
    """Rows (k, 2) of the sides in every batch of a run."""
    from modest.representation import alignment

    seen, turns = [], alignment.Aligning.turns

    def spy(self, batch):
        seen.append(batch.rows.numpy())
        return turns(self, batch)

    monkeypatch.setattr(alignment.Aligning, "turns", spy)
    for _ in run(**more):
        pass
    return seen


def test_captions_of_one_image_and_rows_of_one_group_never_meet(monkeypatch):
    pairs = np.stack([np.repeat(np.arange(10), 5), np.arange(50)], axis=1)  # already sorted: pair p is row p
    for rows in batches(monkeypatch, pairs=pairs):
        assert len(set(pairs[rows, 0])) == len(rows) > 1
    label = np.arange(60) // 6
    for rows in batches(monkeypatch, pairs=diagonal(40), groups={"text": label}):
        assert len(set(label[rows])) == len(rows) > 1


def test_more_than_two_sides_take_the_mean_over_directions():
    widths = {"image": 8, "text": 6, "audio": 5}
    sides, first = data(widths=widths), towers(widths, width=4)
    pairs = {("image", "text"): diagonal(6), ("text", "audio"): diagonal(4) + 10}
    training = run(first, sides, pairs, batch_size=10)
    record = next(iter(training))
    r = {}
    for name, encoder in zip(first.names, first.net.encoders):
        layer = encoder.layers[0]
        r[name] = standardised(sides[name]) @ layer.weight.double().T + layer.bias.double()
    t = math.log(1 / 0.07)
    expected = clip_loss(r["image"][:6], r["text"][:6], t) + clip_loss(r["text"][10:14], r["audio"][10:14], t)
    assert record.values["loss"] == pytest.approx(float(expected.detach()) / 2, rel=1e-5)
    assert set(training.result.encode({"audio": sides["audio"]}).names) == set(widths)


def test_saved_and_read_back(tmp_path):
    tuned, sides = run(loss="siglip").result, data()
    tuned.save(tmp_path / "model")
    read = modest.load(tmp_path / "model")
    assert same(weights(read), weights(tuned))
    assert read.about == tuned.about
    x = {"text": sides["text"]}
    assert np.array_equal(read.encode(x).arrays["text"], tuned.encode(x).arrays["text"])
    one, two = run(tuned, sides, loss="siglip").result, run(read, sides, loss="siglip").result
    assert same(weights(one), weights(two))


def killed_in_epoch(path, epoch, loss):
    """A run killed for good in the midst of an epoch, in a process of its own."""
    child = os.fork()
    if child == 0:
        begin = fit._turns

        def turns(task, chunk, *rest):
            if chunk[0].epoch == epoch and chunk[0].index == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return begin(task, chunk, *rest)

        fit._turns = turns
        run(checkpoint=path, loss=loss, pairs=PAIRS).result  # noqa: B018
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])


PAIRS = np.stack([np.repeat(np.arange(10), 4), np.arange(40)], axis=1)


@pytest.mark.parametrize("loss", ["clip", "siglip"])
@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_a_killed_run_goes_on_to_the_same_bits(tmp_path, epoch, loss):
    path = tmp_path / "run.safetensors"
    killed_in_epoch(path, epoch, loss)
    assert path.is_file() == (epoch > 0)
    resumed, whole = run(checkpoint=path, loss=loss, pairs=PAIRS), run(loss=loss, pairs=PAIRS)
    assert len([r for r in resumed if "turn" in r.values]) < len([r for r in whole if "turn" in r.values]) or not epoch
    assert same(weights(resumed.result), weights(whole.result))
    assert resumed.result.about == whole.result.about


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    run(checkpoint=path).result  # noqa: B018
    for other in ({"seed": 1}, {"pairs": diagonal(39)}, {"sides": data(seed=3)}, {"loss": "siglip"}, {"lock": "image"}):
        with pytest.raises(ValueError, match="other settings or data"):
            next(iter(run(checkpoint=path, **other)))
    groups = {"image": np.arange(60) // 2}
    with pytest.raises(ValueError, match="other settings or data"):
        next(iter(run(checkpoint=path, groups=groups)))


def test_views_and_rates_by_side():
    sides = data()
    given = {m: Views({m: x}) for m, x in sides.items()}
    assert same(weights(run(sides=given).result), weights(run(sides=sides).result))
    slow = run(plan=Plan(epochs=1, lr=1e-2, rates={"image": 1e-9, "scale": 1e-9})).result
    first = start()
    moved = [
        (b.layers[0].weight - a.layers[0].weight).abs().max() for a, b in zip(first.net.encoders, slow.net.encoders)
    ]
    assert moved[0] < 1e-7 < 1e-3 < moved[1]


def test_presets_hold_the_values_of_their_sources():
    ttm, s_clip, open_clip = (PRESETS[name] for name in ("ttm", "s-clip", "open_clip"))
    assert (ttm.lr, ttm.weight_decay, ttm.betas, ttm.batch_size) == (1e-5, 0.05, (0.9, 0.999), 100)
    assert ttm.plan(1400, round=2).lr == pytest.approx(1e-5 * 0.95**2)
    assert ttm.plan(1400).factor(19, 10**9 - 1, 10**9) == pytest.approx(0.1)
    assert (s_clip.lr, s_clip.epochs, s_clip.weight_decay, s_clip.plan(2560).warmup) == (5e-5, 25, 0.2, 1.0)
    assert (open_clip.lr, open_clip.betas, open_clip.eps) == (5e-4, (0.9, 0.98), 1e-6)
    assert open_clip.plan(700).warmup == pytest.approx(32 / 5)
    identity = towers({"image": 8, "text": 8}, width=8, first="identity")
    same = dict.fromkeys(("image", "text"), data()["image"])
    assert run(plan=None).about["plan"]["lr"] == PRESETS["small"].lr
    assert run(identity, same, plan=None).about["plan"]["lr"] == PRESETS["adapt"].lr
    assert list(MODELS) == ["CLIP-B32", "CLIP-L14", "LiT-L14", "SigLIP-B16", "SigLIP-L16"]
    assert MODELS["LiT-L14"].lock == "image"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"pairs": np.empty((0, 2), int)}, "pairs holds no pairs"),
        ({"pairs": [[0, 1]]}, "pairs holds 1 pair;"),
        ({"pairs": [[0, 1], [0, 2]]}, "no two of the 2 pairs can stand in one batch"),
        ({"batch_size": 1}, "in one batch of 1"),
        ({"loss": "triplet"}, "loss='triplet' is unknown; known: clip, siglip"),
        ({"lock": "audio"}, "lock='audio' is unknown; known: image, text"),
        ({"pairs": [[0, 1], [60, 2]]}, "row 60 of image, which has the rows 0 to 59"),
        ({"pairs": [[0, -1], [6, 2]]}, "row -1 of text"),
        ({"pairs": [[0.5, 1.0], [1.0, 2.0]]}, "give whole numbers"),
        ({"pairs": {("image", "audio"): [[0, 1]]}}, "must name two of the sides image, text"),
        ({"sides": {"image": data()["image"]}}, "sides has no 'text'"),
        ({"sides": {**data(), "text": data()["image"]}}, r"sides\['text'\] has 8 features, its tower 6"),
        ({"groups": {"text": [1, 2]}}, r"groups\['text'\] has 2 labels for 60 rows"),
        ({"groups": {"audio": [1, 2]}}, "groups='audio' is unknown"),
        ({"plan": Plan(rates={"audio": 1.0})}, "rates='audio' is unknown; known: image, text, scale"),
    ],
)
def test_bad_input_is_one_sentence(more, told):
    with pytest.raises(ValueError, match=told):
        next(iter(run(**more)))


def test_absent_and_odd_rows_are_refused():
    sides = data()
    sides["image"][3] = np.nan
    with pytest.raises(ValueError, match="row 3 of image, which is absent"):
        run(sides=sides)
    sides["image"][3] = 0
    sides["image"][3, 2] = np.inf
    with pytest.raises(ValueError, match=r"sides\['image'\] holds NaN or inf in row 3"):
        run(sides=sides)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (({"image": 4},), "at least two sides"),
        (({"image": 4, "text": 0},), "must all be positive"),
        (({"image": 4, "text": 5}, 4, (), 0, "identity"), "needs linear towers of one size"),
        (({"image": 4, "text": 4}, 4, (4,), 0, "identity"), "leave out hidden"),
        (({"image": 4, "text": 4}, 4, (), 0, "zeros"), "first='zeros' is unknown"),
    ],
)
def test_towers_that_cannot_be(arguments, told):
    with pytest.raises(ValueError, match=told):
        towers(*arguments)
