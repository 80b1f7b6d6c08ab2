//! The outcome as a page. Every number on it is computed from the runs.

use super::idle;
use super::outcome::{ContestRuns, Outcome, RSS_BYTES_MAX};
use super::summary::{Spread, noise};
use crate::cli::{BUSY, LEGEND};
use crate::measurement::{Measurement, markdown as table};

pub(super) fn markdown(outcome: &Outcome) -> String {
    let started = &outcome.started;
    let mut page = format!("# Node and floor, {started}\n\n");
    page.push_str(&machine(outcome));
    page.push_str("\n## Ratios\n\nMedian of the node over median of the floor; CPU.\n\n");
    page.push_str(&ratios(outcome));
    page.push_str("\n## Runs\n\nMedian (least .. greatest) over the rounds.\n\n");
    page.push_str(&runs(outcome));
    for runs in &outcome.contests {
        if let Some(failure) = &runs.failure {
            let (name, done) = (runs.contest.name(), runs.node.len());
            page.push_str(&format!("\n{name} failed after {done} rounds: {failure}\n"));
        }
    }
    let mut every = outcome
        .contests
        .iter()
        .flat_map(|runs| runs.floor.iter().chain(&runs.node));
    if !every.all(Measurement::machine_was_quiet) {
        page.push_str(&format!(
            "\nIn some runs {BUSY}; their ratios are left out.\n"
        ));
    }
    page.push_str(&format!("\n{LEGEND}\n\n"));
    page.push_str(
        "Excluded: the network (loopback only), TLS, compression, replication, more than one \
         shard, open-loop\nlatency. Floors answer streams with nothing; they write each byte once \
         into fallocated files, as a\nlog does.\n",
    );
    page
}

fn machine(outcome: &Outcome) -> String {
    let machine = &outcome.machine;
    let configuration = &outcome.configuration;
    let mut text = format!(
        "{} ({} cores, {} GiB, {}), governor {}; Linux {}, {}; {} ({})\n",
        machine.cpu_model,
        machine.cores,
        machine.memory_gib,
        if machine.hypervisor {
            "virtual"
        } else {
            "bare"
        },
        machine.cpu_governor,
        machine.kernel,
        machine.distribution,
        machine.file_system.kind,
        machine.file_system.options,
    );
    let commit = machine.commit.get(..10).unwrap_or("unknown");
    let modified = if machine.modified {
        ", with changes"
    } else {
        ""
    };
    let build = if machine.debug_assertions {
        ", built with debug assertions: not figures to keep"
    } else {
        ""
    };
    text.push_str(&format!("\nCommit {commit}{modified}{build}.\n"));
    text.push_str(&format!(
        "\n{} rounds of {} s after {} s of warm-up; server on core {}, driver on core {}. Produce \
         and consume: {} connections, {} in flight, records of {} bytes in batches of up to {}. \
         One record: {} connections, {} in flight, {} bytes of value, requests of {} bytes, \
         echoed with {}. Settings beside one shard: {}.\n",
        configuration.rounds,
        configuration.seconds,
        configuration.warmup_seconds,
        configuration.server_core,
        configuration.driver_core,
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
    ));
    text
}

fn ratios(outcome: &Outcome) -> String {
    let mut rows: Vec<Vec<String>> = outcome.contests.iter().map(ratio_row).collect();
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64);
    let mut bound = |name: &str, reached: String, most: String, within: bool| {
        let none = "-".to_owned();
        rows.push(vec![name.to_owned(), reached, none, most, yes(within)]);
    };
    if let Some(peak) = outcome
        .contests
        .iter()
        .filter_map(ContestRuns::rss_peak)
        .max()
    {
        bound(
            "RSS under load, peak",
            mib(peak),
            mib(RSS_BYTES_MAX),
            peak <= RSS_BYTES_MAX,
        );
    }
    if let Some(idle) = &outcome.idle {
        let rss = idle.rss_bytes;
        bound(
            "RSS, idle",
            mib(rss),
            mib(idle::RSS_BYTES_MAX),
            rss <= idle::RSS_BYTES_MAX,
        );
        let percent = |share: f64| format!("{:.4} %", 100.0 * share);
        bound(
            &format!("share of a core, idle for {:.0} s", idle.seconds),
            percent(idle.core_share()),
            percent(idle::CORE_SHARE_MAX),
            idle.core_share() < idle::CORE_SHARE_MAX,
        );
    }
    table(
        &["contest", "machine", "process", "at most", "reached"],
        &rows,
    )
}

fn ratio_row(runs: &ContestRuns) -> Vec<String> {
    let ratio = |node: Option<Spread>, floor: Option<Spread>| Some(node?.median / floor?.median);
    let mut all = runs.floor.iter().chain(&runs.node);
    let quiet = all.all(Measurement::machine_was_quiet);
    let machine = ratio(runs.machine(&runs.node), runs.machine(&runs.floor)).filter(|_| quiet);
    let process = ratio(runs.process(&runs.node), runs.process(&runs.floor));
    let most = runs.contest.ratio_max();
    let show = |ratio: Option<f64>| ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
    let within = [machine, process]
        .iter()
        .all(|ratio| ratio.is_some_and(|ratio| ratio <= most));
    vec![
        runs.contest.name().to_owned(),
        show(machine),
        show(process),
        format!("{most}"),
        match quiet {
            true => yes(within),
            false => "unknown".to_owned(),
        },
    ]
}

fn yes(reached: bool) -> String {
    if reached { "yes" } else { "no" }.to_owned()
}

fn runs(outcome: &Outcome) -> String {
    let mut rows = Vec::new();
    for runs in &outcome.contests {
        let digits = if runs.contest.per_request() { 2 } else { 3 };
        let (per, rate_digits) = if runs.contest.per_request() {
            ("µs/request, requests/s", 0)
        } else {
            ("s/GB, GB/s", 3)
        };
        let sides = [
            (runs.contest.floor().name(), &runs.floor),
            (runs.contest.name(), &runs.node),
        ];
        for (name, measured) in sides {
            let show = |spread: Option<Spread>, digits| {
                spread.map_or("-".to_owned(), |spread| spread.show(digits))
            };
            let machine = runs.machine(measured);
            let busiest = measured
                .iter()
                .map(|run| run.cost.driver_cpu_s / run.cost.seconds)
                .fold(0.0, f64::max);
            let otherwise = measured
                .iter()
                .map(|run| run.cost.idle_baseline_s / run.cost.seconds)
                .fold(0.0, f64::max);
            let stolen = measured
                .iter()
                .map(|run| run.cost.steal_s / run.cost.seconds)
                .fold(0.0, f64::max);
            rows.push(vec![
                name.to_owned(),
                per.to_owned(),
                show(machine, digits),
                show(runs.process(measured), digits),
                show(runs.rate(measured), rate_digits),
                machine.map_or("-".to_owned(), |spread| {
                    format!("{:.0} %", 100.0 * noise(&spread))
                }),
                format!("{:.0} %", 100.0 * busiest),
                format!("{otherwise:.2}"),
                format!("{:.0} %", 100.0 * stolen),
            ]);
        }
    }
    let columns = [
        "run",
        "units",
        "machine CPU",
        "process CPU",
        "rate",
        "noise",
        "driver busy",
        "cores busy before",
        "stolen",
    ];
    table(&columns, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::Cost;
    use crate::record::contest::Contest;

    /// A run of one second and one GB.
    fn run(machine_cpu_s: f64, idle_baseline_s: f64) -> Measurement {
        Measurement {
            name: String::new(),
            bytes: 1_000_000_000,
            requests: 0,
            cost: Cost {
                seconds: 1.0,
                process_cpu_s: Some(machine_cpu_s),
                machine_cpu_s,
                machine_busy_s: 1.0,
                idle_baseline_s,
                driver_cpu_s: 0.1,
                steal_s: 0.0,
            },
            latency: None,
            memory: None,
        }
    }

    fn verdict(floor: Vec<Measurement>, node: Vec<Measurement>) -> Vec<String> {
        let runs = ContestRuns {
            contest: Contest::ProduceOne,
            floor,
            node,
            failure: None,
        };
        let outcome = Outcome {
            contests: vec![runs],
            ..Default::default()
        };
        let page = markdown(&outcome);
        let row = page
            .lines()
            .find(|line| line.starts_with("| produce acks=1"));
        row.expect("a row")
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    }

    #[test]
    fn ratios_are_of_medians() {
        let floor = vec![run(0.2, 0.0), run(0.1, 0.0), run(0.9, 0.0)];
        let near = verdict(floor.clone(), vec![run(0.3, 0.0)]);
        assert_eq!(near[2..6], ["1.50", "1.50", "1.5", "yes"]);
        let far = verdict(floor, vec![run(0.31, 0.0)]);
        assert_eq!(far[2..6], ["1.55", "1.55", "1.5", "no"]);
    }

    #[test]
    fn a_busy_machine_decides_nothing() {
        let busy = verdict(vec![run(0.2, 0.5)], vec![run(0.2, 0.0)]);
        assert_eq!(busy[2..6], ["-", "1.00", "1.5", "unknown"]);
        let nothing = verdict(vec![], vec![]);
        assert_eq!(nothing[2..6], ["-", "-", "1.5", "no"]);
    }
}
