"""The three reports: what they say, and that the HTML needs nothing but itself."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from crossfuse.evaluation import (
    DetectionScore,
    Evaluation,
    Method,
    SceneReader,
    ScoreTable,
    evaluate,
    folder_method,
    previews,
    write_reports,
)
from crossfuse.evaluation.cases import cases_worth_showing
from crossfuse.evaluation.standings import compute_standings
from crossfuse.metrics import BASELINES, describe

Methods = Callable[..., list[Method]]
Readers = Callable[[Path], SceneReader]
VOID = {"meta", "img"}


class Page(HTMLParser):
    """Elements by name, checked to be nested as they should be."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


DETECTIONS = [DetectionScore("first", "first.json", 12, 0.5, 0.75, None)]


@pytest.fixture(scope="module")
def evaluation(
    tmp_path_factory: pytest.TempPathFactory,
    write_pictures: Callable[[Path], Path],
    reader_of: Readers,
    methods_of: Methods,
) -> Evaluation:
    """Two methods on three scenes, one of which has a picture missing."""
    folder = write_pictures(tmp_path_factory.mktemp("evaluated"))
    (folder / "second/b.png").unlink()
    return evaluate(reader_of(folder), methods_of(folder, "first", "second"), folder, workers=1)


@pytest.fixture(scope="module")
def written(evaluation: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of its reports, with a score of detections."""
    folder = tmp_path_factory.mktemp("reports")
    write_reports(evaluation, DETECTIONS, folder)
    return folder


def data_of(page: str) -> Any:
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', page)
    assert match is not None
    return json.loads(match[1])


def test_the_page_is_one_file(written: Path) -> None:
    text = (written / "report.html").read_text()
    page = Page(text)
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            if name in ("src", "href", "srcset", "data", "action", "poster"):
                assert str(value).startswith(("data:image/webp;base64,", "#")), (tag, value)
    assert not page.all("link") + page.all("iframe")
    styles = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert styles is not None
    assert "url(" not in styles[1]
    assert "@import" not in styles[1]
    assert "http" not in re.sub(r"http-equiv|base64,[A-Za-z0-9+/=]+", "", text)
    ids = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert max(ids.values()) == 1
    links = {str(link["href"])[1:] for link in page.all("a")}
    assert links <= ids.keys()
    assert "$" not in re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)


def test_the_page_shows_every_picture_of_every_method(written: Path) -> None:
    text = (written / "report.html").read_text()
    page = Page(text)
    assert len(page.all("article")) == 3
    # Infrared, visible, two methods and three rules; one picture is missing.
    pictures = page.all("img")[:-1]
    assert len(pictures) == 3 * 7 - 1
    assert all(picture["alt"] for picture in pictures)
    assert text.count('class="missing"') == 1
    content = base64.b64decode(str(pictures[0]["src"]).partition(",")[2])
    shown = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    assert shown.shape == (40, 48, 3)
    labels = ["infrared", "visible", "first", "second", *BASELINES]
    assert [picture["alt"].rpartition(" of ")[0] for picture in pictures[:7]] == labels  # type: ignore[union-attr]


def test_the_page_has_a_plot_and_a_definition_for_every_metric(written: Path) -> None:
    page = Page((written / "report.html").read_text())
    undefined = 2  # VIF and MS_SSIM, on pictures this small
    assert len(page.all("svg")) == len(describe()) - undefined
    assert len(page.all("dt")) == len(describe())
    for metric in describe():
        assert page.texts.count(metric.definition) == 1
        assert sum(metric.definition in text for text in page.texts) == 2


def test_the_script_gets_the_numbers_it_sorts_by(written: Path, evaluation: Evaluation) -> None:
    data = data_of((written / "report.html").read_text())
    assert data["methods"] == ["first", "second", *BASELINES]
    row = evaluation.table.images.index(data["cases"][0])
    expected = evaluation.table.values[row, 0, 0]
    assert data["values"][0][0][0] == pytest.approx(expected, rel=1e-5)
    column = [metric["name"] for metric in data["metrics"]].index("Nabf")
    assert data["metrics"][column]["higher"] is False
    missing = data["cases"].index("b")
    assert data["ranks"][missing][1] is None
    assert set(data["values"][missing][1]) == {None}


@pytest.mark.parametrize("name", ['<script>alert("x")</script>', "a|b*c`d", "</script>", "$data"])
def test_names_cannot_break_the_reports(pictures: Path, name: str, reader_of: Readers) -> None:
    stem = name.replace("/", "")
    for kind in ("ir", "vis", "first"):
        (pictures / kind / "a.png").rename(pictures / kind / f"{stem}.png")
    methods = [folder_method(name, pictures / "first", max_pixels=10_000)]
    evaluation = evaluate(reader_of(pictures), methods, pictures, workers=1)
    write_reports(evaluation, [], pictures)
    text = (pictures / "report.html").read_text()
    page = Page(text)
    assert len(page.all("script")) == 2
    assert name in data_of(text)["methods"]
    assert stem in data_of(text)["cases"]
    tables = re.findall(r"(?:^\|.*\n)+", (pictures / "report.md").read_text(), re.MULTILINE)
    assert len(tables) == 4
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_the_markdown_report(written: Path) -> None:
    text = (written / "report.md").read_text()
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    header = next(row for row in rows if row[0] == "| method")
    assert header[1:4] == ["mean rank ↓", "EN ↑", "SD ↑"]
    scored = {row[0].removeprefix("| "): row for row in rows if len(row) == len(header)}
    for name in ("first", "second", *BASELINES):
        assert re.fullmatch(r"\d\.\d\d", scored[name][1])
        assert re.fullmatch(r"\d\.\d{3} \(\d(\.\d)?\)", scored[name][2])
    assert any("3 undefined" in cell for cell in scored["first"])
    assert "profile `cddfuse`" in text
    assert (
        "| b | second | not scored | --fused second: got no picture b.* in".replace("*", "\\*")
        in text
    )
    assert "| first | 12 | 0.500 | 0.750 | - |" in text
    assert "Westfall" in text
    assert all(metric.definition in text.replace("\\", "") for metric in describe())


def test_the_summary_is_strict_json(written: Path, evaluation: Evaluation) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    content = json.loads((written / "summary.json").read_text(), parse_constant=refuse)
    assert content["profile"] == "cddfuse"
    assert content["pictures"] == 3
    assert list(content["methods"]) == ["first", "second", *BASELINES]
    second = content["methods"]["second"]
    assert (second["kind"], second["scored"], second["failed"]) == ("folder", 2, 1)
    column = evaluation.table.metrics.index("SCD")
    expected = np.nanmean(evaluation.table.values[:, 1, column])
    assert second["metrics"]["SCD"]["mean"] == pytest.approx(expected)
    low, high = second["metrics"]["SCD"]["ci95"]
    assert low <= expected <= high
    assert second["metrics"]["MS_SSIM"] == {
        "mean": None, "std": None, "ci95": None, "defined": 0, "undefined": 2, "rank": None
    }  # fmt: skip
    assert content["problems"][0]["image"] == "b"
    assert {"image": "a", "method": "second", "metrics": ["VIF", "MS_SSIM"]} in content["undefined"]
    assert content["metrics"][0]["name"] == "EN"
    assert len(content["comparisons"]) == 7 * len(content["metrics"])
    assert content["detections"][0]["mAP50"] == 0.75


def test_the_same_pictures_give_the_same_reports(
    written: Path, evaluation: Evaluation, tmp_path: Path
) -> None:
    write_reports(evaluation, DETECTIONS, tmp_path)
    for name in ("summary.json", "report.md", "report.html"):
        assert (tmp_path / name).read_bytes() == (written / name).read_bytes()


def test_the_page_is_bounded(
    evaluation: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previews, "MOST_PICTURES", 2)
    rows = cases_worth_showing(evaluation)
    assert [case.row for case in previews.build_cases(evaluation, rows)] == rows[:2]
    monkeypatch.setattr(previews, "MOST_BYTES", 1)
    assert [case.row for case in previews.build_cases(evaluation, rows)] == rows[:1]
    monkeypatch.setattr(previews, "LONGEST_SIDE", 24)
    (case,) = previews.build_cases(evaluation, rows)
    assert {tile.size for tile in case.tiles} == {(24, 20)}
    write_reports(evaluation, [], tmp_path)
    assert "1 of 3 scored pictures" in (tmp_path / "report.html").read_text()


def test_best_and_worst_pictures_come_first(reader: SceneReader) -> None:
    descriptions = describe()[:1]
    methods = [
        Method("mine", "folder", "nowhere", lambda scene: scene.ir),
        Method("rule", "baseline", "a fixed rule", lambda scene: scene.ir),
    ]
    table = ScoreTable([f"p{n}" for n in range(6)], ["mine", "rule"], ["EN"])
    table.values[:, :, 0] = np.transpose([[3, 7, 5, 1, 9, np.nan], [4, 4, 4, 4, 4, np.nan]])
    table.scored[:5] = True
    standings = compute_standings(table, methods, descriptions)
    evaluation = Evaluation("cddfuse", reader, methods, descriptions, table, [], standings)
    # Beaten by the rule on p0 and p3 and better on the others; then by EN itself; p5 has no score.
    assert cases_worth_showing(evaluation) == [3, 1, 0, 2, 4]
