"""How the node runs: how many shards, advertised as one broker each or as one in all."""
import dataclasses
import tempfile

from .node import Odradek
from .process import NotReady


@dataclasses.dataclass(frozen=True)
class Variant:
    """`clients`: the suites of these alone run so; None: all."""
    kind: str
    shards: int = 2
    mode: str = "core"
    clients: tuple | None = None

    def __str__(self):
        return "Apache Kafka" if self.kind == "kafka" else f"{self.shards} {self.mode}"

    def refused(self):
        """Why the node under test cannot run so, or None."""
        if self.kind == "kafka" or self.mode == "core":
            return None
        with tempfile.TemporaryDirectory(prefix="compat-probe-") as directory:
            node = Odradek(directory, shards=self.shards, mode=self.mode)
            try:
                node.start()
            except NotReady as why:
                said = [line for line in str(why).splitlines() if not line.startswith("--- start")]
                if not any("shards.advertise" in line for line in said):
                    raise
                return "the node refuses shards.advertise=node"
            finally:
                node.kill()
        return None


SHARDS, MODES = (1, 2, 4), ("core", "node")
# Clients that know brokers each in a way of its own.
ELSEWHERE = ("kcat", "Java clients")


def plan(kind, shards, mode, full):
    """What one run goes through."""
    if kind == "kafka":
        return [Variant("kafka")]
    if full:
        return [Variant(kind, s, m) for m in MODES for s in SHARDS]
    if shards or mode:
        return [Variant(kind, shards or 2, mode or "core")]
    return [Variant(kind), Variant(kind, 1, "core", ELSEWHERE)]
