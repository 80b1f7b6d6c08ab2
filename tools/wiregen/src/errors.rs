//! The error codes, as `org.apache.kafka.common.protocol.Errors` has them.

use std::fmt::Write;

use anyhow::{Context, Result};

/// The code of `ErrorCode`, from the lines of `Errors.java`.
pub fn code(listing: &str) -> Result<String> {
    let mut errors = Vec::new();
    for line in listing.lines() {
        let mut words = line.split_whitespace();
        let (Some(name), Some(code), Some(retriable)) = (words.next(), words.next(), words.next())
        else {
            anyhow::bail!("not an error: {line}");
        };
        let code: i16 = code.parse().with_context(|| line.to_string())?;
        errors.push((code, name, retriable == "true"));
    }
    errors.sort_unstable();
    let mut code = String::from(
        "/// Kafka's error codes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ErrorCode {\n",
    );
    for (number, name, _) in &errors {
        writeln!(code, "{} = {number},", camel_case(name))?;
    }
    code += "}\n\nimpl ErrorCode {
        /// All codes, rising.
        pub const ALL: &'static [ErrorCode] = &[\n";
    for (_, name, _) in &errors {
        writeln!(code, "ErrorCode::{},", camel_case(name))?;
    }
    code += "];

        /// The error of that code; none where Kafka has none (its clients then take it for
        /// `UNKNOWN_SERVER_ERROR`).
        pub fn from_code(code: i16) -> Option<ErrorCode> {
            let index = Self::ALL.binary_search_by_key(&code, |error| error.code()).ok()?;
            Self::ALL.get(index).copied()
        }

        /// The number on the wire.
        pub const fn code(self) -> i16 {
            self as i16
        }

        /// Whether Kafka's clients try again after it.
        pub const fn retriable(self) -> bool {
            matches!(self, ";
    let retriable: Vec<String> = errors
        .iter()
        .filter(|(_, _, retriable)| *retriable)
        .map(|(_, name, _)| format!("ErrorCode::{}", camel_case(name)))
        .collect();
    code += &retriable.join(" | ");
    code += ")
        }

        /// Kafka's name, such as `UNKNOWN_TOPIC_OR_PARTITION`.
        pub const fn name(self) -> &'static str {
            match self {\n";
    for (_, name, _) in &errors {
        writeln!(code, "ErrorCode::{} => \"{name}\",", camel_case(name))?;
    }
    code += "}
        }
    }

    impl std::fmt::Display for ErrorCode {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.pad(self.name())
        }
    }

    impl From<ErrorCode> for i16 {
        fn from(error: ErrorCode) -> i16 {
            error.code()
        }
    }\n";
    Ok(code)
}

fn camel_case(name: &str) -> String {
    name.split('_')
        .map(|word| {
            let (head, tail) = word.split_at(word.len().min(1));
            format!("{head}{}", tail.to_ascii_lowercase())
        })
        .collect()
}
