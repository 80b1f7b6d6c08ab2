//! What was given, layer upon layer: for one broker while running, for all brokers while
//! running, in the file. The highest layer that names a setting decides; below all lies its
//! default (`DynamicBrokerConfig`).

use std::collections::BTreeMap;

use super::ConfigError;
use super::row::{Known, Row, Update, known, row};
use super::value::{Field, Value};

/// Names to texts, as given.
pub type Given = BTreeMap<String, String>;

/// The layers of given texts, highest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layers {
    /// Set for this broker while it ran.
    pub broker: Given,
    /// Set for every broker of the cluster.
    pub cluster: Given,
    /// From the file and the command line.
    pub file: Given,
}

impl Layers {
    /// The text that decides, if any was given.
    pub fn given(&self, name: &str) -> Option<&str> {
        let layers = [&self.broker, &self.cluster, &self.file];
        layers
            .into_iter()
            .find_map(|layer| layer.get(name))
            .map(String::as_str)
    }

    /// The value in force; `None` is Kafka's null.
    pub fn value(&self, row: &Row) -> Result<Option<Value>, ConfigError> {
        match self.given(row.name) {
            Some(text) => row.parse(text).map(Some),
            None => Ok(row.default_value()),
        }
    }

    /// The value in force, as a field of `table::Values`.
    pub(super) fn field<T: Field>(&self, name: &str) -> Result<T, ConfigError> {
        let value = match row(name) {
            Some(row) => self.value(row)?,
            None => None,
        };
        let shown = value.as_ref().map(Value::to_string).unwrap_or_default();
        T::from_value(value).ok_or_else(|| ConfigError::invalid(name, &shown, "not usable"))
    }

    /// The first of `names` that has a value, times its unit; negative stays as it is.
    pub(super) fn first_of(&self, names: &[(&str, i64)]) -> Result<Option<i64>, ConfigError> {
        for (name, unit) in names {
            if let Some(number) = self.field::<Option<i64>>(name)? {
                return Ok(Some(if number < 0 {
                    number
                } else {
                    number.saturating_mul(*unit)
                }));
            }
        }
        Ok(None)
    }

    /// Checks every text of the upper layers: known, allowed to change there, and in range.
    pub(super) fn check_dynamic(&self) -> Result<(), ConfigError> {
        let broker = self.broker.iter().map(|given| (given, Update::PerBroker));
        let cluster = self
            .cluster
            .iter()
            .map(|given| (given, Update::ClusterWide));
        for ((name, text), place) in broker.chain(cluster) {
            let Known::Row(row) = known(name)? else {
                continue;
            };
            match (row.update, place) {
                (Update::ReadOnly, _) => {
                    return Err(ConfigError::invalid(
                        name,
                        text,
                        "cannot change while the node runs",
                    ));
                }
                (Update::PerBroker, Update::ClusterWide) => {
                    return Err(ConfigError::invalid(
                        name,
                        text,
                        "can only be set for one broker",
                    ));
                }
                _ => row.parse(text)?,
            };
        }
        Ok(())
    }
}
