package main

import (
	"time"

	"github.com/IBM/sarama"
)

func saramaRoundTrip(r *run, count, size int, settings ...setting) {
	r.saramaCreate(1, nil)
	payloads := values(count, size)
	told := r.saramaConfig(settings...).Producer.RequiredAcks != sarama.NoResponse
	for i, message := range r.saramaSend(r.saramaProducer(settings...), 0, payloads) {
		r.check(!told || message.Offset == int64(i), "offset told %d: %d", i, message.Offset)
	}
	for i, message := range r.saramaRead(0, sarama.OffsetOldest, count, settings...) {
		r.equal(int64(i), message.Offset, "offset")
		r.equal(string(payloads[i]), string(message.Value), "value")
	}
}

func saramaTooLarge(r *run) {
	limit := "100000"
	r.saramaCreate(1, map[string]*string{"max.message.bytes": &limit})
	producer := r.saramaProducer()
	_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: r.topic, Value: sarama.ByteEncoder(make([]byte, 200_000))})
	r.fails(sarama.ErrMessageSizeTooLarge, err, "200 kB into 100 kB")
	r.equal(int64(0), r.saramaSend(producer, 0, values(1, 100))[0].Offset, "offset of the next")
}

func saramaKeysHeadersTimestamps(r *run) {
	r.saramaCreate(1, nil)
	at := time.UnixMilli(time.Now().UnixMilli() - 3_600_000)
	sent := &sarama.ProducerMessage{Topic: r.topic, Key: sarama.StringEncoder("clé"), Value: sarama.StringEncoder("v"), Timestamp: at,
		Headers: []sarama.RecordHeader{{Key: []byte("h"), Value: []byte{0, 255}}, {Key: []byte("none")}}}
	tombstone := &sarama.ProducerMessage{Topic: r.topic, Key: sarama.StringEncoder("clé"), Timestamp: at.Add(time.Millisecond)}
	r.must(r.saramaProducer().SendMessages([]*sarama.ProducerMessage{sent, tombstone}), "produce")
	got := r.saramaRead(0, sarama.OffsetOldest, 2)
	r.equal("clé", string(got[0].Key), "key")
	r.equal("v", string(got[0].Value), "value")
	r.equal(at.UnixMilli(), got[0].Timestamp.UnixMilli(), "timestamp")
	r.equal(2, len(got[0].Headers), "headers")
	r.equal(sent.Headers[0], *got[0].Headers[0], "header")
	r.equal("none", string(got[0].Headers[1].Key), "null header's key")
	r.equal(true, got[1].Value == nil, "a tombstone's value is nil")
}

func saramaAsync(r *run) {
	r.saramaCreate(6, nil)
	producer, err := sarama.NewAsyncProducer([]string{r.bootstrap}, r.saramaConfig(func(c *sarama.Config) {
		c.Producer.Partitioner = sarama.NewHashPartitioner
	}))
	r.must(err, "a producer")
	// Only when all is told: what has to be sent again while it closes is given up.
	defer producer.AsyncClose()
	const count = 600
	go func() {
		for i := 0; i < count; i++ {
			producer.Input() <- &sarama.ProducerMessage{Topic: r.topic, Key: sarama.ByteEncoder{byte(i % 31)}, Value: sarama.ByteEncoder{byte(i), byte(i >> 8)}}
		}
	}()
	sent, perPartition := map[place]string{}, map[int32]int{}
	for len(sent) < count {
		select {
		case message := <-producer.Successes():
			value, _ := message.Value.Encode()
			sent[place{message.Partition, message.Offset}] = string(value)
			perPartition[message.Partition]++
		case failure := <-producer.Errors():
			r.check(false, "produce: %v", failure)
		case <-r.ctx.Done():
			r.check(false, "%d of %d acknowledged", len(sent), count)
		}
	}
	r.equal(6, len(perPartition), "partitions used")
	for p, expected := range perPartition {
		for _, message := range r.saramaRead(p, sarama.OffsetOldest, expected) {
			r.equal(sent[place{p, message.Offset}], string(message.Value), "value")
		}
	}
}

func saramaUnknownTopic(r *run) {
	_, _, err := r.saramaProducer().SendMessage(&sarama.ProducerMessage{Topic: r.topic, Value: sarama.StringEncoder("v")})
	r.fails(sarama.ErrUnknownTopicOrPartition, err, "produce")
	consumer, err := sarama.NewConsumerFromClient(r.sarama())
	r.must(err, "a consumer")
	_, err = consumer.ConsumePartition(r.topic, 0, sarama.OffsetOldest)
	r.fails(sarama.ErrUnknownTopicOrPartition, err, "consume")
	// Nobody asked for it to be made.
	topics, err := r.saramaAdmin().ListTopics()
	r.must(err, "list")
	_, made := topics[r.topic]
	r.check(!made, "the topic was created")
	created := r.saramaProducer(func(c *sarama.Config) { c.Metadata.AllowAutoTopicCreation, c.Metadata.Retry.Max = true, 20 })
	_, offset, err := created.SendMessage(&sarama.ProducerMessage{Topic: r.topic, Value: sarama.StringEncoder("v")})
	r.must(err, "produce where topics are made")
	r.equal(int64(0), offset, "offset")
}
