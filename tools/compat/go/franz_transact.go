package main

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A transactional client's life in one transcript, with what readers and administrators see of it.
func franzTransactScript(r *run) {
	admin := r.franzCreate(2, nil)
	id := r.topic + "-id"
	code := func(err error) string {
		if err == nil {
			return "ok"
		}
		// What follows the code is in the server's own words.
		return strings.SplitN(err.Error(), ":", 2)[0]
	}
	client := func() *kgo.Client {
		return r.franz(kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	look := func() {
		told, err := admin.DescribeTransactions(r.ctx, id)
		r.must(err, "describe")
		r.say("state: %s, epoch %d, %d partitions, %s", told[id].State, told[id].ProducerEpoch, len(told[id].Topics.Sorted()), code(told[id].Err))
		committed, err := admin.ListCommittedOffsets(r.ctx, r.topic)
		r.must(err, "committed offsets")
		ends, err := admin.ListEndOffsets(r.ctx, r.topic)
		r.must(err, "end offsets")
		for p := int32(0); p < 2; p++ {
			r.say("partition %d: %d of %d", p, committed[r.topic][p].Offset, ends[r.topic][p].Offset)
		}
	}
	settled := func() {
		r.until("it is through", func() bool {
			told, err := admin.DescribeTransactions(r.ctx, id)
			return err == nil && !strings.HasPrefix(told[id].State, "Prepare")
		})
	}
	send := func(from *kgo.Client, partition int32, value string) {
		record := &kgo.Record{Topic: r.topic, Partition: partition, Value: []byte(value)}
		err := from.ProduceSync(r.ctx, record).FirstErr()
		r.say("send %s: %s, offset %d", value, code(err), record.Offset)
	}
	old := client()
	r.say("begin: %s", code(old.BeginTransaction()))
	send(old, 0, "committed 0")
	send(old, 1, "committed 1")
	look()
	r.say("commit: %s", code(old.EndTransaction(r.ctx, kgo.TryCommit)))
	settled()
	look()
	r.say("begin: %s", code(old.BeginTransaction()))
	send(old, 0, "aborted")
	r.say("abort: %s", code(old.EndTransaction(r.ctx, kgo.TryAbort)))
	settled()
	look()
	r.say("begin: %s", code(old.BeginTransaction()))
	r.say("commit nothing: %s", code(old.EndTransaction(r.ctx, kgo.TryCommit)))
	look()
	r.say("begin: %s", code(old.BeginTransaction()))
	send(old, 0, "of who is fenced")
	newer := client()
	r.say("begin: %s", code(newer.BeginTransaction()))
	send(newer, 1, "of who fences")
	r.say("commit of who is fenced: %s", code(old.EndTransaction(r.ctx, kgo.TryCommit)))
	r.say("commit of who fences: %s", code(newer.EndTransaction(r.ctx, kgo.TryCommit)))
	settled()
	look()
	for _, isolation := range []struct {
		what  string
		level kgo.IsolationLevel
		count int
	}{{"committed", kgo.ReadCommitted(), 3}, {"all", kgo.ReadUncommitted(), 5}} {
		reader := r.franzReader(2, kgo.NewOffset().AtStart(), kgo.FetchIsolationLevel(isolation.level))
		for _, record := range r.franzTake(reader, isolation.count) {
			r.say("read %s %d-%d: %s", isolation.what, record.Partition, record.Offset, record.Value)
		}
	}
	listed, err := admin.ListTransactions(r.ctx, nil, nil)
	r.say("listed: %s, %v", code(err), listed[id].State)
}
