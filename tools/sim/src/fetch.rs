//! Reading logs through Fetch, and judging what comes.

use odradek_wire::Reader;
use odradek_wire::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};

use crate::batches::{View, records};
use crate::client::{Connection, Lost};
use crate::keys::HOLE;
use crate::oracle::{Id, Partition};
use crate::plan::Rng;
use crate::requests::earliest_and_latest;
use crate::site::{Links, Site, is_passing};

pub const OUT_OF_RANGE: i16 = 1;
const FETCH: i16 = 12;
/// A log's start moves so often while it is read, at most.
const AGAIN_MAX: u32 = 1_000;

/// What a reader sees (`isolation.level`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Isolation {
    /// All that is visible, markers too.
    Uncommitted,
    /// Records of no transaction, and of those that were committed.
    Committed,
}

/// What a fetch brought from one partition.
pub struct Slice {
    pub error: i16,
    pub high_watermark: i64,
    /// Last stable offset.
    pub stable: i64,
    pub start: i64,
    /// Whole batches' records from the asked offset on.
    pub records: Vec<(i64, Id)>,
    /// The offset behind the last whole batch.
    pub next: i64,
    /// What is wrong with the batch after them, as a client finds by its CRC and offsets.
    pub damage: Option<String>,
}

/// Fetches from several partitions, each from its offset. `compacted`: those that may have gaps.
pub async fn fetch(
    connection: &mut Connection,
    compacted: &[Partition],
    from: &[(Partition, i64)],
    isolation: Isolation,
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
        isolation_level: i8::from(isolation == Isolation::Committed),
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
            stable: data.last_stable_offset,
            start: data.log_start_offset,
            records: Vec::new(),
            next: *offset,
            damage: None,
        };
        let aborted = data.aborted_transactions.iter().flatten();
        let aborted = aborted.map(|one| (one.first_offset, one.producer_id));
        let view = View {
            from: *offset,
            end: match isolation {
                Isolation::Uncommitted => data.high_watermark,
                Isolation::Committed => data.last_stable_offset,
            },
            gaps: compacted.contains(partition),
            aborted: (isolation == Isolation::Committed).then(|| aborted.collect()),
        };
        match records(bytes, &view, &mut slice.records) {
            Ok(next) => slice.next = next,
            Err(what) => {
                let last = slice.records.last();
                slice.next = last.map_or(*offset, |(offset, _)| offset + 1);
                slice.damage = Some(format!("{partition:?} from {offset}: {what}"));
            }
        }
        slices.push(slice);
    }
    Ok(slices)
}

/// A log as a client reads it from its start to its high watermark.
pub struct Whole {
    pub start: i64,
    pub ids: Vec<Id>,
    /// It could not be read on, for this.
    pub damage: Option<String>,
}

impl Whole {
    /// Takes in a slice, with holes where offsets are missing; gives the offset behind it.
    fn take(&mut self, slice: &Slice, partition: Partition, gaps: bool) -> i64 {
        let mut next = self.start + self.ids.len() as i64;
        for (offset, id) in &slice.records {
            let right = *offset == next || gaps && *offset > next;
            assert!(right, "{partition:?}: {offset} where {next} was due");
            self.ids.resize((offset - self.start) as usize, HOLE);
            self.ids.push(*id);
            next = offset + 1;
        }
        if gaps && slice.next > next {
            next = slice.next;
            self.ids.resize((next - self.start) as usize, HOLE);
        }
        next
    }
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
        let from = [(partition, next)];
        let slices = fetch(
            connection,
            &site.compacted,
            &from,
            Isolation::Uncommitted,
            rng,
            0,
        )
        .await?;
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
        let before = next;
        next = whole.take(slice, partition, site.compacts(partition));
        if next == slice.high_watermark {
            return Ok(Some(whole));
        }
        let stuck = (next == before).then(|| {
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
