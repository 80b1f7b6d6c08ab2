//! A broker's life: started from a log directory, reached by requests, busy by itself, stopped.
//!
//! What it is made of stands in [`Broker`], below this module, where its handlers reach it.

mod boot;
mod compaction;
mod format;
mod found;
mod journals;
mod observe;
mod relocate;
mod route;
mod settle;
mod tasks;

pub use self::boot::{Boot, BootError, log_dirs, start};
pub(crate) use self::format::{FILE as META_PROPERTIES, names_cluster};
pub(crate) use self::found::METADATA_LOG;
pub use self::observe::{figures, logs};
pub use self::tasks::{end_changes, until_stopped};
pub use crate::api::{Broker, Endpoint, Facts};
