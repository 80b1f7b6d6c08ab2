//! Who pushes, whether it may now, and its series.

use std::collections::BTreeMap;
use std::sync::Arc;

use odradek_wire::{ErrorCode, Uuid};

use super::otlp::{self, Malformed};
use super::subscriptions::{Client, Subscriptions};

/// Clients of one shard.
pub const CLIENTS_MAX: usize = 1024;
/// Series of one client.
pub const SERIES_PER_CLIENT_MAX: usize = 512;
/// Series of all clients of one shard.
pub const SERIES_MAX: usize = 8192;
/// A client is forgotten after so many intervals, at least [`SILENCE_MS_MIN`].
const SILENCE_INTERVALS: u64 = 3;
const SILENCE_MS_MIN: u64 = 60_000;

/// What is asked of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub subscription_id: i32,
    pub metrics: Arc<[String]>,
    pub interval_ms: i32,
}

/// A push, but for its metrics.
#[derive(Clone, Copy, Debug)]
pub struct Push {
    pub subscription_id: i32,
    pub terminating: bool,
    /// Its codec is known.
    pub codec_known: bool,
    /// Of the metrics as they came.
    pub bytes: usize,
}

/// A series' last value.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub client_id: Arc<str>,
    pub instance_id: Uuid,
    pub metric: Arc<str>,
    /// `name=value`, comma between.
    pub attributes: Arc<str>,
    pub value: f64,
}

struct Instance {
    client: Client,
    asked: Asked,
    /// By the subscriptions of this generation.
    generation: u64,
    /// Milliseconds.
    got_at: Option<u64>,
    pushed_at: Option<u64>,
    heard_at: u64,
    /// It has asked, and not pushed since.
    asks: bool,
    error: ErrorCode,
    terminating: bool,
    /// By metric and attributes.
    series: BTreeMap<(Arc<str>, Arc<str>), f64>,
}

impl Instance {
    fn interval_ms(&self) -> u64 {
        self.asked.interval_ms.unsigned_abs().into()
    }

    fn silent_until(&self) -> u64 {
        self.heard_at + (SILENCE_INTERVALS * self.interval_ms()).max(SILENCE_MS_MIN)
    }

    /// `ClientMetricsInstance.maybeUpdateGetRequestTimestamp`; at once after an error that asking again
    /// sets right.
    fn may_get(&mut self, now: u64) -> bool {
        let last = self.got_at.max(self.pushed_at);
        let again = [
            ErrorCode::UnknownSubscriptionId,
            ErrorCode::UnsupportedCompressionType,
        ];
        let may = last.is_none_or(|last| now.saturating_sub(last) >= self.interval_ms())
            || again.contains(&self.error);
        if may {
            self.got_at = Some(now);
            self.asks = true;
        }
        may
    }

    /// `ClientMetricsInstance.maybeUpdatePushRequestTimestamp`: the first push after a get may come
    /// at any time.
    fn may_push(&mut self, now: u64) -> bool {
        let in_time = |last: u64| now.saturating_sub(last) >= self.interval_ms();
        let may = self.asks || self.pushed_at.is_none_or(in_time);
        if may {
            self.pushed_at = Some(now);
            self.asks = false;
        }
        may
    }
}

/// See the module. Times are milliseconds of a clock that does not go back.
#[derive(Default)]
pub struct Clients {
    subscriptions: Subscriptions,
    generation: u64,
    all: BTreeMap<Uuid, Instance>,
    series: usize,
    /// Since the start: pushes taken, pushes refused, points left out.
    pub counts: [u64; 3],
}

impl Clients {
    /// Asks for these from now on.
    pub fn adopt(&mut self, subscriptions: Subscriptions) {
        self.subscriptions = subscriptions;
        self.generation += 1;
    }

    /// A client asks what is asked of it.
    ///
    /// # Errors
    /// THROTTLING_QUOTA_EXCEEDED: it asks again before its interval is over.
    pub fn get(
        &mut self,
        id: Uuid,
        who: impl FnOnce() -> Client,
        now: u64,
    ) -> Result<Asked, ErrorCode> {
        let one = self.heard(id, who, now);
        if !one.may_get(now) {
            return Err(ErrorCode::ThrottlingQuotaExceeded);
        }
        one.error = ErrorCode::None;
        Ok(one.asked.clone())
    }

    /// Whether a client's push is taken; `bytes_max` is `telemetry.max.bytes`.
    ///
    /// # Errors
    /// Kafka's, in its order: after a last push, before its time, for something that is not asked,
    /// in an unknown codec, too large.
    pub fn judge(
        &mut self,
        id: Uuid,
        who: impl FnOnce() -> Client,
        push: Push,
        bytes_max: usize,
        now: u64,
    ) -> Result<(), ErrorCode> {
        let one = self.heard(id, who, now);
        let judged = if one.terminating {
            Err(ErrorCode::InvalidRequest)
        } else if !one.may_push(now) && !push.terminating {
            Err(ErrorCode::ThrottlingQuotaExceeded)
        } else if push.subscription_id != one.asked.subscription_id {
            Err(ErrorCode::UnknownSubscriptionId)
        } else if !push.codec_known {
            Err(ErrorCode::UnsupportedCompressionType)
        } else if push.bytes > bytes_max {
            Err(ErrorCode::TelemetryTooLarge)
        } else {
            Ok(())
        };
        one.terminating = push.terminating;
        one.error = judged.err().unwrap_or(ErrorCode::None);
        self.counts[usize::from(judged.is_err())] += 1;
        judged
    }

    /// Keeps the values of a push that was taken.
    ///
    /// # Errors
    /// It is no OTLP; what came before the fault is kept.
    pub fn keep(&mut self, id: Uuid, otlp: &[u8]) -> Result<(), Malformed> {
        let Some(one) = self.all.get_mut(&id) else {
            return Ok(());
        };
        let (series, left_out) = (&mut self.series, &mut self.counts[2]);
        otlp::read(otlp, &mut |point| {
            let Some(value) = point.value else {
                *left_out += 1;
                return;
            };
            let key = (point.metric.into(), point.attributes.into());
            if let Some(last) = one.series.get_mut(&key) {
                *last = if point.is_delta { *last + value } else { value };
            } else if one.series.len() < SERIES_PER_CLIENT_MAX && *series < SERIES_MAX {
                one.series.insert(key, value);
                *series += 1;
            } else {
                *left_out += 1;
            }
        })
    }

    /// The metrics of a push that was taken cannot be used.
    pub fn refuse(&mut self, id: Uuid, error: ErrorCode) {
        if let Some(one) = self.all.get_mut(&id) {
            one.error = error;
        }
        self.counts[1] += 1;
    }

    /// The last values of all that are not silent.
    pub fn series(&self, now: u64) -> Vec<Series> {
        let live = self.all.iter().filter(|(_, one)| one.silent_until() > now);
        let each = live.flat_map(|(id, one)| {
            let client_id: Arc<str> = one.client.client_id.as_str().into();
            one.series
                .iter()
                .map(move |((metric, attributes), value)| Series {
                    client_id: client_id.clone(),
                    instance_id: *id,
                    metric: metric.clone(),
                    attributes: attributes.clone(),
                    value: *value,
                })
        });
        each.collect()
    }

    /// How many are known and not silent.
    pub fn count(&self, now: u64) -> usize {
        self.all
            .values()
            .filter(|one| one.silent_until() > now)
            .count()
    }

    /// A client, known from now on, and asked for what is asked now.
    fn heard(&mut self, id: Uuid, who: impl FnOnce() -> Client, now: u64) -> &mut Instance {
        let generation = self.all.get(&id).map(|one| one.generation);
        if generation != Some(self.generation) {
            // As new where something else is asked now, so that it hears of that at once.
            let was = self.all.remove(&id);
            if was.is_none() {
                self.make_room(now);
            }
            let (client, series) = match was {
                Some(was) => (was.client, was.series),
                None => (who(), BTreeMap::new()),
            };
            let mut fresh = self.instance(id, client, now);
            fresh.series = series;
            self.all.insert(id, fresh);
        }
        let one = self.all.get_mut(&id).expect("it is there");
        one.heard_at = now;
        one
    }

    fn instance(&self, id: Uuid, client: Client, now: u64) -> Instance {
        Instance {
            asked: self.subscriptions.asked(id, &client),
            client,
            generation: self.generation,
            got_at: None,
            pushed_at: None,
            heard_at: now,
            asks: false,
            error: ErrorCode::None,
            terminating: false,
            series: BTreeMap::new(),
        }
    }

    /// Forgets who is silent, and, if that is nobody, who was heard of longest ago.
    fn make_room(&mut self, now: u64) {
        if self.all.len() < CLIENTS_MAX && self.series < SERIES_MAX {
            return;
        }
        self.all.retain(|_, one| one.silent_until() > now);
        if self.all.len() >= CLIENTS_MAX {
            let oldest = self.all.iter().min_by_key(|(_, one)| one.heard_at);
            let oldest = oldest.map(|(id, _)| *id);
            oldest.and_then(|id| self.all.remove(&id));
        }
        self.series = self.all.values().map(|one| one.series.len()).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::otlp::tests::{gauge, sum};

    const MAX: usize = 1000;

    fn clients(interval_ms: &str) -> Clients {
        let mut clients = Clients::default();
        adopt(&mut clients, interval_ms);
        clients
    }

    fn adopt(clients: &mut Clients, interval_ms: &str) {
        let given = [("metrics", "*"), ("interval.ms", interval_ms)];
        let given = given.map(|(name, text)| (name.into(), text.into()));
        let set = BTreeMap::from([("s".to_owned(), given.into_iter().collect())]);
        clients.adopt(Subscriptions::new(&set));
    }

    fn id(number: u128) -> Uuid {
        Uuid(number.to_be_bytes())
    }

    fn get(clients: &mut Clients, number: u128, now: u64) -> Result<Asked, ErrorCode> {
        clients.get(id(number), Client::default, now)
    }

    fn push(clients: &mut Clients, number: u128, push: Push, now: u64) -> Result<(), ErrorCode> {
        clients.judge(id(number), Client::default, push, MAX, now)
    }

    fn fine(asked: &Asked) -> Push {
        Push {
            subscription_id: asked.subscription_id,
            terminating: false,
            codec_known: true,
            bytes: MAX,
        }
    }

    #[test]
    fn who_comes_before_its_time_waits() {
        let mut clients = clients("1000");
        let asked = get(&mut clients, 1, 0).unwrap();
        let throttled = Err(ErrorCode::ThrottlingQuotaExceeded);
        assert_eq!(get(&mut clients, 1, 999).map(drop), throttled);
        assert_eq!(push(&mut clients, 1, fine(&asked), 10), Ok(()));
        assert_eq!(push(&mut clients, 1, fine(&asked), 1009), throttled);
        assert_eq!(push(&mut clients, 1, fine(&asked), 1010), Ok(()));
        assert!(get(&mut clients, 2, 0).is_ok(), "each for itself");
        assert_eq!(get(&mut clients, 1, 2009).map(drop), throttled);
        assert!(get(&mut clients, 1, 2010).is_ok());
    }

    #[test]
    fn what_was_not_asked_for_is_refused_and_asking_again_is_free() {
        let mut clients = clients("1000");
        let asked = get(&mut clients, 1, 0).unwrap();
        let mut other = fine(&asked);
        other.subscription_id ^= 1;
        let unknown = Err(ErrorCode::UnknownSubscriptionId);
        assert_eq!(push(&mut clients, 1, other, 1), unknown);
        assert!(get(&mut clients, 1, 2).is_ok());
        let mut codec = fine(&asked);
        codec.codec_known = false;
        let refused = push(&mut clients, 1, codec, 3);
        assert_eq!(refused, Err(ErrorCode::UnsupportedCompressionType));
        assert!(get(&mut clients, 1, 4).is_ok());
        let mut large = fine(&asked);
        large.bytes = MAX + 1;
        assert_eq!(
            push(&mut clients, 1, large, 5),
            Err(ErrorCode::TelemetryTooLarge)
        );
        assert_eq!(clients.counts[..2], [0, 3]);
    }

    #[test]
    fn a_last_push_comes_at_any_time_and_is_the_last() {
        let mut clients = clients("1000");
        let asked = get(&mut clients, 1, 0).unwrap();
        assert_eq!(push(&mut clients, 1, fine(&asked), 1), Ok(()));
        let mut last = fine(&asked);
        last.terminating = true;
        assert_eq!(push(&mut clients, 1, last, 2), Ok(()));
        assert_eq!(
            push(&mut clients, 1, last, 5000),
            Err(ErrorCode::InvalidRequest)
        );
    }

    #[test]
    fn another_subscription_is_heard_of_at_once() {
        let mut clients = clients("1000");
        let asked = get(&mut clients, 1, 0).unwrap();
        clients.keep(id(1), &gauge("m", &[], 1.0)).unwrap();
        adopt(&mut clients, "2000");
        assert_eq!(
            push(&mut clients, 1, fine(&asked), 1),
            Err(ErrorCode::UnknownSubscriptionId)
        );
        let now = get(&mut clients, 1, 2).unwrap();
        assert_ne!(now.subscription_id, asked.subscription_id);
        assert_eq!(now.interval_ms, 2000);
        assert_eq!(clients.series(3).len(), 1, "what is known stays");
    }

    #[test]
    fn series_keep_their_last_value_and_deltas_add_up() {
        let mut clients = clients("1000");
        get(&mut clients, 1, 0).unwrap();
        for value in [3.0, 4.0] {
            clients
                .keep(id(1), &gauge("g", &[("a", "1")], value))
                .unwrap();
            clients.keep(id(1), &sum("d", true, value)).unwrap();
            clients.keep(id(1), &sum("c", false, value)).unwrap();
        }
        let told = clients.series(1);
        let told: Vec<_> = told
            .iter()
            .map(|one| (&*one.metric, &*one.attributes, one.value))
            .collect();
        assert_eq!(told, [("c", "", 4.0), ("d", "", 7.0), ("g", "a=1", 4.0)]);
        assert!(clients.keep(id(1), &[0xff]).is_err());
        assert_eq!(clients.series(60_000).len(), 0, "it is silent");
    }

    #[test]
    fn clients_and_series_are_bounded() {
        let mut clients = clients("1000");
        for number in 0..CLIENTS_MAX as u128 + 5 {
            get(&mut clients, number, number as u64).unwrap();
        }
        assert_eq!(clients.all.len(), CLIENTS_MAX);
        assert!(!clients.all.contains_key(&id(4)) && clients.all.contains_key(&id(5)));
        for series in 0..SERIES_PER_CLIENT_MAX + 3 {
            let name = format!("m{series}");
            clients.keep(id(9), &gauge(&name, &[], 1.0)).unwrap();
        }
        assert_eq!(clients.series(2000).len(), SERIES_PER_CLIENT_MAX);
        assert_eq!(clients.counts[2], 3);
        // Another that is heard of when all are silent finds room.
        get(&mut clients, 5000, 1 << 30).unwrap();
        assert_eq!((clients.all.len(), clients.series), (1, 0));
    }
}
