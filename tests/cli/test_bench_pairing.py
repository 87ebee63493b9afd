"""modest bench --task pairing on a pool whose rows have two modalities."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import modest
from modest.bench import pairing
from modest.cli import app


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairing")
    rng = np.random.default_rng(0)
    image = rng.standard_normal((70, 5)).astype(np.float32)
    text = image @ rng.standard_normal((5, 5)).astype(np.float32)
    split = ["test" if k >= 50 else "train" for k in range(70)]
    pd.DataFrame({"id": [f"i{k:02}" for k in range(70)], "split": split}).to_csv(folder / "items.csv", index=False)
    np.savez(folder / "views.npz", image=image, text=text)
    views = {name: f"{folder / 'views.npz'}:{name}" for name in ("image", "text")}
    modest.ingest(folder / "items.csv", folder / "pool", views=views)
    return folder / "pool"


def run(*arguments):
    return CliRunner().invoke(app, ["bench", *map(str, arguments)])


def test_it_tells_curves_areas_and_plots_and_goes_on(pool, tmp_path):
    given = (pool, "--task", "pairing", "--methods", "random,acquire", "--budgets", "5", "--turns", "2", "--seeds", "2")
    done = run(*given, "--out", tmp_path / "out", "--jobs", "1")
    assert done.exit_code == 0, done.output
    assert "less random" in done.output
    assert "continue between rounds" in done.output
    frame = pairing.results(tmp_path / "out")
    assert frame.groupby(["method", "seed"]).ngroups == 4
    assert frame["asked"].max() == 10
    assert (tmp_path / "out" / "curves-pool-pool-ridge.png").is_file()
    again = run(*given, "--out", tmp_path / "out", "--jobs", "1", "--json")
    assert again.exit_code == 0
    told = json.loads(again.stdout)
    assert told["chains"] == 4
    assert {row["method"] for row in told["areas"]} == {"random", "acquire"}


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--task", "magic"), "--task"),
        (("--task", "pairing", "--budgets", "5,10"), "names several"),
        (("--task", "pairing", "--methods", "magic"), "magic"),
        (("--task", "pairing", "--retrain", "never"), "retrain"),
    ],
)
def test_what_is_refused(pool, tmp_path, more, told):
    refused = run(pool, *more, "--out", tmp_path / "out")
    assert refused.exit_code != 0
    assert told in refused.output or told in str(refused.exception)
