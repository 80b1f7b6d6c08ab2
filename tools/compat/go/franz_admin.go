package main

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func franzAdminTopics(r *run) {
	admin := r.franzCreate(2, nil)
	_, err := admin.CreateTopic(r.ctx, 2, 1, nil, r.topic)
	r.fails(kerr.TopicAlreadyExists, err, "created twice")
	metadata, err := admin.Metadata(r.ctx, r.topic)
	r.must(err, "metadata")
	r.equal(r.brokers, len(metadata.Brokers), "brokers")
	r.check(metadata.Cluster != "", "no cluster id")
	r.equal(2, len(metadata.Topics[r.topic].Partitions), "partitions")
	validated, err := admin.ValidateUpdatePartitions(r.ctx, 5, r.topic)
	r.must(err, "validate partitions")
	r.must(validated.Error(), "validate partitions")
	updated, err := admin.UpdatePartitions(r.ctx, 5, r.topic)
	r.must(err, "partitions")
	r.must(updated.Error(), "partitions")
	r.franzReady(admin, 5)
	fewer, err := admin.UpdatePartitions(r.ctx, 3, r.topic)
	r.must(err, "fewer partitions")
	r.fails(kerr.InvalidPartitions, fewer.Error(), "fewer partitions")
	deleted, err := admin.DeleteTopics(r.ctx, r.topic, r.topic+"-none")
	r.must(err, "delete")
	r.must(deleted[r.topic].Err, "delete")
	r.fails(kerr.UnknownTopicOrPartition, deleted[r.topic+"-none"].Err, "delete what is not there")
	r.until("it has left the list", func() bool {
		listed, err := admin.ListTopics(r.ctx)
		r.must(err, "list")
		return !listed.Has(r.topic)
	})
}

func franzAdminConfigs(r *run) {
	retention := "7200000"
	admin := r.franzCreate(1, map[string]*string{"retention.ms": &retention})
	shown := func(name string) string {
		configs, err := admin.DescribeTopicConfigs(r.ctx, r.topic)
		r.must(err, "describe")
		for _, config := range configs[0].Configs {
			if config.Key == name {
				return config.MaybeValue() + " " + config.Source.String()
			}
		}
		return "none"
	}
	r.equal("7200000 "+kmsg.ConfigSourceDynamicTopicConfig.String(), shown("retention.ms"), "a setting")
	small := "100000"
	altered, err := admin.AlterTopicConfigs(r.ctx, []kadm.AlterConfig{
		{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &small}, {Op: kadm.DeleteConfig, Name: "retention.ms"}}, r.topic)
	r.must(err, "alter")
	r.must(altered[0].Err, "alter")
	r.until("it shows", func() bool { return shown("max.message.bytes") == "100000 DYNAMIC_TOPIC_CONFIG" })
	r.equal("604800000 "+kmsg.ConfigSourceDefaultConfig.String(), shown("retention.ms"), "what was deleted")
	wrong := "often"
	altered, err = admin.AlterTopicConfigs(r.ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &wrong}}, r.topic)
	r.must(err, "alter")
	r.fails(kerr.InvalidConfig, altered[0].Err, "an ill value")
	// One request in the old form, which replaces all that was set.
	request := kmsg.NewPtrAlterConfigsRequest()
	resource := kmsg.NewAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, r.topic
	entry := kmsg.NewAlterConfigsRequestResourceConfig()
	entry.Name, entry.Value = "retention.ms", &retention
	resource.Configs = append(resource.Configs, entry)
	request.Resources = append(request.Resources, resource)
	answer, err := request.RequestWith(r.ctx, r.franz())
	r.must(err, "the old form")
	r.must(kerr.ErrorForCode(answer.Resources[0].ErrorCode), "the old form")
	r.until("it shows", func() bool { return shown("retention.ms") == "7200000 DYNAMIC_TOPIC_CONFIG" })
	r.equal("1048588 "+kmsg.ConfigSourceDefaultConfig.String(), shown("max.message.bytes"), "what the old form replaced")
	brokers, err := admin.ListBrokers(r.ctx)
	r.must(err, "brokers")
	for _, broker := range brokers.NodeIDs() {
		configs, err := admin.DescribeBrokerConfigs(r.ctx, broker)
		r.must(err, "a broker's settings")
		r.must(configs[0].Err, "a broker's settings")
		r.check(len(configs[0].Configs) > 20, "%d settings of a broker", len(configs[0].Configs))
	}
}

func franzAdminGroups(r *run) {
	admin := r.franzCreate(2, nil)
	offsets := kadm.Offsets{}
	offsets.AddOffset(r.topic, 0, 7, -1)
	offsets.AddOffset(r.topic, 1, 9, -1)
	r.must(admin.CommitAllOffsets(r.ctx, r.topic, offsets), "commit from outside")
	fetched, err := admin.FetchOffsets(r.ctx, r.topic)
	r.must(err, "offsets")
	r.equal([]int64{7, 9}, []int64{fetched[r.topic][0].At, fetched[r.topic][1].At}, "offsets")
	listed, err := admin.ListGroups(r.ctx)
	r.must(err, "list")
	r.check(slices.Contains(listed.Groups(), r.topic), "not in the list")
	member := r.franz(kgo.ConsumerGroup(r.topic), kgo.ConsumeTopics(r.topic), kgo.ClientID("the-client"))
	go member.PollFetches(r.ctx)
	r.until("it is stable", func() bool {
		groups, err := admin.DescribeGroups(r.ctx, r.topic)
		r.must(err, "describe")
		return groups[r.topic].State == "Stable"
	})
	groups, err := admin.DescribeGroups(r.ctx, r.topic)
	r.must(err, "describe")
	r.equal("the-client", groups[r.topic].Members[0].ClientID, "client id")
	group := groups[r.topic]
	assigned := group.AssignedPartitions()
	r.equal(2, len(assigned[r.topic]), "partitions assigned")
	_, err = admin.DeleteGroup(r.ctx, r.topic)
	r.fails(kerr.NonEmptyGroup, err, "delete while it has a member")
	member.Close()
	r.until("it is empty and goes", func() bool {
		_, err = admin.DeleteGroup(r.ctx, r.topic)
		return err == nil
	})
	_, err = admin.DeleteGroup(r.ctx, r.topic)
	r.fails(kerr.GroupIDNotFound, err, "delete what is not there")
}

func franzDeleteRecords(r *run) {
	admin := r.franzCreate(1, nil)
	r.franzSend(r.franz(), 0, values(20, 20))
	ask := func(offset int64) error {
		offsets := kadm.Offsets{}
		offsets.AddOffset(r.topic, 0, offset, -1)
		answers, err := admin.DeleteRecords(r.ctx, offsets)
		r.must(err, "delete records")
		return answers[r.topic][0].Err
	}
	r.must(ask(7), "delete records")
	r.fails(kerr.OffsetOutOfRange, ask(21), "past the end")
	starts, err := admin.ListStartOffsets(r.ctx, r.topic)
	r.must(err, "start offsets")
	r.equal(int64(7), starts[r.topic][0].Offset, "start")
	r.equal(int64(7), r.franzTake(r.franzReader(1, kgo.NewOffset().AtStart()), 13)[0].Offset, "first offset")
}

// A program's life in one transcript: what is answered, right and wrong.
func franzScript(r *run) {
	admin := r.franzAdmin()
	code := func(err error) string {
		if err == nil {
			return "ok"
		}
		return err.Error()
	}
	create := func(name string, partitions int32, replicas int16, configs map[string]*string) {
		answer, err := admin.CreateTopics(r.ctx, partitions, replicas, configs, name)
		r.must(err, "create")
		told := answer[name]
		r.say("create %s with %d partitions: %s; told %d partitions, %d replicas", name, partitions, code(told.Err), told.NumPartitions, told.ReplicationFactor)
	}
	few, odd := "3600000", "odd"
	create(r.topic, 3, 1, map[string]*string{"retention.ms": &few})
	r.franzReady(admin, 3)
	create(r.topic, 3, 1, nil)
	create(r.topic+"-b", 0, 1, nil)
	create(r.topic+"-c", 1, 0, nil)
	create(r.topic+" d", 1, 1, nil)
	create(r.topic+"-e", 1, 1, map[string]*string{"retention.ms": &odd})
	create(r.topic+"-f", 1, 1, map[string]*string{"no.such": &few})
	client := r.franz(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.UnknownTopicRetries(1))
	for p := int32(0); p < 4; p++ {
		record := &kgo.Record{Topic: r.topic, Partition: p, Key: []byte("k"), Value: []byte("v")}
		err := client.ProduceSync(r.ctx, record).FirstErr()
		r.say("produce to partition %d: %s, offset %d", p, code(err), record.Offset)
	}
	for _, asked := range []struct {
		what string
		list func() (kadm.ListedOffsets, error)
	}{
		{"start", func() (kadm.ListedOffsets, error) { return admin.ListStartOffsets(r.ctx, r.topic) }},
		{"end", func() (kadm.ListedOffsets, error) { return admin.ListEndOffsets(r.ctx, r.topic) }},
		{"committed", func() (kadm.ListedOffsets, error) { return admin.ListCommittedOffsets(r.ctx, r.topic) }},
		{"of time 0", func() (kadm.ListedOffsets, error) { return admin.ListOffsetsAfterMilli(r.ctx, 0, r.topic) }},
		{"greatest time", func() (kadm.ListedOffsets, error) { return admin.ListMaxTimestampOffsets(r.ctx, r.topic) }},
		{"start, no such topic", func() (kadm.ListedOffsets, error) { return admin.ListStartOffsets(r.ctx, r.topic+"-none") }},
	} {
		offsets, err := asked.list()
		told := []string{fmt.Sprintf("%s: %s", asked.what, code(err))}
		offsets.Each(func(o kadm.ListedOffset) {
			told = append(told, fmt.Sprintf("%s %s-%d: %d, %s", asked.what, o.Topic, o.Partition, o.Offset, code(o.Err)))
		})
		slices.Sort(told)
		for _, line := range told {
			r.say("%s", line)
		}
	}
	grown, err := admin.CreatePartitions(r.ctx, 1, r.topic, r.topic+"-none")
	r.say("one more partition: %s", code(err))
	for _, answer := range grown.Sorted() {
		r.say("one more partition of %s: %s", answer.Topic, code(answer.Err))
	}
	commit := kadm.Offsets{}
	commit.AddOffset(r.topic, 0, 1, -1)
	commit.AddOffset(r.topic, 99, 1, -1)
	commit.AddOffset(r.topic+"-none", 0, 1, -1)
	answers, err := admin.CommitOffsets(r.ctx, r.topic, commit)
	r.say("commit: %s", code(err))
	for _, answer := range answers.Sorted() {
		r.say("commit %s-%d: %s", answer.Topic, answer.Partition, code(answer.Err))
	}
	groups, err := admin.DescribeGroups(r.ctx, r.topic, r.topic+"-none")
	r.say("describe groups: %s", code(err))
	for _, group := range groups.Sorted() {
		r.say("describe group %s: %s, protocol type %q, %s", group.Group, group.State, group.ProtocolType, code(group.Err))
	}
	gone, err := admin.DeleteGroups(r.ctx, r.topic, r.topic+"-none")
	r.say("delete groups: %s", code(err))
	for _, answer := range gone.Sorted() {
		r.say("delete group %s: %s", answer.Group, code(answer.Err))
	}
	deleted, err := admin.DeleteTopics(r.ctx, r.topic, r.topic+"-none", r.topic+" d")
	r.say("delete topics: %s", code(err))
	for _, answer := range deleted.Sorted() {
		r.say("delete topic %s: %s", answer.Topic, code(answer.Err))
	}
}
