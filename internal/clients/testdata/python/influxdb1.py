"""Writes and reads with influxdb-python, the client of InfluxDB 1."""

import pandas
from influxdb import DataFrameClient, InfluxDBClient

from scenes import address, play, scene


def client_of(job, kind=InfluxDBClient, database=None, password=None, **options):
    host, port = address(job)
    return kind(
        host=host,
        port=port,
        username="anybody",
        password=password or job["token"],
        database=database or job["database"],
        **options,
    )


def show(result):
    lines = []
    for (name, tags), points in result.items():
        lines.append(f"{name} {tags}")
        lines += [f"  {p}" for p in points]
    return "\n".join(lines) or "nothing"


@scene("ping")
def ping(job):
    return client_of(job).ping()


@scene("databases")
def databases(job):
    return str(client_of(job).get_list_database())


@scene("measurements")
def measurements(job):
    return str(client_of(job).get_list_measurements())


@scene("series")
def series(job):
    client = client_of(job)
    return str(client.get_list_series()) + "\n" + str(client.get_list_series(measurement="home", tags={"room": "garage"}))


@scene("retention policies")
def policies(job):
    return str(client_of(job).get_list_retention_policies())


@scene("a query of every type")
def every_type(job):
    return show(client_of(job).query("SELECT * FROM kinds"))


@scene("a query with epoch")
def epoch(job):
    return show(client_of(job).query("SELECT temp FROM home WHERE room = 'kitchen' LIMIT 2", epoch="ms"))


@scene("a query in groups")
def groups(job):
    return show(
        client_of(job).query(
            "SELECT mean(temp), max(hum) FROM home WHERE time >= '2025-01-01T00:00:00Z' AND time < '2025-01-01T00:04:00Z'"
            " GROUP BY time(2m), room fill(none)"
        )
    )


@scene("a query with parameters")
def parameters(job):
    return show(
        client_of(job).query(
            "SELECT temp FROM home WHERE room = $room AND temp > $least",
            bind_params={"room": "kitchen", "least": 21.5},
        )
    )


@scene("a query in chunks, which the library reads as JSON only")
def chunks(job):
    client = client_of(job, headers={"Accept": "application/json"})
    results = client.query("SELECT temp FROM home GROUP BY room", chunked=True, chunk_size=2)
    return "\n".join(show(r) for r in results)


@scene("two queries at once")
def several(job):
    results = client_of(job).query("SHOW TAG KEYS FROM home; SHOW FIELD KEYS FROM home")
    return "\n".join(show(r) for r in results)


@scene("data frames")
def frames(job):
    found = client_of(job, DataFrameClient).query("SELECT temp, hum FROM home GROUP BY room")
    lines = []
    for key, frame in found.items():
        lines += [str(key), frame.to_string(), str(frame.index.dtype)]
    return "\n".join(lines)


@scene("create, write, read, drop")
def life(job):
    client = client_of(job, database="made", password=job["operator"])
    client.create_database("made")
    client.create_retention_policy("week", "7d", "1", database="made")
    client.write_points(
        [{"measurement": "m", "tags": {"t": "a b"}, "fields": {"f": 1.5, "i": 3, "s": "x", "b": True}, "time": "2025-01-01T00:00:00Z"}]
    )
    lines = [show(client.query("SELECT * FROM m")), str(client.get_list_retention_policies("made"))]
    client.drop_measurement("m")
    lines.append(show(client.query("SELECT * FROM m")))
    client.drop_database("made")
    lines.append(str({"name": "made"} in client.get_list_database()))
    return "\n".join(lines)


@scene("write and read data frames")
def write_frames(job):
    client = client_of(job, DataFrameClient, database="frames", password=job["operator"])
    client.create_database("frames")
    index = pandas.date_range("2025-01-01", periods=3, freq="h", tz="UTC", unit="ns")  # it knows no other unit
    client.write_points(pandas.DataFrame({"f": [1.0, 2.5, 3.25], "n": [1, 2, 3]}, index=index), "m", tags={"t": "a"})
    return client.query("SELECT f, n FROM m")["m"].to_string()


@scene("a statement that is wrong")
def syntax(job):
    return show(client_of(job).query("SELECT FROM home"))


@scene("a function that there is not")
def unknown_function(job):
    return show(client_of(job).query("SELECT nosuch(temp) FROM home"))


@scene("a measurement that there is not")
def unknown_measurement(job):
    return show(client_of(job).query("SELECT * FROM attic"))


@scene("a database that there is not")
def unknown_database(job):
    return show(client_of(job, database="nowhere", password=job["operator"]).query("SELECT * FROM attic"))


@scene("a database that may not be read")
def forbidden(job):
    return show(client_of(job, database="other").query("SELECT * FROM cpu"))


@scene("a wrong password")
def wrong_password(job):
    return show(client_of(job, password="wrong").query("SELECT * FROM home"))


@scene("a command without the permission")
def forbidden_command(job):
    client_of(job).drop_database(job["database"])
    return "done"


play()
