//! How many shards, and under which ports: decided once the number of CPUs is known.

use std::ops::RangeInclusive;

use super::choice::Advertise;
use super::{ConfigError, Listener, SHARDS_MAX, Settings};

/// Distance from a listener's port to its shards' ports where `shards.port.base` has no value.
pub const SHARD_PORT_DISTANCE: u16 = 10_000;

/// Shards and their ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardLayout {
    /// Number of shards, 1 to [`SHARDS_MAX`].
    pub count: u16,
    /// For each of [`Settings::listeners`], in order.
    pub ports: Vec<ShardPorts>,
}

/// Under which port shard k of a listener is advertised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShardPorts {
    /// The listener's own: there is one shard, or the node is one broker.
    Listener,
    /// This one + k; the range fits below 65,536.
    From(u16),
    /// A contiguous free range, found when binding.
    Free,
}

impl Settings {
    /// Decides the number of shards and their ports.
    ///
    /// # Errors
    /// Ports past 65,535; ranges that overlap each other or a listener's port (the message names
    /// both listeners).
    pub fn shard_layout(&self, cpus_allowed: usize) -> Result<ShardLayout, ConfigError> {
        let cpus = i32::try_from(cpus_allowed).unwrap_or(i32::MAX);
        let count = self.shards.unwrap_or(cpus).clamp(1, SHARDS_MAX as i32) as u16;
        let ports = self.listeners.iter().enumerate().map(|(place, listener)| {
            match (self.shards_advertise, self.shards_port_base) {
                _ if count == 1 => Ok(ShardPorts::Listener),
                (Advertise::Node, _) => Ok(ShardPorts::Listener),
                (Advertise::Core, Some(0)) => Ok(ShardPorts::Free),
                (Advertise::Core, None) if listener.port == 0 => Ok(ShardPorts::Free),
                (Advertise::Core, None) => {
                    let first = u32::from(listener.port) + u32::from(SHARD_PORT_DISTANCE);
                    shard_ports(listener, first, count)
                }
                (Advertise::Core, Some(base)) => {
                    let first = base.unsigned_abs() + place as u32 * u32::from(count);
                    shard_ports(listener, first, count)
                }
            }
        });
        let layout = ShardLayout {
            count,
            ports: ports.collect::<Result<_, _>>()?,
        };
        self.refuse_overlaps(&layout)?;
        Ok(layout)
    }

    fn refuse_overlaps(&self, layout: &ShardLayout) -> Result<(), ConfigError> {
        let ranges: Vec<(&Listener, RangeInclusive<u16>)> = self
            .listeners
            .iter()
            .zip(&layout.ports)
            .filter_map(|(listener, ports)| match ports {
                ShardPorts::From(first) => Some((listener, *first..=*first + (layout.count - 1))),
                ShardPorts::Listener | ShardPorts::Free => None,
            })
            .collect();
        for (place, (listener, range)) in ranges.iter().enumerate() {
            let (start, end, name) = (range.start(), range.end(), &listener.name);
            let shards = format!("shards.port.base: ports {start} to {end} of {name}'s shards");
            if let Some(other) = self
                .listeners
                .iter()
                .find(|other| range.contains(&other.port))
            {
                let (port, other) = (other.port, &other.name);
                return Err(ConfigError::Conflict(format!(
                    "{shards} hold {other}'s port {port}"
                )));
            }
            for (other, ports) in &ranges[place + 1..] {
                if start <= ports.end() && ports.start() <= end {
                    let (first, last, other) = (ports.start(), ports.end(), &other.name);
                    let message = format!("{shards} overlap {other}'s, {first} to {last}");
                    return Err(ConfigError::Conflict(message));
                }
            }
        }
        Ok(())
    }
}

fn shard_ports(listener: &Listener, first: u32, count: u16) -> Result<ShardPorts, ConfigError> {
    let last = first + u32::from(count) - 1;
    match u16::try_from(first) {
        Ok(port) if last <= u32::from(u16::MAX) => Ok(ShardPorts::From(port)),
        _ => Err(ConfigError::Conflict(format!(
            "shards.port.base: {count} shards of {} would need ports {first} to {last}, past 65535",
            listener.name
        ))),
    }
}
