"""What a run found: a line per test as it goes, and one table of clients in the end."""
import os

from .tests import Result
from .versions import version


class Summary:
    def __init__(self, programs):
        self.programs = programs
        self.rows = {}
        self.failed = []
        self.figures = []

    def record(self, test, variant, result, tails=""):
        row = self.rows.setdefault((test.client, variant), {Result.PASSED: 0, Result.FAILED: 0, Result.SKIPPED: 0, "s": 0.0})
        row[result.outcome] += 1
        row["s"] += result.seconds
        print(f"{result.outcome:7} {result.seconds:6.2f} s  {test.name} [{variant}]", flush=True)
        if result.outcome == Result.SKIPPED:
            print(f"        {result.text}")
        if result.outcome == Result.FAILED:
            self.failed.append(f"{test.name} [{variant}]")
            print(f"{result.text.rstrip()}\n{tails}\n", flush=True)

    def keep_figures(self, env):
        """Numbers without a verdict: they depend on the machine."""
        self.figures += [f"{figure} [{env.variant}]" for figure in env.figures]
        env.figures = []

    def count(self, outcome):
        return sum(row[outcome] for row in self.rows.values())

    def show(self):
        """The table, then the failures by name. Returns the run's exit code."""
        versions = {client: version(client, self.programs) for client, _ in self.rows}
        table = [("client", "version", "shards", "mode", "passed", "failed", "skipped", "s")]
        for (client, variant), row in self.rows.items():
            where = ("-", variant.kind) if variant.kind == "kafka" else (str(variant.shards), variant.mode)
            table.append((client, versions[client], *where, *(
                str(row[o]) for o in (Result.PASSED, Result.FAILED, Result.SKIPPED)), f"{row['s']:.0f}"))
        widths = [max(map(len, column)) for column in zip(*table)]
        print()
        for line in table:
            texts = [t.ljust(w) for t, w in zip(line[:4], widths)] + [t.rjust(w) for t, w in zip(line[4:], widths[4:])]
            print("  ".join(texts).rstrip())
        for figure in self.figures:
            print(figure)
        if self.failed:
            print("failed: " + ", ".join(self.failed))
        skipped = self.count(Result.SKIPPED)
        print(f"{self.count(Result.PASSED)} passed, {self.count(Result.FAILED)} failed, {skipped} skipped")
        return 1 if self.failed or not self.rows or (skipped and os.environ.get("CI") == "true") else 0
