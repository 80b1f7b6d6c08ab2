package compat;

import static compat.Context.get;

import java.time.Duration;
import java.util.List;
import java.util.TreeSet;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;

/** What the current clients call otherwise than the old ones; java/old has their side. */
final class Version {
    static final List<Class<?>> SCENARIOS =
        List.of(ProducerScenarios.class, ConsumerScenarios.class, GroupScenarios.class, AdminScenarios.class,
            ChangeScenarios.class, MoveScenarios.class, ScriptScenarios.class, TransactionScenarios.class);

    private Version() {}

    /** An ordinary close waits for the fetch under way. */
    static void closeNow(Consumer<?, ?> consumer) {
        consumer.close(CloseOptions.timeout(Duration.ZERO));
    }

    static boolean knowsLag(Consumer<?, ?> consumer, TopicPartition partition) {
        return consumer.currentLag(partition).isPresent();
    }

    /** As Kafka writes it, such as {@code Empty}. */
    static String groupState(Admin admin, String group) throws Exception {
        return get(admin.describeConsumerGroups(List.of(group)).all()).get(group).groupState().toString();
    }

    static KafkaFuture<TopicDescription> describe(Admin admin, String topic) {
        return admin.describeTopics(List.of(topic)).topicNameValues().get(topic);
    }

    static Object topicOperations(Admin admin, String topic) throws Exception {
        DescribeTopicsOptions options = new DescribeTopicsOptions().includeAuthorizedOperations(true);
        return new TreeSet<>(get(admin.describeTopics(List.of(topic), options).topicNameValues().get(topic)).authorizedOperations());
    }
}
