// Writes and reads with influx, the client of InfluxDB 1 for Node: one job comes on standard
// input, and for each scene there is a line of standard output. The argument is the directory
// that has node_modules.

import {createRequire} from 'node:module'
import {readFileSync} from 'node:fs'

const require = createRequire(process.argv[2] + '/')
const {InfluxDB} = require('influx')

const job = JSON.parse(readFileSync(0, 'utf8'))
const {hostname: host, port} = new URL(job.url)

function client(database = job.database, password = job.token) {
  return new InfluxDB({host, port: Number(port), username: 'anybody', password, database})
}

const text = (value) => JSON.stringify(value)
const lines = (rows) => rows.map(text).join('\n')

const scenes = {
  ping: async () => text((await client().ping(5000)).map(({online, version}) => ({online, version: version !== undefined}))),
  databases: async () => text(await client().getDatabaseNames()),
  measurements: async () => text(await client().getMeasurements()),
  series: async () => text(await client().getSeries({measurement: 'home'})),
  'a query of every type': async () => lines(await client().query('SELECT * FROM kinds')),
  'a query in groups': async () => {
    const found = await client().query(
      `SELECT mean(temp) FROM home WHERE time >= '2025-01-01T00:00:00Z' AND time < '2025-01-01T00:04:00Z'
       GROUP BY time(2m), room fill(0)`
    )
    return found.groups().map(({name, tags, rows}) => `${name} ${text(tags)}\n${lines(rows)}`).join('\n')
  },
  'times of nanoseconds': async () => {
    const [row] = await client().query('SELECT f FROM kinds', {precision: 'n'})
    return row.time.getNanoTime()
  },
  'a query with placeholders': async () =>
    lines(await client().query('SELECT temp FROM home WHERE room = $room AND temp > $least', {
      placeholders: {room: 'kitchen', least: 21.5},
    })),
  'two queries at once': async () =>
    (await client().query(['SHOW TAG KEYS FROM home', 'SHOW FIELD KEYS FROM home'])).map(lines).join('\n'),
  'raw answer': async () => text(await client().queryRaw('SELECT temp FROM home LIMIT 1')),
  'create, write, read, drop': async () => {
    const influx = client('madejs', job.operator)
    await influx.createDatabase('madejs')
    await influx.writePoints([{measurement: 'm', tags: {t: 'a b'}, fields: {f: 1.5, s: 'x', b: true}, timestamp: new Date(1735689600000)}])
    const rows = lines(await influx.query('SELECT * FROM m'))
    await influx.dropMeasurement('m')
    await influx.dropDatabase('madejs')
    return `${rows}\n${(await influx.getDatabaseNames()).includes('madejs')}`
  },
  'a statement that is wrong': async () => lines(await client().query('SELECT FROM home')),
  'a database that may not be read': async () => lines(await client('other').query('SELECT * FROM cpu')),
  'a wrong password': async () => lines(await client(job.database, 'wrong').query('SELECT * FROM home')),
}

for (const [title, play] of Object.entries(scenes)) {
  let shown
  try {
    shown = await play()
  } catch (e) {
    shown = `${e.name}\n${e.message}`
  }
  process.stdout.write(JSON.stringify({title, text: shown}) + '\n')
}
