"""Clients that are programs of their own: one process each, asked in lines of JSON.

A driver answers `{"list": true}` by `{"scenarios": [..], "version": ..}` and `{"scenario": name,
"bootstrap": .., "topic": .., "brokers": n}` by `{"ok": true, "lines": [..]}` or `{"failure": text}`.
Lines of its stdout that are not JSON are for the log.
"""
import json
import os
import select
import subprocess
import time

from .process import die_with_parent


class ScenarioFailed(AssertionError):
    pass


class DriverDied(Exception):
    pass


class Client:
    """Started at its first use; stopped and started anew after a timeout.

    `dump_signal` makes it say what it is doing; without one it is only killed.
    """

    def __init__(self, name, argv, log, env=None, dump_signal=None):
        self.name = name
        self.argv = [str(a) for a in argv]
        self.log = log
        self.env = env
        self.dump_signal = dump_signal
        self.process = None
        self.buffer = b""

    def ask(self, request, timeout_s=60.0):
        if self.process is None or self.process.poll() is not None:
            self._start()
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        deadline = time.monotonic() + timeout_s
        try:
            while True:
                line = self._line(deadline)
                if line.startswith(b"{"):
                    return json.loads(line)
        except BaseException:
            # Its answer would be taken for that of the next request.
            try:
                self._dump()
            finally:
                self.stop()
            raise

    def scenario(self, name, bootstrap, topic, brokers, timeout_s=60.0):
        """Returns the scenario's transcript. Raises ScenarioFailed."""
        answer = self.ask(
            {"scenario": name, "bootstrap": bootstrap, "topic": topic, "brokers": brokers}, timeout_s)
        if "failure" in answer:
            raise ScenarioFailed(answer["failure"])
        return answer.get("lines", [])

    def scenarios(self):
        return self.ask({"list": True})["scenarios"]

    def version(self):
        return self.ask({"list": True})["version"]

    def _start(self):
        self.buffer = b""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=self.env,
                preexec_fn=die_with_parent)
        os.set_blocking(self.process.stdout.fileno(), False)

    def _line(self, deadline):
        while b"\n" not in self.buffer:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError(f"the driver of {self.name} did not answer in time")
            readable, _, _ = select.select([self.process.stdout], [], [], remaining)
            if readable:
                chunk = os.read(self.process.stdout.fileno(), 1 << 20)
                if not chunk:
                    raise DriverDied(f"the driver of {self.name} ended, see {self.log}")
                self.buffer += chunk
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line

    def _dump(self):
        """What it was doing goes to the log."""
        if self.dump_signal is None or self.process.poll() is not None:
            return
        self.process.send_signal(self.dump_signal)
        try:
            with open(self.log, "ab") as log:
                deadline = time.monotonic() + 2
                while True:
                    log.write(self._line(deadline) + b"\n")
        except (TimeoutError, DriverDied):
            pass

    def kill(self):
        self.stop()

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
