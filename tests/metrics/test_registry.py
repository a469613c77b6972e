"""What reports print about metrics, and how metrics are named."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from crossfuse.errors import UnknownName
from crossfuse.metrics import PROFILES, describe, describe_video, evaluate_pair

PICTURE = np.zeros((8, 8), np.uint8)


def test_profiles_begin_with_the_columns_of_the_report() -> None:
    columns = ["EN", "SD", "SF", "AG", "MI", "SCD", "VIF", "Qabf", "SSIM"]
    for profile in PROFILES:
        assert [row.name for row in describe(profile)][:9] == columns


def test_both_profiles_hold_the_same_metrics() -> None:
    published, corrected = ({row.name for row in describe(p)} for p in ("cddfuse", "corrected"))
    assert published - corrected == {"SSIM_corrected"}
    assert corrected < published


def test_only_artifacts_and_perceived_error_are_better_when_lower() -> None:
    lower = {row.name for row in describe() if row.direction == "lower"}
    assert lower == {"Nabf", "Qcv"}
    assert {row.direction for row in describe_video()} == {"lower"}


def test_sources_are_needed_for_all_but_the_four_of_the_fused_picture() -> None:
    alone = {row.name for row in describe("corrected") if not row.needs_sources}
    assert alone == {"EN", "SD", "SF", "AG"}


@pytest.mark.parametrize("profile", PROFILES)
def test_every_row_says_what_it_computes(profile: str) -> None:
    rows = describe(profile) + describe_video()
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        assert row.definition.endswith(".")
        assert row.definition.count(". ") == 0, "one sentence"
        assert row.reference
        low, high = row.value_range
        assert low is None or high is None or low < high
    assert json.loads(json.dumps([asdict(row) for row in rows]))[0]["name"] == "EN"


def test_a_profile_that_differs_says_so() -> None:
    published, corrected = ({r.name: r for r in describe(p)} for p in ("cddfuse", "corrected"))
    differ = {name for name in corrected if published[name] != corrected[name]}
    assert differ == {"MI", "VIF", "Qabf", "SSIM", "PSNR"}


def test_names_select_in_the_order_of_the_profile() -> None:
    scores = evaluate_pair(PICTURE, PICTURE, PICTURE, names=["SD", "EN", "SD"])
    assert list(scores) == ["EN", "SD"]


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"metric: got 'QABF'.*valid: .*Qabf"):
        evaluate_pair(PICTURE, PICTURE, PICTURE, names=["QABF"])
    with pytest.raises(UnknownName, match=r"profile: got 'cdfuse'.*did you mean 'cddfuse'"):
        describe("cdfuse")
