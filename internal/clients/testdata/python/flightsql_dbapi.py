"""Reads with flightsql-dbapi, by itself and below SQLAlchemy, which is how Superset does."""

import flightsql
import flightsql.sqlalchemy  # registers the dialect
import pyarrow
import sqlalchemy
from flightsql import FlightSQLClient
from flightsql.client import TableRef

from scenes import address, play, scene, show_table


def client_of(job, token=None, **features):
    host, port = address(job)
    return FlightSQLClient(
        host=host,
        port=port,
        insecure=True,
        token=token or job["token"],
        metadata={"database": job["database"]},
        features=features,
    )


def read(client, info):
    return show_table(client.do_get(info.endpoints[0].ticket).read_all())


@scene("a query")
def query(job):
    client = client_of(job)
    info = client.execute("SELECT * FROM home ORDER BY room, time LIMIT 2")
    return f"{len(info.endpoints)} endpoint\n" + read(client, info)


@scene("DB-API")
def cursor(job):
    return executed(job, "SELECT room, temp FROM home WHERE room = 'garage' ORDER BY time")


@scene("DB-API, with parameters, which makes it a prepared query")
def cursor_with_parameters(job):
    return executed(job, "SELECT room, temp FROM home WHERE room = ? AND temp > ? ORDER BY time", ["kitchen", 21.5])


def executed(job, query, parameters=None):
    cursor = flightsql.connect(client_of(job)).cursor()
    cursor.execute(query, parameters)
    return "\n".join(map(str, [[d[0] for d in cursor.description], *cursor.fetchall()]))


@scene("tables")
def tables(job):
    client = client_of(job)
    return read(client, client.get_tables(db_schema_filter_pattern="iox"))


@scene("tables whose names match a pattern, with their schema")
def tables_with_schema(job):
    client = client_of(job)
    info = client.get_tables(table_name_filter_pattern="h_m%", include_schema=True)
    lines = []
    for row in client.do_get(info.endpoints[0].ticket).read_all().to_pylist():
        schema = pyarrow.ipc.open_stream(row["table_schema"]).schema
        lines.append(f"{row['table_name']}\n{schema.remove_metadata()}")
    return "\n".join(lines)


@scene("schemas")
def schemas(job):
    client = client_of(job)
    return read(client, client.get_db_schemas())


@scene("catalogs")
def catalogs(job):
    client = client_of(job)
    return read(client, client.get_catalogs())


@scene("a prepared query")
def prepared(job):
    client = client_of(job)
    with client.prepare("SELECT room, max(temp) AS warmest FROM home GROUP BY room ORDER BY room") as statement:
        return read(client, statement.execute(None))


@scene("primary keys")
def primary_keys(job):
    client = client_of(job)
    return read(client, client.get_primary_keys(TableRef(db_schema="iox", table="home")))


def engine(job, features=""):
    host, port = address(job)
    return sqlalchemy.create_engine(
        f"datafusion+flightsql://{host}:{port}?insecure=True&token={job['token']}&database={job['database']}{features}"
    )


@scene("SQLAlchemy: a query, with a parameter that the library loses: it sends NULL")
def alchemy_query(job):
    with engine(job).connect() as connection:
        found = connection.execute(
            sqlalchemy.text("SELECT room, count(*) AS n FROM home WHERE temp > :least GROUP BY room ORDER BY room"),
            {"least": 8.25},
        )
        return "\n".join(map(str, [list(found.keys()), *found.fetchall()]))


@scene("SQLAlchemy: a prepared query (feature sqlalchemy-prepared-statements)")
def alchemy_prepared(job):
    with engine(job, "&feature-sqlalchemy-prepared-statements=on").connect() as connection:
        found = connection.execute(sqlalchemy.text("SELECT count(*) AS n FROM home WHERE room = :room"), {"room": "garage"})
        return str(found.fetchall())


@scene("SQLAlchemy: schemas, tables, columns and keys")
def alchemy_inspect(job):
    inspector = sqlalchemy.inspect(engine(job, "&feature-sqlalchemy-primary-keys=on"))
    lines = ["schemas: " + ", ".join(sorted(inspector.get_schema_names()))]
    for table in sorted(inspector.get_table_names(schema="iox")):
        lines.append(f"{table}, key {inspector.get_pk_constraint(table, schema='iox')}")
        lines += [f"  {c['name']} {c['type']!r}" for c in inspector.get_columns(table, schema="iox")]
    return "\n".join(lines)


@scene("SQLAlchemy: an expression")
def alchemy_expression(job):
    with engine(job).connect() as connection:
        home = sqlalchemy.table("home", sqlalchemy.column("room"), sqlalchemy.column("temp"))
        statement = (
            sqlalchemy.select(home.c.room, sqlalchemy.func.max(home.c.temp).label("warmest"))
            .where(home.c.room == "kitchen")
            .group_by(home.c.room)
        )
        return str(connection.execute(statement).fetchall())


@scene("a wrong token")
def wrong_token(job):
    client = client_of(job, token="wrong")
    return read(client, client.execute("SELECT 1"))


@scene("a table that there is not")
def unknown_table(job):
    client = client_of(job)
    return read(client, client.execute("SELECT * FROM attic"))


play()
