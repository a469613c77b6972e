"""Several reports as one document and one page, with the fits over what they measured."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossfuse.cli import main
from crossfuse.errors import InvalidInput
from crossfuse_bench.report.document import (
    Document,
    read_report,
    write_files,
    write_report,
)
from crossfuse_bench.report.joined import joined
from crossfuse_bench.report.schema import validate
from crossfuse_bench.rows import Row, latency_fields, not_measured

IDENTITY = {
    "name": "m", "version": 1, "precision": "fp32", "provider": "CPUExecutionProvider",
    "sha256": "0" * 64, "runtime": "none",
}  # fmt: skip
METHOD = {"scenario": "made up", "inputs": "none"}
SIZES = ("100x100", "200x200", "300x300")
QUALITY = {"psnr": 52.5, "ssim": 0.999, "note": "made up"}


def measured(kind: str, ms: float, **conditions: Any) -> Row:
    times = list(np.linspace(0.9 * ms, 1.1 * ms, 401))
    return {
        "name": "m", "kind": kind, "measured": True, "size": "100x100", "throughput": 1e3 / ms,
        "stable": True, "quality": QUALITY, **latency_fields(times), **conditions,
    }  # fmt: skip


def engine_row(size: str, batch: int, ms: float) -> Row:
    same = {"threads": 2, "precision": "fp32", "device": "cpu"}
    return measured("engine", ms, size=size, batch=batch, **same)


def served_row(kind: str, **conditions: Any) -> Row:
    server = {
        "n": 401, "failed": 0, "executions": 401, "throughput": 99.0, "request_ms": 9.0,
        "queue_ms": 1.0, "compute_input_ms": 1.0, "compute_infer_ms": 6.0,
        "compute_output_ms": 0.5, "overhead_ms": 0.5,
    }  # fmt: skip
    return measured(
        kind, 10.0, mode="unary", encoding="raw", failures={}, dropped={"overrun": 3},
        phases={"decode": 1.0, "infer": 9.0}, server=server, **conditions,
    )  # fmt: skip


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Reports of sizes, of batches, of a server and of videos."""
    absent = not_measured("m", "engine", "not measured: none here", size="100x100", batch=1)
    sizes = [engine_row(size, 1, 5 + number * 10) for number, size in enumerate(SIZES)]
    batches = [engine_row("100x100", batch, 3 + 2 * batch) for batch in (2, 4, 8)]
    served = [served_row("closed loop", concurrency=n, label="service time") for n in (1, 2)]
    served += [served_row("open loop", rate=rate, arrivals="constant") for rate in (10.0, 20.0)]
    videos = [
        measured("video", 10.0 * n, streams=n, mode=f"{n} streams", interval_ms=9.0, jitter_ms=1.0)
        for n in (1, 2, 4)
    ]
    made: dict[str, tuple[str, list[Row], dict[str, Any]]] = {
        "sizes": ("engine", [*sizes, absent], {"peak": {"gflops": 100.0, "copy_gbytes": 9.0}}),
        "batches": ("engine", [*batches, absent], {}),
        "served": ("serve", served, {"findings": ["Knee: made up"]}),
        "videos": ("video", videos, {}),
    }
    for name, (kind, rows, extra) in made.items():
        document = Document(kind, f"bench {name}", IDENTITY, METHOD, rows, extra)
        write_report(document, tmp_path / name)
    return [tmp_path / name for name in made]


def test_one_document_of_four(folders: list[Path], tmp_path: Path, capsys: Any) -> None:
    assert main(["bench", "join", *map(str, folders), "-o", str(tmp_path / "whole")]) == 0
    printed = capsys.readouterr().out
    document = read_report(tmp_path / "whole")
    first = read_report(folders[0])
    for name in ("p50", "p99", "throughput", "provider", "sha256", "commit"):
        assert document[name] == first[name]
    # The device that is not there is told of once.
    assert [row["part"] for row in document["rows"]] == [0] * 4 + [1] * 3 + [2] * 4 + [3] * 3
    assert [part["command"] for part in document["extra"]["parts"]] == [
        "bench sizes", "bench batches", "bench served", "bench videos",
    ]  # fmt: skip
    assert "Part 3: Knee: made up" in document["extra"]["findings"]
    assert "Part 3: Knee: made up" in printed
    with (tmp_path / "whole/report.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["part"] for row in rows] == [str(row["part"]) for row in document["rows"]]
    assert (rows[7]["server_request_ms"], rows[7]["lost"], rows[7]["psnr"]) == ("9.0", "3", "52.5")


def test_cost_is_fitted_over_pixels_batch_and_streams(folders: list[Path]) -> None:
    document = joined([read_report(folder) for folder in folders], "")
    pixels, batch, streams = document["extra"]["fits"]
    # 5, 15 and 25 ms at 0.01, 0.04 and 0.09 megapixels do not lie on a line.
    assert pixels["axis"] == "pixels"
    assert 0.9 < pixels["r2"] < 0.99
    # 2 ms a pair and 3 ms beside them, and the row of the other part that is one pair in 5 ms.
    assert batch["points"] == [[1, pytest.approx(5)], [2, pytest.approx(7)],
                               [4, pytest.approx(11)], [8, pytest.approx(19)]]  # fmt: skip
    assert batch["slope"] == pytest.approx(2)
    assert batch["offset"] == pytest.approx(3)
    assert batch["r2"] == pytest.approx(1)
    assert [x for x, _ in streams["points"]] == [1, 2, 4]


def test_page_and_table_show_all_parts(folders: list[Path], tmp_path: Path) -> None:
    assert main(["bench", "join", *map(str, folders), "-o", str(tmp_path / "whole")]) == 0
    page = (tmp_path / "whole/report.html").read_text(encoding="utf-8")
    # Four of calls, two of closed loops, open loops, phases, and three fits.
    assert page.count("<figure>") == 11
    assert page.count('<tr class="part">') == 4
    assert "The server&#x27;s own statistics" in page
    assert page.count("401 / 401") == 4
    assert "://" not in page
    table = (tmp_path / "whole/report.md").read_text(encoding="utf-8")
    assert table.count("## Part ") == 4
    assert table.count("| 401 / 401 |") == 4
    assert table.count("52.5 dB, SSIM 0.9990") == 13


def test_reports_of_two_builds_are_told(folders: list[Path]) -> None:
    first, second = (read_report(folder) for folder in folders[:2])
    second["commit"] = "another"
    assert "different commits" in joined([first, second], "")["extra"]["findings"][0]


def test_reports_of_two_machines_are_told_and_share_no_line(folders: list[Path]) -> None:
    first, second = (read_report(folder) for folder in folders[:2])
    assert joined([first, second], "")["extra"]["fits"]
    second["machine"]["processor"] = "another"
    extra = joined([first, second], "")["extra"]
    assert "different machines: " in extra["findings"][0]
    assert extra["fits"] == []


def test_a_row_has_the_model_of_its_part(folders: list[Path], tmp_path: Path) -> None:
    first, second = (read_report(folder) for folder in folders[:2])
    second |= {"sha256": "1" * 64, "commit": "another"}
    own = {"kind": "rival", "sha256": "2" * 64}
    second["rows"][0] |= own
    second["rows"][1] |= not_measured("tile_loop", "rival", "no time", size="100x100")
    write_files(joined([first, second], ""), tmp_path / "whole")
    with (tmp_path / "whole/report.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["sha256"][:1] for row in rows] == [*"0000", "2", "", "1"]
    assert rows[0]["commit"] == first["commit"]
    assert rows[4]["commit"] == "another"


def test_reports_of_version_1_are_read(folders: list[Path]) -> None:
    first, second = (read_report(folder) for folder in folders[:2])
    assert first["schema"] == "crossfuse-bench/2"
    first["schema"] = "crossfuse-bench/1"
    validate(first)
    assert joined([first, second], "")["schema"] == "crossfuse-bench/2"
    for other in ("crossfuse-bench/3", None):
        valid = "valid: crossfuse-bench/2 or crossfuse-bench/1"
        with pytest.raises(InvalidInput, match=f"got schema {other!r}; {valid}"):
            validate({**first, "schema": other})


def test_a_report_alone_is_written_again(folders: list[Path], tmp_path: Path) -> None:
    assert main(["bench", "join", *map(str, folders), "-o", str(tmp_path / "whole")]) == 0
    whole = tmp_path / "whole"
    kept = tmp_path / "kept.json"
    (whole / "report.json").rename(kept)
    assert main(["bench", "join", str(kept), "-o", str(tmp_path / "again")]) == 0
    again = tmp_path / "again"
    assert (again / "report.json").read_bytes() == kept.read_bytes()
    assert (again / "report.html").read_bytes() == (whole / "report.html").read_bytes()


def test_a_joined_report_is_not_joined_again(folders: list[Path]) -> None:
    whole = joined([read_report(folder) for folder in folders], "")
    with pytest.raises(InvalidInput, match="reports: got one that is joined already"):
        joined([whole, read_report(folders[0])], "")


def test_the_schema_knows_what_a_row_needs(folders: list[Path]) -> None:
    document = read_report(folders[2])
    validate(document)
    del document["rows"][0]["server"]["queue_ms"]
    with pytest.raises(InvalidInput, match="queue_ms"):
        validate(document)
    broken = read_report(folders[0])
    broken["rows"][0]["intervals"] = {}
    with pytest.raises(InvalidInput, match="p50"):
        validate(broken)
    broken = read_report(folders[0])
    broken["rows"][0]["blocks"] = [{"process": 0, "ms": 1, "reference_ms": 0}]
    with pytest.raises(InvalidInput, match="reference_ms"):
        validate(broken)
    broken = json.loads((folders[0] / "report.json").read_text(encoding="utf-8"))
    broken["rows"][0]["quality"] = {"psnr": 1}
    with pytest.raises(InvalidInput, match="quality"):
        validate(broken)
