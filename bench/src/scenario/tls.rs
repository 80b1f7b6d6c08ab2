//! What do TLS and SASL cost, per GB and per request?
//!
//! Not to be run yet: neither the own node nor this driver speaks TLS or SASL. What it will be: the
//! loads of `core` (produce, consume the tail and what is resident, one-record batches) on a
//! plaintext listener, on one with TLS and on one with TLS and SASL, in turn, and the ratio of the
//! machine's CPU; then connections a second, with and without session resumption. The comparison with
//! a peer is of interest where the node can send a file without copying it (kTLS) and a JVM cannot.

use anyhow::Result;

use super::{Scenario, Stage};

pub(super) const SCENARIO: Scenario = Scenario {
    number: 16,
    name: "tls",
    question: "What do TLS and SASL cost, per GB and per request?",
    needs: Some("TLS and SASL: not there yet, neither in the own node nor in the driver"),
    run,
};

fn run(stage: &mut Stage) -> Result<()> {
    stage.skip("all: TLS and SASL are not there yet, neither in the own node nor in the driver");
    Ok(())
}
