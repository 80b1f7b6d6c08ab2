package main

import (
	"slices"
	"strings"

	"github.com/IBM/sarama"
)

func saramaAdminTopics(r *run) {
	admin := r.saramaCreate(2, nil)
	one := &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}
	r.fails(sarama.ErrTopicAlreadyExists, admin.CreateTopic(r.topic, one, false), "created twice")
	r.must(admin.CreateTopic(r.topic+"-validated", one, true), "validate only")
	brokers, controller, err := admin.DescribeCluster()
	r.must(err, "describe the cluster")
	r.equal(r.brokers, len(brokers), "brokers")
	r.check(slices.ContainsFunc(brokers, func(b *sarama.Broker) bool { return b.ID() == controller }), "the controller is none of the brokers")
	topics, err := admin.ListTopics()
	r.must(err, "list")
	r.equal(int32(2), topics[r.topic].NumPartitions, "partitions")
	_, made := topics[r.topic+"-validated"]
	r.check(!made, "a topic that was only validated")
	r.must(admin.CreatePartitions(r.topic, 4, [][]int32{{brokers[0].ID()}, {brokers[0].ID()}}, false), "partitions on a broker")
	r.saramaReady(4)
	r.fails(sarama.ErrInvalidPartitions, admin.CreatePartitions(r.topic, 3, nil, false), "fewer partitions")
	described, err := admin.DescribeTopics([]string{r.topic})
	r.must(err, "describe")
	r.equal(4, len(described[0].Partitions), "partitions")
	ids := []int32{}
	for _, broker := range brokers {
		ids = append(ids, broker.ID())
	}
	dirs, err := admin.DescribeLogDirs(ids)
	r.must(err, "log directories")
	r.equal(r.brokers, len(dirs), "brokers with directories")
	r.must(admin.DeleteTopic(r.topic), "delete")
	r.fails(sarama.ErrUnknownTopicOrPartition, admin.DeleteTopic(r.topic+"-none"), "delete what is not there")
	r.until("it has left the list", func() bool {
		topics, err := admin.ListTopics()
		r.must(err, "list")
		_, there := topics[r.topic]
		return !there
	})
}

func saramaAdminConfigs(r *run) {
	retention := "7200000"
	admin := r.saramaCreate(1, map[string]*string{"retention.ms": &retention})
	shown := func(name string) string {
		entries, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: r.topic, ConfigNames: []string{name}})
		r.must(err, "describe")
		r.equal(1, len(entries), "settings asked for by name")
		return entries[0].Value
	}
	r.equal("7200000", shown("retention.ms"), "a setting")
	small := "100000"
	r.must(admin.IncrementalAlterConfig(sarama.TopicResource, r.topic, map[string]sarama.IncrementalAlterConfigsEntry{
		"max.message.bytes": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &small},
		"retention.ms":      {Operation: sarama.IncrementalAlterConfigsOperationDelete},
	}, false), "alter")
	r.until("it shows", func() bool { return shown("max.message.bytes") == "100000" })
	r.equal("604800000", shown("retention.ms"), "what was deleted")
	// The old form replaces all that was set.
	r.must(admin.AlterConfig(sarama.TopicResource, r.topic, map[string]*string{"retention.ms": &retention}, false), "the old form")
	r.until("it shows", func() bool { return shown("retention.ms") == "7200000" })
	r.equal("1048588", shown("max.message.bytes"), "what the old form replaced")
	wrong := "often"
	r.check(admin.AlterConfig(sarama.TopicResource, r.topic, map[string]*string{"retention.ms": &wrong}, false) != nil, "an ill value was taken")
}

func saramaAdminGroups(r *run) {
	admin := r.saramaCreate(2, nil)
	member := r.saramaMember(func(c *sarama.Config) { c.ClientID = "the-client" })
	describe := func() *sarama.GroupDescription {
		groups, err := admin.DescribeConsumerGroups([]string{r.topic})
		r.must(err, "describe")
		return groups[0]
	}
	r.until("it is stable", func() bool { return describe().State == "Stable" })
	for _, told := range describe().Members {
		r.equal("the-client", told.ClientId, "client id")
		assignment, err := told.GetMemberAssignment()
		r.must(err, "assignment")
		r.equal(2, len(assignment.Topics[r.topic]), "partitions assigned")
	}
	groups, err := admin.ListConsumerGroups()
	r.must(err, "list")
	r.equal("consumer", groups[r.topic], "protocol type in the list")
	r.fails(sarama.ErrNonEmptyGroup, admin.DeleteConsumerGroup(r.topic), "delete while it has a member")
	member.leave()
	r.until("it is empty and goes", func() bool { return admin.DeleteConsumerGroup(r.topic) == nil })
	r.fails(sarama.ErrGroupIDNotFound, admin.DeleteConsumerGroup(r.topic), "delete what is not there")
}

func saramaDeleteRecords(r *run) {
	admin := r.saramaCreate(1, nil)
	r.saramaSend(r.saramaProducer(), 0, values(20, 20))
	r.must(admin.DeleteRecords(r.topic, map[int32]int64{0: 7}), "delete records")
	r.equal(int64(7), r.saramaRead(0, sarama.OffsetOldest, 13)[0].Offset, "first offset")
	r.check(admin.DeleteRecords(r.topic, map[int32]int64{0: 21}) != nil, "deleted past the end")
}

// What is answered to an administrator, right and wrong, in one transcript.
func saramaScript(r *run) {
	admin := r.saramaAdmin(newest)
	code := func(err error) string {
		if err == nil {
			return "ok"
		}
		// What follows the code is in the server's own words.
		text, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "kafka server: "), " - ")
		return text
	}
	few, odd := "3600000", "odd"
	for _, asked := range []struct {
		name     string
		count    int32
		replicas int16
		configs  map[string]*string
	}{
		{r.topic, 3, 1, map[string]*string{"retention.ms": &few}},
		{r.topic, 3, 1, nil}, {r.topic + "-b", 0, 1, nil}, {r.topic + "-c", 1, 0, nil}, {r.topic + " d", 1, 1, nil},
		{r.topic + "-e", 1, 1, map[string]*string{"retention.ms": &odd}},
		{r.topic + "-f", 1, 1, map[string]*string{"no.such": &few}},
	} {
		err := admin.CreateTopic(asked.name, &sarama.TopicDetail{
			NumPartitions: asked.count, ReplicationFactor: asked.replicas, ConfigEntries: asked.configs}, false)
		r.say("create %s, %d partitions, %d replicas: %s", asked.name, asked.count, asked.replicas, code(err))
	}
	r.saramaReady(3)
	producer := r.saramaProducer(newest)
	for p := int32(0); p < 4; p++ {
		_, offset, err := producer.SendMessage(&sarama.ProducerMessage{Topic: r.topic, Partition: p, Value: sarama.StringEncoder("v")})
		r.say("produce to partition %d: %s, offset %d", p, code(err), offset)
	}
	client := r.sarama(newest)
	for _, time := range []int64{sarama.OffsetOldest, sarama.OffsetNewest, 0, 1 << 60} {
		offset, err := client.GetOffset(r.topic, 0, time)
		r.say("offset of time %d: %s, %d", time, code(err), offset)
	}
	r.say("fewer partitions: %s", code(admin.CreatePartitions(r.topic, 1, nil, false)))
	r.say("partitions of no topic: %s", code(admin.CreatePartitions(r.topic+"-none", 5, nil, false)))
	r.say("partitions on no broker: %s", code(admin.CreatePartitions(r.topic, 4, [][]int32{{424_242}}, false)))
	_, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: r.topic + "-none"})
	r.say("settings of no topic: %s", code(err))
	groups, err := admin.DescribeConsumerGroups([]string{r.topic + "-none"})
	r.say("a group that is not there: %s, %s, %d", code(err), groups[0].State, groups[0].ErrorCode)
	offsets, err := admin.ListConsumerGroupOffsets(r.topic+"-none", map[string][]int32{r.topic: {0, 99}})
	r.say("its offsets: %s, %d and %d", code(err), offsets.GetBlock(r.topic, 0).Offset, offsets.GetBlock(r.topic, 99).Offset)
	r.say("delete the group: %s", code(admin.DeleteConsumerGroup(r.topic+"-none")))
	r.say("delete the topic: %s", code(admin.DeleteTopic(r.topic)))
	r.say("delete it again: %s", code(admin.DeleteTopic(r.topic)))
}
