package main

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func franzRoundTrip(r *run, count, size int, options ...kgo.Opt) {
	r.franzCreate(1, nil)
	payloads := values(count, size)
	client := r.franz(append(options, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(1_000_000))...)
	for i, record := range r.franzSend(client, 0, payloads) {
		// Without acks nobody tells an offset.
		r.check(record.Offset == int64(i) || client.OptValue(kgo.RequiredAcks) == kgo.NoAck(), "offset told %d: %d", i, record.Offset)
	}
	for i, record := range r.franzTake(r.franzReader(1, kgo.NewOffset().AtStart()), count) {
		r.equal(int64(i), record.Offset, "offset")
		r.equal(string(payloads[i]), string(record.Value), "value")
	}
}

func franzTooLarge(r *run) {
	limit := "100000"
	r.franzCreate(1, map[string]*string{"max.message.bytes": &limit})
	client := r.franz(kgo.ProducerBatchCompression(kgo.NoCompression()))
	err := client.ProduceSync(r.ctx, &kgo.Record{Topic: r.topic, Value: make([]byte, 200_000)}).FirstErr()
	r.fails(kerr.MessageTooLarge, err, "200 kB into 100 kB")
	again := r.franz()
	r.equal(int64(0), r.franzSend(again, 0, values(1, 100))[0].Offset, "offset of the next")
}

func franzKeysHeadersTimestamps(r *run) {
	r.franzCreate(1, nil)
	at := time.UnixMilli(time.Now().UnixMilli() - 3_600_000)
	sent := []*kgo.Record{
		{Topic: r.topic, Key: []byte("clé"), Value: []byte("v"), Timestamp: at,
			Headers: []kgo.RecordHeader{{Key: "h", Value: []byte{0, 255}}, {Key: "none"}}},
		{Topic: r.topic, Key: []byte("clé"), Timestamp: at.Add(time.Millisecond)},
	}
	r.must(r.franz().ProduceSync(r.ctx, sent...).FirstErr(), "produce")
	got := r.franzTake(r.franzReader(1, kgo.NewOffset().AtStart()), 2)
	r.equal("clé", string(got[0].Key), "key")
	r.equal("v", string(got[0].Value), "value")
	r.equal(at.UnixMilli(), got[0].Timestamp.UnixMilli(), "timestamp")
	r.equal(sent[0].Headers, got[0].Headers, "headers")
	r.equal(true, got[1].Value == nil, "a tombstone's value is nil")
}

func franzByKey(r *run) {
	r.franzCreate(6, nil)
	client := r.franz()
	records := []*kgo.Record{}
	for i := 0; i < 600; i++ {
		records = append(records, &kgo.Record{Topic: r.topic, Key: []byte{byte(i % 31)}, Value: []byte{byte(i), byte(i >> 8)}})
	}
	r.must(client.ProduceSync(r.ctx, records...).FirstErr(), "produce")
	sent := map[int32]map[int64]string{}
	for _, record := range records {
		if sent[record.Partition] == nil {
			sent[record.Partition] = map[int64]string{}
		}
		sent[record.Partition][record.Offset] = string(record.Value)
	}
	r.equal(6, len(sent), "partitions used")
	for _, record := range r.franzTake(r.franzReader(6, kgo.NewOffset().AtStart()), 600) {
		r.equal(sent[record.Partition][record.Offset], string(record.Value), "value")
	}
}

func franzUnknownTopic(r *run) {
	client := r.franz(kgo.UnknownTopicRetries(1))
	err := client.ProduceSync(r.ctx, &kgo.Record{Topic: r.topic, Value: []byte("v")}).FirstErr()
	r.fails(kerr.UnknownTopicOrPartition, err, "produce")
	_, err = r.franzAdmin().DescribeTopicConfigs(r.ctx, r.topic)
	r.must(err, "the request itself")
}

func franzAutoCreated(r *run) {
	client := r.franz(kgo.AllowAutoTopicCreation())
	r.equal(int64(0), r.franzSend(client, 0, values(1, 100))[0].Offset, "offset")
}
