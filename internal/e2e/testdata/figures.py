"""Prints the figures of Siltstone's Parquet files, once as DuckDB reads them and once
as PyArrow does, as JSON: {"duckdb": {"database.table": figures}, "pyarrow": ...}.

Only the standard library and the two stock packages are used. What a file belongs to
is in its key-value metadata; its columns are the tags, then time, then the fields.
The figures are computed here, so that the packages do nothing but read.
"""

import json
import math
import sys

import duckdb
import pyarrow.parquet as pq

TYPES = {"string": "Utf8", "double": "Float64", "int64": "Int64", "uint64": "UInt64", "bool": "Boolean"}


def decimal(value):
    return repr(value) if isinstance(value, float) and not value.is_integer() else str(int(value))


def total(values):
    return math.fsum(values) if isinstance(values[0], float) else sum(values)


def figures(tables):
    """tables holds, for each file, {column: values} with "time" in nanoseconds, and types."""
    times, tags, values, types = [], {}, {}, {}
    for columns, columntypes in tables:
        isfield = False
        for name, column in columns.items():
            if name == "time":
                times += column
                isfield = True
                continue
            present = [v for v in column if v is not None]
            if isfield:
                values.setdefault(name, []).extend(present)
                types[name] = columntypes[name]
            else:
                tags.setdefault(name, set()).update(present)
    fields = {}
    for name, present in values.items():
        text = types[name] == "Utf8"
        number = str if text else decimal
        fields[name] = {
            "Type": types[name], "Count": len(present), "Sum": "" if text else decimal(total(present)),
            "Min": number(min(present)), "Max": number(max(present)),
        }
    return {
        "Rows": len(times), "Start": str(min(times)), "End": str(max(times)),
        "Tags": {name: sorted(v, key=str.encode) for name, v in tags.items()}, "Fields": fields,
    }


def read_pyarrow(file):
    table = pq.read_table(file, partitioning=None)
    columns, types = {}, {}
    for name in table.column_names:
        column = table.column(name)
        kind = str(column.type)
        if kind.startswith("dictionary"):
            column = column.cast("string")
            kind = "string"
        if name == "time":
            if kind != "timestamp[ns]":
                raise SystemExit(f"{file}: time is {kind}")
            column = column.cast("int64")
        columns[name] = column.to_pylist()
        types[name] = TYPES.get(kind, kind)
    return columns, types


DUCKDB_TYPES = {"VARCHAR": "Utf8", "DOUBLE": "Float64", "BIGINT": "Int64", "UBIGINT": "UInt64", "BOOLEAN": "Boolean"}


def read_duckdb(file):
    source = duckdb.read_parquet(file)
    names = list(source.columns)
    kinds = dict(zip(names, map(str, source.types)))
    if kinds["time"] != "TIMESTAMP_NS":
        raise SystemExit(f"{file}: time is {kinds['time']}")
    quoted = {name: '"' + name.replace('"', '""') + '"' for name in names}
    wanted = ", ".join('epoch_ns("time")' if name == "time" else quoted[name] for name in names)
    rows = source.project(wanted).fetchall()
    columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
    return columns, {name: DUCKDB_TYPES.get(kind, kind) for name, kind in kinds.items()}


def main(files):
    owners = {}
    for file in files:
        metadata = pq.read_metadata(file).metadata
        owner = metadata[b"siltstone.database"] + b"." + metadata[b"siltstone.table"]
        owners.setdefault(owner.decode(), []).append(file)
    readers = {"duckdb": read_duckdb, "pyarrow": read_pyarrow}
    json.dump({
        reader: {owner: figures(map(read, files)) for owner, files in owners.items()}
        for reader, read in readers.items()
    }, sys.stdout)


main(sys.argv[1:])
