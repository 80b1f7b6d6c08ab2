//! The node set up otherwise: rows of their own, on the first file system.

/// One way to set the node up.
pub(super) struct Mode {
    pub(super) name: &'static str,
    pub(super) shards: usize,
    pub(super) settings: &'static [(&'static str, &'static str)],
    /// For the table.
    pub(super) note: &'static str,
}

/// Two shards share the server's core, so node mode is compared with the first row.
pub(super) const MODES: &[Mode] = &[
    Mode {
        name: "two-shards",
        shards: 2,
        settings: &[],
        note: "2 shards on one core, each a broker of its own",
    },
    Mode {
        name: "node-mode",
        shards: 2,
        settings: &[("shards.advertise", "node")],
        note: "2 shards on one core, advertised as one broker",
    },
    Mode {
        name: "poll-driver",
        shards: 1,
        settings: &[("io.driver", "poll")],
        note: "1 shard on epoll and threads instead of io_uring",
    },
];

pub(super) fn mode(name: &str) -> Option<&'static Mode> {
    MODES.iter().find(|mode| mode.name == name)
}
