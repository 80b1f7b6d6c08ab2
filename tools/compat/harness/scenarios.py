"""Suites whose tests are the scenarios of one of the programs."""
from .tests import Test


def tests_of(suite, program, limits_s=None, applies=None):
    """What a suite's `tests` is: {suite}.{scenario} for each scenario of the program but its scripts,
    which suites/transcripts.py runs, its probes, which suites ask for by name, and those that say
    nothing of a variant (`applies(name, variant)` is false)."""
    limits_s = limits_s or {}

    def tests(env):
        client = env.clients.programs[program]
        names = client.scenarios() if env.clients.installed(program) else ["all"]
        return [
            Test(f"{suite}.{name}", _runner(program, name, limits_s.get(name, 60.0)),
                 limit_s=limits_s.get(name, 60.0), needs=(program,))
            for name in names if not is_script(name) and not name.startswith("Probe.")
            and (applies is None or applies(name, env.variant))
        ]
    return tests


def is_script(scenario):
    """`script.something` or `TransactionScript.something`, say."""
    return scenario.split(".")[0].lower().endswith("script")


def _runner(program, name, limit_s):
    def run(env):
        node = env.shared_node()
        # The driver's own limit comes first: it then says what it was doing.
        lines = env.clients.programs[program].scenario(
            name, node.bootstrap, env.name("t"), node.brokers, limit_s - 10)
        env.figures += [f"{program}.{name}: {line}" for line in lines]
    return run
