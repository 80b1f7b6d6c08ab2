"""A child process whose output goes to a file and one line of which says that it is ready.

The child dies with its parent (PR_SET_PDEATHSIG): an interrupted run leaves no node.
"""
import ctypes
import pathlib
import signal
import subprocess
import threading
import time

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class NotReady(Exception):
    """The process ended, or was silent too long, before its READY line."""


class Daemon:
    """Runs `argv`; stderr, and stdout after READY, are appended to `log`."""

    def __init__(self, name, argv, log, *, env=None, detach=False):
        self.name = name
        self.argv = [str(a) for a in argv]
        self.log = pathlib.Path(log)
        self.env = env
        self.detach = detach
        self.process = None

    def start(self, timeout_s=60.0):
        """Returns the READY line's `key=value` fields. Raises NotReady."""
        fields = {}
        ready = threading.Event()
        with open(self.log, "ab") as log:
            log.write(f"--- start {' '.join(self.argv)}\n".encode())
            log.flush()
            self.process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self.env,
                start_new_session=self.detach,
                preexec_fn=None if self.detach else die_with_parent,
            )

        def pump(stdout):
            with open(self.log, "ab") as log:
                for line in stdout:
                    log.write(line)
                    log.flush()
                    words = line.decode(errors="replace").split()
                    if words[:1] == ["READY"] and not ready.is_set():
                        fields.update(w.split("=", 1) for w in words[1:] if "=" in w)
                        ready.set()
            ready.set()

        threading.Thread(target=pump, args=(self.process.stdout,), daemon=True).start()
        if not ready.wait(timeout_s) or not fields:
            code = self.process.poll()
            self.kill()
            why = f"exit code {code}" if code is not None else f"no READY line in {timeout_s:.0f} s"
            raise NotReady(f"{self.name}: {why}\n{self.log_tail()}")
        return fields

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def terminate(self, timeout_s=30.0):
        """SIGTERM, then waits. Returns the exit code; a process that stays is killed and
        TimeoutError raised."""
        if not self.alive():
            return self.process.returncode if self.process else None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise TimeoutError(f"{self.name}: still running {timeout_s:.0f} s after SIGTERM") from None

    def kill(self):
        """SIGKILL, and waits until it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def log_tail(self, lines=40, since=0):
        """The last lines of the log, at most those behind byte `since`."""
        return tail(self.log, lines, since)


def tail(file, lines, since=0):
    if not file.exists():
        return "(no log)"
    with open(file, "rb") as f:
        f.seek(since)
        text = f.read().decode(errors="replace").splitlines()
    shown = text[-lines:]
    # A long backtrace must not push out what it is of.
    panics = [i for i, line in enumerate(text[:-lines]) if "panicked at" in line]
    if panics:
        shown = [*text[panics[0]:panics[0] + 3], "[...]", *shown]
    return "\n".join(shown) or "(nothing was logged)"


def wait_until(what, condition, timeout_s=30.0, interval_s=0.05):
    """Polls `condition` until it returns something true, and returns that."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {timeout_s:.0f} s still waiting until {what}")
        time.sleep(interval_s)
