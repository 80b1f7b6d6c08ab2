//! /metrics, /healthz and /readyz, on a thread of its own.
//!
//! It asks the shards through their mailboxes and waits for a bounded time; no shard waits for it, and
//! where it shares a core with one it gets what that leaves over, and little more.
//! Whoever asks is served one page at a time, over few connections, each with a deadline.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use futures_channel::oneshot;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::observed::Observed;
use crate::partition::Opened;

/// Connections at once; others wait to be accepted.
const CONNECTIONS_MAX: usize = 16;
/// From a connection's first byte to its last, whatever its peer does.
const CONNECTION_MAX: Duration = Duration::from_secs(30);
/// For a request's header to be here.
const HEADER_MAX: Duration = Duration::from_secs(5);
const HEADER_BYTES_MAX: usize = 16 << 10;

/// About a ninth of a shard's weight.
const NICE: libc::c_int = 10;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";
const HERE: &str = "odradek: /metrics, /healthz, /readyz\n";

/// The thread; ends when dropped.
pub(super) struct Http {
    pub(super) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Http {
    /// Answers on a listener from now on.
    pub(super) fn start(listener: TcpListener, observed: Arc<Observed>) -> std::io::Result<Http> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let listener = {
            let _within = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("http".into())
            .spawn(move || {
                step_back();
                runtime.spawn(accept(listener, observed));
                // Either way there is nothing more to do.
                let _ = runtime.block_on(stopped);
                runtime.shutdown_background();
            })?;
        Ok(Http {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Lowers this thread's priority (nice values are by thread on Linux, `sched(7)`): a large page is
/// milliseconds of work. Where that is not possible pages come all the same.
fn step_back() {
    // SAFETY: no memory is passed; 0 is the calling thread.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
}

async fn accept(listener: tokio::net::TcpListener, observed: Arc<Observed>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = places.clone().acquire_owned().await;
        let place = place.expect("never closed");
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve(stream, observed.clone(), place));
            }
            // No file descriptor, most likely; the log has a line of the shards'.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn serve(
    stream: tokio::net::TcpStream,
    observed: Arc<Observed>,
    _place: OwnedSemaphorePermit,
) {
    let service = service_fn(move |request| {
        let observed = observed.clone();
        async move { Ok::<_, Infallible>(answer(&request, &observed).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Ok(Err(error)) = tokio::time::timeout(CONNECTION_MAX, connection).await {
        tracing::debug!("HTTP: {error}");
    }
}

async fn answer(request: &Request<Incoming>, observed: &Observed) -> Response<String> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, HERE.into());
        let headers = refused.headers_mut();
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match request.uri().path() {
        "/metrics" => text(StatusCode::OK, TEXT, observed.page().await),
        "/healthz" => state(observed.healthy().await.map(|()| "ok".into())),
        "/readyz" => state(observed.ready().await.map(readiness)),
        _ => plain(StatusCode::NOT_FOUND, HERE.into()),
    }
}

/// Partitions that are not open yet do not keep clients away: they open for whoever comes.
fn readiness(opened: Opened) -> String {
    let Opened { open, all } = opened;
    match open < all {
        true => format!("ok\n{open} of {all} partitions are open"),
        false => "ok".into(),
    }
}

fn state(state: Result<String, String>) -> Response<String> {
    match state {
        Ok(how) => plain(StatusCode::OK, format!("{how}\n")),
        Err(why) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

fn plain(status: StatusCode, body: String) -> Response<String> {
    text(status, PLAIN, body)
}

fn text(status: StatusCode, kind: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
