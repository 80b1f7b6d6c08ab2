package compat;

import static compat.Context.get;
import static compat.ScriptScenarios.ask;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/** A transactional producer's life as a transcript, with what readers and administrators see of it. */
final class TransactionScriptScenarios {
    private TransactionScriptScenarios() {}

    static void transactions(Context c) throws Exception {
        c.createTopic(2);
        String id = c.topic() + "-id";
        String group = c.topic() + "-g";
        List<TopicPartition> both = List.of(c.partition(0), c.partition(1));
        Map<TopicPartition, OffsetAndMetadata> offsets = Map.of(c.partition(1), new OffsetAndMetadata(4, "a note"));
        ConsumerGroupMetadata nobody = new ConsumerGroupMetadata(group, 5, "nobody", Optional.empty());
        try (Admin admin = c.admin();
             Consumer<String, String> committed = c.consumer("isolation.level", "read_committed", "group.id", group);
             Consumer<String, String> all = c.consumer("isolation.level", "read_uncommitted");
             Producer<String, String> old = c.producer("transactional.id", id);
             Producer<String, String> newer = c.producer("transactional.id", id)) {
            Runnable look = () -> {
                ask(c, "state", () -> Version.transaction(admin, id));
                ask(c, "producers", () -> Version.producers(admin, c.partition(0)));
                ask(c, "ends for who reads what is committed", () -> ends(committed, both));
                ask(c, "ends for who reads all", () -> ends(all, both));
            };
            Runnable settled = () -> Context.poll("it is through", () -> {
                try {
                    // What is committed or aborted, and not yet everywhere, holds back the end of who reads what is committed.
                    return Version.settled(admin, id) && ends(committed, both).equals(ends(all, both));
                } catch (Exception e) {
                    throw new AssertionError(e);
                }
            });
            ask(c, "state of nothing", () -> Version.transaction(admin, id));
            ask(c, "init", () -> { old.initTransactions(); return "done"; });
            look.run();
            old.beginTransaction();
            for (int i = 0; i < 4; i++) {
                send(c, old, i % 2, "committed " + i);
            }
            look.run();
            ask(c, "commit", () -> { old.commitTransaction(); return "done"; });
            settled.run();
            look.run();
            old.beginTransaction();
            send(c, old, 0, "aborted");
            old.flush();
            ask(c, "abort", () -> { old.abortTransaction(); return "done"; });
            settled.run();
            look.run();
            old.beginTransaction();
            ask(c, "commit nothing", () -> { old.commitTransaction(); return "done"; });
            look.run();
            old.beginTransaction();
            ask(c, "offsets", () -> { old.sendOffsetsToTransaction(offsets, new ConsumerGroupMetadata(group)); return "sent"; });
            ask(c, "state with offsets", () -> Version.transaction(admin, id).replaceAll("__consumer_offsets-\\d+", "offsets"));
            ask(c, "abort offsets", () -> { old.abortTransaction(); return "done"; });
            settled.run();
            ask(c, "committed offsets", () -> committed.committed(Set.copyOf(both)).values().stream().filter(o -> o != null).toList());
            old.beginTransaction();
            old.sendOffsetsToTransaction(offsets, new ConsumerGroupMetadata(group));
            ask(c, "commit offsets", () -> { old.commitTransaction(); return "done"; });
            settled.run();
            ask(c, "committed offsets", () -> committed.committed(Set.copyOf(both)).get(c.partition(1)).offset());
            old.beginTransaction();
            ask(c, "offsets of no member", () -> { old.sendOffsetsToTransaction(offsets, nobody); return "sent"; });
            ask(c, "abort after that", () -> { old.abortTransaction(); return "done"; });
            settled.run();
            old.beginTransaction();
            send(c, old, 0, "of who is fenced");
            ask(c, "fence", () -> { newer.initTransactions(); return "done"; });
            ask(c, "commit of who is fenced", () -> { old.commitTransaction(); return "done"; });
            settled.run();
            look.run();
            newer.beginTransaction();
            send(c, newer, 0, "an administrator aborts it");
            ask(c, "an administrator aborts", () -> { Version.abort(admin, c.partition(0)); return "done"; });
            ask(c, "producers", () -> Version.producers(admin, c.partition(0)));
            ask(c, "abort it oneself", () -> { newer.abortTransaction(); return "done"; });
            settled.run();
            read(c, "committed", committed, both);
            read(c, "all", all, both);
        }
    }

    private static void send(Context c, Producer<String, String> producer, int partition, String value) {
        ask(c, "send " + value, () -> producer.send(new ProducerRecord<>(c.topic(), partition, 1_700_000_000_000L, null, value))
            .get(20, TimeUnit.SECONDS).offset());
    }

    private static String ends(Consumer<?, ?> consumer, List<TopicPartition> partitions) {
        Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
        return partitions.stream().map(ends::get).toList().toString();
    }

    /** Up to the end: markers are passed over in silence. */
    private static void read(Context c, String what, Consumer<String, String> consumer, List<TopicPartition> partitions) {
        consumer.assign(partitions);
        consumer.seekToBeginning(partitions);
        Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
        while (partitions.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
            for (ConsumerRecord<String, String> r : consumer.poll(Duration.ofMillis(200))) {
                c.say("read %s %d-%d: %s", what, r.partition(), r.offset(), r.value());
            }
        }
    }
}
