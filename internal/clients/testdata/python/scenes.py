"""Scenes are functions that show what the user of a client sees. play() runs all of them
with the job of standard input, and prints a line for each."""

import json
import sys

_scenes = []


def scene(title):
    """Marks a function: what it returns is shown under the title, and so is what it raises."""

    def mark(function):
        _scenes.append((title, function))
        return function

    return mark


def play():
    job = json.loads(sys.stdin.readline())
    for title, function in _scenes:
        try:
            text = function(job)
        except Exception as error:  # whatever the user would see
            text = f"{type(error).__module__}.{type(error).__name__}\n{error}"
        print(json.dumps({"title": title, "text": text}), flush=True)


def address(job):
    """Host and port of the job's URL."""
    host, _, port = job["url"].removeprefix("http://").partition(":")
    return host, int(port)


def show_table(table):
    """A pyarrow.Table: columns with types, then rows. Times keep their nanoseconds as text
    only."""
    lines = [" | ".join(f"{f.name}: {f.type}{'' if f.nullable else ' not null'}" for f in table.schema)]
    columns = [[_text_of(v) for v in column] for column in table.columns]
    lines += [" | ".join(row) for row in zip(*columns)]
    return "\n".join([*lines, f"({table.num_rows} rows)"])


def _text_of(scalar):
    if not scalar.is_valid:
        return "null"
    if str(scalar.type).startswith("timestamp"):
        return str(scalar.cast("string"))
    return repr(scalar.as_py())
