//! Every bound of the engine, in one place, related to each other by const assertions.
//!
//! These are the bounds that no setting can lift. A setting may ask for less.

/// Bytes of one record batch, header included. Positions and lengths inside a batch fit an `i32`;
/// a request cannot be longer than `socket.request.max.bytes` anyway.
pub const BATCH_BYTES_MAX: usize = 1 << 30;

/// Bytes that the records of one compressed batch may take when opened. A hundred bytes of zstd
/// can claim gigabytes: opening stops here.
pub const RECORDS_OPENED_BYTES_MAX: usize = 256 << 20;

/// How far a zstd window may reach back: the level-19 default is 8 MiB.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Producer ids that one partition remembers. Past it the longest unused are forgotten, as if
/// expired: such a producer's next batch is taken whatever its sequence.
pub const PRODUCERS_PER_PARTITION_MAX: usize = 1 << 16;

/// Transactions that one partition may have open at a time. A further one is refused; the client
/// tries again.
pub const OPEN_TRANSACTIONS_PER_PARTITION_MAX: usize = PRODUCERS_PER_PARTITION_MAX / 2;

/// Aborted transactions that one segment's index holds; then the segment is rolled.
pub const ABORTED_PER_SEGMENT_MAX: usize = 1 << 16;

/// Bytes of a shard's state file. Checkpoints that do not fit are left out: their segments are
/// read whole after a kill.
pub const STATE_FILE_BYTES_MAX: usize = 64 << 20;

/// Bytes of free blocks that a shard's pool keeps for reuse even when nobody needs them for a while;
/// beyond it, what is not used from one look to the next is returned to the system.
pub const POOL_KEPT_BYTES_MAX: usize = 32 << 20;

/// The same while the shard has been quiet for a while.
pub const POOL_QUIET_BYTES_MAX: usize = 2 << 20;

/// Bytes that one sendfile call may move: bounds how long a shard's thread is away.
pub const SENDFILE_BYTES_MAX: usize = 256 << 10;

/// Partitions that one shard opens, closes or removes at a time. Each has a few operations of the file
/// system to wait for, which the kernel performs together.
pub const PARTITIONS_AT_ONCE: usize = 64;

/// Bytes of one frame of a shard's journal: what one durable write covers.
pub const JOURNAL_FRAME_BYTES_MAX: usize = 256 << 10;

/// Bytes of one partition that may wait to go into one frame; more goes to its segment at once.
pub const JOURNAL_ENTRY_BYTES_MAX: usize = 64 << 10;

/// Frames of one journal in flight.
pub const JOURNAL_FRAMES_IN_FLIGHT_MAX: usize = 2;

/// Tasks that run before completions are reaped again.
pub const TASKS_PER_PASS_MAX: usize = 256;

const _: () = assert!(JOURNAL_ENTRY_BYTES_MAX <= JOURNAL_FRAME_BYTES_MAX / 2);
const _: () = assert!(POOL_QUIET_BYTES_MAX <= POOL_KEPT_BYTES_MAX);
/// Threads by which a shard on the poll driver waits for disks.
pub const POLL_THREADS_MAX: usize = 8;

/// Jobs handed to these threads and not begun.
pub const POLL_JOBS_MAX: usize = 32;

const _: () = assert!(BATCH_BYTES_MAX <= i32::MAX as usize);
const _: () = assert!(POLL_THREADS_MAX <= POLL_JOBS_MAX);
const _: () = assert!(RECORDS_OPENED_BYTES_MAX <= BATCH_BYTES_MAX);
const _: () = assert!(1 << ZSTD_WINDOW_LOG_MAX <= RECORDS_OPENED_BYTES_MAX);
// A producer snapshot counts its entries in an i32.
const _: () = assert!(PRODUCERS_PER_PARTITION_MAX <= i32::MAX as usize);
