//! A setting as a row: everything the node knows of one name.
//!
//! A name stands in exactly one table: [`table::IMPLEMENTED`] or
//! [`idle::IDLE`].

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::idle::{self, Why};
use super::table;
use super::value::{Check, Kind, Value};
use super::{ConfigError, suggest};

/// Whether Kafka lets a setting change while the node runs, and for whom
/// (`DynamicBrokerConfig.dynamicConfigUpdateModes`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    /// Only in the file.
    ReadOnly,
    /// One broker at a time.
    PerBroker,
    /// For one broker, or as the default of all.
    ClusterWide,
}

/// What the node does with a setting.
#[derive(Debug, Clone, Copy)]
pub enum Role {
    /// It does what this says, under this heading of `config/server.properties`.
    Implemented {
        /// Heading of the file.
        section: &'static str,
        /// Our own words; lines of a doc comment.
        meaning: &'static str,
    },
    /// It is accepted and means nothing here.
    Idle(Why),
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Kafka's name, or ours.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Text of the default; `None` is Kafka's null.
    pub default: Option<&'static str>,
    /// What values are allowed.
    pub check: Check,
    /// Whether it may change while the node runs.
    pub update: Update,
    /// Kafka's internal settings: accepted, shown only when given.
    pub internal: bool,
    /// What the node does with it.
    pub role: Role,
}

impl Row {
    /// Reads and checks `text`.
    pub fn parse(&self, text: &str) -> Result<Value, ConfigError> {
        let invalid = |reason: String| ConfigError::invalid(self.name, text, reason);
        let value = self.kind.parse(text).map_err(|reason| match self.check {
            Check::Any => invalid(reason),
            check => invalid(format!("{reason}, {check}")),
        })?;
        if self.check.allows(&value) {
            return Ok(value);
        }
        Err(invalid(format!(
            "expected {} ({})",
            self.check,
            self.kind.name()
        )))
    }

    /// The default as a value; `None` is Kafka's null. A test parses every row's default.
    pub fn default_value(&self) -> Option<Value> {
        self.default.and_then(|text| self.kind.parse(text).ok())
    }

    /// Our own documentation: what it means, or why it does nothing here.
    pub fn documentation(&self) -> Option<String> {
        match self.role {
            Role::Implemented { meaning, .. } => Some(one_line(meaning)),
            Role::Idle(why) => Some(why.told()),
        }
    }
}

/// The lines of a doc comment as one.
pub(super) fn one_line(doc: &str) -> String {
    doc.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

static ROWS: LazyLock<BTreeMap<&'static str, &'static Row>> = LazyLock::new(|| {
    let rows = table::IMPLEMENTED.iter().chain(idle::IDLE);
    rows.map(|row| (row.name, row)).collect()
});

/// Every setting, by name.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    ROWS.values().copied()
}

/// The setting of exactly this name.
pub fn row(name: &str) -> Option<&'static Row> {
    ROWS.get(name).copied()
}

/// Where a given name belongs.
#[derive(Debug, Clone, Copy)]
pub enum Known {
    /// It is a setting.
    Row(&'static Row),
    /// It is one of a family whose members nobody can list; the reason why it does nothing.
    Family(Why),
    /// It was a setting before Apache Kafka 4.
    Removed,
}

/// Finds the setting, family or former setting of that name.
///
/// # Errors
/// [`ConfigError::Unknown`], with the nearest known name.
pub fn known(name: &str) -> Result<Known, ConfigError> {
    if let Some(row) = row(name) {
        return Ok(Known::Row(row));
    }
    if idle::REMOVED.contains(&name) {
        return Ok(Known::Removed);
    }
    if let Some((_, why)) = idle::FAMILIES
        .iter()
        .find(|(prefix, _)| name.starts_with(prefix))
    {
        return Ok(Known::Family(*why));
    }
    if let Some(rest) = listener_override(name) {
        return match suggest::listener_setting(rest) {
            Ok(()) => Ok(Known::Family(Why::PerListener)),
            Err(near) => {
                let prefix = name.strip_suffix(rest).unwrap_or_default();
                let nearest = near.map(|near| format!("{prefix}{near}"));
                Err(ConfigError::Unknown {
                    name: name.to_owned(),
                    nearest,
                })
            }
        };
    }
    let nearest = suggest::nearest(name, rows().map(|row| row.name)).map(str::to_owned);
    Err(ConfigError::Unknown {
        name: name.to_owned(),
        nearest,
    })
}

/// `listener.name.<listener>.<setting>`: the setting.
pub(super) fn listener_override(name: &str) -> Option<&str> {
    let (_listener, rest) = name.strip_prefix("listener.name.")?.split_once('.')?;
    Some(rest)
}
