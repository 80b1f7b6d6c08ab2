package compat;

import static compat.Context.check;
import static compat.Context.equal;
import static compat.Context.fails;
import static compat.Context.get;
import static compat.Context.poll;
import static compat.Context.take;

import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.admin.AlterConfigsOptions;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreatePartitionsOptions;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.Metric;
import org.apache.kafka.common.MetricName;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.ElectionNotNeededException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicaAssignmentException;
import org.apache.kafka.common.errors.InvalidRequestException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.PolicyViolationException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.quota.ClientQuotaFilterComponent;

/** What administrators change on a running node. */
final class ChangeScenarios {
    private ChangeScenarios() {}

    /** Both are made to wait, and told so, and lose nothing. */
    static void quotasMakeClientsWait(Context c) throws Exception {
        c.createTopic(1);
        String client = c.topic();
        var entity = new ClientQuotaEntity(Map.of("client-id", client));
        // Ten seconds' worth is free: a little more takes a part of a second.
        var rates = List.of(new ClientQuotaAlteration.Op("producer_byte_rate", 20_000.0),
            new ClientQuotaAlteration.Op("consumer_byte_rate", 20_000.0));
        int records = 21;
        try (Admin admin = c.admin();
             Producer<String, String> producer = c.producer("client.id", client, "batch.size", "0");
             Consumer<String, String> consumer = c.consumer("client.id", client, "max.partition.fetch.bytes", "30000")) {
            get(admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, rates))).all());
            poll("the quotas show", () -> {
                try {
                    var filter = ClientQuotaFilter.contains(List.of(ClientQuotaFilterComponent.ofEntity("client-id", client)));
                    return get(admin.describeClientQuotas(filter).entities()).size() == 1;
                } catch (Exception e) {
                    throw new AssertionError(e);
                }
            });
            for (int i = 0; i < records; i++) {
                producer.send(new ProducerRecord<>(c.topic(), "k", i + "x".repeat(10_000)));
            }
            producer.flush();
            // A connection that moves between shards is known to the new one a moment later.
            var sent = new AtomicInteger(records);
            poll("the producer is told to wait", () -> {
                if (metric(producer.metrics(), "produce-throttle-time-max") > 0) {
                    return true;
                }
                producer.send(new ProducerRecord<>(c.topic(), "k", "x".repeat(10_000)));
                producer.flush();
                sent.incrementAndGet();
                return false;
            });
            consumer.assign(List.of(c.partition(0)));
            equal(sent.get(), take(consumer, sent.get()).size(), "records");
            poll("the consumer is told to wait", () -> {
                if (metric(consumer.metrics(), "fetch-throttle-time-max") > 0) {
                    return true;
                }
                consumer.seekToBeginning(consumer.assignment());
                take(consumer, sent.get());
                return false;
            });
            var none = rates.stream().map(rate -> new ClientQuotaAlteration.Op(rate.key(), null)).toList();
            get(admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, none))).all());
        }
    }

    private static double metric(Map<MetricName, ? extends Metric> metrics, String name) {
        return metrics.entrySet().stream().filter(e -> e.getKey().name().equals(name))
            .mapToDouble(e -> (Double) e.getValue().metricValue()).filter(value -> !Double.isNaN(value)).max().orElse(0);
    }

    static void morePartitions(Context c) throws Exception {
        c.createTopic(2);
        try (Admin admin = c.admin(); Producer<String, String> producer = c.producer("metadata.max.age.ms", "500")) {
            grow(admin, c, NewPartitions.increaseTo(5), true);
            equal(2, partitions(admin, c), "partitions when only validated");
            grow(admin, c, NewPartitions.increaseTo(5), false);
            poll("the topic has grown", () -> partitions(admin, c) == 5);
            c.awaitReady(admin, 5);
            for (int p = 0; p < 5; p++) {
                equal(0L, producer.send(new ProducerRecord<>(c.topic(), p, "k", "v")).get().offset(), "offset");
            }
            int broker = get(admin.describeCluster().nodes()).iterator().next().id();
            grow(admin, c, NewPartitions.increaseTo(6, List.of(List.of(broker))), false);
            poll("the topic has grown", () -> partitions(admin, c) == 6);
            equal(broker, get(admin.describeTopics(List.of(c.topic())).allTopicNames()).get(c.topic()).partitions()
                .get(5).leader().id(), "leader by hand");
            fails(InvalidPartitionsException.class, () -> grow(admin, c, NewPartitions.increaseTo(6), false));
            fails(InvalidPartitionsException.class, () -> grow(admin, c, NewPartitions.increaseTo(1), false));
            fails(InvalidReplicaAssignmentException.class,
                () -> grow(admin, c, NewPartitions.increaseTo(8, List.of(List.of(broker))), false));
            fails(InvalidReplicaAssignmentException.class,
                () -> grow(admin, c, NewPartitions.increaseTo(7, List.of(List.of(424_242))), false));
            fails(UnknownTopicOrPartitionException.class,
                () -> get(admin.createPartitions(Map.of(c.topic() + "-none", NewPartitions.increaseTo(3))).all()));
        }
    }

    static void topicSettings(Context c) throws Exception {
        c.createTopic(1);
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, c.topic());
        try (Admin admin = c.admin()) {
            alter(admin, topic, false, op("retention.ms", "7200000", OpType.SET),
                op("cleanup.policy", "compact", OpType.APPEND));
            poll("it shows", () -> "7200000".equals(entry(admin, topic, "retention.ms").value()));
            equal(ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, entry(admin, topic, "retention.ms").source(), "source");
            equal("delete,compact", entry(admin, topic, "cleanup.policy").value(), "a list that grew");
            alter(admin, topic, true, op("retention.ms", "5", OpType.SET));
            alter(admin, topic, false, op("cleanup.policy", "delete", OpType.SUBTRACT));
            poll("it shows", () -> "compact".equals(entry(admin, topic, "cleanup.policy").value()));
            equal("7200000", entry(admin, topic, "retention.ms").value(), "after a mere validation");
            alter(admin, topic, false, op("retention.ms", null, OpType.DELETE));
            poll("it shows", () -> entry(admin, topic, "retention.ms").isDefault());
            fails(InvalidConfigurationException.class, () -> alter(admin, topic, false, op("no.such", "1", OpType.SET)));
            fails(InvalidConfigurationException.class,
                () -> alter(admin, topic, false, op("retention.ms", "often", OpType.SET)));
            fails(InvalidConfigurationException.class,
                () -> alter(admin, topic, false, op("retention.ms", "5", OpType.APPEND)));
            fails(InvalidRequestException.class, () -> alter(admin, topic, false,
                op("retention.ms", "5", OpType.SET), op("retention.ms", "6", OpType.SET)));
            fails(UnknownTopicOrPartitionException.class, () -> alter(admin,
                new ConfigResource(ConfigResource.Type.TOPIC, c.topic() + "-none"), false, op("retention.ms", "5", OpType.SET)));
        }
    }

    static void brokerThrottles(Context c) throws Exception {
        try (Admin admin = c.admin()) {
            Node last = get(admin.describeCluster().nodes()).stream().max((a, b) -> a.id() - b.id()).get();
            ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, last.idString());
            String rate = "leader.replication.throttled.rate";
            alter(admin, broker, false, op(rate, "1000000", OpType.SET));
            poll("it shows", () -> {
                // Kafka shows it only while it is set.
                ConfigEntry shown = entry(admin, broker, rate);
                return shown != null && "1000000".equals(shown.value());
            });
            equal(ConfigEntry.ConfigSource.DYNAMIC_BROKER_CONFIG, entry(admin, broker, rate).source(), "source");
            alter(admin, broker, false, op(rate, null, OpType.DELETE));
            poll("it is gone", () -> {
                ConfigEntry shown = entry(admin, broker, rate);
                return shown == null || shown.isDefault();
            });
            fails(InvalidRequestException.class, () -> alter(admin, broker, false, op(rate, "-1", OpType.SET)));
            fails(InvalidRequestException.class, () -> alter(admin, broker, false, op("log.dirs", "/tmp", OpType.SET)));
        }
    }

    static void deleteRecords(Context c) throws Exception {
        c.createTopic(1);
        produce(c, 20);
        try (Admin admin = c.admin()) {
            equal(7L, delete(admin, c, 7), "low watermark");
            equal(7L, delete(admin, c, 3), "low watermark, which never falls");
            equal(7L, get(admin.listOffsets(Map.of(c.partition(0), OffsetSpec.earliest())).all()).get(c.partition(0)).offset(),
                "earliest");
            try (Consumer<String, String> consumer = c.consumer()) {
                consumer.assign(List.of(c.partition(0)));
                consumer.seekToBeginning(List.of(c.partition(0)));
                equal(7L, take(consumer, 13).get(0).offset(), "first offset");
            }
            fails(OffsetOutOfRangeException.class, () -> delete(admin, c, 21));
            equal(20L, delete(admin, c, -1), "low watermark at the end");
            produce(c, 1);
            equal(20L, get(admin.listOffsets(Map.of(c.partition(0), OffsetSpec.earliest())).all()).get(c.partition(0)).offset(),
                "earliest");
        }
    }

    static void deleteRecordsOfACompactedTopic(Context c) throws Exception {
        c.createTopic(1, Map.of("cleanup.policy", "compact"));
        try (Admin admin = c.admin()) {
            fails(PolicyViolationException.class, () -> delete(admin, c, -1));
        }
    }

    static void logDirectories(Context c) throws Exception {
        c.createTopic(4);
        produce(c, 100);
        try (Admin admin = c.admin()) {
            List<Integer> ids = get(admin.describeCluster().nodes()).stream().map(Node::id).toList();
            long replicas = 0;
            long bytes = 0;
            for (Map<String, LogDirDescription> directories : get(admin.describeLogDirs(ids).allDescriptions()).values()) {
                equal(1, directories.size(), "directories");
                LogDirDescription directory = directories.values().iterator().next();
                check(directory.error() == null, "error %s", directory.error());
                check(directory.totalBytes().getAsLong() > directory.usableBytes().getAsLong(), "space");
                for (var replica : directory.replicaInfos().entrySet()) {
                    if (replica.getKey().topic().equals(c.topic())) {
                        replicas++;
                        bytes += replica.getValue().size();
                        equal(0L, replica.getValue().offsetLag(), "lag");
                    }
                }
            }
            equal(4L, replicas, "partitions in all");
            check(bytes > 100, "%d bytes", bytes);
        }
    }

    static void leadersNeedNoElection(Context c) throws Exception {
        c.createTopic(2);
        try (Admin admin = c.admin()) {
            for (ElectionType type : ElectionType.values()) {
                var results = get(admin.electLeaders(type, Set.of(c.partition(0), c.partition(9))).partitions());
                check(results.get(c.partition(0)).get() instanceof ElectionNotNeededException, "%s", results);
                check(results.get(c.partition(9)).get() instanceof UnknownTopicOrPartitionException, "%s", results);
                equal(Map.of(), get(admin.electLeaders(type, null).partitions()), "of all partitions");
            }
        }
    }

    static void idempotentProducersShow(Context c) throws Exception {
        c.createTopic(1);
        produce(c, 5);
        try (Admin admin = c.admin()) {
            List<ProducerState> states = get(admin.describeProducers(List.of(c.partition(0))).all())
                .get(c.partition(0)).activeProducers();
            equal(1, states.size(), "producers");
            equal(4, states.get(0).lastSequence(), "last sequence");
            check(states.get(0).currentTransactionStartOffset().isEmpty(), "a transaction");
            var mine = new ListTransactionsOptions().filterProducerIds(Set.of(states.get(0).producerId()));
            check(get(admin.listTransactions(mine).all()).isEmpty(), "transactions");
        }
    }

    static void settingsHaveOwners(Context c) throws Exception {
        c.createTopic(1);
        try (Admin admin = c.admin()) {
            Set<ConfigResource> all = Set.copyOf(get(admin.listConfigResources().all()));
            check(all.contains(new ConfigResource(ConfigResource.Type.TOPIC, c.topic())), "topic missing of %s", all);
            Set<String> brokers = get(admin.listConfigResources(Set.of(ConfigResource.Type.BROKER), new org.apache.kafka.clients.admin.ListConfigResourcesOptions()).all())
                .stream().map(ConfigResource::name).collect(Collectors.toSet());
            equal(get(admin.describeCluster().nodes()).stream().map(Node::idString).collect(Collectors.toSet()), brokers, "brokers");
        }
    }

    private static AlterConfigOp op(String name, String value, OpType type) {
        return new AlterConfigOp(new ConfigEntry(name, value), type);
    }

    private static void alter(Admin admin, ConfigResource resource, boolean validateOnly, AlterConfigOp... ops) throws Exception {
        Map<ConfigResource, Collection<AlterConfigOp>> changes = Map.of(resource, List.of(ops));
        get(admin.incrementalAlterConfigs(changes, new AlterConfigsOptions().validateOnly(validateOnly)).all());
    }

    private static ConfigEntry entry(Admin admin, ConfigResource resource, String name) {
        try {
            return get(admin.describeConfigs(List.of(resource)).all()).get(resource).get(name);
        } catch (Exception e) {
            throw new AssertionError(e);
        }
    }

    private static void grow(Admin admin, Context c, NewPartitions to, boolean validateOnly) throws Exception {
        get(admin.createPartitions(Map.of(c.topic(), to), new CreatePartitionsOptions().validateOnly(validateOnly)).all());
    }

    private static int partitions(Admin admin, Context c) {
        try {
            return get(admin.describeTopics(List.of(c.topic())).allTopicNames()).get(c.topic()).partitions().size();
        } catch (Exception e) {
            throw new AssertionError(e);
        }
    }

    private static long delete(Admin admin, Context c, long before) throws Exception {
        var deleted = admin.deleteRecords(Map.of(c.partition(0), RecordsToDelete.beforeOffset(before)));
        return get(deleted.lowWatermarks().get(c.partition(0))).lowWatermark();
    }

    private static void produce(Context c, int count) {
        try (Producer<String, String> producer = c.producer()) {
            for (int i = 0; i < count; i++) {
                producer.send(new ProducerRecord<>(c.topic(), 0, "k" + i, "v" + i));
            }
        }
    }
}
