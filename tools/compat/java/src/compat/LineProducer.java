package compat;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;

import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Produces a file's lines, each a key, a tab and a value, with Kafka's producer as it is by default
 * (idempotent, acks=all). Prints one JSON line: records acknowledged, and records that were sent
 * again. Fails at the first record that is given up.
 *
 * <p>Arguments: bootstrap, topic, file.
 */
public final class LineProducer {
    private LineProducer() {}

    public static void main(String[] args) throws Exception {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", args[0]);
        String topic = args[1];
        AtomicLong acknowledged = new AtomicLong();
        AtomicReference<Exception> failure = new AtomicReference<>();
        double retries;
        try (InputStream in = new BufferedInputStream(new FileInputStream(args[2]), 1 << 20);
            KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer())) {
            Lines lines = new Lines(in);
            byte[] line;
            while ((line = lines.next()) != null && failure.get() == null) {
                int tab = 0;
                while (line[tab] != '\t') {
                    tab++;
                }
                byte[] key = Arrays.copyOf(line, tab);
                byte[] value = Arrays.copyOfRange(line, tab + 1, line.length);
                producer.send(new ProducerRecord<>(topic, key, value), (metadata, error) -> {
                    if (error != null) {
                        failure.compareAndSet(null, error);
                    } else {
                        acknowledged.incrementAndGet();
                    }
                });
            }
            producer.flush();
            retries = (double) producer.metrics().values().stream()
                .filter(m -> m.metricName().name().equals("record-retry-total")
                    && m.metricName().group().equals("producer-metrics"))
                .findFirst().orElseThrow().metricValue();
        }
        if (failure.get() != null) {
            failure.get().printStackTrace();
            System.exit(1);
        }
        System.out.println("{\"records\": " + acknowledged.get() + ", \"retries\": " + (long) retries + "}");
    }

    /** Lines as bytes: a BufferedReader would make text of them. */
    private static final class Lines {
        private final InputStream in;
        private final byte[] buffer = new byte[1 << 20];
        private final ByteArrayOutputStream begun = new ByteArrayOutputStream();
        private int start;
        private int end;

        Lines(InputStream in) {
            this.in = in;
        }

        byte[] next() throws IOException {
            while (true) {
                for (int at = start; at < end; at++) {
                    if (buffer[at] == '\n') {
                        byte[] line = begun.size() == 0 ? Arrays.copyOfRange(buffer, start, at) : joined(at);
                        start = at + 1;
                        return line;
                    }
                }
                begun.write(buffer, start, end - start);
                start = 0;
                end = Math.max(0, in.read(buffer));
                if (end == 0) {
                    return begun.size() == 0 ? null : joined(0);
                }
            }
        }

        private byte[] joined(int at) {
            begun.write(buffer, start, at - start);
            byte[] line = begun.toByteArray();
            begun.reset();
            return line;
        }
    }
}
