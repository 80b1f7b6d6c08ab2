//! Getting a ring from the kernel.

use std::time::Duration;

use io_uring::{IoUring, Probe, opcode};

/// What to ask for.
#[derive(Clone, Debug)]
pub struct RingOptions {
    /// Submission queue entries, a power of two.
    pub entries: u32,
    /// Provided receive buffers, a power of two.
    pub provided_count: u16,
    /// Bytes of each.
    pub provided_bytes: u32,
    /// How long it looks for completions before it sleeps.
    pub spin: Duration,
}

impl Default for RingOptions {
    fn default() -> Self {
        RingOptions {
            entries: 1024,
            provided_count: 128,
            provided_bytes: 16 * 1024,
            spin: Duration::ZERO,
        }
    }
}

/// Why there is no ring.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// The kernel refuses rings here.
    #[error(
        "io_uring is not available: {0}; the kernel must be 5.19 or newer with \
         kernel.io_uring_disabled=0, and a container's seccomp profile must allow io_uring_setup"
    )]
    Refused(std::io::Error),
    /// No eventfd.
    #[error("cannot make an eventfd: {0}; raise the limit of open files (ulimit -n)")]
    Wake(std::io::Error),
}

/// The ring and, in words, the features it has.
pub(super) fn ring(options: &RingOptions) -> Result<(IoUring, String), RingError> {
    type Ask = fn(&mut io_uring::Builder) -> &mut io_uring::Builder;
    let asks: [(&str, Ask); 4] = [
        ("single issuer, deferred task run", |builder| {
            builder
                .setup_single_issuer()
                .setup_defer_taskrun()
                .setup_taskrun_flag()
                .setup_submit_all()
        }),
        ("single issuer, cooperative task run", |builder| {
            builder
                .setup_single_issuer()
                .setup_coop_taskrun()
                .setup_taskrun_flag()
                .setup_submit_all()
        }),
        ("cooperative task run", |builder| {
            builder.setup_coop_taskrun().setup_taskrun_flag()
        }),
        ("no flags", |builder| builder),
    ];
    let mut refused = None;
    for (name, ask) in asks {
        let mut builder = IoUring::builder();
        builder.setup_cqsize(options.entries * 4);
        ask(&mut builder);
        match builder.build(options.entries) {
            Ok(ring) => {
                let mut got = format!("io_uring: {name}");
                if let Some(error) = refused {
                    got.push_str(&format!(" (more was refused: {error})"));
                }
                return Ok((ring, got));
            }
            Err(error) => refused = Some(error),
        }
    }
    Err(RingError::Refused(
        refused.expect("every ask was tried and refused"),
    ))
}

/// Asks for the smallest ring, and lets it go again.
///
/// # Errors
/// The kernel's.
pub fn probe() -> Result<(), std::io::Error> {
    IoUring::new(1).map(drop)
}

/// Whether the kernel knows zero-copy sends (of gather lists: Linux 6.1) and splices (5.7).
pub(super) fn has_extras(ring: &IoUring) -> bool {
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe).is_ok()
        && [opcode::SendMsgZc::CODE, opcode::Splice::CODE]
            .iter()
            .all(|code| probe.is_supported(*code))
}
