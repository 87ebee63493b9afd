"""Every line of the table of what to do next, and the order of its lines."""

import json
import os
import shlex

import numpy as np
import pandas as pd
import pytest

import modest
from modest.data.history import add_line, labelled
from modest.data.pairs import write_pairs
from modest.rounds.asking import ask
from modest.rounds.next import FIRST, LEAST, advise

N = 60


@pytest.fixture
def pool(tmp_path):
    """60 items with two views, 48 of them training rows without a label, 12 test rows of two classes."""
    rng = np.random.default_rng(0)
    split = ["train"] * 48 + ["test"] * 12
    label = [None] * 48 + ["cat", "dog"] * 6
    source = {"image": rng.normal(size=(N, 5)), "text": rng.normal(size=(N, 4)), "label": label, "split": split}
    return modest.ingest(source, tmp_path / "a pool")


def answer(pool, count, first="cat"):
    ids = pool.rounds[-1].choice["id"].tolist()[:count]
    pool.add({name: (first, "dog")[k % 2] for k, name in enumerate(ids)})


def choose(pool, budget=10, method="kcenter"):
    taken = np.array([label is not None for label in pool.labels]) | (pool.split != "train")
    pool.add(modest.select(pool.views(), budget, method, taken=taken))


def trained(pool, name="late", when=1, **metrics):
    folder = pool.path / "models" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"kind": "classifier"}))
    os.utime(folder / "config.json", (when, when))
    count, digest = labelled(pool)
    told = {"method": "late", "labelled": count, "labels": digest, **metrics}
    (folder / "metrics.json").write_text(json.dumps(told))


def scored(pool, *points):
    for count, accuracy in points:
        told = {"labelled": count, "accuracy": accuracy, "split": "test", "method": "late", "mask": None}
        add_line(pool.path, told)


def said(pool, *arguments, **options):
    found = advise(modest.open(pool.path), *arguments, **options)
    assert str(pool.path) in shlex.split(found.command)
    return found


def words(found, pool):
    return [word for word in shlex.split(found.command) if word != str(pool.path)][1:]


def test_without_labels_the_first_items_are_chosen(pool):
    found = said(pool)
    assert found.action == "select"
    assert words(found, pool) == ["select", "--budget", str(LEAST)]
    assert "12" not in found.why
    assert found.facts["labelled"] == 0


@pytest.mark.parametrize(("items", "budget"), [(5, 5), (60, LEAST), (500, 50), (80_000, FIRST)])
def test_a_first_round_has_a_tenth_of_the_items_within_limits(items, budget):
    from modest.rounds.next import _size

    assert _size(items) == budget


def test_an_open_round_is_answered_first(pool):
    choose(pool)
    found = said(pool)
    assert (found.action, words(found, pool)) == ("annotate", ["annotate", "1"])
    assert found.why == "round 1 chose 10 items and none has an answer; 10 are left"
    answer(pool, 4)
    found = said(pool)
    assert found.why == "round 1 chose 10 items and 4 have an answer; 6 are left"
    assert (found.facts["answered"], found.facts["unanswered"]) == (4, 6)


def test_answers_that_wait_come_before_all_questions(pool):
    choose(pool)
    found = said(pool, 3)
    assert (found.action, words(found, pool)) == ("labels add", ["labels", "add"])
    assert shlex.split(found.command)[3] == str(pool.path)
    assert "3 answers" in found.why


def test_items_nobody_can_tell_are_not_waited_for(pool):
    choose(pool)
    answer(pool, 8)
    unclear = pool.rounds[0].choice["id"].tolist()[8:]
    assert said(pool, unclear=unclear[:1]).facts["unanswered"] == 1
    found = said(pool, unclear=unclear)
    assert found.action == "train"
    assert found.facts["unclear"] == 2


def test_labels_of_one_class_are_no_classifier(pool):
    choose(pool)
    answer(pool, 1)
    rest = pool.rounds[0].choice["id"].tolist()[1:]
    found = said(pool, unclear=rest)
    assert found.action == "select"
    assert "all 1 labels say 'cat'" in found.why


def test_new_labels_are_trained_on_as_before(pool):
    choose(pool)
    answer(pool, 10)
    found = said(pool)
    assert (found.action, words(found, pool)) == ("train", ["train"])
    assert "10 training items have labels" in found.why
    trained(pool, "late")
    trained(pool, "mine", when=2, method="mla", start="stage1")
    pool.add({pool.ids[47]: "cat"})
    found = said(pool)
    assert words(found, pool) == ["train", "--method", "mla", "--start", "stage1", "--name", "mine"]


def test_a_label_that_was_changed_calls_for_training_too(pool):
    choose(pool)
    answer(pool, 10)
    trained(pool)
    assert said(pool).action == "evaluate"
    pool.add({pool.rounds[0].choice["id"][0]: "dog"})
    assert said(pool).action == "train"


def test_the_newest_model_of_these_labels_is_scored_where_labels_are(pool):
    choose(pool)
    answer(pool, 10)
    trained(pool, "late", when=2)
    trained(pool, "older", when=1)
    assert words(said(pool), pool) == ["evaluate", "--model", "late"]
    trained(pool, "late", when=2, evaluation={"val": {}})
    assert said(pool).action == "evaluate"
    trained(pool, "late", when=2, evaluation={"test": {}})
    assert said(pool).action == "select"
    pool.table["split"] = ["train"] * 48 + ["val"] * 12
    pool.save()
    assert words(said(pool), pool) == ["evaluate", "--model", "late", "--split", "val"]


def test_another_round_is_as_large_as_the_last_and_chosen_alike(pool):
    choose(pool)
    answer(pool, 10)
    trained(pool, evaluation={"test": {}})
    found = said(pool)
    assert words(found, pool) == ["select", "--budget", "10", "--method", "kcenter"]
    assert "no evaluation is on record" in found.why
    scored(pool, (10, 0.6))
    found = said(pool)
    assert (found.action, words(found, pool)[:3]) == ("select", ["select", "--budget", "10"])
    assert found.facts["enough"]["to"] == 20
    assert found.facts["curve"] == {"labelled": [10], "accuracy": [0.6]}
    assert found.why == found.facts["enough"]["why"]
    json.dumps(dict(found.facts))


def test_a_warm_method_is_handed_the_model_that_was_scored(pool):
    choose(pool)
    answer(pool, 10)
    trained(pool, evaluation={"test": {}})
    choose(pool, 4, "uherding")
    answer(pool, 4)
    trained(pool, "late", evaluation={"test": {}})
    assert words(said(pool), pool) == ["select", "--budget", "4", "--method", "uherding", "--model", "late"]


def test_a_flat_curve_says_stop_unless_less_is_asked_for(pool):
    choose(pool)
    answer(pool, 10)
    trained(pool, evaluation={"test": {}})
    scored(pool, *((n, 0.97) for n in (5, 6, 7, 8, 9, 10)))
    found = said(pool, threshold=0.03)
    assert (found.action, words(found, pool)) == ("stop", ["report"])
    assert "less than the 3 asked for" in found.why
    assert said(pool, threshold=0.0001).action == "select"


def test_nothing_left_to_choose_is_the_end(pool):
    pool.add({name: ("cat", "dog")[k % 2] for k, name in enumerate(pool.ids[:48])})
    trained(pool, evaluation={"test": {}})
    found = said(pool)
    assert found.action == "stop"
    assert "every training item" in found.why


def test_a_last_round_is_no_larger_than_what_is_left(pool):
    pool.add({name: ("cat", "dog")[k % 2] for k, name in enumerate(pool.ids[:45])})
    trained(pool, evaluation={"test": {}})
    assert words(said(pool), pool) == ["select", "--budget", "3", "--model", "late"]  # auto asks it where there is one


def test_without_labels_to_score_on_the_curve_is_not_made_up(pool):
    pool.add(dict.fromkeys(pool.ids[48:]))
    choose(pool)
    answer(pool, 10)
    trained(pool)
    scored(pool, (10, 0.97))
    found = said(pool)
    assert found.action == "select"
    assert "cannot be told" in found.why


def test_raw_values_without_a_view_are_embedded(tmp_path):
    frame = pd.DataFrame({"text": ["a", "b"], "drawing": ["a.png", "b.png"], "label": ["x", "y"]})
    pool = modest.ingest(frame, tmp_path / "pool")
    found = said(pool)
    assert found.action == "embed"
    assert words(found, pool)[0] == "embed"
    assert "--text hashed-text" in found.command
    assert "drawing=pixels" in found.command


def test_a_short_or_a_broken_view_is_mended_before_all_else(pool):
    place = pool.path / "views" / "text" / "given.npy"
    place.write_bytes(place.read_bytes()[:-8])
    found = said(pool, 5)
    assert found.action == "embed"
    assert "truncated" in found.why
    assert words(found, pool) == ["ingest", "SOURCE", "--into"]
    place.unlink()
    assert said(pool).action == "embed"


@pytest.fixture
def apart(tmp_path):
    """20 pictures and 20 captions apart, no label."""
    rng = np.random.default_rng(0)
    ids = [f"i{k:02d}" for k in range(20)] + [f"t{k:02d}" for k in range(20)]
    image, text = rng.normal(size=(40, 6)), rng.normal(size=(40, 4))
    image[20:], text[:20] = np.nan, np.nan
    return modest.ingest({"id": ids, "split": ["train"] * 40, "image": image, "text": text}, tmp_path / "apart")


def test_items_of_one_modality_each_are_paired(apart):
    found = said(apart)
    assert (found.action, words(found, apart)) == ("pair choose", ["pair", "choose", "--budget", "20"])
    assert shlex.split(found.command)[3] == str(apart.path)
    ask(apart, 4, "random")
    found = said(apart)
    assert (found.action, words(found, apart)) == ("annotate", ["annotate"])
    assert "4 questions" in found.why
    asked = pd.read_parquet(apart.path / "rounds" / "1" / "query.parquet")
    keys = list(asked[["id", "modality", "target"]].assign(round=1).itertuples(index=False, name=None))
    assert said(apart, unclear=keys[:1]).facts["pairs_unanswered"] == 3
    assert said(apart, unclear=keys).action == "pair choose"
    told = [
        {"modality_a": a, "id_a": i, "modality_b": b, "id_b": f"{b[0]}{k:02d}", "status": "matched", "cost": 1.0,
         "annotator": "x", "round": 1, "answer": k}
        for k, (a, i, b) in enumerate(asked[["modality", "id", "target"]].itertuples(index=False))
    ]  # fmt: skip
    write_pairs(apart.path, pd.DataFrame(told))
    found = said(apart)
    assert (found.action, words(found, apart)) == ("pair train", ["pair", "train"])
    folder = apart.path / "models" / "pairs"
    folder.mkdir(parents=True)
    for pairs, action in ((3, "pair train"), (4, "pair choose")):
        (folder / "config.json").write_text(json.dumps({"kind": "representation", "about": {"pairs": pairs}}))
        assert said(apart).action == action


def test_a_label_makes_it_a_matter_of_classes(apart):
    apart.add({"i00": "cat"})
    assert said(apart).action == "select"
