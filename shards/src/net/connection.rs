//! One connection: requests in, replies out in the order of the requests.
//!
//! Two tasks: one reads and handles, one sends. A handler that must wait for something else than
//! progress holds up its own connection only, as in Kafka; produce requests are taken while
//! earlier ones wait for their marks.
//!
//! A connection that the service has muted is not read from until its time has come; what is ready to
//! be sent is sent.
//!
//! Before a request is taken the service may want the connection at another shard: then replies
//! are sent to the last, and it goes there with what was received meanwhile.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use odradek_engine::io::Handle;

use super::addresses::Full;
use super::frame::{FrameError, Frames};
use super::hand_over::{Arrival, HandOver};
use super::idle::Activity;
use super::replies::Replies;
use super::reply::Unserved;
use super::request::Request;
use super::server::{Server, Service};
use crate::metrics::bump;
use crate::runtime::{Notice, either};

/// Who is at the other end, and what the service keeps of the connection (`A`).
pub struct Peer<A> {
    pub address: Option<SocketAddr>,
    /// What ApiVersions was told.
    pub software: RefCell<Option<(String, String)>>,
    pub aside: A,
    /// Until when it is not read from, nanoseconds; 0 if it is.
    muted_until: Cell<u64>,
    gone: Cell<bool>,
    going: Notice,
}

impl<A: Default> Peer<A> {
    /// Somebody who has just come.
    pub fn new(address: Option<SocketAddr>, software: Option<(String, String)>) -> Self {
        Peer {
            address,
            software: RefCell::new(software),
            aside: A::default(),
            muted_until: Cell::new(0),
            gone: Cell::new(false),
            going: Notice::default(),
        }
    }
}

impl<A> Peer<A> {
    /// No request of it is taken before `until`, nanoseconds of the shard's clock (KIP-219).
    pub fn mute(&self, until: u64) {
        self.muted_until.set(self.muted_until.get().max(until));
    }

    #[inline]
    fn muted(&self) -> bool {
        self.muted_until.get() != 0
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

/// Serves a connection until either side ends it, or it goes to another shard.
pub(super) async fn serve<S: Service>(server: &Rc<Server<S>>, arrival: Arrival<S::Luggage>) {
    let (socket, peer, unread, pass) = match arrival {
        Arrival::Accepted(socket, mut pass) => {
            let address = server.io.peer(socket).await;
            if let Some(Err(full)) = address.map(|address| pass.come_from(address.ip())) {
                refuse(server, socket, address, full).await;
                return;
            }
            let early = address.map_or(0, |address| server.service.connects(address.ip()));
            if early > 0 {
                // Unread, so that who tries again and again does not do so at once (KIP-612).
                server.io.sleep(Duration::from_millis(early.into())).await;
                server.io.close(socket).await;
                return;
            }
            (socket, Peer::new(address, None), Vec::new(), pass)
        }
        Arrival::HandedOver(came) => {
            let peer = Peer::new(came.address, came.software);
            server.service.unpack(&peer, came.luggage);
            (came.socket, peer, came.unread, came.pass)
        }
    };
    let (address, peer) = (peer.address, Rc::new(peer));
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
    let read = read_all(server, socket, &peer, &replies, unread).await;
    // What a sweep has ended is said once nothing is sent any more.
    if let Err(why) = &read
        && replies.activity().closed().is_none()
    {
        tell_end(server, address, why);
    }
    replies.end();
    let _ = sending.await;
    if let Some(silence) = replies.activity().closed() {
        let limit_ms = server.settings.connections_max_idle_ms;
        server.idle.tell(&server.io, address, silence, limit_ms);
    }
    server.idle.leave(socket);
    if let (Ok(gone), false) = (read, replies.broken()) {
        tracing::debug!(?address, "connection goes to shard {}", gone.shard);
        server.io.give_away(socket);
        let connection = HandOver {
            socket,
            address,
            software: peer.software.take(),
            unread: gone.unread,
            luggage: server.service.pack(&peer),
            pass,
        };
        return server.service.hand_over(gone.shard, connection).await;
    }
    server.io.shutdown(socket).await;
    server.io.close(socket).await;
    drop(pass);
}

/// Says why no further request of a connection is read.
fn tell_end<S: Service>(server: &Server<S>, address: Option<SocketAddr>, why: &Ended) {
    let ordinary = matches!(
        why,
        Ended::Frame(FrameError::End) | Ended::Frame(FrameError::Io(_)) | Ended::Broken
    );
    if ordinary {
        tracing::debug!(?address, "connection ended: {why}");
    } else {
        bump(&server.meter.fault_closed, 1);
        server.faults.log(&server.io, || {
            tracing::warn!(?address, "connection closed: {why}");
        });
    }
}

/// Closes a connection too many from one address.
async fn refuse<S: Service>(
    server: &Server<S>,
    socket: Handle,
    address: Option<SocketAddr>,
    full: Full,
) {
    bump(&server.meter.refused, 1);
    server.refusals.log(&server.io, || {
        tracing::warn!(
            ?address,
            "connection refused: its address has {full} already"
        );
    });
    server.io.close(socket).await;
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

/// The connection goes to another shard, with these bytes.
struct Elsewhere {
    shard: u32,
    unread: Vec<u8>,
}

async fn read_all<S: Service>(
    server: &Server<S>,
    socket: Handle,
    peer: &Rc<Peer<S::Aside>>,
    replies: &Replies<S::Pledge>,
    unread: Vec<u8>,
) -> Result<Elsewhere, Ended> {
    let max = server.settings.socket_request_max_bytes;
    let mut frames = Frames::new(
        &server.io,
        socket,
        max,
        server.admission.clone(),
        replies.activity().clone(),
    );
    frames.resume(&unread);
    drop(unread);
    let mut source = Source::Idle(frames);
    let mut copy = Vec::new();
    loop {
        replies.room().await;
        if replies.broken() {
            return Err(Ended::Broken);
        }
        let mut frames = source.frames().await?;
        if peer.muted() {
            source = silence(server, peer, frames).await?;
            continue;
        }
        frames.arrive().await?;
        if let Some(shard) = server.service.bound_for(peer) {
            let unread = frames.unread();
            return Ok(Elsewhere { shard, unread });
        }
        if pass_whole(server, peer, replies, &mut frames)? {
            source = Source::Idle(frames);
            continue;
        }
        let frame = frames.next(|head| server.service.place(head)).await?;
        let request = frames.request(&frame);
        let produce = request.bytes().first_chunk::<2>() == Some(&PRODUCE);
        if produce {
            handle(server, peer, replies, &request).await?;
            frames.consume(frame);
            source = Source::Idle(frames);
        } else {
            // It may wait for long: the buffer it came in goes back first.
            copy.clear();
            copy.extend_from_slice(request.bytes());
            frames.consume(frame);
            let request = Request::fleeting(&copy, &server.admission);
            source = watched(handle(server, peer, replies, &request), frames, peer).await?;
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
async fn watched<A>(
    handling: impl Future<Output = Result<(), Ended>>,
    mut frames: Frames,
    peer: &Peer<A>,
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

/// Lets the time pass for which the peer is muted. Its leaving is noticed as long as it has sent
/// nothing that is not taken.
async fn silence<S: Service>(
    server: &Server<S>,
    peer: &Peer<S::Aside>,
    frames: Frames,
) -> Result<Source, Ended> {
    let until = peer.muted_until.take();
    let over = async {
        either(server.io.sleep_until(until), peer.leaves()).await;
        Ok(())
    };
    watched(over, frames, peer).await
}

const PRODUCE: [u8; 2] = [0, 0];

/// Takes the requests that are here whole and need no waiting, as far as there is room for their
/// replies. Whether there was any.
fn pass_whole<S: Service>(
    server: &Server<S>,
    peer: &Rc<Peer<S::Aside>>,
    replies: &Replies<S::Pledge>,
    frames: &mut Frames,
) -> Result<bool, Ended> {
    let mut any = false;
    while replies.has_room()
        && !peer.muted()
        && let Some(bytes) = frames.whole()?
        && let Some(outcome) = server.service.at_once(peer, bytes)
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
    peer: &Rc<Peer<S::Aside>>,
    replies: &Replies<S::Pledge>,
    request: &Request<'_>,
) -> Result<(), Ended> {
    let io = &server.io;
    replies.activity().handling(true, io.now());
    let taken = server.meter.taken(request.bytes(), io.now());
    // Apart from the connection's own state: what handlers need is many times what an idle
    // connection keeps.
    let outcome = Box::pin(server.service.handle(peer, request)).await?;
    replies.take(outcome, taken, io.clock());
    replies.activity().handling(false, io.now());
    Ok(())
}
