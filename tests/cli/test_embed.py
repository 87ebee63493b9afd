"""``modest embed`` on the command line."""

import json

import pytest
import typer
from typer.testing import CliRunner

import modest
from modest.cli import COMMANDS
from modest.cli.embed import command
from tests.encoders.test_embed import N, content, make


@pytest.fixture
def ask(tmp_path):
    app = typer.Typer()
    app.command()(command)
    pool = make(tmp_path)

    def call(*options):
        return CliRunner().invoke(app, [str(pool.path), *options])

    call.pool = pool.path
    return call


def test_it_writes_views_says_what_was_skipped_and_names_the_next_command(ask):
    result = ask("--image", "pixels?size=2", "--view", "caption=hashed-text", "--from", "caption=text")
    assert result.exit_code == 0, result.output
    assert f"image: {N} rows encoded by pixels?size=2, 36 features, 1 absent, 1.4 kB in" in result.output
    assert (
        f"1 values could not be read, listed in {ask.pool / 'views/image/pixels-size-2.skipped.csv'}" in result.output
    )
    assert f"caption: {N - 1} rows encoded by hashed-text, 1024 features, 1 absent" in result.output
    assert result.output.endswith(f"next: modest select {ask.pool} --budget 0.01\n")
    assert modest.open(ask.pool).views().shape == {"image": (N, 36), "caption": (N, 1024)}
    again = ask("--image", "pixels?size=2")
    assert f"image: nothing to do, {ask.pool / 'views/image/pixels-size-2.npy'} has all {N} rows" in again.output


def test_dry_run_and_json(ask):
    before = content(ask.pool)
    result = ask("--text", "hashed-text", "--image", "pixels", "--shard", "4", "--dry-run")
    assert result.exit_code == 0, result.output
    assert (
        f"text: {N - 1} rows to encode, 0 there already, by hashed-text, 1024 features, 41.0 kB in 3 shards"
        in result.output
    )
    assert "nothing was written" in result.output
    assert f"next: modest embed {ask.pool} --view image=pixels --view text=hashed-text" in result.output
    assert content(ask.pool) == before
    told = json.loads(ask("text=hashed-text", "--half", "--json").stdout)
    assert told["views"]["text"]["bytes"] == N * 1024 * 2
    assert told["views"]["text"]["absent"] == 1
    assert (told["dry_run"], told["next"]) == (False, f"modest select {ask.pool} --budget 0.01")


def test_without_an_encoder_it_names_the_columns_and_an_example_that_works(ask):
    result = ask()
    assert result.exit_code != 0
    told = str(result.exception)
    assert "the raw columns are image (image), text (text)" in told
    example = told.partition("modest embed ")[2]
    assert example == f"{ask.pool} --image pixels --text hashed-text"
    assert ask(*example.split()[1:]).exit_code == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--view", "image"], "NAME=URI"),
        (["--view", "image=pixels", "--image", "pixels"], "two encoders"),
        (["--image", "pixels", "--from", "image"], "MODALITY=COLUMN"),
        (["--image", "nix:1"], "use one of: pixels"),
        (["--audio", "logmel"], "no raw column 'audio'"),
        (["--image", "pixels", "--batch-size", "0"], "batch_size=0"),
    ],
)
def test_options_that_cannot_be_used(ask, options, told):
    before = content(ask.pool)
    result = ask(*options)
    assert result.exit_code != 0
    assert told in str(result.exception)
    assert content(ask.pool) == before


def test_it_comes_after_ingest():
    assert COMMANDS[COMMANDS.index("ingest") + 1] == "embed"
