//! What clients have used, as one shard knows it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bucket::Bucket;
use super::rate::{Rate, Windows};
use super::rules::{Found, Rules};
use super::table::ClientQuotas;
use super::{Kind, as_millis};

/// Clients of one kind of quota that are told apart; those beyond are counted as one.
pub const TRACKED_MAX: usize = 4096;

/// Something that is counted for each of who shares a quota.
#[derive(Debug)]
struct Each<T> {
    /// By user and client id; empty where the quota is not by that.
    by_user: BTreeMap<Arc<str>, BTreeMap<Arc<str>, T>>,
    count: usize,
    /// Who found no room.
    others: T,
}

/// Whose it is; `None`: of who found no room.
type Whose = Option<(Arc<str>, Arc<str>)>;

impl<T: Default> Each<T> {
    fn new() -> Self {
        Each {
            by_user: BTreeMap::new(),
            count: 0,
            others: T::default(),
        }
    }

    fn known(&self, user: &str, client: &str) -> bool {
        let clients = self.by_user.get(user);
        clients.is_some_and(|clients| clients.contains_key(client))
    }

    /// What is counted of somebody.
    fn of(&mut self, user: &str, client: &str) -> &mut T {
        if !self.known(user, client) {
            if self.count >= TRACKED_MAX {
                return &mut self.others;
            }
            self.count += 1;
            let clients = self.by_user.entry(user.into()).or_default();
            return clients.entry(client.into()).or_default();
        }
        let clients = self.by_user.get_mut(user).expect("known");
        clients.get_mut(client).expect("known")
    }

    /// The same by such names.
    fn named(&mut self, whose: &Whose) -> &mut T {
        match whose {
            Some((user, client)) => self.of(user, client),
            None => &mut self.others,
        }
    }

    /// The names under which somebody is counted.
    fn whose(&self, user: &str, client: &str) -> Whose {
        let (user, clients) = self.by_user.get_key_value(user)?;
        let (client, _) = clients.get_key_value(client)?;
        Some((user.clone(), client.clone()))
    }

    fn retain(&mut self, mut keep: impl FnMut(&mut T) -> bool) {
        self.by_user.retain(|_, clients| {
            clients.retain(|_, one| keep(one));
            !clients.is_empty()
        });
        self.count = self.by_user.values().map(BTreeMap::len).sum();
    }
}

#[derive(Debug, Default)]
struct Tracked {
    rate: Rate,
    /// Used on this shard and not told to the others.
    untold: f64,
}

/// What a shard tells the others.
#[derive(Clone, Debug)]
pub struct Usage {
    kind: Kind,
    whose: Whose,
    used: f64,
}

/// See the module. Times are nanoseconds of the shard's clock, which does not go back.
#[derive(Debug)]
pub struct Book {
    windows: Windows,
    mutation_windows: Windows,
    /// There are other shards to tell.
    others: bool,
    rules: [Rules; Kind::ALL.len()],
    /// Of all kinds but [`Kind::Mutation`], which is the last.
    rates: [Each<Tracked>; Kind::Mutation as usize],
    buckets: Each<Bucket>,
    /// Of whom there is something untold.
    news: Vec<(Kind, Whose)>,
}

/// What became of a change of metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// It may not be made now.
    pub refused: bool,
    /// How long its client is to wait, milliseconds.
    pub wait_ms: u32,
}

fn names<'a>(found: &Found, user: &'a str, client: &'a str) -> (&'a str, &'a str) {
    let only = |wanted, name| if wanted { name } else { "" };
    (only(found.by_user, user), only(found.by_client, client))
}

impl Book {
    /// Without limits. `others`: there are other shards.
    pub fn new(windows: Windows, mutation_windows: Windows, others: bool) -> Book {
        Book {
            windows,
            mutation_windows,
            others,
            rules: Default::default(),
            rates: std::array::from_fn(|_| Each::new()),
            buckets: Each::new(),
            news: Vec::new(),
        }
    }

    /// Judges by these from now on. What was used stays known.
    pub fn adopt(&mut self, quotas: &ClientQuotas) {
        self.rules = Kind::ALL.map(|kind| Rules::of(quotas, kind));
    }

    /// Whether anybody is limited in this.
    pub fn limits(&self, kind: Kind) -> bool {
        self.rules[kind as usize].any()
    }

    /// A client has used so much; how long it is to wait, milliseconds. Not for [`Kind::Mutation`].
    pub fn charge(&mut self, kind: Kind, user: &str, client: &str, used: f64, now: u64) -> u32 {
        let Some(found) = self.rules[kind as usize].find(user, client) else {
            return 0;
        };
        let (windows, others) = (self.windows, self.others);
        let (user, client) = names(&found, user, client);
        let each = &mut self.rates[kind as usize];
        let tracked = each.of(user, client);
        tracked.rate.record(windows, used, now);
        let wait = tracked.rate.wait(windows, found.limit, 0.0, now);
        if others && used > 0.0 {
            tracked.untold += used;
            if tracked.untold == used {
                let whose = each.whose(user, client);
                self.news.push((kind, whose));
            }
        }
        self.bounded(kind, wait)
    }

    /// How long a client would have to wait if it used so much, milliseconds. Where nothing was used
    /// in all windows it may use anything. Not for [`Kind::Mutation`].
    pub fn check(&mut self, kind: Kind, user: &str, client: &str, used: f64, now: u64) -> u32 {
        let Some(found) = self.rules[kind as usize].find(user, client) else {
            return 0;
        };
        let windows = self.windows;
        let (user, client) = names(&found, user, client);
        let each = &mut self.rates[kind as usize];
        if !each.known(user, client) && each.count < TRACKED_MAX {
            return 0;
        }
        let rate = &mut each.of(user, client).rate;
        let wait = match rate.idle(windows, now) {
            true => 0.0,
            false => rate.wait(windows, found.limit, used, now),
        };
        self.bounded(kind, wait)
    }

    /// Request time, and connections, are waited for one window at most, as in Kafka.
    fn bounded(&self, kind: Kind, wait: f64) -> u32 {
        as_millis(match kind {
            Kind::Request | Kind::Connection => wait.min(self.windows.size() as f64),
            _ => wait,
        })
    }

    /// What a client may use at once, however idle it was.
    pub fn most(&self, kind: Kind, user: &str, client: &str) -> Option<f64> {
        let found = self.rules[kind as usize].find(user, client)?;
        Some(found.limit * self.windows.least_seconds())
    }

    /// A client wants to make or remove so many partitions. `strict`: nothing while its bucket is
    /// overdrawn; else it may, and waits.
    pub fn mutate(
        &mut self,
        user: &str,
        client: &str,
        partitions: f64,
        strict: bool,
        now: u64,
    ) -> Judged {
        let mut judged = Judged {
            refused: false,
            wait_ms: 0,
        };
        let Some(found) = self.rules[Kind::Mutation as usize].find(user, client) else {
            return judged;
        };
        let (windows, limit) = (self.mutation_windows, found.limit);
        let (user, client) = names(&found, user, client);
        let bucket = self.buckets.of(user, client);
        if strict {
            let wait = bucket.overdrawn(windows, limit, now);
            judged.refused = wait > 0.0;
            judged.wait_ms = as_millis(wait);
        }
        if !judged.refused {
            bucket.take(windows, limit, partitions, now);
        }
        if !strict {
            judged.wait_ms = as_millis(bucket.overdrawn(windows, limit, now));
        }
        judged
    }

    /// Whether there is anything to tell the others.
    pub fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// What was used here and not told yet.
    pub fn tell(&mut self) -> Vec<Usage> {
        let mut told = Vec::with_capacity(self.news.len());
        for (kind, whose) in self.news.drain(..) {
            let each = &mut self.rates[kind as usize];
            let used = std::mem::take(&mut each.named(&whose).untold);
            told.push(Usage { kind, whose, used });
        }
        told
    }

    /// What another shard tells.
    pub fn hear(&mut self, told: &[Usage], now: u64) {
        for usage in told {
            let each = &mut self.rates[usage.kind as usize];
            let rate = &mut each.named(&usage.whose).rate;
            rate.record(self.windows, usage.used, now);
        }
    }

    /// Forgets who has used nothing for as long as the windows reach. Whether anybody is left.
    pub fn forget_idle(&mut self, now: u64) -> bool {
        for each in &mut self.rates {
            let windows = self.windows;
            each.retain(|one| one.untold > 0.0 || !one.rate.idle(windows, now));
        }
        let windows = self.mutation_windows;
        self.buckets.retain(|bucket| !bucket.full(windows, now));
        self.buckets.count > 0 || self.rates.iter().any(|each| each.count > 0)
    }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
