// Writes batches as Apache Kafka writes them, or reads ours:
//
//   java -cp <kafka-clients and its codecs> GoldenBatches.java write batches.bin
//   java -cp <kafka-clients and its codecs> GoldenBatches.java read batches.bin
//
// `write` gives, for each codec in the order of its id: a plain batch, an idempotent one, a
// transactional one with append time, and a long one (not for `none`); then a commit and an abort
// marker. `read` lists every record of a file and fails where Kafka's own checks fail.

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.CRC32;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;

public class GoldenBatches {
    static final long TIME = 1_700_000_000_000L;

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static void records(MemoryRecordsBuilder builder, int count) {
        for (int i = 0; i < count; i++) {
            byte[] key = i % 3 == 0 ? null : bytes("key-" + i);
            byte[] value = i % 5 == 4 ? null : bytes("value-" + i + " " + "abcdefgh".repeat(count < 10 ? i % 4 : 40 + i % 4));
            Header[] headers = new Header[i % 3];
            for (int h = 0; h < headers.length; h++)
                headers[h] = new RecordHeader("header-" + h, h == 1 ? null : bytes("h" + i));
            builder.append(TIME + (i * 7L) % 11, key, value, headers);
        }
    }

    static MemoryRecords batch(CompressionType type, int kind) {
        ByteBuffer buffer = ByteBuffer.allocate(1 << 20);
        Compression codec = Compression.of(type).build();
        TimestampType time = kind == 2 ? TimestampType.LOG_APPEND_TIME : TimestampType.CREATE_TIME;
        long id = kind == 1 || kind == 2 ? 4711 : RecordBatch.NO_PRODUCER_ID;
        short epoch = kind == 1 || kind == 2 ? (short) 3 : RecordBatch.NO_PRODUCER_EPOCH;
        int sequence = kind == 1 || kind == 2 ? Integer.MAX_VALUE - 2 : RecordBatch.NO_SEQUENCE;
        MemoryRecordsBuilder builder = MemoryRecords.builder(buffer, RecordBatch.CURRENT_MAGIC_VALUE,
            codec, time, 1000L * kind, TIME + 99, id, epoch, sequence, kind == 2, 5);
        records(builder, kind == 3 ? 300 : 6);
        return builder.build();
    }

    static void put(ByteBuffer out, MemoryRecords records) {
        out.put(records.buffer());
    }

    public static void main(String[] args) throws Exception {
        Path path = Path.of(args[1]);
        if (args[0].equals("write")) {
            ByteBuffer out = ByteBuffer.allocate(1 << 22);
            for (CompressionType type : new CompressionType[] {CompressionType.NONE, CompressionType.GZIP,
                    CompressionType.SNAPPY, CompressionType.LZ4, CompressionType.ZSTD})
                for (int kind = 0; kind < (type == CompressionType.NONE ? 3 : 4); kind++)
                    put(out, batch(type, kind));
            for (ControlRecordType type : new ControlRecordType[] {ControlRecordType.COMMIT, ControlRecordType.ABORT})
                put(out, MemoryRecords.withEndTransactionMarker(77L, TIME, 5, 4711L, (short) 3,
                    new EndTransactionMarker(type, 21)));
            out.flip();
            byte[] file = new byte[out.remaining()];
            out.get(file);
            Files.write(path, file);
            System.out.println(file.length + " bytes");
            return;
        }
        MemoryRecords all = MemoryRecords.readableRecords(ByteBuffer.wrap(Files.readAllBytes(path)));
        long count = 0;
        CRC32 sum = new CRC32();
        for (MutableRecordBatch batch : all.batches()) {
            batch.ensureValid();
            System.out.println(batch);
            for (Record record : batch) {
                count++;
                sum.update(ByteBuffer.allocate(16).putLong(record.offset()).putLong(record.timestamp()).flip());
                if (record.hasKey())
                    sum.update(record.key());
                if (record.hasValue())
                    sum.update(record.value());
                for (Header header : record.headers()) {
                    sum.update(bytes(header.key()));
                    if (header.value() != null)
                        sum.update(header.value());
                }
            }
        }
        if (all.validBytes() != all.sizeInBytes())
            throw new IllegalStateException("trailing bytes");
        System.out.println(count + " records, sum " + sum.getValue());
    }
}
