//! What a run found, as it is kept and shown.

pub mod compare;
mod figures;
pub(crate) mod floors;
pub(crate) mod grid;
pub mod histogram;
pub(crate) mod html;
pub(crate) mod plot;
pub mod result;
pub mod save;
mod statistics;
pub mod text;

pub use histogram::Latencies;
pub(crate) use plot::{escape, short};
pub use result::{
    Cpu, Interval, Percentiles, RunResult, ServerFacts, Totals, Validity, WindowTotals,
};
pub(crate) use statistics::{median, paired};
