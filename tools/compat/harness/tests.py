"""What a test is, how tests are found, and how one is run under a hard time limit."""
import dataclasses
import importlib
import os
import pkgutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable


class Skip(Exception):
    """Raised by a test for which something is missing here; the message says what. With CI=true that
    is a failure: a test that says nothing of a variant has `applies` instead."""


class TimeLimit(BaseException):
    """Raised inside a test by the alarm. Not an Exception: clients swallow those."""


@dataclasses.dataclass
class Test:
    name: str
    function: Callable
    limit_s: float = 60.0
    needs: tuple = ()
    full: bool = False
    client: str = "several"


def always(_variant):
    return True


def test(limit_s=60.0, needs=(), full=False, applies=always):
    """Marks a function of a suite as a test.

    `needs`: any of kcat, python and the names of harness/programs.py. `full`: only with --full.
    `applies`: whether it says anything of a variant; where it does not, it is no test of it.
    """
    def mark(function):
        function.compat_test = {"limit_s": limit_s, "needs": tuple(needs), "full": full}
        function.compat_applies = applies
        return function
    return mark


def discover(package, env):
    """All tests in the package's modules, in order of module name and then of the source.
    A module may also compute some: `tests(env)` yields Test. CLIENT says whose suite it is."""
    found = []
    for module_info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{module_info.name}")
        client = getattr(module, "CLIENT", "several")
        if env.variant.clients is not None and client not in env.variant.clients:
            continue
        first = len(found)
        for name, value in vars(module).items():
            marks = getattr(value, "compat_test", None)
            if marks is not None and value.__module__ == module.__name__ and value.compat_applies(env.variant):
                found.append(Test(f"{module_info.name}.{name}", value, **marks))
        if hasattr(module, "tests"):
            found += module.tests(env)
        for test_ in found[first:]:
            test_.client = client
    return found


class Result:
    PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"

    def __init__(self, outcome, seconds, text=""):
        self.outcome, self.seconds, self.text = outcome, seconds, text


# After its limit a test gets this long to unwind before the whole run is given up.
GRACE_S = 15.0


def run_one(test_, env, give_up, on_failure):
    """Runs a test on this thread. `on_failure()` is called while the test's nodes still are
    what they were. `give_up(text)` is called from another thread if the test
    sits in a C library and does not even answer the alarm; it must end the process."""
    missing = env.missing(test_)
    if missing:
        return Result(Result.SKIPPED, 0.0, missing)

    def alarm(_signal, _frame):
        raise TimeLimit(f"over its limit of {test_.limit_s:.0f} s")

    def stuck():
        frames = "".join(traceback.format_stack(sys._current_frames()[threading.main_thread().ident]))
        give_up(f"over its limit of {test_.limit_s:.0f} s and deaf to the alarm\n{frames}")

    watchdog = threading.Timer(test_.limit_s + GRACE_S, stuck)
    watchdog.daemon = True
    old = signal.signal(signal.SIGALRM, alarm)
    start = time.monotonic()
    env.before_test()
    watchdog.start()
    signal.setitimer(signal.ITIMER_REAL, test_.limit_s)
    try:
        test_.function(env)
        env.check_nodes()
        return Result(Result.PASSED, time.monotonic() - start)
    except Skip as why:
        return Result(Result.SKIPPED, time.monotonic() - start, str(why))
    except (Exception, TimeLimit):
        text = traceback.format_exc(limit=-6)
        on_failure()
        return Result(Result.FAILED, time.monotonic() - start, text)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
        watchdog.cancel()
        watchdog.join()
        env.after_test()


def end_process(code):
    """Without waiting for threads that will not end."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
