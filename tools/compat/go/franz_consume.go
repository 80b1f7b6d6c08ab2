package main

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func franzSeek(r *run) {
	admin := r.franzCreate(1, nil)
	at := time.Now().UnixMilli() - 3_600_000
	producer := r.franz()
	for i := 0; i < 10; i++ {
		batch := []*kgo.Record{}
		for j := 0; j < 10; j++ {
			n := int64(i*10 + j)
			batch = append(batch, &kgo.Record{Topic: r.topic, Value: []byte{byte(n)}, Timestamp: time.UnixMilli(at + n)})
		}
		r.must(producer.ProduceSync(r.ctx, batch...).FirstErr(), "produce")
	}
	for _, start := range []struct {
		offset kgo.Offset
		first  int64
	}{
		{kgo.NewOffset().AtStart(), 0},
		{kgo.NewOffset().At(57), 57},
		{kgo.NewOffset().AtEnd().Relative(-3), 97},
		{kgo.NewOffset().AfterMilli(at + 42), 42},
	} {
		got := r.franzTake(r.franzReader(1, start.offset), int(100-start.first))
		r.equal(start.first, got[0].Offset, "first offset")
		r.equal(start.first, int64(got[0].Value[0]), "first value")
	}
	reader := r.franzReader(1, kgo.NewOffset().AtStart())
	r.franzTake(reader, 100)
	reader.SetOffsets(map[string]map[int32]kgo.EpochOffset{r.topic: {0: {Epoch: -1, Offset: 90}}})
	r.equal(int64(90), r.franzTake(reader, 10)[0].Offset, "after a seek")
	// From the end it sees only what comes.
	last := r.franzReader(1, kgo.NewOffset().AtEnd())
	seen := make(chan []byte, 1)
	go func() {
		for _, record := range last.PollFetches(r.ctx).Records() {
			seen <- record.Value
		}
	}()
	r.until("a record that came later", func() bool {
		r.franzSend(producer, 0, [][]byte{[]byte("later")})
		return len(seen) > 0
	})
	r.equal("later", string(<-seen), "value")
	after, err := admin.ListOffsetsAfterMilli(r.ctx, at+42, r.topic)
	r.must(err, "offset of a time")
	r.equal(int64(42), after[r.topic][0].Offset, "offset of a time")
	// A position that is not there is reset, here to the beginning.
	far := r.franzReader(1, kgo.NewOffset().At(1_000_000), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	r.equal(int64(0), far.PollFetches(r.ctx).Records()[0].Offset, "after a reset")
}

func franzSmallFetches(r *run) {
	r.franzCreate(1, nil)
	producer := r.franz()
	for i := 0; i < 20; i++ {
		r.franzSend(producer, 0, values(5, 100))
	}
	reader := r.franzReader(1, kgo.NewOffset().AtStart(), kgo.FetchMaxBytes(1), kgo.FetchMaxPartitionBytes(1), kgo.BrokerMaxReadBytes(1<<20))
	for i, record := range r.franzTake(reader, 100) {
		r.equal(int64(i), record.Offset, "offset")
	}
}

func franzCommitAndResume(r *run) {
	admin := r.franzCreate(3, nil)
	producer := r.franz(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for p := int32(0); p < 3; p++ {
		r.franzSend(producer, p, values(50, 20))
	}
	member := func() *kgo.Client {
		return r.franz(kgo.ConsumerGroup(r.topic), kgo.ConsumeTopics(r.topic), kgo.DisableAutoCommit(),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	}
	first := member()
	r.franzTake(first, 150)
	r.must(first.CommitUncommittedOffsets(r.ctx), "commit")
	first.Close()
	committed, err := admin.FetchOffsets(r.ctx, r.topic)
	r.must(err, "committed offsets")
	for p := int32(0); p < 3; p++ {
		r.equal(int64(50), committed[r.topic][p].At, "committed")
		r.franzSend(producer, p, [][]byte{[]byte("new")})
	}
	for _, record := range r.franzTake(member(), 3) {
		r.equal("new", string(record.Value), "value after the commit")
	}
}

// Two members share four partitions; one leaves, the other has all. Nothing lost, nothing twice.
func franzTwoShare(r *run, balancer kgo.GroupBalancer) {
	r.franzCreate(4, nil)
	var lock sync.Mutex
	seen := map[place]int{}
	owned := []map[int32]bool{{}, {}}
	clients := []*kgo.Client{}
	for m := range owned {
		change := func(own bool) func(context.Context, *kgo.Client, map[string][]int32) {
			return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
				lock.Lock()
				defer lock.Unlock()
				for _, p := range partitions[r.topic] {
					if own {
						owned[m][p] = true
					} else {
						delete(owned[m], p)
					}
				}
			}
		}
		client := r.franz(kgo.ConsumerGroup(r.topic), kgo.ConsumeTopics(r.topic), kgo.Balancers(balancer),
			kgo.DisableAutoCommit(), kgo.HeartbeatInterval(200*time.Millisecond), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.OnPartitionsAssigned(change(true)), kgo.OnPartitionsRevoked(change(false)), kgo.OnPartitionsLost(change(false)))
		clients = append(clients, client)
		go func() {
			for {
				fetches := client.PollFetches(r.ctx)
				if fetches.IsClientClosed() || r.ctx.Err() != nil {
					return
				}
				lock.Lock()
				for _, record := range fetches.Records() {
					seen[place{record.Partition, record.Offset}]++
				}
				lock.Unlock()
			}
		}()
	}
	has := func(wanted ...int) func() bool {
		return func() bool {
			lock.Lock()
			defer lock.Unlock()
			return len(owned[0]) == wanted[0] && len(owned[1]) == wanted[1]
		}
	}
	r.until("both have half", has(2, 2))
	producer := r.franz(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for p := int32(0); p < 4; p++ {
		r.franzSend(producer, p, values(50, 20))
	}
	all := func() bool { lock.Lock(); defer lock.Unlock(); return sum(seen) >= 200 }
	r.until("all came", all)
	for _, client := range clients {
		r.must(client.CommitUncommittedOffsets(r.ctx), "commit")
	}
	clients[0].Close()
	r.until("the other has all", has(0, 4))
	lock.Lock()
	defer lock.Unlock()
	r.equal(200, len(seen), "records")
	r.equal(200, sum(seen), "records, counting repeated ones")
}
