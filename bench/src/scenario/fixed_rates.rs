//! At equal rates of 1 KiB messages over 100 partitions, what are the latencies, and what do they cost?
//!
//! Four producers with Kafka's default batches, acks=all, one consumer that reads everything; each
//! rate on a topic of its own. A rate that is not sustained is marked, its latencies are those of
//! a queue that grows.

use anyhow::Result;

use super::{Scenario, Stage};
use crate::contest::Variant;
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

fn run(stage: &mut Stage) -> Result<()> {
    let server = stage.start(&Variant::default())?;
    let rates: &[f64] = stage.amount(&[10e3, 50e3, 100e3], &[1e3]);
    for rate in rates {
        let load = Load {
            partitions: PARTITIONS,
            arrivals: Arrivals::Poisson { rate: *rate },
            producers: 4,
            ..stage.new_load(&format!("rate-{rate:.0}"))
        };
        stage.load(&format!("{:.0}k/s", rate / 1e3), &server, &load)?;
    }
    Ok(())
}
