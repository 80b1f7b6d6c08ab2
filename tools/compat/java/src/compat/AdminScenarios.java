package compat;

import static compat.Context.check;
import static compat.Context.equal;
import static compat.Context.fails;
import static compat.Context.get;
import static compat.Context.poll;
import static compat.Context.take;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.SecurityDisabledException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicIdException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/** What administrators ask of a node. */
final class AdminScenarios {
    private AdminScenarios() {}

    static void createDescribeListDelete(Context c) throws Exception {
        try (Admin admin = c.admin()) {
            Uuid id = get(admin.createTopics(List.of(new NewTopic(c.topic(), 5, (short) 1))).topicId(c.topic()));
            c.awaitReady(admin, 5);
            TopicDescription topic = get(admin.describeTopics(List.of(c.topic())).allTopicNames()).get(c.topic());
            equal(id, topic.topicId(), "topic id");
            equal(5, topic.partitions().size(), "partitions");
            topic.partitions().forEach(p -> {
                check(p.leader() != null, "no leader of partition %d", p.partition());
                equal(List.of(p.leader()), p.replicas(), "replicas");
                equal(List.of(p.leader()), p.isr(), "in-sync replicas");
            });
            equal(c.topic(), get(admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds()).get(id).name(),
                "name by id");
            check(get(admin.listTopics().names()).contains(c.topic()), "not in the list");
            get(admin.deleteTopics(List.of(c.topic())).all());
            poll("it has left the list", () -> !listed(admin, c.topic()));
            fails(UnknownTopicOrPartitionException.class, () -> get(admin.describeTopics(List.of(c.topic())).allTopicNames()));
            fails(UnknownTopicIdException.class,
                () -> get(admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds()));
        }
    }

    static void partitionsSpreadOverBrokers(Context c) throws Exception {
        c.createTopic(8);
        try (Admin admin = c.admin()) {
            Set<Integer> leaders = new TreeSet<>();
            get(admin.describeTopics(List.of(c.topic())).allTopicNames()).get(c.topic()).partitions()
                .forEach(p -> leaders.add(p.leader().id()));
            equal(c.brokers(), leaders.size(), "brokers that lead a partition");
        }
    }

    static void deletedTopicComesBackEmpty(Context c) throws Exception {
        c.createTopic(1);
        produce(c, 10);
        try (Admin admin = c.admin()) {
            get(admin.deleteTopics(List.of(c.topic())).all());
        }
        c.createTopic(1);
        produce(c, 3);
        try (Consumer<String, String> consumer = c.consumer()) {
            consumer.assign(List.of(c.partition(0)));
            equal(0L, take(consumer, 3).get(0).offset(), "first offset");
        }
    }

    static void createTopicErrors(Context c) throws Exception {
        c.createTopic(1);
        try (Admin admin = c.admin()) {
            fails(TopicExistsException.class, () -> create(admin, c.topic(), 1, Map.of()));
            fails(InvalidTopicException.class, () -> create(admin, "no spaces allowed", 1, Map.of()));
            fails(InvalidTopicException.class, () -> create(admin, "..", 1, Map.of()));
            fails(InvalidTopicException.class, () -> create(admin, "x".repeat(250), 1, Map.of()));
            fails(InvalidPartitionsException.class, () -> create(admin, c.topic() + "-zero", 0, Map.of()));
            fails(InvalidConfigurationException.class,
                () -> create(admin, c.topic() + "-odd", 1, Map.of("no.such.config", "1")));
            fails(InvalidConfigurationException.class,
                () -> create(admin, c.topic() + "-odd", 1, Map.of("retention.ms", "often")));
            fails(UnknownTopicOrPartitionException.class,
                () -> get(admin.deleteTopics(List.of(c.topic() + "-none")).all()));
        }
    }

    static void validateOnlyCreatesNothing(Context c) throws Exception {
        try (Admin admin = c.admin()) {
            get(admin.createTopics(List.of(new NewTopic(c.topic(), 1, (short) 1)),
                new CreateTopicsOptions().validateOnly(true)).all());
            check(!get(admin.listTopics().names()).contains(c.topic()), "it was created");
        }
    }

    static void describeCluster(Context c) throws Exception {
        try (Admin admin = c.admin()) {
            DescribeClusterResult cluster = admin.describeCluster();
            equal(c.brokers(), get(cluster.nodes()).size(), "brokers");
            check(get(cluster.clusterId()) != null && !get(cluster.clusterId()).isEmpty(), "no cluster id");
            check(get(cluster.nodes()).contains(get(cluster.controller())), "the controller is none of the brokers");
        }
    }

    static void describeTopicConfigs(Context c) throws Exception {
        c.createTopic(1, Map.of("retention.ms", "123456789", "cleanup.policy", "compact"));
        try (Admin admin = c.admin()) {
            ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, c.topic());
            Config config = get(admin.describeConfigs(List.of(resource)).all()).get(resource);
            equal("123456789", config.get("retention.ms").value(), "retention.ms");
            equal(ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, config.get("retention.ms").source(), "its source");
            equal("compact", config.get("cleanup.policy").value(), "cleanup.policy");
            equal("-1", config.get("retention.bytes").value(), "retention.bytes");
            check(config.get("retention.bytes").isDefault(), "retention.bytes is a default");
        }
    }

    static void describeConfigsOfAnUnknownTopic(Context c) throws Exception {
        try (Admin admin = c.admin()) {
            ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, c.topic());
            fails(UnknownTopicOrPartitionException.class, () -> get(admin.describeConfigs(List.of(resource)).all()));
        }
    }

    static void describeBrokerConfigs(Context c) throws Exception {
        try (Admin admin = c.admin()) {
            for (var node : get(admin.describeCluster().nodes())) {
                ConfigResource resource = new ConfigResource(ConfigResource.Type.BROKER, node.idString());
                Config config = get(admin.describeConfigs(List.of(resource)).all()).get(resource);
                check(config.get("log.dirs") != null && config.get("log.dirs").value() != null, "no log.dirs");
                equal("true", config.get("auto.create.topics.enable").value(), "auto.create.topics.enable");
            }
        }
    }

    static void listOffsets(Context c) throws Exception {
        c.createTopic(1);
        long t0 = System.currentTimeMillis() - 3_600_000;
        try (Producer<String, String> producer = c.producer()) {
            long[] times = {t0, t0 + 500, t0 + 100};
            for (long time : times) {
                producer.send(new ProducerRecord<>(c.topic(), 0, time, "k", "v")).get();
            }
        }
        try (Admin admin = c.admin()) {
            equal(0L, offset(admin, c, OffsetSpec.earliest()).offset(), "earliest");
            equal(3L, offset(admin, c, OffsetSpec.latest()).offset(), "latest");
            equal(1L, offset(admin, c, OffsetSpec.forTimestamp(t0 + 1)).offset(), "of a timestamp");
            equal(-1L, offset(admin, c, OffsetSpec.forTimestamp(t0 + 501)).offset(), "past the last timestamp");
            ListOffsetsResultInfo max = offset(admin, c, OffsetSpec.maxTimestamp());
            equal(1L, max.offset(), "of the greatest timestamp");
            equal(t0 + 500, max.timestamp(), "the greatest timestamp");
        }
    }

    static void groupsListDescribeDelete(Context c) throws Exception {
        c.createTopic(2);
        produce(c, 20);
        String group = c.topic();
        try (Admin admin = c.admin()) {
            try (Consumer<String, String> consumer = c.consumer("group.id", group, "client.id", "the-client")) {
                consumer.subscribe(List.of(c.topic()));
                take(consumer, 20);
                consumer.commitSync();
                check(get(admin.listConsumerGroups().all()).stream().anyMatch(g -> g.groupId().equals(group)),
                    "not in the list");
                poll("the group is stable", () -> describe(admin, group).groupState() == GroupState.STABLE);
                ConsumerGroupDescription description = describe(admin, group);
                equal(1, description.members().size(), "members");
                var member = description.members().iterator().next();
                equal("the-client", member.clientId(), "client id");
                equal(2, member.assignment().topicPartitions().size(), "partitions of the member");
                check(member.host().contains("127.0.0.1"), "host %s", member.host());
                equal("range", description.partitionAssignor(), "assignor");
                fails(GroupNotEmptyException.class, () -> get(admin.deleteConsumerGroups(List.of(group)).all()));
            }
            poll("the group is empty", () -> describe(admin, group).groupState() == GroupState.EMPTY);
            var offsets = get(admin.listConsumerGroupOffsets(
                Map.of(group, new ListConsumerGroupOffsetsSpec())).partitionsToOffsetAndMetadata(group));
            equal(20L, offsets.values().stream().mapToLong(o -> o.offset()).sum(), "committed in all");
            get(admin.deleteConsumerGroups(List.of(group)).all());
            check(get(admin.listConsumerGroups().all()).stream().noneMatch(g -> g.groupId().equals(group)),
                "still in the list");
            fails(GroupIdNotFoundException.class, () -> get(admin.deleteConsumerGroups(List.of(group)).all()));
            fails(GroupIdNotFoundException.class, () -> get(admin.describeConsumerGroups(List.of(group)).all()));
        }
    }

    static void alterGroupOffsets(Context c) throws Exception {
        c.createTopic(1);
        produce(c, 20);
        try (Admin admin = c.admin()) {
            TopicPartition p = c.partition(0);
            get(admin.alterConsumerGroupOffsets(c.topic(),
                Map.of(p, new org.apache.kafka.clients.consumer.OffsetAndMetadata(13))).all());
            try (Consumer<String, String> consumer = c.consumer("group.id", c.topic())) {
                consumer.subscribe(List.of(c.topic()));
                equal(13L, take(consumer, 7).get(0).offset(), "first offset");
            }
        }
    }

    static void deletingATopicFreesItsName(Context c) throws Exception {
        c.createTopic(3);
        try (Admin admin = c.admin(); Consumer<String, String> consumer = c.consumer("allow.auto.create.topics", "false", "metadata.max.age.ms", "300")) {
            consumer.assign(List.of(c.partition(0)));
            consumer.poll(Duration.ofMillis(300));
            get(admin.deleteTopics(List.of(c.topic())).all());
            consumer.poll(Duration.ofMillis(300));
            create(admin, c.topic(), 1, Map.of());
            c.awaitReady(admin, 1);
            equal(1, get(admin.describeTopics(List.of(c.topic())).allTopicNames()).get(c.topic()).partitions().size(),
                "partitions");
        }
    }

    static void accessControlListsNeedAnAuthorizer(Context c) throws Exception {
        AclBinding binding = new AclBinding(
            new ResourcePattern(ResourceType.TOPIC, c.topic(), PatternType.LITERAL),
            new AccessControlEntry("User:somebody", "*", AclOperation.READ, AclPermissionType.ALLOW));
        try (Admin admin = c.admin()) {
            fails(SecurityDisabledException.class, () -> get(admin.describeAcls(AclBindingFilter.ANY).values()));
            fails(SecurityDisabledException.class, () -> get(admin.createAcls(List.of(binding)).all()));
            fails(SecurityDisabledException.class, () -> get(admin.deleteAcls(List.of(binding.toFilter())).all()));
        }
    }

    private static void create(Admin admin, String topic, int partitions, Map<String, String> configs) throws Exception {
        get(admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1).configs(configs))).all());
    }

    private static boolean listed(Admin admin, String topic) {
        try {
            return get(admin.listTopics().names()).contains(topic);
        } catch (Exception e) {
            throw new AssertionError(e);
        }
    }

    private static ListOffsetsResultInfo offset(Admin admin, Context c, OffsetSpec spec) throws Exception {
        return get(admin.listOffsets(Map.of(c.partition(0), spec)).all()).get(c.partition(0));
    }

    private static ConsumerGroupDescription describe(Admin admin, String group) {
        try {
            return get(admin.describeConsumerGroups(List.of(group)).all()).get(group);
        } catch (Exception e) {
            throw new AssertionError(e);
        }
    }

    private static void produce(Context c, int count) {
        try (Producer<String, String> producer = c.producer()) {
            for (int i = 0; i < count; i++) {
                producer.send(new ProducerRecord<>(c.topic(), "k" + i, "v" + i));
            }
        }
    }
}
