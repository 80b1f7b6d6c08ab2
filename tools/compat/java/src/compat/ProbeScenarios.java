package compat;

import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;

/** What suites ask for by name, because they look at the server meanwhile, or after. */
final class ProbeScenarios {
    private ProbeScenarios() {}

    /** A producer that is asked for its metrics pushes them, at the latest when it is closed. */
    static void clientMetrics(Context c) throws Exception {
        c.createTopic(1);
        try (KafkaProducer<String, String> producer = c.producer("client.id", c.topic())) {
            producer.send(new ProducerRecord<>(c.topic(), "v")).get();
            c.lines().add(producer.clientInstanceId(Context.TIMEOUT).toString());
        }
    }
}
