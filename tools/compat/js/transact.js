// A transactional producer's life in one transcript, and what readers see of it.
"use strict"
const { code, patient, until } = require("./run")

async function script(r) {
  const admin = await r.create(2)
  const said = async (what, asked) => {
    try {
      r.say(`${what}: ${JSON.stringify((await asked()) ?? "ok")}`)
    } catch (e) {
      r.say(`${what}: ${code(e)}`)
    }
  }
  const producer = () => r.producer({ transactionalId: `${r.topic}-id`, maxInFlightRequests: 1, idempotent: true, retry: { retries: 3, initialRetryTime: 20 } })
  const send = (transaction, partition, value) => said(`send ${value}`, async () => {
    const told = await transaction.send({ topic: r.topic, messages: [{ value, partition }] })
    return told.map(({ errorCode, baseOffset }) => ({ errorCode, baseOffset }))
  })
  const old = await producer()
  const first = await old.transaction()
  await send(first, 0, "committed 0")
  await send(first, 1, "committed 1")
  await said("a transaction in a transaction", () => old.transaction())
  await said("commit", () => first.commit())
  await said("commit again", () => first.commit())
  const second = await old.transaction()
  await send(second, 0, "aborted")
  await said("abort", () => second.abort())
  const third = await old.transaction()
  // Unlike a send, kafkajs does not ask for this again while the transaction before is being ended.
  const offsets = () => third.sendOffsets({ consumerGroupId: r.topic, topics: [{ topic: r.topic, partitions: [{ partition: 0, offset: "1" }] }] })
  await said("offsets", () => patient("CONCURRENT_TRANSACTIONS", offsets))
  await said("commit offsets", () => third.commit())
  const offset = async () => (await admin.fetchOffsets({ groupId: r.topic, topics: [r.topic] }))[0].partitions.find(p => p.partition === 0).offset
  await until("they show", async () => (await offset()) !== "-1")
  await said("committed offset", offset)
  const fourth = await old.transaction()
  await send(fourth, 0, "of who is fenced")
  const newer = await producer()
  const fifth = await newer.transaction()
  await send(fifth, 1, "of who fences")
  await said("commit of who is fenced", () => fourth.commit())
  await said("commit of who fences", () => fifth.commit())
  for (const [what, readUncommitted, count] of [["committed", false, 3], ["all", true, 5]]) {
    const member = await r.member({ groupId: `${r.topic}-${what}`, readUncommitted })
    await until(`${count} messages came`, () => member.seen.length >= count)
    await member.consumer.disconnect()
    const seen = member.seen.map(({ partition, offset, value }) => `read ${what} ${partition}-${offset}: ${value}`)
    seen.sort().forEach(line => r.say(line))
  }
}

module.exports = { "script.transactions": script }
