// Reads with @influxdata/influxdb3-client: a question from each line of standard input, an
// answer to each line of standard output. read_test.go has the form of both.
// The argument is the directory that has node_modules.

import {createRequire} from 'node:module'
import {createInterface} from 'node:readline'

const require = createRequire(process.argv[2] + '/')
const {InfluxDBClient} = require('@influxdata/influxdb3-client')

async function read(question) {
  let client
  try {
    client = new InfluxDBClient({host: question.url, token: question.token})
    const options = {type: question.language, params: question.params ?? undefined}
    const rows = []
    const names = new Set()
    for await (const row of answers(client, question, options)) {
      rows.push(row)
      for (const name of Object.keys(row)) names.add(name)
    }
    const columns = [...names]
    return {ok: true, columns, rows: rows.map((r) => columns.map((c) => textOf(r[c])))}
  } catch (e) {
    return {ok: false, type: e.name, code: String(e.code ?? ''), text: e.message}
  } finally {
    await client?.close()
  }
}

async function* answers(client, {query, database, mode}, options) {
  if (mode === 'query') {
    yield* client.query(query, database, options)
    return
  }
  for await (const point of client.queryPoints(query, database, options)) {
    const row = {}
    if (point.getMeasurement()) row.measurement = point.getMeasurement()
    for (const name of point.getTagNames()) row[`${name}: tag`] = point.getTag(name)
    for (const name of point.getFieldNames()) {
      row[`${name}: ${point.getFieldType(name)}`] = point.getField(name)
    }
    row.timestamp = point.getTimestamp()
    yield row
  }
}

// textOf shows which kind of number a value is, as JSON would not.
function textOf(value) {
  if (value === null || value === undefined) return String(value)
  if (value instanceof Date) return `Date ${value.toISOString()}`
  if (typeof value === 'bigint') return `${value}n`
  return JSON.stringify(value)
}

for await (const line of createInterface({input: process.stdin})) {
  process.stdout.write(JSON.stringify(await read(JSON.parse(line))) + '\n')
}
