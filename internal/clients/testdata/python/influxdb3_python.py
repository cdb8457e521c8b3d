"""Writes with influxdb3-python."""

from influxdb_client_3 import InfluxDBClient3, Point, WriteOptions, WriteType

from driver import Batches, point_of, serve


def client_for(job, batches):
    options = WriteOptions(
        write_type=WriteType.batching if job["batching"] else WriteType.synchronous,
        batch_size=1,
        jitter_interval=0,
        use_v2_api=job["api"] == "v2",
        no_sync=job["no_sync"],
        accept_partial=not job["reject_partial"],
    )
    return InfluxDBClient3(
        host=job["url"],
        token=job["token"],
        database=job["database"],
        write_client_options={"write_options": options, **batches.options()},
        enable_gzip=job["gzip"],
        gzip_threshold=1 if job["gzip"] else None,
    )


def record_of(job):
    if job["batching"]:
        return job["body"].split("\n")
    return job["body"] or [point_of(Point, p, job["precision"]) for p in job["points"]]


def write(job):
    batches = Batches()
    with client_for(job, batches) as client:  # leaving it waits for all batches
        client.write(record_of(job), write_precision=job["precision"])
    return batches.outcome()


def version(job):
    with client_for(job, Batches()) as client:
        return client.get_server_version()


serve(write, version)
