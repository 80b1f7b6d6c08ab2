//! Changes of quotas, judged against what is set.
//!
//! Source: Kafka `ClientQuotaControlManager.alterClientQuotas`, `QuotaConfig`.

use std::collections::{BTreeMap, BTreeSet};

use odradek_wire::ErrorCode;
use odradek_wire::metadata_records::MetadataRecord;

use super::Kind;
use super::entity::Entity;
use super::table::{ClientQuotas, record};

/// One entity's changes as a request names them.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Types and names, null for the default.
    pub entity: BTreeMap<String, Option<String>>,
    /// Names and new values, none to remove it.
    pub changes: Vec<(String, Option<f64>)>,
}

/// A change that is to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Alteration {
    pub entity: Entity,
    pub key: String,
    pub value: Option<f64>,
}

/// Why an entity's quotas stay as they are.
type Refused = (ErrorCode, String);

impl Alteration {
    /// As Kafka writes it.
    pub fn record(&self) -> MetadataRecord<'_> {
        record(&self.entity, &self.key, self.value)
    }
}

/// What a request comes to.
#[derive(Debug, Default)]
pub struct Plan {
    /// To be written.
    pub changes: Vec<Alteration>,
    /// For each distinct entity the number of the first that names it, in order.
    pub named: Vec<usize>,
    /// For each of these whether it is changed.
    pub results: Vec<Result<(), Refused>>,
}

/// Plans at most `most` changes.
pub fn plan(now: &ClientQuotas, asked: &[Asked], most: usize) -> Plan {
    let mut seen: BTreeMap<&BTreeMap<String, Option<String>>, usize> = BTreeMap::new();
    let Plan {
        changes: mut planned,
        mut named,
        mut results,
    } = Plan::default();
    for (number, one) in asked.iter().enumerate() {
        if let Some(number) = seen.get(&one.entity) {
            // What it was first asked for holds all the same, as in Kafka.
            let why = format!("Ignoring duplicate entity {:?}", one.entity);
            results[*number] = Err((ErrorCode::InvalidRequest, why));
            continue;
        }
        seen.insert(&one.entity, results.len());
        named.push(number);
        let changes = changes(now, one);
        results.push(changes.and_then(|changes| {
            if planned.len() + changes.len() > most {
                let why = format!("one request can change {most} quotas");
                return Err((ErrorCode::PolicyViolation, why));
            }
            planned.extend(changes);
            Ok(())
        }));
    }
    Plan {
        changes: planned,
        named,
        results,
    }
}

fn changes(now: &ClientQuotas, asked: &Asked) -> Result<Vec<Alteration>, Refused> {
    let invalid = |why: String| (ErrorCode::InvalidRequest, why);
    let mut names = BTreeSet::new();
    for (key, _) in &asked.changes {
        if !names.insert(key) {
            return Err(invalid(format!("Duplicate quota key {key}")));
        }
    }
    let entity = Entity::read(&asked.entity).map_err(invalid)?;
    let mut changes = Vec::new();
    for (key, value) in &asked.changes {
        let before = now.value(&entity, key);
        if let Some(value) = value {
            check(&entity, key, *value).map_err(invalid)?;
        }
        if before != *value {
            changes.push(Alteration {
                entity: entity.clone(),
                key: key.clone(),
                value: *value,
            });
        }
    }
    Ok(changes)
}

fn check(entity: &Entity, key: &str, value: f64) -> Result<(), String> {
    let kind = Kind::of_key(key).filter(|kind| kind.is_of_addresses() == entity.ip.is_some());
    let kind = kind.ok_or_else(|| format!("Invalid configuration key {key}"))?;
    // NaN, too, is refused.
    if value.is_nan() || value <= 0.0 {
        return Err(format!("Quota {key} must be greater than 0"));
    }
    if let Some((most, of_type)) = kind.whole_max() {
        if value > most as f64 {
            return Err(format!(
                "Proposed value for {key} is too large for {of_type}."
            ));
        }
        if (value % 1.0).abs() > 1e-6 {
            return Err(format!("{key} cannot be a fractional value."));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(entity: &[(&str, Option<&str>)], changes: &[(&str, Option<f64>)]) -> Asked {
        let entity = entity
            .iter()
            .map(|(kind, name)| ((*kind).to_owned(), name.map(str::to_owned)));
        let changes = changes
            .iter()
            .map(|(key, value)| ((*key).to_owned(), *value));
        Asked {
            entity: entity.collect(),
            changes: changes.collect(),
        }
    }

    fn applied(now: &mut ClientQuotas, asked: &[Asked]) -> (usize, Vec<String>) {
        let Plan {
            changes, results, ..
        } = plan(now, asked, 100);
        for change in &changes {
            let MetadataRecord::ClientQuota(record) = change.record() else {
                unreachable!()
            };
            now.apply(&record);
        }
        let told = results.into_iter();
        let told = told.map(|one| one.err().map_or_else(String::new, |(_, why)| why));
        (changes.len(), told.collect())
    }

    #[test]
    fn only_what_changes_is_written() {
        let mut now = ClientQuotas::default();
        let user = [("user", Some("u")), ("client-id", None)];
        let set = asked(
            &user,
            &[
                ("producer_byte_rate", Some(5.0)),
                ("request_percentage", Some(0.5)),
            ],
        );
        assert_eq!(
            applied(&mut now, std::slice::from_ref(&set)),
            (2, vec![String::new()])
        );
        assert_eq!(applied(&mut now, &[set]), (0, vec![String::new()]));
        let gone = asked(
            &user,
            &[("producer_byte_rate", None), ("no_such_key", None)],
        );
        assert_eq!(applied(&mut now, &[gone]), (1, vec![String::new()]));
        assert_eq!(now.all().count(), 1);
    }

    #[test]
    fn what_cannot_be_is_refused_alone() {
        let user = |name| [("user", Some(name))];
        let cases: [(&str, Option<f64>, &str); 8] = [
            ("no_such_key", Some(1.0), "Invalid configuration key"),
            (
                "connection_creation_rate",
                Some(1.0),
                "Invalid configuration key",
            ),
            ("producer_byte_rate", Some(0.0), "greater than 0"),
            ("producer_byte_rate", Some(-1.0), "greater than 0"),
            ("producer_byte_rate", Some(f64::NAN), "greater than 0"),
            ("producer_byte_rate", Some(1.5), "fractional"),
            ("consumer_byte_rate", Some(1e30), "too large"),
            ("request_percentage", Some(-0.1), "greater than 0"),
        ];
        for (key, value, text) in cases {
            let mut now = ClientQuotas::default();
            let all = [
                asked(
                    &user("bad"),
                    &[("controller_mutation_rate", Some(9.0)), (key, value)],
                ),
                asked(&user("good"), &[("producer_byte_rate", Some(7.0))]),
            ];
            let (count, told) = applied(&mut now, &all);
            assert_eq!((count, told[1].as_str()), (1, ""));
            assert!(told[0].contains(text), "{}", told[0]);
        }
        let mut now = ClientQuotas::default();
        let rate = "connection_creation_rate";
        for (address, value, text) in [
            ("127.0.0.1", 1.0, ""),
            ("::1", 1.0, ""),
            ("127.0.0.1", 1.5, "fractional"),
            ("127.0.0.1", 1e10, "too large for an INT"),
            ("no.such", 1.0, "no.such is not an address"),
        ] {
            let of = [("ip", Some(address))];
            let (count, told) = applied(&mut now, &[asked(&of, &[(rate, Some(value))])]);
            assert!(told[0].contains(text), "{}", told[0]);
            assert_eq!(count, usize::from(text.is_empty()), "{address}");
        }
        let twice = [
            ("producer_byte_rate", Some(1.0)),
            ("producer_byte_rate", None),
        ];
        let (_, told) = applied(&mut now, &[asked(&user("u"), &twice)]);
        assert!(told[0].contains("Duplicate"), "{}", told[0]);
    }

    #[test]
    fn an_entity_named_twice_is_told_once_and_changed_by_the_first() {
        let mut now = ClientQuotas::default();
        let one = |value| asked(&[("user", None)], &[("producer_byte_rate", Some(value))]);
        let (count, told) = applied(&mut now, &[one(1.0), one(2.0)]);
        assert_eq!((count, told.len()), (1, 1));
        assert!(told[0].contains("duplicate"));
    }

    #[test]
    fn a_request_changes_so_much() {
        let one = |name| {
            asked(
                &[("user", Some(name))],
                &[
                    ("producer_byte_rate", Some(1.0)),
                    ("consumer_byte_rate", Some(1.0)),
                ],
            )
        };
        let plan = plan(&ClientQuotas::default(), &[one("a"), one("b")], 3);
        assert_eq!((plan.changes.len(), plan.results[0].is_ok()), (2, true));
        assert_eq!(plan.named, [0, 1]);
        assert_eq!(
            plan.results[1].as_ref().unwrap_err().0,
            ErrorCode::PolicyViolation
        );
    }
}
