package compat;

import static compat.Context.check;
import static compat.Context.equal;
import static compat.Context.fails;
import static compat.Context.get;
import static compat.Context.poll;
import static compat.Context.take;

import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;

/** Transactions: all of one is seen, or nothing, by those who read what is committed. */
final class TransactionScenarios {
    private static final int PARTITIONS = 3;

    private TransactionScenarios() {}

    private static void send(Context c, Producer<String, String> producer, String value) {
        for (int p = 0; p < PARTITIONS; p++) {
            producer.send(new ProducerRecord<>(c.topic(), p, null, value + " " + p));
        }
    }

    private static Set<String> values(Context c, int count, String isolation) {
        Set<String> values = new HashSet<>();
        try (Consumer<String, String> consumer = c.consumer("isolation.level", isolation)) {
            consumer.assign(List.of(c.partition(0), c.partition(1), c.partition(2)));
            for (ConsumerRecord<String, String> record : take(consumer, count)) {
                values.add(record.value());
            }
        }
        return values;
    }

    static void committedIsSeenAbortedIsNot(Context c) throws Exception {
        c.createTopic(PARTITIONS);
        Set<String> expected = new HashSet<>();
        try (Producer<String, String> producer = c.producer("transactional.id", c.topic())) {
            producer.initTransactions();
            for (int i = 0; i < 12; i++) {
                producer.beginTransaction();
                send(c, producer, "v" + i);
                if (i % 3 == 1) {
                    producer.flush();
                    producer.abortTransaction();
                    continue;
                }
                producer.commitTransaction();
                for (int p = 0; p < PARTITIONS; p++) {
                    expected.add("v" + i + " " + p);
                }
            }
        }
        equal(expected, values(c, expected.size(), "read_committed"), "what was committed");
        equal(12 * PARTITIONS, values(c, 12 * PARTITIONS, "read_uncommitted").size(), "all");
    }

    static void offsetsAreCommittedWithTheRecords(Context c) throws Exception {
        c.createTopic(PARTITIONS);
        String group = c.topic() + "-g";
        try (Producer<String, String> plain = c.producer()) {
            for (int i = 0; i < 60; i++) {
                plain.send(new ProducerRecord<>(c.topic(), 0, null, "in " + i));
            }
        }
        TopicPartition source = c.partition(0);
        try (Producer<String, String> producer = c.producer("transactional.id", c.topic());
            Consumer<String, String> consumer = c.consumer("group.id", group, "max.poll.records", "10")) {
            producer.initTransactions();
            consumer.subscribe(List.of(c.topic()));
            int done = 0;
            boolean aborted = false;
            while (done < 60) {
                long next = -1;
                producer.beginTransaction();
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200))) {
                    if (record.partition() == 0) {
                        producer.send(new ProducerRecord<>(c.topic(), 1, null, "out " + record.value().substring(3)));
                        next = record.offset() + 1;
                    }
                }
                if (next < 0) {
                    producer.abortTransaction();
                    continue;
                }
                producer.sendOffsetsToTransaction(Map.of(source, new OffsetAndMetadata(next)), consumer.groupMetadata());
                if (!aborted && next > 20) {
                    aborted = true;
                    producer.abortTransaction();
                    // As after a failure: from what is committed on.
                    consumer.seek(source, consumer.committed(Set.of(source)).get(source).offset());
                    continue;
                }
                producer.commitTransaction();
                done = (int) next;
            }
            check(aborted, "one was aborted");
            equal(60L, consumer.committed(Set.of(source)).get(source).offset(), "the group's offset");
        }
        try (Consumer<String, String> reader = c.consumer("isolation.level", "read_committed")) {
            reader.assign(List.of(c.partition(1)));
            int i = 0;
            for (ConsumerRecord<String, String> record : take(reader, 60)) {
                equal("out " + i++, record.value(), "value");
            }
        }
    }

    static void theNewerProducerFencesTheOlder(Context c) throws Exception {
        c.createTopic(PARTITIONS);
        try (Producer<String, String> old = c.producer("transactional.id", c.topic());
            Producer<String, String> newer = c.producer("transactional.id", c.topic())) {
            old.initTransactions();
            old.beginTransaction();
            send(c, old, "old");
            old.flush();
            newer.initTransactions();
            newer.beginTransaction();
            send(c, newer, "new");
            newer.commitTransaction();
            try {
                old.commitTransaction();
                throw new AssertionError("the older one commits");
            } catch (ProducerFencedException | InvalidProducerEpochException expected) {
                // It is over for it.
            }
        }
        equal(Set.of("new 0", "new 1", "new 2"), values(c, 3, "read_committed"), "what was committed");
    }

    static void administratorsSeeAndFence(Context c) throws Exception {
        c.createTopic(PARTITIONS);
        try (Admin admin = c.admin(); Producer<String, String> producer = c.producer("transactional.id", c.topic())) {
            producer.initTransactions();
            producer.beginTransaction();
            send(c, producer, "open");
            producer.flush();
            TransactionDescription open = get(admin.describeTransactions(List.of(c.topic())).description(c.topic()));
            equal(TransactionState.ONGOING, open.state(), "state");
            equal(PARTITIONS, open.topicPartitions().size(), "partitions");
            check(get(admin.listTransactions().all()).stream().anyMatch(t -> t.transactionalId().equals(c.topic())), "it is listed");
            Map<TopicPartition, Long> starts = new HashMap<>();
            get(admin.describeProducers(List.of(c.partition(0))).partitionResult(c.partition(0))).activeProducers()
                .forEach(state -> starts.put(c.partition(0), state.currentTransactionStartOffset().orElse(-1)));
            equal(0L, starts.get(c.partition(0)), "where the transaction starts");
            get(admin.fenceProducers(List.of(c.topic())).all());
            fails(Exception.class, producer::commitTransaction);
            poll("it is aborted", () -> {
                try {
                    return get(admin.describeTransactions(List.of(c.topic())).description(c.topic())).state()
                        != TransactionState.PREPARE_ABORT;
                } catch (Exception e) {
                    throw new AssertionError(e);
                }
            });
        }
    }
}
