//! `odradek log dump`

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use odradek_engine::record::{BatchInfo, ControlType, OpenBatch, TimestampType};
use odradek_engine::types::Timestamp;
use odradek_verify::{Disk, Segment, Step, base_offset, offset_entries, segments, time_entries};

/// Print the batches of segment files and the entries of indexes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DumpArgs {
    /// A .log, .index or .timeindex file, or a partition's directory with all its segments
    #[arg(value_name = "FILE|DIR", required = true)]
    pub paths: Vec<PathBuf>,
    /// Print the records, too
    #[arg(long, short)]
    pub records: bool,
}

const EXAMPLES: &str = "\
Examples:
  odradek log dump /var/lib/odradek/orders-0
  odradek log dump --records /var/lib/odradek/orders-0/00000000000000000000.log";

pub(super) fn run(args: &DumpArgs) -> anyhow::Result<ExitCode> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut whole = true;
    for path in &args.paths {
        if path.is_dir() {
            let segments = segments(path)?;
            if segments.is_empty() {
                bail!("there is no segment in {}", path.display());
            }
            for segment in segments {
                whole &= dump_segment(&segment, args.records, &mut out)?;
            }
            continue;
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        match extension {
            Some("log") => whole &= dump_segment(path, args.records, &mut out)?,
            Some("index") => dump_index(path, &mut out)?,
            Some("timeindex") => dump_time_index(path, &mut out)?,
            _ => bail!(
                "{}: neither a directory nor a .log, .index or .timeindex file",
                path.display()
            ),
        }
    }
    out.flush()?;
    Ok(match whole {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// False where the segment has a fault.
fn dump_segment(path: &Path, records: bool, out: &mut impl Write) -> anyhow::Result<bool> {
    let mut segment = Segment::open(path)?;
    writeln!(out, "{} ({} bytes)", path.display(), segment.length())?;
    let mut scratch = Vec::new();
    let mut whole = true;
    loop {
        match segment.step()? {
            Step::Batch {
                position,
                info,
                bytes,
            } => {
                writeln!(out, "{}", batch(position, &info))?;
                if records {
                    match OpenBatch::open(bytes, info, &mut scratch) {
                        Ok(open) => dump_records(&open, out)?,
                        Err(error) => writeln!(out, "  FAULT: {error}")?,
                    }
                }
            }
            Step::End { padding: 0 } => return Ok(whole),
            Step::End { padding } => {
                writeln!(out, "zeros to the end of the file: {padding} bytes")?;
                return Ok(whole);
            }
            Step::Fault { fault, goes_on } => {
                writeln!(out, "FAULT at byte {}: {}", fault.position, fault.reason)?;
                whole = false;
                if !goes_on {
                    return Ok(false);
                }
            }
        }
    }
}

fn batch(position: u64, info: &BatchInfo) -> String {
    let mut text = format!(
        "byte {position}: offsets {} to {}, {} records, {} bytes, {}, epoch {}, {} {}",
        info.base_offset,
        info.last_offset(),
        info.record_count,
        info.size,
        info.compression.name(),
        info.leader_epoch,
        match info.attributes.timestamp_type() {
            TimestampType::CreateTime => "created",
            TimestampType::LogAppendTime => "appended",
        },
        time(info.max_timestamp),
    );
    if info.has_producer_id() {
        text.push_str(&format!(
            ", producer {} epoch {} sequences {} to {}",
            info.producer_id,
            info.producer_epoch,
            info.base_sequence,
            info.last_sequence()
        ));
    }
    if info.is_transactional() {
        text.push_str(", transactional");
    }
    if info.is_control() {
        text.push_str(", control");
    }
    text
}

fn dump_records(open: &OpenBatch<'_>, out: &mut impl Write) -> anyhow::Result<()> {
    for (index, record) in (0..).zip(open.records()) {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                writeln!(out, "  FAULT: {error}")?;
                return Ok(());
            }
        };
        write!(
            out,
            "  {} {}",
            open.offset_of(&record),
            time(open.timestamp_of(&record))
        )?;
        if open.info.is_control() {
            match ControlType::of(&record, index) {
                Ok(Some(kind)) => writeln!(out, " {kind:?}")?,
                Ok(None) => writeln!(out, " unknown control record")?,
                Err(error) => writeln!(out, " FAULT: {error}")?,
            }
            continue;
        }
        write!(out, " {} {}", text(record.key), text(record.value))?;
        for (key, value) in record.headers {
            write!(out, " [{}={}]", text(Some(key)), text(value))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Quoted, with escapes for what is not printable ASCII.
fn text(bytes: Option<&[u8]>) -> String {
    match bytes {
        None => "null".to_owned(),
        Some(bytes) => format!("\"{}\"", bytes.escape_ascii()),
    }
}

fn time(timestamp: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(timestamp.0) {
        Ok(time) if timestamp != Timestamp::NONE => format!("{time:.3}"),
        _ => timestamp.to_string(),
    }
}

fn dump_index(path: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let base = named(path)?;
    writeln!(out, "{}", path.display())?;
    for entry in offset_entries(&Disk, path, base)? {
        writeln!(out, "offset {} byte {}", entry.offset, entry.position)?;
    }
    Ok(())
}

fn dump_time_index(path: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let base = named(path)?;
    writeln!(out, "{}", path.display())?;
    for entry in time_entries(&Disk, path, base)? {
        writeln!(
            out,
            "time {} offset {}",
            time(entry.timestamp),
            entry.offset
        )?;
    }
    Ok(())
}

fn named(path: &Path) -> anyhow::Result<odradek_engine::types::Offset> {
    base_offset(path).with_context(|| format!("{} is not named after an offset", path.display()))
}
