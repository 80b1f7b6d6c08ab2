// One scenario under way: the server it speaks to, a topic name of its own, its transcript.
"use strict"
const assert = require("node:assert/strict")
const { CompressionCodecs, CompressionTypes, Kafka, Partitioners, logLevel } = require("kafkajs")
const SnappyCodec = require("kafkajs-snappy")

// What needs no compiler: packages for lz4 and zstd do.
CompressionCodecs[CompressionTypes.Snappy] = SnappyCodec

const LIMIT_MS = 30_000

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

/** Waits until `condition`, which may be asynchronous, is true. */
async function until(what, condition) {
  const deadline = Date.now() + LIMIT_MS
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `still waiting until ${what}`)
    await sleep(20)
  }
}

/** What is answered at last, asked again as long as that is this error: "not yet". */
async function patient(error, ask) {
  const deadline = Date.now() + LIMIT_MS
  for (;;) {
    try {
      return await ask()
    } catch (e) {
      if (code(e) !== error || Date.now() > deadline) throw e
      await sleep(20)
    }
  }
}

/** Values that compress about by half. */
function values(count, size) {
  let state = (count * 31 + size) >>> 0
  return Array.from({ length: count }, () => {
    const value = Buffer.alloc(size)
    for (let i = 0; i < size; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      value[i] = 97 + (state >>> 28)
    }
    return value
  })
}

/** What an error is called, without what changes from run to run. */
function code(error) {
  const inner = error.errors ? error.errors[0] : error.cause || error
  return inner.type || inner.name
}

class Run {
  constructor({ bootstrap, topic, brokers }) {
    Object.assign(this, { topic, brokers, lines: [], closers: [] })
    this.kafka = new Kafka({
      clientId: "the-client", brokers: [bootstrap], logLevel: logLevel.NOTHING,
      retry: { retries: 5, initialRetryTime: 50 },
    })
  }

  /** Adds to the transcript. The topic's name, which differs from run to run, becomes T. */
  say(line) {
    this.lines.push(line.replaceAll(this.topic, "T"))
  }

  async close() {
    for (const close of this.closers.reverse()) await close().catch(() => {})
  }

  async connected(client) {
    this.closers.push(() => client.disconnect())
    await client.connect()
    return client
  }

  admin() {
    return this.connected(this.kafka.admin({ retry: { retries: 0 } }))
  }

  producer(options = {}) {
    return this.connected(this.kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, allowAutoTopicCreation: false, ...options }))
  }

  /** Waits until every partition answers: servers tell of a topic a little before they serve it. */
  async create(numPartitions, configs = {}) {
    const admin = await this.admin()
    const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }))
    await admin.createTopics({ topics: [{ topic: this.topic, numPartitions, replicationFactor: 1, configEntries }] })
    await this.ready(admin, numPartitions)
    return admin
  }

  async ready(admin, partitions) {
    await until("the topic is ready", async () => {
      try {
        return (await admin.fetchTopicOffsets(this.topic)).length === partitions
      } catch {
        return false
      }
    })
  }

  /**
   * A consumer that runs, with `seen`, what came so far, and `owned`, the partitions it has.
   * `start` is called before it runs.
   */
  async member({ groupId = this.topic, start = () => {}, ...options } = {}) {
    const consumer = await this.connected(this.kafka.consumer({
      groupId, heartbeatInterval: 200, sessionTimeout: 10_000, maxWaitTimeInMs: 100, metadataMaxAge: 1000, ...options,
    }))
    const member = { consumer, seen: [], owned: [] }
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => (member.owned = payload.memberAssignment[this.topic] || []))
    consumer.on(consumer.events.REBALANCING, () => (member.owned = []))
    await consumer.subscribe({ topics: [this.topic], fromBeginning: true })
    await start(consumer)
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => { member.seen.push({ partition, ...message }) },
    })
    return member
  }

  /** Exactly `count` messages, as the topic's only reader sees them. */
  async read(count, start) {
    const member = await this.member({ groupId: `${this.topic}-reader-${this.closers.length}`, start })
    await until(`${count} messages came`, () => member.seen.length >= count)
    await sleep(50)
    await member.consumer.disconnect()
    assert.equal(member.seen.length, count)
    return member.seen
  }
}

module.exports = { LIMIT_MS, Run, code, patient, until, values }
