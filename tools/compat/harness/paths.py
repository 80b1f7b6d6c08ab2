"""Where things are. Nothing here is created."""
import os
import pathlib

COMPAT = pathlib.Path(__file__).resolve().parent.parent
ROOT = COMPAT.parent.parent
CACHE = COMPAT / ".cache"
JARS = CACHE / "jars"
CLASSES = CACHE / "classes"
VENV_PYTHON = CACHE / "venv" / "bin" / "python"
CLASSPATH = f"{CLASSES}:{JARS}/*"
OLD_CLASSPATH = f"{CACHE}/old-classes:{CACHE}/old-jars/*"
ECOSYSTEM_JARS = CACHE / "ecosystem-jars"
ECOSYSTEM_CLASSPATH = f"{CACHE}/ecosystem-classes:{ECOSYSTEM_JARS}/*"
REGISTRY = CACHE / "registry"
REGISTRY_CLASSPATH = f"{CACHE}/registry-classes:{CACHE}/registry-jars/*"
KAFKA_VERSION = (COMPAT / "kafka.version").read_text().strip()


def odradek_binary():
    return pathlib.Path(os.environ.get("ODRADEK_BIN") or ROOT / "target" / "debug" / "odradek")
