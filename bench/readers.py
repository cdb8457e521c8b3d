"""Runs queries over Parquet files in this process and prints a line of JSON for each.

Standard input is {"reader": "duckdb" or "chdb", "files": [...], "queries": [...]}. The table is
cpu. A time is that of the query until its result is whole: in DuckDB's own columns, and in chdb
as lines of JSON. Rows are counted after the clock has stopped.
"""

import json
import sys
import time


def duckdb_runner(files):
    import duckdb

    connection = duckdb.connect()
    try:
        connection.execute("SET parquet_metadata_cache = true")
    except duckdb.Error:
        pass  # versions differ in its name, and some always do it
    connection.execute("CREATE VIEW cpu AS SELECT * FROM read_parquet(%s)" % json.dumps(files).replace('"', "'"))

    def run(sql):
        connection.execute("CREATE OR REPLACE TEMP TABLE result AS " + sql)

    def rows():
        return connection.execute("SELECT count(*) FROM result").fetchone()[0]

    return run, rows


def chdb_runner(files):
    from chdb import session

    s = session.Session()
    s.query("CREATE DATABASE bench ENGINE = Atomic")
    s.query("CREATE VIEW bench.cpu AS SELECT * FROM file('%s', Parquet)" % ("{" + ",".join(files) + "}" if len(files) > 1 else files[0]))
    s.query("USE bench")
    last = [None]

    def run(sql):
        last[0] = s.query(sql, "JSONEachRow").bytes()

    def rows():
        return last[0].count(b"\n")

    return run, rows


def main():
    task = json.load(sys.stdin)
    run, rows = {"duckdb": duckdb_runner, "chdb": chdb_runner}[task["reader"]](task["files"])
    for sql in task["queries"]:
        try:
            wall, cpu = time.perf_counter(), time.process_time()
            run(sql)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            answer = {"ms": wall * 1000, "cpu_ms": cpu * 1000, "rows": rows()}
        except Exception as e:  # the caller says which query it was
            answer = {"error": "%s: %s" % (sql, e)}
        print(json.dumps(answer), flush=True)


main()
