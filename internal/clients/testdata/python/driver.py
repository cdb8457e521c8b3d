"""The loop around a client: a job from each line of standard input, an answer to each
line of standard output. driver_test.go has the form of both."""

import json
import sys


def serve(write, version):
    """Answers jobs with what write(job) raises, until standard input ends."""
    for line in sys.stdin:
        job = json.loads(line)
        try:
            retries = write(job)
            answer = {"ok": True, "version": version(job), "retries": retries or 0}
        except Exception as error:  # whatever the user would see
            answer = describe(error)
        print(json.dumps(answer), flush=True)


def serve_reads(read):
    """Answers questions with the (columns, rows) of read(question), all of them text."""
    for line in sys.stdin:
        try:
            columns, rows = read(json.loads(line))
            answer = {"ok": True, "columns": columns, "rows": rows}
        except Exception as error:  # whatever the user would see
            answer = describe(error)
        print(json.dumps(answer), flush=True)


def describe(error):
    return {
        "ok": False,
        "type": type(error).__name__,
        "status": getattr(error, "status", None) or status_of(error),
        "text": text_of(error),
        "retry_after": getattr(error, "retry_after", None) or "",
        "lines": [
            {"line": e.line_number, "message": e.error_message, "original": e.original_line}
            for e in getattr(error, "line_errors", [])
        ],
    }


def status_of(error):
    """The partial write error has its status in the response only."""
    response = getattr(error, "response", None)
    return response.status if response is not None else 0


def text_of(error):
    """The message. Printing the exception would add all headers and the raw body."""
    return str(getattr(error, "message", None) or error)


class Batches:
    """What comes of the batches of a writer in the background, as its callbacks tell."""

    def __init__(self):
        self.retries = 0
        self.errors = []

    def options(self):
        return {"error_callback": self.failed, "retry_callback": self.repeated}

    def failed(self, batch, data, error):
        self.errors.append(error)

    def repeated(self, batch, data, error):
        self.retries += 1

    def outcome(self):
        if self.errors:
            raise self.errors[0]
        return self.retries


def value_of(field):
    kind, text = field["type"], field["value"]
    if kind in ("integer", "uinteger"):
        return int(text)
    if kind == "float":
        return float(text)
    if kind == "boolean":
        return text == "true"
    return text


def point_of(point_class, point, precision):
    """Both libraries have the same point API. Only dictionaries can say unsigned."""
    return point_class.from_dict(
        {
            "measurement": point["measurement"],
            "tags": point["tags"] or {},
            "fields": {f["key"]: value_of(f) for f in point["fields"]},
            "time": int(point["time"]),
        },
        write_precision=precision,
        field_types={f["key"]: "uint" for f in point["fields"] if f["type"] == "uinteger"},
    )
