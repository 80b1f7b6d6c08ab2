//! At equal rates of 1 KiB messages over 100 partitions, what are the latencies, and what do they cost?
//!
//! Four producers with Kafka's default batches, acks=all, one consumer that reads everything; each
//! rate on a topic of its own, begun when memory is as at the start and the disk is calm: what the
//! load before it wrote would make it late. Each start is warmed up first, unmeasured, at the middle
//! rate. A rate that is not sustained is marked, its latencies are those of a queue that grows, or of
//! one from before that is worked off. The own node comes three times: as it is (what a consumer sees survives loss of
//! power), with `durable.acks.all=false`, which promises what Apache Kafka's default does, and with
//! that and writes through the page cache that are flushed when a segment ends: no acknowledgement
//! waits for the disk, and the kernel writes back when it likes, as there.
//!
//! Each rate comes with Kafka's default linger of 5 ms, most of which is in every latency, and
//! (not through the page cache) without: then what is seen is the servers' part.

use anyhow::Result;

use super::warm::{Pass, gone_soon};
use super::{Scenario, Stage};
use crate::contest::{Server, Variant};
use crate::load::{Arrivals, Load};

pub(super) const SCENARIO: Scenario = Scenario {
    number: 2,
    name: "fixed-rates",
    question: "At equal rates of 1 KiB messages over 100 partitions, what are the latencies, and \
               what do they cost?",
    needs: None,
    run,
};

const PARTITIONS: i32 = 100;
/// Messages a second.
pub(crate) const RATES: &[f64] = &[10e3, 50e3, 100e3];
/// Behind a load's name where the own node promises no more than Kafka does.
pub(crate) const WRITTEN: &str = ", acked when written";
/// The same through the page cache.
pub(crate) const CACHED: &str = ", acked when in page cache";

/// Behind a rate where messages do not linger.
pub(crate) const UNLINGERED: &str = ", linger 0 ms";

/// Longer than any load here: a flush comes when a segment ends.
const FLUSHED_AFTER_MS: u64 = 3_600_000;

/// How long messages wait for others.
struct Linger {
    ms: f64,
    /// Behind the name of a rate.
    name: &'static str,
}

const LINGERS: [Linger; 2] = [
    Linger { ms: 5.0, name: "" },
    Linger {
        ms: 0.0,
        name: UNLINGERED,
    },
];

/// A load's name, with Kafka's default linger.
pub(crate) fn name(rate: f64) -> String {
    format!("{:.0}k/s", rate / 1e3)
}

fn run(stage: &mut Stage) -> Result<()> {
    let usual = Variant {
        settings: vec![gone_soon()],
        ..Variant::default()
    };
    let server = stage.start(&usual)?;
    rates(stage, &server, "", &LINGERS)?;
    drop(server);
    if stage.contestant.is_odradek() {
        let written = ("durable.acks.all", "false".to_owned());
        let cached = ("log.write.strategy", "buffered".to_owned());
        let seldom = ("durable.lag.max.ms", FLUSHED_AFTER_MS.to_string());
        for (which, own_settings, lingers) in [
            (WRITTEN, vec![written.clone()], &LINGERS[..]),
            (CACHED, vec![written, cached, seldom], &LINGERS[..1]),
        ] {
            let variant = Variant {
                own_settings,
                ..usual.clone()
            };
            let server = stage.start(&variant)?;
            rates(stage, &server, which, lingers)?;
        }
    }
    Ok(())
}

fn rates(stage: &mut Stage, server: &Server, which: &str, lingers: &[Linger]) -> Result<()> {
    let rates = stage.amount(RATES, &[1e3]);
    for linger in lingers {
        let middle = load(stage, rates[rates.len() / 2], linger);
        stage.warm_up(server, &[Pass::Open(Box::new(middle))])?;
        for rate in rates {
            let load = load(stage, *rate, linger);
            stage.settle(server)?;
            let name = format!("{}{}{which}", name(*rate), linger.name);
            stage.load(&name, server, &load)?;
        }
    }
    Ok(())
}

fn load(stage: &Stage, rate: f64, linger: &Linger) -> Load {
    Load {
        partitions: PARTITIONS,
        arrivals: Arrivals::Poisson { rate },
        producers: 4,
        linger_ms: linger.ms,
        ..stage.new_load(&format!("rate-{rate:.0}-linger-{}", linger.ms))
    }
}
