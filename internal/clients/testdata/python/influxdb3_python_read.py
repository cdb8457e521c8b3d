"""Reads with influxdb3-python, in the mode that a question names."""

from influxdb_client_3 import InfluxDBClient3

from driver import serve_reads


def read(question):
    with InfluxDBClient3(
        host=question["url"], token=question["token"], database=question["database"]
    ) as client:
        options = {"query_parameters": question["params"]} if question["params"] else {}
        answer = client.query(
            question["query"], language=question["language"], mode=question["mode"], **options
        )
        return show_frame(answer) if question["mode"] == "pandas" else show_table(answer)


def show_table(table):
    """A pyarrow.Table."""
    columns = [f"{f.name}: {f.type}{'' if f.nullable else ' not null'}" for f in table.schema]
    texts = [[text_of(v) for v in column] for column in table.columns]
    return columns, [list(row) for row in zip(*texts)]


def text_of(scalar):
    """Times keep their nanoseconds as text only."""
    if not scalar.is_valid:
        return "null"
    if str(scalar.type).startswith("timestamp"):
        return str(scalar.cast("string"))
    return repr(scalar.as_py())


def show_frame(frame):
    """A pandas.DataFrame."""
    columns = [f"{name}: {dtype}" for name, dtype in frame.dtypes.items()]
    return columns, [[str(v) for v in row] for row in frame.itertuples(index=False)]


serve_reads(read)
