"""Reads with ADBC's Flight SQL driver."""

import adbc_driver_flightsql
import adbc_driver_flightsql.dbapi as dbapi
import pyarrow

from scenes import address, play, scene, show_table

HEADER = adbc_driver_flightsql.DatabaseOptions.RPC_CALL_HEADER_PREFIX.value


def connect(job, *, token=None, database=None, **options):
    host, port = address(job)
    return dbapi.connect(
        f"grpc+tcp://{host}:{port}",
        db_kwargs={
            "adbc.flight.sql.authorization_header": f"Bearer {token or job['token']}",
            HEADER + "database": database or job["database"],
        },
        autocommit=True,
    )


def fetch(connection, query, parameters=None):
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return show_table(cursor.fetch_arrow_table())


@scene("a query")
def query(job):
    with connect(job) as connection:
        return fetch(connection, "SELECT * FROM kinds ORDER BY time")


@scene("rows of a cursor")
def rows(job):
    with connect(job) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT room, count(*) AS n, max(temp) AS warmest FROM home GROUP BY room ORDER BY room")
        names = [d[0] for d in cursor.description]
        return "\n".join(map(str, [names, *cursor.fetchall()]))


@scene("a prepared query with a parameter by position")
def by_position(job):
    with connect(job) as connection:
        return fetch(
            connection,
            "SELECT time, temp FROM home WHERE room = $1 AND temp >= $2 ORDER BY time",
            ("kitchen", 21.5),
        )


@scene("a prepared query with a parameter in the way of DB-API")
def by_question_mark(job):
    with connect(job) as connection:
        return fetch(connection, "SELECT count(*) AS n FROM home WHERE room = ?", ("garage",))


@scene("a prepared query with named parameters")
def by_name(job):
    with connect(job) as connection, connection.cursor() as cursor:
        binding = pyarrow.record_batch({"room": ["garage"], "least": [8.5]})
        cursor.adbc_prepare("SELECT time, temp FROM home WHERE room = $room AND temp >= $least ORDER BY time")
        cursor.execute("SELECT time, temp FROM home WHERE room = $room AND temp >= $least ORDER BY time", binding)
        return show_table(cursor.fetch_arrow_table())


@scene("what a prepared query takes and gives")
def prepared_schema(job):
    with connect(job) as connection, connection.cursor() as cursor:
        parameters = cursor.adbc_prepare("SELECT time, room, temp FROM home WHERE room = $1")
        answer = cursor.adbc_execute_schema("SELECT time, room, temp FROM home")
        return f"parameters\n{parameters}\nanswer\n{answer.remove_metadata()}"


@scene("information about the server")
def info(job):
    with connect(job) as connection:
        known = connection.adbc_get_info()
        known = {k: v for k, v in known.items() if k.startswith("vendor")}
        return "\n".join(f"{k}: {v}" for k, v in sorted(known.items()))


@scene("table types")
def table_types(job):
    with connect(job) as connection:
        return "\n".join(connection.adbc_get_table_types())


@scene("objects down to columns, of user tables")
def objects(job):
    with connect(job) as connection:
        found = connection.adbc_get_objects(depth="all", db_schema_filter="iox").read_all().to_pylist()
        return "\n".join(lines_of(found))


def lines_of(catalogs):
    for catalog in catalogs:
        for schema in catalog["catalog_db_schemas"] or []:
            for table in schema["db_schema_tables"] or []:
                yield ".".join(
                    [catalog["catalog_name"], schema["db_schema_name"], f"{table['table_name']} ({table['table_type']})"]
                )
                for column in table["table_columns"] or []:
                    yield f"  {column['ordinal_position']} {column['column_name']} {column['xdbc_type_name']}"


@scene("catalogs and schemas")
def schemas(job):
    with connect(job) as connection:
        found = connection.adbc_get_objects(depth="db_schemas").read_all().to_pylist()
        return "\n".join(f"{c['catalog_name']}.{s['db_schema_name']}" for c in found for s in c["catalog_db_schemas"])


@scene("the schema of a table")
def table_schema(job):
    with connect(job) as connection:
        return str(connection.adbc_get_table_schema("kinds", db_schema_filter="iox").remove_metadata())


@scene("user and password: the password is the token")
def password(job):
    host, port = address(job)
    options = {"username": "anybody", "password": job["token"], HEADER + "database": job["database"]}
    with dbapi.connect(f"grpc+tcp://{host}:{port}", db_kwargs=options, autocommit=True) as connection:
        return fetch(connection, "SELECT count(*) AS n FROM home")


@scene("a wrong password")
def wrong_password(job):
    host, port = address(job)
    options = {"username": "anybody", "password": "wrong", HEADER + "database": job["database"]}
    with dbapi.connect(f"grpc+tcp://{host}:{port}", db_kwargs=options, autocommit=True) as connection:
        return fetch(connection, "SELECT count(*) AS n FROM home")


@scene("a wrong token")
def wrong_token(job):
    with connect(job, token="wrong") as connection:
        return fetch(connection, "SELECT 1")


@scene("no database")
def no_database(job):
    host, port = address(job)
    options = {"adbc.flight.sql.authorization_header": f"Bearer {job['token']}"}
    with dbapi.connect(f"grpc+tcp://{host}:{port}", db_kwargs=options, autocommit=True) as connection:
        return fetch(connection, "SELECT 1")


@scene("a database that there is not")
def unknown_database(job):
    with connect(job, token=job["operator"], database="nowhere") as connection:
        return fetch(connection, "SELECT 1")


@scene("a table that there is not")
def unknown_table(job):
    with connect(job) as connection:
        return fetch(connection, "SELECT * FROM attic")


@scene("a statement that writes")
def write(job):
    with connect(job) as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM home")
        return "done"


@scene("ingest, which Flight SQL has and Siltstone has not")
def ingest(job):
    with connect(job) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("made", pyarrow.table({"a": [1]}))
        return "done"


play()
