//! `odradek consume`: records to stdout, from chosen offsets or as a member of a group.

mod args;
mod filter;
mod format;
mod run;
mod sink;
mod start;

pub(crate) use args::timestamp;
pub use args::{ConsumeArgs, Format, OffsetArg};
pub use filter::Filter;
pub use format::{Formatter, Row};
pub use run::run;
