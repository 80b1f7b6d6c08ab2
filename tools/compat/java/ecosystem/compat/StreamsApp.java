package compat;

import java.util.List;
import java.util.Properties;

import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;

/**
 * A Kafka Streams application with exactly_once_v2. Counts the words of {@code ID-lines} into {@code ID-counts}
 * (keyed by word, every count of it) and joins {@code ID-orders} with the table {@code ID-customers} into
 * {@code ID-shipments} ({@code order customer}). Says READY when it first runs, goes on until it is killed, and
 * ends with an exit code when it fails.
 *
 * <p>Arguments: bootstrap, application id, state directory.
 */
public final class StreamsApp {
    private StreamsApp() {}

    public static void main(String[] args) {
        String id = args[1];
        Properties config = new Properties();
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, id);
        config.put(StreamsConfig.STATE_DIR_CONFIG, args[2]);
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        config.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        config.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        // Every count is a record: one that is missing or comes again shows.
        config.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
        config.put("session.timeout.ms", 6000);
        config.put("heartbeat.interval.ms", 1000);
        config.put("auto.offset.reset", "earliest");

        StreamsBuilder builder = new StreamsBuilder();
        KStream<String, String> lines = builder.stream(id + "-lines");
        lines.flatMapValues(line -> List.of(line.split(" "))).groupBy((key, word) -> word).count().toStream()
            .mapValues(count -> count.toString()).to(id + "-counts");
        KTable<String, String> customers = builder.table(id + "-customers");
        KStream<String, String> orders = builder.stream(id + "-orders");
        orders.join(customers, (order, customer) -> order + " " + customer).to(id + "-shipments");

        KafkaStreams streams = new KafkaStreams(builder.build(), config);
        streams.setUncaughtExceptionHandler(failure -> {
            failure.printStackTrace();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        streams.setStateListener((now, before) -> {
            System.err.println("state " + before + " -> " + now);
            if (now == KafkaStreams.State.RUNNING) {
                System.out.println("READY application=" + id);
                System.out.flush();
            } else if (now == KafkaStreams.State.ERROR) {
                Runtime.getRuntime().halt(1);
            }
        });
        streams.start();
    }
}
