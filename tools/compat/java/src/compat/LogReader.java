package compat;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;

import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reads a topic from its beginning to the end it has now, with Kafka's consumer as it is by
 * default, and prints the checksums of its keys and partitions as one JSON line; what they are over
 * says real_input/checksums.py.
 *
 * <p>Arguments: bootstrap, topic, milliseconds after which it gives up.
 */
public final class LogReader {
    private LogReader() {}

    /** Records, bytes of values, and the digest of one key or partition. */
    private static final class Sum {
        private final MessageDigest digest;
        private long records;
        private long bytes;

        Sum() {
            try {
                digest = MessageDigest.getInstance("SHA-256");
            } catch (NoSuchAlgorithmException e) {
                throw new AssertionError(e);
            }
        }

        String hex() {
            return HexFormat.of().formatHex(digest.digest());
        }
    }

    public static void main(String[] args) throws Exception {
        String topic = args[1];
        long deadline = System.nanoTime() + Long.parseLong(args[2]) * 1_000_000;
        Properties properties = new Properties();
        properties.put("bootstrap.servers", args[0]);
        properties.put("enable.auto.commit", "false");
        Map<Integer, Sum> partitions = new TreeMap<>();
        // By the key's bytes, one char each.
        Map<String, Sum> keys = new HashMap<>();
        ByteBuffer head = ByteBuffer.allocate(24);
        try (KafkaConsumer<byte[], byte[]> consumer =
            new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> all = consumer.partitionsFor(topic).stream()
                .map(p -> new TopicPartition(topic, p.partition())).toList();
            all.forEach(p -> partitions.put(p.partition(), new Sum()));
            consumer.assign(all);
            consumer.seekToBeginning(all);
            Map<TopicPartition, Long> ends = consumer.endOffsets(all);
            long left = ends.values().stream().mapToLong(Long::longValue).sum();
            while (left > 0) {
                if (System.nanoTime() > deadline) {
                    throw new AssertionError(left + " records have not come");
                }
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) {
                    add(partitions.get(record.partition()), keys, head, record);
                    left--;
                }
            }
        }
        print(partitions, keys);
    }

    private static void add(
        Sum partition, Map<String, Sum> keys, ByteBuffer head, ConsumerRecord<byte[], byte[]> record) {
        if (record.offset() != partition.records) {
            throw new AssertionError(String.format("partition %d: offset %d where %d is next",
                record.partition(), record.offset(), partition.records));
        }
        byte[] key = record.key();
        byte[] value = record.value();
        head.clear();
        head.putLong(record.offset()).putLong(record.timestamp()).putInt(key.length).putInt(value.length);
        partition.digest.update(head.array(), 0, 24);
        partition.digest.update(key);
        partition.digest.update(value);
        partition.records++;
        Sum sum = keys.computeIfAbsent(new String(key, StandardCharsets.ISO_8859_1), k -> new Sum());
        head.clear();
        head.putInt(value.length);
        sum.digest.update(head.array(), 0, 4);
        sum.digest.update(value);
        sum.records++;
        sum.bytes += value.length;
    }

    private static void print(Map<Integer, Sum> partitions, Map<String, Sum> keys) throws Exception {
        ObjectMapper json = new ObjectMapper();
        ObjectNode answer = json.createObjectNode();
        ObjectNode byPartition = answer.putObject("partitions");
        partitions.forEach((partition, sum) ->
            byPartition.putArray(String.valueOf(partition)).add(sum.records).add(sum.hex()));
        ObjectNode byKey = answer.putObject("keys");
        keys.forEach((key, sum) -> byKey.putArray(key).add(sum.records).add(sum.bytes).add(sum.hex()));
        System.out.println(json.writeValueAsString(answer));
    }
}
