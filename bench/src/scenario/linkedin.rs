//! What comes of LinkedIn's table of 2014 (100-byte records) on this machine, one core and one disk?
//!
//! "Benchmarking Apache Kafka: 2 Million Writes Per Second (On Three Cheap Machines)", its rows
//! without replication: one producer, three producers, one consumer, one of each, end-to-end
//! latency. Six partitions, acks=1, batches of 8 KiB, buffers of 64 MiB, as there. Rates are of
//! closed loops; the last row is an open loop at a low rate without linger, on one partition.
//!
//! It had a network, three machines and a client in Java on a machine of its own: compare the
//! contestants here, not the years.

use anyhow::Result;

use super::{Scenario, Stage};
use crate::contest::{Server, Variant};
use crate::drive::Range;
use crate::load::{Acks, Arrivals, Load, Reading, Sizes};

pub(super) const SCENARIO: Scenario = Scenario {
    number: 1,
    name: "linkedin",
    question: "What comes of LinkedIn's table of 2014 (100-byte records) on this machine, one \
               core and one disk?",
    needs: None,
    run,
};

const PARTITIONS: i32 = 6;

fn run(stage: &mut Stage) -> Result<()> {
    let server = stage.start(&Variant::default())?;
    let written = produce(stage, &server, "one producer", 1)?;
    produce(stage, &server, "three producers", 3)?;
    consume(stage, &server, &written)?;
    let both = Load {
        reading: Reading::Live,
        fetch_bytes: 1 << 20,
        ..saturating(stage, "both", 1)
    };
    stage.load("one producer, one consumer", &server, &both)?;
    let latency = Load {
        partitions: 1,
        arrivals: Arrivals::Constant {
            rate: stage.amount(1000.0, 500.0),
        },
        linger_ms: 0.0,
        reading: Reading::Live,
        ..saturating(stage, "latency", 1)
    };
    stage.load("end-to-end latency", &server, &latency)?;
    Ok(())
}

fn saturating(stage: &Stage, topic: &str, producers: usize) -> Load {
    Load {
        partitions: PARTITIONS,
        arrivals: Arrivals::Saturate,
        producers,
        reading: Reading::None,
        sizes: Sizes::Fixed { bytes: 100 },
        batch_bytes: 8 << 10,
        buffer_bytes: 64 << 20,
        acks: Acks::Leader,
        ..stage.new_load(topic)
    }
}

/// Returns the topic.
fn produce(stage: &mut Stage, server: &Server, name: &str, producers: usize) -> Result<String> {
    let load = saturating(stage, &name.replace(' ', "-"), producers);
    stage.load(name, server, &load)?;
    Ok(load.topic)
}

/// Fetches of what one producer has written, two on their way at a time; records are not opened.
fn consume(stage: &mut Stage, server: &Server, topic: &str) -> Result<()> {
    let partitions = stage.topic(server, topic, PARTITIONS, &[])?;
    let range = Range::First(stage.amount(128 << 20, 1 << 20));
    let one = &partitions[..1];
    stage.saturate_consume("one consumer", server, (topic, one), range, (1, 2))
}
