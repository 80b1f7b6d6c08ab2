package compat;

import static compat.Context.check;
import static compat.Context.equal;
import static compat.Context.fails;
import static compat.Context.poll;
import static compat.Context.take;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.FencedInstanceIdException;

/** Classic consumer groups: joining, sharing, committing, leaving. */
final class GroupScenarios {
    private GroupScenarios() {}

    static void subscribeAndCommitSync(Context c) throws Exception {
        fill(c, 3, 300);
        try (Consumer<String, String> consumer = c.consumer("group.id", c.topic())) {
            consumer.subscribe(List.of(c.topic()));
            take(consumer, 300);
            consumer.commitSync();
            equal(100L, committed(consumer, c.partition(1)), "committed");
        }
        try (Consumer<String, String> second = c.consumer("group.id", c.topic())) {
            second.subscribe(List.of(c.topic()));
            poll("the second member is assigned", () -> {
                check(second.poll(Duration.ofMillis(200)).isEmpty(), "a committed record came again");
                return second.assignment().size() == 3;
            });
            fill(c, 3, 30);
            take(second, 30);
        }
    }

    static void commitAsyncAndMetadata(Context c) throws Exception {
        fill(c, 1, 10);
        try (Consumer<String, String> consumer = c.consumer("group.id", c.topic())) {
            consumer.assign(List.of(c.partition(0)));
            take(consumer, 10);
            AtomicReference<Object> outcome = new AtomicReference<>();
            consumer.commitAsync(Map.of(c.partition(0), new OffsetAndMetadata(7, "a note")),
                (offsets, error) -> outcome.set(error == null ? offsets : error));
            poll("the commit is answered", () -> {
                consumer.poll(Duration.ofMillis(50));
                return outcome.get() != null;
            });
            check(outcome.get() instanceof Map, "commit failed: %s", outcome.get());
            OffsetAndMetadata committed = consumer.committed(Set.of(c.partition(0))).get(c.partition(0));
            equal(7L, committed.offset(), "committed");
            equal("a note", committed.metadata(), "metadata");
        }
    }

    static void autoCommitOnClose(Context c) throws Exception {
        fill(c, 1, 50);
        try (Consumer<String, String> consumer =
                 c.consumer("group.id", c.topic(), "enable.auto.commit", "true", "auto.commit.interval.ms", "100")) {
            consumer.subscribe(List.of(c.topic()));
            take(consumer, 50);
        }
        try (Consumer<String, String> reader = c.consumer("group.id", c.topic())) {
            equal(50L, committed(reader, c.partition(0)), "committed");
        }
    }

    static void twoConsumersShareRange(Context c) throws Exception {
        twoShare(c, "org.apache.kafka.clients.consumer.RangeAssignor");
    }

    static void twoConsumersShareCooperative(Context c) throws Exception {
        twoShare(c, "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");
    }

    /** A second member joins, each has half; the first leaves, the second has all. */
    private static void twoShare(Context c, String assignor) throws Exception {
        c.createTopic(4);
        String[] settings = {"group.id", c.topic(), "partition.assignment.strategy", assignor,
            "session.timeout.ms", "10000", "heartbeat.interval.ms", "500"};
        List<String> revoked = new ArrayList<>();
        KafkaConsumer<String, String> first = c.consumer(settings);
        try (Consumer<String, String> second = c.consumer(settings)) {
            first.subscribe(List.of(c.topic()), new ConsumerRebalanceListener() {
                public void onPartitionsAssigned(Collection<TopicPartition> partitions) {}

                public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                    partitions.forEach(p -> revoked.add(p.toString()));
                }
            });
            poll("the first has all", () -> assigned(first) == 4);
            second.subscribe(List.of(c.topic()));
            poll("both have half", () -> assigned(first) == 2 & assigned(second) == 2);
            check(revoked.size() >= 2, "the first was told what it lost: %s", revoked);
            Set<String> all = new TreeSet<>();
            first.assignment().forEach(p -> all.add(p.toString()));
            second.assignment().forEach(p -> all.add(p.toString()));
            equal(4, all.size(), "partitions between both");

            fill(c, 4, 400);
            Map<TopicPartition, Long> next = new TreeMap<>((a, b) -> a.partition() - b.partition());
            int[] seen = {0};
            poll("all records came", () -> {
                for (Consumer<String, String> consumer : List.of(first, second)) {
                    for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(50))) {
                        TopicPartition p = c.partition(record.partition());
                        equal(next.getOrDefault(p, 0L), record.offset(), "next offset of " + p);
                        next.put(p, record.offset() + 1);
                        seen[0]++;
                    }
                }
                return seen[0] == 400;
            });
            first.commitSync();
            second.commitSync();
            first.close();
            poll("the second has all", () -> assigned(second) == 4);
            for (int i = 0; i < 4; i++) {
                equal(100L, committed(second, c.partition(i)), "committed of " + i);
            }
        } finally {
            first.close();
        }
    }

    static void unsubscribeLeavesTheGroup(Context c) throws Exception {
        c.createTopic(2);
        try (Consumer<String, String> consumer = c.consumer("group.id", c.topic()); Admin admin = c.admin()) {
            consumer.subscribe(List.of(c.topic()));
            poll("assigned", () -> assigned(consumer) == 2);
            consumer.unsubscribe();
            poll("the group is empty", () -> state(admin, c.topic()).equals("Empty"));
        }
    }

    static void aSilentMemberIsExpelled(Context c) throws Exception {
        c.createTopic(2);
        fill(c, 2, 20);
        String[] settings = {"group.id", c.topic(), "session.timeout.ms", "6000", "heartbeat.interval.ms", "500",
            "max.poll.interval.ms", "1500"};
        try (Consumer<String, String> slow = c.consumer(settings)) {
            slow.subscribe(List.of(c.topic()));
            take(slow, 20);
            // Not polling for longer than max.poll.interval.ms: its client leaves the group.
            try (Consumer<String, String> other = c.consumer("group.id", c.topic())) {
                other.subscribe(List.of(c.topic()));
                poll("the other has all", () -> assigned(other) == 2);
                fails(CommitFailedException.class, slow::commitSync);
            }
        }
    }

    /** A static member that comes back within its session gets its partitions without a rebalance. */
    static void staticMemberReturnsWithoutRebalance(Context c) throws Exception {
        c.createTopic(4);
        String[] one = staticMember(c, "one");
        String[] two = staticMember(c, "two");
        KafkaConsumer<String, String> first = c.consumer(one);
        try (Consumer<String, String> second = c.consumer(two)) {
            first.subscribe(List.of(c.topic()));
            second.subscribe(List.of(c.topic()));
            poll("both have half", () -> assigned(first) == 2 & assigned(second) == 2);
            Set<TopicPartition> before = Set.copyOf(first.assignment());
            int generation = second.groupMetadata().generationId();
            // A static member sends no LeaveGroup.
            first.close();
            KafkaConsumer<String, String> returned = c.consumer(one);
            try {
                returned.subscribe(List.of(c.topic()));
                poll("it is back", () -> assigned(returned) == 2 & assigned(second) == 2);
                equal(before, returned.assignment(), "assignment");
                equal(generation, second.groupMetadata().generationId(), "generation");
            } finally {
                returned.close();
            }
        } finally {
            first.close();
        }
    }

    static void aSecondHolderOfAnInstanceIdFencesTheFirst(Context c) throws Exception {
        c.createTopic(2);
        KafkaConsumer<String, String> first = c.consumer(staticMember(c, "same"));
        try (Consumer<String, String> second = c.consumer(staticMember(c, "same"))) {
            first.subscribe(List.of(c.topic()));
            poll("the first is in", () -> assigned(first) == 2);
            second.subscribe(List.of(c.topic()));
            poll("the second is in", () -> assigned(second) == 2);
            fails(FencedInstanceIdException.class, () -> {
                for (int i = 0; i < 100; i++) {
                    first.poll(Duration.ofMillis(200));
                }
            });
        } finally {
            first.close();
        }
    }

    static void patternSubscriptionFindsANewTopic(Context c) throws Exception {
        c.createTopic(1);
        Context later = new Context(c.bootstrap(), c.topic() + "-later", c.brokers());
        try (Consumer<String, String> consumer = c.consumer("group.id", c.topic(), "metadata.max.age.ms", "500")) {
            consumer.subscribe(java.util.regex.Pattern.compile(java.util.regex.Pattern.quote(c.topic()) + ".*"));
            poll("the first topic is assigned", () -> assigned(consumer) == 1);
            later.createTopic(2);
            poll("the new topic is assigned, too", () -> assigned(consumer) == 3);
        }
    }

    /** Four members on threads of their own, one leaves half way: nothing is lost. */
    static void membersComeAndGoNothingIsLost(Context c) throws Exception {
        int count = 4_000;
        fill(c, 6, count);
        Set<String> seen = java.util.Collections.synchronizedSet(new TreeSet<>());
        AtomicReference<Throwable> failure = new AtomicReference<>();
        CountDownLatch ended = new CountDownLatch(4);
        for (int m = 0; m < 4; m++) {
            boolean leavesEarly = m == 0;
            Thread thread = new Thread(() -> {
                try (Consumer<String, String> consumer = c.consumer("group.id", c.topic(), "max.poll.records", "50",
                    "heartbeat.interval.ms", "300")) {
                    consumer.subscribe(List.of(c.topic()));
                    int mine = 0;
                    while (seen.size() < count && failure.get() == null && !(leavesEarly && mine > 100)) {
                        for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100))) {
                            seen.add(record.partition() + "-" + record.offset());
                            mine++;
                        }
                        try {
                            consumer.commitSync();
                        } catch (CommitFailedException | org.apache.kafka.common.errors.RebalanceInProgressException e) {
                            // The records come again, to this member or another.
                            continue;
                        }
                    }
                } catch (Throwable e) {
                    failure.set(e);
                } finally {
                    ended.countDown();
                }
            });
            thread.setDaemon(true);
            thread.start();
        }
        boolean done = ended.await(50, TimeUnit.SECONDS);
        if (failure.get() != null) {
            throw new AssertionError("a member failed", failure.get());
        }
        check(done, "members still running, %d of %d seen", seen.size(), count);
        equal(count, seen.size(), "records seen");
    }

    private static String[] staticMember(Context c, String instance) {
        return new String[] {"group.id", c.topic(), "group.instance.id", instance,
            "session.timeout.ms", "30000", "heartbeat.interval.ms", "500"};
    }

    private static int assigned(Consumer<?, ?> consumer) {
        // The records polled on the way are not what these scenarios count; positions stay
        // at the beginning because nothing has been written yet.
        consumer.poll(Duration.ofMillis(100));
        return consumer.assignment().size();
    }

    private static String state(Admin admin, String group) {
        try {
            return Version.groupState(admin, group);
        } catch (Exception e) {
            throw new AssertionError(e);
        }
    }

    private static long committed(Consumer<?, ?> consumer, TopicPartition partition) {
        OffsetAndMetadata committed = consumer.committed(Set.of(partition)).get(partition);
        check(committed != null, "nothing committed for %s", partition);
        return committed.offset();
    }

    /** {@code count} records evenly over the partitions; the topic is made when it is not there. */
    private static void fill(Context c, int partitions, int count) throws Exception {
        try {
            c.createTopic(partitions);
        } catch (org.apache.kafka.common.errors.TopicExistsException e) {
            // filled a second time
        }
        try (Producer<String, String> producer = c.producer()) {
            for (int i = 0; i < count; i++) {
                producer.send(new ProducerRecord<>(c.topic(), i % partitions, "k" + i, "v" + i));
            }
        }
    }
}
