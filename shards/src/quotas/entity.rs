//! Whom a quota is set for.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// A name, or whoever has no quota by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// `<default>`.
    Default,
    Of(Box<str>),
}

impl Name {
    /// Null is the default, as on the wire.
    pub fn from_wire(name: Option<&str>) -> Name {
        name.map_or(Name::Default, |name| Name::Of(name.into()))
    }

    /// As on the wire.
    pub fn to_wire(&self) -> Option<&str> {
        match self {
            Name::Default => None,
            Name::Of(name) => Some(name),
        }
    }
}

/// See the module. At least one part is given, `ip` only alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entity {
    pub user: Option<Name>,
    pub client_id: Option<Name>,
    pub ip: Option<Name>,
}

/// Kafka's names of the parts (`ClientQuotaEntity`).
pub const USER: &str = "user";
pub const CLIENT_ID: &str = "client-id";
pub const IP: &str = "ip";

impl Entity {
    /// Of types and names.
    ///
    /// # Errors
    /// Why there is no such entity (`ClientQuotaControlManager.validateEntity`).
    pub fn read(parts: &BTreeMap<String, Option<String>>) -> Result<Entity, String> {
        let mut entity = Entity::default();
        for (kind, name) in parts {
            let part = match kind.as_str() {
                USER => &mut entity.user,
                CLIENT_ID => &mut entity.client_id,
                IP => &mut entity.ip,
                other => return Err(format!("Unhandled client quota entity type: {other}")),
            };
            match name.as_deref() {
                Some("") => return Err(format!("Empty {kind} not supported")),
                Some(name) if kind == IP && name.parse::<IpAddr>().is_err() => {
                    return Err(format!("{name} is not an address"));
                }
                _ => {}
            }
            *part = Some(Name::from_wire(name.as_deref()));
        }
        match entity {
            Entity {
                user: None,
                client_id: None,
                ip: None,
            } => Err("Invalid empty client quota entity".into()),
            Entity {
                user: None,
                client_id: None,
                ip: Some(_),
            } => Ok(entity),
            Entity { ip: Some(_), .. } => Err(
                "Invalid quota entity combination, IP entity should not be combined with User or \
                 ClientId"
                    .into(),
            ),
            _ => Ok(entity),
        }
    }

    /// Of a metadata record; parts that are unknown are left out.
    pub fn of_record<'a>(parts: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Entity {
        let mut entity = Entity::default();
        for (kind, name) in parts {
            let name = Some(Name::from_wire(name));
            match kind {
                USER => entity.user = name,
                CLIENT_ID => entity.client_id = name,
                IP => entity.ip = name,
                _ => {}
            }
        }
        entity
    }

    /// One part, by Kafka's name of its type.
    pub fn part(&self, kind: &str) -> Option<&Name> {
        match kind {
            USER => self.user.as_ref(),
            CLIENT_ID => self.client_id.as_ref(),
            IP => self.ip.as_ref(),
            _ => None,
        }
    }

    /// The parts that are given: types and names, null for the default.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, Option<&str>)> {
        [USER, CLIENT_ID, IP]
            .into_iter()
            .filter_map(|kind| Some((kind, self.part(kind)?.to_wire())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(parts: &[(&str, Option<&str>)]) -> Result<Entity, String> {
        let parts = parts
            .iter()
            .map(|(kind, name)| ((*kind).to_owned(), name.map(str::to_owned)));
        Entity::read(&parts.collect())
    }

    #[test]
    fn entities_are_read_and_told_alike() {
        let all: [&[(&str, Option<&str>)]; 5] = [
            &[("user", Some("u")), ("client-id", Some("c"))],
            &[("user", None), ("client-id", None)],
            &[("user", Some("u"))],
            &[("client-id", None)],
            &[("ip", Some("127.0.0.1"))],
        ];
        for parts in all {
            let entity = read(parts).expect("an entity");
            assert_eq!(entity.parts().collect::<Vec<_>>(), parts);
            assert_eq!(Entity::of_record(parts.iter().copied()), entity);
        }
    }

    #[test]
    fn what_is_no_entity_is_refused_with_the_reason() {
        for (parts, why) in [
            (&[][..], "empty client quota entity"),
            (&[("group", Some("g"))], "Unhandled"),
            (&[("user", Some(""))], "Empty user"),
            (&[("user", Some("u")), ("ip", None)], "combination"),
        ] {
            let refused = read(parts).expect_err(why);
            assert!(refused.contains(why), "{refused}");
        }
    }
}
