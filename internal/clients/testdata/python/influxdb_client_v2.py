"""Writes with influxdb-client, the Python client of InfluxDB 2."""

from influxdb_client import InfluxDBClient, Point, WriteOptions
from influxdb_client.client.write_api import SYNCHRONOUS

from driver import Batches, point_of, serve


def client_for(job):
    return InfluxDBClient(url=job["url"], token=job["token"], org="an org", enable_gzip=job["gzip"])


def record_of(job):
    if job["batching"]:
        return job["body"].split("\n")
    return job["body"] or [point_of(Point, p, job["precision"]) for p in job["points"]]


def write(job):
    options = WriteOptions(batch_size=1, jitter_interval=0) if job["batching"] else SYNCHRONOUS
    batches = Batches()
    with client_for(job) as client:
        # Leaving the writer waits for all batches.
        with client.write_api(write_options=options, **batches.options()) as writer:
            writer.write(bucket=job["database"], record=record_of(job), write_precision=job["precision"])
    return batches.outcome()


def version(job):
    with client_for(job) as client:
        if not client.ping():
            raise RuntimeError("ping() says that there is no server")
        return client.version()


serve(write, version)
