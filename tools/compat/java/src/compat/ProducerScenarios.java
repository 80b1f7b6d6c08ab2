package compat;

import static compat.Context.check;
import static compat.Context.equal;
import static compat.Context.fails;
import static compat.Context.take;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.header.internals.RecordHeader;

/** What is sent is found: every record, in order, at the offset and time told. */
final class ProducerScenarios {
    private ProducerScenarios() {}

    static void idempotentByDefault(Context c) throws Exception {
        c.createTopic(1);
        roundTrip(c, 5_000, 100);
    }

    static void acksOne(Context c) throws Exception {
        c.createTopic(1);
        roundTrip(c, 2_000, 100, "acks", "1", "enable.idempotence", "false");
    }

    static void acksAllPlain(Context c) throws Exception {
        c.createTopic(1);
        roundTrip(c, 2_000, 100, "acks", "all", "enable.idempotence", "false");
    }

    static void acksZero(Context c) throws Exception {
        c.createTopic(1);
        int count = 1_000;
        try (Producer<String, String> producer = c.producer("acks", "0", "enable.idempotence", "false")) {
            for (int i = 0; i < count; i++) {
                producer.send(new ProducerRecord<>(c.topic(), 0, null, "v" + i));
            }
            producer.flush();
            try (Consumer<String, String> consumer = c.consumer()) {
                consumer.assign(List.of(c.partition(0)));
                int i = 0;
                for (ConsumerRecord<String, String> record : take(consumer, count)) {
                    equal("v" + i++, record.value(), "value");
                }
            }
        }
    }

    static void gzip(Context c) throws Exception {
        c.createTopic(1);
        roundTrip(c, 2_000, 200, "compression.type", "gzip", "linger.ms", "20");
    }

    static void snappy(Context c) throws Exception {
        c.createTopic(1);
        roundTrip(c, 2_000, 200, "compression.type", "snappy", "linger.ms", "20");
    }

    static void lz4(Context c) throws Exception {
        c.createTopic(1);
        roundTrip(c, 2_000, 200, "compression.type", "lz4", "linger.ms", "20");
    }

    static void zstd(Context c) throws Exception {
        c.createTopic(1);
        roundTrip(c, 2_000, 200, "compression.type", "zstd", "linger.ms", "20");
    }

    static void oneRecordBatches(Context c) throws Exception {
        c.createTopic(1);
        roundTrip(c, 500, 10, "batch.size", "0", "linger.ms", "0");
    }

    static void largeRecords(Context c) throws Exception {
        c.createTopic(1);
        roundTrip(c, 12, 900 * 1024);
    }

    static void recordTooLargeForTheNode(Context c) throws Exception {
        c.createTopic(1, Map.of("max.message.bytes", "100000"));
        try (Producer<byte[], byte[]> producer = c.bytesProducer()) {
            ProducerRecord<byte[], byte[]> large = new ProducerRecord<>(c.topic(), new byte[200_000]);
            fails(RecordTooLargeException.class, () -> producer.send(large).get(30, TimeUnit.SECONDS));
        }
        roundTrip(c, 10, 1000);
    }

    static void manyPartitionsByKey(Context c) throws Exception {
        c.createTopic(6);
        int count = 3_000;
        Map<Integer, List<String>> sent = new java.util.TreeMap<>();
        try (Producer<String, String> producer = c.producer("linger.ms", "5")) {
            List<Future<RecordMetadata>> acks = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                acks.add(producer.send(new ProducerRecord<>(c.topic(), "key" + i % 101, "v" + i)));
            }
            for (int i = 0; i < count; i++) {
                RecordMetadata ack = acks.get(i).get(30, TimeUnit.SECONDS);
                List<String> values = sent.computeIfAbsent(ack.partition(), p -> new ArrayList<>());
                equal((long) values.size(), ack.offset(), "offset told");
                values.add("v" + i);
            }
        }
        equal(6, sent.size(), "partitions used");
        try (Consumer<String, String> consumer = c.consumer()) {
            consumer.assign(sent.keySet().stream().map(c::partition).toList());
            for (ConsumerRecord<String, String> record : take(consumer, count)) {
                equal(sent.get(record.partition()).get((int) record.offset()), record.value(), "value");
            }
        }
    }

    static void headersKeysTimestamps(Context c) throws Exception {
        c.createTopic(1);
        // Recent: retention goes by the records' own time.
        long time = System.currentTimeMillis() - 3_600_000;
        byte[] binary = {0, 1, (byte) 0xff, 10};
        try (Producer<String, String> producer = c.producer()) {
            ProducerRecord<String, String> full = new ProducerRecord<>(c.topic(), 0, time, "clé", "värde");
            full.headers().add("h", "one".getBytes(StandardCharsets.UTF_8)).add("h", binary).add("none", null);
            ProducerRecord<String, String> tombstone = new ProducerRecord<>(c.topic(), 0, time + 1, "clé", (String) null);
            ProducerRecord<String, String> empty = new ProducerRecord<>(c.topic(), 0, time + 2, "", "");
            for (ProducerRecord<String, String> record : List.of(full, tombstone, empty)) {
                producer.send(record).get(30, TimeUnit.SECONDS);
            }
        }
        try (Consumer<String, String> consumer = c.consumer()) {
            consumer.assign(List.of(c.partition(0)));
            List<ConsumerRecord<String, String>> records = take(consumer, 3);
            ConsumerRecord<String, String> full = records.get(0);
            equal("clé", full.key(), "key");
            equal("värde", full.value(), "value");
            equal(time, full.timestamp(), "timestamp");
            equal("CreateTime", full.timestampType().toString(), "timestamp type");
            var headers = full.headers().toArray();
            equal(3, headers.length, "headers");
            equal(new RecordHeader("h", "one".getBytes(StandardCharsets.UTF_8)), headers[0], "header");
            equal(binary, headers[1].value(), "binary header");
            equal("none", headers[2].key(), "null header's key");
            equal(null, headers[2].value(), "null header");
            equal(null, records.get(1).value(), "tombstone");
            equal("", records.get(2).key(), "empty key");
            equal("", records.get(2).value(), "empty value");
            equal(time + 2, records.get(2).timestamp(), "last timestamp");
        }
    }

    static void logAppendTime(Context c) throws Exception {
        c.createTopic(1, Map.of("message.timestamp.type", "LogAppendTime"));
        long before = System.currentTimeMillis();
        long told;
        try (Producer<String, String> producer = c.producer("compression.type", "lz4")) {
            told = producer.send(new ProducerRecord<>(c.topic(), 0, 1_000L, "k", "v")).get(30, TimeUnit.SECONDS).timestamp();
        }
        check(told >= before - 1000 && told <= System.currentTimeMillis() + 1000, "append time told: %d", told);
        try (Consumer<String, String> consumer = c.consumer()) {
            consumer.assign(List.of(c.partition(0)));
            ConsumerRecord<String, String> record = take(consumer, 1).get(0);
            equal("LogAppendTime", record.timestampType().toString(), "timestamp type");
            equal(told, record.timestamp(), "timestamp");
        }
    }

    static void autoCreatedTopic(Context c) throws Exception {
        // One request at a time: the topic appears under the producer's feet.
        roundTrip(c, 100, 100, "max.in.flight.requests.per.connection", "1");
    }

    static void unknownPartitionTimesOut(Context c) throws Exception {
        c.createTopic(2);
        try (Producer<String, String> producer = c.producer("max.block.ms", "2000")) {
            fails(TimeoutException.class,
                () -> producer.send(new ProducerRecord<>(c.topic(), 7, "k", "v")).get(30, TimeUnit.SECONDS));
        }
    }

    static void twoProducersInterleave(Context c) throws Exception {
        c.createTopic(1);
        int count = 1_000;
        try (Producer<String, String> a = c.producer(); Producer<String, String> b = c.producer()) {
            for (int i = 0; i < count; i++) {
                a.send(new ProducerRecord<>(c.topic(), 0, "a", "" + i));
                b.send(new ProducerRecord<>(c.topic(), 0, "b", "" + i));
            }
        }
        try (Consumer<String, String> consumer = c.consumer()) {
            consumer.assign(List.of(c.partition(0)));
            int[] next = {0, 0};
            long offset = 0;
            for (ConsumerRecord<String, String> record : take(consumer, 2 * count)) {
                equal(offset++, record.offset(), "offset");
                equal("" + next[record.key().equals("a") ? 0 : 1]++, record.value(), "order of " + record.key());
            }
        }
    }

    /** Sends values that compress about by half and reads them back. */
    private static void roundTrip(Context c, int count, int bytes, String... settings) throws Exception {
        Random random = new Random(count * 31L + bytes);
        List<byte[]> values = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            byte[] value = new byte[bytes];
            for (int j = 0; j < bytes; j++) {
                value[j] = (byte) ('a' + random.nextInt(16));
            }
            values.add(value);
        }
        try (Producer<byte[], byte[]> producer = c.bytesProducer(settings)) {
            List<Future<RecordMetadata>> acks = new ArrayList<>();
            for (byte[] value : values) {
                acks.add(producer.send(new ProducerRecord<>(c.topic(), 0, null, value)));
            }
            for (int i = 0; i < count; i++) {
                equal((long) i, acks.get(i).get(60, TimeUnit.SECONDS).offset(), "offset told");
            }
        }
        try (Consumer<byte[], byte[]> consumer = c.bytesConsumer()) {
            consumer.assign(List.of(c.partition(0)));
            int i = 0;
            for (ConsumerRecord<byte[], byte[]> record : take(consumer, count)) {
                equal((long) i, record.offset(), "offset");
                equal(values.get(i++), record.value(), "value " + record.offset());
            }
        }
    }
}
