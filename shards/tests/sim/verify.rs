//! Reading logs through Fetch, and judging what comes.

use odradek_engine::record::{OpenBatch, Rules, batch_end, validate};
use odradek_wire::Reader;
use odradek_wire::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use odradek_wire::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use odradek_wire::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};

use super::client::{Connection, Lost};
use super::oracle::{Id, Partition};
use super::plan::Rng;

pub const OUT_OF_RANGE: i16 = 1;
pub const STORAGE: i16 = 56;
const FETCH: i16 = 12;

/// What a fetch brought from one partition.
pub struct Slice {
    pub error: i16,
    pub high_watermark: i64,
    pub start: i64,
    /// Whole batches' records from the asked offset on.
    pub records: Vec<(i64, Id)>,
}

/// Fetches from several partitions, each from its offset.
pub async fn fetch(
    connection: &mut Connection,
    from: &[(Partition, i64)],
    rng: &mut Rng,
    wait_ms: i32,
) -> Result<Vec<Slice>, Lost> {
    let topics = from.iter().map(|((topic, index), offset)| FetchTopic {
        topic,
        partitions: vec![FetchPartition {
            partition: *index,
            fetch_offset: *offset,
            partition_max_bytes: rng.pick(&[100, 3_000, 50_000, 1 << 20]),
            ..FetchPartition::default()
        }],
        ..FetchTopic::default()
    });
    let request = FetchRequest {
        max_wait_ms: wait_ms,
        min_bytes: 1,
        max_bytes: 1 << 20,
        topics: topics.collect(),
        ..FetchRequest::default()
    };
    let body = connection.ask(FETCH, &request).await?;
    let answer = FetchResponse::decode(&mut Reader::new(&body), FETCH).expect("a fetch response");
    let mut slices = Vec::new();
    // In the order of the request, partitions of one topic gathered.
    let answered = answer.responses.iter().flat_map(|topic| &topic.partitions);
    for (data, (partition, offset)) in answered.zip(from) {
        let bytes = data.records.bytes().unwrap_or(&[]);
        slices.push(Slice {
            error: data.error_code,
            high_watermark: data.high_watermark,
            start: data.log_start_offset,
            records: records(bytes, *partition, *offset, data.high_watermark),
        });
    }
    Ok(slices)
}

/// The records of whole batches; they must be valid, contiguous, and visible.
fn records(bytes: &[u8], partition: Partition, asked: i64, visible: i64) -> Vec<(i64, Id)> {
    let (mut at, mut next, mut found) = (0, None, Vec::new());
    let mut scratch = Vec::new();
    while let Ok(Some(size)) = batch_end(&bytes[at..]) {
        let batch = &bytes[at..at + size];
        let info = match validate(batch, &Rules::LOG) {
            Ok(info) => info,
            Err(error) => panic!("{partition:?} from {asked}: a damaged batch was sent: {error}"),
        };
        let base = info.base_offset.0;
        assert!(
            next.map_or(base <= asked, |next| base == next),
            "{partition:?} from {asked}: a batch at {base} where {next:?} was due"
        );
        let end = info.next_offset().0;
        assert!(end > asked, "{partition:?}: a batch before {asked}");
        assert!(end <= visible, "{partition:?}: offset {end} is not visible");
        let open = OpenBatch::open(batch, info, &mut scratch).expect("a batch opens");
        for record in open.records() {
            let record = record.expect("a record");
            let offset = open.offset_of(&record).0;
            if offset >= asked {
                found.push((offset, id_of(record.value.expect("a value"))));
            }
        }
        next = Some(end);
        at += size;
    }
    found
}

/// A record's value: who wrote it, and filling that says so, too.
pub fn value_of(id: Id, len: usize) -> Vec<u8> {
    let mut value = Vec::with_capacity(12 + len);
    value.extend(id.0.to_be_bytes());
    value.extend(id.1.to_be_bytes());
    value.resize(12 + len, id.1 as u8);
    value
}

fn id_of(value: &[u8]) -> Id {
    let producer = u32::from_be_bytes(value[..4].try_into().expect("four bytes"));
    let number = u64::from_be_bytes(value[4..12].try_into().expect("eight bytes"));
    assert!(value[12..].iter().all(|byte| *byte == number as u8));
    (producer, number)
}

/// Reads a partition whole: its start, and its records.
pub async fn whole(
    connection: &mut Connection,
    partition: Partition,
    rng: &mut Rng,
) -> Result<(i64, Vec<Id>), Lost> {
    let mut start = earliest_and_latest(connection, partition).await?.0;
    let (mut next, mut ids) = (start, Vec::new());
    loop {
        let slices = fetch(connection, &[(partition, next)], rng, 0).await?;
        let slice = &slices[0];
        if slice.error == OUT_OF_RANGE || slice.start > start {
            // Retention was faster: again from where it starts now.
            start = earliest_and_latest(connection, partition).await?.0;
            (next, ids) = (start, Vec::new());
            continue;
        }
        assert_eq!(slice.error, 0, "{partition:?}: reading from {next}");
        for (offset, id) in &slice.records {
            assert_eq!(*offset, next, "{partition:?}: offsets are contiguous");
            ids.push(*id);
            next += 1;
        }
        if next == slice.high_watermark {
            return Ok((start, ids));
        }
        assert!(
            !slice.records.is_empty(),
            "{partition:?}: nothing at {next}, high watermark {}",
            slice.high_watermark
        );
    }
}

/// The log's start and high watermark, as ListOffsets tells.
pub async fn earliest_and_latest(
    connection: &mut Connection,
    partition: Partition,
) -> Result<(i64, i64), Lost> {
    const VERSION: i16 = 7;
    let mut found = [0; 2];
    for (place, timestamp) in found.iter_mut().zip([-2, -1]) {
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic {
                name: partition.0,
                partitions: vec![ListOffsetsPartition {
                    partition_index: partition.1,
                    timestamp,
                    ..ListOffsetsPartition::default()
                }],
            }],
            ..ListOffsetsRequest::default()
        };
        let body = connection.ask(VERSION, &request).await?;
        let answer = ListOffsetsResponse::decode(&mut Reader::new(&body), VERSION);
        let answer = answer.expect("a response");
        let one = &answer.topics[0].partitions[0];
        if one.error_code == STORAGE {
            return Err(Lost);
        }
        assert_eq!(one.error_code, 0, "{partition:?}: ListOffsets {timestamp}");
        *place = one.offset;
    }
    Ok((found[0], found[1]))
}

/// The leader epochs of a topic's partitions; empty if there is no such topic.
pub async fn epochs(
    connection: &mut Connection,
    topic: &str,
    create: bool,
) -> Result<Vec<i32>, Lost> {
    const VERSION: i16 = 9;
    let request = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some(topic),
            ..MetadataRequestTopic::default()
        }]),
        allow_auto_topic_creation: create,
        ..MetadataRequest::default()
    };
    let body = connection.ask(VERSION, &request).await?;
    let answer = MetadataResponse::decode(&mut Reader::new(&body), VERSION).expect("metadata");
    let partitions = answer.topics[0].partitions.iter();
    Ok(partitions.map(|one| one.leader_epoch).collect())
}
