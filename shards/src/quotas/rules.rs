//! Which quota holds for a client: Kafka's precedence, looked up without an allocation.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Kind;
use super::entity::{Entity, Name};
use super::table::ClientQuotas;

/// Limits by name, and of all others.
#[derive(Debug, Default)]
struct ByClient {
    named: BTreeMap<Box<str>, f64>,
    default: Option<f64>,
}

/// Limits of a user, or of the default one.
#[derive(Debug, Default)]
struct OfUser {
    clients: ByClient,
    own: Option<f64>,
}

/// The limits of one kind.
#[derive(Debug, Default)]
pub struct Rules {
    users: BTreeMap<Box<str>, OfUser>,
    default_user: OfUser,
    clients: ByClient,
    any: bool,
}

/// The limit of a client, and with whom it is shared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    pub limit: f64,
    /// Each user has its own.
    pub by_user: bool,
    /// Each client id has its own.
    pub by_client: bool,
}

impl ByClient {
    fn put(&mut self, name: &Name, limit: f64) {
        match name {
            Name::Default => self.default = Some(limit),
            Name::Of(name) => drop(self.named.insert(name.clone(), limit)),
        }
    }

    /// Nothing, not even the default, holds for an empty client id.
    fn find(&self, client: &str) -> Option<f64> {
        match client {
            "" => None,
            client => self.named.get(client).copied().or(self.default),
        }
    }
}

impl OfUser {
    fn find(&self, client: &str) -> Option<Found> {
        let found = |by_client| {
            move |limit| Found {
                limit,
                by_user: true,
                by_client,
            }
        };
        let by_client = self.clients.find(client).map(found(true));
        by_client.or_else(|| self.own.map(found(false)))
    }
}

impl Rules {
    /// Those of one kind.
    pub fn of(quotas: &ClientQuotas, kind: Kind) -> Rules {
        let mut rules = Rules::default();
        let of_kind = |entity: &Entity| kind.is_of_addresses() == entity.ip.is_some();
        for (entity, values) in quotas.all().filter(|(entity, _)| of_kind(entity)) {
            if let Some(limit) = values.get(kind.key()) {
                rules.put(entity, *limit);
            }
        }
        rules
    }

    fn put(&mut self, entity: &Entity, limit: f64) {
        // Whoever has an address is told apart by that, as others are by their user.
        let user = match (&entity.user, &entity.ip) {
            (None, None) => None,
            (Some(Name::Default), _) | (None, Some(Name::Default)) => Some(&mut self.default_user),
            (Some(Name::Of(name)), _) => Some(self.users.entry(name.clone()).or_default()),
            (None, Some(Name::Of(address))) => {
                let address: Option<IpAddr> = address.parse().ok();
                let Some(address) = address else {
                    return;
                };
                let name = address.to_canonical().to_string();
                Some(self.users.entry(name.into()).or_default())
            }
        };
        match (user, &entity.client_id) {
            (Some(user), Some(client)) => user.clients.put(client, limit),
            (Some(user), None) => user.own = Some(limit),
            (None, Some(client)) => self.clients.put(client, limit),
            (None, None) => return,
        }
        self.any = true;
    }

    /// Whether there is any limit.
    pub fn any(&self) -> bool {
        self.any
    }

    /// The limit that holds for a client.
    pub fn find(&self, user: &str, client: &str) -> Option<Found> {
        let own = self.users.get(user).and_then(|of| of.find(client));
        own.or_else(|| self.default_user.find(client)).or_else(|| {
            Some(Found {
                limit: self.clients.find(client)?,
                by_user: false,
                by_client: true,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use odradek_wire::metadata_records::ClientQuotaRecord;
    use odradek_wire::metadata_records::client_quota_record::EntityData;
    use proptest::prelude::*;

    use super::*;

    /// Kafka's order, most specific first: user and client id, `None` where not given.
    type Level = (Option<Option<&'static str>>, Option<Option<&'static str>>);
    const LEVELS: [Level; 8] = [
        (Some(Some("u")), Some(Some("c"))),
        (Some(Some("u")), Some(None)),
        (Some(Some("u")), None),
        (Some(None), Some(Some("c"))),
        (Some(None), Some(None)),
        (Some(None), None),
        (None, Some(Some("c"))),
        (None, Some(None)),
    ];

    fn quotas(levels: &[(Level, f64)]) -> ClientQuotas {
        let mut quotas = ClientQuotas::default();
        for ((user, client), value) in levels {
            let user = user.map(|name| ("user", name));
            let client = client.map(|name| ("client-id", name));
            let parts = user.into_iter().chain(client);
            let parts = parts.map(|(entity_type, entity_name)| EntityData {
                entity_type,
                entity_name,
            });
            quotas.apply(&ClientQuotaRecord {
                entity: parts.collect(),
                key: Kind::Produce.key(),
                value: *value,
                remove: false,
            });
        }
        quotas
    }

    #[test]
    fn an_address_or_another_kind_is_no_rule() {
        let mut quotas = quotas(&[(LEVELS[0], 1.0)]);
        assert!(Rules::of(&quotas, Kind::Produce).any());
        assert!(!Rules::of(&quotas, Kind::Fetch).any());
        quotas.apply(&ClientQuotaRecord {
            entity: vec![EntityData {
                entity_type: "ip",
                entity_name: None,
            }],
            key: Kind::Fetch.key(),
            value: 1.0,
            remove: false,
        });
        assert!(!Rules::of(&quotas, Kind::Fetch).any());
    }

    #[test]
    fn an_empty_client_id_has_a_users_quota_only() {
        let all: Vec<_> = LEVELS.into_iter().zip([1.0; 8]).collect();
        let rules = Rules::of(&quotas(&all), Kind::Produce);
        let found = rules.find("u", "").expect("the user's own");
        assert!(found.by_user && !found.by_client);
        let clients: Vec<_> = all
            .into_iter()
            .filter(|((_, client), _)| client.is_some())
            .collect();
        let rules = Rules::of(&quotas(&clients), Kind::Produce);
        assert_eq!(rules.find("u", ""), None);
    }

    proptest! {
        #[test]
        fn the_most_specific_level_holds(set in prop::collection::vec(any::<bool>(), 8)) {
            let levels: Vec<(Level, f64)> = LEVELS
                .into_iter()
                .zip(1u8..)
                .zip(&set)
                .filter_map(|((level, number), set)| set.then_some((level, f64::from(number))))
                .collect();
            let rules = Rules::of(&quotas(&levels), Kind::Produce);
            prop_assert_eq!(rules.any(), set.contains(&true));
            let expected = levels.first().map(|((user, client), limit)| Found {
                limit: *limit,
                by_user: user.is_some(),
                by_client: client.is_some(),
            });
            prop_assert_eq!(rules.find("u", "c"), expected);
            // A stranger has what is said of defaults.
            let default = levels.iter().find(|((user, client), _)| {
                user.is_none_or(|name| name.is_none()) && client.is_none_or(|name| name.is_none())
            });
            let found = rules.find("other", "another");
            prop_assert_eq!(found.map(|found| found.limit), default.map(|(_, limit)| *limit));
        }
    }
}
