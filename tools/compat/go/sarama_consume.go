package main

import (
	"context"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

func saramaSeek(r *run) {
	r.saramaCreate(1, nil)
	at := time.Now().UnixMilli() - 3_600_000
	producer := r.saramaProducer()
	for i := 0; i < 10; i++ {
		batch := []*sarama.ProducerMessage{}
		for j := 0; j < 10; j++ {
			n := int64(i*10 + j)
			batch = append(batch, &sarama.ProducerMessage{Topic: r.topic, Value: sarama.ByteEncoder{byte(n)}, Timestamp: time.UnixMilli(at + n)})
		}
		r.must(producer.SendMessages(batch), "produce")
	}
	client := r.sarama()
	for asked, expected := range map[int64]int64{
		sarama.OffsetOldest: 0, sarama.OffsetNewest: 100, at + 42: 42, at - 1: 0, at + 1_000: -1,
	} {
		offset, err := client.GetOffset(r.topic, 0, asked)
		r.must(err, "offset")
		r.equal(expected, offset, "offset")
	}
	for _, first := range []int64{0, 57, 99} {
		got := r.saramaRead(0, first, int(100-first))
		r.equal(first, got[0].Offset, "first offset")
		r.equal(byte(first), got[0].Value[0], "first value")
	}
	consumer, err := sarama.NewConsumerFromClient(client)
	r.must(err, "a consumer")
	for _, wrong := range []int64{101, 1_000_000} {
		_, err = consumer.ConsumePartition(r.topic, 0, wrong)
		r.fails(sarama.ErrOffsetOutOfRange, err, "an offset that is not there")
	}
	// From the end it sees only what comes.
	last, err := consumer.ConsumePartition(r.topic, 0, sarama.OffsetNewest)
	r.must(err, "consume from the end")
	r.saramaSend(producer, 0, [][]byte{[]byte("later")})
	r.equal("later", string((<-last.Messages()).Value), "value")
	last.Close()
}

// A member of a group, on a goroutine of its own until it is closed.
type saramaMember struct {
	group  sarama.ConsumerGroup
	lock   sync.Mutex
	owned  int
	seen   map[place]string
	failed error
	ended  chan struct{}
}

func (m *saramaMember) Setup(session sarama.ConsumerGroupSession) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.owned = 0
	for _, partitions := range session.Claims() {
		m.owned += len(partitions)
	}
	return nil
}

func (m *saramaMember) Cleanup(sarama.ConsumerGroupSession) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.owned = 0
	return nil
}

func (m *saramaMember) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, open := <-claim.Messages():
			if !open {
				return nil
			}
			m.lock.Lock()
			m.seen[place{message.Partition, message.Offset}] = string(message.Value)
			m.lock.Unlock()
			session.MarkMessage(message, "a note")
		case <-session.Context().Done():
			return nil
		}
	}
}

func (m *saramaMember) state() (owned, seen int) {
	m.lock.Lock()
	defer m.lock.Unlock()
	return m.owned, len(m.seen)
}

func (r *run) saramaMember(settings ...setting) *saramaMember {
	quick := func(c *sarama.Config) {
		c.Consumer.Group.Heartbeat.Interval = 200 * time.Millisecond
		c.Consumer.Offsets.AutoCommit.Interval = 100 * time.Millisecond
	}
	group, err := sarama.NewConsumerGroup([]string{r.bootstrap}, r.topic, r.saramaConfig(append(settings, quick)...))
	r.must(err, "a group")
	member := &saramaMember{group: group, seen: map[place]string{}, ended: make(chan struct{})}
	ctx, cancel := context.WithCancel(r.ctx)
	go func() {
		defer close(member.ended)
		for ctx.Err() == nil && member.failed == nil {
			member.failed = group.Consume(ctx, []string{r.topic}, member)
		}
	}()
	r.atEnd(func() { cancel(); <-member.ended; group.Close() })
	return member
}

func (m *saramaMember) leave() {
	m.group.Close()
	<-m.ended
}

func saramaCommitAndResume(r *run, settings ...setting) {
	admin := r.saramaCreate(3, nil)
	producer := r.saramaProducer()
	for p := int32(0); p < 3; p++ {
		r.saramaSend(producer, p, values(50, 20))
	}
	first := r.saramaMember(settings...)
	r.until("150 came", func() bool { _, seen := first.state(); return seen == 150 })
	first.leave()
	committed, err := admin.ListConsumerGroupOffsets(r.topic, map[string][]int32{r.topic: {0, 1, 2}})
	r.must(err, "committed offsets")
	for p := int32(0); p < 3; p++ {
		block := committed.GetBlock(r.topic, p)
		r.equal(int64(50), block.Offset, "committed")
		r.equal("a note", block.Metadata, "metadata")
		r.saramaSend(producer, p, [][]byte{[]byte("new")})
	}
	second := r.saramaMember(settings...)
	r.until("what is new came", func() bool { _, seen := second.state(); return seen >= 3 })
	for at, value := range second.seen {
		r.equal("new", value, "value after the commit")
		r.equal(int64(50), at.offset, "offset")
	}
}

func saramaTwoShare(r *run, strategy sarama.BalanceStrategy) {
	r.saramaCreate(4, nil)
	balance := func(c *sarama.Config) {
		c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy}
	}
	members := []*saramaMember{r.saramaMember(balance), r.saramaMember(balance)}
	owned := func(m int) int { count, _ := members[m].state(); return count }
	r.until("both have half", func() bool { return owned(0) == 2 && owned(1) == 2 })
	producer := r.saramaProducer()
	for p := int32(0); p < 4; p++ {
		r.saramaSend(producer, p, values(50, 20))
	}
	seen := func() int {
		_, first := members[0].state()
		_, second := members[1].state()
		return first + second
	}
	r.until("all came", func() bool { return seen() >= 200 })
	members[0].leave()
	r.until("the other has all", func() bool { return owned(1) == 4 })
	for p := int32(0); p < 4; p++ {
		r.saramaSend(producer, p, [][]byte{[]byte("new")})
	}
	r.until("what is new came", func() bool { return seen() >= 204 })
	r.equal(204, seen(), "records in all")
}
