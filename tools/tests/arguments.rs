//! The command line as it is parsed: defaults, contradictions, ill values.

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use odradek_tools::cli::{Cli, Command};
use odradek_tools::client::producer::Acks;
use odradek_tools::consume::{ConsumeArgs, OffsetArg};
use odradek_tools::produce::ProduceArgs;

fn parse(line: &str) -> Result<Command, clap::Error> {
    Cli::try_parse_from(line.split(' ')).map(|cli| cli.command)
}

fn produce(line: &str) -> ProduceArgs {
    match parse(line) {
        Ok(Command::Produce(args)) => args,
        other => panic!("{line}: {other:?}"),
    }
}

fn consume(line: &str) -> ConsumeArgs {
    match parse(line) {
        Ok(Command::Consume(args)) => *args,
        other => panic!("{line}: {other:?}"),
    }
}

fn refused(line: &str) -> ErrorKind {
    let error = parse(line).expect_err(line);
    assert_eq!(error.exit_code(), 2, "{line}");
    error.kind()
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_subcommand_explains_itself() {
    fn check(command: &mut clap::Command) {
        assert!(
            command.get_about().is_some(),
            "{} has no description",
            command.get_name()
        );
        let subcommands: Vec<String> = command
            .get_subcommands()
            .map(|subcommand| subcommand.get_name().to_owned())
            .collect();
        for name in subcommands {
            check(command.find_subcommand_mut(&name).expect("just listed"));
        }
    }
    check(&mut Cli::command());
}

#[test]
fn help_is_a_success() {
    let error = parse("odradek produce --help").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DisplayHelp);
    assert_eq!(error.exit_code(), 0);
    assert!(error.to_string().contains("Examples:"));
}

#[test]
fn producers_are_idempotent_unless_told_otherwise() {
    let options = produce("odradek produce t").options();
    assert!(options.idempotent);
    assert_eq!(options.acks, Acks::All);
    assert_eq!(options.in_flight_max, 5);
    let options = produce("odradek produce t --in-flight 50").options();
    assert_eq!(options.in_flight_max, 5, "all that a broker remembers");
    for line in [
        "odradek produce t --acks 1",
        "odradek produce t --acks 0",
        "odradek produce t --no-idempotence",
    ] {
        let mut args = produce(line);
        args.in_flight = 50;
        assert!(!args.options().idempotent, "{line}");
        assert_eq!(args.options().in_flight_max, 50, "{line}");
    }
    assert_eq!(
        produce("odradek produce t --acks=-1").options().acks,
        Acks::All
    );
}

#[test]
fn starts_are_read_and_contradictions_refused() {
    let offset = |text: &str| consume(&format!("odradek consume t --offset {text}")).offset;
    assert_eq!(offset("earliest"), Some(OffsetArg::Earliest));
    assert_eq!(offset("latest"), Some(OffsetArg::Latest));
    assert_eq!(offset("42"), Some(OffsetArg::Exactly(42)));
    for start in ["--offset=-1", "--offset first", "--timestamp noon"] {
        let kind = refused(&format!("odradek consume t {start}"));
        assert_eq!(kind, ErrorKind::ValueValidation, "{start}");
    }
    for both in [
        "--offset 1 --from-beginning",
        "--timestamp 1 --offset 1",
        "--group g --offset 1",
        "--group g --partition 1",
    ] {
        let kind = refused(&format!("odradek consume t {both}"));
        assert_eq!(kind, ErrorKind::ArgumentConflict, "{both}");
    }
}

#[test]
fn times_are_milliseconds_or_rfc_3339() {
    let time = |text: &str| consume(&format!("odradek consume t --timestamp {text}")).timestamp;
    assert_eq!(time("1700000000000"), Some(1_700_000_000_000));
    assert_eq!(time("2023-11-14T22:13:20Z"), Some(1_700_000_000_000));
    assert_eq!(time("2023-11-14T23:13:20.5+01:00"), Some(1_700_000_000_500));
    refused("odradek consume t --timestamp 2023-11-14");
    refused("odradek consume t --timestamp 1969-01-01T00:00:00Z");
}

#[test]
fn ill_values_are_usage_errors() {
    for line in [
        "odradek",
        "odradek frobnicate",
        "odradek topic create t --partitions 0",
        "odradek topic create t --config retention.ms",
        "odradek topic delete",
        "odradek produce t --acks 2",
        "odradek produce t --compression lzma",
        "odradek produce t --batch-bytes 0",
        "odradek produce t --key-separator=",
        "odradek consume t --max-messages 0",
        "odradek serve --set shards",
        "odradek --log-level odradek=loud topic list",
    ] {
        refused(line);
    }
}

#[test]
fn lists_are_split_at_commas() {
    let args = consume("odradek consume t --partition 1,3 -b a:1,b:2");
    assert_eq!(args.partition, [1, 3]);
    assert_eq!(args.connect.bootstrap_server, ["a:1", "b:2"]);
}
