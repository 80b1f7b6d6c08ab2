//! What a host must know of the coordinator that it carries out the decisions of.

use odradek_engine::types::{Epoch, ProducerId};
use odradek_wire::{DecodeError, EncodeError};

use super::effects::{Effect, Token};
use super::groups::codec::EncodedRecord;
use super::groups::{self, GroupsShard};
use super::transactions::{self, TransactionsShard};
use crate::catalog::Image;
use crate::config::Settings;

/// The effects of a coordinator's decisions.
pub type EffectsOf<C> =
    Vec<Effect<<C as Coordinator>::Reply, <C as Coordinator>::Record, <C as Coordinator>::Errand>>;

/// Decides over the records of one partition of an internal topic.
pub trait Coordinator: Sized + 'static {
    type Record: 'static;
    type Reply: 'static;
    type Errand: 'static;

    /// The internal topic.
    const TOPIC: &'static str;
    /// What it coordinates, in words.
    const WHAT: &'static str;

    /// Without anything; `epoch`: of the partition's leader.
    fn new(settings: &Settings, image: &Image, epoch: Epoch) -> Self;
    /// Goes by a new image from now on.
    fn adopt(&mut self, image: &Image);
    /// Folds a record of the log in.
    fn replay(&mut self, record: Self::Record);
    /// The same for a record of a transaction, which counts when that commits.
    fn replay_open(&mut self, producer: ProducerId, record: Self::Record);
    /// A transaction's end.
    fn replay_end(&mut self, producer: ProducerId, commit: bool);
    fn loaded(&mut self, now_ms: i64, out: &mut EffectsOf<Self>);
    fn unload(&mut self, now_ms: i64, out: &mut EffectsOf<Self>);
    fn persisted(
        &mut self,
        token: Token,
        outcome: Result<(), i16>,
        now_ms: i64,
        out: &mut EffectsOf<Self>,
    );
    fn next_deadline(&self) -> Option<i64>;
    fn tick(&mut self, now_ms: i64, out: &mut EffectsOf<Self>);
    fn encode(record: &Self::Record) -> Result<EncodedRecord, EncodeError>;
    /// `Ok(None)`: a record that means nothing here.
    fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Self::Record>, DecodeError>;
}

impl Coordinator for GroupsShard {
    type Record = groups::Record;
    type Reply = groups::Reply;
    type Errand = std::convert::Infallible;

    const TOPIC: &'static str = "__consumer_offsets";
    const WHAT: &'static str = "groups";

    fn new(settings: &Settings, _: &Image, _: Epoch) -> Self {
        GroupsShard::new(groups::Settings {
            session_timeout_min_ms: settings.group_min_session_timeout_ms,
            session_timeout_max_ms: settings.group_max_session_timeout_ms,
            group_size_max: settings.group_max_size.max(1) as usize,
            initial_rebalance_delay_ms: i64::from(settings.group_initial_rebalance_delay_ms),
            offset_metadata_max: settings.offset_metadata_max_bytes.max(0) as usize,
            offsets_retention_ms: i64::from(settings.offsets_retention_minutes) * 60_000,
            offsets_retention_check_interval_ms: settings.offsets_retention_check_interval_ms,
            ..groups::Settings::default()
        })
    }

    fn adopt(&mut self, _: &Image) {}

    fn replay(&mut self, record: groups::Record) {
        GroupsShard::replay(self, record);
    }

    fn replay_open(&mut self, producer: ProducerId, record: groups::Record) {
        GroupsShard::replay_open(self, producer, record);
    }

    fn replay_end(&mut self, producer: ProducerId, commit: bool) {
        self.transaction_ended(producer, commit);
    }

    fn loaded(&mut self, now_ms: i64, out: &mut EffectsOf<Self>) {
        GroupsShard::loaded(self, now_ms, out);
    }

    fn unload(&mut self, now_ms: i64, out: &mut EffectsOf<Self>) {
        GroupsShard::unload(self, now_ms, out);
    }

    fn persisted(
        &mut self,
        token: Token,
        outcome: Result<(), i16>,
        now_ms: i64,
        out: &mut EffectsOf<Self>,
    ) {
        GroupsShard::persisted(self, token, outcome, now_ms, out);
    }

    fn next_deadline(&self) -> Option<i64> {
        GroupsShard::next_deadline(self)
    }

    fn tick(&mut self, now_ms: i64, out: &mut EffectsOf<Self>) {
        GroupsShard::tick(self, now_ms, out);
    }

    fn encode(record: &groups::Record) -> Result<EncodedRecord, EncodeError> {
        groups::codec::encode_record(record)
    }

    fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<groups::Record>, DecodeError> {
        groups::codec::decode_record(key, value)
    }
}

impl Coordinator for TransactionsShard {
    type Record = transactions::Record;
    type Reply = transactions::Reply;
    type Errand = transactions::Markers;

    const TOPIC: &'static str = "__transaction_state";
    const WHAT: &'static str = "transactions";

    fn new(settings: &Settings, image: &Image, epoch: Epoch) -> Self {
        let settings = transactions::Settings {
            timeout_max_ms: settings.transaction_max_timeout_ms,
            id_expiration_ms: i64::from(settings.transactional_id_expiration_ms),
            ..transactions::Settings::default()
        };
        let mut shard = TransactionsShard::new(settings, epoch);
        shard.set_version(image.transaction_version());
        shard
    }

    fn adopt(&mut self, image: &Image) {
        self.set_version(image.transaction_version());
    }

    fn replay(&mut self, record: transactions::Record) {
        TransactionsShard::replay(self, record);
    }

    /// Nobody writes these.
    fn replay_open(&mut self, _: ProducerId, _: transactions::Record) {}

    fn replay_end(&mut self, _: ProducerId, _: bool) {}

    fn loaded(&mut self, now_ms: i64, out: &mut EffectsOf<Self>) {
        TransactionsShard::loaded(self, now_ms, out);
    }

    fn unload(&mut self, _: i64, out: &mut EffectsOf<Self>) {
        TransactionsShard::unload(self, out);
    }

    fn persisted(
        &mut self,
        token: Token,
        outcome: Result<(), i16>,
        now_ms: i64,
        out: &mut EffectsOf<Self>,
    ) {
        TransactionsShard::persisted(self, token, outcome, now_ms, out);
    }

    fn next_deadline(&self) -> Option<i64> {
        TransactionsShard::next_deadline(self)
    }

    fn tick(&mut self, now_ms: i64, out: &mut EffectsOf<Self>) {
        TransactionsShard::tick(self, now_ms, out);
    }

    fn encode(record: &transactions::Record) -> Result<EncodedRecord, EncodeError> {
        transactions::codec::encode_record(record)
    }

    fn decode(
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<Option<transactions::Record>, DecodeError> {
        transactions::codec::decode_record(key, value)
    }
}
