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

use odradek_engine::io::{Errno, Handle, Io};
use odradek_wire::Reader;

use super::frame::{FrameError, Frames};
use super::send::Sender;
use crate::api::{Call, Outcome, Produced, Refusal, Reply, table};
use crate::broker::Broker;
use crate::partition::Notice;

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

type Later = std::pin::Pin<Box<dyn Future<Output = Result<Reply, Refusal>>>>;

enum Queued {
    Ready(Reply),
    Later(Later),
    Produced(Produced),
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

    fn take(&self, outcome: Outcome) {
        match outcome {
            Outcome::Reply(reply) => self.push(Queued::Ready(reply)),
            Outcome::Later(later) => self.push(Queued::Later(later)),
            Outcome::Produced(produced) => self.push(Queued::Produced(produced)),
            Outcome::Silent => {}
        }
    }

    fn end(&self) {
        self.ended.set(true);
        wake(&self.sender);
    }

    fn has_room(&self) -> bool {
        self.queue.borrow().len() < REPLIES_MAX
    }

    async fn room(&self) {
        poll_fn(|context| {
            if self.has_room() || self.broken.get() {
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
pub async fn serve(broker: Rc<Broker>, socket: Handle) {
    let address = broker.io.peer(socket).await;
    let peer = Rc::new(Peer::new(address));
    let replies = Rc::new(Replies::default());
    let sending = {
        let (io, replies) = (broker.io.clone(), replies.clone());
        broker
            .spawner
            .spawn(async move { send_all(&io, socket, &replies).await })
    };
    let why = read_all(&broker, socket, &peer, &replies).await;
    if let Err(why) = why {
        let ended = matches!(
            &why,
            Ended::Frame(FrameError::End) | Ended::Frame(FrameError::Io(_)) | Ended::Broken
        );
        if ended {
            tracing::debug!(?address, "connection ended: {why}");
        } else {
            broker.refusals.log(&broker.io, || {
                tracing::warn!(?address, "connection closed: {why}");
            });
        }
    }
    replies.end();
    let _ = sending.await;
    broker.io.shutdown(socket).await;
    broker.io.close(socket).await;
}

#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("{api} version {version}: {refusal}")]
    Refused {
        api: &'static str,
        version: i16,
        refusal: Refusal,
    },
    #[error("malformed request header: {0}")]
    Header(#[from] odradek_wire::DecodeError),
    #[error("request for API key {0}, which is not served here")]
    UnknownApi(i16),
    #[error("the peer takes no replies")]
    Broken,
}

async fn read_all(
    broker: &Rc<Broker>,
    socket: Handle,
    peer: &Rc<Peer>,
    replies: &Rc<Replies>,
) -> Result<(), Ended> {
    let max = broker.settings.socket_request_max_bytes;
    let mut source = Source::Idle(Frames::new(
        &broker.io,
        socket,
        max,
        broker.admission.clone(),
    ));
    let mut copy = Vec::new();
    loop {
        replies.room().await;
        if replies.broken.get() {
            return Err(Ended::Broken);
        }
        let mut frames = source.frames().await?;
        let passed = pass_whole(broker, peer, replies, &mut frames)?;
        if passed && !replies.has_room() {
            source = Source::Idle(frames);
            continue;
        }
        let frame = frames.next().await?;
        let bytes = frames.bytes(&frame);
        let produce = bytes.first_chunk::<2>() == Some(&PRODUCE);
        if produce {
            handle(broker, peer, replies, bytes).await?;
            frames.consume(frame);
            source = Source::Idle(frames);
        } else {
            // It may wait for long: the buffer it came in goes back first.
            copy.clear();
            copy.extend_from_slice(bytes);
            frames.consume(frame);
            source = watched(handle(broker, peer, replies, &copy), frames, peer).await?;
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
fn pass_whole(
    broker: &Rc<Broker>,
    peer: &Rc<Peer>,
    replies: &Replies,
    frames: &mut Frames,
) -> Result<bool, Ended> {
    let mut any = false;
    while replies.has_room()
        && let Some(bytes) = frames.whole()?
    {
        let (row, call) = route(broker, peer, bytes)?;
        let Some(outcome) = (row.at_once)(&call) else {
            break;
        };
        let length = bytes.len();
        replies.take(outcome);
        frames.pass(length);
        any = true;
    }
    Ok(any)
}

/// The row that a request is for, and the request as a handler takes it.
fn route<'a>(
    broker: &'a Rc<Broker>,
    peer: &'a Rc<Peer>,
    bytes: &'a [u8],
) -> Result<(&'static table::Row, Call<'a>), Ended> {
    let mut reader = Reader::new(bytes);
    let api_key = reader.i16()?;
    let version = reader.i16()?;
    let row = table::row(api_key).ok_or(Ended::UnknownApi(api_key))?;
    let header_version =
        odradek_wire::request_header_version(api_key, version).ok_or(Ended::UnknownApi(api_key))?;
    let mut reader = Reader::new(bytes);
    let header = odradek_wire::request_header::RequestHeader::decode(&mut reader, header_version)?;
    // ApiVersions answers versions that it does not know, so that clients can find out.
    if !row.accepted.contains(&version) && api_key != crate::api::API_VERSIONS_KEY {
        let refusal = Refusal::Closed("the version is not served");
        return Err(refused(api_key, version, refusal));
    }
    let call = Call {
        broker,
        peer,
        api_key,
        version,
        correlation_id: header.correlation_id,
        client_id: header.client_id,
        body: &bytes[reader.position()..],
    };
    Ok((row, call))
}

fn refused(api_key: i16, version: i16, refusal: Refusal) -> Ended {
    Ended::Refused {
        api: table::name(api_key),
        version,
        refusal,
    }
}

async fn handle(
    broker: &Rc<Broker>,
    peer: &Rc<Peer>,
    replies: &Rc<Replies>,
    bytes: &[u8],
) -> Result<(), Ended> {
    let (row, call) = route(broker, peer, bytes)?;
    let (api_key, version) = (call.api_key, call.version);
    let outcome = match (row.at_once)(&call) {
        Some(outcome) => outcome,
        None => (row.handler)(call)
            .await
            .map_err(|refusal| refused(api_key, version, refusal))?,
    };
    replies.take(outcome);
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
        let sent = match next {
            Queued::Ready(reply) => sender.push(reply).await.is_ok(),
            Queued::Later(later) => match resolve(&mut sender, later).await {
                Ok(reply) => sender.push(reply).await.is_ok(),
                Err(_) => false,
            },
            Queued::Produced(produced) => answer(&mut sender, produced).await.is_ok(),
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

/// Answers a produce request; if its mark is not reached, what has gathered is sent first.
async fn answer(sender: &mut Sender, produced: Produced) -> Result<(), Errno> {
    let outcome = match produced.settled() {
        Some(outcome) => outcome,
        None => {
            sender.flush().await?;
            produced.wait().await
        }
    };
    sender.push_bytes(|out| produced.answer(outcome, out)).await
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
