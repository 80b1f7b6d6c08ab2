package compat;

import static compat.Context.check;
import static compat.Context.equal;
import static compat.Context.fails;
import static compat.Context.get;
import static compat.Context.poll;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterPartitionReassignmentsOptions;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.errors.InvalidReplicaAssignmentException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.NoReassignmentInProgressException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/**
 * Partitions go from one broker to another. A node of several shards behind one address is one broker: there its own tool
 * moves them, from shard to shard. With one shard there is nowhere to go, and only {@link #answers} is run.
 */
final class MoveScenarios {
    private static final int PARTITIONS = 3;
    private static final int MOVES = 24;
    /** Between moves so many records are acknowledged, at least: they happen under load. */
    private static final int RECORDS_PER_MOVE = 2000;
    private static final String OFFSETS_TOPIC = "__consumer_offsets";

    private MoveScenarios() {}

    static void idempotentProducerAndGroupUnderLoad(Context c) throws Exception {
        underLoad(c, Map.of("linger.ms", "2"));
    }

    static void producerWithOneInFlightUnderLoad(Context c) throws Exception {
        underLoad(c, Map.of("enable.idempotence", "false", "acks", "1", "max.in.flight.requests.per.connection", "1",
            "linger.ms", "2"));
    }

    /** Every partition's numbers come to a consumer of a group once and in order, while it moves. */
    private static void underLoad(Context c, Map<String, String> settings) throws Exception {
        c.createTopic(PARTITIONS);
        List<String> pairs = new ArrayList<>();
        settings.forEach((name, value) -> pairs.addAll(List.of(name, value)));
        AtomicBoolean ended = new AtomicBoolean();
        AtomicLong acknowledged = new AtomicLong();
        AtomicReference<Throwable> failure = new AtomicReference<>();
        long[] sent = new long[PARTITIONS];
        long[] last = new long[PARTITIONS];
        AtomicLong longest = new AtomicLong();
        Thread sending = thread(failure, () -> {
            try (Producer<String, String> producer = c.producer(pairs.toArray(new String[0]))) {
                for (long n = 0; !ended.get(); n++) {
                    // The client holds thousands; the node is to be busy, not the client's memory full.
                    while (n - acknowledged.get() > 20_000 && failure.get() == null) {
                        Thread.onSpinWait();
                    }
                    int p = (int) (n % PARTITIONS);
                    producer.send(new ProducerRecord<>(c.topic(), p, null, Long.toString(sent[p]++)), (metadata, error) -> {
                        if (error != null) {
                            failure.compareAndSet(null, error);
                        }
                        acknowledged.incrementAndGet();
                        long now = System.nanoTime();
                        if (last[p] != 0 && !ended.get()) {
                            longest.accumulateAndGet(now - last[p], Math::max);
                        }
                        last[p] = now;
                    });
                }
            }
        });
        long[] next = new long[PARTITIONS];
        AtomicBoolean read = new AtomicBoolean();
        Thread reading = thread(failure, () -> {
            try (Consumer<String, String> consumer = c.consumer("group.id", c.topic())) {
                consumer.subscribe(List.of(c.topic()));
                while (!read.get()) {
                    for (ConsumerRecord<String, String> one : consumer.poll(Duration.ofMillis(50))) {
                        long expected = next[one.partition()]++;
                        equal(Long.toString(expected), one.value(), "of partition " + one.partition());
                        equal(expected, one.offset(), "offset in partition " + one.partition());
                    }
                    if (ended.get() && !sending.isAlive()) {
                        read.set(all(next) >= all(sent));
                    }
                }
            }
        });
        try (Admin admin = c.admin()) {
            List<Integer> brokers = brokers(admin);
            for (int move = 0; move < MOVES; move++) {
                long before = acknowledged.get();
                poll("records are acknowledged", () ->
                    failure.get() != null || acknowledged.get() - before > RECORDS_PER_MOVE);
                if (brokers.size() == 1) {
                    boolean moved = moveToShard(c, c.topic(), move / PARTITIONS % 2, "--partition", "" + move % PARTITIONS);
                    // Where each is at first is not known.
                    check(moved || move < PARTITIONS, "move %d moves nothing", move);
                } else {
                    TopicPartition partition = c.partition(move % PARTITIONS);
                    int to = brokers.get((brokers.indexOf(leader(admin, partition)) + 1) % brokers.size());
                    move(admin, partition, to);
                    equal(to, leader(admin, partition), "leader of " + partition);
                }
            }
        } finally {
            ended.set(true);
            sending.join(30_000);
            poll("all is read", () -> read.get() || failure.get() != null);
            read.set(true);
            reading.join(30_000);
        }
        if (failure.get() != null) {
            throw new AssertionError("under load", failure.get());
        }
        equal(all(sent), all(next), "records");
        c.say("longest gap between acks of a partition %d ms", longest.get() / 1_000_000);
    }

    /** A group goes on in its generation while the partition that coordinates it moves. */
    static void coordinators(Context c) throws Exception {
        c.createTopic(1);
        try (Admin admin = c.admin(); Producer<String, String> producer = c.producer();
                Consumer<String, String> consumer = c.consumer("group.id", c.topic())) {
            consumer.subscribe(List.of(c.topic()));
            poll("it is assigned", () -> {
                consumer.poll(Duration.ofMillis(50));
                return !consumer.assignment().isEmpty();
            });
            int generation = consumer.groupMetadata().generationId();
            List<Integer> brokers = brokers(admin);
            int coordinators = get(admin.describeTopics(List.of(OFFSETS_TOPIC)).allTopicNames()).get(OFFSETS_TOPIC)
                .partitions().size();
            for (int round = 1; round <= 8; round++) {
                if (brokers.size() == 1) {
                    check(moveToShard(c, OFFSETS_TOPIC, round % 2, "--all") || round == 1, "round %d moves nothing", round);
                } else {
                    Map<TopicPartition, Optional<NewPartitionReassignment>> moves = new HashMap<>();
                    for (int p = 0; p < coordinators; p++) {
                        TopicPartition partition = new TopicPartition(OFFSETS_TOPIC, p);
                        int to = brokers.get((brokers.indexOf(leader(admin, partition)) + 1) % brokers.size());
                        moves.put(partition, Optional.of(new NewPartitionReassignment(List.of(to))));
                    }
                    get(admin.alterPartitionReassignments(moves).all());
                }
                producer.send(new ProducerRecord<>(c.topic(), 0, null, "value")).get();
                int wanted = round;
                poll("the record comes", () -> {
                    consumer.poll(Duration.ofMillis(50));
                    return consumer.position(c.partition(0)) == wanted;
                });
                consumer.commitSync();
                equal((long) round, get(admin.listConsumerGroupOffsets(c.topic()).partitionsToOffsetAndMetadata())
                    .get(c.partition(0)).offset(), "committed");
                OffsetAndMetadata mine = consumer.committed(java.util.Set.of(c.partition(0))).get(c.partition(0));
                equal((long) round, mine.offset(), "committed, as the member sees it");
            }
            equal(generation, consumer.groupMetadata().generationId(), "generation");
        }
    }

    static void answers(Context c) throws Exception {
        c.createTopic(1);
        TopicPartition partition = c.partition(0);
        try (Admin admin = c.admin()) {
            int leader = leader(admin, partition);
            move(admin, partition, leader);
            equal(leader, leader(admin, partition), "leader where it was");
            check(get(admin.listPartitionReassignments().reassignments()).isEmpty(), "nothing is under way");
            fails(NoReassignmentInProgressException.class,
                () -> get(admin.alterPartitionReassignments(Map.of(partition, Optional.empty())).all()));
            fails(UnknownTopicOrPartitionException.class, () -> move(admin, new TopicPartition(c.topic(), 1), leader));
            fails(UnknownTopicOrPartitionException.class,
                () -> move(admin, new TopicPartition(c.topic() + "-none", 0), leader));
            fails(InvalidReplicaAssignmentException.class, () -> move(admin, partition, 424_242));
            fails(InvalidReplicaAssignmentException.class, () -> move(admin, partition, leader, leader));
            List<Integer> brokers = brokers(admin);
            if (brokers.size() > 1) {
                fails(InvalidReplicaAssignmentException.class, () -> move(admin, partition, brokers.get(0), brokers.get(1)));
                fails(InvalidReplicationFactorException.class, () -> get(admin.alterPartitionReassignments(
                    Map.of(partition, Optional.of(new NewPartitionReassignment(List.of(brokers.get(0), brokers.get(1))))),
                    new AlterPartitionReassignmentsOptions().allowReplicationFactorChange(false)).all()));
            }
        }
    }

    private static void move(Admin admin, TopicPartition partition, Integer... replicas) throws Exception {
        var to = Optional.of(new NewPartitionReassignment(List.of(replicas)));
        get(admin.alterPartitionReassignments(Map.of(partition, to)).all());
    }

    /** By the node's own tool; whether it was not there already. */
    private static boolean moveToShard(Context c, String topic, int shard, String... which) throws Exception {
        List<String> command = new ArrayList<>(List.of(System.getenv("ODRADEK_BIN"), "topic", "move", topic));
        command.addAll(List.of(which));
        command.addAll(List.of("--to", "" + shard, "--bootstrap-server", c.bootstrap()));
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String said = new String(process.getInputStream().readAllBytes());
        equal(0, process.waitFor(), command + " says " + said);
        return said.contains("moved " + topic + "-");
    }

    private static List<Integer> brokers(Admin admin) throws Exception {
        return get(admin.describeCluster().nodes()).stream().map(Node::id).sorted().toList();
    }

    private static int leader(Admin admin, TopicPartition partition) throws Exception {
        TopicPartitionInfo info = get(admin.describeTopics(List.of(partition.topic())).allTopicNames())
            .get(partition.topic()).partitions().get(partition.partition());
        return info.leader().id();
    }

    private static long all(long[] counts) {
        return java.util.stream.LongStream.of(counts).sum();
    }

    private static Thread thread(AtomicReference<Throwable> failure, Context.Action action) {
        Thread thread = new Thread(() -> {
            try {
                action.run();
            } catch (Throwable error) {
                failure.compareAndSet(null, error);
            }
        });
        thread.setDaemon(true);
        thread.start();
        return thread;
    }
}
