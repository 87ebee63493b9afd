"""Pages of the benchmarks of raw media and of throughput, from numbers that can be checked by hand."""

from benchmarks import raw_balance, train


def cell(method, seed, right):
    """Ten test rows of four classes, of which the first ``right`` are right in everything."""
    y = [0, 0, 0, 0, 1, 1, 2, 2, 3, 3]
    said = y[:right] + [(k + 1) % 4 for k in y[right:]]
    about = {"task": "colour", "classes": 4, "epoch": 2, "seconds": 90.0}
    return {**about, "method": method, "seed": seed, "y": y, "fused": said, "audio": y, "video": said}


def test_page_of_raw_media():
    cells = [cell("concat", seed, 6) for seed in (0, 1)] + [cell("mla", 0, 8)]
    lines = raw_balance.page(cells).splitlines()
    assert lines[0] == "### colour: 4 classes, 10 test rows"
    assert lines[2] == "Chance 25.0%; always the most frequent 40.0%."
    told = next(line for line in lines if line.startswith("| concat | 2"))
    assert told == "| concat | 2 | 60.0 [60.0, 60.0] | 100.0 [100.0, 100.0] | 60.0 [60.0, 60.0] |  | 3, 3 | 1.5 |"
    told = next(line for line in lines if line.startswith("| mla | 1"))
    assert told.startswith("| mla | 1 | 80.0 [80.0, 80.0] | 100.0 [100.0, 100.0] | 80.0 [80.0, 80.0] | +20.0 [")
    assert not any(line.startswith("### digit") for line in lines)  # no cell of it yet


def test_page_of_throughput():
    scenes = {"resnet": {"mla / alone": 1.2, "projection": 0.01}, "towers": {"mla / alone": 1.4, "projection": 0.25}}
    recipes = {"concat": {"stages": 1, "wall": 1.0, "processor": 1.0}}
    found = {"repeats": 3, "threads": 1, "torch": "2", "devices": {"cpu": {"scenes": scenes, "recipes": recipes}}}
    lines = train.page({**found, "devices": {**found["devices"], "cuda": None}}).splitlines()
    assert "| mla / alone | 1.2 (goal 1.10: missed) | 1.4 |" in lines
    assert "| projection | 1.0% (goal 2%: met) | 25.0% (goal 20%: missed) |" in lines
    assert lines[-1] == "No CUDA device here: nothing was measured."


def test_rounds_go_back_and_forth_and_the_first_does_not_count():
    order = []
    runs = {name: lambda name=name: order.append(name) or len(order) for name in "ab"}
    assert train.in_turns(runs, 2) == {"a": [3, 6], "b": [4, 5]}
    assert order == ["b", "a", "a", "b", "b", "a"]
