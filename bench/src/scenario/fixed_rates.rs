//! At equal rates of 1 KiB messages over 100 partitions, what are the latencies, and what do they cost?
//!
//! Four producers with Kafka's default batches, acks=all, one consumer that reads everything; each
//! rate on a topic of its own. A rate that is not sustained is marked, its latencies are those of
//! a queue that grows. The own node comes twice: as it is (what a consumer sees survives loss of
//! power) and with `durable.acks.all=false`, which promises what Apache Kafka's default does.

use anyhow::Result;

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

/// A load's name.
pub(crate) fn name(rate: f64) -> String {
    format!("{:.0}k/s", rate / 1e3)
}

fn run(stage: &mut Stage) -> Result<()> {
    let server = stage.start(&Variant::default())?;
    rates(stage, &server, "")?;
    drop(server);
    if stage.contestant.is_odradek() {
        let written = Variant {
            own_settings: vec![("durable.acks.all", "false".to_owned())],
            ..Variant::default()
        };
        let server = stage.start(&written)?;
        rates(stage, &server, WRITTEN)?;
    }
    Ok(())
}

fn rates(stage: &mut Stage, server: &Server, which: &str) -> Result<()> {
    for rate in stage.amount(RATES, &[1e3]) {
        let load = Load {
            partitions: PARTITIONS,
            arrivals: Arrivals::Poisson { rate: *rate },
            producers: 4,
            ..stage.new_load(&format!("rate-{rate:.0}"))
        };
        stage.load(&format!("{}{which}", name(*rate)), server, &load)?;
    }
    Ok(())
}
