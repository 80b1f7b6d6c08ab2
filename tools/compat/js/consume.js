// Positions and groups. kafkajs knows no consumer without a group.
"use strict"
const assert = require("node:assert/strict")
const { until, values } = require("./run")

async function seek(r) {
  const admin = await r.create(1)
  const at = Date.now() - 3_600_000
  const producer = await r.producer()
  for (let i = 0; i < 10; i++) {
    const messages = Array.from({ length: 10 }, (_, j) => ({ value: String(i * 10 + j), timestamp: String(at + i * 10 + j) }))
    await producer.send({ topic: r.topic, messages })
  }
  assert.deepEqual(await admin.fetchTopicOffsets(r.topic), [{ partition: 0, offset: "100", high: "100", low: "0" }])
  for (const [time, offset] of [[at + 42, "42"], [at - 1, "0"], [at + 999, "100"]]) {
    assert.deepEqual(await admin.fetchTopicOffsetsByTimestamp(r.topic, time), [{ partition: 0, offset }])
  }
  const member = await r.member()
  await until("all came", () => member.seen.length >= 100)
  for (const first of [57, 99, 0]) {
    member.seen.length = 0
    member.consumer.seek({ topic: r.topic, partition: 0, offset: String(first) })
    await until("what follows came", () => member.seen.length >= 100 - first)
    assert.equal(member.seen[0].offset, String(first))
    assert.equal(member.seen[0].value.toString(), String(first))
  }
  // A position that is not there is reset, here to the beginning.
  member.seen.length = 0
  member.consumer.seek({ topic: r.topic, partition: 0, offset: "1000000" })
  await until("it was reset", () => member.seen.length >= 100)
  assert.equal(member.seen[0].offset, "0")
}

async function commitAndResume(r) {
  const admin = await r.create(3)
  const producer = await r.producer()
  const send = async (partition, list) =>
    producer.send({ topic: r.topic, messages: list.map(value => ({ value, partition })) })
  for (const partition of [0, 1, 2]) await send(partition, values(50, 20))
  const first = await r.member()
  await until("150 came", () => first.seen.length >= 150)
  await first.consumer.commitOffsets([0, 1, 2].map(partition => ({ topic: r.topic, partition, offset: "50", metadata: "a note" })))
  await first.consumer.disconnect()
  const [committed] = await admin.fetchOffsets({ groupId: r.topic, topics: [r.topic] })
  const expected = [0, 1, 2].map(partition => ({ partition, offset: "50", metadata: "a note" }))
  assert.deepEqual(committed.partitions.sort((a, b) => a.partition - b.partition), expected)
  for (const partition of [0, 1, 2]) await send(partition, ["new"])
  const second = await r.member()
  await until("what is new came", () => second.seen.length >= 3)
  for (const message of second.seen) assert.equal(message.value.toString(), "new")
}

/** Two members share four partitions; one leaves, the other has all. */
async function twoShare(r) {
  const admin = await r.create(4)
  const members = [await r.member(), await r.member()]
  await until("both have half", () => members.every(m => m.owned.length === 2))
  const producer = await r.producer()
  for (const partition of [0, 1, 2, 3]) {
    await producer.send({ topic: r.topic, messages: values(50, 20).map(value => ({ value, partition })) })
  }
  await until("all came", () => members[0].seen.length + members[1].seen.length >= 200)
  const places = members.flatMap(m => m.seen.map(({ partition, offset }) => `${partition}-${offset}`))
  assert.equal(new Set(places).size, 200)
  assert.equal(places.length, 200, "records, counting repeated ones")
  const { groups: [group] } = await admin.describeGroups([r.topic])
  assert.equal(group.state, "Stable")
  assert.equal(group.members.length, 2)
  assert.equal(group.members[0].clientId, "the-client")
  await members[0].consumer.disconnect()
  await until("the other has all", () => members[1].owned.length === 4)
}

module.exports = { "consume.seek": seek, "group.commit_and_resume": commitAndResume, "group.two_share": twoShare }
