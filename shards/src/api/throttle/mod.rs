//! Quotas where requests pass: what is counted, who waits, and what clients are told of it.
//!
//! What is counted and judged is in [`crate::quotas`], as is how the shards agree. A request is counted
//! on the shard that has its connection, whoever answers it; that connection is muted. Time is
//! counted where it is spent: what other shards do for a request is told by them, and waited for with
//! the next one.
//!
//! Where no quota is set all this is one look at a byte.

mod exchange;
mod mutations;
mod tell;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use odradek_engine::io::Io;

pub use self::exchange::exchange_forever;
pub use self::mutations::{Mutations, NEVER_STRICT};
use super::across::There;
use super::table::{AtOnce, Row};
use super::{Broker, Call, Outcome, Peer, Refusal, across, fetch, produce};
use crate::config::Settings;
use crate::metrics::Meter;
use crate::net::Request;
use crate::quotas::{ANONYMOUS, Book, ClientQuotas, Kind, Windows};
use crate::runtime::{LocalFuture, Notice};

/// A shard's quotas, and what it knows to be used.
pub struct Quotas {
    book: RefCell<Book>,
    set: RefCell<Arc<ClientQuotas>>,
    /// One bit for each kind that limits anybody.
    limits: Cell<u8>,
    /// Something was used.
    stirred: Notice,
}

/// How long a client waits, and for what.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    pub kind: Kind,
    /// Milliseconds; 0: it does not.
    pub ms: u32,
}

impl Default for Wait {
    fn default() -> Self {
        Wait {
            kind: Kind::Request,
            ms: 0,
        }
    }
}

impl Wait {
    fn or_longer(self, other: Wait) -> Wait {
        match other.ms > self.ms {
            true => other,
            false => self,
        }
    }
}

const fn bit(kind: Kind) -> u8 {
    1 << kind as u8
}

impl Quotas {
    /// Those that are set, of a node of so many shards.
    pub fn new(settings: &Settings, shards: u32, set: &Arc<ClientQuotas>) -> Quotas {
        let windows = Windows::new(
            settings.quota_window_num,
            settings.quota_window_size_seconds,
        );
        let mutation_windows = Windows::new(
            settings.controller_quota_window_num,
            settings.controller_quota_window_size_seconds,
        );
        let quotas = Quotas {
            book: RefCell::new(Book::new(windows, mutation_windows, shards > 1)),
            set: RefCell::default(),
            limits: Cell::new(0),
            stirred: Notice::default(),
        };
        quotas.adopt(set);
        quotas
    }

    /// Judges by these from now on.
    pub fn adopt(&self, set: &Arc<ClientQuotas>) {
        if Arc::ptr_eq(&self.set.borrow(), set) {
            return;
        }
        self.set.replace(set.clone());
        let mut book = self.book.borrow_mut();
        book.adopt(set);
        let limited = Kind::ALL.into_iter().filter(|kind| book.limits(*kind));
        self.limits.set(limited.map(bit).sum());
    }

    /// Whether any quota is set that a request can exceed.
    #[inline]
    pub fn any(&self) -> bool {
        self.limits.get() & !bit(Kind::Connection) != 0
    }

    /// Somebody connects from an address: how many milliseconds too soon. Then it does not count.
    pub fn connects(&self, address: IpAddr, now: u64) -> u32 {
        if !self.limit(Kind::Connection) {
            return 0;
        }
        let address = address.to_canonical().to_string();
        let mut book = self.book.borrow_mut();
        match book.check(Kind::Connection, &address, "", 1.0, now) {
            0 => {
                book.charge(Kind::Connection, &address, "", 1.0, now);
                self.stirred.raise();
                0
            }
            wait => wait,
        }
    }

    /// Whether a quota is set that small produce requests can exceed.
    #[inline]
    pub fn concern_produce(&self) -> bool {
        self.limits.get() & (bit(Kind::Produce) | bit(Kind::Request)) != 0
    }

    fn limit(&self, kind: Kind) -> bool {
        self.limits.get() & bit(kind) != 0
    }

    /// A client has used so much.
    fn charge(&self, kind: Kind, client: &str, used: f64, now: u64) -> Wait {
        let ms = match self.limit(kind) {
            false => 0,
            true => {
                self.stirred.raise();
                let mut book = self.book.borrow_mut();
                book.charge(kind, ANONYMOUS, client, used, now)
            }
        };
        Wait { kind, ms }
    }

    /// A request was worked on for so long.
    fn charge_time(&self, client: &str, nanoseconds: u64, now: u64) -> Wait {
        // 1 % of a thread for a second.
        let percents = nanoseconds as f64 / 1e7;
        self.charge(Kind::Request, client, percents, now)
    }
}

impl Call<'_> {
    fn client(&self) -> &str {
        self.client_id.unwrap_or_default()
    }

    /// Bytes that a fetch may gather: more would always be throttled.
    pub(super) fn fetch_bytes_max(&self, bytes: u64) -> u64 {
        let quotas = &self.broker.quotas;
        if !quotas.limit(Kind::Fetch) {
            return bytes;
        }
        let book = quotas.book.borrow();
        match book.most(Kind::Fetch, ANONYMOUS, self.client()) {
            Some(most) => bytes.min(most as u64),
            None => bytes,
        }
    }

    /// Whether a fetch that has found so many bytes is to be answered without them, later ones to wait.
    pub(super) fn fetches_too_much(&self, bytes: u64) -> bool {
        let quotas = &self.broker.quotas;
        if !quotas.limit(Kind::Fetch) {
            return false;
        }
        let (client, now) = (self.client(), self.broker.io.now());
        let mut book = quotas.book.borrow_mut();
        let ms = book.check(Kind::Fetch, ANONYMOUS, client, bytes as f64, now);
        drop(book);
        self.must_wait(Wait {
            kind: Kind::Fetch,
            ms,
        });
        ms > 0
    }

    /// The answer's client is to wait, if not longer for another reason.
    fn must_wait(&self, wait: Wait) {
        let waits = &self.peer.aside.wait;
        waits.set(waits.get().or_longer(wait));
    }
}

/// Takes a request at once if it can be, and counts it.
pub fn at_once(broker: &Broker, peer: &Peer, request: &[u8], at_once: AtOnce) -> Option<Outcome> {
    let begun = broker.io.clock();
    let mut outcome = at_once(broker, request)?;
    let (quotas, now) = (&broker.quotas, broker.io.now());
    let client = client_of(request);
    let mut wait = quotas.charge(Kind::Produce, client, request.len() as f64, now);
    if !matches!(outcome, Outcome::Silent) && quotas.limit(Kind::Request) {
        let busy = broker.io.clock().saturating_sub(begun);
        wait = wait.or_longer(quotas.charge_time(client, busy, now));
    }
    if let (Outcome::Pledged(produced), 1..) = (&mut outcome, wait.ms) {
        produced.throttle_ms = wait.ms;
    }
    mute(&broker.io, &broker.meter, peer, wait);
    Some(outcome)
}

/// The client id in a request's header; nothing if there is none to be read.
fn client_of(request: &[u8]) -> &str {
    let id = || {
        let length = request.get(8..10)?;
        let length = i16::from_be_bytes([length[0], length[1]]);
        let bytes = request.get(10..)?.get(..usize::try_from(length).ok()?)?;
        std::str::from_utf8(bytes).ok()
    };
    id().unwrap_or_default()
}

/// Answers a request, and counts it.
///
/// # Errors
/// Those of its handler.
pub async fn handle(
    row: &'static Row,
    call: Call<'_>,
    request: &Request<'_>,
) -> Result<Outcome, Refusal> {
    let (broker, peer) = (call.broker, call.peer);
    let (api_key, version) = (call.api_key, call.version);
    let client = call.client_id.unwrap_or_default();
    let quotas = &broker.quotas;
    let mut wait = match api_key {
        produce::KEY => {
            let bytes = request.bytes().len() as f64;
            quotas.charge(Kind::Produce, client, bytes, broker.io.now())
        }
        _ => Wait::default(),
    };
    peer.aside.wait.take();
    let answer = across::answer(row, call, request);
    let (outcome, busy) = match quotas.limit(Kind::Request) {
        false => (answer.await?, None),
        true => {
            let (outcome, busy) = timed(&broker.io, answer).await;
            (outcome?, Some(busy))
        }
    };
    let now = broker.io.now();
    let asked = peer.aside.wait.take();
    if let (fetch::KEY, 0, Outcome::Reply(reply)) = (api_key, asked.ms, &outcome) {
        // Whether it may have so much was asked before.
        quotas.charge(Kind::Fetch, client, reply.length() as f64, now);
    }
    wait = wait.or_longer(asked);
    if let (Some(busy), false) = (busy, matches!(outcome, Outcome::Silent)) {
        wait = wait.or_longer(quotas.charge_time(client, busy, now));
    }
    let outcome = match (outcome, busy) {
        (Outcome::Later(later), Some(_)) => {
            Outcome::Later(Box::pin(counted(broker.clone(), client.to_owned(), later)))
        }
        (outcome, _) => outcome,
    };
    mute(&broker.io, &broker.meter, peer, wait);
    Ok(match wait.ms {
        0 => outcome,
        ms => told(outcome, api_key, version, ms),
    })
}

/// The same answer, with what its client is to wait.
fn told(outcome: Outcome, api_key: i16, version: i16, ms: u32) -> Outcome {
    match outcome {
        Outcome::Reply(mut reply) => {
            tell::tell(&mut reply, api_key, version, ms);
            Outcome::Reply(reply)
        }
        Outcome::Later(later) => Outcome::Later(Box::pin(async move {
            let mut reply = later.await?;
            tell::tell(&mut reply, api_key, version, ms);
            Ok(reply)
        })),
        Outcome::Pledged(mut produced) => {
            produced.throttle_ms = ms;
            Outcome::Pledged(produced)
        }
        Outcome::Silent => Outcome::Silent,
    }
}

fn mute(io: &Io, meter: &Meter, peer: &Peer, wait: Wait) {
    if wait.ms > 0 {
        peer.mute(io.now() + u64::from(wait.ms) * 1_000_000);
        meter.throttled(wait.kind as usize, wait.ms);
    }
}

/// What another shard is to do for a call, counted there as its client's if its time is limited.
pub(super) fn errand<E>(
    call: &Call<'_>,
    errand: E,
) -> impl FnOnce(Rc<There>) -> LocalFuture<()> + use<E>
where
    E: FnOnce(Rc<There>) -> LocalFuture<()>,
{
    let limited = call.broker.quotas.limit(Kind::Request);
    let client = limited.then(|| call.client().to_owned());
    move |there| {
        let broker = there.broker.clone();
        let work = errand(there);
        match client {
            None => work,
            Some(client) => Box::pin(counted(broker, client, work)),
        }
    }
}

/// Some work, with the time that it took this shard counted as a client's.
async fn counted<R>(broker: Rc<Broker>, client: String, work: impl Future<Output = R>) -> R {
    let (result, busy) = timed(&broker.io, work).await;
    broker.quotas.charge_time(&client, busy, broker.io.now());
    result
}

/// The time for which this shard was busy with something, nanoseconds.
async fn timed<R>(io: &Io, work: impl Future<Output = R>) -> (R, u64) {
    let mut work = pin!(work);
    let mut busy = 0;
    let result = poll_fn(|context| {
        let begun = io.clock();
        let polled = work.as_mut().poll(context);
        busy += io.clock().saturating_sub(begun);
        polled
    })
    .await;
    (result, busy)
}

#[cfg(test)]
mod tests {
    use odradek_wire::metadata_records::ClientQuotaRecord;
    use odradek_wire::metadata_records::client_quota_record::EntityData;

    use super::*;

    #[test]
    fn a_connection_that_comes_too_soon_does_not_count() {
        let mut set = ClientQuotas::default();
        set.apply(&ClientQuotaRecord {
            entity: vec![EntityData {
                entity_type: "ip",
                entity_name: Some("127.0.0.1"),
            }],
            key: Kind::Connection.key(),
            value: 2.0,
            remove: false,
        });
        let (settings, _) = Settings::load(None, &[]).expect("the defaults");
        let quotas = Quotas::new(&settings, 1, &Arc::new(set));
        let address = IpAddr::from([127, 0, 0, 1]);
        // Somebody tries every ten milliseconds for a minute, far too often.
        let times = (0..6000u64).map(|at| 1 + at * 10_000_000);
        let served = times.filter(|now| quotas.connects(address, *now) == 0);
        let served = served.count();
        assert!((100..=150).contains(&served), "{served} in 60 s at 2/s");
        let other = IpAddr::from([127, 0, 0, 2]);
        assert_eq!(quotas.connects(other, 1), 0, "it has no limit");
    }

    #[test]
    fn a_client_id_is_read_from_a_header_or_there_is_none() {
        let header = |id: &[u8], length: i16| {
            let mut bytes = vec![0, 0, 0, 9, 0, 0, 0, 1];
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(id);
            bytes
        };
        assert_eq!(client_of(&header(b"abc", 3)), "abc");
        assert_eq!(client_of(&header(b"abcd", 3)), "abc");
        for bad in [
            header(b"", -1),
            header(b"", 0),
            header(b"ab", 3),
            header(&[0xff], 1),
            vec![0; 9],
        ] {
            assert_eq!(client_of(&bad), "");
        }
    }
}
