"""The outcome: kept as JSON, on the terminal, and in the README between its markers."""
import json
import os
import textwrap

BEGIN = "<!-- real-input:begin -->"
END = "<!-- real-input:end -->"
NAMES = {"odradek": "`odradek {verb}`", "java": "Kafka's Java {noun}", "librdkafka": "librdkafka (confluent-kafka)"}


def keep(outcome, directory):
    """Writes DIRECTORY/real-input-DATE-COMMIT.json, and returns its path."""
    directory.mkdir(parents=True, exist_ok=True)
    commit = outcome["machine"]["commit"][:10]
    file = directory / f"real-input-{outcome['started'][:10]}-{commit}.json"
    file.write_text(json.dumps(_rounded(outcome), indent=1) + "\n")
    return file


def text(outcome):
    """For a terminal."""
    return "\n" + markdown(outcome).replace("`", "")


def markdown(outcome, more=""):
    return "\n\n".join([_filled(_paragraph(outcome)), _table(outcome), _filled(_terms(outcome) + more)])


def update_readme(outcome, kept, readme):
    """Replaces what is between the markers."""
    page = readme.read_text()
    assert page.count(BEGIN) == 1 and page.count(END) == 1, f"{readme} needs one {BEGIN} and one {END}"
    before, rest = page.split(BEGIN)
    _old, after = rest.split(END)
    source = f" All figures: [{kept.name}]({os.path.relpath(kept, readme.parent)})."
    readme.write_text(f"{before}{BEGIN}\n{markdown(outcome, source)}\n{END}{after}")


def _filled(text_):
    return textwrap.fill(text_, 100, break_long_words=False, break_on_hyphens=False)


def _paragraph(outcome):
    given, produced, kill = outcome["input"], outcome["produce"], outcome["produce"]["kill"]
    size = sum(part["value_bytes"] for part in given["parts"].values())
    keys = sum(part["keys"] for part in given["parts"].values())
    return (
        f"{size / 1e9:.2f} GB of real log lines ({given['what']}; {produced['records']:,} lines, {keys} keys) over "
        f"{outcome['configuration']['partitions']} partitions, by two producers at once; the node was killed with "
        f"SIGKILL when {100 * kill['records_visible_before'] / produced['records']:.0f} % of the records could be "
        f"read. It was up again {kill['kill_to_ready_seconds']:.2f} s after the kill, had recovered all partitions "
        f"after {kill['kill_to_all_partitions_seconds']:.2f} s and showed new records after "
        f"{kill['kill_to_new_records_seconds']:.2f} s. Every key's values came back complete, once and in order, each "
        f"partition the same through different clients; `odradek log verify` and `kafka-dump-log` find all "
        f"{outcome['disk']['dump_log_records']:,} records in {outcome['disk']['dump_log_batches']:,} valid batches.")


def _table(outcome):
    produced = outcome["produce"]
    size = sum(part["value_bytes"] for part in outcome["input"]["parts"].values())
    rows = [("", "records", "MB", "s", "MB/s", "node's CPU, s/GB")]
    for name, told in produced["producers"].items():
        rows.append((
            f"{_name(name, 'produce', 'producer')} ({told['sent_again']} sent again)",
            f"{told['records']:,}", *_rate(told["value_bytes"], told["seconds"]), "-"))
    rows.append(("both, with the kill and the restart", f"{produced['records']:,}",
                 *_rate(size, produced["seconds"]), f"{produced['node_cpu_seconds'] / size * 1e9:.2f}"))
    for name, read in outcome["read"].items():
        rows.append((f"read by {_name(name, 'consume', 'consumer')}, with its checksums", f"{produced['records']:,}",
                     *_rate(size, read["seconds"]), f"{read['node_cpu_seconds'] / size * 1e9:.2f}"))
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---|" + "---:|" * (len(rows[0]) - 1), *lines[1:]])


def _terms(outcome):
    machine = outcome["machine"]
    changed = " with changes" if machine["modified"] else ""
    stolen = outcome["produce"]["machine_stolen_seconds"]
    return (
        f"{machine['cpu_model']}, {machine['cores']} cores ({'virtual' if machine['hypervisor'] else 'bare'}), "
        f"{machine['memory_gib']:.0f} GiB; Linux {machine['kernel']}, {machine['distribution']}; "
        f"{machine['file_system']}; commit {machine['commit'][:10]}{changed}, release build, "
        f"{outcome['configuration']['shards']} shards. Clients run on the same cores as the node: the rates are theirs "
        f"as much as its. Load average before: {machine['load_average_before']}; the host took {stolen:.1f} s of CPU "
        f"while producing. MB are of values. Excluded: a network, TLS, compression, replication, power loss (the "
        f"process is killed, the machine is not).")


def _name(name, verb, noun):
    return NAMES[name].format(verb=verb, noun=noun)


def _rate(size, seconds):
    return f"{size / 1e6:.0f}", f"{seconds:.1f}", f"{size / 1e6 / seconds:.0f}"


def _rounded(value):
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return value
