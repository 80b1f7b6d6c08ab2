//! The text of a properties file (Java's syntax, read as UTF-8) as names and values.

use std::collections::BTreeMap;

use encoding_rs::UTF_8;
use java_properties::{LineContent, PropertiesIter};

use super::{ConfigError, Warning};

/// Reads the text. A name given twice counts as it was given last, as in Java, with a warning.
///
/// # Errors
/// [`ConfigError::Syntax`] with the line, for a malformed `\u` escape or a key that is empty.
pub(super) fn parse(
    text: &str,
    warnings: &mut Vec<Warning>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut given = BTreeMap::new();
    for line in PropertiesIter::new_with_encoding(text.as_bytes(), UTF_8) {
        let line = line.map_err(|error| ConfigError::Syntax {
            line: error.line_number().unwrap_or_default(),
            reason: error.to_string(),
        })?;
        let number = line.line_number();
        let LineContent::KVPair(name, value) = line.consume_content() else {
            continue;
        };
        if name.is_empty() {
            let reason = "a value without a name".to_owned();
            return Err(ConfigError::Syntax {
                line: number,
                reason,
            });
        }
        if given.insert(name.clone(), value).is_some() {
            warnings.push(Warning::new(
                &name,
                format!("given again in line {number}; the last one counts"),
            ));
        }
    }
    Ok(given)
}
