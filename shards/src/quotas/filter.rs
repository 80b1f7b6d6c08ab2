//! Which quotas DescribeClientQuotas tells.
//!
//! Source: Kafka `ClientQuotasImage.describe`.

use std::collections::BTreeMap;

use odradek_wire::ErrorCode;
use odradek_wire::describe_client_quotas::ComponentData;

use super::entity::{CLIENT_ID, Entity, IP, USER};

/// `DescribeClientQuotasRequest.MATCH_TYPE_*`.
const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const SPECIFIED: i8 = 2;

enum Match<'a> {
    /// This name, or the default.
    Exactly(Option<&'a str>),
    Any,
}

/// See the module.
pub struct Filter<'a> {
    parts: BTreeMap<&'a str, Match<'a>>,
    strict: bool,
}

impl<'a> Filter<'a> {
    /// What a request asks for. `strict`: entities have no other parts.
    ///
    /// # Errors
    /// Kafka's error and its reason.
    pub fn read(
        components: &[ComponentData<'a>],
        strict: bool,
    ) -> Result<Filter<'a>, (ErrorCode, String)> {
        let mut parts = BTreeMap::new();
        let invalid = |why: String| Err((ErrorCode::InvalidRequest, why));
        for component in components {
            let kind = component.entity_type;
            if kind.is_empty() {
                return invalid("Invalid empty entity type.".into());
            }
            if parts.contains_key(kind) {
                return invalid(format!(
                    "Entity type {kind} cannot appear more than once in the filter."
                ));
            }
            if ![USER, CLIENT_ID, IP].contains(&kind) {
                let why = format!("Unsupported entity type {kind}");
                return Err((ErrorCode::UnsupportedVersion, why));
            }
            let part = match (component.match_type, component.r#match) {
                (EXACT, Some(name)) => Match::Exactly(Some(name)),
                (EXACT, None) => {
                    return invalid(
                        "Request specified MATCH_TYPE_EXACT, but set match string to null.".into(),
                    );
                }
                (DEFAULT, None) => Match::Exactly(None),
                (DEFAULT, Some(_)) => {
                    return invalid(
                        "Request specified MATCH_TYPE_DEFAULT, but also specified a match string."
                            .into(),
                    );
                }
                (SPECIFIED, None) => Match::Any,
                (SPECIFIED, Some(_)) => {
                    return invalid(
                        "Request specified MATCH_TYPE_SPECIFIED, but also specified a match string."
                            .into(),
                    );
                }
                (other, _) => return invalid(format!("Unknown match type {other}")),
            };
            parts.insert(kind, part);
        }
        if parts.contains_key(IP) && parts.len() > 1 {
            return invalid(
                "Invalid entity filter component combination. IP filter component should not be used \
                 with user or clientId filter component."
                    .into(),
            );
        }
        Ok(Filter { parts, strict })
    }

    /// Whether an entity is asked for.
    pub fn matches(&self, entity: &Entity) -> bool {
        if self.strict && entity.parts().count() != self.parts.len() {
            return false;
        }
        let mut parts = self.parts.iter();
        parts.all(|(kind, wanted)| match (entity.part(kind), wanted) {
            (None, _) => false,
            (Some(_), Match::Any) => true,
            (Some(name), Match::Exactly(wanted)) => name.to_wire() == *wanted,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part<'a>(kind: &'a str, match_type: i8, name: Option<&'a str>) -> ComponentData<'a> {
        ComponentData {
            entity_type: kind,
            match_type,
            r#match: name,
        }
    }

    #[test]
    fn entities_match_as_kafka_has_it() {
        let of = |parts: &[(&'static str, Option<&'static str>)]| {
            Entity::of_record(parts.iter().copied())
        };
        let all = [
            of(&[("user", Some("u"))]),
            of(&[("user", None)]),
            of(&[("user", Some("u")), ("client-id", Some("c"))]),
            of(&[("user", Some("u")), ("client-id", None)]),
            of(&[("client-id", Some("c"))]),
        ];
        let found = |parts: &[ComponentData<'static>], strict| -> Vec<usize> {
            let filter = Filter::read(parts, strict).unwrap_or_else(|(_, why)| panic!("{why}"));
            let matching = all
                .iter()
                .enumerate()
                .filter(|(_, one)| filter.matches(one));
            matching.map(|(number, _)| number).collect()
        };
        assert_eq!(found(&[], false), [0, 1, 2, 3, 4]);
        assert_eq!(found(&[], true), [0; 0]);
        assert_eq!(found(&[part("user", EXACT, Some("u"))], false), [0, 2, 3]);
        assert_eq!(found(&[part("user", EXACT, Some("u"))], true), [0]);
        assert_eq!(found(&[part("user", DEFAULT, None)], false), [1]);
        assert_eq!(found(&[part("user", SPECIFIED, None)], true), [0, 1]);
        let both = [
            part("user", SPECIFIED, None),
            part("client-id", DEFAULT, None),
        ];
        assert_eq!(found(&both, true), [3]);
        assert_eq!(found(&[part("ip", SPECIFIED, None)], false), [0; 0]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let user = || part("user", SPECIFIED, None);
        for (parts, error, text) in [
            (
                vec![part("", EXACT, None)],
                ErrorCode::InvalidRequest,
                "empty",
            ),
            (
                vec![user(), user()],
                ErrorCode::InvalidRequest,
                "more than once",
            ),
            (
                vec![part("group", EXACT, None)],
                ErrorCode::UnsupportedVersion,
                "group",
            ),
            (
                vec![part("user", EXACT, None)],
                ErrorCode::InvalidRequest,
                "EXACT",
            ),
            (
                vec![part("user", DEFAULT, Some("u"))],
                ErrorCode::InvalidRequest,
                "DEFAULT",
            ),
            (
                vec![part("user", SPECIFIED, Some("u"))],
                ErrorCode::InvalidRequest,
                "SPECIFIED",
            ),
            (
                vec![part("user", 3, None)],
                ErrorCode::InvalidRequest,
                "type 3",
            ),
            (
                vec![user(), part("ip", SPECIFIED, None)],
                ErrorCode::InvalidRequest,
                "IP",
            ),
        ] {
            let (code, why) = Filter::read(&parts, false).err().expect(text);
            assert!(code == error && why.contains(text), "{code:?} {why}");
        }
    }
}
