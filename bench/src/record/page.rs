//! The outcome as a page. Every number on it is computed from the runs.

use super::contest::Target;
use super::outcome::{ContestRuns, Outcome};
use super::summary::{Spread, noise};
use super::verdict::{Cpu, Verdict, verdicts};
use crate::cli::{BUSY, Chosen, LEGEND};
use crate::drive::UNPROVEN;
use crate::measurement::{Cost, Measurement, markdown as table};

pub(super) fn markdown(outcome: &Outcome) -> String {
    let started = &outcome.started;
    let mut page = format!("# Node and floor, {started}\n\n");
    for warning in warnings(outcome) {
        page.push_str(&format!("**{warning}**\n\n"));
    }
    page.push_str(&machine(outcome));
    let (columns, rows) = ratios(outcome);
    page.push_str(&format!(
        "\n## Ratios\n\n{RATIOS}\n\n{}",
        table(&columns, &rows)
    ));
    let (columns, rows) = runs(outcome);
    page.push_str(&format!(
        "\n## Runs\n\nMedian (least .. greatest) over the rounds.\n\n{}",
        table(&columns, &rows)
    ));
    page.push_str(&format!("\n{LEGEND}\n\n{EXCLUDED}\n\n{}\n", unproven()));
    page
}

pub(super) const RATIOS: &str = "\
CPU: the least of the node's runs over the least of all runs of its floor, in whatever contest, of \
the whole machine and of the server's process: what else runs on the machine, and what it does to \
memory, only adds. Of the machine's CPU the least that was idle before any run is taken off. Beside \
it, only to be seen, what medians give. Latency: the node's median p50, at most that of the floors' \
sum and 30 µs.";

pub(super) const EXCLUDED: &str = "\
Excluded: the network (loopback only), TLS, compression, replication, more than one shard, open-loop
latency. Floors answer streams with nothing; they write each byte once into fallocated files, as a
log does.";

/// As a sentence: the node's own runs are closed loops, all of them.
pub(super) fn unproven() -> String {
    format!("Excluded, too: {UNPROVEN}.")
}

/// What is missing, and what makes figures doubtful.
pub(super) fn warnings(outcome: &Outcome) -> Vec<String> {
    let cores = Chosen {
        server: outcome.configuration.server_core,
        driver: outcome.configuration.driver_core,
    };
    let mut warnings = crate::cli::warnings(&outcome.problems(), cores);
    let mut every = outcome.contests.iter().map(ContestRuns::machine_was_quiet);
    if !every.all(|quiet| quiet) {
        warnings.push(format!("In some runs {BUSY}; these do not count."));
    }
    warnings
}

fn machine(outcome: &Outcome) -> String {
    let machine = &outcome.machine;
    format!(
        "{}\n\n{}\n\n{}\n",
        machine.brief(),
        machine.built(),
        configuration(outcome)
    )
}

/// What was asked for, in words.
pub(super) fn configuration(outcome: &Outcome) -> String {
    let configuration = &outcome.configuration;
    format!(
        "{} rounds of {} s after {} s of warm-up; server on core {}, driver on core {}; memory \
         before each run {}. Produce and consume: {} connections, {} in flight, records of {} bytes \
         in batches of up to {}. 64 KiB requests: batches of up to 65536. One record: {} connections, {} in flight, {} bytes \
         of value, requests of {} bytes, echoed with {}. One at a time: the same record, 1 \
         connection, 1 in flight. Settings beside one shard: {}.",
        configuration.rounds,
        configuration.seconds,
        configuration.warmup_seconds,
        configuration.server_core,
        configuration.driver_core,
        configuration.memory.name(),
        configuration.connections,
        configuration.in_flight,
        configuration.record_bytes,
        configuration.request_bytes_max,
        configuration.small_connections,
        configuration.small_in_flight,
        configuration.small_record_bytes,
        configuration.echo_request_bytes,
        configuration.echo_reply_bytes,
        match configuration.settings.as_slice() {
            [] => "none".to_owned(),
            settings => settings.join(", "),
        },
    )
}

/// Columns and rows.
type Table = (Vec<&'static str>, Vec<Vec<String>>);

pub(super) fn ratios(outcome: &Outcome) -> Table {
    let rows = verdicts(outcome).iter().map(row).collect();
    let columns = vec![
        "contest",
        "machine",
        "process",
        "at most",
        "reached",
        "median ratio",
        "least of runs, node / floor",
        "floor",
    ];
    (columns, rows)
}

/// Ratios of CPU; of anything else the node's figure.
fn row(verdict: &Verdict) -> Vec<String> {
    let show = |ratio: Option<f64>| ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
    let figure = match verdict.unit.is_cpu() {
        true => show(verdict.ratio()),
        false => verdict
            .node
            .map_or("-".to_owned(), |node| verdict.unit.show(node)),
    };
    let of_cpu = |show: &dyn Fn(&Cpu) -> String| verdict.cpu.as_ref().map_or("-".to_owned(), show);
    vec![
        verdict.what.clone(),
        figure,
        show(verdict.process_ratio),
        verdict.target(),
        verdict.reached().to_owned(),
        of_cpu(&|cpu| show(cpu.median_ratio)),
        of_cpu(&|cpu| cpu.runs.map(|runs| runs.to_string()).join(" / ")),
        verdict.floor_name().unwrap_or("-").replace("floor: ", ""),
    ]
}

pub(super) fn runs(outcome: &Outcome) -> Table {
    let mut rows = Vec::new();
    for runs in &outcome.contests {
        let digits = if runs.contest.per_request() { 2 } else { 3 };
        let is_latency = matches!(runs.contest.target(), Target::P50(_));
        let (per, rate_digits) = if runs.contest.per_request() {
            ("µs/request, requests/s", 0)
        } else {
            ("s/GB, GB/s", 3)
        };
        let floors = runs.contest.floors().iter().map(|kind| kind.name());
        let names = floors.chain([runs.contest.name()]);
        let beside = (!runs.floor_beside.is_empty()).then_some(&runs.floor_beside);
        let sides = [Some(&runs.floor), beside, Some(&runs.node)];
        for (name, measured) in names.zip(sides.into_iter().flatten()) {
            let show = |spread: Option<Spread>, digits| {
                spread.map_or("-".to_owned(), |spread| spread.show(digits))
            };
            let machine = runs.machine(measured);
            let greatest = |seconds: fn(&Cost) -> f64| {
                let shares = measured
                    .iter()
                    .map(|run| seconds(&run.cost) / run.cost.seconds);
                shares.fold(0.0, f64::max)
            };
            let driver = |of: fn(&Measurement) -> f64, digits| {
                let known = measured.iter().map(of).filter(|value| value.is_finite());
                show(Spread::of(known), digits)
            };
            let busiest = greatest(|cost| cost.driver_cpu_s);
            let server = greatest(|cost| cost.machine_cpu_s);
            let otherwise = greatest(|cost| cost.idle_baseline_s);
            let stolen = greatest(|cost| cost.steal_s);
            rows.push(vec![
                name.to_owned(),
                per.to_owned(),
                show(machine, digits),
                show(runs.process(measured), digits),
                show(runs.rate(measured), rate_digits),
                show(runs.p50_us(measured).filter(|_| is_latency), 1),
                machine.map_or("-".to_owned(), |spread| {
                    format!("{:.0} %", 100.0 * noise(&spread))
                }),
                format!("{:.0} %", 100.0 * server),
                format!("{:.0} %", 100.0 * busiest),
                driver(Measurement::driver_s_per_gb, 3),
                driver(Measurement::driver_us_per_request, 2),
                format!("{otherwise:.2}"),
                format!("{:.0} %", 100.0 * stolen),
            ]);
        }
    }
    let columns = vec![
        "run",
        "units",
        "machine CPU",
        "process CPU",
        "rate",
        "p50 µs",
        "noise",
        "server busy",
        "driver busy",
        "driver s/GB",
        "driver µs/request",
        "cores busy before",
        "stolen",
    ];
    (columns, rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::contest::Contest;
    use crate::record::test_runs::{run, took};

    fn verdict(floor: Vec<Measurement>, node: Vec<Measurement>) -> Vec<String> {
        judged(Contest::ProduceOne, floor, Vec::new(), node)
    }

    fn judged(
        contest: Contest,
        floor: Vec<Measurement>,
        floor_beside: Vec<Measurement>,
        node: Vec<Measurement>,
    ) -> Vec<String> {
        let runs = ContestRuns {
            contest,
            floor,
            floor_beside,
            node,
            failure: None,
        };
        let outcome = Outcome {
            contests: vec![runs],
            ..Default::default()
        };
        let page = markdown(&outcome);
        let begin = format!("| {}", contest.name());
        let row = page.lines().find(|line| line.starts_with(&begin));
        row.expect("a row")
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    }

    #[test]
    fn ratios_are_of_the_least() {
        let floor = vec![run(0.4, 0.0), run(0.2, 0.0), run(0.9, 0.0)];
        let near = verdict(floor.clone(), vec![run(0.8, 0.0), run(0.25, 0.0)]);
        assert_eq!(near[2..6], ["1.25", "1.25", "1.25", "yes"]);
        assert_eq!(near[6..9], ["1.31", "2 / 3", "recv + crc + direct write"]);
        let far = verdict(floor, vec![run(0.26, 0.0)]);
        assert_eq!(far[2..6], ["1.30", "1.30", "1.25", "no"]);
    }

    /// Several contests have the same floor: where it ran does not matter.
    #[test]
    fn a_floors_runs_are_pooled() {
        let mut one = ContestRuns::new(Contest::ProduceOne);
        (one.floor, one.node) = (vec![run(0.5, 0.0)], vec![run(0.4, 0.0)]);
        let mut medium = ContestRuns::new(Contest::ProduceMedium);
        (medium.floor, medium.node) = (vec![run(0.25, 0.0)], vec![run(0.4, 0.0)]);
        let mut durable = ContestRuns::new(Contest::ProduceAll);
        (durable.floor, durable.node) = (vec![run(0.1, 0.0)], vec![run(0.4, 0.0)]);
        let contests = vec![one, medium, durable];
        let outcome = Outcome {
            contests,
            ..Default::default()
        };
        let (_, rows) = ratios(&outcome);
        assert_eq!(
            rows[0][1..7],
            ["1.60", "1.60", "1.25", "no", "0.80", "1 / 2"]
        );
        assert_eq!(
            rows[1][1..7],
            ["1.60", "1.60", "1.5", "no", "1.60", "1 / 2"]
        );
        assert_eq!(rows[2][1], "4.00");
    }

    #[test]
    fn the_cheaper_floor_counts() {
        let judge = |sendfile, memory| {
            let [sendfile, memory] = [sendfile, memory].map(|cpu_s| vec![run(cpu_s, 0.0)]);
            judged(
                Contest::ConsumeResident,
                sendfile,
                memory,
                vec![run(0.4, 0.0)],
            )
        };
        assert_eq!(judge(0.2, 0.4)[8], "sendfile, resident");
        let memory = judge(0.5, 0.4);
        assert_eq!(
            (memory[2].as_str(), memory[8].as_str()),
            ("1.00", "send from memory")
        );
    }

    #[test]
    fn a_busy_machine_decides_nothing() {
        let busy = verdict(vec![run(0.2, 0.5)], vec![run(0.2, 0.0)]);
        assert_eq!(busy[2..6], ["-", "1.00", "1.25", "unknown"]);
        let nothing = verdict(vec![], vec![]);
        assert_eq!(nothing[2..6], ["-", "-", "1.25", "no"]);
    }

    #[test]
    fn a_latency_stands_beside_the_sum_of_its_floors() {
        let judge = |node| judged(Contest::DurableLatency, took(0.03), took(0.08), took(node));
        assert_eq!(judge(0.139)[2..6], ["139.0 µs", "-", "140.0 µs", "yes"]);
        assert_eq!(judge(0.141)[2..6], ["141.0 µs", "-", "140.0 µs", "no"]);
        let without = judged(Contest::DurableLatency, took(0.03), vec![], took(0.1));
        assert_eq!(without[5], "unknown");
    }
}
