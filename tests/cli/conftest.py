"""The command line as a shell sees it, in this process, and a small pool of pictures and captions."""

from collections import namedtuple

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import modest
from modest.cli import main

Said = namedtuple("Said", ["code", "out", "err"])
N = 24


@pytest.fixture
def shell(monkeypatch, capsys):
    """Run ``modest ...``: exit code, stdout, stderr without the empty line that a cut progress bar leaves."""

    def run(*arguments):
        capsys.readouterr()
        monkeypatch.setattr("sys.argv", ["modest", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return Said(end.value.code or 0, out, err.lstrip("\n"))

    return run


@pytest.fixture
def pictures(tmp_path):
    """A pool of 24 pictures in two colours and captions; picture 3 is a text, caption 5 is null, one in four is test.

    Labels are known of two rows in three.
    """
    draw = np.random.default_rng(0)
    for k in range(N):
        pixels = draw.integers(0, 90, (9, 8, 3), dtype=np.uint8)
        pixels[..., k % 2] += 160
        Image.fromarray(pixels).save(tmp_path / f"{k:02d}.png")
    (tmp_path / "03.png").write_text("no picture")
    frame = pd.DataFrame(
        {
            "id": [f"item-{k:02d}" for k in range(N)],
            "image": [str(tmp_path / f"{k:02d}.png") for k in range(N)],
            "text": [None if k == 5 else f"{('red', 'green')[k % 2]} thing number {k}" for k in range(N)],
            "label": [None if k % 3 == 2 else ("red", "green")[k % 2] for k in range(N)],
            "split": ["test" if k % 4 == 0 else "train" for k in range(N)],
        }
    )
    return modest.ingest(frame, tmp_path / "pool").path
