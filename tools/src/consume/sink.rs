//! From fetched batches to printed records, and how far that has come.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, StdoutLock, Write};

use anyhow::Context;
use odradek_engine::record::{Batches, OpenBatch, Rules, validate};

use super::{Filter, Formatter, Row};
use crate::client::consumer::Fetched;

const OUT_BYTES: usize = 256 << 10;

/// Prints records and keeps the books.
pub(super) struct Sink<'a> {
    topic: &'a str,
    filter: Filter,
    formatter: Formatter,
    out: BufWriter<StdoutLock<'static>>,
    /// Records that may still be printed.
    left: Option<u64>,
    /// Where to stop in each partition.
    ends: Option<BTreeMap<i32, i64>>,
    /// The next offset of each partition.
    positions: BTreeMap<i32, i64>,
    scratch: Vec<u8>,
    pub records: u64,
    pub bytes: u64,
}

impl<'a> Sink<'a> {
    pub fn new(topic: &'a str, filter: Filter, formatter: Formatter, left: Option<u64>) -> Self {
        Self {
            topic,
            filter,
            formatter,
            out: BufWriter::with_capacity(OUT_BYTES, io::stdout().lock()),
            left,
            ends: None,
            positions: BTreeMap::new(),
            scratch: Vec::new(),
            records: 0,
            bytes: 0,
        }
    }

    /// Starts (again) with these partitions.
    pub fn start(&mut self, positions: BTreeMap<i32, i64>, ends: Option<BTreeMap<i32, i64>>) {
        self.positions = positions;
        self.ends = ends;
    }

    /// The next offsets: what a group commits.
    pub fn positions(&self) -> &BTreeMap<i32, i64> {
        &self.positions
    }

    /// Is there nothing more to print?
    pub fn is_done(&self) -> bool {
        if self.left == Some(0) {
            return true;
        }
        let reached = |(partition, &at): (&i32, &i64)| self.end(*partition) <= at;
        self.ends.is_some() && self.positions.iter().all(reached)
    }

    /// Prints what is fetched, up to where it stops.
    ///
    /// # Errors
    /// A corrupt batch; those of stdout.
    pub fn take(&mut self, fetched: Fetched<'_>) -> anyhow::Result<()> {
        // A partition that is no longer ours may still have had a fetch in flight.
        if !self.positions.contains_key(&fetched.partition) {
            return Ok(());
        }
        for batch in Batches::new(fetched.batches) {
            let at = self.positions[&fetched.partition];
            let what = || format!("corrupt batch in {}-{}", self.topic, fetched.partition);
            let batch = batch.with_context(what)?;
            let info = validate(batch, &Rules::LOG).with_context(what)?;
            if info.next_offset().0 <= at {
                continue;
            }
            if !info.is_control() {
                let mut scratch = std::mem::take(&mut self.scratch);
                let printed = OpenBatch::open(batch, info, &mut scratch)
                    .with_context(what)
                    .and_then(|open| self.print(&fetched, &open));
                self.scratch = scratch;
                if !printed? {
                    return Ok(());
                }
            }
            self.advance(fetched.partition, info.next_offset().0);
        }
        Ok(())
    }

    /// # Errors
    /// Those of stdout.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        self.out.flush().context("cannot write to stdout")
    }

    /// False once no more may be printed.
    fn print(&mut self, fetched: &Fetched<'_>, open: &OpenBatch<'_>) -> anyhow::Result<bool> {
        let partition = fetched.partition;
        for record in open.records() {
            let record =
                record.with_context(|| format!("corrupt batch in {}-{partition}", self.topic))?;
            let offset = open.offset_of(&record).0;
            if offset < self.positions[&partition] {
                continue;
            }
            if self.left == Some(0) || offset >= self.end(partition) {
                return Ok(false);
            }
            let row = Row {
                topic: self.topic,
                partition,
                offset,
                timestamp: open.timestamp_of(&record).0,
                key: record.key,
                value: record.value,
                headers: record.headers,
            };
            if !self.filter.admits(&row) {
                self.advance(partition, offset + 1);
                continue;
            }
            self.formatter
                .write(&mut self.out, &row)
                .context("cannot write to stdout")?;
            self.left = self.left.map(|left| left - 1);
            self.records += 1;
            let lengths = [record.key, record.value].map(|part| part.map_or(0, <[u8]>::len));
            self.bytes += lengths.iter().sum::<usize>() as u64;
            self.advance(partition, offset + 1);
        }
        Ok(self.left != Some(0))
    }

    fn end(&self, partition: i32) -> i64 {
        let ends = self.ends.as_ref();
        ends.and_then(|ends| ends.get(&partition).copied())
            .unwrap_or(i64::MAX)
    }

    fn advance(&mut self, partition: i32, offset: i64) {
        let position = self.positions.entry(partition).or_insert(offset);
        *position = offset.max(*position);
    }
}
