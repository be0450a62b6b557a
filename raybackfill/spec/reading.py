"""Moves a config's text to a BackfillSpec: all that can be checked without looking at the data is."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from raybackfill.errors import SpecError
from raybackfill.spec.fields import CONFIG
from raybackfill.spec.locations import default_state, is_inside, is_skipped, locate_database, read_location
from raybackfill.spec.moments import read_moment
from raybackfill.spec.nodes import DEPTH_MAX, SET, MappingNode, Node, Place, ScalarNode, read_nodes, shown
from raybackfill.spec.secrecy import refuse_secret_text, refuse_secrets
from raybackfill.spec.shapes import COMING, Reading
from raybackfill.spec.values import (
    BackfillSpec,
    CsvSpec,
    LimitsSpec,
    Moment,
    QuerySpec,
    ReconcileSpec,
    RetriesSpec,
    ScopeSpec,
    SourceSpec,
    StorageSpec,
    TableSpec,
    TargetSpec,
    TransformSpec,
    VerifySpec,
)

ReadFile = Callable[[str], str]

_OWN = "give the state a folder of its own"
_NO_OVERRIDES: Mapping[str, str] = MappingProxyType({})


def read_spec(
    text: str,
    *,
    where: str,
    root: str,
    overrides: Mapping[str, str] = _NO_OVERRIDES,
    read_file: ReadFile,
) -> BackfillSpec:
    """The spec that a config and its overrides say, with every default filled in.

    `where` is the config's path for messages. Relative places start at `root`, an absolute path.
    `overrides` maps dotted keys to YAML, and wins. `read_file` gives the text of a file, named by its
    absolute path below the root; its OSError or UnicodeDecodeError becomes a SpecError. SpecError
    with the line for all that is wrong.
    """
    node = read_nodes(text, where)
    if not isinstance(node, MappingNode):
        raise _no_mapping(node, where)
    for key, value in overrides.items():
        place = Place(SET, key)
        node = _with_override(node, key.split("."), place.locate(_override_node, value), place)
    refuse_secrets(node, Place(where))
    return _backfill(CONFIG.read(node, Place(where)), root, read_file)


def _no_mapping(node: Node, where: str) -> SpecError:
    if isinstance(node, ScalarNode) and node.is_empty:
        return SpecError("is empty", where=where, next="a config has at least name, source and target")
    return SpecError(
        f"is {node.noun}", where=node.origin, next="write a mapping: name: ..., source: ..., target: ..."
    )


def _override_node(value: str) -> Node:
    return read_nodes(value, SET, lines=False)


def _with_override(node: MappingNode, keys: list[str], value: Node, place: Place) -> MappingNode:
    """A new tree: an alias may share the old one."""
    first, rest = keys[0], keys[1:]
    if not first or len(keys) > DEPTH_MAX:
        raise place.error("is not a key", "write it like scope.start")
    if rest:
        inner = node.entries.get(first, MappingNode(SET))
        if not isinstance(inner, MappingNode):
            raise place.error(
                f"{first} is {inner.noun}, so nothing can be set below it", f"set {first} itself"
            )
        value = _with_override(inner, rest, value, place)
    origin = node.origins.get(first, SET) if rest else SET
    return MappingNode(node.origin, {**node.entries, first: value}, {**node.origins, first: origin})


def _backfill(config: Reading, root: str, read_file: ReadFile) -> BackfillSpec:
    timezone = config["timezone"]
    source = _source(config["source"], root, timezone)
    target = _target(config["target"], root, timezone)
    spec = BackfillSpec(
        name=config["name"],
        source=source,
        target=target,
        state=_state(config, target.uri, root),
        timezone=timezone,
        scope=_scope(config["scope"], timezone),
        transform=_transform(config["transform"], root, read_file),
        order=config["order"],
        limits=LimitsSpec(**config["limits"].values),
        retries=RetriesSpec(**config["retries"].values),
        verify=_verify(config["verify"], root, read_file),
        shrink=config["shrink"],
        publish=config["publish"],
    )
    _refuse_one_in_another(spec, config)
    if spec.in_place and target.mode == "append":
        raise (
            config["target"]
            .places["mode"]
            .error(
                "append to the source itself would read what it adds",
                "give another target.uri, or say replace",
            )
        )
    return spec


def _source(reading: Reading, root: str, timezone: str) -> SourceSpec:
    if reading["format"] not in (None, "csv") and reading["csv"].values != _CSV_DEFAULTS:
        raise reading.places["csv"].error(
            f"does not apply to the format {reading['format']}", "leave one of the two out"
        )
    uri = _location(reading, "uri", root, read_only=True)
    storage = StorageSpec(**reading["storage"].values)
    if "://" in uri and not uri.startswith("s3://") and storage != StorageSpec():
        raise reading.places["storage"].error(
            f"is about s3://, and the source is {uri}",
            "leave it out: such a filesystem is set up in its own environment, or in ~/.config/fsspec",
        )
    return SourceSpec(
        **reading.without("uri", "storage", "csv", "timezone"),
        uri=uri,
        storage=storage,
        csv=CsvSpec(**reading["csv"].values),
        timezone=reading["timezone"] or timezone,
    )


_CSV_DEFAULTS = {"delimiter": ",", "header": True, "null": "", "encoding": "utf-8"}


def _target(reading: Reading, root: str, timezone: str) -> TargetSpec:
    appends = reading["mode"] == "append"
    if appends and not reading["allow_duplicates"]:
        raise reading.places["mode"].error(
            f"append adds rows that may be there already, and keys, which would tell, are {COMING}",
            "say allow_duplicates: true, or mode: replace",
        )
    if reading["allow_duplicates"] and not appends:
        raise reading.places["allow_duplicates"].error("is about mode: append", "leave it out")
    return TargetSpec(
        **reading.without("uri", "storage", "timezone"),
        uri=_location(reading, "uri", root),
        storage=StorageSpec(**reading["storage"].values),
        timezone=reading["timezone"] or timezone,
    )


def _location(reading: Reading, name: str, root: str, *, read_only: bool = False) -> str:
    return reading.places[name].locate(read_location, reading[name], root, read_only=read_only)


def _state(config: Reading, target: str, root: str) -> str:
    beside = config["target"].places["uri"].locate(default_state, target)
    return _location(config, "state", root) if config["state"] is not None else beside


def _scope(reading: Reading, timezone: str) -> ScopeSpec:
    start, end = (_moment(reading, name, timezone) for name in ("start", "end"))
    if start and end and end.instant <= start.instant:
        raise reading.places["end"].error(
            f"{shown(end.text)} is not after the start, {shown(start.text)}",
            "the end is the first instant outside",
        )
    return ScopeSpec(
        **reading.without("start", "end", "margin"), start=start, end=end, margin_seconds=reading["margin"]
    )


def _moment(reading: Reading, name: str, timezone: str) -> Moment | None:
    text = reading[name]
    return None if text is None else reading.places[name].locate(read_moment, text, timezone)


def _transform(reading: Reading, root: str, read_file: ReadFile) -> TransformSpec:
    if reading["python"] is None and reading["sql"] is None:
        _refuse_unused(reading)
    tables: Mapping[str, Reading] = reading["tables"]
    for name in tables:
        if name in reading["params"]:
            raise reading.places["tables"].error(f"{name} is a parameter too", "rename one of the two")
    return TransformSpec(
        **reading.without("sql", "tables"),
        sql=None if reading["sql"] is None else _sql(reading, root, read_file),
        tables={name: TableSpec(**_table(table, root)) for name, table in tables.items()},
    )


def _refuse_unused(reading: Reading) -> None:
    for name in ("params", "tables"):
        if reading[name]:
            raise reading.places[name].error("is given, but no job that takes it", "add python or sql")


def _table(reading: Reading, root: str) -> dict[str, Any]:
    return {**reading.values, "uri": _location(reading, "uri", root, read_only=True)}


def _verify(reading: Reading, root: str, read_file: ReadFile) -> VerifySpec:
    entries = tuple(
        ReconcileSpec(
            **entry.without("source", "target"),
            source=_asked(entry["source"], root, read_file),
            target=_asked(entry["target"], root, read_file),
        )
        for entry in reading["reconcile"]
    )
    return VerifySpec(reading["read_back"], entries)


def _asked(reading: Reading, root: str, read_file: ReadFile) -> QuerySpec:
    database = reading["database"]
    return QuerySpec(
        sql=_sql(reading, root, read_file),
        database=None if database is None else locate_database(database, root),
        database_env=reading["database_env"],
    )


def _sql(reading: Reading, root: str, read_file: ReadFile) -> str:
    """The query at `sql`; one word that ends in .sql is a file, because no query is one word."""
    value, place = reading["sql"], reading.places["sql"]
    if not value.endswith(".sql") or len(value.split()) > 1:
        return _query(value, place)
    path = posixpath.normpath(posixpath.join(root, value))
    if not is_inside(path, posixpath.normpath(root)):
        raise place.error(f"{shown(value)} is not below the project {root}", "move the file into the project")
    try:
        return _query(read_file(path), place)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise place.error(f"{shown(value)} cannot be read: {reason}", f"it is looked for in {root}") from None


def _query(text: str, place: Place) -> str:
    if not text.strip():
        raise place.error("holds no query", "write one select statement")
    refuse_secret_text(text, place)
    return text


def _refuse_one_in_another(spec: BackfillSpec, config: Reading) -> None:
    source, target, state = spec.source.uri, spec.target.uri, spec.state
    at_target = config["target"].places["uri"]
    at_state = config.places["state"]
    comparable = _share_a_store(spec, at_target)
    if comparable:
        _refuse_nested(source, target, at_target)
    if state == target or is_inside(state, target):
        raise at_state.error(
            f"{state} is in the target, where readers would take its files for rows",
            f"leave state out: it is then {default_state(target)}",
        )
    if is_inside(target, state):
        raise at_state.error(f"{state} holds the target {target}, and files in it are cleaned", _OWN)
    if state.startswith("s3://") != target.startswith("s3://"):
        raise at_state.error(
            f"{state} is in another store than the target {target}, and files are copied within one",
            f"leave state out: it is then {default_state(target)}",
        )
    if comparable:
        _refuse_state_and_source(source, state, at_state)


def _share_a_store(spec: BackfillSpec, place: Place) -> bool:
    """Whether the source and the target can be compared by name; S3 has one name space an endpoint."""
    source, target = spec.source, spec.target
    if source.storage.endpoint_url == target.storage.endpoint_url or not source.uri.startswith("s3://"):
        return True
    same = source.uri == target.uri or is_inside(source.uri, target.uri) or is_inside(target.uri, source.uri)
    if same and None in (source.storage.endpoint_url, target.storage.endpoint_url):
        raise place.error(
            "overlaps the source, and only one of the two has storage.endpoint_url: are they the same store?",
            "write endpoint_url in both, or in neither",
        )
    return False


def _refuse_nested(source: str, target: str, place: Place) -> None:
    why = "and a backfill would read what it writes, or count its own source as rows of the table"
    if is_inside(target, source):
        raise place.error(f"{target} is inside the source {source}, {why}", "put them beside each other")
    if is_inside(source, target):
        raise place.error(f"{target} holds the source {source}, {why}", "put them beside each other")


def _refuse_state_and_source(source: str, state: str, place: Place) -> None:
    if source == state or is_inside(source, state):
        raise place.error(f"{state} holds the source {source}, and files in it are cleaned", _OWN)
    if is_inside(state, source) and not is_skipped(state, source):
        raise place.error(
            f"{state} is inside the source {source}, whose listings would find its files",
            "give it a name that begins with _, or put it elsewhere",
        )
