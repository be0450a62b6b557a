"""The table of a config's keys: the reader, the JSON Schema and the docs all come from it."""

from __future__ import annotations

from raybackfill.spec import scalars
from raybackfill.spec.arrow_types import arrow_type
from raybackfill.spec.moments import MOMENT
from raybackfill.spec.params import PARAMETERS
from raybackfill.spec.partitions import Partitioning
from raybackfill.spec.shapes import Choice, Field, ListOf, MapOf, Scalar, Section, Shorthand

# Editors take 1.10, 08 and true as numbers and flags where we take the text, so both must fit.
_WORD = {"type": ["string", "number", "boolean"], "minLength": 1}


def _arrow_type_name(text: str) -> str:
    arrow_type(text)
    return text


TEXT = Scalar(scalars.text, _WORD)
ANY_TEXT = Scalar(scalars.any_text, {"type": ["string", "number", "boolean", "null"]})
NAME = Scalar(scalars.backfill_name, _WORD | {"pattern": f"^{scalars.NAME}$"})
COLUMN = Scalar(scalars.column_name, _WORD)
FLAG = Scalar(scalars.flag, {"enum": [True, False, "true", "false"]})
COUNT = Scalar(scalars.count, {"type": ["integer", "string"], "minimum": 1, "pattern": f"^{scalars.COUNT}$"})
SHARE = Scalar(scalars.share, {"type": "string", "pattern": f"^{scalars.SHARE}$"})
# Editors take 0.01 as a number, and 0.1% as text.
TOLERANCE = Scalar(
    scalars.tolerance, {"type": ["number", "string"], "minimum": 0, "pattern": f"^({scalars.TOLERANCE})$"}
)
DATABASE = Scalar(scalars.database_url, {"type": "string", "pattern": f"^{scalars.DATABASE}$"})
VARIABLE = Scalar(scalars.environment_name, {"type": "string", "pattern": f"^{scalars.VARIABLE}$"})
SIZE = Scalar(scalars.size_bytes, {"type": "string", "pattern": f"^{scalars.SIZE}$"})
DURATION = Scalar(
    scalars.duration_seconds,
    {"anyOf": [{"const": 0}, {"type": "string", "pattern": f"^({scalars.DURATION})$"}]},
)
ZONE = Scalar(scalars.timezone, {"type": "string", "examples": ["UTC", "Europe/Berlin"]})
FUNCTION = Scalar(scalars.function_name, {"type": "string", "pattern": f"^{scalars.FUNCTION}$"})
ENDPOINT = Scalar(scalars.endpoint_url, {"type": "string", "pattern": f"^{scalars.ENDPOINT}$"})
DELIMITER = Scalar(scalars.delimiter, {"type": ["string", "integer"], "minLength": 1, "maxLength": 1})
ENCODING = Scalar(scalars.encoding, {"type": "string"})
# Where a place is depends on the project's root, and an instant on the zone: both are found later.
PLACE = Scalar(scalars.text, {"type": "string", "minLength": 1})
MOMENT_TEXT = Scalar(scalars.text, {"type": "string", "pattern": f"^{MOMENT}$"})

COLUMN_TYPES = MapOf(scalars.column_name, Scalar(_arrow_type_name, {"type": "string", "minLength": 1}))
COLUMN_VALUES = MapOf(scalars.column_name, ListOf(ANY_TEXT, filled=True, single=True))
COLUMNS = ListOf(COLUMN, unique=True)

OTHER_FORMATS = ("orc", "avro", "arrow", "ipc", "feather", "json", "delta", "iceberg", "hudi", "xml", "xlsx")
SOURCE_FORMAT = Choice(("parquet", "jsonl", "csv"), OTHER_FORMATS)
TARGET_FORMAT = Choice(("parquet",), ("jsonl", "csv", *OTHER_FORMATS))

STORAGE = Section(
    (
        Field("endpoint_url", ENDPOINT, "Where an S3-compatible store answers, when it is not AWS."),
        Field("region", TEXT, "The region; by default as the AWS chain finds it."),
        Field("profile", TEXT, "A profile of ~/.aws."),
        Field("anonymous", FLAG, "Read without credentials.", "false"),
        Field("kms_key", TEXT, "The KMS key that new objects are encrypted with."),
        Field(
            "single_writer", FLAG, "Nobody else writes here: for stores without conditional puts.", "false"
        ),
    )
)

CSV = Section(
    (
        Field("delimiter", DELIMITER, "What stands between two values.", ","),
        Field("header", FLAG, "Whether the first line names the columns.", "true"),
        Field("null", ANY_TEXT, "The text that stands for no value.", ""),
        Field("encoding", ENCODING, "How the file's bytes are text.", "utf-8"),
    )
)

_URI = Field(
    "uri", PLACE, "s3://bucket/prefix, a folder, or one file; or another URL of fsspec's.", required=True
)
_PATH = Field("path", TEXT, "Template of the key below uri: dt={ts:%Y-%m-%d}/{name}/*; ** is any.", "**")
_FORMAT = Field("format", SOURCE_FORMAT, "By default as the suffix of each file says.")
_SCHEMA = Field("schema", COLUMN_TYPES, "Column to Arrow type: overrides what the files show.", {})

SOURCE = Section(
    (
        _URI,
        _PATH,
        _FORMAT,
        Field("csv", CSV, "How CSV files are written.", {}),
        _SCHEMA,
        Field("where", TEXT, "SQL predicate: which rows are read at all."),
        Field("storage", STORAGE, "How the store is reached; never a secret.", {}),
        Field("timezone", ZONE, "How naive times of the source are read; by default the file's timezone."),
    ),
    list_is_coming=True,
)

SCOPE = Section(
    (
        Field("start", MOMENT_TEXT, "The first instant: a date (the zone's day) or a time."),
        Field("end", MOMENT_TEXT, "The first instant after: a date (the zone's day) or a time."),
        Field("column", COLUMN, "The time they speak of; by default the only time in source.path."),
        Field("include", COLUMN_VALUES, "Column to values: only rows with one of them.", {}),
        Field("exclude", COLUMN_VALUES, "Column to values: no rows with one of them.", {}),
        Field("margin", DURATION, "Read so much more source on each side, such as 31d.", "0"),
    )
)

TABLE = Section((_URI, _PATH, _FORMAT, _SCHEMA))

TRANSFORM = Section(
    (
        Field("python", FUNCTION, "The job: module:function, imported from the project."),
        Field("sql", TEXT, "The job as a query over input, or a file below the project that ends in .sql."),
        Field(
            "per",
            Choice(("rows", "partition")),
            "What one call gets: a batch, or a source partition.",
            "rows",
        ),
        Field("params", PARAMETERS, "Arguments of the function; $name in SQL. They follow YAML 1.2.", {}),
        Field("tables", MapOf(scalars.variable_name, TABLE), "Small tables for joins, by name.", {}),
        Field("version", ANY_TEXT, "Your word for this version of the job.", ""),
    ),
    exclusive=("python", "sql"),
)

TARGET = Section(
    (
        Field("uri", PLACE, "s3://bucket/prefix or a folder; may be the source itself.", required=True),
        Field("format", TARGET_FORMAT, "The format of the files.", "parquet"),
        Field("partition_by", Partitioning(), "Columns, or folder to template; hive folders.", []),
        Field(
            "mode",
            Choice(("replace", "append"), ("upsert",)),
            "What becomes of the rows in scope.",
            "replace",
        ),
        Field("allow_duplicates", FLAG, "Append, whether the rows are there already or not.", "false"),
        Field(
            "outside_scope", Choice(("error", "filter"), ("quarantine",)), "A row outside the scope.", "error"
        ),
        Field("on_empty", Choice(("error", "keep", "remove")), "A partition that gets no rows.", "error"),
        Field("schema", COLUMN_TYPES, "Column to Arrow type; by default found on a sample.", {}),
        Field("sort_by", COLUMNS, "Columns that the rows of a file are sorted by.", []),
        Field("file_size", SIZE, "About how large a file becomes.", "256MB"),
        Field("storage", STORAGE, "How the store is reached; never a secret.", {}),
        Field("timezone", ZONE, "How naive times of the target are read; by default the file's timezone."),
    )
)

LIMITS = Section(
    (
        Field("worker_memory", SIZE, "What one worker may use.", "1GB"),
        Field("concurrency", COUNT, "Units at once; by default one for each CPU."),
        Field("records_per_second", None, "Rows a second, over all workers."),
        Field("bytes_per_second", None, "Bytes a second, over all workers."),
        Field("requests_per_second", None, "Requests a second, over all workers."),
        Field("requests_per_second_per_prefix", None, "Requests a second to one prefix."),
        Field("ramp", None, "How long the rate takes to grow."),
        Field("shared", None, "A limit that several backfills share."),
    )
)

RETRIES = Section(
    (
        Field("attempts", COUNT, "Attempts at one unit in all.", "4"),
        Field("breaker", SHARE, "The run stops when more of its units fail for good, and at least 3.", "5%"),
    )
)

QUERY = Section(
    (
        Field("sql", TEXT, "One select statement, or a file below the project in .sql.", required=True),
        Field("database", DATABASE, "URL of the database that is asked, as SQLAlchemy has it; no password."),
        Field("database_env", VARIABLE, "The environment variable that holds the database's URL."),
    ),
    exclusive=("database", "database_env"),
)

RECONCILE = Section(
    (
        Field(
            "source",
            Shorthand(QUERY, "sql"),
            "What the target must agree with: a query over the view source, or over a database.",
            required=True,
        ),
        Field(
            "target",
            Shorthand(QUERY, "sql"),
            "The same columns of what this run wrote: a query over the view target.",
            required=True,
        ),
        Field("keys", COLUMNS, "Columns that tell rows apart; by default the source's first.", []),
        Field("tolerance", TOLERANCE, "How far two numbers may be apart: 0.01, or a share, 0.1%.", "0"),
    )
)

VERIFY = Section(
    (
        Field("read_back", Choice(("full", "sample", "none")), "How much of it is read again.", "full"),
        Field("reconcile", ListOf(RECONCILE), "Queries whose answers must agree.", []),
    )
)

CONFIG = Section(
    (
        Field("name", NAME, "Names the backfill, and the folder of its state.", required=True),
        Field("timezone", ZONE, "How naive times here, in paths and in naive columns are read.", "UTC"),
        Field("source", SOURCE, "What is read: {uri: ..., path: ...}", required=True),
        Field("scope", SCOPE, "Which rows of the target this backfill is about; by default all.", {}),
        Field("transform", TRANSFORM, "The job; by default rows stay as they are.", {}),
        Field("keys", None, "Rows that share a key, and what becomes of them."),
        Field("target", TARGET, "The table that is rebuilt: {uri: ..., partition_by: [...]}", required=True),
        Field("state", PLACE, "Folder of the state; by default _raybackfill beside the target."),
        Field(
            "publish",
            Choice(("end", "manual"), ("partition",)),
            "When it is published: at the end, or when somebody says so.",
            "end",
        ),
        Field("shrink", SHARE, "A partition that loses more of its rows is refused; 100% allows all.", "50%"),
        Field("order", Choice(("oldest_first", "newest_first")), "What comes first.", "oldest_first"),
        Field("limits", LIMITS, "What the work may use.", {}),
        Field("signals", None, "Measures of production's health that the work obeys."),
        Field("schedule", None, "Hours in which the work may run."),
        Field("retries", RETRIES, "Attempts at a unit, and when too many units failed.", {}),
        Field("verify", Shorthand(VERIFY, "read_back"), "How what was written is proved.", "full"),
        Field("canary", None, "A small part that is tried first."),
        Field("expect", None, "What must hold of the result."),
        Field("quarantine", None, "Where rejected rows go."),
        Field("budget", None, "What the run may cost."),
        Field("approval", None, "Who must agree first."),
        Field("sensitive", None, "Columns that no message may show."),
        Field("retention", None, "How long previous files are kept."),
        Field("owner", None, "Who answers for this backfill."),
    )
)
