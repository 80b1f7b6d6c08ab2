//! One connection: requests in, replies out in the order of the requests.
//!
//! Two tasks: one reads and handles, one sends. A handler that must wait for something else than
//! progress holds up its own connection only, as in Kafka; produce requests are taken while
//! earlier ones wait for their marks.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Poll, Waker};

use odradek_engine::io::{Handle, Io};

use super::frame::{FrameError, Frames};
use super::reply::{Later, Outcome, Refusal, Reply, Unserved};
use super::send::Sender;
use super::server::{Server, Service};
use crate::runtime::Notice;

/// Replies that may wait on one connection before its requests are not read any more.
const REPLIES_MAX: usize = 256;

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

enum Queued {
    Ready(Reply),
    Later(Later),
}

/// What the two tasks of a connection share.
#[derive(Default)]
struct Replies {
    queue: RefCell<VecDeque<Queued>>,
    /// No more will come.
    ended: Cell<bool>,
    /// Nothing can be sent any more.
    broken: Cell<bool>,
    sender: RefCell<Option<Waker>>,
    reader: RefCell<Option<Waker>>,
}

impl Replies {
    fn push(&self, reply: Queued) {
        self.queue.borrow_mut().push_back(reply);
        wake(&self.sender);
    }

    fn end(&self) {
        self.ended.set(true);
        wake(&self.sender);
    }

    async fn room(&self) {
        poll_fn(|context| {
            if self.queue.borrow().len() < REPLIES_MAX || self.broken.get() {
                return Poll::Ready(());
            }
            self.reader.replace(Some(context.waker().clone()));
            Poll::Pending
        })
        .await
    }

    async fn next(&self) -> Option<Queued> {
        poll_fn(|context| {
            if let Some(reply) = self.queue.borrow_mut().pop_front() {
                wake(&self.reader);
                return Poll::Ready(Some(reply));
            }
            if self.ended.get() {
                return Poll::Ready(None);
            }
            self.sender.replace(Some(context.waker().clone()));
            Poll::Pending
        })
        .await
    }
}

fn wake(waker: &RefCell<Option<Waker>>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// Serves a connection until either side ends it.
pub async fn serve<S: Service>(server: Rc<Server<S>>, socket: Handle) {
    let address = server.io.peer(socket).await;
    let peer = Rc::new(Peer::new(address));
    let replies = Rc::new(Replies::default());
    let sending = {
        let (io, replies) = (server.io.clone(), replies.clone());
        server
            .spawner
            .spawn(async move { send_all(&io, socket, &replies).await })
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
            server.refusals.log(&server.io, || {
                tracing::warn!(?address, "connection closed: {why}");
            });
        }
    }
    replies.end();
    let _ = sending.await;
    server.io.shutdown(socket).await;
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

async fn read_all<S: Service>(
    server: &Server<S>,
    socket: Handle,
    peer: &Rc<Peer>,
    replies: &Rc<Replies>,
) -> Result<(), Ended> {
    let max = server.settings.socket_request_max_bytes;
    let mut source = Source::Idle(Frames::new(
        &server.io,
        socket,
        max,
        server.admission.clone(),
    ));
    let mut copy = Vec::new();
    loop {
        replies.room().await;
        if replies.broken.get() {
            return Err(Ended::Broken);
        }
        let mut frames = source.frames().await?;
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

async fn handle<S: Service>(
    server: &Server<S>,
    peer: &Rc<Peer>,
    replies: &Rc<Replies>,
    bytes: &[u8],
) -> Result<(), Ended> {
    match server.service.handle(peer, bytes).await? {
        Outcome::Reply(reply) => replies.push(Queued::Ready(reply)),
        Outcome::Later(later) => replies.push(Queued::Later(later)),
        Outcome::Silent => {}
    }
    Ok(())
}

/// Sends replies as they become ready, in order; what is ready together goes out together.
async fn send_all(io: &Io, socket: Handle, replies: &Rc<Replies>) {
    let mut sender = Sender::new(io, socket);
    loop {
        let empty = replies.queue.borrow().is_empty();
        if empty && sender.flush().await.is_err() {
            break;
        }
        let Some(next) = replies.next().await else {
            let _ = sender.flush().await;
            return;
        };
        let reply = match next {
            Queued::Ready(reply) => Ok(reply),
            Queued::Later(later) => resolve(&mut sender, later).await,
        };
        let sent = match reply {
            Ok(reply) => sender.push(reply).await.is_ok(),
            Err(_) => false,
        };
        if !sent {
            break;
        }
    }
    // The reader waits for requests that nobody will answer: end it.
    replies.broken.set(true);
    wake(&replies.reader);
    io.shutdown(socket).await;
}

/// Waits for a reply; if it is not ready at once, what has gathered is sent first.
async fn resolve(sender: &mut Sender, mut later: Later) -> Result<Reply, Refusal> {
    let ready = poll_fn(|context| match later.as_mut().poll(context) {
        Poll::Ready(reply) => Poll::Ready(Some(reply)),
        Poll::Pending => Poll::Ready(None),
    })
    .await;
    if let Some(reply) = ready {
        return reply;
    }
    if sender.flush().await.is_err() {
        return Err(Refusal::Closed("the peer takes no replies"));
    }
    later.await
}
