"""The same script of a client against an Apache Kafka and against the node: equal transcripts, but
for what differences.toml lists. Scripts are the programs' scenarios called `script.` or `...Script.`"""
from harness.scenarios import is_script
from harness.tests import Test

from . import differential


def tests(env):
    programs = env.clients.programs
    return [
        Test(f"transcripts.{name}.{script}", _runner(name, script), limit_s=150.0, needs=("java", name))
        for name in programs if env.clients.installed(name)
        for script in programs[name].scenarios() if is_script(script)
    ]


def _runner(name, script):
    def run(env):
        client = env.clients.programs[name]
        answers = [_lines(client, script, node, env.name()) for node in (env.oracle(), env.shared_node())]
        expected = {
            row["line"]: (row["kafka"], row["odradek"]) for row in differential.allowed(env, "transcript")
            if [name, script] in row["scripts"]}
        differential.compare(*answers, expected)
    return run


def _lines(client, script, node, topic):
    """{what was asked: what was answered}."""
    lines = client.scenario(script, node.bootstrap, topic, node.brokers)
    found = {}
    for line in lines:
        asked, answer = line.split(": ", 1)
        times = sum(1 for other in found if other.split(" (")[0] == asked)
        found[f"{asked} ({times + 1})" if times else asked] = answer
    return found
