//! What a shard counts, what it says of itself when asked, and the page made of that.
//!
//! Counting is the hot path's: plain cells of one thread ([`Meter`]), no lock, no atomic, no
//! allocation, no clock of its own. Nobody reads them from outside: a shard that is asked answers
//! with a copy ([`ShardFigures`], [`LogFigures`]), and the page is written elsewhere.
//!
//! Absent on purpose: the asking (module `broker`) and the serving (module `node`).

mod figures;
mod meter;
mod page;
mod text;

pub use figures::{
    ClientSeries, Committed, DiskFigures, LogFigures, PartitionFigures, ProcessFigures,
    ShardFigures, TelemetryFigures,
};
pub use meter::{ApiCounts, Meter, QUOTAS, Taken, Times, TimesCounts, bump};
pub use page::{Shard, page};
