//! DeleteTopics, by name and by id.
//!
//! Source: Kafka `ControllerApis.deleteTopics`, KIP-516.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use odradek_wire::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};
use odradek_wire::{ErrorCode, Message, Uuid};

use super::change::Refused;
use super::topics;
use super::{Call, Outcome, Refusal};
use crate::catalog::Image;

pub(super) const KEY: i16 = 20;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    DeleteTopicsRequest::MIN_VERSION..=DeleteTopicsRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

/// First version that is refused what exceeds a quota.
const STRICT_SINCE: i16 = 5;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: DeleteTopicsRequest<'_> = call.decode()?;
    let broker = call.broker;
    let mut asked = request.topics.clone();
    asked.extend(request.topic_names.iter().map(|name| DeleteTopicState {
        name: Some(name),
        topic_id: Uuid::ZERO,
    }));
    let image = broker.image();
    let mut found = match broker.settings.delete_topic_enable {
        true => resolve(&image, &asked),
        false => asked.iter().map(|_| Err(disabled(call.version))).collect(),
    };
    let ids: Vec<Uuid> = found.iter().flatten().copied().collect();
    if !ids.is_empty() {
        let mut mutations = call.mutations(STRICT_SINCE);
        let deleted = topics::delete(broker, ids, &mut mutations).await;
        call.mutated(&mutations);
        let mut deleted = deleted.into_iter();
        for result in found.iter_mut().filter(|result| result.is_ok()) {
            if let Some(Err(refused)) = deleted.next() {
                *result = Err(refused);
            }
        }
    }
    let responses = asked.iter().zip(&found).map(|(asked, found)| {
        let (error, why) = match found {
            Ok(_) => (ErrorCode::None, None),
            Err((error, why)) => (*error, Some(why.as_str())),
        };
        let id = *found.as_ref().unwrap_or(&asked.topic_id);
        let known = image.topic_by_id(id).map(|topic| &*topic.name);
        DeletableTopicResult {
            // Older versions have no null.
            name: asked.name.or(known).or((call.version < 6).then_some("")),
            topic_id: id,
            error_code: error.code(),
            error_message: why,
        }
    });
    call.reply(&DeleteTopicsResponse {
        throttle_time_ms: 0,
        responses: responses.collect(),
    })
}

fn disabled(version: i16) -> Refused {
    let error = match version {
        0..3 => ErrorCode::InvalidRequest,
        _ => ErrorCode::TopicDeletionDisabled,
    };
    (error, "delete.topic.enable=false".into())
}

/// The id of each topic asked for, or why it cannot be removed.
fn resolve(image: &Image, asked: &[DeleteTopicState<'_>]) -> Vec<Result<Uuid, Refused>> {
    let invalid = |why: &str| Err((ErrorCode::InvalidRequest, why.to_owned()));
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    let mut given: BTreeMap<Uuid, usize> = BTreeMap::new();
    for topic in asked {
        match topic.name {
            Some(name) => *names.entry(name).or_default() += 1,
            None => *given.entry(topic.topic_id).or_default() += 1,
        }
    }
    let mut taken = BTreeSet::new();
    asked
        .iter()
        .map(|topic| {
            let found = match topic.name {
                Some(_) if topic.topic_id != Uuid::ZERO => {
                    return invalid("a topic is named by its name or by its id, not both");
                }
                Some(name) if names[name] > 1 => {
                    return invalid("the request names this topic more than once");
                }
                Some(name) => image.topic(name).ok_or((
                    ErrorCode::UnknownTopicOrPartition,
                    "there is no topic of this name".to_owned(),
                ))?,
                None if topic.topic_id == Uuid::ZERO => {
                    return invalid("neither a name nor an id is given");
                }
                None if given[&topic.topic_id] > 1 => {
                    return invalid("the request names this topic more than once");
                }
                None => image.topic_by_id(topic.topic_id).ok_or((
                    ErrorCode::UnknownTopicId,
                    "there is no topic with this id".to_owned(),
                ))?,
            };
            match taken.insert(found.id) {
                true => Ok(found.id),
                false => invalid("the request names this topic by name and by id"),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use odradek_wire::metadata_records::{MetadataRecord, TopicRecord};

    use super::*;

    #[test]
    fn topics_are_named_once_by_name_or_id() {
        let mut image = Image::default();
        let topic_id = Uuid([7; 16]);
        image.apply(&MetadataRecord::Topic(TopicRecord {
            name: "a",
            topic_id,
        }));
        let state = |name, id| DeleteTopicState { name, topic_id: id };
        let codes = |asked: &[DeleteTopicState<'_>]| -> Vec<ErrorCode> {
            let results = resolve(&image, asked).into_iter();
            results
                .map(|result| result.map_or_else(|(code, _)| code, |_| ErrorCode::None))
                .collect()
        };
        let by_name = state(Some("a"), Uuid::ZERO);
        let by_id = state(None, topic_id);
        assert_eq!(codes(std::slice::from_ref(&by_name)), [ErrorCode::None]);
        assert_eq!(codes(std::slice::from_ref(&by_id)), [ErrorCode::None]);
        assert_eq!(
            codes(&[by_name.clone(), by_id.clone()]),
            [ErrorCode::None, ErrorCode::InvalidRequest]
        );
        assert_eq!(
            codes(&[by_id.clone(), by_id]),
            [ErrorCode::InvalidRequest; 2]
        );
        assert_eq!(
            codes(&[by_name.clone(), by_name]),
            [ErrorCode::InvalidRequest; 2]
        );
        assert_eq!(
            codes(&[
                state(Some("b"), Uuid::ZERO),
                state(None, Uuid([8; 16])),
                state(None, Uuid::ZERO),
                state(Some("a"), topic_id),
            ]),
            [
                ErrorCode::UnknownTopicOrPartition,
                ErrorCode::UnknownTopicId,
                ErrorCode::InvalidRequest,
                ErrorCode::InvalidRequest,
            ]
        );
    }
}
