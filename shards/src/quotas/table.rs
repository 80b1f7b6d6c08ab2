//! What is set: part of the image of metadata, folded from ClientQuotaRecords.

use std::collections::BTreeMap;

use odradek_wire::metadata_records::client_quota_record::EntityData;
use odradek_wire::metadata_records::{ClientQuotaRecord, MetadataRecord};

use super::entity::Entity;

/// The values of each entity that has any, by Kafka's names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClientQuotas(BTreeMap<Entity, BTreeMap<Box<str>, f64>>);

/// The record by which an entity comes to have a value, or loses it.
pub(super) fn record<'a>(
    entity: &'a Entity,
    key: &'a str,
    value: Option<f64>,
) -> MetadataRecord<'a> {
    let parts = entity.parts();
    MetadataRecord::ClientQuota(ClientQuotaRecord {
        entity: parts
            .map(|(entity_type, entity_name)| EntityData {
                entity_type,
                entity_name,
            })
            .collect(),
        key,
        value: value.unwrap_or_default(),
        remove: value.is_none(),
    })
}

impl ClientQuotas {
    /// The records that make it.
    pub fn records(&self) -> impl Iterator<Item = MetadataRecord<'_>> {
        self.0.iter().flat_map(|(entity, values)| {
            let values = values.iter();
            values.map(move |(key, value)| record(entity, key, Some(*value)))
        })
    }

    /// Folds one record in.
    pub fn apply(&mut self, record: &ClientQuotaRecord<'_>) {
        let parts = record.entity.iter();
        let entity = Entity::of_record(parts.map(|part| (part.entity_type, part.entity_name)));
        match record.remove {
            false => {
                let values = self.0.entry(entity).or_default();
                values.insert(record.key.into(), record.value);
            }
            true => {
                if let Some(values) = self.0.get_mut(&entity) {
                    values.remove(record.key);
                    if values.is_empty() {
                        self.0.remove(&entity);
                    }
                }
            }
        }
    }

    /// One value.
    pub fn value(&self, entity: &Entity, key: &str) -> Option<f64> {
        self.0.get(entity)?.get(key).copied()
    }

    /// Every entity with its values.
    pub fn all(&self) -> impl Iterator<Item = (&Entity, &BTreeMap<Box<str>, f64>)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_set_change_and_remove() {
        let entity = vec![EntityData {
            entity_type: "client-id",
            entity_name: None,
        }];
        let set = |key, value| ClientQuotaRecord {
            entity: entity.clone(),
            key,
            value,
            remove: false,
        };
        let mut quotas = ClientQuotas::default();
        quotas.apply(&set("producer_byte_rate", 1.0));
        quotas.apply(&set("producer_byte_rate", 2.0));
        quotas.apply(&set("consumer_byte_rate", 3.0));
        let mut same = ClientQuotas::default();
        for record in quotas.records() {
            let MetadataRecord::ClientQuota(record) = record else {
                unreachable!()
            };
            same.apply(&record);
        }
        assert_eq!(same, quotas);
        let whom = Entity::of_record([("client-id", None)].into_iter());
        assert_eq!(quotas.value(&whom, "producer_byte_rate"), Some(2.0));
        for key in ["producer_byte_rate", "consumer_byte_rate", "none"] {
            assert_eq!(quotas.all().count(), usize::from(key != "none"));
            quotas.apply(&ClientQuotaRecord {
                remove: true,
                ..set(key, 0.0)
            });
        }
        assert_eq!(quotas, ClientQuotas::default());
    }
}
