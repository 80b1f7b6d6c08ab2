//! Names of directories beside the partitions': copies that are made, and what is being removed.
//! Pure.
//!
//! Source: Kafka `LocalLog.logFutureDirName`, `logDeleteDirName`; what is random there is the
//! topic's id here, so that it is known whose a directory is.

use odradek_wire::Uuid;

use super::PartitionName;

/// Longest name of a file, bytes (`NAME_MAX` of Linux).
const NAME_BYTES_MAX: usize = 255;

/// What such a directory is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Aside {
    /// A copy of a partition, which is to take its place.
    Future,
    /// Of no use any more.
    Deleted,
}

impl Aside {
    fn ending(self) -> &'static str {
        match self {
            Aside::Future => "-future",
            Aside::Deleted => "-delete",
        }
    }

    /// The directory's name; `None`: it would be too long.
    pub fn name(self, partition: &PartitionName, topic: Uuid) -> Option<String> {
        let id = u128::from_be_bytes(topic.0);
        let name = format!("{partition}.{id:032x}{}", self.ending());
        (name.len() <= NAME_BYTES_MAX).then_some(name)
    }

    /// What a name says: of which topic, by its id, which partition.
    pub fn parse(name: &str) -> Option<(Aside, Uuid, i32)> {
        let all = [Aside::Future, Aside::Deleted];
        let (what, rest) = all
            .into_iter()
            .find_map(|what| Some((what, name.strip_suffix(what.ending())?)))?;
        let (partition, id) = rest.rsplit_once('.')?;
        let (_, index) = partition.rsplit_once('-')?;
        if id.len() != 32 {
            return None;
        }
        let id = u128::from_str_radix(id, 16).ok()?;
        Some((what, Uuid(id.to_be_bytes()), index.parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_it_was_made_of() {
        let id = Uuid([7; 16]);
        let of = |topic: &str| PartitionName {
            topic: topic.into(),
            index: 12,
        };
        for what in [Aside::Future, Aside::Deleted] {
            let name = what.name(&of("a.b-3"), id).unwrap();
            assert_eq!(Aside::parse(&name), Some((what, id, 12)), "{name}");
        }
        assert_eq!(Aside::Future.name(&of(&"x".repeat(249)), id), None);
        for other in [
            "t-0",
            "t-0.07-future",
            "t-0.07070707070707070707070707070707-stray",
            "t.07070707070707070707070707070707-future",
            "__cluster_metadata-0",
        ] {
            assert_eq!(Aside::parse(other), None, "{other}");
        }
    }
}
