package main

import (
	"strings"

	"github.com/IBM/sarama"
)

// A transactional producer's life in one transcript, and what readers see of it.
func saramaTransactScript(r *run) {
	r.saramaCreate(2, nil)
	id := r.topic + "-id"
	code := func(err error) string {
		if err == nil {
			return "ok"
		}
		text, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "kafka server: "), " - ")
		return text
	}
	transactional := func(c *sarama.Config) { c.Producer.Transaction.ID = id }
	send := func(from sarama.SyncProducer, partition int32, value string) {
		_, offset, err := from.SendMessage(&sarama.ProducerMessage{Topic: r.topic, Partition: partition, Value: sarama.StringEncoder(value)})
		r.say("send %s: %s, offset %d", value, code(err), offset)
	}
	old := r.saramaProducer(newest, idempotent, transactional)
	r.say("begin: %s", code(old.BeginTxn()))
	send(old, 0, "committed 0")
	send(old, 1, "committed 1")
	r.say("begin in a transaction: %s", code(old.BeginTxn()))
	r.say("commit: %s", code(old.CommitTxn()))
	r.say("begin: %s", code(old.BeginTxn()))
	send(old, 0, "aborted")
	r.say("abort: %s", code(old.AbortTxn()))
	r.say("begin: %s", code(old.BeginTxn()))
	r.say("commit nothing: %s", code(old.CommitTxn()))
	note := "a note"
	offsets := map[string][]*sarama.PartitionOffsetMetadata{r.topic: {{Partition: 0, Offset: 1, Metadata: &note}}}
	r.say("begin: %s", code(old.BeginTxn()))
	r.say("offsets: %s", code(old.AddOffsetsToTxn(offsets, r.topic)))
	r.say("commit offsets: %s", code(old.CommitTxn()))
	admin := r.saramaAdmin(newest)
	r.until("they show", func() bool {
		told, err := admin.ListConsumerGroupOffsets(r.topic, map[string][]int32{r.topic: {0}})
		return err == nil && told.GetBlock(r.topic, 0).Err == sarama.ErrNoError && told.GetBlock(r.topic, 0).Offset >= 0
	})
	told, err := admin.ListConsumerGroupOffsets(r.topic, map[string][]int32{r.topic: {0, 1}})
	r.say("committed offsets: %s, %d and %d", code(err), told.GetBlock(r.topic, 0).Offset, told.GetBlock(r.topic, 1).Offset)
	r.say("begin: %s", code(old.BeginTxn()))
	send(old, 0, "of who is fenced")
	newer := r.saramaProducer(newest, idempotent, transactional)
	r.say("begin: %s", code(newer.BeginTxn()))
	send(newer, 1, "of who fences")
	r.say("commit of who is fenced: %s", code(old.CommitTxn()))
	r.say("commit of who fences: %s", code(newer.CommitTxn()))
	committed := func(c *sarama.Config) { c.Consumer.IsolationLevel = sarama.ReadCommitted }
	for _, reading := range []struct {
		what   string
		level  setting
		counts [2]int
	}{{"committed", committed, [2]int{1, 2}}, {"all", newest, [2]int{3, 2}}} {
		for p := int32(0); p < 2; p++ {
			for _, message := range r.saramaRead(p, sarama.OffsetOldest, reading.counts[p], newest, reading.level) {
				r.say("read %s %d-%d: %s", reading.what, p, message.Offset, message.Value)
			}
		}
	}
}
