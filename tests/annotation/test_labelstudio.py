"""Label Studio: what is written, as its importer reads it, and what its exports say, by hand."""

import json
from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modest.annotation.exchange import read_answers
from modest.annotation.labelstudio import (
    key,
    keys,
    label_config,
    label_tasks,
    pair_config,
    pair_tasks,
    read_export,
)
from modest.annotation.task import Task

LABEL = {"item_id": "a", "kind": "label", "round": 1, "order": 0, "image": "u"}
PAIR = {"item_id": "a", "kind": "pair", "round": 2, "side": "image", "target": "text", "shortlist": ["t1", "t2"]}


def chosen(*words, name="answer"):
    return {"type": "choices", "from_name": name, "to_name": "item", "value": {"choices": list(words)}}


def typed(word):
    return {"type": "textarea", "from_name": "other", "to_name": "item", "value": {"text": [word]}}


def by(who, *result, at="2026-11-22T08:00:00Z", **more):
    return {"id": 1, "completed_by": who, "result": list(result), "updated_at": at, **more}


def exported(data, *annotations):
    return {"id": 7, "data": data, "annotations": list(annotations)}


def said(*tasks):
    return [(one.id, one.said, one.annotator) for one in read_export(tasks, "f.json").opinions]


def test_label_tasks_are_sorted_by_a_score_of_zero_to_one():
    tasks = [Task(3, "label", place, name, "h", -2.0, "far from all") for place, name in ((0, "b"), (4, "a"))]
    first, second = label_tasks(tasks, [{"image": "u1", "order": "x"}, {"image": "u2", "order": ""}])
    assert first["data"] == {"item_id": "b", "kind": "label", "round": 3, "order": 0, "score": -2.0,
                             "reason": "far from all", "image": "u1", "order_": "x"}  # fmt: skip
    assert (first["predictions"][0]["score"], second["predictions"][0]["score"]) == (1.0, 0.5)
    assert second["data"]["order"] == 4
    json.dumps([first, second])


def test_pair_tasks_have_as_many_places_as_the_longest_list():
    tasks = [
        Task(2, "pair", 0, "a", "h", side="image", target="text", shortlist=("t1", "t2")),
        Task(2, "pair", 1, "b", "h", side="image", target="text"),
    ]
    first, second = pair_tasks(tasks, ["u1", "u2"], [["one", "two"], []])
    assert [first["data"][f"candidate_{k}"] for k in (1, 2)] == ["one", "two"]
    assert [second["data"][f"candidate_{k}"] for k in (1, 2)] == ["", ""]
    assert first["data"]["shortlist"] == ["t1", "t2"]


LETTERS = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn", "Co"])


@given(st.lists(st.text(LETTERS, min_size=1), unique=True))
def test_config_holds_classes_of_any_letters(classes):
    view = Xml.fromstring(label_config({"image": "image", "my text": "text"}, classes))
    assert [one.get("value") for one in view.iter("Choice")][: len(classes)] == classes
    assert view.find("Image").get("value") == "$image"
    assert [one.get("value") for one in view.iter("Text")] == ["$item_id", "$my_text"]


def test_config_names_no_place_twice_and_answers_hang_on_the_item():
    pairs = pair_config(("image", "image"), ("text", "text"), 3)
    for text in (label_config({"item": "audio", "video": "video"}, []), pairs):
        view = Xml.fromstring(text)
        names = [one.get("name") for one in view.iter() if one.get("name")]
        assert len(names) == len(set(names))
        assert {one.get("toName") for one in view.iter() if one.get("toName")} == {"item"}
        assert "cannot tell" in [one.get("value") for one in view.iter("Choice")]
    assert [one.get("value") for one in view.iter("Choice")] == ["1", "2", "3", "none of these", "cannot tell"]


def test_keys_keep_off_the_columns_of_flat_exports():
    assert [key(name) for name in ("image", "id", "annotator", "lead_time", "a b")] == [
        "image", "id_", "annotator_", "lead_time_", "a_b"]  # fmt: skip


def test_names_that_differ_in_signs_only_stay_apart():
    names = ["my view", "my-view", "my_view_2", "order", "order_"]
    assert list(keys(names)) == names
    assert len(set(keys(names).values())) == len(names)
    view = Xml.fromstring(label_config({"my view": "text", "my-view": "image"}, ["cat"]))
    [task] = label_tasks([Task(1, "label", 0, "a", "")], [{"my view": "one", "my-view": "two"}])
    assert task["data"][view.findall("Text")[1].get("value")[1:]] == "one"
    assert task["data"][view.find("Image").get("value")[1:]] == "two"


@pytest.mark.parametrize("odd", ["a\x01b", "a\x7f\x00", "\ufffe", "\ud800"])
def test_what_xml_cannot_hold_is_refused_by_name(odd):
    with pytest.raises(ValueError, match="rename the class or the column") as caught:
        label_config({"image": "image"}, [odd])
    assert repr(odd) in str(caught.value)
    with pytest.raises(ValueError, match="rename"):
        label_config({odd: "text"}, ["cat"])


def test_answers_of_an_export():
    assert said(exported(LABEL, by(1, chosen("cat")), by({"id": 4, "email": "b@x"}, chosen("cannot tell")))) == [
        ("a", ("cat",), "1"), ("a", None, "b@x")]  # fmt: skip
    assert said(exported(LABEL, by(1, typed("cow"), chosen("cat")))) == [("a", ("cow",), "1")]
    assert said(exported({"id": "z"}, by(1, chosen("pos", name="sentiment")))) == [("z", ("pos",), "1")]
    assert said(exported(PAIR, by(1, chosen("2")))) == [("a", ("t2",), "1")]
    assert said(exported(PAIR, by(1, chosen("none of these")))) == [("a", (), "1")]
    assert said(exported(PAIR, by(1, chosen("cannot tell")))) == [("a", None, "1")]
    assert said(exported(PAIR, by(1, typed("t9| t8")))) == [("a", ("t9", "t8"), "1")]
    (one,) = read_export([exported(PAIR, by(1, chosen("1")))], "f.json").opinions
    assert (one.kind, one.side, one.target, one.round, one.where) == ("pair", "image", "text", 2, "f.json task 7")


def test_cancelled_and_empty_annotations_are_counted_and_legal():
    told = read_export(
        [exported(LABEL, by(1, chosen("cat"), was_cancelled=True), by(2), by(3, chosen("dog"))), exported(LABEL)], "f"
    )
    assert ([one.said for one in told.opinions], told.cancelled, told.empty) == ([("dog",)], 1, 1)


def test_answers_come_in_the_order_of_time():
    two = [by(1, chosen(word), at=f"2026-11-22T{hour}:00:00Z") for word, hour in (("new", "09"), ("old", "08"))]
    assert [word for _, (word,), _ in said(exported(LABEL, *two))] == ["old", "new"]


def test_flat_exports(tmp_path):
    more = {"annotation_id": 5, "annotator": 3, "updated_at": "2026", "lead_time": 2.5, "id": 7}
    flat = [
        {**LABEL, **more, "answer": "cat"},
        {**LABEL, **more, "other": "cow"},
        {**PAIR, **more, "answer": "1"},
        {**LABEL, "id": 8, "annotation_id": None},
        {**LABEL, **more, "annotator": 4},
    ]
    told = read_export(flat, "f")
    assert [one.said for one in told.opinions] == [("cat",), ("cow",), ("t1",)]
    assert {one.annotator for one in told.opinions} == {"3"}
    assert told.empty == 1
    path = tmp_path / "a.csv"
    path.write_text('"annotation_id","annotator","answer","id","item_id","kind","round","shortlist","side","target"\n'
                    '5,"a@x","2",7,"a","pair",2,"[""t1"", ""t2""]","image","text"\n'
                    ',"",,8,"b","pair",2,"[]","image","text"\n')  # fmt: skip
    told = read_answers(path)
    assert [(one.said, one.annotator, one.round) for one in told.opinions] == [(("t2",), "a@x", 2)]


@pytest.mark.parametrize(
    ("task", "told"),
    [
        (exported(LABEL, by(1, chosen("a", "b"))), "task 7 has 2 choices"),
        (exported({"text": "x"}, by(1, chosen("a"))), "task 7 names no item"),
        ({"id": 7, "annotation_id": 1, "answer": "a"}, "task 7 names no item"),
        (exported(PAIR, by(1, chosen("3"))), "answers '3'"),
        (exported(PAIR, by(1, chosen("0"))), "answers '0'"),
        (exported(LABEL, by(1, chosen("a", name="x"), chosen("b", name="y"))), "choices called x, y"),
        ({**LABEL, "id": 7, "annotation_id": 1, "answer": {"choices": ["a", "b"]}}, "2 choices"),
        (exported(PAIR, by(1, chosen("²"))), "task 7 answers '²'"),
        (exported({**PAIR, "round": "x"}, by(1, chosen("1"))), "task 7 has the round 'x'"),
        (exported(LABEL, "text"), "task 7 is not as Label Studio exports it"),
        ({"id": 7, "data": LABEL, "annotations": 3}, "task 7 is not as"),
        (exported(LABEL, by(1, "text")), "task 7 is not as"),
        (exported(LABEL, by(1, {**chosen("a"), "value": ["a"]})), "task 7 is not as"),
        (exported(LABEL, by(1, chosen(None, 3))), "task 7 "),
    ],
)
def test_what_cannot_be_read_names_the_task(task, told):
    with pytest.raises(ValueError, match=told):
        read_export([task], "f.json")
