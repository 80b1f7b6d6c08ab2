//! Scenarios: questions about a server, asked in the same way of every contestant.
//!
//! Each is one file that opens with its question and ends in one row of [`SCENARIOS`]. A scenario
//! starts servers, loads them and names figures, all through its [`Stage`]; what it found until it
//! failed is kept and marked partial.
//!
//! To add one: a file with a `SCENARIO`, its name in the table.

mod backfill;
mod cell;
mod closed;
mod compaction;
pub(crate) mod core;
mod durable_acks;
mod findings;
pub(crate) mod fixed_rates;
mod group_load;
mod grown;
mod hot_partition;
mod idle_consumers;
mod linkedin;
mod live_moves;
mod many_partitions;
mod many_producers;
mod one_address;
mod overload;
mod past_retention;
mod scrape;
mod stage;
mod tls;
mod transactions;
mod warm;

use anyhow::{Result, bail};

pub(crate) use cell::{Cell, run as run_cell};
pub(crate) use closed::{consume_floors, produce_floors};
pub(crate) use findings::{Better, Findings};
pub(crate) use stage::{Course, Stage};

/// A row of the table.
pub(crate) struct Scenario {
    pub(crate) number: usize,
    /// On the command line; its file is called the same, `_` for `-`.
    pub(crate) name: &'static str,
    /// The first line of its file.
    pub(crate) question: &'static str,
    /// What it needs that not every server has, in words. The scenario itself says when it is
    /// missing ([`Stage::skip`]).
    pub(crate) needs: Option<&'static str>,
    /// What it asks of one contestant.
    pub(crate) run: fn(&mut Stage) -> Result<()>,
}

/// All, by number.
pub(crate) const SCENARIOS: &[Scenario] = &[
    core::SCENARIO,
    linkedin::SCENARIO,
    fixed_rates::SCENARIO,
    many_producers::SCENARIO,
    durable_acks::SCENARIO,
    past_retention::SCENARIO,
    backfill::SCENARIO,
    many_partitions::SCENARIO,
    idle_consumers::SCENARIO,
    hot_partition::SCENARIO,
    one_address::SCENARIO,
    compaction::SCENARIO,
    overload::SCENARIO,
    transactions::SCENARIO,
    group_load::SCENARIO,
    live_moves::SCENARIO,
    tls::SCENARIO,
];

/// Those of these names or numbers; all where none are given, or `all`.
///
/// # Errors
/// Names that no scenario has.
pub(crate) fn chosen(names: &[String]) -> Result<Vec<&'static Scenario>> {
    let all = names.is_empty() || names.iter().any(|name| name == "all");
    for name in names.iter().filter(|_| !all) {
        if !SCENARIOS.iter().any(|scenario| scenario.is(name)) {
            let known: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
            bail!("no scenario {name:?}: there are {}", known.join(", "));
        }
    }
    let wanted = |scenario: &&Scenario| all || names.iter().any(|name| scenario.is(name));
    Ok(SCENARIOS.iter().filter(wanted).collect())
}

impl Scenario {
    fn is(&self, name: &str) -> bool {
        self.name == name || self.number.to_string() == name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Also: numbers and names are told apart.
    #[test]
    fn files_open_with_their_questions() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/scenario");
        for (at, scenario) in SCENARIOS.iter().enumerate() {
            let file = dir
                .join(scenario.name.replace('-', "_"))
                .with_extension("rs");
            let text = std::fs::read_to_string(&file).expect(scenario.name);
            let first = text
                .lines()
                .next()
                .and_then(|line| line.strip_prefix("//! "));
            assert_eq!(first, Some(scenario.question), "{}", file.display());
            assert!(scenario.question.ends_with('?'), "{}", scenario.name);
            let earlier = &SCENARIOS[..at];
            assert!(
                earlier
                    .iter()
                    .all(|one| one.number < scenario.number && one.name != scenario.name)
            );
        }
    }

    #[test]
    fn scenarios_are_chosen_by_name_or_number() {
        assert_eq!(chosen(&[]).unwrap().len(), SCENARIOS.len());
        assert_eq!(chosen(&["all".to_owned()]).unwrap().len(), SCENARIOS.len());
        let by_number = chosen(&["2".to_owned()]).unwrap();
        assert_eq!(by_number[0].name, "fixed-rates");
        let error = chosen(&["nonsense".to_owned()]).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("fixed-rates"), "{error}");
    }
}
