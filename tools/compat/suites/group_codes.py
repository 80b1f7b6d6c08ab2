"""What raw group requests answer, right and wrong, by an Apache Kafka and by the node: the error codes
that members of all ages act on. All is asked in the oldest and in the newest version both have."""
import struct
import uuid

from harness import messages, topics
from harness.process import wait_until
from harness.tests import test
from harness.wire import Connection, string

from .differential import allowed, compare
from .transaction_codes import ABORT, Coordinator, group_coordinator

OK, REBALANCE_IN_PROGRESS = 0, 27
# Loading, not there yet, elsewhere.
NOT_YET = {14, 15, 16}
SESSION_MS = 30_000
NOBODY = "nobody"
APIS = ("JoinGroup", "SyncGroup", "Heartbeat", "LeaveGroup", "OffsetCommit", "OffsetFetch", "OffsetDelete",
        "DescribeGroups", "ListGroups", "DeleteGroups", "TxnOffsetCommit")


class Group:
    """One group at its coordinator. What a method returns is what of the answer may be compared."""

    def __init__(self, node, versions, name):
        host, port = group_coordinator(node.bootstrap, name)
        self.node, self.versions, self.name, self.address = node, versions, name, f"{host}:{port}"
        # Of its members; what a consumer would send is subscribed().
        self.metadata = b"x"
        wait_until("its coordinator is there", lambda: self.heartbeat(NOBODY, 1) not in NOT_YET)

    def ask(self, api, **fields):
        return messages.call(self.address, api, self.versions[api], **fields)

    def of(self, **fields):
        """The group, but for what a test has to say of it."""
        return {"group_id": self.name, **fields}

    def joining(self, member="", instance=None, protocols=("range", "roundrobin"), session_ms=SESSION_MS, **fields):
        fields = self.of(
            member_id=member, group_instance_id=instance, session_timeout_ms=session_ms, rebalance_timeout_ms=SESSION_MS,
            protocols=[{"name": name, "metadata": self.metadata} for name in protocols], **fields)
        return {"protocol_type": "consumer", **fields}

    def join(self, *args, **fields):
        """(what is told, member id)"""
        return joined(self.ask("JoinGroup", **self.joining(*args, **fields)))

    def sync(self, member, generation, assignments=(), **fields):
        given = [{"member_id": id_, "assignment": what} for id_, what in assignments]
        fields = {"protocol_type": "consumer", "protocol_name": "range", **self.of(**fields)}
        return synced(self.ask("SyncGroup", member_id=member, generation_id=generation, assignments=given, **fields))

    def heartbeat(self, member, generation, **fields):
        return self.ask("Heartbeat", member_id=member, generation_id=generation, **self.of(**fields)).error_code

    def leave(self, member, instance=None, **fields):
        answer = self.ask("LeaveGroup", member_id=member, members=[
            {"member_id": member, "group_instance_id": instance}], **self.of(**fields))
        return answer.error_code, [one.error_code for one in answer.members or ()]

    def commit(self, topic, member, generation, partition=0, offset=5, metadata="", api="OffsetCommit", **fields):
        name, id_ = topic
        answer = self.ask(
            api, generation_id_or_member_epoch=generation, member_id=member, **self.of(**fields),
            topics=[committed(name, id_, partition, offset, metadata)])
        return [one.error_code for topic in answer.topics for one in topic.partitions]

    def commit_open(self, topic, producer, member, generation, partition=0, offset=7, metadata="", **fields):
        answer = self.ask(
            "TxnOffsetCommit", transactional_id=producer.id, producer_id=producer.producer[0],
            producer_epoch=producer.producer[1], member_id=member, generation_id=generation, **self.of(**fields),
            topics=[committed(*topic, partition, offset, metadata)])
        return [one.error_code for topic in answer.topics for one in topic.partitions]

    def fetch(self, *asked, stable=False, **fields):
        """Of all topics if none is named, which version 1 cannot ask for."""
        if not asked and self.versions["OffsetFetch"] < 2:
            return None
        wanted = [{"name": name, "topic_id": id_, "partition_indexes": list(partitions)} for (name, id_), *partitions in asked]
        names = [{"name": one["name"], "partition_indexes": one["partition_indexes"]} for one in wanted] or None
        group = self.of(topics=wanted or None, **fields)
        answer = self.ask("OffsetFetch", group_id=group["group_id"], topics=names, groups=[group], require_stable=stable)
        answer = answer.groups[0] if answer.groups else answer
        return answer.error_code, sorted(
            (one.partition_index, one.committed_offset, one.committed_leader_epoch, one.metadata, one.error_code)
            for topic in answer.topics for one in topic.partitions)

    def describe(self):
        told, = self.ask("DescribeGroups", groups=[self.name]).groups
        return told.error_code, told.group_state, told.protocol_type, told.protocol_data, [
            (one.group_instance_id, one.client_id, one.client_host, bytes(one.member_metadata) == self.metadata,
             bytes(one.member_assignment))
            for one in told.members]

    def listed(self, **filters):
        """How the group is listed: every broker tells its own."""
        answers = [messages.call(address, "ListGroups", self.versions["ListGroups"], **filters)
                   for address in self.node.broker_addresses]
        return {a.error_code for a in answers}, [
            (one.protocol_type, one.group_state, one.group_type)
            for a in answers for one in a.groups if one.group_id == self.name]

    def delete(self, times=1):
        return [one.error_code for one in self.ask("DeleteGroups", groups_names=[self.name] * times).results]

    def delete_offsets(self, *asked, **fields):
        wanted = [{"name": name, "partitions": [{"partition_index": p} for p in partitions]} for name, *partitions in asked]
        answer = self.ask("OffsetDelete", topics=wanted, **self.of(**fields))
        return answer.error_code, sorted((one.partition_index, one.error_code) for topic in answer.topics for one in topic.partitions)


def committed(name, id_, partition, offset, metadata):
    return {"name": name, "topic_id": id_, "partitions": [
        {"partition_index": partition, "committed_offset": offset, "committed_metadata": metadata}]}


def subscribed(*names):
    """Version 0 of Kafka's ConsumerProtocolSubscription."""
    return struct.pack(">hi", 0, len(names)) + b"".join(map(string, names)) + struct.pack(">i", -1)


def joined(answer):
    told = (answer.error_code, answer.generation_id, answer.protocol_type, answer.protocol_name, len(answer.members),
            "leads" if answer.leader and answer.leader == answer.member_id else "follows", answer.skip_assignment)
    return told, answer.member_id


def synced(answer):
    return answer.error_code, answer.protocol_type, answer.protocol_name, bytes(answer.assignment)


class Parked:
    """A request that is answered later."""

    def __init__(self, group, api, **fields):
        self.api, self.version = api, group.versions[api]
        self.connection = Connection(group.address)
        messages.send(self.connection, api, self.version, **fields)

    def answer(self):
        with self.connection:
            return messages.receive(self.connection, self.api, self.version)


def admitted(group, say):
    """The first member. A client that has no id may have to come back with the one it is given."""
    told, member = group.join()
    say("join", told)
    if told[0] == OK:
        return member
    told, member = group.join(member)
    say("join with the id given", told)
    return member


def joining(group, none, nameless, refused, say):
    say("join an empty id", nameless.join()[0])
    say("join without protocols", refused.join(protocols=())[0])
    say("join without a type of protocol", refused.join(protocol_type="")[0])
    say("describe after a refused join", refused.describe())
    refused.delete()
    say("join for too short a session", none.join(session_ms=1)[0])
    say("join for too long a session", none.join(session_ms=2**31 - 1)[0])
    say("join as somebody, who is not there", none.join(NOBODY)[0])
    member = admitted(group, say)
    say("heartbeat before the assignment", group.heartbeat(member, 1))
    say("sync of an empty id", nameless.sync(member, 1))
    say("sync of a group that is not there", none.sync(member, 1))
    say("sync of a stranger", group.sync(NOBODY, 1))
    say("sync of a later generation", group.sync(member, 2))
    say("sync of no generation", group.sync(member, -1))
    say("sync of another protocol", group.sync(member, 1, protocol_name="sticky"))
    say("sync of another type of protocol", group.sync(member, 1, protocol_type="connect"))
    say("sync of somebody fixed", group.sync(member, 1, group_instance_id="fixed"))
    say("describe before the assignment", group.describe())
    return member


def as_member(group, none, nameless, topic, other, member, say):
    say("commit before the assignment", group.commit(topic, member, 1))
    say("sync", group.sync(member, 1, [(member, b"assigned")]))
    say("sync again", group.sync(member, 1, [(member, b"assigned otherwise")]))
    say("heartbeat", group.heartbeat(member, 1))
    say("heartbeat of an empty id", nameless.heartbeat(member, 1))
    say("heartbeat of a group that is not there", none.heartbeat(member, 1))
    say("heartbeat of a stranger", group.heartbeat(NOBODY, 1))
    say("heartbeat of an earlier generation", group.heartbeat(member, 0))
    say("heartbeat of a later generation", group.heartbeat(member, 2))
    say("heartbeat of somebody fixed", group.heartbeat(member, 1, group_instance_id="fixed"))
    say("join with other protocols", group.join(protocols=("sticky",))[0])
    say("join with another type of protocol", group.join(protocol_type="connect")[0])
    say("join again with other protocols", group.join(member, protocols=("sticky",))[0])
    say("join without protocols a group that is there", group.join(protocols=())[0])
    say("join as a stranger", group.join(NOBODY)[0])
    say("leave of an empty id", nameless.leave(member))
    say("leave a group that is not there", none.leave(member))
    say("leave as a stranger", group.leave(NOBODY))
    say("leave as somebody fixed", group.leave("", instance="fixed"))
    nowhere = f"{topic[0]}-none", uuid.uuid4()
    say("commit", group.commit(topic, member, 1))
    say("commit of a stranger", group.commit(topic, NOBODY, 1))
    say("commit of an earlier generation", group.commit(topic, member, 0))
    say("commit of a later generation", group.commit(topic, member, 2))
    say("commit of nobody in particular", group.commit(topic, "", -1))
    say("commit of a member without its generation", group.commit(topic, member, -1))
    say("commit of a generation of nobody", group.commit(topic, "", 1))
    say("commit of somebody fixed", group.commit(topic, member, 1, group_instance_id="fixed"))
    say("commit in an empty id", nameless.commit(topic, member, 1))
    say("commit in an empty id of nobody in particular", nameless.commit(topic, "", -1))
    say("commit in a group that is not there", none.commit(topic, member, 1))
    say("commit a long note", group.commit(topic, member, 1, metadata="x" * 4097))
    say("commit as long a note as can be", group.commit(topic, member, 1, partition=1, metadata="x" * 4096))
    say("commit nothing there", group.commit(nowhere, member, 1))
    say("commit no partition", group.commit(topic, member, 1, partition=99))
    say("commit less than no offset", group.commit(topic, member, 1, partition=1, offset=-2))
    say("commit to another topic", group.commit(other, member, 1))
    say("commit no note", group.commit(topic, member, 1, metadata=None))
    say("fetch", group.fetch((topic, 0, 1, 99)))
    say("fetch all there is", group.fetch())
    say("fetch nothing there", group.fetch((nowhere, 0)))
    say("fetch of an empty id", nameless.fetch((topic, 0)))
    say("fetch of a group that is not there", none.fetch((topic, 0)))
    say("fetch all of a group that is not there", none.fetch())
    say("fetch as a member", group.fetch((topic, 0), member_id=member, member_epoch=1))
    say("fetch as a stranger", group.fetch((topic, 0), member_id=NOBODY, member_epoch=1))
    say("fetch as a member of a group that is not there", none.fetch((topic, 0), member_id=NOBODY, member_epoch=1))
    say("delete offsets of what is subscribed", group.delete_offsets((topic[0], 0, 99)))
    say("delete offsets of what is not subscribed", group.delete_offsets((other[0], 0, 99)))
    say("delete offsets of nothing there", group.delete_offsets((nowhere[0], 0)))
    say("delete offsets of nothing", group.delete_offsets())
    say("delete offsets of an empty id", nameless.delete_offsets((topic[0], 0)))
    say("delete offsets of a group that is not there", none.delete_offsets((topic[0], 0)))


def looked_at(group, none, nameless, say):
    say("describe", group.describe())
    say("describe what is not there", none.describe())
    say("describe an empty id", nameless.describe())
    say("list", group.listed())
    for states in (["Stable"], ["Empty"], ["sTABLE", "Dead"], ["NoSuch"], [""]):
        say(f"list those in {states}", group.listed(states_filter=states))
    for types in (["classic"], ["CLASSIC"], ["consumer"], ["share"], ["nosuch"], [""]):
        say(f"list those of {types}", group.listed(types_filter=types))
    say("list by state and type", group.listed(states_filter=["Stable"], types_filter=["classic"]))
    say("list by state and another type", group.listed(states_filter=["Stable"], types_filter=["consumer"]))
    say("delete while it has a member", group.delete())
    say("delete what is not there", none.delete())
    say("delete an empty id", nameless.delete())
    say("delete nothing", group.delete(times=0))


def rebalancing(group, topic, member, say):
    """A second member comes, and waits for the first."""
    newcomer = ""
    if group.versions["JoinGroup"] >= 4:
        told, newcomer = group.join()
        say("another joins", told)
        say("heartbeat of one who has only an id", group.heartbeat(newcomer, 1))
        say("commit of one who has only an id", group.commit(topic, newcomer, 1))
    parked = Parked(group, "JoinGroup", **group.joining(newcomer))
    wait_until("it is waited for", lambda: group.heartbeat(member, 1) != OK)
    say("heartbeat while another joins", group.heartbeat(member, 1))
    say("heartbeat of a later generation while another joins", group.heartbeat(member, 2))
    say("sync while another joins", group.sync(member, 1))
    say("sync of a later generation while another joins", group.sync(member, 2))
    say("commit while another joins", group.commit(topic, member, 1))
    say("commit of a later generation while another joins", group.commit(topic, member, 2))
    say("describe while another joins", group.describe()[:2])
    say("list while another joins", group.listed(states_filter=["PreparingRebalance"]))
    say("delete while another joins", group.delete())
    say("join again", group.join(member)[0])
    told, other = joined(parked.answer())
    say("the other has joined", told)
    say("heartbeat of the generation before", group.heartbeat(member, 1))
    say("commit of the generation before", group.commit(topic, member, 1))
    say("commit of the one to come", group.commit(topic, member, 2))
    say("describe while the assignment is awaited", group.describe()[:2])
    say("list while the assignment is awaited", group.listed(states_filter=["CompletingRebalance"]))
    parked = Parked(group, "SyncGroup", **group.of(
        member_id=other, generation_id=2, protocol_type="consumer", protocol_name="range", assignments=[]))
    say("heartbeat of one who waits for its assignment", group.heartbeat(other, 2))
    say("sync of the leader", group.sync(member, 2, [(member, b"mine"), (other, b"its")]))
    say("sync of the other", synced(parked.answer()))
    say("join again as one who follows", group.join(other)[0])
    say("leave", group.leave(other))
    say("leave again", group.leave(other))
    say("heartbeat when another has left", group.heartbeat(member, 2))
    say("heartbeat of who has left", group.heartbeat(other, 2))


def ending(group, topic, other, member, say):
    say("leave as the last", group.leave(member))
    say("heartbeat of nobody's group", group.heartbeat(member, 2))
    say("sync of nobody's group", group.sync(member, 2))
    say("join nobody's group as who has left", group.join(member)[0])
    say("leave nobody's group", group.leave(member))
    say("commit of who has left", group.commit(topic, member, 2))
    say("commit in nobody's group", group.commit(topic, "", -1, offset=9))
    say("describe nobody's group", group.describe())
    say("list nobody's group", group.listed(states_filter=["Empty"]))
    say("fetch of nobody's group", group.fetch((topic, 0)))
    say("delete offsets of nobody's group", group.delete_offsets((topic[0], 0), (other[0], 0)))
    say("fetch what is deleted", group.fetch((topic, 0, 1), (other, 0)))
    say("delete it twice at once", group.delete(times=2))
    say("delete it again", group.delete())
    say("describe what is deleted", group.describe())
    say("commit to what is deleted", group.commit(topic, "", -1))
    say("describe what only offsets made", group.describe())
    say("list what only offsets made", group.listed())
    say("delete what only offsets made", group.delete())


def fixed(group, topic, say):
    """A member that is somebody also when it comes again: KIP-345."""
    told, member = group.join("", "fixed")
    say("join fixed", told)
    say("sync fixed", group.sync(member, 1, [(member, b"assigned")], group_instance_id="fixed"))
    say("describe fixed", group.describe())
    told, newer = group.join("", "fixed")
    say("come again", told)
    for who, id_ in (("the one before", member), ("a stranger", NOBODY), ("the one that came again", newer)):
        # It leads and joins once more, which takes all into another generation.
        if id_ != newer:
            say(f"join of {who}, fixed", group.join(id_, "fixed")[0])
        say(f"heartbeat of {who}, fixed", group.heartbeat(id_, 1, group_instance_id="fixed"))
        say(f"sync of {who}, fixed", group.sync(id_, 1, group_instance_id="fixed"))
        say(f"commit of {who}, fixed", group.commit(topic, id_, 1, group_instance_id="fixed"))
    say("join of one fixed otherwise", group.join(newer, "otherwise")[0])
    say("heartbeat of one fixed otherwise", group.heartbeat(newer, 1, group_instance_id="otherwise"))
    say("heartbeat of one who does not say it is fixed", group.heartbeat(newer, 1))
    say("leave of the one before", group.leave(member, "fixed"))
    say("leave of one fixed otherwise", group.leave(newer, "otherwise"))
    say("leave fixed", group.leave("", "fixed"))
    say("leave fixed again", group.leave("", "fixed"))


def in_a_transaction(group, none, nameless, topic, producer, say):
    """TxnOffsetCommit has told who commits since KIP-447."""
    _, member = group.join("", "fixed")
    group.sync(member, 1, [(member, b"assigned")], group_instance_id="fixed")

    def commit(what, *args, to=group, **fields):
        say(what, to.commit_open(topic, producer, *args, **fields))

    assert producer.init() == OK and producer.add_offsets(group.name) == OK and producer.add_offsets(none.name) == OK
    commit("open commit of a stranger", NOBODY, 1)
    commit("open commit of an earlier generation", member, 0)
    commit("open commit of a later generation", member, 2)
    commit("open commit of somebody fixed otherwise", member, 1, group_instance_id="otherwise")
    commit("open commit of a stranger, fixed", NOBODY, 1, group_instance_id="fixed")
    commit("open commit of a member without its generation", member, -1)
    commit("open commit of a generation of nobody", "", 1)
    commit("open commit in an empty id", member, 1, to=nameless)
    commit("open commit of a generation in a group that is not there", member, 1, to=none)
    commit("open commit of a long note", member, 1, metadata="x" * 4097)
    commit("open commit of no partition", member, 1, partition=99)
    commit("open commit of nobody in particular", "", -1)
    commit("open commit", member, 1, group_instance_id="fixed")
    commit("open commit where no group is", "", -1, to=none)
    say("fetch what is open", group.fetch((topic, 0, 1)))
    say("fetch what is open, and only what stays", group.fetch((topic, 0, 1), stable=True))
    say("describe where only what is open is", none.describe())
    say("commit beside what is open", group.commit(topic, member, 1, partition=1, group_instance_id="fixed"))
    say("delete offsets where only what is open is", none.delete_offsets((topic[0], 0)))
    say("end", producer.end(ABORT))
    wait_until("it has ended", lambda: group.fetch((topic, 0), stable=True)[1][0][4] == OK)
    say("fetch what was open", group.fetch((topic, 0, 1)))
    say("delete the group that only held what was open", none.delete())
    group.leave("", "fixed")
    group.delete()


def answers(node, versions, name, topic, other):
    told = {}

    def say(what, answer):
        assert what not in told, what
        told[what] = str(answer).replace(name, "T")

    def named(suffix):
        return Group(node, versions, f"{name}{suffix}")

    group, none, nameless = named(""), named("-none"), Group(node, versions, "")
    group.metadata = subscribed(topic[0])
    member = joining(group, none, nameless, named("-refused"), say)
    as_member(group, none, nameless, topic, other, member, say)
    looked_at(group, none, nameless, say)
    rebalancing(group, topic, member, say)
    ending(group, topic, other, member, say)
    if versions["JoinGroup"] >= 5:
        fixed(named("-fixed"), topic, say)
        producer = Coordinator(node.bootstrap, name)
        in_a_transaction(named("-open"), named("-open-none"), nameless, topic, producer, say)
    return told


def made(node, name):
    topics.create(node.bootstrap, name, 2)
    return name, messages.topic_id(node.bootstrap, name)


def _at(age, which):
    @test(needs=["java", "python"], limit_s=90)
    def run(env):
        nodes = (env.oracle(), env.shared_node())
        versions = {api: messages.versions(api, *(node.bootstrap for node in nodes))[which] for api in APIS}
        found = [answers(node, versions, env.name("g"), made(node, env.name()), made(node, env.name())) for node in nodes]
        expected = {row["name"]: (row["kafka"], row["odradek"]) for row in allowed(env, "group") if age in row["versions"]}
        compare(*found, expected)
    run.__module__ = __name__
    return run


oldest, newest = _at("oldest", 0), _at("newest", 1)
