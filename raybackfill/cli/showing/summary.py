"""Plans and runs as text for a terminal, from the same documents that --json prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from raybackfill.api import Run
from raybackfill.cli.showing.reconciled import reconciled_lines
from raybackfill.control.planning.identity.difference import Difference
from raybackfill.control.planning.identity.words import difference_document, in_words
from raybackfill.control.planning.plan import Plan
from raybackfill.observe.words import amount, duration, plural, size
from raybackfill.paths import key_of

LABEL_WIDTH = 12
COLUMNS_NAMED_MAX = 12
IGNORED_NAMED_MAX = 3
FINDINGS_SHOWN_MAX = 10
DRIFT = {
    "added": "is new",
    "missing": "is missing",
    "null_typed": "holds nothing",
    "widened": "has a narrower type",
    "text": "shows another type, and is read as text",
    "reordered": "stands elsewhere",
}


def run_document(run: Run) -> dict[str, Any]:
    """status --json, with the gate that refused the publish, if one did."""
    document = run.status()
    if run.gate is not None:
        refused = {"name": run.gate.name, "result": "refused", "reason": run.gate.reason}
        document |= {"gates": [refused], "next": run.gate.next}
    return {**document, "exit_code": run.exit_code}


def against_document(other: Plan, found: Difference) -> dict[str, Any]:
    """What `plan --against` adds: how the plan differs from another."""
    root = key_of(other.recipe.spec.source.uri) + "/"
    said = {"plan_id": other.id, "same": not found, "difference": in_words(found, root)}
    return {**said, **difference_document(found)}


def plan_text(plan: Mapping[str, Any]) -> str:
    source, target, units = plan["source"], plan["target"], plan["units"]
    partitions = plan["partitions"]
    first, last = partitions["first"], partitions["last"]
    return _lines(
        f"plan {plan['plan_id']} of {plan['backfill']}",
        ("source", source["uri"]),
        (
            "",
            f"{plural(source['objects'], 'object')} ({source['format']}), {size(source['bytes'])}, "
            f"{_source_rows(source)}, {plural(partitions['count'], 'partition')}",
        ),
        ("", first if first == last else f"{first} .. {last}"),
        *(("", text) for text in _missing(plan)),
        ("scope", _scope(plan["scope"])),
        ("columns", _columns(source["schema"])),
        *(("drift", text) for text in _drift(plan)),
        ("job", _job(plan["code"])),
        ("target", target["uri"]),
        ("", _target(target)),
        *(("", text) for text in _behind(target)),
        ("", f"columns {_columns(target['schema'])}"),
        *(("differs", text) for text in _differences(target)),
        ("units", _units(units)),
        *(("ignored", text) for text in _ignored(source)),
        *(("against", text) for text in _against(plan)),
        ("plan lies in", plan["plan_uri"]),
        ("next", plan["next"]),
    )


def run_text(run: Mapping[str, Any]) -> str:
    rows, units, table = run["rows"], run["units"], run["table"]
    done = units["staged"] + units["published"]
    failed = f", {units['failed']} failed" if units["failed"] else ""
    return _lines(
        f"run {run['run_id']}: {run['state']}",
        *(("because", held["reason"]) for held in run["held_by"]),
        ("units", f"{done:,} of {units['total']:,} done{failed}"),
        ("rows", _rows(rows)),
        (
            "bytes",
            f"{size(run['bytes']['read'])} read, {size(run['bytes']['staged'])} written in {_files(run)}",
        ),
        ("time", f"{duration(run['elapsed_seconds'])}{_rate(run)}"),
        (
            "table",
            table["uri"] + (f", version {table['version']}" if table["version"] else ", not published"),
        ),
        *(("failed", f"{error['unit']}: {error['message']}") for error in run["errors"][:3]),
        ("run lies in", run["run_uri"]),
        ("next", run["next"]),
    )


def verify_text(found: Mapping[str, Any]) -> str:
    units, read = found["units"], found["units_read_back"]
    bad = f", {found['units_bad']:,} do not hold" if found["units_bad"] else ""
    repaired = found["units_repaired"]
    return _lines(
        f"run {found['run_id']} ({found['state']}): verify {found['result']}",
        ("units", f"{units:,} looked at, {read:,} read back ({size(found['bytes_read'])}){bad}"),
        *((("repaired", f"{plural(repaired, 'unit')} worked on again"),) if repaired else ()),
        *(("", text) for text in _superseded(found)),
        *((check["result"], _check(check)) for check in found["checks"]),
        *(("", text) for text in reconciled_lines(found["reconcile"])),
        *((("", f"not reconciled: {skipped}"),) if (skipped := found["reconcile_skipped"]) else ()),
        *(("found", _finding(finding)) for finding in found["findings"][:FINDINGS_SHOWN_MAX]),
        *(("", f"and {more:,} more") for more in [found["findings_count"] - FINDINGS_SHOWN_MAX] if more > 0),
        ("digest", found["digest"]),
        ("next", found["next"]),
    )


def _superseded(found: Mapping[str, Any]) -> Iterator[str]:
    if found["units_superseded"]:
        yield f"{plural(found['units_superseded'], 'unit')} with files that a later version replaced"


def _check(check: Mapping[str, Any]) -> str:
    return f"{check['name']:<9} {check['claim']} ({check['looked_at']:,} {check['measure']})"


def _finding(finding: Mapping[str, Any]) -> str:
    partition = f"{finding['partition']}: " if finding["partition"] else ""
    return (
        f"{finding['check']}: {partition}{finding['where']}: "
        f"expected {finding['expected']}, found {finding['found']}"
    )


def clean_text(found: Mapping[str, Any]) -> str:
    what = plural(found["files"], "file") + (
        f" and {plural(found['uploads'], 'unfinished upload')}" if found["uploads"] else ""
    )
    done = "removed" if found["applied"] else "may go"
    return _lines(
        f"{what} of attempts that lost, {size(found['bytes'])}, {done}",
        *(
            (run["state"], f"{run['run_id']}: {plural(run['files'], 'file')}, {size(run['bytes'])}")
            for run in found["runs"]
            if run["files"] or run["uploads"]
        ),
        *((("next", found["next"]),) if found["next"] else ()),
    )


def files_text(found: Mapping[str, Any]) -> str:
    """Where each file lies, a line each: for other programs to read."""
    return "\n".join(file["uri"] for file in found["files"])


def _files(run: Mapping[str, Any]) -> str:
    return plural(run["files"]["staged"], "file")


def _lines(title: str, *rows: tuple[str, str]) -> str:
    return "\n".join([title, *(f"  {label:<{LABEL_WIDTH}} {text}" for label, text in rows)])


def _rows(rows: Mapping[str, int]) -> str:
    """Every count that is not nothing: read = out + filtered + quarantined + merged (- added)."""
    others = [f"{rows[name]:,} {name}" for name in rows if name not in ("read", "out") and rows[name]]
    return ", ".join([f"{rows['read']:,} read", f"{rows['out']:,} out", *others])


def _source_rows(source: Mapping[str, Any]) -> str:
    if source["rows"] is None:
        return "rows not counted"
    return f"{'' if source['rows_exact'] else 'about '}{amount(source['rows'])} rows"


def _rate(run: Mapping[str, Any]) -> str:
    if run["resumes"]:
        # The time between its drivers counts, so that a rate would be of nothing.
        return f" since it began, resumed {plural(run['resumes'], 'time')}"
    rate = run["rate"]
    if not rate["rows_per_second"]:
        return ""
    return f", {amount(rate['rows_per_second'])} rows/s, {size(rate['bytes_per_second'])}/s"


def _missing(plan: Mapping[str, Any]) -> Iterator[str]:
    missing = plan["partitions"]["missing"]
    if missing:
        examples = plan["partitions"]["missing_examples"]
        names = ", ".join([*examples, ".."] if missing > len(examples) else examples)
        yield f"the source has nothing for {plural(missing, 'partition')} of the scope: {names}"


def _against(plan: Mapping[str, Any]) -> Iterator[str]:
    if "against" in plan:
        other = plan["against"]
        yield f"plan {other['plan_id']}: {'the same' if other['same'] else 'it differs in'}"
        yield from other["difference"].split("; ") if other["difference"] else ()


def _scope(scope: Mapping[str, Any]) -> str:
    said = []
    if scope["start"] or scope["end"]:
        said.append(f"{scope['start'] or '..'} <= {scope['column']} < {scope['end'] or '..'}")
    said += [f"{name} in {', '.join(values)}" for name, values in scope["include"].items()]
    said += [f"{name} not in {', '.join(values)}" for name, values in scope["exclude"].items()]
    return " and ".join(said) or "the whole table"


def _columns(schema: Mapping[str, str]) -> str:
    shown = [f"{name} {kind}" for name, kind in list(schema.items())[:COLUMNS_NAMED_MAX]]
    more = len(schema) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _drift(plan: Mapping[str, Any]) -> Iterator[str]:
    for found in plan["drift"]:
        kind = DRIFT.get(found["kind"], found["kind"])
        example = found["example"].removeprefix(key_of(plan["source"]["uri"]) + "/")
        yield f"{found['column']} {kind} in {plural(found['objects'], 'object')}, such as {example}"


def _job(code: Mapping[str, Any]) -> str:
    version = f", version {code['version']}" if code["version"] else ""
    return f"{code['ref']}{version}, code {code['fingerprint'][:12]}"


def _target(target: Mapping[str, Any]) -> str:
    if not target["base_version"] and not target["files_replaced"] and not target["partitions_untouched"]:
        new = target["partitions_new"]
        return "a new table" + (f" of {plural(new, 'partition')}" if new else "")
    if target["mode"] == "append":
        return _added(target)
    said = [f"{target['mode']}: {plural(target['partitions_replaced'], 'partition')} rewritten"]
    if target["partitions_carried"]:
        said.append(f"{target['partitions_carried']:,} rewritten with rows out of scope carried over")
    if target["partitions_new"]:
        said.append(f"{target['partitions_new']:,} new")
    if target["partitions_emptied"]:
        said.append(f"{target['partitions_emptied']:,} that may get no rows")
    said.append(f"{target['partitions_untouched']:,} untouched")
    return ", ".join(said)


def _behind(target: Mapping[str, Any]) -> Iterator[str]:
    if target["paths_behind"]:
        paths, version = plural(target["paths_behind"], "path"), target["base_version"]
        yield f"{paths} yet to show version {version}, as after a cut-off publish; run brings them to it"


def _added(target: Mapping[str, Any]) -> str:
    new, more = target["partitions_new"], target["partitions_appended"]
    where = "" if new is None else f" to {plural(more, 'partition')} and to {new:,} new"
    return f"append: rows are added{where}, whether they are there already or not; nothing is replaced"


def _differences(target: Mapping[str, Any]) -> Iterator[str]:
    for found in target["differences"]:
        live, output = found["live"] or "absent", found["output"] or "absent"
        yield f"{found['column']}: {live} in the table, {output} in the output"


def _units(units: Mapping[str, Any]) -> str:
    carry = f" ({units['stages']['carry']} carry over)" if units["stages"]["carry"] else ""
    return (
        f"{units['count']:,}{carry}, the largest {size(units['decoded_bytes_max'])} decoded; "
        f"about {size(units['memory_bytes_max'])} of memory a worker"
    )


def _ignored(source: Mapping[str, Any]) -> Iterator[str]:
    if source["ignored_objects"]:
        names = ", ".join(source["ignored_examples"][:IGNORED_NAMED_MAX])
        more = ", .." if source["ignored_objects"] > IGNORED_NAMED_MAX else ""
        yield f"{plural(source['ignored_objects'], 'object')} not as source.path says: {names}{more}"
