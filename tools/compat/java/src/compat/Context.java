package compat;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** The node a scenario speaks to, a topic name of its own, and the means to check. */
record Context(String bootstrap, String topic, int brokers, List<String> lines) {
    static final Duration TIMEOUT = Duration.ofSeconds(30);

    Context(String bootstrap, String topic, int brokers) {
        this(bootstrap, topic, brokers, new ArrayList<>());
    }

    /** Adds to the transcript. The topic's name, which differs from run to run, becomes T. */
    void say(String format, Object... args) {
        lines.add(String.format(format, args).replace(topic, "T"));
    }

    /** Pairs of setting and value. */
    Properties properties(String... settings) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        for (int i = 0; i < settings.length; i += 2) {
            properties.put(settings[i], settings[i + 1]);
        }
        return properties;
    }

    Admin admin() {
        return Admin.create(properties());
    }

    KafkaProducer<String, String> producer(String... settings) {
        return new KafkaProducer<>(properties(settings), new StringSerializer(), new StringSerializer());
    }

    KafkaProducer<byte[], byte[]> bytesProducer(String... settings) {
        return new KafkaProducer<>(properties(settings), new ByteArraySerializer(), new ByteArraySerializer());
    }

    KafkaConsumer<String, String> consumer(String... settings) {
        return new KafkaConsumer<>(withDefaults(settings), new StringDeserializer(), new StringDeserializer());
    }

    KafkaConsumer<byte[], byte[]> bytesConsumer(String... settings) {
        return new KafkaConsumer<>(withDefaults(settings), new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private Properties withDefaults(String... settings) {
        Properties properties = properties("auto.offset.reset", "earliest", "enable.auto.commit", "false");
        properties.putAll(properties(settings));
        return properties;
    }

    TopicPartition partition(int partition) {
        return new TopicPartition(topic, partition);
    }

    /**
     * Creates it and waits until every partition answers. Kafka tells of a partition a little
     * before it serves it; a pipelining producer that comes in between has its first batch
     * refused and the next ones appended: out of order.
     */
    void createTopic(int partitions, Map<String, String> configs) throws Exception {
        try (Admin admin = admin()) {
            get(admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1).configs(configs))).all());
            awaitReady(admin, partitions);
        }
    }

    void awaitReady(Admin admin, int partitions) {
        Map<TopicPartition, OffsetSpec> all = new HashMap<>();
        for (int p = 0; p < partitions; p++) {
            all.put(partition(p), OffsetSpec.latest());
        }
        poll("the topic is ready", () -> {
            try {
                get(admin.listOffsets(all).all());
                return true;
            } catch (RetriableException e) {
                return false;
            } catch (Exception e) {
                throw new AssertionError(e);
            }
        });
    }

    void createTopic(int partitions) throws Exception {
        createTopic(partitions, Map.of());
    }

    static <T> T get(KafkaFuture<T> future) throws Exception {
        try {
            return future.get(TIMEOUT.toSeconds(), TimeUnit.SECONDS);
        } catch (ExecutionException e) {
            throw e.getCause() instanceof Exception cause ? cause : e;
        }
    }

    /** Polls until {@code count} records have come, and a little further: no more may come. */
    static <K, V> List<ConsumerRecord<K, V>> take(Consumer<K, V> consumer, int count) {
        List<ConsumerRecord<K, V>> records = new ArrayList<>();
        long deadline = System.nanoTime() + TIMEOUT.toNanos();
        while (records.size() < count) {
            check(System.nanoTime() < deadline, "only %d of %d records came", records.size(), count);
            consumer.poll(Duration.ofMillis(200)).forEach(records::add);
        }
        consumer.poll(Duration.ofMillis(100)).forEach(records::add);
        equal(count, records.size(), "records");
        return records;
    }

    static void poll(String what, BooleanSupplier step) {
        long deadline = System.nanoTime() + TIMEOUT.toNanos();
        while (!step.getAsBoolean()) {
            check(System.nanoTime() < deadline, "still waiting until %s", what);
        }
    }

    static void check(boolean condition, String message, Object... args) {
        if (!condition) {
            throw new AssertionError(String.format(message, args));
        }
    }

    static void equal(Object expected, Object actual, String what) {
        boolean same = expected instanceof byte[] e && actual instanceof byte[] a
            ? Arrays.equals(e, a) : Objects.equals(expected, actual);
        check(same, "%s: expected %s, got %s", what, shown(expected), shown(actual));
    }

    private static Object shown(Object value) {
        return value instanceof byte[] b ? b.length + " bytes" : value instanceof Collection<?> c && c.size() > 50
            ? c.size() + " elements" : value;
    }

    /** Fails unless {@code action} throws {@code expected} (perhaps as a cause). */
    static void fails(Class<? extends Throwable> expected, Action action) {
        try {
            action.run();
        } catch (Throwable e) {
            for (Throwable t = e; t != null; t = t.getCause()) {
                if (expected.isInstance(t)) {
                    return;
                }
            }
            throw new AssertionError("expected " + expected.getSimpleName() + ", got " + e, e);
        }
        throw new AssertionError("expected " + expected.getSimpleName() + ", got no error");
    }

    interface Action {
        void run() throws Exception;
    }
}
