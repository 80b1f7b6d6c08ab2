"""What a figure was measured on. No names of hosts, no paths."""
import os
import pathlib
import platform
import subprocess

from harness import paths


def gather(directory):
    """Facts of this machine and commit, and of the file system that holds `directory`."""
    commit = _git("rev-parse", "HEAD")
    memory_kib = int(_after("/proc/meminfo", "MemTotal:").split()[0])
    release = platform.freedesktop_os_release()
    flags = _after("/proc/cpuinfo", "flags").split()
    return {
        "cpu_model": _after("/proc/cpuinfo", "model name").lstrip(": \t"),
        "cores": os.cpu_count(),
        "memory_gib": round(memory_kib / (1 << 20), 1),
        "hypervisor": "hypervisor" in flags,
        "kernel": platform.release(),
        "distribution": release.get("PRETTY_NAME", "unknown"),
        "file_system": _file_system(pathlib.Path(directory).resolve()),
        "commit": commit or "unknown",
        "modified": bool(commit) and bool(_git("status", "--porcelain", "-uno")),
        "load_average_before": round(os.getloadavg()[0], 2),
    }


def machine_cpu():
    """Seconds that the machine's cores have been (busy, stolen by its host) since it was started."""
    fields = [int(text) for text in _after("/proc/stat", "cpu ").split()]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields[:8]
    ticks = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / ticks, steal / ticks


def _file_system(directory):
    best = ("", "unknown", "")
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _device, point, kind, options = line.split(" ")[:4]
        if directory.is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, kind, options)
    return f"{best[1]} ({best[2]})"


def _after(file, name):
    for line in pathlib.Path(file).read_text().splitlines():
        if line.startswith(name):
            return line[len(name):].strip()
    return "unknown"


def _git(*args):
    done = subprocess.run(["git", "-C", str(paths.ROOT), *args], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""
