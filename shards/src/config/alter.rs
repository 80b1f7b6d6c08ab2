//! What a request to alter settings makes of those that are given. Pure.
//!
//! Source: Kafka `ConfigurationControlManager.incrementalAlterConfigResource`, `validateAlterConfig`.

use super::layers::Given;
use super::row::Row;
use super::value::Kind;

/// One change (`AlterConfigOp.OpType`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// This text from now on.
    Set(String),
    /// As if it had never been set.
    Delete,
    /// To a list: the items, comma-separated, that it has not yet.
    Append(String),
    /// From a list: these items.
    Subtract(String),
}

/// A change to one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alteration {
    pub name: String,
    pub operation: Operation,
}

/// Longest text of a setting, bytes. The wire's strings are no longer, but lists grow.
const TEXT_BYTES_MAX: usize = 32_767;

/// Why an operation does not suit its setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsuitable {
    #[error("Can't {operation} to key {name} because its type is not LIST.")]
    NotAList {
        name: String,
        operation: &'static str,
    },
    #[error(
        "The configuration value of {name} cannot be added because it exceeds the maximum value \
         size of {TEXT_BYTES_MAX} bytes: it has {bytes}."
    )]
    TooLong { name: String, bytes: usize },
}

/// What differs in the end, by name: the new text, or `None` where it is taken away. Of texts only
/// the length is checked. A list that is not given is altered from its default.
///
/// # Errors
/// [`Unsuitable`]; a name that `row` does not know is no list.
pub fn changes(
    row: impl Fn(&str) -> Option<&'static Row>,
    given: &Given,
    alterations: &[Alteration],
) -> Result<Vec<(String, Option<String>)>, Unsuitable> {
    let mut changes = Vec::new();
    for Alteration { name, operation } in alterations {
        let list = |operation| match row(name).filter(|row| row.kind == Kind::List) {
            Some(row) => {
                let now = given.get(name).map(String::as_str).or(row.default);
                let items = now.unwrap_or_default().split(',');
                let items = items.filter(|item| !item.is_empty());
                Ok(items.map(str::to_owned).collect::<Vec<_>>())
            }
            None => Err(Unsuitable::NotAList {
                name: name.clone(),
                operation,
            }),
        };
        let new = match operation {
            Operation::Set(text) => Some(text.clone()),
            Operation::Delete => None,
            Operation::Append(items) => {
                let mut all = list("APPEND")?;
                for item in items.split(',') {
                    if all.iter().all(|had| had != item) {
                        all.push(item.to_owned());
                    }
                }
                Some(all.join(","))
            }
            Operation::Subtract(items) => {
                let mut all = list("SUBTRACT")?;
                all.retain(|had| items.split(',').all(|item| item != had));
                Some(all.join(","))
            }
        };
        if new.as_ref() != given.get(name) {
            if let Some(text) = new.as_ref().filter(|text| text.len() > TEXT_BYTES_MAX) {
                let (name, bytes) = (name.clone(), text.len());
                return Err(Unsuitable::TooLong { name, bytes });
            }
            changes.push((name.clone(), new));
        }
    }
    Ok(changes)
}

/// `given` after `changes`.
pub fn changed(given: &Given, changes: &[(String, Option<String>)]) -> Given {
    let mut after = given.clone();
    for (name, text) in changes {
        match text {
            Some(text) => after.insert(name.clone(), text.clone()),
            None => after.remove(name),
        };
    }
    after
}

/// The alterations that leave exactly `wanted`: what AlterConfigs asks for.
pub fn replacement(given: &Given, wanted: Vec<(String, String)>) -> Vec<Alteration> {
    let forgotten: Vec<Alteration> = given
        .keys()
        .filter(|name| wanted.iter().all(|(wanted, _)| wanted != *name))
        .map(|name| Alteration {
            name: name.clone(),
            operation: Operation::Delete,
        })
        .collect();
    let set = wanted.into_iter().map(|(name, text)| Alteration {
        name,
        operation: Operation::Set(text),
    });
    set.chain(forgotten).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::topic::topic_row;

    fn given(texts: &[(&str, &str)]) -> Given {
        let owned = texts
            .iter()
            .map(|(n, t)| ((*n).to_owned(), (*t).to_owned()));
        owned.collect()
    }

    fn alter(
        texts: &[(&str, &str)],
        name: &str,
        operation: Operation,
    ) -> Result<Given, Unsuitable> {
        let given = given(texts);
        let alteration = Alteration {
            name: name.to_owned(),
            operation,
        };
        let row = |name: &str| topic_row(name).ok().map(|topic| &topic.row);
        changes(row, &given, &[alteration]).map(|changes| changed(&given, &changes))
    }

    #[test]
    fn lists_grow_and_shrink_from_their_default() {
        use Operation::{Append, Delete, Set, Subtract};
        const NAME: &str = "cleanup.policy";
        let text = |before: &[(&str, &str)], operation| {
            let after = alter(before, NAME, operation).expect("a list");
            after.get(NAME).cloned()
        };
        let both = Some("delete,compact".to_owned());
        assert_eq!(text(&[], Append("compact".into())), both);
        let set = [(NAME, "delete,compact")];
        assert_eq!(text(&set, Append("compact,delete".into())), both);
        assert_eq!(
            text(&set, Subtract("compact".into())),
            Some("delete".into())
        );
        assert_eq!(
            text(&set, Subtract("delete,compact".into())),
            Some("".into())
        );
        assert_eq!(text(&set, Subtract("other".into())), both);
        assert_eq!(text(&set, Set("compact".into())), Some("compact".into()));
        assert_eq!(text(&set, Delete), None);
        assert_eq!(text(&[], Delete), None);
        let refused = alter(&[], "retention.ms", Append("5".into())).unwrap_err();
        let why = "Can't APPEND to key retention.ms because its type is not LIST.";
        assert_eq!(refused.to_string(), why);
        assert!(alter(&[], "no.such", Subtract("5".into())).is_err());
    }

    #[test]
    fn texts_are_bounded_also_those_that_grow() {
        use Operation::{Append, Set, Subtract};
        const NAME: &str = "leader.replication.throttled.replicas";
        let longest = "1".repeat(TEXT_BYTES_MAX);
        let set = |text: String| alter(&[], NAME, Set(text));
        assert!(set(longest.clone()).is_ok());
        let refused = set(format!("{longest}1")).unwrap_err().to_string();
        assert!(refused.contains("maximum value size of 32767 bytes"));
        assert!(refused.contains(NAME) && refused.len() < 300, "{refused}");
        let grown = alter(&[(NAME, &longest)], NAME, Append("2".into()));
        assert!(matches!(
            grown,
            Err(Unsuitable::TooLong { bytes: 32_769, .. })
        ));
        assert!(alter(&[(NAME, &longest)], NAME, Subtract("2".into())).is_ok());
    }

    #[test]
    fn what_stays_the_same_is_no_change() {
        let given = given(&[("retention.ms", "5")]);
        let same = Alteration {
            name: "retention.ms".into(),
            operation: Operation::Set("5".into()),
        };
        assert_eq!(changes(|_| None, &given, &[same]), Ok(Vec::new()));
    }

    #[test]
    fn a_replacement_forgets_what_is_not_named() {
        let given = given(&[("a", "1"), ("b", "2")]);
        let wanted = vec![("b".to_owned(), "3".to_owned()), ("c".into(), "4".into())];
        let alterations = replacement(&given, wanted);
        let changes = changes(|_| None, &given, &alterations).unwrap();
        let after = changed(&given, &changes);
        let texts: Vec<_> = after
            .iter()
            .map(|(n, t)| (n.as_str(), t.as_str()))
            .collect();
        assert_eq!(texts, [("b", "3"), ("c", "4")]);
    }
}
