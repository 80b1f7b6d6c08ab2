// What is sent is found: every record, in order, where it was told to be.
"use strict"
const assert = require("node:assert/strict")
const { CompressionTypes } = require("kafkajs")
const { code, values } = require("./run")

async function roundTrip(r, count, size, { producer = {}, ...send } = {}) {
  await r.create(1)
  const sent = values(count, size)
  const client = await r.producer(producer)
  const told = await client.send({ topic: r.topic, messages: sent.map(value => ({ value })), ...send })
  if (send.acks !== 0) assert.equal(told[0].baseOffset, "0")
  const got = await r.read(count)
  got.forEach((message, i) => {
    assert.equal(message.offset, String(i))
    assert.ok(sent[i].equals(message.value), `value ${i}`)
  })
}

async function tooLarge(r) {
  await r.create(1, { "max.message.bytes": "100000" })
  const producer = await r.producer()
  const large = producer.send({ topic: r.topic, messages: [{ value: Buffer.alloc(200_000) }] })
  await assert.rejects(large, e => code(e) === "MESSAGE_TOO_LARGE")
  const told = await producer.send({ topic: r.topic, messages: [{ value: "v" }] })
  assert.equal(told[0].baseOffset, "0")
}

async function keysHeadersTimestamps(r) {
  await r.create(1)
  const timestamp = String(Date.now() - 3_600_000)
  const producer = await r.producer()
  await producer.send({ topic: r.topic, messages: [
    { key: "clé", value: "v", timestamp, headers: { h: Buffer.from([0, 255]), many: ["a", "b"] } },
    { key: "clé", value: null, timestamp: String(Number(timestamp) + 1) },
  ] })
  const [full, tombstone] = await r.read(2)
  assert.equal(full.key.toString(), "clé")
  assert.equal(full.value.toString(), "v")
  assert.equal(full.timestamp, timestamp)
  assert.deepEqual(full.headers.h, Buffer.from([0, 255]))
  assert.deepEqual(full.headers.many.map(String), ["a", "b"])
  assert.equal(tombstone.value, null)
}

async function byKey(r) {
  await r.create(6)
  const producer = await r.producer()
  const messages = Array.from({ length: 600 }, (_, i) => ({ key: `key ${i % 31}`, value: String(i) }))
  const told = await producer.send({ topic: r.topic, messages })
  assert.equal(told.length, 6, "partitions used")
  const got = await r.read(600)
  assert.deepEqual(new Set(got.map(m => m.value.toString())).size, 600)
  for (let k = 0; k < 31; k++) {
    const mine = got.filter(m => m.key.toString() === `key ${k}`)
    assert.equal(new Set(mine.map(m => m.partition)).size, 1, `key ${k} is in several partitions`)
    const numbers = mine.map(m => Number(m.value.toString()))
    assert.deepEqual(numbers, [...numbers].sort((a, b) => a - b), `order of key ${k}`)
  }
}

async function unknownTopic(r) {
  const producer = await r.producer({ retry: { retries: 1, initialRetryTime: 20 } })
  await assert.rejects(producer.send({ topic: r.topic, messages: [{ value: "v" }] }), e => code(e) === "UNKNOWN_TOPIC_OR_PARTITION")
  const admin = await r.admin()
  assert.ok(!(await admin.listTopics()).includes(r.topic), "the topic was created")
}

async function autoCreated(r) {
  const producer = await r.producer({ allowAutoTopicCreation: true })
  const told = await producer.send({ topic: r.topic, messages: [{ value: "v" }] })
  assert.equal(told[0].baseOffset, "0")
}

module.exports = {
  "produce.acks_0": r => roundTrip(r, 500, 100, { acks: 0 }),
  "produce.acks_1": r => roundTrip(r, 500, 100, { acks: 1 }),
  "produce.acks_all": r => roundTrip(r, 500, 100, { acks: -1 }),
  "produce.idempotent": r => roundTrip(r, 500, 100, { producer: { idempotent: true, maxInFlightRequests: 1 } }),
  "produce.gzip": r => roundTrip(r, 500, 200, { compression: CompressionTypes.GZIP }),
  "produce.snappy": r => roundTrip(r, 500, 200, { compression: CompressionTypes.Snappy }),
  "produce.large_messages": r => roundTrip(r, 1, 900_000),
  "produce.too_large": tooLarge,
  "produce.keys_headers_timestamps": keysHeadersTimestamps,
  "produce.by_key": byKey,
  "produce.unknown_topic": unknownTopic,
  "produce.auto_created_topic": autoCreated,
}
