//! After a run: what it found, whether it is whole, and what is doubtful about it.

use anyhow::Result;
use hdrhistogram::Histogram;

use super::Target;
use super::conduct::Conducted;
use super::ledger::{Sent, judge};
use crate::load::{Acks, Load, Reading};
use crate::machine::Facts;
use crate::report::histogram::empty;
use crate::report::{Cpu, Latencies, RunResult, ServerFacts, Totals, Validity, WindowTotals};

/// Adds up what the threads found.
///
/// # Errors
/// When nothing can be said of the machine.
pub(crate) fn conclude(
    load: &Load,
    target: &Target,
    caveats: Vec<String>,
    conducted: Conducted,
) -> Result<RunResult> {
    let mut leaders: Vec<String> = conducted
        .partitions
        .iter()
        .map(|partition| partition.leader.to_string())
        .collect();
    leaders.sort();
    leaders.dedup();
    let sum = |of: fn(&super::worker::Findings) -> &Histogram<u64>| {
        let mut sum = empty();
        for findings in &conducted.findings {
            sum += of(findings);
        }
        Latencies::from(&sum)
    };
    let mut result = RunResult {
        label: target.label.clone(),
        started: conducted.started.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        open_loop: load.arrivals.is_open(),
        problems: conducted.problems.clone(),
        caveats,
        load: load.clone(),
        server: ServerFacts {
            brokers: target.brokers.clone(),
            leaders,
            partitions: conducted.partitions.len(),
            produce_version: conducted.produce_version,
            fetch_version: conducted.fetch_version,
            settings: target.settings.clone(),
        },
        machine: Facts::gather(&target.data_dir)?,
        window: window(&conducted),
        totals: totals(&conducted),
        produce_ack: sum(|findings| &findings.produce_ack),
        end_to_end: sum(|findings| &findings.end_to_end),
        driver_lateness: sum(|findings| &findings.lateness),
        cpu: conducted.cpu.as_ref().map(|machine| Cpu {
            cost: machine.cost.clone(),
            driver_threads_s: conducted.findings.iter().map(|one| one.cpu_s).collect(),
            softirq_s: machine.softirq_s,
            memory: machine.memory.clone(),
        }),
        validity: validity(load, &conducted),
        timeline: conducted.timeline,
        excluded: excluded(load),
        ..RunResult::blank()
    };
    problems(load, &mut result);
    doubts(&mut result);
    result.complete = result.problems.is_empty();
    Ok(result)
}

fn window(conducted: &Conducted) -> WindowTotals {
    let mut sum = WindowTotals {
        seconds: conducted.seconds,
        ..WindowTotals::default()
    };
    for WindowTotals {
        seconds: _,
        intended,
        acked,
        acked_bytes,
        produce_requests,
        consumed,
        consumed_bytes,
        fetch_requests,
        held_back,
        never_made,
    } in conducted.findings.iter().map(|findings| &findings.totals)
    {
        sum.intended += intended;
        sum.acked += acked;
        sum.acked_bytes += acked_bytes;
        sum.produce_requests += produce_requests;
        sum.consumed += consumed;
        sum.consumed_bytes += consumed_bytes;
        sum.fetch_requests += fetch_requests;
        sum.held_back += held_back;
        sum.never_made += never_made;
    }
    sum
}

fn totals(conducted: &Conducted) -> Totals {
    let all = || conducted.sent.iter().flatten();
    let made = all().map(|sent| sent.made).sum();
    let acked = all().map(Sent::acked).sum();
    let seen = conducted.findings.iter().flat_map(|one| &one.seen);
    Totals {
        made,
        acked,
        failed: made - acked,
        consumed: seen.map(|(_, seen, _)| seen.distinct + seen.doubled).sum(),
    }
}

fn validity(load: &Load, conducted: &Conducted) -> Validity {
    let mut validity = Validity {
        checked: load.reads(),
        ..Validity::default()
    };
    for (at, partition) in conducted.partitions.iter().enumerate() {
        let sent = conducted.sent.iter();
        let sent: Vec<Sent> = sent
            .map(|places| places.get(at).cloned().unwrap_or_default())
            .collect();
        let readings = conducted.findings.iter().flat_map(|one| &one.seen);
        for (_, seen, whole) in readings.filter(|(index, ..)| *index == partition.index) {
            judge(&mut validity, partition.index, &sent, seen, *whole);
        }
    }
    validity.examples.truncate(10);
    validity
}

/// What makes the result partial.
fn problems(load: &Load, result: &mut RunResult) {
    let problems = &mut result.problems;
    if result.window.seconds < 0.999 * load.window_s {
        problems.push(format!(
            "the window ended after {:.2} of {} s",
            result.window.seconds, load.window_s
        ));
    }
    if result.totals.failed > 0 {
        problems.push(format!(
            "{} of {} messages were refused or had no answer",
            result.totals.failed, result.totals.made
        ));
    }
    if result.window.never_made > 0 && result.window.seconds > 0.0 {
        problems.push(format!(
            "about {} messages of the window were never made: the run fell behind and was given \
             up",
            result.window.never_made
        ));
    }
    if result.validity.unread > 0 {
        problems.push(format!(
            "{} messages had not been read when the run was given up",
            result.validity.unread
        ));
    }
    if !result.validity.holds() {
        problems.push(format!("validity {}", result.validity.verdict()));
    }
    if result.window.seconds > 0.0 && result.window.acked == 0 {
        problems.push("no message was acked within the window".to_owned());
    }
}

/// What makes figures doubtful.
fn doubts(result: &mut RunResult) {
    let caveats = &mut result.caveats;
    let window = &result.window;
    if result.open_loop && window.intended > 0 {
        let percent = 100.0 * window.share_acked();
        if window.fell_behind() {
            caveats.push(format!(
                "the rate was not sustained: {percent:.1} % of the messages intended within the \
                 window were acked in it"
            ));
        }
        if window.caught_up() {
            caveats.push(format!(
                "a backlog from before the window was worked off in it: {percent:.1} % of the \
                 messages intended within it were acked"
            ));
        }
        if window.held_back > 0 {
            caveats.push(format!(
                "{} messages were held back by full buffers (their latencies count the wait)",
                window.held_back
            ));
        }
        let late = result.driver_lateness.ms(0.99).unwrap_or(0.0);
        let acked = result.produce_ack.ms(0.99).unwrap_or(f64::INFINITY);
        if late > 1.0 && late > 0.25 * acked {
            caveats.push(format!(
                "the driver itself was late: p99 {late:.2} ms of a message's latency are its own"
            ));
        }
    }
    if let Some(cpu) = &result.cpu {
        for (thread, busy) in cpu.driver_threads_s.iter().enumerate() {
            let share = busy / cpu.cost.seconds;
            if share > 0.9 {
                caveats.push(format!(
                    "driver thread {thread} was busy for {:.0} % of the window: the figures may \
                     be its limit, not the server's",
                    100.0 * share
                ));
            }
        }
        if cpu.machine_s().is_none() {
            caveats.push(format!(
                "the machine was busy with something else ({:.2} cores before the run): its CPU \
                 figure is left out",
                cpu.cost.idle_baseline_s / cpu.cost.seconds
            ));
        }
        if cpu.cost.process_cpu_s.is_none() {
            caveats.push("the server's process is not known: its CPU is not counted".to_owned());
        }
        let stolen = cpu.cost.steal_s / cpu.cost.seconds;
        if stolen > 0.01 {
            caveats.push(format!("the host took {:.1} % of a core", 100.0 * stolen));
        }
    }
    if result.machine.debug_assertions {
        caveats.push("the driver was built with debug assertions: not figures to keep".to_owned());
    }
}

/// What the figures do not cover.
fn excluded(load: &Load) -> Vec<String> {
    let mut excluded = vec![
        format!(
            "the first {} s (warm-up) and what came after the window, but for the answers to \
             messages intended within it",
            load.warmup_s
        ),
        "networks: driver and server are on one machine unless the addresses say otherwise"
            .to_owned(),
        "the driver's own process, from both CPU figures; what the kernel does in the driver's \
         calls counts as the driver's"
            .to_owned(),
    ];
    match load.reading {
        Reading::Live => excluded.push(
            "the time that a consumer takes to look at a message: it counts as consumed when the \
             answer that holds it has come whole"
                .to_owned(),
        ),
        Reading::After => {
            excluded.push("reading: messages were read after the window, for the proof".to_owned());
        }
        Reading::None => excluded.push("reading, and any proof of validity".to_owned()),
    }
    if load.acks == Acks::None {
        excluded.push("answers: with acks=0 a message counts as acked when it is sent".to_owned());
    }
    excluded
}
