package compat;

import java.util.concurrent.locks.LockSupport;

import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;

/** What suites ask for by name, because they look at the server meanwhile, or after. */
final class ProbeScenarios {
    private ProbeScenarios() {}

    /** A producer that is asked for its metrics pushes them. */
    static void clientMetrics(Context c) throws Exception {
        c.createTopic(1);
        try (KafkaProducer<String, String> producer = c.producer("client.id", c.topic())) {
            producer.send(new ProducerRecord<>(c.topic(), "v")).get();
            // It has been told what to push then; closing it at once, it may push nothing.
            c.lines().add(producer.clientInstanceId(Context.TIMEOUT).toString());
            double before = requests(producer);
            Context.poll("it has pushed", () -> {
                LockSupport.parkNanos(5_000_000);
                return requests(producer) >= before + 2;
            });
        }
    }

    private static double requests(KafkaProducer<?, ?> producer) {
        return producer.metrics().entrySet().stream()
            .filter(one -> one.getKey().group().equals("producer-metrics") && one.getKey().name().equals("request-total"))
            .mapToDouble(one -> (Double) one.getValue().metricValue()).sum();
    }
}
