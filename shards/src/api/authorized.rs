//! The operations that a client may perform, as bits (KIP-430). Without an authorizer: all.
//!
//! Source: Kafka `AclEntry.supportedOperations`, `AclOperation`.

const CREATE: u32 = 5;
const DELETE: u32 = 6;
const ALTER: u32 = 7;
const DESCRIBE: u32 = 8;

/// On a topic: read, write, create, delete, alter, describe, describe and alter its settings.
pub(super) const TOPIC: i32 =
    1 << 3 | 1 << 4 | 1 << CREATE | 1 << DELETE | 1 << ALTER | 1 << DESCRIBE | 1 << 10 | 1 << 11;

/// On the cluster: create, alter, describe, cluster action, describe and alter its settings,
/// write idempotently.
pub(super) const CLUSTER: i32 =
    1 << CREATE | 1 << ALTER | 1 << DESCRIBE | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12;

/// The answer to whoever did not ask.
pub(super) const NOT_ASKED: i32 = i32::MIN;

const _: () = assert!(TOPIC == 3576 && CLUSTER == 8096);
