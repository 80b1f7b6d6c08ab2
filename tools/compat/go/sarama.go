package main

import (
	"io"
	"log"
	"time"

	"github.com/IBM/sarama"
)

var saramaScenarios = []scenario{
	{"produce.acks_0", func(r *run) { saramaRoundTrip(r, 500, 100, acks(sarama.NoResponse)) }},
	{"produce.acks_1", func(r *run) { saramaRoundTrip(r, 500, 100, acks(sarama.WaitForLocal)) }},
	{"produce.acks_all", func(r *run) { saramaRoundTrip(r, 500, 100, acks(sarama.WaitForAll)) }},
	{"produce.idempotent", func(r *run) { saramaRoundTrip(r, 500, 100, idempotent) }},
	{"produce.newest_version", func(r *run) { saramaRoundTrip(r, 500, 100, idempotent, newest) }},
	{"produce.oldest_batches", func(r *run) { saramaRoundTrip(r, 500, 100, oldest) }},
	{"produce.gzip", func(r *run) { saramaRoundTrip(r, 500, 200, codec(sarama.CompressionGZIP)) }},
	{"produce.snappy", func(r *run) { saramaRoundTrip(r, 500, 200, codec(sarama.CompressionSnappy)) }},
	{"produce.lz4", func(r *run) { saramaRoundTrip(r, 500, 200, codec(sarama.CompressionLZ4)) }},
	{"produce.zstd", func(r *run) { saramaRoundTrip(r, 500, 200, codec(sarama.CompressionZSTD)) }},
	{"produce.large_messages", func(r *run) { saramaRoundTrip(r, 4, 900_000) }},
	{"produce.too_large", saramaTooLarge},
	{"produce.keys_headers_timestamps", saramaKeysHeadersTimestamps},
	{"produce.asynchronously_by_key", saramaAsync},
	{"produce.unknown_topic", saramaUnknownTopic},
	{"consume.seek", saramaSeek},
	{"group.commit_and_resume", func(r *run) { saramaCommitAndResume(r) }},
	{"group.commit_and_resume_newest_version", func(r *run) { saramaCommitAndResume(r, newest) }},
	{"group.two_share_range", func(r *run) { saramaTwoShare(r, sarama.NewBalanceStrategyRange()) }},
	{"group.two_share_sticky", func(r *run) { saramaTwoShare(r, sarama.NewBalanceStrategySticky()) }},
	{"admin.topics", saramaAdminTopics},
	{"admin.configs", saramaAdminConfigs},
	{"admin.groups", saramaAdminGroups},
	{"admin.delete_records", saramaDeleteRecords},
	{"script.administration", saramaScript},
	{"script.transactions", saramaTransactScript},
}

type setting func(*sarama.Config)

func acks(level sarama.RequiredAcks) setting {
	return func(c *sarama.Config) { c.Producer.RequiredAcks = level }
}

func codec(codec sarama.CompressionCodec) setting {
	return func(c *sarama.Config) { c.Producer.Compression = codec }
}

func idempotent(c *sarama.Config) {
	c.Producer.Idempotent, c.Producer.RequiredAcks, c.Net.MaxOpenRequests = true, sarama.WaitForAll, 1
}

func newest(c *sarama.Config) { c.Version = sarama.MaxVersion }

// The oldest that writes batches as they are today (0.11).
func oldest(c *sarama.Config) { c.Version = sarama.V0_11_0_0 }

func init() { sarama.Logger = log.New(io.Discard, "", 0) }

func (r *run) saramaConfig(settings ...setting) *sarama.Config {
	config := sarama.NewConfig()
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	// A close waits for the fetch under way.
	config.Consumer.MaxWaitTime = 100 * time.Millisecond
	config.Metadata.AllowAutoTopicCreation = false
	config.Metadata.Retry.Max = 1
	for _, set := range settings {
		set(config)
	}
	return config
}

func (r *run) sarama(settings ...setting) sarama.Client {
	client, err := sarama.NewClient([]string{r.bootstrap}, r.saramaConfig(settings...))
	r.must(err, "a client")
	r.atEnd(func() { client.Close() })
	return client
}

func (r *run) saramaAdmin(settings ...setting) sarama.ClusterAdmin {
	admin, err := sarama.NewClusterAdmin([]string{r.bootstrap}, r.saramaConfig(settings...))
	r.must(err, "an administrator")
	r.atEnd(func() { admin.Close() })
	return admin
}

// Waits until every partition answers: servers tell of a topic a little before they serve it.
func (r *run) saramaCreate(partitions int32, configs map[string]*string) sarama.ClusterAdmin {
	admin := r.saramaAdmin()
	r.must(admin.CreateTopic(r.topic, &sarama.TopicDetail{
		NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: configs}, false), "create")
	r.saramaReady(partitions)
	return admin
}

func (r *run) saramaReady(partitions int32) {
	client := r.sarama()
	r.until("the topic is ready", func() bool {
		client.RefreshMetadata(r.topic)
		for p := int32(0); p < partitions; p++ {
			if _, err := client.GetOffset(r.topic, p, sarama.OffsetNewest); err != nil {
				return false
			}
		}
		return true
	})
}

func (r *run) saramaProducer(settings ...setting) sarama.SyncProducer {
	producer, err := sarama.NewSyncProducer([]string{r.bootstrap}, r.saramaConfig(settings...))
	r.must(err, "a producer")
	r.atEnd(func() { producer.Close() })
	return producer
}

func (r *run) saramaSend(producer sarama.SyncProducer, partition int32, payloads [][]byte) []*sarama.ProducerMessage {
	messages := []*sarama.ProducerMessage{}
	for _, value := range payloads {
		messages = append(messages, &sarama.ProducerMessage{Topic: r.topic, Partition: partition, Value: sarama.ByteEncoder(value)})
	}
	r.must(producer.SendMessages(messages), "produce")
	return messages
}

// Reads count messages of a partition from an offset on.
func (r *run) saramaRead(partition int32, from int64, count int, settings ...setting) []*sarama.ConsumerMessage {
	consumer, err := sarama.NewConsumerFromClient(r.sarama(settings...))
	r.must(err, "a consumer")
	reader, err := consumer.ConsumePartition(r.topic, partition, from)
	r.must(err, "consume")
	defer consumer.Close()
	defer reader.Close()
	messages := []*sarama.ConsumerMessage{}
	for len(messages) < count {
		select {
		case message := <-reader.Messages():
			messages = append(messages, message)
		case <-r.ctx.Done():
			r.check(false, "%d of %d messages came", len(messages), count)
		}
	}
	select {
	case message := <-reader.Messages():
		r.check(false, "one more message came, of offset %d", message.Offset)
	case <-time.After(50 * time.Millisecond):
	}
	return messages
}
