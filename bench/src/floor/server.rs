//! A floor's server: a process of its own, so that its CPU time is counted apart.
//!
//! It binds a free port, says `READY port=N`, serves one load and ends when the driver hangs up.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::files::{Blocks, Kept, cold, resident};
use super::kind::Shape;
use super::probe::Course;
use super::then::Then;
use super::{Kind, Runtime, epoll, glommio, ring};

/// What the driver starts; not for hands.
#[derive(Debug, Clone, clap::Args)]
pub struct ServerArgs {
    #[arg(long)]
    pub(super) kind: Kind,
    #[arg(long)]
    pub(super) runtime: Runtime,
    /// Where files are written.
    #[arg(long)]
    pub(super) dir: PathBuf,
    #[arg(long)]
    pub(super) connections: usize,
    /// Bytes of an echo's reply, length prefix included.
    #[arg(long)]
    pub(super) reply_bytes: usize,
    /// Of a floor that measures itself.
    #[arg(long)]
    pub(super) warmup_ms: u64,
    #[arg(long)]
    pub(super) window_ms: u64,
    /// The process is killed after this time: the driver hangs.
    #[arg(long)]
    pub(super) seconds_max: u32,
}

impl ServerArgs {
    pub(super) fn course(&self) -> Course {
        Course {
            warmup: Duration::from_millis(self.warmup_ms),
            window: Duration::from_millis(self.window_ms),
        }
    }
}

/// What is there before the driver comes: what takes time must not fall into the window.
pub(super) enum Prepared {
    Nothing,
    Inwards(Then),
    Resident(Kept),
    Cold(Kept),
    Blocks(Blocks),
}

impl Prepared {
    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Prepared::Nothing)
    }

    fn of(kind: Kind, dir: &std::path::Path) -> Result<Self> {
        Ok(match kind {
            Kind::Sendfile | Kind::Splice | Kind::ReadSend => Prepared::Resident(resident(dir)?),
            Kind::Cold => Prepared::Cold(cold(dir)?),
            Kind::DurableOver => Prepared::Blocks(Blocks::new(dir, false)?),
            Kind::DurableNew => Prepared::Blocks(Blocks::new(dir, true)?),
            kind if kind.shape() == Shape::Inwards => Prepared::Inwards(Then::of(kind, dir)),
            _ => Prepared::Nothing,
        })
    }
}

pub(crate) fn serve(args: &ServerArgs) -> Result<()> {
    // However the driver ends, this process does too.
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    nix::unistd::alarm::set(args.seconds_max);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let prepared = Prepared::of(args.kind, &args.dir)?;
    println!("READY port={}", listener.local_addr()?.port());
    let deadline = Instant::now() + Duration::from_secs(args.seconds_max.into());
    let streams = accept(&listener, args.connections, deadline)?;
    match args.runtime {
        Runtime::Ring => ring::serve(args, &streams, prepared),
        Runtime::Epoll => epoll::serve(args, &streams, prepared),
        Runtime::Glommio => glommio::serve(args, streams, prepared),
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
