//! One connection: requests in, replies out in the order of the requests.
//!
//! Two tasks: one reads and handles, one sends. A handler that must wait for something else than
//! progress holds up its own connection only, as in Kafka; produce requests are taken while
//! earlier ones wait for their marks.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;

use odradek_engine::io::Handle;

use super::frame::{FrameError, Frames};
use super::gate::Pass;
use super::idle::Activity;
use super::replies::Replies;
use super::reply::Unserved;
use super::server::{Server, Service};
use crate::metrics::bump;
use crate::runtime::Notice;

/// Who is at the other end.
pub struct Peer {
    pub address: Option<SocketAddr>,
    /// What ApiVersions was told.
    pub software: RefCell<Option<(String, String)>>,
    gone: Cell<bool>,
    going: Notice,
}

impl Peer {
    fn new(address: Option<SocketAddr>) -> Self {
        Peer {
            address,
            software: RefCell::new(None),
            gone: Cell::new(false),
            going: Notice::default(),
        }
    }

    /// Whether it has closed its side: nobody waits for an answer any more.
    pub fn gone(&self) -> bool {
        self.gone.get()
    }

    /// Waits until it is gone, for the one handler that waits for long.
    pub async fn leaves(&self) {
        if !self.gone() {
            self.going.raised().await;
        }
    }

    fn left(&self) {
        self.gone.set(true);
        self.going.raise();
    }

    /// The host, as group descriptions show it.
    pub fn host(&self) -> String {
        self.address
            .map_or_else(|| "unknown".into(), |address| address.ip().to_string())
    }
}

/// Serves a connection until either side ends it.
pub(super) async fn serve<S: Service>(server: Rc<Server<S>>, socket: Handle, mut pass: Pass) {
    let address = server.io.peer(socket).await;
    if let Some(Err(max)) = address.map(|address| pass.come_from(address.ip())) {
        bump(&server.meter.refused, 1);
        server.refusals.log(&server.io, || {
            tracing::warn!(
                ?address,
                "connection refused: its address has max.connections.per.ip={max} already"
            );
        });
        return server.io.close(socket).await;
    }
    let peer = Rc::new(Peer::new(address));
    let activity = Activity::new(socket, server.io.now());
    server.idle.enter(&activity);
    let replies = Rc::new(Replies::new(activity, server.meter.clone()));
    let sending = {
        let (io, replies) = (server.io.clone(), replies.clone());
        let strategy = server.settings.log_read_strategy;
        server
            .spawner
            .spawn(async move { replies.send(&io, socket, strategy).await })
    };
    let why = read_all(&server, socket, &peer, &replies).await;
    if let Err(why) = why {
        let ended = matches!(
            &why,
            Ended::Frame(FrameError::End) | Ended::Frame(FrameError::Io(_)) | Ended::Broken
        );
        if ended {
            tracing::debug!(?address, "connection ended: {why}");
        } else {
            bump(&server.meter.fault_closed, 1);
            server.refusals.log(&server.io, || {
                tracing::warn!(?address, "connection closed: {why}");
            });
        }
    }
    replies.end();
    let _ = sending.await;
    server.idle.leave(socket);
    server.io.shutdown(socket).await;
    server.io.close(socket).await;
    drop(pass);
}

#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Unserved(#[from] Unserved),
    #[error("the peer takes no replies")]
    Broken,
}

async fn read_all<S: Service>(
    server: &Server<S>,
    socket: Handle,
    peer: &Rc<Peer>,
    replies: &Replies<S::Pledge>,
) -> Result<(), Ended> {
    let max = server.settings.socket_request_max_bytes;
    let mut source = Source::Idle(Frames::new(
        &server.io,
        socket,
        max,
        server.admission.clone(),
        replies.activity().clone(),
    ));
    let mut copy = Vec::new();
    loop {
        replies.room().await;
        if replies.broken() {
            return Err(Ended::Broken);
        }
        let mut frames = source.frames().await?;
        frames.arrive().await?;
        if pass_whole(server, replies, &mut frames)? {
            source = Source::Idle(frames);
            continue;
        }
        let frame = frames.next().await?;
        let bytes = frames.bytes(&frame);
        let produce = bytes.first_chunk::<2>() == Some(&PRODUCE);
        if produce {
            handle(server, peer, replies, bytes).await?;
            frames.consume(frame);
            source = Source::Idle(frames);
        } else {
            // It may wait for long: the buffer it came in goes back first.
            copy.clear();
            copy.extend_from_slice(bytes);
            frames.consume(frame);
            source = watched(handle(server, peer, replies, &copy), frames, peer).await?;
            if copy.capacity() > 64 << 10 {
                copy = Vec::new();
            }
        }
    }
}

type Arriving = std::pin::Pin<Box<dyn Future<Output = (Frames, Result<(), FrameError>)>>>;

/// Where the next request comes from.
enum Source {
    Idle(Frames),
    /// Bytes are awaited already.
    Arriving(Arriving),
}

impl Source {
    async fn frames(self) -> Result<Frames, FrameError> {
        match self {
            Source::Idle(frames) => Ok(frames),
            Source::Arriving(arriving) => {
                let (frames, result) = arriving.await;
                result.map(|()| frames)
            }
        }
    }
}

/// Runs a handler to its end. If that takes a while, watches the socket meanwhile: a handler that
/// waits for records must hear that nobody wants them any more. It is never cut off: it may be in
/// the middle of a change.
async fn watched(
    handling: impl Future<Output = Result<(), Ended>>,
    mut frames: Frames,
    peer: &Peer,
) -> Result<Source, Ended> {
    let mut handling = std::pin::pin!(handling);
    let first = poll_fn(|context| Poll::Ready(handling.as_mut().poll(context))).await;
    if let Poll::Ready(handled) = first {
        return handled.map(|()| Source::Idle(frames));
    }
    let mut arriving: Arriving = Box::pin(async move {
        let result = frames.arrive().await;
        (frames, result)
    });
    let mut arrived = None;
    poll_fn(|context| {
        if arrived.is_none()
            && let Poll::Ready(end) = arriving.as_mut().poll(context)
        {
            if end.1.is_err() {
                peer.left();
            }
            arrived = Some(end);
        }
        handling.as_mut().poll(context)
    })
    .await?;
    match arrived {
        Some((frames, result)) => Ok(result.map(|()| Source::Idle(frames))?),
        None => Ok(Source::Arriving(arriving)),
    }
}

const PRODUCE: [u8; 2] = [0, 0];

/// Takes the requests that are here whole and need no waiting, as far as there is room for their
/// replies. Whether there was any.
fn pass_whole<S: Service>(
    server: &Server<S>,
    replies: &Replies<S::Pledge>,
    frames: &mut Frames,
) -> Result<bool, Ended> {
    let mut any = false;
    while replies.has_room()
        && let Some(bytes) = frames.whole()?
        && let Some(outcome) = server.service.at_once(bytes)
    {
        let length = bytes.len();
        let now = server.io.now();
        replies.take(outcome, server.meter.taken(bytes, now), now);
        frames.pass(length);
        any = true;
    }
    Ok(any)
}

async fn handle<S: Service>(
    server: &Server<S>,
    peer: &Rc<Peer>,
    replies: &Replies<S::Pledge>,
    bytes: &[u8],
) -> Result<(), Ended> {
    let io = &server.io;
    replies.activity().handling(true, io.now());
    let taken = server.meter.taken(bytes, io.now());
    // Apart from the connection's own state: what handlers need is many times what an idle
    // connection keeps.
    let outcome = Box::pin(server.service.handle(peer, bytes)).await?;
    replies.take(outcome, taken, io.clock());
    replies.activity().handling(false, io.now());
    Ok(())
}
