"""Decides whether two Arrow types fit together, and which type then holds the values of both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import types as kinds

_UNITS = ("s", "ms", "us", "ns")


@dataclass(frozen=True, slots=True)
class Kinds:
    """The Arrow types of one family; `plain` is the one that stands for the others."""

    plain: pa.DataType
    members: frozenset[str]


TEXT = Kinds(pa.string(), frozenset({"string", "large_string", "string_view"}))
BYTES = Kinds(pa.binary(), frozenset({"binary", "large_binary", "binary_view"}))


def is_text(kind: pa.DataType) -> bool:
    return str(kind) in TEXT.members


def is_bytes(kind: pa.DataType) -> bool:
    return str(kind) in BYTES.members or bool(kinds.is_fixed_size_binary(kind))


def is_listing(kind: pa.DataType) -> bool:
    """Whether it is one of Arrow's five ways to hold a list."""
    return bool(
        kinds.is_list(kind)
        or kinds.is_large_list(kind)
        or kinds.is_fixed_size_list(kind)
        or kinds.is_list_view(kind)
        or kinds.is_large_list_view(kind)
    )


def fields_of(kind: pa.DataType) -> Iterator[pa.Field]:
    """The fields of a struct. Iterating the type itself differs between versions of pyarrow."""
    return (kind.field(index) for index in range(kind.num_fields))


def storage_of(kind: pa.DataType) -> pa.DataType:
    """The type of the values: without dictionary, run-end encoding or extension."""
    if kinds.is_dictionary(kind) or kinds.is_run_end_encoded(kind):
        return storage_of(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return storage_of(kind.storage_type)
    return kind


def canonical(kind: pa.DataType) -> pa.DataType:
    """The one type in which values of this type are held in an output, nested ones too."""
    kind = storage_of(kind)
    if is_text(kind):
        return TEXT.plain
    if str(kind) in BYTES.members:
        return BYTES.plain
    if kinds.is_fixed_size_list(kind):
        return pa.list_(_canonical_field(kind.value_field), kind.list_size)
    if is_listing(kind):
        return pa.list_(_canonical_field(kind.value_field))
    if kinds.is_map(kind):
        return pa.map_(_canonical_field(kind.key_field), _canonical_field(kind.item_field))
    if kinds.is_struct(kind):
        return pa.struct([_canonical_field(field) for field in fields_of(kind)])
    return kind


def _canonical_field(field: pa.Field) -> pa.Field:
    return pa.field(field.name, canonical(field.type), field.nullable)


def merge(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """The type that holds each value of both types unchanged, or None where there is none.

    Equal types stay as they are. See `planning.schemas` for the rules.
    """
    if one.equals(other):
        return one
    one, other = storage_of(one), storage_of(other)
    if kinds.is_null(one):
        return other
    if kinds.is_null(other) or one.equals(other):
        return one
    return (
        _merge_numbers(one, other)
        or _merge_texts(one, other)
        or _merge_times(one, other)
        or (_merge_nested(one, other))
    )


def _merge_texts(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    if is_text(one) and is_text(other):
        return TEXT.plain
    return BYTES.plain if is_bytes(one) and is_bytes(other) else None


def _merge_numbers(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    if kinds.is_integer(one) and kinds.is_integer(other):
        return _merge_integers(one, other)
    if kinds.is_floating(one) and kinds.is_floating(other):
        return one if one.bit_width > other.bit_width else other
    if kinds.is_decimal(one) and kinds.is_decimal(other):
        return _merge_decimals(one, other)
    for whole, real in ((one, other), (other, one)):
        if kinds.is_integer(whole) and kinds.is_floating(real) and whole.bit_width <= 32:
            return pa.float64()
    return None


def _merge_integers(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    if kinds.is_signed_integer(one) == kinds.is_signed_integer(other):
        return one if one.bit_width > other.bit_width else other
    signed, unsigned = (one, other) if kinds.is_signed_integer(one) else (other, one)
    bits = max(signed.bit_width, 2 * unsigned.bit_width)
    return {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}.get(bits)


def _merge_decimals(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    scale = max(one.scale, other.scale)
    precision = scale + max(one.precision - one.scale, other.precision - other.scale)
    bits = max(one.bit_width, other.bit_width)
    if precision <= 38 and bits <= 128:
        return pa.decimal128(precision, scale)
    return pa.decimal256(precision, scale) if precision <= 76 and bits == 256 else None


def _merge_times(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    if kinds.is_timestamp(one) and kinds.is_timestamp(other):
        if (one.tz is None) != (other.tz is None):
            return None
        return pa.timestamp(_finest(one, other), one.tz)
    if kinds.is_date(one) and kinds.is_date(other):
        return pa.date32()
    if kinds.is_time(one) and kinds.is_time(other):
        unit = _finest(one, other)
        return pa.time64(unit) if unit in ("us", "ns") else pa.time32(unit)
    if kinds.is_duration(one) and kinds.is_duration(other):
        return pa.duration(_finest(one, other))
    return None


def _finest(one: pa.DataType, other: pa.DataType) -> str:
    return _UNITS[max(_UNITS.index(one.unit), _UNITS.index(other.unit))]


def _merge_nested(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    if kinds.is_struct(one) and kinds.is_struct(other):
        return _merge_structs(one, other)
    if kinds.is_map(one) and kinds.is_map(other):
        key = _merge_fields(one.key_field, other.key_field)
        item = _merge_fields(one.item_field, other.item_field)
        return pa.map_(key, item) if key is not None and item is not None else None
    if not (is_listing(one) and is_listing(other)):
        return None
    value = _merge_fields(one.value_field, other.value_field)
    if value is None:
        return None
    if kinds.is_fixed_size_list(one) and kinds.is_fixed_size_list(other) and one.list_size == other.list_size:
        return pa.list_(value, one.list_size)
    return pa.list_(value)


def _merge_structs(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    left = {field.name: field for field in fields_of(one)}
    right = {field.name: field for field in fields_of(other)}
    if len(left) < one.num_fields or len(right) < other.num_fields:
        return None
    merged = []
    for name in left | right:
        if name in left and name in right:
            field = _merge_fields(left[name], right[name])
        else:
            field = (left.get(name) or right[name]).with_nullable(True)
        if field is None:
            return None
        merged.append(field)
    return pa.struct(merged)


def _merge_fields(one: pa.Field, other: pa.Field) -> pa.Field | None:
    kind = merge(one.type, other.type)
    return None if kind is None else pa.field(one.name, kind, one.nullable or other.nullable)
