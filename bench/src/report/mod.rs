//! What a run found, as it is kept and shown.

pub mod histogram;
pub mod result;

pub use histogram::Latencies;
pub use result::{
    Cpu, Interval, Percentiles, RunResult, ServerFacts, Totals, Validity, WindowTotals,
};
