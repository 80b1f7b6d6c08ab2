package compat;

import static compat.Context.get;

import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterClientQuotasOptions;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.DescribeConsumerGroupsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.quota.ClientQuotaFilterComponent;

/**
 * Transcripts, for comparison with another server: what was asked, and what came. What may differ
 * from run to run (ids, addresses, times) is left out, and the words of errors: a server's own.
 */
final class ScriptScenarios {
    private ScriptScenarios() {}

    static void topics(Context c) throws Exception {
        try (Admin admin = c.admin()) {
            String t = c.topic();
            create(c, admin, "validate", new NewTopic(t, 3, (short) 1), true);
            create(c, admin, "create", new NewTopic(t, 3, (short) 1).configs(Map.of("retention.ms", "7200000")), false);
            c.awaitReady(admin, 3);
            create(c, admin, "create again", new NewTopic(t, 3, (short) 1), false);
            create(c, admin, "validate again", new NewTopic(t, 3, (short) 1), true);
            create(c, admin, "by defaults", new NewTopic(t + "-defaults", Optional.empty(), Optional.empty()), false);
            create(c, admin, "no partitions", new NewTopic(t + "-b", 0, (short) 1), false);
            create(c, admin, "negative partitions", new NewTopic(t + "-b", -5, (short) 1), false);
            create(c, admin, "no replicas", new NewTopic(t + "-c", 1, (short) 0), false);
            create(c, admin, "a name with a space", new NewTopic("T T", 1, (short) 1), false);
            create(c, admin, "an empty name", new NewTopic("", 1, (short) 1), false);
            create(c, admin, "a dot", new NewTopic(".", 1, (short) 1), false);
            create(c, admin, "a name too long", new NewTopic("x".repeat(250), 1, (short) 1), false);
            create(c, admin, "an unknown setting", new NewTopic(t + "-d", 1, (short) 1).configs(Map.of("no.such", "1")), false);
            create(c, admin, "an ill setting", new NewTopic(t + "-d", 1, (short) 1).configs(Map.of("retention.ms", "odd")), false);
            create(c, admin, "a setting out of range", new NewTopic(t + "-d", 1, (short) 1).configs(Map.of("segment.bytes", "1")), false);
            create(c, admin, "unknown policy", new NewTopic(t + "-d", 1, (short) 1).configs(Map.of("cleanup.policy", "shred")), false);
            int broker = get(admin.describeCluster().nodes()).stream().mapToInt(n -> n.id()).min().getAsInt();
            create(c, admin, "assigned", new NewTopic(t + "-a", Map.of(0, List.of(broker), 1, List.of(broker))), false);
            create(c, admin, "assigned to none", new NewTopic(t + "-g", Map.of(0, List.of())), false);
            create(c, admin, "assigned to unknown", new NewTopic(t + "-g", Map.of(0, List.of(424_242))), false);
            create(c, admin, "assigned twice", new NewTopic(t + "-g", Map.of(0, List.of(broker, broker))), false);
            create(c, admin, "assigned with a gap", new NewTopic(t + "-g", Map.of(0, List.of(broker), 2, List.of(broker))), false);
            ask(c, "names collide", () -> get(admin.createTopics(List.of(new NewTopic(t.replace('-', '_'), 1, (short) 1), new NewTopic(t.replace('-', '.'), 1, (short) 1))).all()));
            ask(c, "grow", () -> get(admin.createPartitions(Map.of(t, NewPartitions.increaseTo(4))).all()));
            c.awaitReady(admin, 4);
            ask(c, "as many", () -> get(admin.createPartitions(Map.of(t, NewPartitions.increaseTo(4))).all()));
            ask(c, "fewer", () -> get(admin.createPartitions(Map.of(t, NewPartitions.increaseTo(1))).all()));
            ask(c, "grow nothing", () -> get(admin.createPartitions(Map.of(t + "-none", NewPartitions.increaseTo(4))).all()));
            ask(c, "grow on unknown", () -> get(admin.createPartitions(Map.of(t, NewPartitions.increaseTo(5, List.of(List.of(424_242))))).all()));
            ask(c, "grow on too few", () -> get(admin.createPartitions(Map.of(t, NewPartitions.increaseTo(6, List.of(List.of(broker))))).all()));
            ask(c, "describe nothing", () -> get(Version.describe(admin, t + "-none")));
            ask(c, "partitions", () -> get(Version.describe(admin, t)).partitions().stream()
                .map(p -> p.partition() + " of " + p.replicas().size() + " in sync " + p.isr().size()).toList());
            ask(c, "operations on a topic", () -> Version.topicOperations(admin, t));
            ask(c, "operations on the cluster", () -> new TreeSet<>(get(admin.describeCluster(
                new DescribeClusterOptions().includeAuthorizedOperations(true)).authorizedOperations())));
            ask(c, "delete", () -> get(admin.deleteTopics(List.of(t)).all()));
            ask(c, "delete nothing", () -> get(admin.deleteTopics(List.of(t + "-none")).all()));
        }
    }

    static void settings(Context c) throws Exception {
        c.createTopic(1, Map.of("retention.ms", "7200000"));
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, c.topic());
        ConfigResource none = new ConfigResource(ConfigResource.Type.TOPIC, c.topic() + "-none");
        try (Admin admin = c.admin()) {
            ask(c, "settings of nothing", () -> get(admin.describeConfigs(List.of(none)).all()));
            for (ConfigEntry entry : get(admin.describeConfigs(List.of(topic),
                new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true)).all()).get(topic).entries()) {
                // Their default is the cluster's or the node's, which differ; differential.py has them.
                if (!entry.name().equals("min.insync.replicas")) {
                    c.say("%s: %s %s %s, synonyms %s, documented %s", entry.name(), entry.value(), entry.source(), entry.type(),
                        entry.synonyms().stream().map(s -> s.name() + "=" + s.value() + " " + s.source()).toList(),
                        entry.documentation() != null && !entry.documentation().isEmpty());
                }
            }
            alter(c, admin, "set", topic, "retention.ms", "9000000", AlterConfigOp.OpType.SET);
            alter(c, admin, "set an ill value", topic, "retention.ms", "odd", AlterConfigOp.OpType.SET);
            alter(c, admin, "set out of range", topic, "retention.ms", "-2", AlterConfigOp.OpType.SET);
            alter(c, admin, "set an unknown name", topic, "no.such", "1", AlterConfigOp.OpType.SET);
            alter(c, admin, "append to no list", topic, "retention.ms", "1", AlterConfigOp.OpType.APPEND);
            alter(c, admin, "append to a list", topic, "cleanup.policy", "compact", AlterConfigOp.OpType.APPEND);
            alter(c, admin, "delete", topic, "retention.ms", null, AlterConfigOp.OpType.DELETE);
            alter(c, admin, "set of nothing", none, "retention.ms", "1", AlterConfigOp.OpType.SET);
            alter(c, admin, "set timestamp type", topic, "message.timestamp.type", "Sometimes", AlterConfigOp.OpType.SET);
            alter(c, admin, "set compression", topic, "compression.type", "brotli", AlterConfigOp.OpType.SET);
        }
    }

    static void records(Context c) throws Exception {
        c.createTopic(2, Map.of("max.message.bytes", "10000"));
        String t = c.topic();
        long t0 = 1_000_000;
        try (Admin admin = c.admin(); Producer<String, String> producer = c.producer("max.block.ms", "2000");
             Consumer<String, String> consumer = c.consumer("auto.offset.reset", "none", "group.id", t)) {
            // Old: retention goes by the records' time.
            ask(c, "keep for ever", () -> get(admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.TOPIC, t),
                List.of(new AlterConfigOp(new ConfigEntry("retention.ms", "-1"), AlterConfigOp.OpType.SET)))).all()));
            for (int i = 0; i < 10; i++) {
                int n = i;
                ask(c, "send " + n, () -> {
                    var told = producer.send(new ProducerRecord<>(t, n % 2, t0 + n, "k", "v" + n)).get(20, TimeUnit.SECONDS);
                    return "offset " + told.offset() + " time " + told.timestamp();
                });
            }
            ask(c, "send too much", () -> producer.send(new ProducerRecord<>(t, 0, t0, "k", "x".repeat(20_000))).get(20, TimeUnit.SECONDS));
            ask(c, "send to no partition", () -> producer.send(new ProducerRecord<>(t, 9, t0, "k", "v")).get(20, TimeUnit.SECONDS));
            for (var spec : new TreeMap<>(Map.of("earliest", OffsetSpec.earliest(), "latest", OffsetSpec.latest(), "of a time",
                OffsetSpec.forTimestamp(t0 + 5), "of no time", OffsetSpec.forTimestamp(t0 + 999))).entrySet()) {
                ask(c, "offset " + spec.getKey(), () -> {
                    var told = get(admin.listOffsets(Map.of(c.partition(0), spec.getValue())).all()).get(c.partition(0));
                    return told.offset() + " at " + told.timestamp() + " epoch " + told.leaderEpoch();
                });
            }
            List<TopicPartition> both = List.of(c.partition(0), c.partition(1));
            consumer.assign(both);
            ask(c, "poll without a position", () -> consumer.poll(Duration.ofSeconds(5)));
            consumer.seekToBeginning(both);
            for (ConsumerRecord<String, String> r : Context.take(consumer, 10)) {
                c.say("record %d-%d: %s=%s at %d %s, epoch %s, %d and %d bytes", r.partition(), r.offset(), r.key(), r.value(),
                    r.timestamp(), r.timestampType(), r.leaderEpoch(), r.serializedKeySize(), r.serializedValueSize());
            }
            ask(c, "committed of nothing", () -> consumer.committed(Set.copyOf(both)).values().stream().filter(o -> o != null).toList());
            ask(c, "commit", () -> { consumer.commitSync(Map.of(c.partition(0), new OffsetAndMetadata(3, "a note"))); return null; });
            ask(c, "commit far", () -> { consumer.commitSync(Map.of(c.partition(1), new OffsetAndMetadata(999))); return null; });
            ask(c, "commit a long note", () -> { consumer.commitSync(Map.of(c.partition(0), new OffsetAndMetadata(3, "x".repeat(5000)))); return null; });
            ask(c, "committed", () -> consumer.committed(Set.copyOf(both)).values().stream().map(o -> o.offset() + o.metadata()).sorted().toList());
            ask(c, "delete records", () -> get(admin.deleteRecords(Map.of(c.partition(0), RecordsToDelete.beforeOffset(2))).lowWatermarks().get(c.partition(0))).lowWatermark());
            ask(c, "delete too many", () -> get(admin.deleteRecords(Map.of(c.partition(0), RecordsToDelete.beforeOffset(6))).all()));
            ask(c, "beginning", () -> consumer.beginningOffsets(both).values().stream().sorted().toList());
            consumer.seek(c.partition(0), 1);
            consumer.pause(List.of(c.partition(1)));
            ask(c, "poll what was deleted", () -> {
                for (int i = 0; i < 20; i++) {
                    consumer.poll(Duration.ofMillis(250));
                }
                return "nothing";
            });
        }
    }

    static void groups(Context c) throws Exception {
        c.createTopic(1);
        String g = c.topic();
        try (Admin admin = c.admin()) {
            ask(c, "describe nothing", () -> Version.groupState(admin, g));
            ask(c, "offsets of nothing", () -> get(admin.listConsumerGroupOffsets(g).partitionsToOffsetAndMetadata()));
            ask(c, "delete nothing", () -> get(admin.deleteConsumerGroups(List.of(g)).all()));
            ask(c, "delete offsets of nothing", () -> get(admin.deleteConsumerGroupOffsets(g, Set.of(c.partition(0))).all()));
            ask(c, "set offsets", () -> get(admin.alterConsumerGroupOffsets(g, Map.of(c.partition(0), new OffsetAndMetadata(5))).all()));
            ask(c, "set offsets of no partition", () -> get(admin.alterConsumerGroupOffsets(g, Map.of(c.partition(9), new OffsetAndMetadata(5))).all()));
            ask(c, "state", () -> Version.groupState(admin, g));
            ask(c, "empty id", () -> get(admin.alterConsumerGroupOffsets("", Map.of(c.partition(0), new OffsetAndMetadata(5))).all()));
            try (Consumer<String, String> member = c.consumer("group.id", g)) {
                member.subscribe(List.of(c.topic()));
                Context.poll("it is assigned", () -> {
                    member.poll(Duration.ofMillis(100));
                    return member.assignment().size() == 1;
                });
                ask(c, "state with a member", () -> Version.groupState(admin, g));
                ask(c, "operations", () -> new TreeSet<>(get(admin.describeConsumerGroups(List.of(g),
                    new DescribeConsumerGroupsOptions().includeAuthorizedOperations(true)).all()).get(g).authorizedOperations()));
                ask(c, "delete while it has a member", () -> get(admin.deleteConsumerGroups(List.of(g)).all()));
                ask(c, "set offsets while it has a member",
                    () -> get(admin.alterConsumerGroupOffsets(g, Map.of(c.partition(0), new OffsetAndMetadata(1))).all()));
                ask(c, "delete offsets while it has a member",
                    () -> get(admin.deleteConsumerGroupOffsets(g, Set.of(c.partition(0))).all()));
            }
            ask(c, "delete offsets", () -> get(admin.deleteConsumerGroupOffsets(g, Set.of(c.partition(0))).all()));
            ask(c, "delete", () -> get(admin.deleteConsumerGroups(List.of(g)).all()));
        }
    }

    static void quotas(Context c) throws Exception {
        String t = c.topic();
        Map<String, String> client = Map.of("client-id", t);
        Map<String, String> user = Map.of("user", t);
        Map<String, String> both = Map.of("user", t, "client-id", t);
        Map<String, String> anyClient = new HashMap<>(user);
        anyClient.put("client-id", null);
        try (Admin admin = c.admin()) {
            var ofUser = ClientQuotaFilterComponent.ofEntity("user", t);
            describeQuotas(c, admin, "at first", ClientQuotaFilter.contains(List.of(ofUser)), 0);
            quota(c, admin, "validate", client, "producer_byte_rate", 1e6, true);
            quota(c, admin, "set of a client", client, "producer_byte_rate", 2e6, false);
            quota(c, admin, "set of a user", user, "request_percentage", 12_345.5, false);
            quota(c, admin, "set of both", both, "consumer_byte_rate", 3e6, false);
            quota(c, admin, "set another of both", both, "controller_mutation_rate", 0.5, false);
            quota(c, admin, "set of a user's other clients", anyClient, "consumer_byte_rate", 4e6, false);
            quota(c, admin, "set again", client, "producer_byte_rate", 2e6, false);
            describeQuotas(c, admin, "of the user", ClientQuotaFilter.contains(List.of(ofUser)), 3);
            describeQuotas(c, admin, "of the user alone", ClientQuotaFilter.containsOnly(List.of(ofUser)), 1);
            describeQuotas(c, admin, "of the user's other clients", ClientQuotaFilter.contains(
                List.of(ofUser, ClientQuotaFilterComponent.ofDefaultEntity("client-id"))), 1);
            describeQuotas(c, admin, "of the client anywhere", ClientQuotaFilter.contains(
                List.of(ClientQuotaFilterComponent.ofEntity("client-id", t))), 2);
            describeQuotas(c, admin, "of any client of the user", ClientQuotaFilter.containsOnly(
                List.of(ofUser, ClientQuotaFilterComponent.ofEntityType("client-id"))), 2);
            describeQuotas(c, admin, "by an unknown type", ClientQuotaFilter.contains(
                List.of(ClientQuotaFilterComponent.ofEntity("group", t))), 0);
            describeQuotas(c, admin, "by an empty type", ClientQuotaFilter.contains(
                List.of(ClientQuotaFilterComponent.ofEntity("", t))), 0);
            describeQuotas(c, admin, "by a type twice", ClientQuotaFilter.contains(
                List.of(ofUser, ClientQuotaFilterComponent.ofEntityType("user"))), 0);
            describeQuotas(c, admin, "by user and address", ClientQuotaFilter.contains(
                List.of(ofUser, ClientQuotaFilterComponent.ofEntityType("ip"))), 0);
            quota(c, admin, "an unknown name", client, "no_such_rate", 1.0, false);
            quota(c, admin, "nothing", client, "producer_byte_rate", 0.0, false);
            quota(c, admin, "less than nothing", client, "producer_byte_rate", -1.0, false);
            quota(c, admin, "a fraction of a byte", client, "producer_byte_rate", 1.5, false);
            quota(c, admin, "too much", client, "producer_byte_rate", 1e30, false);
            quota(c, admin, "an address's, of a client", client, "connection_creation_rate", 1.0, false);
            quota(c, admin, "a client's, of an address", Map.of("ip", "127.0.0.9"), "producer_byte_rate", 1.0, false);
            quota(c, admin, "an unknown type", Map.of("group", t), "producer_byte_rate", 1.0, false);
            quota(c, admin, "an empty name", Map.of("user", ""), "producer_byte_rate", 1.0, false);
            quota(c, admin, "nobody", Map.of(), "producer_byte_rate", 1.0, false);
            quota(c, admin, "a user's address", Map.of("user", t, "ip", "127.0.0.9"), "connection_creation_rate", 1.0, false);
            quota(c, admin, "of an address", Map.of("ip", "127.0.0.9"), "connection_creation_rate", 1e6, false);
            quota(c, admin, "none of an address", Map.of("ip", "127.0.0.9"), "connection_creation_rate", null, false);
            quota(c, admin, "remove what is not there", client, "consumer_byte_rate", null, false);
            quota(c, admin, "remove an unknown name", client, "no_such_rate", null, false);
            quota(c, admin, "remove one of both", both, "consumer_byte_rate", null, false);
            quota(c, admin, "remove of the other clients", anyClient, "consumer_byte_rate", null, false);
            describeQuotas(c, admin, "what is left", ClientQuotaFilter.contains(List.of(ofUser)), 2);
            quota(c, admin, "remove of a client", client, "producer_byte_rate", null, false);
            quota(c, admin, "remove of a user", user, "request_percentage", null, false);
            quota(c, admin, "remove of both", both, "controller_mutation_rate", null, false);
            describeQuotas(c, admin, "at last", ClientQuotaFilter.contains(List.of(ofUser)), 0);
        }
    }

    private static void quota(Context c, Admin admin, String what, Map<String, String> entity, String key, Double value,
                              boolean validateOnly) {
        var alteration = new ClientQuotaAlteration(new ClientQuotaEntity(entity), List.of(new ClientQuotaAlteration.Op(key, value)));
        ask(c, what, () -> get(admin.alterClientQuotas(List.of(alteration), new AlterClientQuotasOptions().validateOnly(validateOnly)).all()));
    }

    /** Kafka shows a change a little after it has answered it: so many entities are awaited. */
    private static void describeQuotas(Context c, Admin admin, String what, ClientQuotaFilter filter, int entities) {
        ask(c, what, () -> {
            var told = get(admin.describeClientQuotas(filter).entities());
            for (int i = 0; i < 100 && told.size() != entities; i++) {
                Thread.sleep(50);
                told = get(admin.describeClientQuotas(filter).entities());
            }
            return told.entrySet().stream().map(e -> {
                Map<String, String> names = new TreeMap<>();
                e.getKey().entries().forEach((type, name) -> names.put(type, name == null ? "<default>" : name));
                return names + " " + new TreeMap<>(e.getValue());
            }).sorted().toList();
        });
    }

    private static void create(Context c, Admin admin, String what, NewTopic topic, boolean validateOnly) {
        ask(c, what, () -> {
            var created = admin.createTopics(List.of(topic), new CreateTopicsOptions().validateOnly(validateOnly));
            get(created.values().get(topic.name()));
            return get(created.numPartitions(topic.name())) + " partitions, " + get(created.replicationFactor(topic.name()))
                + " replicas, set " + get(created.config(topic.name())).entries().stream()
                    .filter(e -> e.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG)
                    .map(e -> e.name() + "=" + e.value()).sorted().collect(Collectors.toList());
        });
    }

    private static void alter(Context c, Admin admin, String what, ConfigResource resource, String name, String value,
                              AlterConfigOp.OpType type) {
        Map<ConfigResource, Collection<AlterConfigOp>> changes = new HashMap<>();
        changes.put(resource, List.of(new AlterConfigOp(new ConfigEntry(name, value), type)));
        ask(c, what, () -> get(admin.incrementalAlterConfigs(changes).all()));
    }

    interface Question {
        Object ask() throws Exception;
    }

    static void ask(Context c, String what, Question question) {
        try {
            c.say("%s: %s", what, question.ask());
        } catch (Throwable e) {
            Throwable inner = e instanceof ExecutionException && e.getCause() != null ? e.getCause() : e;
            c.say("%s: %s", what, inner.getClass().getSimpleName());
        }
    }
}
