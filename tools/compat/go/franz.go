package main

import (
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var franzScenarios = []scenario{
	{"produce.acks_0", func(r *run) { franzRoundTrip(r, 500, 100, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite()) }},
	{"produce.acks_1", func(r *run) {
		franzRoundTrip(r, 500, 100, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	}},
	{"produce.acks_all", func(r *run) {
		franzRoundTrip(r, 500, 100, kgo.RequiredAcks(kgo.AllISRAcks()), kgo.DisableIdempotentWrite())
	}},
	{"produce.idempotent", func(r *run) { franzRoundTrip(r, 2000, 100) }},
	{"produce.gzip", func(r *run) { franzRoundTrip(r, 500, 200, kgo.ProducerBatchCompression(kgo.GzipCompression())) }},
	{"produce.snappy", func(r *run) {
		franzRoundTrip(r, 500, 200, kgo.ProducerBatchCompression(kgo.SnappyCompression()))
	}},
	{"produce.lz4", func(r *run) { franzRoundTrip(r, 500, 200, kgo.ProducerBatchCompression(kgo.Lz4Compression())) }},
	{"produce.zstd", func(r *run) { franzRoundTrip(r, 500, 200, kgo.ProducerBatchCompression(kgo.ZstdCompression())) }},
	{"produce.large_messages", func(r *run) { franzRoundTrip(r, 4, 900_000) }},
	{"produce.too_large", franzTooLarge},
	{"produce.keys_headers_timestamps", franzKeysHeadersTimestamps},
	{"produce.by_key", franzByKey},
	{"produce.unknown_topic", franzUnknownTopic},
	{"produce.auto_created_topic", franzAutoCreated},
	{"consume.seek", franzSeek},
	{"consume.small_fetches", franzSmallFetches},
	{"group.commit_and_resume", franzCommitAndResume},
	{"group.two_share_cooperative", func(r *run) { franzTwoShare(r, kgo.CooperativeStickyBalancer()) }},
	{"group.two_share_range", func(r *run) { franzTwoShare(r, kgo.RangeBalancer()) }},
	{"admin.topics", franzAdminTopics},
	{"admin.configs", franzAdminConfigs},
	{"admin.groups", franzAdminGroups},
	{"admin.delete_records", franzDeleteRecords},
	{"script.administration", franzScript},
	{"script.transactions", franzTransactScript},
}

func (r *run) franz(options ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(r.bootstrap), kgo.ProduceRequestTimeout(10 * time.Second)}, options...)...)
	r.must(err, "a client")
	r.atEnd(client.Close)
	return client
}

func (r *run) franzAdmin() *kadm.Client { return kadm.NewClient(r.franz()) }

// Waits until every partition answers: servers tell of a topic a little before they serve it.
func (r *run) franzCreate(partitions int32, configs map[string]*string) *kadm.Client {
	admin := r.franzAdmin()
	_, err := admin.CreateTopic(r.ctx, partitions, 1, configs, r.topic)
	r.must(err, "create")
	r.franzReady(admin, partitions)
	return admin
}

func (r *run) franzReady(admin *kadm.Client, partitions int32) {
	r.until("the topic is ready", func() bool {
		ends, err := admin.ListEndOffsets(r.ctx, r.topic)
		return err == nil && ends.Error() == nil && len(ends[r.topic]) == int(partitions)
	})
}

func (r *run) franzSend(client *kgo.Client, partition int32, payloads [][]byte) []*kgo.Record {
	records := []*kgo.Record{}
	for _, value := range payloads {
		records = append(records, &kgo.Record{Topic: r.topic, Partition: partition, Value: value})
	}
	r.must(client.ProduceSync(r.ctx, records...).FirstErr(), "produce")
	return records
}

// Polls until count records have come.
func (r *run) franzTake(client *kgo.Client, count int) []*kgo.Record {
	records := []*kgo.Record{}
	for len(records) < count {
		fetches := client.PollFetches(r.ctx)
		for _, e := range fetches.Errors() {
			r.check(false, "fetching %s-%d: %v, %d of %d came", e.Topic, e.Partition, e.Err, len(records), count)
		}
		records = append(records, fetches.Records()...)
	}
	r.equal(count, len(records), "records")
	return records
}

func (r *run) franzReader(partitions int32, at kgo.Offset, options ...kgo.Opt) *kgo.Client {
	from := map[int32]kgo.Offset{}
	for p := int32(0); p < partitions; p++ {
		from[p] = at
	}
	return r.franz(append(options, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.topic: from}))...)
}
