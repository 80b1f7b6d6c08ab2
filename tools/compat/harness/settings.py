"""Broker settings under which the suites run, the same for the oracle and for Odradek."""

# Small and quick: few internal partitions, no waiting for more members.
COMMON = {
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "group.initial.rebalance.delay.ms": "0",
}
