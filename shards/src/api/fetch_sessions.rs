//! Fetch sessions: a client names its partitions once, then says and hears only what changed.
//!
//! Who comes next when all slots are taken is Kafka's rule: a session unused for two minutes goes
//! first; else the smallest one that has lived that long, if the new one is larger; else the
//! newcomer gets no session, and fetches whole each time.
//!
//! Absent on purpose: clocks and I/O (time and chance come in), followers' privilege.
//!
//! Source: KIP-227, KIP-516, Kafka `FetchSessionCache`, `FetchManager`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use odradek_wire::{ErrorCode, Uuid};

/// Nanoseconds after which a session may be evicted: Kafka's
/// `MIN_INCREMENTAL_FETCH_SESSION_EVICTION_MS`.
const EVICTION_NS: u64 = 120_000_000_000;

/// Partitions of all sessions of a shard, at most; some 200 bytes each.
pub const PARTITIONS_MAX: usize = 200_000;

/// The epoch of a request that wants a new session.
const INITIAL_EPOCH: i32 = 0;
/// The epoch of a request that wants none.
const FINAL_EPOCH: i32 = -1;

/// How a client names a topic: by id from version 13 on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopicKey {
    Name(Arc<str>),
    Id(Uuid),
}

/// What a client wants of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub topic: TopicKey,
    pub index: i32,
    pub offset: i64,
    pub bytes_max: i32,
    pub leader_epoch: i32,
}

/// What a client is told of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    pub visible: i64,
    pub log_start: i64,
    pub bytes: u64,
    pub failed: bool,
}

/// What a request's session fields say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    pub id: i32,
    pub epoch: i32,
    /// Topics are named by id.
    pub by_ids: bool,
}

/// What kind of answer a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Whole, without a session.
    Sessionless,
    /// Whole, with a new session if there is room.
    Full { by_ids: bool },
    /// What changed. `epoch` is the session's while this request is served.
    Incremental { id: i32, epoch: i32 },
}

struct Cached {
    wanted: Wanted,
    visible: i64,
    log_start: i64,
}

impl Cached {
    fn new(wanted: Wanted) -> Self {
        Cached {
            wanted,
            visible: -1,
            log_start: -1,
        }
    }

    /// Notes what the client is told; whether that is news.
    fn tell(&mut self, told: &Told) -> bool {
        let news = told.bytes > 0
            || told.failed
            || self.visible != told.visible
            || self.log_start != told.log_start;
        // After an error the next good answer is news.
        self.visible = if told.failed { -1 } else { told.visible };
        self.log_start = told.log_start;
        news
    }
}

/// What one client has said and heard.
pub struct Session {
    by_ids: bool,
    created: u64,
    used: u64,
    epoch: i32,
    /// Counted by the cache, and its key among the evictable.
    size: usize,
    /// In the order in which they are served.
    order: BTreeMap<u64, Cached>,
    places: BTreeMap<(TopicKey, i32), u64>,
    next_place: u64,
}

impl Session {
    fn put(&mut self, wanted: Wanted) {
        let key = (wanted.topic.clone(), wanted.index);
        match self.places.get(&key) {
            Some(place) => {
                if let Some(cached) = self.order.get_mut(place) {
                    cached.wanted = wanted;
                }
            }
            None => {
                self.places.insert(key, self.next_place);
                self.order.insert(self.next_place, Cached::new(wanted));
                self.next_place += 1;
            }
        }
    }

    fn forget(&mut self, key: &(TopicKey, i32)) {
        if let Some(place) = self.places.remove(key) {
            self.order.remove(&place);
        }
    }

    fn tell(&mut self, wanted: &Wanted, told: &Told) -> bool {
        let key = (wanted.topic.clone(), wanted.index);
        let Some(place) = self.places.get(&key).copied() else {
            return true;
        };
        let Some(cached) = self.order.get_mut(&place) else {
            return true;
        };
        let news = cached.tell(told);
        // Who got records waits behind those who got none: the byte limit starves nobody.
        if told.bytes > 0
            && let Some(cached) = self.order.remove(&place)
        {
            self.order.insert(self.next_place, cached);
            self.places.insert(key, self.next_place);
            self.next_place += 1;
        }
        news
    }
}

/// See the module.
pub struct FetchSessions {
    slots: usize,
    partitions_max: usize,
    partitions: usize,
    sessions: BTreeMap<i32, Session>,
    by_use: BTreeSet<(u64, i32)>,
    evictable: BTreeSet<(usize, i32)>,
}

fn next_epoch(epoch: i32) -> i32 {
    match epoch {
        i32::MAX => 1,
        epoch => epoch + 1,
    }
}

impl FetchSessions {
    /// A cache of `slots` sessions with `partitions_max` partitions in all.
    pub fn new(slots: usize, partitions_max: usize) -> Self {
        FetchSessions {
            slots,
            partitions_max,
            partitions: 0,
            sessions: BTreeMap::new(),
            by_use: BTreeSet::new(),
            evictable: BTreeSet::new(),
        }
    }

    /// Takes a request in: how it is answered, and the partitions to serve, in order. `now` is in
    /// nanoseconds of any steady clock.
    ///
    /// # Errors
    /// FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, FETCH_SESSION_TOPIC_ID_ERROR: the
    /// client then begins a new session.
    pub fn begin(
        &mut self,
        now: u64,
        asked: Asked,
        wanted: Vec<Wanted>,
        forgotten: &[(TopicKey, i32)],
    ) -> Result<(Kind, Vec<Wanted>), ErrorCode> {
        if asked.epoch == INITIAL_EPOCH || asked.epoch == FINAL_EPOCH {
            self.remove(asked.id);
            let kind = match asked.epoch {
                FINAL_EPOCH => Kind::Sessionless,
                _ => Kind::Full {
                    by_ids: asked.by_ids,
                },
            };
            return Ok((kind, wanted));
        }
        let Some(session) = self.sessions.get_mut(&asked.id) else {
            return Err(ErrorCode::FetchSessionIdNotFound);
        };
        if session.epoch != asked.epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.by_ids != asked.by_ids {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        for key in forgotten {
            session.forget(key);
        }
        let room = self.partitions_max - (self.partitions - session.size);
        for wanted in wanted {
            session.put(wanted);
            if session.order.len() > room {
                self.remove(asked.id);
                return Err(ErrorCode::FetchSessionIdNotFound);
            }
        }
        if session.order.is_empty() {
            self.remove(asked.id);
            return Ok((Kind::Sessionless, Vec::new()));
        }
        session.epoch = next_epoch(session.epoch);
        let epoch = session.epoch;
        let serve = session.order.values().map(|cached| cached.wanted.clone());
        let serve = serve.collect();
        self.touch(asked.id, now);
        Ok((
            Kind::Incremental {
                id: asked.id,
                epoch,
            },
            serve,
        ))
    }

    /// Makes a session of a request answered whole; its id, or 0. `random` draws ids.
    pub fn create(
        &mut self,
        now: u64,
        by_ids: bool,
        answered: &[(Wanted, Told)],
        mut random: impl FnMut() -> u64,
    ) -> i32 {
        let size = answered.len();
        if size == 0 {
            return 0;
        }
        if !self.make_room(now, size) {
            return 0;
        }
        let id = loop {
            let id = (random() & 0x7fff_ffff) as i32;
            if id != 0 && !self.sessions.contains_key(&id) {
                break id;
            }
        };
        let mut session = Session {
            by_ids,
            created: now,
            used: now,
            epoch: next_epoch(INITIAL_EPOCH),
            size: 0,
            order: BTreeMap::new(),
            places: BTreeMap::new(),
            next_place: 0,
        };
        for (wanted, told) in answered {
            session.put(wanted.clone());
            session.tell(wanted, told);
        }
        self.sessions.insert(id, session);
        self.touch(id, now);
        id
    }

    /// What of an incremental answer is news: one truth per partition answered.
    ///
    /// # Errors
    /// INVALID_FETCH_SESSION_EPOCH if a later request of the session came meanwhile.
    pub fn tell(
        &mut self,
        id: i32,
        epoch: i32,
        answered: &[(Wanted, Told)],
    ) -> Result<Vec<bool>, ErrorCode> {
        let Some(session) = self.sessions.get_mut(&id) else {
            // Evicted meanwhile: the client hears all, and of the eviction with its next request.
            return Ok(vec![true; answered.len()]);
        };
        if session.epoch != epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        let news = answered
            .iter()
            .map(|(wanted, told)| session.tell(wanted, told));
        Ok(news.collect())
    }

    fn touch(&mut self, id: i32, now: u64) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        self.by_use.remove(&(session.used, id));
        self.evictable.remove(&(session.size, id));
        self.partitions -= session.size;
        session.used = now;
        session.size = session.order.len();
        self.partitions += session.size;
        self.by_use.insert((now, id));
        if now.saturating_sub(session.created) > EVICTION_NS {
            self.evictable.insert((session.size, id));
        }
    }

    fn remove(&mut self, id: i32) {
        drop(self.take(id));
    }

    /// Takes a session out: its client goes on elsewhere.
    pub fn take(&mut self, id: i32) -> Option<Session> {
        let session = self.sessions.remove(&id)?;
        self.by_use.remove(&(session.used, id));
        self.evictable.remove(&(session.size, id));
        self.partitions -= session.size;
        Some(session)
    }

    /// Puts a session in whose client comes from elsewhere. Whether there was room; if not, the
    /// client begins a new one.
    pub fn put(&mut self, now: u64, id: i32, mut session: Session) -> bool {
        if self.sessions.contains_key(&id) || !self.make_room(now, session.order.len()) {
            return false;
        }
        session.size = 0;
        self.sessions.insert(id, session);
        self.touch(id, now);
        true
    }

    /// Room for a newcomer of `size` partitions, if there is or can be.
    fn make_room(&mut self, now: u64, size: usize) -> bool {
        if size > self.partitions_max || self.slots == 0 {
            return false;
        }
        while self.sessions.len() >= self.slots || self.partitions + size > self.partitions_max {
            if !self.evict(now, size) {
                return false;
            }
        }
        true
    }

    /// Makes room for a newcomer of `size` partitions, if it is worth more than another.
    fn evict(&mut self, now: u64, size: usize) -> bool {
        let stale = self.by_use.first().copied();
        let stale = stale.filter(|(used, _)| now.saturating_sub(*used) > EVICTION_NS);
        let least = self.evictable.first().copied();
        let least = least.filter(|(other, _)| *other < size);
        let Some((_, id)) = stale.map(|(_, id)| (0, id)).or(least) else {
            return false;
        };
        self.remove(id);
        true
    }
}

#[cfg(test)]
#[path = "fetch_sessions_tests.rs"]
mod tests;
