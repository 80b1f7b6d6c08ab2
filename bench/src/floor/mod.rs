//! Floors: the cheapest programs that move the same bytes on the same machine.
//!
//! A floor does nothing that a log node could leave out, and nothing else: no protocol but the
//! frame's length, no replies to streams. Each runs on a bare ring, on epoll and on glommio (where
//! they can do it), so that the runtime's own cost is seen.

mod answers;
mod calls;
mod child;
mod driver;
mod epoll;
mod files;
mod glommio;
mod html;
mod kind;
mod known;
pub(crate) mod outcome;
pub(crate) mod page;
mod ping;
mod probe;
mod ring;
mod runtime;
mod server;
mod then;

pub(crate) use driver::{Run, run, run_on};
pub(crate) use html::html;
pub(crate) use kind::Kind;
pub(crate) use known::KnownFloors;
pub(crate) use runtime::Runtime;
pub(crate) use server::{ServerArgs, serve};
