//! What a bad setting is answered with.
//!
//! Every message names the key, and where there is one the value and what would be allowed:
//! an operator must be able to mend the file from the line alone.

use std::fmt;

/// Why the settings were refused; the node does not start on any of these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The text is not a properties file.
    #[error("line {line}: {reason}")]
    Syntax {
        /// Counted from 1; 0 when the place is not known.
        line: usize,
        /// What was wrong with it.
        reason: String,
    },
    /// Neither Apache Kafka nor this node knows the name.
    #[error("{name}: no such setting{}", .nearest.as_ref().map(|near| format!("; did you mean {near}?")).unwrap_or_default())]
    Unknown {
        /// The name as given.
        name: String,
        /// The known name with the least edit distance, if any is near.
        nearest: Option<String>,
    },
    /// The value has the wrong type, is out of range, or asks for what the node cannot do.
    #[error("{name}={value}: {reason}")]
    Invalid {
        /// The setting's name.
        name: String,
        /// The value as given.
        value: String,
        /// What would have been allowed, or why this is not.
        reason: String,
    },
    /// Two settings, each allowed by itself, contradict each other.
    #[error("{0}")]
    Conflict(String),
}

impl ConfigError {
    pub(super) fn invalid(name: &str, value: &str, reason: impl Into<String>) -> Self {
        let (name, value) = (name.to_owned(), value.to_owned());
        let reason = reason.into();
        Self::Invalid {
            name,
            value,
            reason,
        }
    }
}

/// One line to log at start: a setting that was accepted but does not do what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The setting it is about.
    pub name: String,
    /// What is ignored, and why.
    pub message: String,
}

impl Warning {
    pub(super) fn new(name: &str, message: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)
    }
}
