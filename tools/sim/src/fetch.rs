//! Reading logs through Fetch, and judging what comes.

use odradek_engine::record::{OpenBatch, Rules, batch_end, validate};
use odradek_wire::Reader;
use odradek_wire::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};

use crate::client::{Connection, Lost};
use crate::oracle::{Id, Partition};
use crate::plan::Rng;
use crate::requests::earliest_and_latest;
use crate::site::{Links, Site, is_passing};

pub const OUT_OF_RANGE: i16 = 1;
const FETCH: i16 = 12;
/// A log's start moves so often while it is read, at most.
const AGAIN_MAX: u32 = 1_000;

/// What a fetch brought from one partition.
pub struct Slice {
    pub error: i16,
    pub high_watermark: i64,
    pub start: i64,
    /// Whole batches' records from the asked offset on.
    pub records: Vec<(i64, Id)>,
    /// What is wrong with the batch after them, as a client finds by its CRC and offsets.
    pub damage: Option<String>,
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
        let mut slice = Slice {
            error: data.error_code,
            high_watermark: data.high_watermark,
            start: data.log_start_offset,
            records: Vec::new(),
            damage: None,
        };
        if let Err(what) = records(bytes, *offset, data.high_watermark, &mut slice.records) {
            slice.damage = Some(format!("{partition:?} from {offset}: {what}"));
        }
        slices.push(slice);
    }
    Ok(slices)
}

/// The records of whole batches; they must be valid, contiguous, and visible.
fn records(
    bytes: &[u8],
    asked: i64,
    visible: i64,
    found: &mut Vec<(i64, Id)>,
) -> Result<(), String> {
    let (mut at, mut next) = (0, None);
    let mut scratch = Vec::new();
    loop {
        let size = match batch_end(&bytes[at..]) {
            Ok(Some(size)) => size,
            Ok(None) => return Ok(()),
            Err(error) => return Err(format!("no batch {at} bytes behind it: {error}")),
        };
        let batch = &bytes[at..at + size];
        let info = validate(batch, &Rules::LOG)
            .map_err(|error| format!("a damaged batch {at} bytes behind it: {error}"))?;
        let base = info.base_offset.0;
        if !next.map_or(base <= asked, |next| base == next) {
            return Err(format!("a batch at {base} where {next:?} was due"));
        }
        let end = info.next_offset().0;
        if end <= asked || end > visible {
            return Err(format!(
                "a batch from {base} to {end} where {visible} is visible"
            ));
        }
        let open = OpenBatch::open(batch, info, &mut scratch).map_err(|error| error.to_string())?;
        for record in open.records() {
            let record = record.map_err(|error| error.to_string())?;
            let offset = open.offset_of(&record).0;
            if offset >= asked {
                found.push((offset, id_of(record.value.expect("a value"))));
            }
        }
        next = Some(end);
        at += size;
    }
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

/// A log as a client reads it from its start to its high watermark.
pub struct Whole {
    pub start: i64,
    pub ids: Vec<Id>,
    /// It could not be read on, for this.
    pub damage: Option<String>,
}

/// Reads a partition whole. `None`: it cannot be read now.
pub async fn whole(
    site: &Site,
    links: &mut Links,
    partition: Partition,
    rng: &mut Rng,
) -> Result<Option<Whole>, Lost> {
    let connection = links.leader(partition).await?;
    let Ok((start, _)) = earliest_and_latest(connection, partition).await? else {
        return Ok(None);
    };
    let mut whole = Whole {
        start,
        ids: Vec::new(),
        damage: None,
    };
    let (mut next, mut again) = (start, 0);
    loop {
        let slices = fetch(connection, &[(partition, next)], rng, 0).await?;
        let slice = &slices[0];
        if is_passing(slice.error) {
            return Ok(None);
        }
        if slice.error == OUT_OF_RANGE || slice.start > whole.start {
            // Retention was faster: again from where it starts now.
            let Ok((start, _)) = earliest_and_latest(connection, partition).await? else {
                return Ok(None);
            };
            (whole.start, whole.ids, next) = (start, Vec::new(), start);
            again += 1;
            let spoiled = site.oracle.borrow().is_spoiled(partition);
            if again > AGAIN_MAX {
                let error = slice.error;
                assert!(spoiled, "{partition:?}: error {error} at its start {start}");
                whole.damage = Some(format!("error {error} at its start {start}"));
                return Ok(Some(whole));
            }
            continue;
        }
        let spoiled = site.oracle.borrow().is_spoiled(partition);
        assert!(
            slice.error == 0 || spoiled,
            "{partition:?}: error {} when read from {next}",
            slice.error
        );
        for (offset, id) in &slice.records {
            assert_eq!(*offset, next, "{partition:?}: offsets are contiguous");
            whole.ids.push(*id);
            next += 1;
        }
        if next == slice.high_watermark {
            return Ok(Some(whole));
        }
        let stuck = slice.records.is_empty().then(|| {
            let (error, visible) = (slice.error, slice.high_watermark);
            format!("error {error}, nothing at {next}, high watermark {visible}")
        });
        if let Some(damage) = slice.damage.clone().or(stuck) {
            assert!(spoiled, "{partition:?}: {damage}");
            whole.damage = Some(damage);
            return Ok(Some(whole));
        }
    }
}
