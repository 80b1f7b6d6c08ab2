//! What a run found, as it is kept and shown.

pub mod compare;
mod figures;
pub(crate) mod grid;
pub mod histogram;
mod html;
mod plot;
pub mod result;
pub mod save;
mod statistics;
pub mod text;

pub use histogram::Latencies;
pub use result::{
    Cpu, Interval, Percentiles, RunResult, ServerFacts, Totals, Validity, WindowTotals,
};
