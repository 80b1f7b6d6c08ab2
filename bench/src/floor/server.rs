//! A floor's server: a process of its own, so that its CPU time is counted apart.
//!
//! It binds a free port, says `READY port=N`, serves one load and ends when the driver hangs up or
//! its time is over, whichever comes first.

use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use io_uring::{IoUring, cqueue, opcode, types};

use super::Kind;
use super::store::{Target, Then};
use super::{echo, send, store};

/// What the driver starts; not for hands.
#[derive(Debug, Clone, clap::Args)]
pub struct ServerArgs {
    #[arg(long)]
    pub(crate) kind: Kind,
    /// Where files are written.
    #[arg(long)]
    pub(crate) dir: PathBuf,
    #[arg(long, default_value_t = 1)]
    pub(crate) connections: usize,
    /// Bytes of an echo's reply, length prefix included.
    #[arg(long, default_value_t = 60)]
    pub(crate) reply_bytes: usize,
    /// The server ends after this time even if the driver does not.
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds_max: u64,
}

pub(crate) fn serve(args: &ServerArgs) -> Result<()> {
    // However the driver ends, this process does too.
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    // Before READY: what takes time must not fall into the measured window.
    let prepared = match args.kind {
        Kind::Sendfile => Some(send::resident_file(&args.dir)?),
        _ => None,
    };
    println!("READY port={}", listener.local_addr()?.port());
    let deadline = Instant::now() + Duration::from_secs(args.seconds_max);
    let streams = accept(&listener, args.connections, deadline)?;
    let first = streams.first().context("a floor needs a connection")?;
    match args.kind {
        Kind::Receive => store::run(first, Then::Drop, deadline),
        Kind::Check => store::run(first, Then::Check, deadline),
        Kind::Store => store::run(first, Then::Write(Target::new(&args.dir)), deadline),
        Kind::StoreDurable => {
            let target = Target::new(&args.dir).durable();
            store::run(first, Then::Write(target), deadline)
        }
        Kind::StoreCopy => {
            let target = Target::new(&args.dir).copying();
            store::run(first, Then::Write(target), deadline)
        }
        Kind::Send => send::from_memory(first, deadline),
        Kind::Sendfile => match prepared {
            Some(file) => send::from_file(first, &file, deadline),
            None => bail!("no file was prepared"),
        },
        Kind::Echo => echo::run(&streams, args.reply_bytes, deadline),
    }
}

fn accept(listener: &TcpListener, count: usize, deadline: Instant) -> Result<Vec<TcpStream>> {
    listener.set_nonblocking(true)?;
    let mut streams = Vec::new();
    while streams.len() < count {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                stream.set_nodelay(true)?;
                streams.push(stream);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                wait_readable(listener, deadline)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(streams)
}

fn wait_readable(listener: &TcpListener, deadline: Instant) -> Result<()> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;
    let left = deadline.saturating_duration_since(Instant::now());
    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
    let mut fds = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    if poll(&mut fds, timeout)? == 0 {
        bail!("the driver did not connect in time");
    }
    Ok(())
}

/// The user data of the operation that ends a ring's loop.
pub(super) const DEADLINE: u64 = u64::MAX;

/// A bare ring: single issuer, deferred task run.
pub(super) fn ring(entries: u32) -> Result<IoUring> {
    IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .setup_cqsize(entries * 4)
        .build(entries)
        .context("io_uring with single issuer and deferred task run (kernel 6.1 or newer)")
}

/// Queues one operation. What it points to must live until its completion was reaped.
pub(super) fn push(ring: &mut IoUring, entry: io_uring::squeue::Entry) -> Result<()> {
    // SAFETY: the floors keep buffers and file descriptors until the operations on them have
    // completed, or, at their end, shut the sockets down and end the process with them.
    while unsafe { ring.submission().push(&entry) }.is_err() {
        ring.submit()?;
    }
    Ok(())
}

/// Takes what has completed.
pub(super) fn reap(ring: &mut IoUring, into: &mut Vec<cqueue::Entry>) {
    into.clear();
    into.extend(ring.completion());
}

/// Queues the end of the loop. `after` must outlive the ring.
pub(super) fn push_deadline(ring: &mut IoUring, after: &types::Timespec) -> Result<()> {
    push(
        ring,
        opcode::Timeout::new(after).build().user_data(DEADLINE),
    )
}

pub(super) fn timespec(deadline: Instant) -> types::Timespec {
    types::Timespec::from(deadline.saturating_duration_since(Instant::now()))
}

pub(super) fn fd(file: &impl AsRawFd) -> types::Fd {
    types::Fd(file.as_raw_fd())
}

/// The driver has hung up.
pub(super) fn hung_up(result: i32) -> bool {
    matches!(-result, libc::EPIPE | libc::ECONNRESET)
}
