// What administrators ask.
"use strict"
const assert = require("node:assert/strict")
const { ConfigResourceTypes, ConfigSource } = require("kafkajs")
const { code, patient, until } = require("./run")

const TOPIC = ConfigResourceTypes.TOPIC

async function topics(r) {
  const admin = await r.create(2)
  const again = { topics: [{ topic: r.topic, numPartitions: 2 }] }
  assert.equal(await admin.createTopics(again), false, "created twice")
  await admin.createTopics({ validateOnly: true, waitForLeaders: false, topics: [{ topic: `${r.topic}-validated`, numPartitions: 1 }] })
  assert.ok(!(await admin.listTopics()).includes(`${r.topic}-validated`), "a topic that was only validated")
  const cluster = await admin.describeCluster()
  assert.equal(cluster.brokers.length, r.brokers)
  assert.ok(cluster.clusterId)
  assert.ok(cluster.brokers.some(b => b.nodeId === cluster.controller))
  await admin.createPartitions({ topicPartitions: [{ topic: r.topic, count: 4 }] })
  await r.ready(admin, 4)
  await assert.rejects(
    admin.createPartitions({ topicPartitions: [{ topic: r.topic, count: 3 }] }), e => code(e) === "INVALID_PARTITIONS")
  const metadata = await admin.fetchTopicMetadata({ topics: [r.topic] })
  assert.equal(metadata.topics[0].partitions.length, 4)
  await admin.deleteTopics({ topics: [r.topic] })
  await until("it has left the list", async () => !(await admin.listTopics()).includes(r.topic))
  await assert.rejects(admin.deleteTopics({ topics: [r.topic] }), e => code(e) === "UNKNOWN_TOPIC_OR_PARTITION")
}

async function configs(r) {
  const admin = await r.create(1, { "retention.ms": "7200000" })
  const shown = async name => {
    const asked = await admin.describeConfigs({ includeSynonyms: true, resources: [{ type: TOPIC, name: r.topic, configNames: [name] }] })
    return asked.resources[0].configEntries[0]
  }
  assert.equal((await shown("retention.ms")).configValue, "7200000")
  // It replaces all that was set.
  const alter = (name, value) =>
    admin.alterConfigs({ validateOnly: false, resources: [{ type: TOPIC, name: r.topic, configEntries: [{ name, value }] }] })
  await alter("max.message.bytes", "100000")
  await until("it shows", async () => (await shown("max.message.bytes")).configValue === "100000")
  const fallen = await shown("retention.ms")
  assert.deepEqual([fallen.configValue, fallen.configSource], ["604800000", ConfigSource.DEFAULT_CONFIG])
  await assert.rejects(alter("retention.ms", "often"), e => code(e) === "INVALID_CONFIG")
}

async function groups(r) {
  const admin = await r.create(2)
  const member = await r.member()
  await until("it has both", () => member.owned.length === 2)
  assert.ok((await admin.listGroups()).groups.some(g => g.groupId === r.topic && g.protocolType === "consumer"))
  await assert.rejects(admin.deleteGroups([r.topic]), e => e.groups[0].error.type === "NON_EMPTY_GROUP")
  await member.consumer.disconnect()
  await admin.resetOffsets({ groupId: r.topic, topic: r.topic, earliest: true })
  await admin.deleteGroups([r.topic])
  await assert.rejects(admin.deleteGroups([r.topic]), e => e.groups[0].error.type === "GROUP_ID_NOT_FOUND")
}

async function deleteRecords(r) {
  const admin = await r.create(1)
  const producer = await r.producer()
  await producer.send({ topic: r.topic, messages: Array.from({ length: 20 }, (_, i) => ({ value: String(i) })) })
  await admin.deleteTopicRecords({ topic: r.topic, partitions: [{ partition: 0, offset: "7" }] })
  assert.equal((await admin.fetchTopicOffsets(r.topic))[0].low, "7")
  assert.equal((await r.read(13))[0].offset, "7")
}

/** What is answered, right and wrong, in one transcript. */
async function script(r) {
  const admin = await r.admin()
  const said = async (what, asked) => {
    let answer
    try {
      answer = JSON.stringify((await asked()) ?? "ok")
    } catch (e) {
      answer = e.groups ? e.groups.map(g => `${g.groupId} ${g.error.type}`).join() : code(e)
    }
    r.say(`${what}: ${answer}`)
  }
  const create = (topic, numPartitions, replicationFactor, name, value) => said(
    `create ${topic}, ${numPartitions} partitions, ${replicationFactor} replicas, ${name}=${value}`,
    () => admin.createTopics({ topics: [{ topic, numPartitions, replicationFactor, configEntries: [{ name, value }] }] }))
  await create(r.topic, 3, 1, "retention.ms", "3600000")
  await create(r.topic, 3, 1, "retention.ms", "3600000")
  await create(`${r.topic}-b`, 0, 1, "retention.ms", "3600000")
  await create(`${r.topic}-c`, 1, 0, "retention.ms", "3600000")
  await create(`${r.topic} d`, 1, 1, "retention.ms", "3600000")
  await create(`${r.topic}-e`, 1, 1, "retention.ms", "odd")
  await create(`${r.topic}-f`, 1, 1, "no.such", "1")
  await r.ready(admin, 3)
  const producer = await r.producer({ retry: { retries: 1, initialRetryTime: 20 } })
  for (const partition of [0, 1, 2]) {
    await said(`produce to partition ${partition}`, async () => {
      const told = await producer.send({ topic: r.topic, messages: [{ key: "k", value: "v", partition }] })
      return told.map(({ errorCode, baseOffset, logStartOffset }) => ({ errorCode, baseOffset, logStartOffset }))
    })
  }
  const sorted = async asked => (await asked).sort((a, b) => a.partition - b.partition)
  await said("offsets", () => sorted(admin.fetchTopicOffsets(r.topic)))
  await said("offsets of no topic", () => admin.fetchTopicOffsets(`${r.topic}-none`))
  await said("fewer partitions", () => admin.createPartitions({ topicPartitions: [{ topic: r.topic, count: 1 }] }))
  await said("partitions of no topic", () => admin.createPartitions({ topicPartitions: [{ topic: `${r.topic}-none`, count: 2 }] }))
  await said("settings of no topic", () => admin.describeConfigs({ resources: [{ type: TOPIC, name: `${r.topic}-none` }] }))
  await said("a group that is not there", () => patient("GROUP_LOAD_IN_PROGRESS", () => admin.describeGroups([`${r.topic}-none`])))
  await said("its offsets", () => admin.fetchOffsets({ groupId: `${r.topic}-none`, topics: [r.topic] }))
  await said("delete it", () => admin.deleteGroups([`${r.topic}-none`]))
  await said("delete the topic", () => admin.deleteTopics({ topics: [r.topic] }))
  await said("delete it again", () => admin.deleteTopics({ topics: [r.topic] }))
}

module.exports = {
  "admin.topics": topics, "admin.configs": configs, "admin.groups": groups, "admin.delete_records": deleteRecords,
  "script.administration": script,
}
