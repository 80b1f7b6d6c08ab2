"""The Java clients: every scenario of java/src/compat/*Scenarios.java is a test."""
from harness import paths
from harness.tests import Test

LIMITS_S = {"Group.membersComeAndGoNothingIsLost": 90.0}


def tests(env):
    names = env.driver.scenarios() if (paths.CACHE / "classes.stamp").exists() else ["all"]
    return [
        Test(f"java_clients.{name}", _runner(name), limit_s=LIMITS_S.get(name, 60.0), needs=("java",))
        for name in names
    ]


def _runner(name):
    def run(env):
        node = env.shared_node()
        # The driver's own limit comes first: it then says what the JVM was doing.
        limit_s = LIMITS_S.get(name, 60.0) - 10
        env.driver.scenario(name, node.bootstrap, env.name("java"), node.brokers, limit_s)
    return run
