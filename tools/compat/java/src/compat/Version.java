package compat;

import static compat.Context.get;

import java.time.Duration;
import java.util.List;
import java.util.TreeSet;

import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;

/** What the current clients call otherwise than the old ones; java/old has their side. */
final class Version {
    static final List<Class<?>> SCENARIOS =
        List.of(ProducerScenarios.class, ConsumerScenarios.class, GroupScenarios.class, AdminScenarios.class,
            ChangeScenarios.class, MoveScenarios.class, ScriptScenarios.class, TransactionScenarios.class,
            TransactionScriptScenarios.class, ProbeScenarios.class);

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

    /** What administrators see of a transaction: its state and partitions, and whether it is listed as such. */
    static String transaction(Admin admin, String id) throws Exception {
        var told = get(admin.describeTransactions(List.of(id)).description(id));
        var listed = get(admin.listTransactions(new ListTransactionsOptions().filterStates(List.of(told.state()))).all());
        return told.state() + " epoch " + told.producerEpoch() + " " + new TreeSet<>(told.topicPartitions().stream().map(Object::toString).toList())
            + (told.transactionStartTimeMs().isPresent() ? " begun" : "")
            + (listed.stream().anyMatch(one -> one.transactionalId().equals(id)) ? " listed" : "");
    }

    /** Whether a transaction is through. */
    static boolean settled(Admin admin, String id) throws Exception {
        return !get(admin.describeTransactions(List.of(id)).description(id)).state().name().startsWith("PREPARE");
    }

    /** What the leader of a partition knows of producers. */
    static String producers(Admin admin, TopicPartition partition) throws Exception {
        return get(admin.describeProducers(List.of(partition)).partitionResult(partition)).activeProducers().stream()
            .map(one -> "epoch " + one.producerEpoch() + " sequence " + one.lastSequence() + " coordinator's " + one.coordinatorEpoch().orElse(-1)
                + " start " + one.currentTransactionStartOffset().orElse(-1))
            .sorted().toList().toString();
    }

    static void abort(Admin admin, TopicPartition partition) throws Exception {
        for (var one : get(admin.describeProducers(List.of(partition)).partitionResult(partition)).activeProducers()) {
            if (one.currentTransactionStartOffset().isPresent()) {
                get(admin.abortTransaction(new AbortTransactionSpec(partition, one.producerId(), (short) one.producerEpoch(),
                    one.coordinatorEpoch().orElse(0))).all());
            }
        }
    }

    static Object topicOperations(Admin admin, String topic) throws Exception {
        DescribeTopicsOptions options = new DescribeTopicsOptions().includeAuthorizedOperations(true);
        return new TreeSet<>(get(admin.describeTopics(List.of(topic), options).topicNameValues().get(topic)).authorizedOperations());
    }
}
