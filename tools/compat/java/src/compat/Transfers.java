package compat;

import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;

import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Moves money: reads orders {@code id from to amount} and books each as two records, {@code id -amount} keyed by
 * who pays and {@code id amount} keyed by who gets it; bookings and the group's offsets are one transaction. Runs
 * until it is killed; whatever fails ends it, so that it can be started anew.
 *
 * <p>Arguments: bootstrap, transactional id, group, topic of orders, topic of bookings.
 */
public final class Transfers {
    private Transfers() {}

    public static void main(String[] args) {
        Properties in = new Properties();
        in.put("bootstrap.servers", args[0]);
        in.put("group.id", args[2]);
        in.put("isolation.level", "read_committed");
        in.put("auto.offset.reset", "earliest");
        in.put("enable.auto.commit", "false");
        in.put("session.timeout.ms", "6000");
        in.put("max.poll.records", "50");
        Properties out = new Properties();
        out.put("bootstrap.servers", args[0]);
        out.put("transactional.id", args[1]);
        out.put("transaction.timeout.ms", "5000");
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(out, new StringSerializer(), new StringSerializer());
            KafkaConsumer<String, String> consumer = new KafkaConsumer<>(in, new StringDeserializer(), new StringDeserializer())) {
            producer.initTransactions();
            consumer.subscribe(List.of(args[3]));
            while (true) {
                ConsumerRecords<String, String> orders = consumer.poll(Duration.ofMillis(100));
                if (orders.isEmpty()) {
                    continue;
                }
                producer.beginTransaction();
                Map<TopicPartition, OffsetAndMetadata> done = new HashMap<>();
                for (ConsumerRecord<String, String> order : orders) {
                    String[] parts = order.value().split(" ");
                    producer.send(new ProducerRecord<>(args[4], parts[1], parts[0] + " -" + parts[3]));
                    producer.send(new ProducerRecord<>(args[4], parts[2], parts[0] + " " + parts[3]));
                    done.put(new TopicPartition(order.topic(), order.partition()), new OffsetAndMetadata(order.offset() + 1));
                }
                producer.sendOffsetsToTransaction(done, consumer.groupMetadata());
                producer.commitTransaction();
            }
        } catch (Throwable e) {
            e.printStackTrace();
            Runtime.getRuntime().halt(1);
        }
    }
}
