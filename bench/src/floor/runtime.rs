//! What a floor runs on, so that the runtime's own cost is seen.

use serde::{Deserialize, Serialize};

use super::Kind;

/// A way to wait for sockets and disks.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Debug,
    Default,
    clap::ValueEnum,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Runtime {
    /// A bare io_uring: single issuer, deferred task run
    #[default]
    Ring,
    /// epoll and calls that do not block; a pool of threads for direct I/O
    Epoll,
    /// Tasks on glommio 0.9
    Glommio,
}

impl Runtime {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Runtime::Ring => "ring",
            Runtime::Epoll => "epoll",
            Runtime::Glommio => "glommio",
        }
    }

    /// Why a floor cannot be had on this runtime; none where it can.
    pub(crate) fn lacks(self, kind: Kind) -> Option<&'static str> {
        match (self, kind) {
            (Runtime::Epoll, Kind::SendZc) => Some("SEND_ZC is an operation of io_uring"),
            (Runtime::Glommio, Kind::SendZc) => {
                Some("glommio 0.9 has no zero-copy send, and submits no operations of others")
            }
            (Runtime::Glommio, Kind::Splice) => Some("glommio 0.9 has no splice"),
            (Runtime::Glommio, Kind::Sendfile) => {
                Some("glommio 0.9 has no sendfile, nor a wait for a socket's room to call it by")
            }
            _ => None,
        }
    }
}
