//! Kafka's message schemas as they are written: JSON with `//` comments.

use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

/// One schema file.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Schema {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub api_key: Option<i16>,
    #[serde(default)]
    pub listeners: Vec<String>,
    pub valid_versions: Versions,
    #[serde(default)]
    pub flexible_versions: Versions,
    #[serde(default)]
    pub latest_version_unstable: bool,
    #[serde(default)]
    pub fields: Vec<Field>,
    #[serde(default)]
    pub common_structs: Vec<CommonStruct>,
}

/// A structure that several fields of a schema share.
#[derive(Debug, Clone, Deserialize)]
pub struct CommonStruct {
    pub name: String,
    pub versions: Versions,
    pub fields: Vec<Field>,
}

/// A field of a message or structure. Its description is not read.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    pub name: String,
    #[serde(rename = "type")]
    pub type_name: String,
    versions: Option<Versions>,
    #[serde(default)]
    pub nullable_versions: Versions,
    #[serde(default)]
    pub tagged_versions: Versions,
    pub flexible_versions: Option<Versions>,
    pub tag: Option<u32>,
    #[serde(default)]
    default: Value,
    #[serde(default)]
    pub ignorable: bool,
    #[serde(default)]
    pub fields: Vec<Field>,
}

impl Field {
    /// The versions that have the field.
    pub fn versions(&self) -> Versions {
        self.versions.unwrap_or(self.tagged_versions)
    }

    /// The default as a text: empty where there is none.
    pub fn default_text(&self) -> String {
        match &self.default {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

/// Reads a schema file.
pub fn parse(text: &str) -> Result<Schema> {
    serde_json::from_str(&strip_comments(text)).context("parsing the schema")
}

/// Blanks out `//` comments, which JSON does not know, but not inside strings.
fn strip_comments(text: &str) -> String {
    let mut stripped = String::with_capacity(text.len());
    for line in text.lines() {
        let mut in_string = false;
        let mut escaped = false;
        let mut end = line.len();
        for (i, character) in line.char_indices() {
            match character {
                _ if escaped => escaped = false,
                '\\' if in_string => escaped = true,
                '"' => in_string = !in_string,
                '/' if !in_string && line[i..].starts_with("//") => {
                    end = i;
                    break;
                }
                _ => {}
            }
        }
        stripped.push_str(&line[..end]);
        stripped.push('\n');
    }
    stripped
}

/// A range of versions, both ends included; empty where `first > last`.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Versions {
    pub first: i16,
    pub last: i16,
}

impl Versions {
    pub const NONE: Versions = Versions { first: 0, last: -1 };

    pub fn is_empty(&self) -> bool {
        self.first > self.last
    }

    pub fn intersect(&self, other: Versions) -> Versions {
        let both = Versions {
            first: self.first.max(other.first),
            last: self.last.min(other.last),
        };
        if both.is_empty() {
            Versions::NONE
        } else {
            both
        }
    }

    pub fn contains(&self, other: Versions) -> bool {
        self.intersect(other) == other
    }
}

impl Default for Versions {
    fn default() -> Self {
        Versions::NONE
    }
}

impl fmt::Debug for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl TryFrom<String> for Versions {
    type Error = anyhow::Error;

    fn try_from(text: String) -> Result<Self> {
        let text = text.trim();
        let number = |digits: &str| -> Result<i16> {
            digits.parse().with_context(|| format!("versions {text:?}"))
        };
        if text.is_empty() || text == "none" {
            return Ok(Versions::NONE);
        }
        let (first, last) = match text.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => match text.strip_suffix('+') {
                Some(first) => (number(first)?, i16::MAX),
                None => (number(text)?, number(text)?),
            },
        };
        ensure!(first >= 0, "versions {text:?} are negative");
        if first > last {
            bail!("versions {text:?} end before they start");
        }
        Ok(Versions { first, last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_go_and_strings_stay() {
        let text = "// one\n{\"a\": \"x//y \\\" //z\"} // two\n";
        assert_eq!(strip_comments(text), "\n{\"a\": \"x//y \\\" //z\"} \n");
    }

    #[test]
    fn versions_parse() {
        let parse = |text: &str| Versions::try_from(text.to_string());
        assert_eq!(parse("none").unwrap(), Versions::NONE);
        assert_eq!(
            parse("3+").unwrap(),
            Versions {
                first: 3,
                last: i16::MAX
            }
        );
        assert_eq!(parse("0-2").unwrap(), Versions { first: 0, last: 2 });
        assert_eq!(parse("7").unwrap(), Versions { first: 7, last: 7 });
        assert!(parse("4-2").is_err());
        assert!(parse("x").is_err());
    }
}
