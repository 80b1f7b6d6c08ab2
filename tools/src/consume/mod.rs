//! `odradek consume`: records to stdout, from chosen offsets or as a member of a group.

mod args;
mod format;
mod run;
mod sink;
mod start;

pub use args::{ConsumeArgs, Format, OffsetArg};
pub use format::{Formatter, Row};
pub use run::run;
