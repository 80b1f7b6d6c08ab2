"""How the node runs: how many shards, advertised as one broker each or as one in all, by which driver."""
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
    driver: str = "auto"

    def __str__(self):
        if self.kind == "kafka":
            return "Apache Kafka"
        return f"{self.shards} {self.mode}" + ("" if self.driver == "auto" else f" {self.driver}")

    @property
    def brokers(self):
        """As many as clients see."""
        return self.shards if self.kind != "kafka" and self.mode == "core" else 1

    def refused(self):
        """Why the node under test cannot run so, or None."""
        if self.kind == "kafka" or self.mode == "core":
            return None
        with tempfile.TemporaryDirectory(prefix="compat-probe-") as directory:
            node = Odradek(directory, shards=self.shards, mode=self.mode, driver=self.driver)
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


SHARDS, MODES, DRIVERS = (1, 2, 4), ("core", "node"), ("auto", "ring", "poll")
# Clients that know brokers each in a way of its own.
ELSEWHERE = ("kcat", "Java clients")


def plan(kind, shards, mode, driver, full):
    """What one run goes through."""
    if kind == "kafka":
        return [Variant("kafka")]
    driver = driver or "auto"
    if shards or mode:
        return [Variant(kind, shards or 2, mode or "core", driver=driver)]
    if full:
        return [Variant(kind, s, m, driver=driver) for m in MODES for s in SHARDS]
    elsewhere = [Variant(kind, s, m, ELSEWHERE, driver) for s, m in ((1, "core"), (4, "node"))]
    # What needs no io_uring is looked at by one client, unless it is what is asked for.
    without_ring = [Variant(kind, clients=("kcat",), driver="poll")] if driver != "poll" else []
    return [Variant(kind, driver=driver), *elsewhere, *without_ring]
