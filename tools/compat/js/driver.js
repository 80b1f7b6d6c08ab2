// Runs the scenarios of kafkajs against a Kafka-protocol server.
//
// One JSON request per line on stdin, one JSON answer per line on stdout; what they are says
// harness/clients.py. NODE_PATH names the directory that setup installed into.
"use strict"
const readline = require("node:readline")
const { Run } = require("./run")

const scenarios = { ...require("./produce"), ...require("./consume"), ...require("./admin"), ...require("./transact") }
// A stray print of the client must not look like an answer.
console.log = console.info = console.error

async function perform(request) {
  if (request.list) return { scenarios: Object.keys(scenarios), version: require("kafkajs/package.json").version }
  const scenario = scenarios[request.scenario]
  if (!scenario) return { failure: `no scenario ${request.scenario}` }
  const run = new Run(request)
  try {
    await scenario(run)
    return { ok: true, lines: run.lines }
  } catch (e) {
    return { failure: e.stack }
  } finally {
    await run.close()
  }
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(JSON.stringify(await perform(JSON.parse(line))) + "\n")
  }
}

main()
