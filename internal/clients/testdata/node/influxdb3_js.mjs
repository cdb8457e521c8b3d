// Writes with @influxdata/influxdb3-client: a job from each line of standard input, an
// answer to each line of standard output. driver_test.go has the form of both.
// The argument is the directory that has node_modules.

import {createRequire} from 'node:module'
import {createInterface} from 'node:readline'

const require = createRequire(process.argv[2] + '/')
const {InfluxDBClient, Point} = require('@influxdata/influxdb3-client')

const setters = {
  integer: 'setIntegerField',
  uinteger: 'setUintegerField',
  float: 'setFloatField',
  string: 'setStringField',
  boolean: 'setBooleanField',
}

function pointOf({measurement, tags, fields, time}) {
  const point = Point.measurement(measurement).setTimestamp(time)
  for (const [key, value] of Object.entries(tags ?? {})) point.setTag(key, value)
  for (const {key, type, value} of fields) {
    point[setters[type]](key, type === 'boolean' ? value === 'true' : value)
  }
  return point
}

// write uses the endpoint of v3 exactly when no_sync is asked for: so does the client.
async function write(job) {
  let client
  try {
    client = new InfluxDBClient({host: job.url, token: job.token})
    await client.write(job.body || job.points.map(pointOf), job.database, undefined, {
      precision: job.precision,
      noSync: job.no_sync,
      gzipThreshold: job.gzip ? 1 : undefined,
    })
    return {ok: true, version: await client.getServerVersion()}
  } catch (e) {
    return describe(e)
  } finally {
    await client?.close()
  }
}

function describe(e) {
  return {
    ok: false,
    type: e.name,
    status: e.statusCode ?? 0,
    code: e.code ?? '',
    text: e.message,
    retry_after: e.headers?.['retry-after'] ?? '',
    lines: (e.lineErrors ?? []).map((l) => ({
      line: l.lineNumber,
      message: l.errorMessage,
      original: l.originalLine,
    })),
  }
}

for await (const line of createInterface({input: process.stdin})) {
  process.stdout.write(JSON.stringify(await write(JSON.parse(line))) + '\n')
}
