//! Which records are printed.

use super::{ConsumeArgs, Row};

/// All that is asked for must hold; nothing asked for admits everything.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub key: Option<Vec<u8>>,
    pub contains: Option<Vec<u8>>,
    /// Names and values.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Filter {
    /// As the command line says.
    pub fn new(args: &ConsumeArgs) -> Self {
        let bytes = |text: &String| text.clone().into_bytes();
        let headers = args.headers.iter();
        Self {
            key: args.key.as_ref().map(bytes),
            contains: args.contains.as_ref().map(bytes),
            headers: headers
                .map(|(name, value)| (bytes(name), bytes(value)))
                .collect(),
        }
    }

    /// Whether a record is printed.
    pub fn admits(&self, row: &Row<'_>) -> bool {
        let has = |(name, value): &(Vec<u8>, Vec<u8>)| {
            let mut headers = row.headers;
            headers.any(|(key, text)| key == name.as_slice() && text == Some(value.as_slice()))
        };
        self.key.as_ref().is_none_or(|key| row.key == Some(key))
            && self.contains.as_ref().is_none_or(|part| {
                let value = row.value.unwrap_or_default();
                memchr::memmem::find(value, part).is_some()
            })
            && self.headers.iter().all(has)
    }
}
