//! What several subcommands share: how to reach a cluster, key=value pairs, figures for readers.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::client::{ClientError, Cluster, Options};

/// How to reach a cluster.
#[derive(Debug, Clone, Args)]
pub struct ConnectArgs {
    /// Brokers to ask first, host:port; any Kafka broker will do
    #[arg(
        long,
        short = 'b',
        value_name = "HOST:PORT,...",
        value_delimiter = ',',
        default_value = "localhost:9092"
    )]
    pub bootstrap_server: Vec<String>,
    /// Milliseconds for a broker's answer, and for all tries of one operation
    #[arg(long, value_name = "MS", default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout_ms: u64,
}

impl ConnectArgs {
    pub fn options(&self) -> Options {
        Options {
            bootstrap: self.bootstrap_server.clone(),
            timeout: Duration::from_millis(self.timeout_ms),
        }
    }

    pub fn connect(&self) -> Result<Cluster, ClientError> {
        Cluster::connect(self.options())
    }
}

/// For clap: `name=value`, split at the first `=`.
pub fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.to_owned()))
        }
        _ => Err(format!("{text:?}: expected name=value")),
    }
}

/// A flag that SIGINT and SIGTERM raise; a second signal ends the process.
pub fn stop_flag() -> anyhow::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, flag.clone())
            .and_then(|_| signal_hook::flag::register(signal, flag.clone()))
            .context("cannot set a signal handler up")?;
    }
    Ok(flag)
}

/// Bytes in decimal units, three digits or so: `1.53 GB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1000.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if value < 999.95 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    let digits = if value < 10.0 { 2 } else { 1 };
    format!("{value:.digits$} {unit}")
}

/// `1 segment`, `2 segments`.
pub fn count(number: u64, what: &str, what_many: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what_many}"),
    }
}

/// Prints rows in columns under a head, to stdout.
pub fn print_table(head: &[&str], rows: &[Vec<String>]) -> std::io::Result<()> {
    use std::io::Write;
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.len()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = std::io::stdout().lock();
    let head = head.iter().map(|cell| (*cell).to_owned()).collect();
    for row in std::iter::once(&head).chain(rows) {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            line.push_str(&format!("{cell:width$}  "));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// `3,5,7`, or `-` for none.
pub fn list(numbers: &[i32]) -> String {
    if numbers.is_empty() {
        return "-".to_owned();
    }
    let texts: Vec<String> = numbers.iter().map(i32::to_string).collect();
    texts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_a_unit_and_three_digits_or_so() {
        for (count, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (12_345, "12.3 kB"),
            (999_950, "1.00 MB"),
            (1_530_000_000, "1.53 GB"),
            (7_000_000_000_000_000, "7000.0 TB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn pairs_split_at_the_first_equals_sign() {
        let pair = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(key_value("a=b=c"), pair("a", "b=c"));
        assert_eq!(key_value("a="), pair("a", ""));
        assert!(key_value("a").is_err());
        assert!(key_value("=b").is_err());
    }
}
