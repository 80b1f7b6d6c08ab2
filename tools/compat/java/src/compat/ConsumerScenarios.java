package compat;

import static compat.Context.check;
import static compat.Context.equal;
import static compat.Context.fails;
import static compat.Context.take;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/** Positions, seeks and offset queries without a group. */
final class ConsumerScenarios {
    // Recent: retention goes by the records' own time.
    private static final long T0 = System.currentTimeMillis() - 3_600_000;

    private ConsumerScenarios() {}

    static void seek(Context c) throws Exception {
        fill(c, 1000);
        try (Consumer<String, String> consumer = c.consumer("max.poll.records", "50")) {
            TopicPartition p = c.partition(0);
            consumer.assign(List.of(p));
            for (long target : new long[] {500, 0, 999, 250}) {
                consumer.seek(p, target);
                equal(target, first(consumer).offset(), "first record after the seek");
            }
            consumer.seekToEnd(List.of(p));
            equal(1000L, consumer.position(p), "position at the end");
            consumer.seekToBeginning(List.of(p));
            equal(0L, consumer.position(p), "position at the beginning");
            equal("v0", first(consumer).value(), "first value");
        }
    }

    static void offsetsForTimes(Context c) throws Exception {
        fill(c, 1000);
        try (Consumer<String, String> consumer = c.consumer()) {
            TopicPartition p = c.partition(0);
            OffsetAndTimestamp exact = consumer.offsetsForTimes(Map.of(p, T0 + 420 * 10)).get(p);
            equal(420L, exact.offset(), "offset of a time");
            equal(T0 + 420 * 10, exact.timestamp(), "time of that offset");
            equal(421L, consumer.offsetsForTimes(Map.of(p, T0 + 420 * 10 + 1)).get(p).offset(), "first later");
            equal(0L, consumer.offsetsForTimes(Map.of(p, 0L)).get(p).offset(), "before all");
            equal(null, consumer.offsetsForTimes(Map.of(p, T0 + 1_000_000)).get(p), "after all");
        }
    }

    static void beginningAndEndOffsets(Context c) throws Exception {
        fill(c, 300);
        try (Consumer<String, String> consumer = c.consumer()) {
            TopicPartition p = c.partition(0);
            equal(Map.of(p, 0L), consumer.beginningOffsets(List.of(p)), "beginning");
            equal(Map.of(p, 300L), consumer.endOffsets(List.of(p)), "end");
            consumer.assign(List.of(p));
            consumer.seek(p, 290);
            first(consumer);
            check(Version.knowsLag(consumer, p), "lag is known after a fetch");
        }
    }

    static void resetNoneRefusesAnOffsetOutOfRange(Context c) throws Exception {
        fill(c, 10);
        try (Consumer<String, String> consumer = c.consumer("auto.offset.reset", "none")) {
            consumer.assign(List.of(c.partition(0)));
            consumer.seek(c.partition(0), 5_000);
            fails(OffsetOutOfRangeException.class, () -> {
                for (int i = 0; i < 20; i++) {
                    consumer.poll(Duration.ofMillis(500));
                }
            });
        }
    }

    static void resetLatestSeesOnlyWhatComes(Context c) throws Exception {
        fill(c, 10);
        try (Consumer<String, String> consumer = c.consumer("auto.offset.reset", "latest");
             Producer<String, String> producer = c.producer()) {
            consumer.assign(List.of(c.partition(0)));
            equal(10L, consumer.position(c.partition(0)), "position");
            producer.send(new ProducerRecord<>(c.topic(), 0, "k", "new")).get(30, TimeUnit.SECONDS);
            equal("new", take(consumer, 1).get(0).value(), "value");
        }
    }

    /** A waiting fetch is answered by the record, not by its time limit. */
    static void longPollIsWokenByARecord(Context c) throws Exception {
        fill(c, 1);
        try (Consumer<String, String> consumer = c.consumer("fetch.max.wait.ms", "20000");
             Producer<String, String> producer = c.producer()) {
            consumer.assign(List.of(c.partition(0)));
            take(consumer, 1);
            for (int i = 0; i < 5; i++) {
                consumer.poll(Duration.ofMillis(50));
                long start = System.nanoTime();
                producer.send(new ProducerRecord<>(c.topic(), 0, "k", "n" + i)).get(10, TimeUnit.SECONDS);
                ConsumerRecord<String, String> record = first(consumer);
                equal("n" + i, record.value(), "value");
                long ms = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start);
                check(ms < 5_000, "the record came after %d ms", ms);
            }
            Version.closeNow(consumer);
        }
    }

    static void readCommittedSeesPlainRecords(Context c) throws Exception {
        fill(c, 100);
        try (Consumer<String, String> consumer = c.consumer("isolation.level", "read_committed")) {
            consumer.assign(List.of(c.partition(0)));
            equal(99L, take(consumer, 100).get(99).offset(), "last offset");
            equal(100L, consumer.endOffsets(List.of(c.partition(0))).get(c.partition(0)), "last stable offset");
        }
    }

    static void smallFetches(Context c) throws Exception {
        fill(c, 500);
        try (Consumer<String, String> consumer =
                 c.consumer("max.partition.fetch.bytes", "1", "fetch.max.bytes", "1", "max.poll.records", "7")) {
            consumer.assign(List.of(c.partition(0)));
            long next = 0;
            for (ConsumerRecord<String, String> record : take(consumer, 500)) {
                equal(next++, record.offset(), "offset");
            }
        }
    }

    static void pauseAndResume(Context c) throws Exception {
        c.createTopic(2);
        try (Producer<String, String> producer = c.producer()) {
            for (int i = 0; i < 200; i++) {
                producer.send(new ProducerRecord<>(c.topic(), i % 2, null, "v" + i));
            }
        }
        try (Consumer<String, String> consumer = c.consumer()) {
            consumer.assign(List.of(c.partition(0), c.partition(1)));
            consumer.pause(List.of(c.partition(0)));
            take(consumer, 100).forEach(r -> equal(1, r.partition(), "partition while the other is paused"));
            consumer.resume(List.of(c.partition(0)));
            take(consumer, 100).forEach(r -> equal(0, r.partition(), "partition after resume"));
        }
    }

    static void partitionsForAndListTopics(Context c) throws Exception {
        c.createTopic(3);
        try (Consumer<String, String> consumer = c.consumer()) {
            equal(3, consumer.partitionsFor(c.topic()).size(), "partitions");
            equal(3, consumer.listTopics().get(c.topic()).size(), "partitions in the list");
            consumer.partitionsFor(c.topic()).forEach(p -> check(p.leader() != null, "no leader of %s", p));
        }
    }

    /** {@code count} records, v0.. at T0 plus ten milliseconds each, 20 to a batch. */
    private static void fill(Context c, int count) throws Exception {
        c.createTopic(1);
        try (Producer<String, String> producer = c.producer("linger.ms", "1000")) {
            for (int i = 0; i < count; i++) {
                producer.send(new ProducerRecord<>(c.topic(), 0, T0 + i * 10L, "k" + i, "v" + i));
                if (i % 20 == 19) {
                    producer.flush();
                }
            }
        }
    }

    private static ConsumerRecord<String, String> first(Consumer<String, String> consumer) {
        long deadline = System.nanoTime() + Context.TIMEOUT.toNanos();
        while (System.nanoTime() < deadline) {
            for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200))) {
                return record;
            }
        }
        throw new AssertionError("no record came");
    }
}
