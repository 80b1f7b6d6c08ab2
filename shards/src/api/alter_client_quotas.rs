//! AlterClientQuotas: written as Kafka's own ClientQuotaRecords; every shard judges by them before it is
//! answered.
//!
//! Source: KIP-546, Kafka `ClientQuotaControlManager`.

use std::ops::RangeInclusive;
use std::rc::Rc;
use std::sync::Arc;

use odradek_wire::Message;
use odradek_wire::alter_client_quotas::{
    AlterClientQuotasRequest, AlterClientQuotasResponse, RequestEntryData, ResponseEntityData,
    ResponseEntryData,
};

use super::change::{self, RECORDS_PER_REQUEST_MAX, Refused};
use super::{Broker, Call, Outcome, Refusal, configs};
use crate::quotas::{Alteration, Asked, plan};

pub(super) const KEY: i16 = 49;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    AlterClientQuotasRequest::MIN_VERSION..=AlterClientQuotasRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: AlterClientQuotasRequest<'_> = call.decode()?;
    let asked: Arc<[Asked]> = request.entries.iter().map(read).collect();
    let (named, results) = alter(call.broker, &asked, request.validate_only).await;
    let entries = named.iter().zip(&results).map(|(number, result)| {
        let (error_code, error_message) = configs::told(result);
        ResponseEntryData {
            error_code,
            error_message,
            entity: asked[*number]
                .entity
                .iter()
                .map(|(entity_type, name)| ResponseEntityData {
                    entity_type,
                    entity_name: name.as_deref(),
                })
                .collect(),
        }
    });
    call.reply(&AlterClientQuotasResponse {
        throttle_time_ms: 0,
        entries: entries.collect(),
    })
}

/// A part that is named twice is its last name, as in Kafka.
fn read(entry: &RequestEntryData<'_>) -> Asked {
    let parts = entry.entity.iter();
    let changes = entry.ops.iter();
    Asked {
        entity: parts
            .map(|part| {
                let name = part.entity_name.map(str::to_owned);
                (part.entity_type.to_owned(), name)
            })
            .collect(),
        changes: changes
            .map(|op| (op.key.to_owned(), (!op.remove).then_some(op.value)))
            .collect(),
    }
}

/// For each distinct entity the number of the first that names it, and nothing, or why it stays as it is.
type Altered = (Vec<usize>, Vec<Result<(), Refused>>);

/// Changes quotas, from any shard; an entity that is refused does not hinder the others.
async fn alter(broker: &Rc<Broker>, asked: &Arc<[Asked]>, validate_only: bool) -> Altered {
    let there = asked.clone();
    let task = move |controller: Rc<Broker>| {
        Box::pin(async move { alter_here(&controller, &there, validate_only).await }) as _
    };
    match change::at_controller(broker, task).await {
        Ok(altered) => altered,
        Err(refused) => {
            let all = 0..asked.len();
            (all.clone().collect(), vec![Err(refused); all.len()])
        }
    }
}

async fn alter_here(broker: &Rc<Broker>, asked: &[Asked], validate_only: bool) -> Altered {
    let change = broker.controller().begin().await;
    let plan = plan(change.image().quotas(), asked, RECORDS_PER_REQUEST_MAX);
    let mut results = plan.results;
    if !validate_only {
        let records: Vec<_> = plan.changes.iter().map(Alteration::record).collect();
        change::commit(broker, change, &records, &mut results).await;
    }
    (plan.named, results)
}
