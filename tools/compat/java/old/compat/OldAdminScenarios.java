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
import java.util.stream.Collectors;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** What administrators with clients of old ask: requests in their older versions. */
final class OldAdminScenarios {
    private OldAdminScenarios() {}

    static void topics(Context c) throws Exception {
        try (Admin admin = c.admin()) {
            CreateTopicsResult created = admin.createTopics(List.of(
                new NewTopic(c.topic(), 3, (short) 1).configs(Map.of("retention.ms", "7200000"))));
            equal(3, get(created.numPartitions(c.topic())), "partitions told");
            equal("7200000", get(created.config(c.topic())).get("retention.ms").value(), "setting told");
            c.awaitReady(admin, 3);
            fails(TopicExistsException.class, () -> create(admin, c.topic()));
            fails(InvalidTopicException.class, () -> create(admin, "no spaces allowed"));
            get(admin.createPartitions(Map.of(c.topic(), NewPartitions.increaseTo(4))).all());
            c.awaitReady(admin, 4);
            fails(InvalidPartitionsException.class,
                () -> get(admin.createPartitions(Map.of(c.topic(), NewPartitions.increaseTo(2))).all()));
            TopicDescription topic = get(admin.describeTopics(List.of(c.topic())).all()).get(c.topic());
            equal(4, topic.partitions().size(), "partitions");
            equal(null, topic.authorizedOperations(), "operations nobody asked for");
            get(admin.deleteTopics(List.of(c.topic())).all());
            poll("it has left the list", () -> !listed(admin, c.topic()));
            fails(UnknownTopicOrPartitionException.class, () -> get(admin.describeTopics(List.of(c.topic())).all()));
        }
    }

    static void cluster(Context c) throws Exception {
        try (Admin admin = c.admin()) {
            DescribeClusterResult cluster = admin.describeCluster();
            Collection<Node> nodes = get(cluster.nodes());
            equal(c.brokers(), nodes.size(), "brokers");
            check(nodes.contains(get(cluster.controller())), "the controller is none of the brokers");
            Set<Integer> ids = nodes.stream().map(Node::id).collect(Collectors.toSet());
            equal(ids, get(admin.describeLogDirs(ids).allDescriptions()).keySet(), "brokers with directories");
        }
    }

    /** The request that replaces all settings, and the one that came after it. */
    @SuppressWarnings("deprecation")
    static void settings(Context c) throws Exception {
        c.createTopic(1, Map.of("segment.bytes", "2097152"));
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, c.topic());
        try (Admin admin = c.admin()) {
            get(admin.alterConfigs(Map.of(topic, new Config(List.of(new ConfigEntry("retention.ms", "7200000"))))).all());
            poll("it shows", () -> entry(admin, topic, "retention.ms").value().equals("7200000"));
            check(entry(admin, topic, "segment.bytes").isDefault(), "what was not named is as it was by default");
            get(admin.incrementalAlterConfigs(Map.of(topic, List.of(
                new AlterConfigOp(new ConfigEntry("segment.bytes", "4194304"), AlterConfigOp.OpType.SET)))).all());
            poll("it shows", () -> entry(admin, topic, "segment.bytes").value().equals("4194304"));
            equal("7200000", entry(admin, topic, "retention.ms").value(), "what was not named stays");
            fails(InvalidConfigurationException.class, () -> get(admin.alterConfigs(
                Map.of(topic, new Config(List.of(new ConfigEntry("retention.ms", "often"))))).all()));
        }
    }

    static void groups(Context c) throws Exception {
        c.createTopic(1);
        produce(c, 20);
        try (Admin admin = c.admin()) {
            try (Consumer<String, String> consumer = c.consumer("group.id", c.topic())) {
                consumer.subscribe(List.of(c.topic()));
                take(consumer, 20);
                consumer.commitSync();
                poll("it is stable", () -> state(admin, c).equals("Stable"));
                fails(GroupNotEmptyException.class, () -> get(admin.deleteConsumerGroups(List.of(c.topic())).all()));
            }
            poll("it is empty", () -> state(admin, c).equals("Empty"));
            get(admin.alterConsumerGroupOffsets(c.topic(), Map.of(c.partition(0), new OffsetAndMetadata(13, "a note"))).all());
            equal(Map.of(c.partition(0), new OffsetAndMetadata(13, "a note")),
                get(admin.listConsumerGroupOffsets(c.topic()).partitionsToOffsetAndMetadata()), "offsets");
            get(admin.deleteConsumerGroupOffsets(c.topic(), Set.of(c.partition(0))).all());
            equal(Map.of(), get(admin.listConsumerGroupOffsets(c.topic()).partitionsToOffsetAndMetadata()), "offsets");
            get(admin.deleteConsumerGroups(List.of(c.topic())).all());
            check(get(admin.listConsumerGroups().all()).stream().noneMatch(g -> g.groupId().equals(c.topic())),
                "still in the list");
            fails(GroupIdNotFoundException.class, () -> get(admin.deleteConsumerGroups(List.of(c.topic())).all()));
        }
    }

    static void records(Context c) throws Exception {
        c.createTopic(1);
        produce(c, 20);
        try (Admin admin = c.admin()) {
            equal(7L, get(admin.deleteRecords(Map.of(c.partition(0), RecordsToDelete.beforeOffset(7))).lowWatermarks()
                .get(c.partition(0))).lowWatermark(), "low watermark");
            fails(OffsetOutOfRangeException.class,
                () -> get(admin.deleteRecords(Map.of(c.partition(0), RecordsToDelete.beforeOffset(21))).all()));
            equal(7L, get(admin.listOffsets(Map.of(c.partition(0), OffsetSpec.earliest())).all()).get(c.partition(0)).offset(),
                "earliest");
        }
    }

    private static void create(Admin admin, String name) throws Exception {
        get(admin.createTopics(List.of(new NewTopic(name, 1, (short) 1))).all());
    }

    private static boolean listed(Admin admin, String topic) {
        try {
            return get(admin.listTopics().names()).contains(topic);
        } catch (Exception e) {
            throw new AssertionError(e);
        }
    }

    private static String state(Admin admin, Context c) {
        try {
            return Version.groupState(admin, c.topic());
        } catch (Exception e) {
            throw new AssertionError(e);
        }
    }

    private static ConfigEntry entry(Admin admin, ConfigResource resource, String name) {
        try {
            return get(admin.describeConfigs(List.of(resource)).all()).get(resource).get(name);
        } catch (Exception e) {
            throw new AssertionError(e);
        }
    }

    private static void produce(Context c, int count) {
        try (Producer<String, String> producer = c.producer()) {
            for (int i = 0; i < count; i++) {
                producer.send(new ProducerRecord<>(c.topic(), 0, "k" + i, "v" + i));
            }
        }
    }
}
