//! UpdateFeatures: the level of a feature is raised or lowered for good (KIP-584, KIP-778).
//!
//! `transaction.version` can change; the level of metadata cannot. All of a request's changes
//! happen, or none.
//!
//! Source: Kafka `FeatureControlManager.updateFeatures`.

use std::ops::RangeInclusive;
use std::rc::Rc;

use odradek_wire::metadata_records::{FeatureLevelRecord, MetadataRecord};
use odradek_wire::update_features::{
    UpdatableFeatureResult, UpdateFeaturesRequest, UpdateFeaturesResponse,
};
use odradek_wire::{ErrorCode, Message};

use super::api_versions::METADATA_VERSION;
use super::change::{self, Refused};
use super::{Broker, Call, Outcome, Refusal};
use crate::catalog::image::TRANSACTION_VERSION;
use crate::coordinators::transactions::LATEST_VERSION;

pub(super) const KEY: i16 = UpdateFeaturesRequest::API_KEY;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    UpdateFeaturesRequest::MIN_VERSION..=UpdateFeaturesRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

/// First version without an answer for each feature.
const TOGETHER: i16 = 2;
/// `FeatureUpdate.UpgradeType`.
const UPGRADE: i8 = 1;
const SAFE_DOWNGRADE: i8 = 2;
const UNSAFE_DOWNGRADE: i8 = 3;

/// A change that is asked for.
#[derive(Clone, Debug)]
struct Update {
    feature: String,
    level: i16,
    kind: i8,
}

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: UpdateFeaturesRequest<'_> = call.decode()?;
    let updates: Vec<Update> = request
        .feature_updates
        .iter()
        .map(|update| Update {
            feature: update.feature.to_owned(),
            level: update.max_version_level,
            kind: match (call.version, update.allow_downgrade) {
                (0, true) => SAFE_DOWNGRADE,
                (0, false) => UPGRADE,
                _ => update.upgrade_type,
            },
        })
        .collect();
    let validate_only = call.version >= 1 && request.validate_only;
    let task = move |controller: Rc<Broker>| {
        Box::pin(async move { update_here(&controller, updates, validate_only).await }) as _
    };
    let updated = change::at_controller(call.broker, task).await;
    let updated: Result<(), Refused> = updated.and_then(|updated| updated);
    let why = updated.as_ref().err().map(|(_, why)| why.as_str());
    let results = request.feature_updates.iter().filter(|_| updated.is_ok());
    call.reply(&UpdateFeaturesResponse {
        error_code: updated
            .as_ref()
            .map_or_else(|(code, _)| code.code(), |()| 0),
        error_message: why,
        results: results
            .filter(|_| call.version < TOGETHER)
            .map(|update| UpdatableFeatureResult {
                feature: update.feature,
                error_code: 0,
                error_message: None,
            })
            .collect(),
        ..UpdateFeaturesResponse::default()
    })
}

async fn update_here(
    broker: &Rc<Broker>,
    updates: Vec<Update>,
    validate_only: bool,
) -> Result<(), Refused> {
    let controller = broker.controller();
    let change = controller.begin().await;
    let now = change.image().transaction_version();
    let mut level = now;
    for update in &updates {
        level = checked(update, level)?.unwrap_or(level);
    }
    if validate_only || level == now {
        return Ok(());
    }
    let record = MetadataRecord::FeatureLevel(FeatureLevelRecord {
        name: TRANSACTION_VERSION,
        feature_level: level,
    });
    let mut results = vec![Ok(())];
    change::commit(broker, change, &[record], &mut results).await;
    results.remove(0)
}

/// The level that `transaction.version` comes to have, if it is asked for.
fn checked(update: &Update, transaction_version: i16) -> Result<Option<i16>, Refused> {
    let Update {
        feature,
        level,
        kind,
    } = update;
    let refuse = |code, why: String| Err((code, format!("{feature} = {level}: {why}")));
    let (now, least, most) = match feature.as_str() {
        TRANSACTION_VERSION => (transaction_version, 0, LATEST_VERSION),
        "metadata.version" => {
            let level = *METADATA_VERSION.end();
            (level, level, level)
        }
        _ => {
            let why = "this node has no such feature".to_owned();
            return refuse(ErrorCode::InvalidUpdateVersion, why);
        }
    };
    if !(least..=most).contains(level) {
        let why = format!("it can be {least} to {most}");
        return refuse(ErrorCode::InvalidUpdateVersion, why);
    }
    match *kind {
        UPGRADE if *level < now => refuse(
            ErrorCode::InvalidUpdateVersion,
            format!("it is {now} now; a downgrade must be asked for as one"),
        ),
        SAFE_DOWNGRADE | UNSAFE_DOWNGRADE if *level > now => refuse(
            ErrorCode::InvalidUpdateVersion,
            format!("it is {now} now; that is no downgrade"),
        ),
        UPGRADE | SAFE_DOWNGRADE | UNSAFE_DOWNGRADE => {
            Ok((feature == TRANSACTION_VERSION).then_some(*level))
        }
        other => refuse(
            ErrorCode::InvalidUpdateVersion,
            format!("{other} is no kind of update"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(feature: &str, level: i16, kind: i8) -> Result<Option<i16>, ErrorCode> {
        let update = Update {
            feature: feature.to_owned(),
            level,
            kind,
        };
        checked(&update, 1).map_err(|(code, _)| code)
    }

    #[test]
    fn levels_go_where_they_are_said_to_go() {
        let refused = Err(ErrorCode::InvalidUpdateVersion);
        assert_eq!(ask("transaction.version", 2, UPGRADE), Ok(Some(2)));
        assert_eq!(ask("transaction.version", 1, UPGRADE), Ok(Some(1)));
        assert_eq!(ask("transaction.version", 0, SAFE_DOWNGRADE), Ok(Some(0)));
        assert_eq!(ask("transaction.version", 0, UPGRADE), refused);
        assert_eq!(ask("transaction.version", 2, SAFE_DOWNGRADE), refused);
        assert_eq!(ask("transaction.version", 3, UPGRADE), refused);
        assert_eq!(ask("transaction.version", -1, UNSAFE_DOWNGRADE), refused);
        assert_eq!(ask("transaction.version", 1, 9), refused);
        assert_eq!(ask("metadata.version", 30, UPGRADE), Ok(None));
        assert_eq!(ask("metadata.version", 29, SAFE_DOWNGRADE), refused);
        assert_eq!(ask("group.version", 1, UPGRADE), refused);
    }
}
