//! Floors on glommio 0.9: tasks, its own buffers, what its safe API offers and no more.
//!
//! Durable writes go to files opened with O_DSYNC: it cannot give a write RWF_DSYNC. Its executor
//! has one thread here, where the process is pinned.
//!
//! The 10 MiB of buffers that it registers with each of three rings count against `memlock`, which
//! this process has raised to its hard limit (a process with CAP_IPC_LOCK has none). Where they do
//! not fit glommio says so in its log and goes on without; below 512 KiB it does not start.

mod durable;
mod echo;
mod outwards;
mod receive;

use std::net::TcpStream as Socket;
use std::os::fd::{FromRawFd, IntoRawFd};

use anyhow::{Context, Result, anyhow, bail};
use futures_lite::AsyncReadExt;
use glommio::net::TcpStream;
use glommio::{GlommioError, LocalExecutorBuilder, Placement};

use super::server::{Prepared, ServerArgs};

/// Serves one load.
pub(super) fn serve(args: &ServerArgs, streams: Vec<Socket>, prepared: Prepared) -> Result<()> {
    let executor = LocalExecutorBuilder::new(Placement::Unbound)
        .make()
        .map_err(told)
        .context("an executor of glommio's (it wants 512 KiB of memlock: ulimit -l)")?;
    executor.run(async {
        if let Prepared::Blocks(blocks) = prepared {
            let driver = streams.into_iter().next().context("a driver")?;
            return durable::run(driver, args.course(), blocks).await;
        }
        let mut streams = streams.into_iter().map(adopt);
        if prepared.is_nothing() && args.kind != super::Kind::Send {
            return echo::run(streams.collect(), args.reply_bytes).await;
        }
        let mut first = streams.next().context("a floor needs a connection")?;
        let ended = match prepared {
            Prepared::Inwards(then) => receive::run(&mut first, then).await,
            Prepared::Resident(kept) => outwards::read_send(&mut first, &kept.path).await,
            Prepared::Cold(kept) => outwards::cold(&mut first, &kept.path).await,
            _ => outwards::send(&mut first).await,
        };
        match ended {
            Err(error) if is_hang_up(&error) => Ok(()),
            other => other,
        }
    })
}

/// A socket becomes glommio's.
fn adopt(socket: Socket) -> TcpStream {
    // SAFETY: the descriptor is open and given away here.
    unsafe { TcpStream::from_raw_fd(socket.into_raw_fd()) }
}

/// Fills `into`.
///
/// # Errors
/// When the driver hangs up before: see [`is_hang_up`].
async fn fill(stream: &mut TcpStream, into: &mut [u8]) -> Result<()> {
    Ok(stream.read_exact(into).await?)
}

/// The driver has hung up: how streams end.
fn is_hang_up(error: &anyhow::Error) -> bool {
    use std::io::ErrorKind;
    let kind = error
        .downcast_ref::<std::io::Error>()
        .map(std::io::Error::kind);
    matches!(
        kind,
        Some(ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
    )
}

/// Glommio's errors, as text: they are not `Sync`.
fn told(error: GlommioError<()>) -> anyhow::Error {
    anyhow!("glommio: {error}")
}

/// All of it was read or written.
fn whole(bytes: usize, of: usize) -> Result<()> {
    if bytes != of {
        bail!("{bytes} bytes of {of} read or written");
    }
    Ok(())
}
