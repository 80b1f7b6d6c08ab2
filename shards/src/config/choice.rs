//! Settings whose value is one of a few words.

use odradek_engine::io::DriverChoice;
use odradek_engine::io::strategy::{read::ReadStrategy, write::Durability, write::WriteStrategy};

use super::value::{Field, Kind, Value};

macro_rules! choices {
    ($($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal),+ $(,)? })+) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $variant),+ }

        impl $name {
            /// The words a setting may have, in order.
            pub const NAMES: &'static [&'static str] = &[$($text),+];

            /// The word for this choice.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl Field for $name {
            const KIND: Kind = Kind::String;
            fn from_value(value: Option<Value>) -> Option<Self> {
                match value? {
                    Value::Text(text) => match text.as_str() {
                        $($text => Some(Self::$variant),)+
                        _ => None,
                    },
                    _ => None,
                }
            }
        }
    )+ };
}

// The engine's own lists: a strategy is known here by being there.
macro_rules! strategies {
    ($($name:ident),+) => { $(
        impl Field for $name {
            const KIND: Kind = Kind::String;
            fn from_value(value: Option<Value>) -> Option<Self> {
                match value? {
                    Value::Text(text) => Self::from_name(&text),
                    _ => None,
                }
            }
        }
    )+ };
}
strategies!(WriteStrategy, Durability, ReadStrategy, DriverChoice);

choices! {
    /// What clients are told about: each core, or the node as one.
    Advertise {
        /// Every shard is a broker of its own.
        Core = "core",
        /// The node is one broker.
        Node = "node",
    }
    /// How closely a produced batch is examined.
    RecordValidation {
        /// The batch header and its CRC.
        Header = "header",
        /// Every record, compressed ones too.
        Full = "full",
    }
    /// What happens to a replication factor that exceeds the nodes there are.
    FactorExcess {
        /// It becomes the number of nodes.
        Clamp = "clamp",
        /// The request is refused, as Kafka does.
        Refuse = "refuse",
    }
    /// Whose clock stamps a batch.
    TimestampType {
        /// The producer's.
        CreateTime = "CreateTime",
        /// The node's, when the batch is appended.
        LogAppendTime = "LogAppendTime",
    }
    /// The codec of stored batches.
    CompressionType {
        /// None.
        Uncompressed = "uncompressed",
        /// zstd.
        Zstd = "zstd",
        /// lz4.
        Lz4 = "lz4",
        /// snappy.
        Snappy = "snappy",
        /// gzip.
        Gzip = "gzip",
        /// Whatever the producer chose.
        Producer = "producer",
    }
}
