//! What `odradek consume` can be told.

use std::str::FromStr;

use clap::{Args, ValueEnum, value_parser};

use crate::common::ConnectArgs;

/// Consume a topic's records to stdout, until Ctrl-C.
///
/// Starts at the end of the log unless told otherwise; in a group, where the group has committed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ConsumeArgs {
    /// Topic to read
    pub topic: String,
    /// Start with the oldest records; in a group, where nothing is committed yet
    #[arg(long, conflicts_with_all = ["offset", "timestamp"])]
    pub from_beginning: bool,
    /// Start here in each partition: a number, earliest or latest
    #[arg(long, short, value_name = "OFFSET", conflicts_with_all = ["timestamp", "group"])]
    pub offset: Option<OffsetArg>,
    /// Start with the first record at or after this: milliseconds since the Unix epoch, or such as
    /// 2030-01-31T12:00:00Z
    #[arg(long, short, value_name = "TIME", value_parser = timestamp, conflicts_with = "group")]
    pub timestamp: Option<i64>,
    /// Only these partitions
    #[arg(long, short, value_name = "N,...", value_delimiter = ',', conflicts_with = "group",
          value_parser = value_parser!(i32).range(0..))]
    pub partition: Vec<i32>,
    /// Be a member of this consumer group: share the partitions, commit what was printed
    #[arg(long, short)]
    pub group: Option<String>,
    /// How records are printed. plain: the value; json: one object per record; hex: partition,
    /// offset, key, value
    #[arg(long, short = 'F', value_enum, default_value = "plain")]
    pub format: Format,
    /// With plain: print the key and this text before the value
    #[arg(long, short, value_name = "TEXT")]
    pub key_separator: Option<String>,
    /// Only records with exactly this key
    #[arg(long, value_name = "TEXT")]
    pub key: Option<String>,
    /// Only records whose value contains this
    #[arg(long, value_name = "TEXT")]
    pub contains: Option<String>,
    /// Only records with this header; of several, with all
    #[arg(long = "header", short = 'H', value_name = "NAME=VALUE", value_parser = crate::common::key_value)]
    pub headers: Vec<(String, String)>,
    /// Stop after so many records that were printed
    #[arg(long, short = 'n', value_name = "N", value_parser = value_parser!(u64).range(1..))]
    pub max_messages: Option<u64>,
    /// Stop where the log ended when this began
    #[arg(long, short)]
    pub exit_at_end: bool,
    /// Do not say at the end how much was consumed
    #[arg(long, short)]
    pub quiet: bool,
    /// Milliseconds between commits
    #[arg(long, value_name = "MS", default_value_t = 5_000, value_parser = value_parser!(u64).range(1..))]
    pub commit_interval_ms: u64,
    /// Milliseconds without a heartbeat after which the group goes on without this member
    #[arg(long, value_name = "MS", default_value_t = 45_000, value_parser = value_parser!(u64).range(1..))]
    pub session_timeout_ms: u64,
    #[command(flatten)]
    pub connect: ConnectArgs,
}

const EXAMPLES: &str = "\
Examples:
  odradek consume orders --from-beginning --exit-at-end
  odradek consume orders --partition 3 --offset 1200 --max-messages 10 --format json
  odradek consume orders --timestamp 2030-01-31T12:00:00+01:00 --key-separator :
  odradek consume orders --from-beginning --contains refund --header source=import
  odradek consume orders --group order-processors";

/// `--format`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Plain,
    Json,
    Hex,
}

/// `--offset`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetArg {
    Earliest,
    Latest,
    Exactly(i64),
}

impl FromStr for OffsetArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            _ => match text.parse() {
                Ok(offset) if offset >= 0 => Ok(Self::Exactly(offset)),
                _ => Err("expected a number from 0, earliest or latest".to_owned()),
            },
        }
    }
}

/// For clap: milliseconds since the Unix epoch, or a time of RFC 3339.
pub(crate) fn timestamp(text: &str) -> Result<i64, String> {
    if let Ok(milliseconds) = text.parse::<i64>() {
        return match milliseconds {
            0.. => Ok(milliseconds),
            _ => Err("expected milliseconds from 0".to_owned()),
        };
    }
    match text.parse::<jiff::Timestamp>() {
        Ok(time) if time.as_millisecond() >= 0 => Ok(time.as_millisecond()),
        Ok(_) => Err("it lies before 1970".to_owned()),
        Err(error) => Err(format!(
            "expected milliseconds, or such as 2030-01-31T12:00:00Z: {error}"
        )),
    }
}
