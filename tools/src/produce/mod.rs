//! `odradek produce`: one record per line, from stdin or a file.

mod args;
mod input;
mod progress;

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use anyhow::{Context, anyhow, bail};
use odradek_engine::types::Timestamp;
use odradek_wire::ErrorCode;

use crate::client::producer::{ProduceError, Producer, Totals};
use crate::client::{ClientError, Topic};
use crate::common;

pub use args::ProduceArgs;
pub use input::{Line, Lines, Split};

use self::progress::Progress;

/// Produces all lines.
///
/// # Errors
/// What the brokers refuse; a line without the key that was promised; the input's errors.
pub fn run(args: ProduceArgs) -> anyhow::Result<ExitCode> {
    let (input, length) = open(&args)?;
    let mut cluster = args.connect.connect()?;
    let topic = cluster
        .topic(&args.topic, true)
        .with_context(|| format!("cannot produce to {}", args.topic))?;
    let partition = partition(&args, &topic)?;
    let mut producer =
        Producer::new(cluster, &topic, args.options()).map_err(|error| match error {
            ClientError::Version { .. } => anyhow!("{error}; --no-idempotence does without"),
            error => error.into(),
        })?;
    let started = Instant::now();
    let mut lines = Lines::new(input);
    let mut progress = Progress::new(length);
    let totals = produce(&args, partition, &mut producer, &mut lines, &mut progress)
        .map_err(|error| explain(error, &args).context(got_so_far(&producer.totals())))?;
    progress.end();
    let seconds = started.elapsed().as_secs_f64();
    let summary = summary(&args.topic, &totals, lines.bytes_read(), seconds);
    writeln!(io::stdout(), "{summary}")?;
    Ok(ExitCode::SUCCESS)
}

fn open(args: &ProduceArgs) -> anyhow::Result<(OwnedFd, Option<u64>)> {
    match &args.file {
        Some(path) => {
            let file =
                File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
            let about = file.metadata()?;
            if about.is_dir() {
                bail!("cannot read {}: it is a directory", path.display());
            }
            let length = about.is_file().then_some(about.len());
            Ok((file.into(), length))
        }
        None => {
            let stdin = io::stdin();
            if stdin.is_terminal() {
                eprintln!("one record per line; Ctrl-D ends");
            }
            Ok((stdin.as_fd().try_clone_to_owned()?, None))
        }
    }
}

fn partition(args: &ProduceArgs, topic: &Topic) -> anyhow::Result<Option<usize>> {
    let Some(wanted) = args.partition else {
        return Ok(None);
    };
    let count = topic.partitions.len();
    if wanted as usize >= count {
        bail!(
            "--partition {wanted}: {} has partitions 0 to {}",
            topic.name,
            count - 1
        );
    }
    Ok(Some(wanted as usize))
}

fn produce(
    args: &ProduceArgs,
    partition: Option<usize>,
    producer: &mut Producer,
    lines: &mut Lines,
    progress: &mut Progress,
) -> anyhow::Result<Totals> {
    let split = args.split();
    loop {
        // Waits for input no longer than the batches may wait for more records.
        let more = lines
            .fill(producer.linger_left())
            .context("cannot read the input")?;
        let now = now();
        while let Some((number, line)) = lines.next_line() {
            let line = match split.line(line) {
                Ok(line) => line,
                Err(error) => {
                    producer.finish()?;
                    return Err(error.context(format!("line {number} of the input")));
                }
            };
            producer
                .send(partition, now, line.key, line.value)
                .with_context(|| format!("at line {number} of the input"))?;
        }
        producer.send_lingering()?;
        progress.at(lines.bytes_read());
        if !more {
            return Ok(producer.finish()?);
        }
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp(since.map_or(0, |since| since.as_millis() as i64))
}

/// Adds what to do about it, where that is known.
fn explain(error: anyhow::Error, args: &ProduceArgs) -> anyhow::Error {
    let code = error
        .chain()
        .find_map(|cause| match cause.downcast_ref::<ProduceError>() {
            Some(ProduceError::Client(error)) => error.code(),
            _ => None,
        });
    match code {
        Some(ErrorCode::MessageTooLarge) => anyhow!(
            "{error:#}; lower --batch-bytes (now {}) or raise the topic's max.message.bytes",
            args.batch_bytes
        ),
        Some(ErrorCode::InvalidRecord) if args.key_separator.is_none() => {
            anyhow!("{error:#} (--key-separator gives records keys)")
        }
        _ => error,
    }
}

/// For whoever must go on from here. More may have arrived than was acknowledged.
fn got_so_far(totals: &Totals) -> String {
    let records = common::count(totals.records, "record", "records");
    format!("{records} were produced, then")
}

fn summary(topic: &str, totals: &Totals, input_bytes: u64, seconds: f64) -> String {
    let rate = |amount: u64| (amount as f64 / seconds.max(1e-9)) as u64;
    let mut text = format!(
        "{} records, {} ({} sent) to {topic} in {seconds:.3} s: {}/s, {} records/s",
        totals.records,
        common::bytes(input_bytes),
        common::bytes(totals.sent_bytes),
        common::bytes(rate(input_bytes)),
        rate(totals.records),
    );
    if totals.retries > 0 {
        text.push_str(&format!("; {} batches sent again", totals.retries));
    }
    text
}
