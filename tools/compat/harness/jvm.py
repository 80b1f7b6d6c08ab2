"""Programs of others that run until they are killed: a JVM each, ready when a condition says so."""
import http.client
import json
import pathlib
import subprocess

from .process import Daemon, NotReady, die_with_parent, wait_until

# Quick to start and small, as the oracle. What these warn of is of interest on a failure.
FLAGS = [
    "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
]


def command(main, *args, classpath, directory, flags=()):
    """`directory` takes what libraries unpack: a killed JVM does not tidy up."""
    return ["java", *FLAGS, f"-Djava.io.tmpdir={directory}", *flags, "-cp", classpath, main, *args]


class Program(Daemon):
    """A Daemon that says nothing when it is ready: `ready` is asked until it returns something true."""

    def __init__(self, name, argv, log, ready, *, env=None, cwd=None):
        super().__init__(name, argv, log, env=env)
        self.ready = ready
        self.cwd = cwd

    def start(self, timeout_s=60.0):
        with open(self.log, "ab") as log:
            log.write(f"--- start {' '.join(self.argv)}\n".encode())
            log.flush()
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env, cwd=self.cwd,
                preexec_fn=die_with_parent)

        def ready():
            if not self.alive():
                raise NotReady(f"{self.name}: exit code {self.process.returncode}\n{self.log_tail()}")
            return self.ready()
        return wait_until(f"{self.name} is ready", ready, timeout_s)


def write_properties(file, properties):
    pathlib.Path(file).write_text("".join(f"{key} = {value}\n" for key, value in properties.items()))
    return str(file)


def http_json(address, path, method="GET", body=None, timeout_s=10.0):
    """(status, what the body says), or (None, why) where nobody answers."""
    connection = http.client.HTTPConnection(address, timeout=timeout_s)
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read()
        return response.status, json.loads(text) if text else None
    except (OSError, http.client.HTTPException, ValueError) as error:
        return None, str(error)
    finally:
        connection.close()
