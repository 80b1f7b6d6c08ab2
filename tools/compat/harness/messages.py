"""Requests by their names and fields, in any version: kafka-python has Kafka's schemas of all of them.

Fields that a version does not have are left out, as Kafka's own clients do with those that may be.
"""
import importlib
import uuid

from .wire import Connection, api_versions

_MODULES = ("admin", "consumer", "metadata", "producer")


def _class(name):
    for module in _MODULES:
        found = getattr(importlib.import_module(f"kafka.protocol.{module}"), name, None)
        if found is not None:
            return found
    raise LookupError(f"kafka-python knows no {name}")


def versions(api, *addresses):
    """The oldest and the newest version that all these servers and kafka-python have in common."""
    request = _class(f"{api}Request")
    told = [api_versions(address)[request.API_KEY] for address in addresses]
    return max(low for low, _ in told), min(request.max_version, *(high for _, high in told))


def call(where, api, version, **fields):
    """Asks `where`, an address or a Connection, and returns the response. Structures are dicts."""
    if not isinstance(where, Connection):
        with Connection(where) as connection:
            return call(connection, api, version, **fields)
    send(where, api, version, **fields)
    return receive(where, api, version)


def send(connection, api, version, **fields):
    """For an answer that comes later, or never: receive() takes it."""
    connection.correlation_id += 1
    request = _made(_class(f"{api}Request"), fields)
    request.API_VERSION = version
    request.with_header(connection.correlation_id, "compat")
    connection.send(bytes(request.encode(header=True)))


def receive(connection, api, version):
    response = _class(f"{api}Response").decode(connection.receive(), version=version, header=True)
    assert response.header.correlation_id == connection.correlation_id, "correlation id"
    return response


def _made(kind, values):
    def value(field, given):
        if given is None or not field.is_struct_array():
            return given
        return [_made(field.data_class, one) for one in given]
    return kind(**{name: value(kind.fields[name], given) for name, given in values.items() if name in kind.fields})


def topic_id(where, name):
    told, = call(where, "Metadata", 12, topics=[{"name": name, "topic_id": uuid.UUID(int=0)}]).topics
    return told.topic_id
