//! No text makes the reader panic, and what is refused says why.

use proptest::prelude::*;

use super::load;
use crate::config::row::rows;
use crate::config::{Settings, TopicConfig};

fn names() -> Vec<&'static str> {
    rows().map(|row| row.name).collect()
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        if let Err(error) = Settings::load(Some(&text), &[]) {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn any_properties_are_read_or_refused(text in "([a-z.]{0,12}[ =:\\\\#!u0-9\\n\\t]{0,6}){0,8}") {
        if let Err(error) = Settings::load(Some(&text), &[]) {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn any_value_of_a_known_name_is_read_or_refused(
        name in proptest::sample::select(names()),
        value in prop_oneof![any::<String>(), any::<i64>().prop_map(|n| n.to_string()), "[A-Z]{1,9}://.{0,9}:[0-9]{1,6}"],
        cpus in 1_usize..2_000,
    ) {
        let overrides = [(name.to_owned(), value)];
        match Settings::load(None, &overrides) {
            Ok((settings, _)) => {
                if let Ok(layout) = settings.shard_layout(cpus) {
                    prop_assert!((1..=1_000).contains(&layout.count));
                    prop_assert_eq!(layout.ports.len(), settings.listeners.len());
                }
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn any_topic_setting_is_resolved_or_refused(name in "[a-z.]{1,12}", value in any::<Option<String>>()) {
        let settings = load("").0;
        let given = [(name.as_str(), value.as_deref())];
        prop_assert!(TopicConfig::from_request(&settings, given).is_err());
    }
}

#[test]
fn escapes_that_are_no_characters_are_refused_with_their_line() {
    for text in [
        "broker.rack=\\ud83d",
        "broker.rack=\\u12",
        "broker.rack=\\uzzzz",
    ] {
        let text = format!("num.partitions=1\n{text}");
        let error = Settings::load(Some(&text), &[])
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("line 2: "), "{error}");
    }
}
