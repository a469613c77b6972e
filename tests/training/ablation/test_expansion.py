"""The runs of a study: ids, phases, placeholders, skipped defaults, seeds."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossfuse_training.ablation import Study, plan
from crossfuse_training.ablation.settings import flattened, words

Write = Callable[[str], Study]


def test_phases_name_winners_that_are_not_known_yet(grid: Study) -> None:
    planned = plan(replace(grid, seeds=(1,)), {}, {})
    assert [run.id for run in planned.runs] == [
        "g_001_q0.5_n0.0_same0",
        "g_002_q0.9_n0.0_same0",
        "g_003_q0.7_n0.0_same0",
        "g_004_q0.6_n0.0_same0",
        # The defaults of each winner were run in phase 1.
        "g_005_qtop1_n0.0_same1",
        "g_006_qtop1_n0.001_same0",
        "g_007_qtop1_n0.001_same1",
        "g_008_qtop2_n0.0_same1",
        "g_009_qtop2_n0.001_same0",
        "g_010_qtop2_n0.001_same1",
    ]
    assert [run.phase for run in planned.runs] == [1] * 4 + [2] * 6
    assert [run.is_open for run in planned.runs] == [False] * 4 + [True] * 6
    assert planned.runs[5].factors == {"quality": "top1", "noise": 0.001, "same": False}


def test_known_winners_take_their_places(grid: Study) -> None:
    winners = {2: [{"quality": q, "noise": 0.0, "same": False} for q in (0.9, 0.7)]}
    planned = plan(grid, winners, {})
    assert planned.runs[8].id == "g_005_q0.9_n0.0_same1_seed1"
    assert planned.runs[9].id == "g_005_q0.9_n0.0_same1_seed2"
    assert planned.runs[9].settings == {
        "demo.quality": 0.9,
        "demo.noise": 0.0,
        "demo.same": True,
        "seed": 2,
        "name": "g_005_q0.9_n0.0_same1_seed2",
    }
    ids = [run.id for run in planned.runs]
    assert len(ids) == len(set(ids)) == 20


def test_a_value_met_in_an_earlier_phase_is_not_run_again(write_study: Write) -> None:
    study = write_study(
        'name = "s"\nrecipe = "base.toml"\nbaseline = "a1b1"\nrank_by = ["SSIM"]\nid = "a{a}b{b}"\n'
        '[factors]\na = {key = "a", default = 1}\nb = {key = "b", default = 1}\n'
        '[[phases]]\nname = "p"\ngrid.a = [1, 2, 1]\n'
        '[[phases]]\nname = "q"\nbest = 1\ngrid.a = [1, 2]\ngrid.b = [1, 2]\n'
    )
    planned = plan(study, {2: [{"a": 2, "b": 1}]}, {})
    assert [run.id for run in planned.runs] == ["a1b1", "a2b1", "a1b2", "a2b2"]


def test_combinations_take_settings_over_in_order(write_study: Write) -> None:
    study = write_study(
        'name = "s"\nrecipe = "base.toml"\nbaseline = "base"\nrank_by = ["SSIM"]\n'
        'prepare = [{name = "first", recipe = "base.toml", settings = {stage = "autoencoder"}}]\n'
        'configurations = [{name = "base"}, {name = "a", settings = {x = 1, y = "prepared:first"}},'
        ' {name = "b", settings = {x = 2}}, {name = "ab", combine = ["a", "b"]},'
        ' {name = "abc", combine = ["ab"], settings = {z = true}}]\nsettings = {x = 0}\n'
    )
    planned = plan(study, {}, {"steps": 3})
    by_id = {run.id: run for run in planned.runs}
    assert list(by_id) == ["first", "base", "a", "b", "ab", "abc"]
    assert (by_id["first"].phase, by_id["first"].seed, by_id["a"].phase) == (0, None, 1)
    assert by_id["first"].settings == {"stage": "autoencoder", "steps": 3, "name": "first"}
    assert by_id["base"].settings == {"x": 0, "steps": 3, "seed": 1, "name": "base"}
    assert by_id["abc"].factors == {"x": 2, "y": "prepared:first", "z": True}
    assert by_id["abc"].needs == ["first"]
    assert by_id["b"].needs == []


plain = st.one_of(
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)
values = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=2)
    ),
    max_leaves=5,
)


@given(values)
def test_words_are_toml(value: object) -> None:
    key, _, text = words({"a.b": value})[0].partition("=")
    assert key == "a.b"
    assert tomllib.loads(f"v = {text}")["v"] == value


def test_flattened_keeps_lists_and_empty_tables() -> None:
    table = {"a": {"b": {"c": 1}, "d": {}}, "e": [{"f": 2}], "g.h": 3}
    expected = {"a.b.c": 1, "a.d": {}, "e": [{"f": 2}], "g.h": 3}
    assert flattened(table) == expected
    assert json.dumps(expected)


@pytest.mark.parametrize("seeds", [(1,), (1, 2), (5, 3, 9)])
def test_one_run_for_each_seed(grid: Study, seeds: tuple[int, ...]) -> None:
    planned = plan(replace(grid, seeds=seeds), {}, {})
    assert len(planned.runs) == 10 * len(seeds)
    first = planned.configurations[0].name
    assert [
        run.seed for run in planned.runs if run.configuration and run.configuration.name == first
    ] == list(seeds)
