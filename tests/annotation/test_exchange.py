"""Answers read from files: every form, told opinions by hand, and one sentence for what has no form."""

import json

import pytest

from modest.annotation.exchange import read_answers, said_on_page
from modest.annotation.opinions import Opinion
from modest.annotation.task import Said, Task


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def plain(opinions):
    return [(one.kind, one.id, one.said, one.annotator) for one in opinions]


def test_csv_and_jsonl_of_labels_say_the_same(tmp_path):
    table = write(tmp_path / "a.csv", "\ufeffid,label,annotator\n1,cat,ann\n2,cannot tell,bob\n3,,ann\n4, dog ,\n")
    lines = write(
        tmp_path / "a.jsonl",
        '{"id": 1, "label": "cat", "annotator": "ann"}\n\n{"id": "2", "label": "cannot tell", "annotator": "bob"}\n'
        '{"id": "3", "label": null, "annotator": "ann"}\n{"id": 4, "label": "dog"}\n',
    )
    wanted = [("label", "1", ("cat",), "ann"), ("label", "2", None, "bob"), ("label", "4", ("dog",), "")]
    for path in (table, lines):
        told = read_answers(path)
        assert (plain(told.opinions), told.empty) == (wanted, 1)
    assert read_answers(table).opinions[1].where == f"{table} line 3"


def test_text_in_cells_may_hold_commas_quotes_and_lines(tmp_path):
    table = write(tmp_path / "a.tsv", 'id\tlabel\n"a\nb"\t"say ""x""\u2028y"\n')
    assert plain(read_answers(table).opinions) == [("label", "a\nb", ('say "x"\u2028y',), "")]


def test_a_spreadsheet_may_write_semicolons_and_capitals(tmp_path):
    table = write(tmp_path / "a.csv", "\ufeffid;label\r\n1;cat, small\r\n2;Cannot tell\r\n")
    assert plain(read_answers(table).opinions) == [("label", "1", ("cat, small",), ""), ("label", "2", None, "")]


def test_pairs_of_csv_and_jsonl(tmp_path):
    rows = ("id,match,side,target,round", "a,t1|t2,image,text,3", "b,None of these,,,", "c,cannot tell,,,", "d,,,,")
    told = read_answers(write(tmp_path / "a.csv", "\n".join(rows)))
    assert [(one.id, one.said, one.side, one.round) for one in told.opinions] == [
        ("a", ("t1", "t2"), "image", 3), ("b", (), "", None), ("c", None, "", None)]  # fmt: skip
    assert told.empty == 1
    tasks = [
        {"side": "image", "id": "a", "target": "text", "answer": "t1|x", "round": 1},
        {"side": "image", "id": "b", "target": "text", "answer": [], "round": 1},
        {"side": "image", "id": "c", "target": "text", "answer": ["t1", "t2"], "round": 1},
        {"side": "image", "id": "d", "target": "text", "answer": None, "round": 1},
    ]
    told = read_answers(write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, tasks))))
    assert [one.said for one in told.opinions] == [("t1|x",), (), ("t1", "t2")]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", "id,class\n1,x\n", "columns id, class"),
        ("a.csv", "id,label\n1\n", "line 2 has fewer cells"),
        ("a.csv", "id,label\n1,a,b\n", "line 2 has more cells"),
        ("a.csv", "id,label\n,a\n", "line 2 has no id"),
        ("a.csv", "id,match,round\na,b,first\n", "round 'first'"),
        ("a.csv", "", "columns none"),
        ("a.jsonl", '{"id": "a"}', "neither label nor answer"),
        ("a.jsonl", '{"id": "a", "label": ["x", "y"]}', "one class"),
        ("a.jsonl", "[1]", "line 1 is no object"),
        ("a.jsonl", '{"id": "a", "label": "x"}\n{', "line 2 is no JSON"),
        ("a.json", "{", "no valid JSON"),
        ("a.json", "{}", "no list of tasks"),
        ("a.json", "[1]", "task 1 is no object"),
        ("a.xml", "x", "ends in .xml"),
        ("a.json", "[" * 100_000, "no valid JSON"),
        ("a.jsonl", "[" * 100_000, "line 1 is no JSON"),
        ("a.jsonl", '{"id": 1, "match": "b", "round": 1e400}', "line 1 has the round inf"),
    ],
)
def test_what_has_no_form_is_one_sentence_with_its_place(tmp_path, name, content, told):
    path = write(tmp_path / name, content)
    with pytest.raises(ValueError, match=told) as caught:
        read_answers(path)
    assert str(path) in str(caught.value)
    assert str(caught.value).count("\n") == 0


def test_other_bytes_and_no_file(tmp_path):
    (tmp_path / "a.csv").write_bytes("id,label\n1,käse\n".encode("latin-1"))
    with pytest.raises(ValueError, match="UTF-8"):
        read_answers(tmp_path / "a.csv")
    with pytest.raises(FileNotFoundError, match=r"b\.csv"):
        read_answers(tmp_path / "b.csv")


def test_what_was_said_on_the_page():
    label = Task(1, "label", 0, "a", "hash", number=1)
    pair = Task(2, "pair", 0, "b", "hash", side="image", target="text", shortlist=("t1",), number=2)
    rows = [(9, 2, "ann", "none", ()), (3, 2, "bob", "match", ("t1",)),
            (4, 1, "ann", "label", ("cat",)), (5, 1, "bob", "unsure", ())]  # fmt: skip
    given = [Said(*row, 10.0 * row[0], 1.0, "hash") for row in rows]
    found = said_on_page([(pair, given[:2]), (label, given[2:])])
    assert [(one.id, one.said, one.annotator) for one in found] == [
        ("b", ("t1",), "bob"), ("a", ("cat",), "ann"), ("a", None, "bob"), ("b", (), "ann")]  # fmt: skip
    at = "1970-01-01T00:00:30.000+00:00"
    assert found[0] == Opinion("pair", "b", ("t1",), "bob", "answer 3 of the page", "image", "text", 2, at)
