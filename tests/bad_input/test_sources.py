"""Objects that are not what a source should hold."""

from __future__ import annotations

import datetime
from pathlib import Path

import pyarrow as pa
import pytest

from tests.bad_input.project import CONFIG, DAYS, Project, day_rows, explained

BROKEN = "raw/dt=2025-01-02/orders.parquet"


def test_nothing_lies_at_the_source(tmp_path: Path) -> None:
    explained(
        Project(tmp_path, days=()).refused(), "SpecError", 2, "nothing lies there", "raw", "check the URI"
    )
    (tmp_path / "raw").mkdir()
    explained(Project(tmp_path, days=()).refused(), "SpecError", 2, "nothing lies there")


@pytest.mark.parametrize(
    "scope",
    [
        "{start: 2030-01-01, end: 2030-02-01}",
        "{include: {dt: [2025-01-09]}}",
        "{start: 2025-01-01, exclude: {dt: [2025-01-01, 2025-01-02, 2025-01-03]}}",
    ],
)
def test_a_scope_without_objects_is_no_empty_source(project: Project, scope: str) -> None:
    error = project.refused(CONFIG + f"scope: {scope}\n")
    explained(error, "SpecError", 2, "scope", "widen start and end")
    assert "nothing lies there" not in str(error)


def test_a_scope_without_rows_counts_what_it_left_out(project: Project) -> None:
    run = project.run(CONFIG + "scope: {include: {shop: [nobody]}}\n")
    assert run.exit_code == 4
    assert run.gate is not None
    assert run.gate.reason == "no unit gave a single row"
    rows = run.status()["rows"]
    assert (rows["read"], rows["filtered"], rows["out"]) == (12, 12, 0)
    assert project.table() == {}


def test_no_object_fits_the_template(project: Project) -> None:
    error = project.refused(CONFIG.replace("dt={dt:%Y-%m-%d}/*", "*/{dt:%Y}.parquet"))
    explained(error, "SpecError", 2, "source.path", "dt=2025-01-01/orders.parquet", "do not fit")


@pytest.mark.parametrize(
    ("content", "word"),
    [(None, "does not end in PAR1"), (b"", "0 bytes"), (b"id,value\n1,2\n" * 9, "does not end in PAR1")],
    ids=["truncated", "zero bytes", "text"],
)
def test_a_broken_file_among_good_ones(project: Project, content: bytes | None, word: str) -> None:
    file = project.root / BROKEN
    file.write_bytes(file.read_bytes()[:-30] if content is None else content)
    explained(project.refused(), "SpecError", 2, BROKEN, word, "replace the object")


@pytest.mark.parametrize("at", [-8, -400], ids=["its length", "its schema"])
def test_a_footer_that_lies(project: Project, at: int) -> None:
    file = project.root / BROKEN
    data = bytearray(file.read_bytes())
    data[at : at + 4] = b"\xff\xff\xff\x7f"
    file.write_bytes(bytes(data))
    explained(project.refused(), "SpecError", 2, BROKEN, "replace the object")


def test_a_flipped_byte_in_a_page(project: Project) -> None:
    """The plan sees footers only: the page is found when it is read, and its rows are not published."""
    rows = pa.table({"id": range(1000), "shop": ["a"] * 1000, "value": [1.5] * 1000})
    for day in DAYS:
        project.write(
            f"raw/dt={day}/orders.parquet",
            rows,
            write_page_checksum=True,
            use_dictionary=False,
            compression="none",
        )
    file = project.root / BROKEN
    data = bytearray(file.read_bytes())
    data[2000] ^= 0xFF
    file.write_bytes(bytes(data))
    error = project.refused()
    explained(error, "UnitError", 3, BROKEN, "CRC checksum", "replace the object")
    status = project.load().newest_run().status()
    assert (status["state"], status["exit_code"]) == ("stopped", 3)
    assert [BROKEN in failed["message"] for failed in status["errors"]] == [True]
    # What is broken can be replaced by what it should have been, but that is another object.
    project.write(BROKEN, rows)
    assert project.load().run(engine="inline", new=True).exit_code == 0
    assert [len(found) for found in project.table().values()] == [1000, 1000, 1000]


def test_mixed_formats(project: Project) -> None:
    project.text("raw/dt=2025-01-02/late.csv", "id,shop,value\n1,a,2\n")
    explained(project.refused(), "SpecError", 2, "mixes formats", "late.csv", "orders.parquet", "suffix")
    assert project.run(CONFIG.replace("}/*", "}/*.parquet")).exit_code == 0


@pytest.mark.parametrize(("name", "word"), [("late.orc", ".orc"), ("late", "no suffix")])
def test_a_suffix_of_no_known_format(project: Project, name: str, word: str) -> None:
    project.text(f"raw/dt=2025-01-02/{name}", "ORC")
    explained(project.refused(), "SpecError", 2, word, name, "source.format: parquet, jsonl or csv")


def test_a_format_that_is_not_read_by_its_name(project: Project) -> None:
    error = project.refused(CONFIG.replace("uri: raw,", "uri: raw, format: orc,"))
    explained(
        error, "SpecError", 2, "orders.yaml:3", "source.format", "orc is not in this version", "parquet"
    )


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("late.csv", "id,shop,value\n1,a,2\n3,b\n", "late.csv"),
        ("late.jsonl", '{"id": 1, "shop": "a"}\n{"id": 2, "shop": \n', "late.jsonl"),
        ("late.csv.gz", "this is no gzip", "late.csv.gz"),
    ],
)
def test_text_that_cannot_be_read(tmp_path: Path, name: str, content: str, word: str) -> None:
    project = Project(tmp_path, days=())
    project.text(f"raw/dt=2025-01-02/{name}", content)
    error = project.refused()
    assert error.exit_code == 2
    assert word in str(error)


def test_a_column_that_differs_between_path_and_file(project: Project) -> None:
    rows = day_rows(DAYS[1]).append_column(
        "dt", pa.array([datetime.date(2025, 1, day) for day in (2, 2, 3, 2)])
    )
    project.write(BROKEN, rows)
    error = project.refused()
    explained(
        error, "SpecError", 2, BROKEN, "path says dt = 2025-01-02", "row 3", "2025-01-03", "another name"
    )


def test_types_with_no_safe_way_between(project: Project) -> None:
    project.write(BROKEN, pa.table({"id": [1], "shop": [True], "value": [1.0]}))
    explained(project.refused(), "SpecError", 2, "shop", BROKEN, "schema: {shop: string}")


def test_a_type_that_a_value_does_not_fit(project: Project) -> None:
    error = project.refused(CONFIG.replace("uri: raw,", "uri: raw, schema: {value: int64},"))
    explained(error, "SpecError", 2, "value", "orders.parquet", "1.5", "source.schema")
