//! What does an ack that survives loss of power cost, with and without linger?
//!
//! 1 KiB messages of four producers over six partitions, acks=all, at linger 0 and 5 ms: latencies
//! at one rate, and the most there is (closed loop). Each both ways: durable (the own node's
//! default; Kafka with `flush.messages=1`, an fsync per batch) and not (the own node with
//! `durable.acks.all=false`; Kafka's default).

use anyhow::Result;

use super::{Scenario, Stage};
use crate::contest::{Contestant, Server, Variant};
use crate::load::{Arrivals, Load, Reading};

pub(super) const SCENARIO: Scenario = Scenario {
    number: 4,
    name: "durable-acks",
    question: "What does an ack that survives loss of power cost, with and without linger?",
    needs: None,
    run,
};

fn run(stage: &mut Stage) -> Result<()> {
    for durable in [true, false] {
        // What cannot be had of this server is told by the topic's configs.
        if matches!(stage.contestant, Contestant::Address { .. }) && !durable {
            stage.skip("acks that need not survive: the server's settings are its own");
            continue;
        }
        let weaker = ("durable.acks.all", "false".to_owned());
        let variant = Variant {
            own_settings: if durable { Vec::new() } else { vec![weaker] },
            ..Variant::default()
        };
        let server = stage.start(&variant)?;
        for linger_ms in [0.0, 5.0] {
            at_linger(stage, &server, durable, linger_ms)?;
        }
    }
    Ok(())
}

fn at_linger(stage: &mut Stage, server: &Server, durable: bool, linger_ms: f64) -> Result<()> {
    let word = if durable { "durable" } else { "written" };
    let name = format!("{word}, linger {linger_ms} ms");
    let flushed = durable && !stage.contestant.is_odradek();
    let every = ("flush.messages".to_owned(), "1".to_owned());
    let load = |what: &str, arrivals: Arrivals, stage: &Stage| Load {
        partitions: 6,
        topic_configs: if flushed {
            vec![every.clone()]
        } else {
            Vec::new()
        },
        arrivals,
        producers: 4,
        linger_ms,
        ..stage.new_load(&format!("{what}-{word}-{linger_ms}"))
    };
    let rate = stage.amount(2000.0, 500.0);
    let open = load("open", Arrivals::Poisson { rate }, stage);
    stage.load(&format!("{name}, {rate:.0}/s"), server, &open)?;
    let closed = Load {
        reading: Reading::None,
        ..load("most", Arrivals::Saturate, stage)
    };
    stage.load(&format!("{name}, saturated"), server, &closed)?;
    Ok(())
}
