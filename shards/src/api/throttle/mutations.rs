//! Changes of metadata count by the partitions that are made or removed (KIP-599).
//!
//! They are made on the controller's shard, and counted there: what is said here travels with them.

use odradek_wire::ErrorCode;

use super::Wait;
use crate::api::change::Refused;
use crate::api::{Broker, Call};
use crate::quotas::{ANONYMOUS, Kind};

/// For requests that are never refused for it: topics that are made because somebody asks about them.
pub const NEVER_STRICT: i16 = i16::MAX;

/// Who makes changes, how strictly they count, and how long they keep it waiting.
#[derive(Clone, Debug, Default)]
pub struct Mutations {
    /// `None`: nobody whose changes count.
    client: Option<Box<str>>,
    /// Nothing while the quota is exceeded; else it may, and waits.
    strict: bool,
    wait_ms: u32,
}

impl Mutations {
    /// Makes or removes so many partitions; asked on the controller's shard.
    ///
    /// # Errors
    /// THROTTLING_QUOTA_EXCEEDED: not now.
    pub fn spend(&mut self, controller: &Broker, partitions: usize) -> Result<(), Refused> {
        let quotas = &controller.quotas;
        let Some(client) = self
            .client
            .as_ref()
            .filter(|_| quotas.limit(Kind::Mutation))
        else {
            return Ok(());
        };
        quotas.stirred.raise();
        let (count, now) = (partitions as f64, controller.io.now());
        let mut book = quotas.book.borrow_mut();
        let judged = book.mutate(ANONYMOUS, client, count, self.strict, now);
        self.wait_ms = self.wait_ms.max(judged.wait_ms);
        match judged.refused {
            false => Ok(()),
            true => Err((
                ErrorCode::ThrottlingQuotaExceeded,
                "The throttling quota has been exceeded.".into(),
            )),
        }
    }
}

impl Call<'_> {
    /// Changes that the client asks for; strict for requests from this version on.
    pub(in crate::api) fn mutations(&self, strict_since: i16) -> Mutations {
        let limited = self.broker.quotas.limit(Kind::Mutation);
        Mutations {
            client: limited.then(|| self.client().into()),
            strict: self.version >= strict_since,
            wait_ms: 0,
        }
    }

    /// The changes were made, or refused.
    pub(in crate::api) fn mutated(&self, mutations: &Mutations) {
        self.must_wait(Wait {
            kind: Kind::Mutation,
            ms: mutations.wait_ms,
        });
    }
}
