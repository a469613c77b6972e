"""What a study file may say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from crossfuse.errors import InvalidInput
from crossfuse_training.ablation import Study, plan
from crossfuse_training.ablation.overrides import read_overridden

HEAD = 'name = "s"\nrecipe = "base.toml"\nbaseline = "base"\nrank_by = ["SSIM"]\n'
BASE = '[[configurations]]\nname = "base"\n'
Write = Callable[[str], Study]


def test_settings_may_be_nested_or_dotted(write_study: Write) -> None:
    study = write_study(
        HEAD
        + 'settings."loss.ssim.weight" = 5\n[settings.data]\nsubset = 3\nsets = [{name = "a"}]\n'
        + BASE
    )
    expected = {"loss.ssim.weight": 5, "data.subset": 3, "data.sets": [{"name": "a"}]}
    assert study.settings == expected


def test_the_recipe_is_relative_to_the_study(write_study: Write, tmp_path: Path) -> None:
    assert write_study(HEAD + BASE).recipe == str(tmp_path / "base.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD.replace("rank_by", "rank_bye") + BASE, "did you mean 'rank_by'"),
        (HEAD + "steps = 3\n" + BASE, "key steps"),
        (HEAD.replace('"SSIM"', '"SIMM"') + BASE, "rank_by: got 'SIMM'.*mean 'SSIM'"),
        (HEAD.replace('["SSIM"]', "[]") + BASE, "rank_by: got no metric"),
        (HEAD.replace('"s"', '"a b"') + BASE, "name: got 'a b'; valid: letters"),
        (HEAD.replace("base.toml", "none.toml") + BASE, "none.toml, which is no file"),
        (HEAD + "seeds = [1, 1]\n" + BASE, r"seeds: got \[1, 1\]"),
        (HEAD + "seeds = [1.5]\n" + BASE, r"seeds\[0\]: got 1.5; valid: a whole number"),
        (HEAD, "configurations and phases: got neither"),
        (HEAD + BASE + '[[phases]]\nname = "p"\ngrid.a = [1]\n', "got both"),
        (HEAD + BASE + BASE, "'base' twice"),
        (HEAD + BASE + '[[configurations]]\nname = "b"\ncombine = ["c"]\n', "combine of 'b'"),
        (HEAD + '[[phases]]\nname = "p"\ngrid.a = [1]\n', "phases.grid of 'p': got 'a'"),
        ("name = [", "no TOML"),
    ],
)
def test_a_faulty_file_is_refused_by_key(write_study: Write, text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        write_study(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + '[[configurations]]\nname = "other"\n', "baseline: got 'base'; valid: other"),
        (HEAD + BASE + '[[configurations]]\nname = "same"\n', "base and same with the same"),
        (
            HEAD + BASE + '[[configurations]]\nname = "b"\nsettings.a = "prepared:x"\n',
            "prepared run of b: got 'x'",
        ),
    ],
)
def test_a_faulty_plan_is_refused(write_study: Write, text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        plan(write_study(text), {}, {})


def test_phases_say_how_many_they_vary(write_study: Write) -> None:
    factors = HEAD + 'id = "f{f}"\n[factors.f]\nkey = "a"\ndefault = 1\n'
    phase = '[[phases]]\nname = "p"\ngrid.f = [1, 2]\n'
    with pytest.raises(InvalidInput, match=r"phases\.best of 'p': got nothing"):
        write_study(factors + phase + phase)
    with pytest.raises(
        InvalidInput, match=r"phases\.best of 'p': got 2; valid: nothing in the fir"
    ):
        write_study(factors + phase + "best = 2\n")


def test_an_id_must_tell_configurations_apart(write_study: Write) -> None:
    text = HEAD.replace('"base"', '"f"') + '[factors.f]\nkey = "a"\ndefault = 1\n'
    phase = '[[phases]]\nname = "p"\ngrid.f = [1, 2]\n'
    with pytest.raises(InvalidInput, match="id: got 'f' twice"):
        plan(write_study('id = "f"\n' + text + phase), {}, {})
    with pytest.raises(InvalidInput, match=r"id: got '\{g\}'"):
        write_study('id = "{g}"\n' + text + phase)


def test_words_of_the_command_line(write_study: Write, tmp_path: Path) -> None:
    write_study(HEAD + BASE)
    path = tmp_path / "study.toml"
    study, settings = read_overridden(path, ["seeds=[3, 4]", "steps=7", "data.subset=2"])
    assert study.seeds == (3, 4)
    assert settings == {"steps": 7, "data.subset": 2}
    assert [run.settings["steps"] for run in plan(study, {}, settings).runs] == [7, 7]
    with pytest.raises(InvalidInput, match="seeds: got 'x'; valid: a list of whole numbers"):
        read_overridden(path, ["seeds=x"])
    with pytest.raises(InvalidInput, match="override: got seed=3"):
        read_overridden(path, ["seed=3"])
