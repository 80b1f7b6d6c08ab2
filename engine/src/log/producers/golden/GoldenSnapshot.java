// Writes a producer snapshot as Apache Kafka writes it, or reads one of ours:
//
//   java -cp <kafka-storage and what it needs> GoldenSnapshot.java write kafka.snapshot
//   java -cp <kafka-storage and what it needs> GoldenSnapshot.java read kafka.snapshot

import java.io.File;
import java.util.Map;
import java.util.OptionalLong;
import java.util.TreeMap;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.storage.internals.log.AppendOrigin;
import org.apache.kafka.storage.internals.log.LogOffsetMetadata;
import org.apache.kafka.storage.internals.log.ProducerAppendInfo;
import org.apache.kafka.storage.internals.log.ProducerStateEntry;
import org.apache.kafka.storage.internals.log.ProducerStateManager;

public class GoldenSnapshot {
    static ProducerAppendInfo producer(long id, int coordinatorEpoch) {
        ProducerStateEntry entry = new ProducerStateEntry(id, (short) -1, coordinatorEpoch, -1L, OptionalLong.empty());
        return new ProducerAppendInfo(new TopicPartition("t", 0), id, entry, AppendOrigin.REPLICATION, null);
    }

    public static void main(String[] args) throws Exception {
        File file = new File(args[1]);
        if (args[0].equals("write")) {
            Map<Long, ProducerStateEntry> entries = new TreeMap<>();
            ProducerAppendInfo plain = producer(1L, -1);
            plain.appendDataBatch((short) 0, 32, 41, 1_700_000_000_000L, new LogOffsetMetadata(1032L), 1041L, false);
            entries.put(1L, plain.toEntry());
            ProducerAppendInfo open = producer(4711L, 3);
            int first = Integer.MAX_VALUE - 2;
            open.appendDataBatch((short) 7, first, first, 5L, new LogOffsetMetadata(900L), 900L, true);
            open.appendDataBatch((short) 7, first + 1, 1, 1_700_000_000_123L, new LogOffsetMetadata(947L), 950L, true);
            entries.put(4711L, open.toEntry());
            entries.put(Long.MAX_VALUE, new ProducerStateEntry(Long.MAX_VALUE, Short.MAX_VALUE, 12, 5L, OptionalLong.empty()));
            ProducerStateManager.writeSnapshot(file, entries, false);
        }
        ProducerStateManager.readSnapshot(file).forEach(System.out::println);
    }
}
