//! Which bytes go where.

use serde::{Deserialize, Serialize};

/// A floor.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, clap::ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// recv
    Receive,
    /// recv, crc32c
    Check,
    /// recv, crc32c, one copy
    Copy,
    /// recv, crc32c, write into the page cache
    StoreBuffered,
    /// recv, crc32c, O_DIRECT write (1 MiB, depth 8)
    Store,
    /// recv, crc32c, O_DIRECT write that is durable when it completes
    StoreDurable,
    /// recv, crc32c, one copy, O_DIRECT write
    StoreCopy,
    /// send of 1 MiB from memory
    Send,
    /// sendfile of a resident file in calls of 1 MiB
    Sendfile,
    /// splice of a resident file through a pipe
    Splice,
    /// read of a resident file, then send
    ReadSend,
    /// zero-copy send of 1 MiB from memory
    SendZc,
    /// O_DIRECT read of what no cache holds (1 MiB, 4 ahead), then send
    Cold,
    /// 4 KiB, O_DIRECT and durable, over what was written before: one at a time
    DurableOver,
    /// 4 KiB, O_DIRECT and durable, into space that is only allocated: one at a time
    DurableNew,
    /// 64 B answered with 64 B: one connection, one at a time
    PingPong,
    /// small frames answered with small frames, many in flight
    Echo,
}

/// What is moved, and so how it is driven.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// A stream into the server.
    Inwards,
    /// A stream out of it.
    Outwards,
    /// Between the server's memory and its disk; nothing crosses the socket.
    Local,
    /// Requests and replies.
    Replies,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Receive => "floor: recv",
            Kind::Check => "floor: recv + crc",
            Kind::Copy => "floor: recv + crc + copy",
            Kind::StoreBuffered => "floor: recv + crc + buffered write",
            Kind::Store => "floor: recv + crc + direct write",
            Kind::StoreDurable => "floor: recv + crc + direct write, DSYNC",
            Kind::StoreCopy => "floor: recv + crc + copy + direct write",
            Kind::Send => "floor: send from memory",
            Kind::Sendfile => "floor: sendfile, resident",
            Kind::Splice => "floor: splice, resident",
            Kind::ReadSend => "floor: read + send, resident",
            Kind::SendZc => "floor: zero-copy send from memory",
            Kind::Cold => "floor: direct read + send, cold",
            Kind::DurableOver => "floor: 4 KiB durable overwrite",
            Kind::DurableNew => "floor: 4 KiB durable write, new space",
            Kind::PingPong => "floor: 64 B ping-pong",
            Kind::Echo => "floor: echo of small frames",
        }
    }

    /// The name by which the command line knows it.
    pub(crate) fn value_name(self) -> String {
        use clap::ValueEnum;
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// What it does, in a line.
    pub(crate) fn what(self) -> String {
        use clap::ValueEnum;
        let help = self.to_possible_value();
        let help = help.as_ref().and_then(|value| value.get_help());
        help.map_or_else(String::new, ToString::to_string)
    }

    pub(super) fn shape(self) -> Shape {
        match self {
            Kind::Receive
            | Kind::Check
            | Kind::Copy
            | Kind::StoreBuffered
            | Kind::Store
            | Kind::StoreDurable
            | Kind::StoreCopy => Shape::Inwards,
            Kind::Send
            | Kind::Sendfile
            | Kind::Splice
            | Kind::ReadSend
            | Kind::SendZc
            | Kind::Cold => Shape::Outwards,
            Kind::DurableOver | Kind::DurableNew => Shape::Local,
            Kind::PingPong | Kind::Echo => Shape::Replies,
        }
    }

    /// One small operation after the other: its figure is a latency.
    pub(crate) fn one_at_a_time(self) -> bool {
        matches!(self, Kind::DurableOver | Kind::DurableNew | Kind::PingPong)
    }

    /// Whether its figure is a rate of bytes.
    pub(crate) fn is_stream(self) -> bool {
        matches!(self.shape(), Shape::Inwards | Shape::Outwards)
    }
}
