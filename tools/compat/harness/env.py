"""What a test is given: the node, names of its own, and the clients."""
import pathlib
import re
import secrets
import shutil
import subprocess

from . import paths
from .node import Odradek
from .oracle import Oracle
from .process import tail


class Env:
    """`variant` says how the node runs, `clients` are the processes that all variants share."""

    def __init__(self, variant, clients, directory, client_log, keep=False):
        self.variant = variant
        self.kind = variant.kind
        self.keep = keep
        self.directory = pathlib.Path(directory)
        self.client_log = pathlib.Path(client_log)
        self.clients = clients
        self.driver = clients.programs["java"]
        self.shared = None
        self.own_nodes = []
        self.own_programs = []
        self.own_directories = []
        self._count = 0
        # What tests of this variant found worth a number; each a line of text.
        self.figures = []
        self._log_start = 0
        self._client_log_start = 0

    # Nodes.

    def shared_node(self):
        """The node that most tests share. A dead one is replaced, so that one crash is one
        failure (of the test during which it happened)."""
        if self.shared is not None and not self.shared.alive():
            self.shared = None
        if self.shared is None:
            self.shared = self._node(f"shared-{secrets.token_hex(2)}").start()
        return self.shared

    def own_node(self, shards=None, **settings):
        """A fresh node for one test, which stops or kills it; gone after the test. `shards`: so many,
        whatever the variant says."""
        node = self._node(
            f"own-{secrets.token_hex(3)}", shards, settings={k.replace("_", "."): str(v) for k, v in settings.items()})
        self.own_nodes.append(node)
        return node.start()

    def node_on_port(self, port):
        node = self._node(f"port-{secrets.token_hex(3)}", port=port)
        self.own_nodes.append(node)
        return node.start()

    def _node(self, name, shards=None, **options):
        if self.kind == "kafka":
            return Oracle(self.directory / name, **options)
        variant = self.variant
        return Odradek(
            self.directory / name, shards=shards or variant.shards, mode=variant.mode, driver=variant.driver, **options
        )

    def oracle(self):
        """An Apache Kafka to compare with: the node under test itself if it is one."""
        if self.kind == "kafka":
            return self.shared_node()
        return self.clients.oracle()

    @property
    def bootstrap(self):
        return self.shared_node().bootstrap

    def own_directory(self):
        """A fresh directory for one test."""
        directory = self.directory / f"files-{secrets.token_hex(3)}"
        directory.mkdir(parents=True)
        self.own_directories.append(directory)
        return directory

    def own_program(self, program):
        """One (process.Daemon, clients.Client) that is killed after the test, before its node."""
        self.own_programs.append(program)
        return program

    def after_test(self):
        for program in self.own_programs:
            program.kill()
        for node in self.own_nodes:
            node.kill()
        if not self.keep:
            for directory in [node.directory for node in self.own_nodes] + self.own_directories:
                shutil.rmtree(directory, ignore_errors=True)
        for own in self.own_programs, self.own_nodes, self.own_directories:
            own.clear()

    def before_test(self):
        self._log_start = self.shared.log.stat().st_size if self.shared else 0
        self._client_log_start = self.client_log.stat().st_size

    def check_nodes(self):
        """A test does not pass if the node ended by itself meanwhile."""
        if self.shared is not None and not self.shared.alive():
            raise AssertionError(f"the node ended during this test, exit code {self.shared.daemon.process.returncode}")

    def log_tails(self):
        """What the nodes and the clients logged during this test, the end of it."""
        tails = [f"--- {n.log}\n{tail(n.log, 30)}" for n in self.own_nodes + self.own_programs]
        if self.shared is not None:
            tails.append(f"--- {self.shared.log}\n{tail(self.shared.log, 30, self._log_start)}")
        tails.append(f"--- clients\n{tail(self.client_log, 10, self._client_log_start)}")
        return "\n".join(tails)

    def close(self):
        for own in filter(None, [*self.own_programs, self.shared, *self.own_nodes]):
            own.kill()

    # Names.

    def name(self, prefix="t"):
        """A topic or group name that nobody else has."""
        self._count += 1
        return f"{prefix}-{self._count}-{secrets.token_hex(3)}"

    # Clients.

    def missing(self, test):
        """Why the test cannot run here, or None."""
        have = {
            "kcat": lambda: shutil.which("kcat") is not None,
            "python": lambda: all(map(_importable, ("confluent_kafka", "kafka", "aiokafka"))),
        }
        lacking = [n for n in test.needs if not have.get(n, lambda: self.clients.installed(n))()]
        return f"{', '.join(lacking)} not installed: run tools/compat/setup" if lacking else None

    def kcat(self, *args, stdin=None, bootstrap=None, timeout_s=30):
        """Runs kcat to its end and returns what it printed, as text."""
        argv = ["kcat", "-b", bootstrap or self.bootstrap, *[str(a) for a in args]]
        data = stdin.encode() if isinstance(stdin, str) else stdin
        extra = {"stdin": subprocess.DEVNULL} if data is None else {"input": data}
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout_s, **extra)
        stderr = done.stderr.decode(errors="replace")
        assert done.returncode == 0, f"{' '.join(argv)}: exit {done.returncode}\n{stderr}"
        # librdkafka reports trouble it gets over on stderr; none is expected.
        errors = re.findall(r"^%[0-3]\|.*$|^.*ERROR.*$", stderr, re.MULTILINE)
        assert not errors, f"{' '.join(argv)}: {errors}"
        return done.stdout.decode()

    def tool(self, name, *args, stdin="", bootstrap=None, exit=0, timeout_s=60.0, at_end=False):
        """One of Kafka's own command line tools, with --bootstrap-server put in front (or at the
        end, where a tool has subcommands)."""
        where = ["--bootstrap-server", bootstrap or self.bootstrap]
        argv = [*args, *where] if at_end else [*where, *args]
        result = self.driver.tool(name, *argv, stdin=stdin, timeout_s=timeout_s)
        assert result.exit == exit, f"{name} {args}: exit {result.exit}\n{result.out}\n{result.err}"
        return result


def _importable(module):
    try:
        __import__(module)
        return True
    except ImportError:
        return False
