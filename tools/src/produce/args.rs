//! What `odradek produce` can be told.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum, value_parser};
use odradek_engine::record::Compression;

use super::Split;
use crate::client::producer::{Acks, ProducerOptions};
use crate::common::ConnectArgs;

/// Produce lines of text, one record each.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ProduceArgs {
    /// Topic; created if it does not exist and the broker is set to do so
    pub topic: String,
    /// Read this file instead of stdin
    #[arg(long, short, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Each line is a key, this text, and a value; split at the first
    #[arg(long, short, value_name = "TEXT", value_parser = not_empty)]
    pub key_separator: Option<String>,
    /// A key or value of just this text is null (a null value deletes a key in a compacted topic)
    #[arg(long, value_name = "TEXT")]
    pub null_marker: Option<String>,
    /// A header of every record; may be given several times
    #[arg(long = "header", short = 'H', value_name = "NAME=VALUE", value_parser = crate::common::key_value)]
    pub headers: Vec<(String, String)>,
    /// Everything to this partition; without it keys decide, as in Kafka's Java client
    #[arg(long, short, value_parser = value_parser!(i32).range(0..))]
    pub partition: Option<i32>,
    /// What makes a record done: 0 it was sent, 1 its leader has it, all: it is safe
    #[arg(long, value_enum, default_value = "all")]
    pub acks: AcksArg,
    /// Codec of the batches
    #[arg(long, short = 'z', default_value = "none",
          value_parser = PossibleValuesParser::new(["none", "gzip", "snappy", "lz4", "zstd"]))]
    pub compression: String,
    /// Send again what may have arrived already without asking the broker to drop repetitions
    #[arg(long)]
    pub no_idempotence: bool,
    /// Milliseconds that a batch may wait for more lines
    #[arg(long, value_name = "MS", default_value_t = 5)]
    pub linger_ms: u64,
    /// Bytes at which a batch is sent, before compression
    #[arg(long, value_name = "BYTES", default_value_t = 512 << 10, value_parser = bytes)]
    pub batch_bytes: usize,
    /// Requests in flight per broker
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = value_parser!(u8).range(1..=100))]
    pub in_flight: u8,
    /// Bytes of records that wait to be acknowledged
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20, value_parser = bytes)]
    pub memory_bytes: usize,
    /// Milliseconds after which a record that is not acknowledged is given up
    #[arg(long, value_name = "MS", default_value_t = 120_000)]
    pub delivery_timeout_ms: u64,
    #[command(flatten)]
    pub connect: ConnectArgs,
}

const EXAMPLES: &str = "\
Examples:
  echo hello | odradek produce greetings
  odradek produce orders --file orders.txt --key-separator : --compression zstd
  odradek produce orders --file orders.txt --header source=import --header run=7
  tail -f app.log | odradek produce logs --acks 1";

/// The idempotence of a partition reaches back this many batches.
const IDEMPOTENT_IN_FLIGHT_MAX: u8 = 5;

/// `--acks`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AcksArg {
    #[value(name = "0")]
    None,
    #[value(name = "1")]
    Leader,
    #[value(name = "all", alias = "-1")]
    All,
}

impl ProduceArgs {
    /// What the producer is told.
    pub fn options(&self) -> ProducerOptions {
        let acks = match self.acks {
            AcksArg::None => Acks::None,
            AcksArg::Leader => Acks::Leader,
            AcksArg::All => Acks::All,
        };
        let idempotent = acks == Acks::All && !self.no_idempotence;
        let in_flight = match idempotent {
            true => self.in_flight.min(IDEMPOTENT_IN_FLIGHT_MAX),
            false => self.in_flight,
        };
        ProducerOptions {
            acks,
            compression: Compression::from_name(&self.compression)
                .expect("the parser knows the names"),
            idempotent,
            linger: Duration::from_millis(self.linger_ms),
            batch_bytes: self.batch_bytes,
            request_bytes: self.batch_bytes.max(1 << 20),
            in_flight_max: usize::from(in_flight),
            memory_bytes: self.memory_bytes,
            delivery_timeout: Duration::from_millis(self.delivery_timeout_ms),
        }
    }

    /// How a line becomes key and value.
    pub fn split(&self) -> Split<'_> {
        Split {
            key_separator: self.key_separator.as_deref().map(str::as_bytes),
            null_marker: self.null_marker.as_deref().map(str::as_bytes),
        }
    }
}

fn not_empty(text: &str) -> Result<String, String> {
    match text {
        "" => Err("it is empty".to_owned()),
        _ => Ok(text.replace("\\t", "\t")),
    }
}

fn bytes(text: &str) -> Result<usize, String> {
    const LEAST: usize = 1;
    const MOST: usize = 1 << 30;
    match text.parse() {
        Ok(count) if (LEAST..=MOST).contains(&count) => Ok(count),
        _ => Err(format!("expected {LEAST} to {MOST} bytes")),
    }
}
