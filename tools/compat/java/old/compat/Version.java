package compat;

import static compat.Context.get;

import java.time.Duration;
import java.util.List;
import java.util.TreeSet;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;

/** What the old clients call otherwise than the current ones, and what they do not have. */
final class Version {
    static final List<Class<?>> SCENARIOS =
        List.of(ProducerScenarios.class, ConsumerScenarios.class, GroupScenarios.class, OldAdminScenarios.class,
            ScriptScenarios.class, TransactionScriptScenarios.class);

    private Version() {}

    static void closeNow(Consumer<?, ?> consumer) {
        consumer.close(Duration.ZERO);
    }

    static boolean knowsLag(Consumer<?, ?> consumer, TopicPartition partition) {
        return true;
    }

    static String groupState(Admin admin, String group) throws Exception {
        return get(admin.describeConsumerGroups(List.of(group)).all()).get(group).state().toString();
    }

    static KafkaFuture<TopicDescription> describe(Admin admin, String topic) {
        return admin.describeTopics(List.of(topic)).values().get(topic);
    }

    static String transaction(Admin admin, String id) {
        return "it cannot ask";
    }

    static boolean settled(Admin admin, String id) {
        return true;
    }

    static String producers(Admin admin, TopicPartition partition) {
        return "it cannot ask";
    }

    static void abort(Admin admin, TopicPartition partition) {}

    static Object topicOperations(Admin admin, String topic) throws Exception {
        DescribeTopicsOptions options = new DescribeTopicsOptions().includeAuthorizedOperations(true);
        return new TreeSet<>(get(admin.describeTopics(List.of(topic), options).values().get(topic)).authorizedOperations());
    }
}
