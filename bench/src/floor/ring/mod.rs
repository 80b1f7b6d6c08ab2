//! Floors on a bare ring: single issuer, deferred task run, one thread.

mod cold;
mod durable;
mod echo;
mod outwards;
mod read_send;
mod receive;
mod send;

use std::net::TcpStream;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result};
use io_uring::{IoUring, cqueue, types};

use super::Kind;
use super::server::{Prepared, ServerArgs};

/// Serves one load.
pub(super) fn serve(args: &ServerArgs, streams: &[TcpStream], prepared: Prepared) -> Result<()> {
    let first = streams.first().context("a floor needs a connection")?;
    match (args.kind, prepared) {
        (_, Prepared::Inwards(then)) => receive::run(first, then),
        (Kind::SendZc, _) => send::run(first, send::Copies::None),
        (Kind::Send, _) => send::run(first, send::Copies::One),
        (Kind::ReadSend, Prepared::Resident(kept)) => read_send::run(first, &kept.file),
        (Kind::Cold, Prepared::Cold(kept)) => cold::run(first, &kept.file),
        (_, Prepared::Resident(kept)) => outwards::run(first, args.kind, &kept.file),
        (_, Prepared::Blocks(blocks)) => durable::run(first, args.course(), blocks),
        _ => echo::run(streams, args.reply_bytes),
    }
}

/// A bare ring.
fn ring(entries: u32) -> Result<IoUring> {
    IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .setup_cqsize(entries * 4)
        .build(entries)
        .context("io_uring with single issuer and deferred task run (kernel 6.1 or newer)")
}

/// Queues one operation. What it points to must live until its completion was reaped.
fn push(ring: &mut IoUring, entry: io_uring::squeue::Entry) -> Result<()> {
    // SAFETY: the floors keep buffers and file descriptors until the operations on them have
    // completed, or, at their end, shut the sockets down and end the process with them.
    while unsafe { ring.submission().push(&entry) }.is_err() {
        ring.submit()?;
    }
    Ok(())
}

/// Takes what has completed.
fn reap(ring: &mut IoUring, into: &mut Vec<cqueue::Entry>) {
    into.clear();
    into.extend(ring.completion());
}

fn fd(file: &impl AsRawFd) -> types::Fd {
    types::Fd(file.as_raw_fd())
}

/// The driver has hung up.
fn hung_up(result: i32) -> bool {
    matches!(-result, libc::EPIPE | libc::ECONNRESET)
}

fn os(result: i32) -> std::io::Error {
    std::io::Error::from_raw_os_error(-result)
}
