"""A schema registry that keeps its schemas in topics of the node, killed in between; producers and consumers of
Avro whose schemas are nowhere else. Four brokers: the registry asks for as many replicas as it usually has."""
import json
import os

from harness import jvm, paths, topics
from harness.clients import Client
from harness.oracle import free_port, java_command
from harness.tests import test

try:
    from confluent_kafka.admin import AdminClient
except ImportError:
    pass  # every test here says that it needs it

CLIENT = "Apicurio Registry"
RECORDS = 200


def schema(*fields):
    return json.dumps({"type": "record", "name": "Payment", "namespace": "compat", "fields": list(fields)})


ID, AMOUNT = {"name": "id", "type": "string"}, {"name": "amount", "type": "long"}
CURRENCY = {"name": "currency", "type": "string", "default": "EUR"}


def registry(env, node):
    directory = env.own_directory()
    address = f"127.0.0.1:{free_port()}"
    jar = next(f for f in (*paths.REGISTRY.glob("*-runner.jar"), paths.REGISTRY / "quarkus-run.jar") if f.exists())
    settings = {
        "APICURIO_STORAGE_KIND": "kafkasql",
        "APICURIO_KAFKASQL_BOOTSTRAP_SERVERS": node.bootstrap,
        "APICURIO_KAFKASQL_CONSUMER_POLL_TIMEOUT": "1000",
        "QUARKUS_HTTP_HOST": "127.0.0.1",
        "QUARKUS_HTTP_PORT": address.rsplit(":", 1)[1],
        "QUARKUS_HTTP_TEST_PORT": "0",
    }
    argv = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Djava.io.tmpdir={directory}", "-jar", jar]
    program = jvm.Program(
        "Apicurio Registry", argv, directory / "registry.log", env={**os.environ, **settings}, cwd=directory,
        ready=lambda: jvm.http_json(address, "/health/ready")[0] == 200)
    return env.own_program(program), address


def client(env, node, address, topic):
    argv = java_command("compat.AvroApp", node.bootstrap, f"http://{address}/apis/registry/v2", topic,
                        flags=jvm.FLAGS, classpath=paths.REGISTRY_CLASSPATH)
    return env.own_program(Client("avro", argv, env.own_directory() / "avro.log"))


def ask(program, request):
    answer = program.ask(request, 60.0)
    assert "failure" not in answer, answer["failure"]
    return answer


@test(needs=["python", "registry", "registry-client"], limit_s=200)
def schemas_outlive_the_registry(env):
    node, topic = env.own_node(shards=4), env.name("payments")
    topics.create(node.bootstrap, topic, 4)
    server, address = registry(env, node)
    server.start(90)
    first = [{"id": f"first {i}", "amount": i} for i in range(RECORDS)]
    second = [{"id": f"second {i}", "amount": -i, "currency": "CHF"} for i in range(RECORDS)]
    avro = client(env, node, address, topic)
    ask(avro, {"produce": schema(ID, AMOUNT), "records": first})
    server.kill()
    server.start(90)
    ask(avro, {"produce": schema(ID, AMOUNT, CURRENCY), "records": second})
    # One that knows no schema but from the registry.
    found = [json.loads(r) for r in ask(client(env, node, address, topic), {"consume": 2 * RECORDS})["records"]]
    assert sorted(found, key=str) == sorted(first + second, key=str)
    versions = jvm.http_json(address, f"/apis/registry/v3/groups/default/artifacts/{topic}-value/versions")
    assert versions[0] == 200 and versions[1]["count"] == 2, versions
    kept = {t for t in AdminClient({"bootstrap.servers": node.bootstrap}).list_topics(timeout=20).topics if "kafkasql" in t}
    assert "kafkasql-journal" in kept, kept
