"""What can befall files, receipts and rows, and the checks that must find it: the table of docs/verify.md."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from raybackfill.flow import load, unit
from raybackfill.flow.load import Loader
from raybackfill.targets.parquet import ParquetFileWriter
from tests.proving.shop import Shop


@dataclass(frozen=True)
class Fault:
    """`harm` is done to what a run left; exactly the checks in `caught` find it. `mended`: whether
    `verify --repair` makes it good."""

    name: str
    harm: Callable[[Shop], None]
    caught: frozenset[str]
    mended: bool = True


@dataclass(frozen=True)
class Slip:
    """A defect of a hop, after the job returned its rows. `caught`: the checks at the gate that find it, or
    "counts" alone where the unit never gets a receipt."""

    name: str
    slip: Callable[[pytest.MonkeyPatch, Shop], None]
    caught: frozenset[str]


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def middle_page(data: bytes) -> int:
    """A place within the values of the column `id`, which are stored as they are."""
    chunk = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0).column(0)
    end = chunk.data_page_offset + chunk.total_compressed_size
    return int(end - 4)


def rewritten(data: bytes, change: Callable[[pa.Table], pa.Table]) -> bytes:
    """The file with other rows, by the same attempt."""
    table = pq.read_table(io.BytesIO(data))
    sink = io.BytesIO()
    pq.write_table(change(table).replace_schema_metadata(table.schema.metadata), sink)
    return sink.getvalue()


def swapped_names(table: pa.Table) -> pa.Table:
    """Two values change places: no count, bound or sum tells."""
    names = table["name"].to_pylist()
    names[0], names[1] = names[1], names[0]
    return table.set_column(
        table.schema.get_field_index("name"), table.schema.field("name"), pa.chunked_array([names])
    )


def _flip(keys: Callable[[Shop], list[str]]) -> Callable[[Shop], None]:
    def harm(shop: Shop) -> None:
        key = keys(shop)[1]
        data = shop.data(key)
        shop.store.put(key, flipped(data, middle_page(data)))

    return harm


def _rot(keys: Callable[[Shop], list[str]]) -> Callable[[Shop], None]:
    def harm(shop: Shop) -> None:
        key = keys(shop)[1]
        data = shop.data(key)
        shop.rot(key, flipped(data, middle_page(data)))

    return harm


def _drop(keys: Callable[[Shop], list[str]]) -> Callable[[Shop], None]:
    return lambda shop: shop.store.delete(keys(shop)[1])


def _truncate(keys: Callable[[Shop], list[str]]) -> Callable[[Shop], None]:
    return lambda shop: put(shop, keys(shop)[1], shop.data(keys(shop)[1])[:-100])


def _swap(keys: Callable[[Shop], list[str]]) -> Callable[[Shop], None]:
    def harm(shop: Shop) -> None:
        first, second = keys(shop)[:2]
        one, other = shop.store._objects[first], shop.store._objects[second]
        shop.store._objects[first], shop.store._objects[second] = other, one

    return harm


def _exchange(keys: Callable[[Shop], list[str]], change: Callable[[pa.Table], pa.Table]) -> Any:
    """Other rows under the file's own tag, by its own attempt: nothing but its rows can tell."""

    def harm(shop: Shop) -> None:
        key = keys(shop)[1]
        data = rewritten(shop.data(key), change)
        there = shop.store._objects[key]
        shop.store._objects[key] = type(there)(data, there.tag, there.stamp, there.modified)
        _say_size(shop, key, len(data))

    return harm


def _say_size(shop: Shop, key: str, size: int) -> None:
    """Let receipt and journal speak of a file of this size, so that its size does not give it away."""
    for receipt in shop.receipts():
        content = json.loads(shop.data(receipt))
        for file in content["files"]:
            if file["key"] == key:
                content["bytes_staged"] += size - file["size"]
                file["size"] = size
                data = json.dumps(content, separators=(",", ":")).encode()
                _seal(shop, content["unit"], data)
                shop.store.put(receipt, data)


def _seal(shop: Shop, unit_id: str, receipt: bytes) -> None:
    from raybackfill.model import checksum

    for key in shop.journal():
        content = json.loads(shop.data(key))
        for entry in content["entries"]:
            if entry["kind"] == "receipt" and entry["unit"] == unit_id:
                entry["seal"] = checksum(receipt)
        shop.store.put(key, json.dumps(content, separators=(",", ":")).encode())


def put(shop: Shop, key: str, data: bytes) -> None:
    shop.store.put(key, data)


def _double_staged(shop: Shop) -> None:
    key = shop.staged()[1]
    put(shop, key.replace("part-00000", "part-00001"), shop.data(key))


def _double_published(shop: Shop) -> None:
    key = shop.published()[1]
    put(shop, key.replace("part-00000", "part-00001"), shop.data(key))


def _edit_receipt(shop: Shop) -> None:
    key = shop.receipts()[0]
    put(shop, key, shop.data(key).replace(b'"filtered":1', b'"filtered":2'))


def _edit_journal(shop: Shop) -> None:
    key = next(key for key in shop.journal() if b'"digest":"rowsum1:' in shop.data(key))
    content = json.loads(shop.data(key))
    for entry in content["entries"]:
        if "digest" in entry:
            entry["digest"] = "rowsum1:" + "0" * 31 + "1"
    put(shop, key, json.dumps(content, separators=(",", ":")).encode())


def _other_writer(shop: Shop) -> None:
    """The same rows, written again by somebody else."""
    key = shop.staged()[1]
    sink = io.BytesIO()
    table = pq.read_table(io.BytesIO(shop.data(key)))
    pq.write_table(table.replace_schema_metadata({}), sink)
    put(shop, key, sink.getvalue())


def _old_file(shop: Shop) -> None:
    """What lay in the slot before the run."""
    sink = io.BytesIO()
    table = pq.read_table(io.BytesIO(shop.data(shop.published()[1])))
    pq.write_table(table.slice(0, 2).replace_schema_metadata({}), sink)
    put(shop, shop.published()[1], sink.getvalue())


STAGED = (
    Fault("a byte of a staged file is flipped", _flip(Shop.staged), frozenset({"tag", "readable"})),
    Fault("the same, and its tag and size stay (bit rot)", _rot(Shop.staged), frozenset({"readable"})),
    Fault("a staged file is gone", _drop(Shop.staged), frozenset({"present"})),
    Fault("a staged file lies there twice", _double_staged, frozenset({"unlisted"})),
    Fault(
        "two staged files change places, tags and all",
        _swap(Shop.staged),
        frozenset({"tag", "owner", "columns", "digest"}),
    ),
    Fault(
        "a staged file is cut short",
        _truncate(Shop.staged),
        frozenset({"size", "tag", "readable"}),
    ),
    Fault(
        "somebody else writes the same rows into a staged file",
        _other_writer,
        frozenset({"size", "tag", "owner"}),
    ),
    Fault(
        "two values change places within a file, its tag and size stay",
        _exchange(Shop.staged, swapped_names),
        frozenset({"digest"}),
    ),
    Fault(
        "a row is gone from a file, its tag and size stay",
        _exchange(Shop.staged, lambda table: table.slice(1)),
        frozenset({"rows", "columns", "digest"}),
    ),
    Fault(
        "a row stands twice in a file, its tag and size stay",
        _exchange(Shop.staged, lambda table: pa.concat_tables([table, table.slice(0, 1)])),
        frozenset({"rows", "columns", "digest"}),
    ),
    Fault("a receipt is edited", _edit_receipt, frozenset({"receipt", "counts"})),
    Fault("a receipt is gone", lambda shop: shop.store.delete(shop.receipts()[0]), frozenset({"receipt"})),
    Fault("an entry of the journal is edited", _edit_journal, frozenset({"journal"}), mended=False),
)

PUBLISHED = (
    Fault("a byte of a published file is flipped", _flip(Shop.published), frozenset({"tag", "readable"})),
    Fault("the same, and its tag and size stay", _rot(Shop.published), frozenset({"readable"})),
    Fault("a published file is gone", _drop(Shop.published), frozenset({"present"})),
    Fault("a published file lies there twice", _double_published, frozenset({"view"}), mended=False),
    Fault(
        "two published files change places, tags and all",
        _swap(Shop.published),
        frozenset({"tag", "owner", "columns", "digest"}),
    ),
    Fault(
        "a published file is cut short",
        _truncate(Shop.published),
        frozenset({"size", "tag", "readable"}),
    ),
    Fault(
        "an old file is put back into its slot",
        _old_file,
        frozenset({"size", "tag", "owner", "rows", "columns", "digest"}),
    ),
)


def _in_loader(change: Callable[[pa.Table], pa.Table]) -> Callable[[pytest.MonkeyPatch, Shop], None]:
    def slip(patch: pytest.MonkeyPatch, shop: Shop) -> None:
        really = Loader._buffer
        patch.setattr(Loader, "_buffer", lambda self, name, rows: really(self, name, change(rows)))

    return slip


def _in_writer(change: Callable[[pa.Table], pa.Table]) -> Callable[[pytest.MonkeyPatch, Shop], None]:
    """The writer counts what it was given, and writes something else."""

    def slip(patch: pytest.MonkeyPatch, shop: Shop) -> None:
        really = pq.ParquetWriter.write_table

        def write_table(self: Any, table: pa.Table, *given: Any, **options: Any) -> None:
            # Plans are Parquet too.
            really(self, change(table) if "name" in table.column_names else table, *given, **options)

        patch.setattr(pq.ParquetWriter, "write_table", write_table)

    return slip


def _in_folders(patch: pytest.MonkeyPatch, shop: Shop) -> None:
    """Rows of one folder are put into the next one."""
    really = load.split_by_folder

    def split(table: pa.Table, folders: Any) -> Any:
        for name, rows in really(table, folders):
            yield name.replace("01-01", "01-02"), rows

    patch.setattr(load, "split_by_folder", split)


def _in_conform(patch: pytest.MonkeyPatch, shop: Shop) -> None:
    from raybackfill.flow import transform

    really = transform.align_exactly
    patch.setattr(transform, "align_exactly", lambda table, schema: really(table, schema).slice(1))


def _in_accept(patch: pytest.MonkeyPatch, shop: Shop) -> None:
    from raybackfill.assembly import Assembly

    patch.setattr(Assembly, "_accept", lambda self, table: (table.slice(1), 0))


def _null_as_empty(table: pa.Table) -> pa.Table:
    index = table.schema.get_field_index("name")
    return table.set_column(index, table.schema.field("name"), pc.fill_null(table["name"], ""))


def _in_upload(patch: pytest.MonkeyPatch, shop: Shop) -> None:
    """A byte is lost on its way to the store."""
    from raybackfill.targets.parquet import _UploadSink

    really = _UploadSink.write

    def write(self: Any, data: bytes) -> int:
        # Long enough to be a page, and not a header or the footer's end.
        return really(self, flipped(bytes(data), len(data) - 4) if 40 < len(data) < 80 else data)

    patch.setattr(_UploadSink, "write", write)


def _counted_twice(patch: pytest.MonkeyPatch, shop: Shop) -> None:
    really = unit._counted

    def counted(*given: Any) -> Any:
        rows = really(*given)
        return type(rows)(**{**rows.to_json(), "out": rows.out + 1})

    patch.setattr(unit, "_counted", counted)


def _in_job(patch: pytest.MonkeyPatch, shop: Shop) -> None:
    """The job itself leaves out rows that it should keep."""
    job = shop.asked.root / "jobs" / "keep.py"
    job.write_text(job.read_text().replace("pa.scalar(0)", "pa.scalar(1)"))


def _one_less(table: pa.Table) -> pa.Table:
    return table.slice(1)


def _one_more(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table, table.slice(0, 1)])


ROWS_TOO = frozenset({"rows", "columns", "digest"})

SLIPS = (
    Slip(
        "a row is lost as the job's rows are brought into the target's types",
        _in_conform,
        frozenset({"counts"}),
    ),
    Slip("a row is lost as rows out of scope are looked for", _in_accept, frozenset({"counts"})),
    Slip("a row is lost on the way to its file", _in_loader(_one_less), frozenset({"counts"})),
    Slip("a row is doubled on the way to its file", _in_loader(_one_more), frozenset({"counts"})),
    Slip("two values change places on the way to a file", _in_loader(swapped_names), frozenset({"digest"})),
    Slip("a null becomes an empty text", _in_loader(_null_as_empty), frozenset({"columns", "digest"})),
    Slip("rows are written into another folder", _in_folders, frozenset({"counts"})),
    Slip("the writer leaves a row out", _in_writer(_one_less), ROWS_TOO),
    Slip("the writer writes a row twice", _in_writer(_one_more), ROWS_TOO),
    Slip("the writer exchanges two values", _in_writer(swapped_names), frozenset({"digest"})),
    Slip("a byte changes on its way to the store", _in_upload, frozenset({"readable"})),
    Slip("rows are counted wrongly", _counted_twice, frozenset({"counts"})),
    Slip(
        "the job itself leaves rows out, and `verify.reconcile` counts them",
        _in_job,
        frozenset({"reconcile"}),
    ),
)

assert ParquetFileWriter  # what `_in_writer` stands in for
