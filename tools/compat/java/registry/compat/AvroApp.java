package compat;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.Future;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;

import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Produces and consumes Avro records whose schemas a registry keeps. Asked in lines of JSON, as {@code Driver}:
 *
 * <ul>
 * <li>{@code {"produce": schema, "records": [..]}}: each of them, an object of strings and numbers;
 * <li>{@code {"consume": count}}: {@code records}, the first so many of the topic as JSON, by a consumer of their own.
 * </ul>
 *
 * <p>Arguments: bootstrap, the registry's URL, topic.
 */
public final class AvroApp {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Duration TIMEOUT = Duration.ofSeconds(40);

    private AvroApp() {}

    public static void main(String[] args) throws Exception {
        PrintStream answers = System.out;
        System.setOut(System.err);
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        String line;
        while ((line = requests.readLine()) != null) {
            ObjectNode answer = JSON.createObjectNode();
            try {
                JsonNode request = JSON.readTree(line);
                if (request.has("produce")) {
                    produce(args, new Schema.Parser().parse(request.get("produce").asText()), request.get("records"));
                } else {
                    consume(args, request.get("consume").asInt()).forEach(answer.putArray("records")::add);
                }
            } catch (Throwable failure) {
                failure.printStackTrace();
                answer.put("failure", failure.toString());
            }
            answers.println(JSON.writeValueAsString(answer));
            answers.flush();
        }
    }

    private static Properties properties(String[] args) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", args[0]);
        properties.put("apicurio.registry.url", args[1]);
        properties.put("apicurio.registry.auto-register", "true");
        return properties;
    }

    private static void produce(String[] args, Schema schema, JsonNode records) throws Exception {
        Properties properties = properties(args);
        properties.put("key.serializer", StringSerializer.class.getName());
        properties.put("value.serializer", "io.apicurio.registry.serde.avro.AvroKafkaSerializer");
        try (KafkaProducer<String, GenericRecord> producer = new KafkaProducer<>(properties)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (JsonNode fields : records) {
                GenericRecord record = new GenericData.Record(schema);
                for (Schema.Field field : schema.getFields()) {
                    JsonNode value = fields.get(field.name());
                    record.put(field.name(), value.isNumber() ? (Object) value.asLong() : value.asText());
                }
                sent.add(producer.send(new ProducerRecord<>(args[2], record)));
            }
            for (Future<RecordMetadata> one : sent) {
                one.get();
            }
        }
    }

    private static List<String> consume(String[] args, int count) {
        Properties properties = properties(args);
        properties.put("key.deserializer", StringDeserializer.class.getName());
        properties.put("value.deserializer", "io.apicurio.registry.serde.avro.AvroKafkaDeserializer");
        properties.put("group.id", args[2] + "-readers-" + System.nanoTime());
        properties.put("auto.offset.reset", "earliest");
        List<String> records = new ArrayList<>();
        try (KafkaConsumer<String, GenericRecord> consumer = new KafkaConsumer<>(properties)) {
            consumer.subscribe(List.of(args[2]));
            long deadline = System.nanoTime() + TIMEOUT.toNanos();
            while (records.size() < count) {
                if (System.nanoTime() > deadline) {
                    throw new AssertionError("only " + records.size() + " of " + count + " records came");
                }
                // A generic record prints as JSON.
                consumer.poll(Duration.ofMillis(200)).forEach(record -> records.add(record.value().toString()));
            }
        }
        return records;
    }
}
