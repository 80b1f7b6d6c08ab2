//! The nearest known name to one that is not.

use super::row::row;

/// Names further away than this share of their length are not worth proposing.
const DISTANCE_SHARE: usize = 3;

/// The candidate with the least edit distance, if it is near enough to be a slip of the pen.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| {
            distance * DISTANCE_SHARE <= candidate.len().max(name.len())
        })
        .map(|(_, candidate)| candidate)
}

/// Settings that Kafka lets a listener have of its own, besides `ssl.*` and `sasl.*`
/// (`DynamicListenerConfig`, `SocketServer`).
const PER_LISTENER: &[&str] = &[
    "connections.max.reauth.ms",
    "max.connection.creation.rate",
    "max.connections",
    "num.network.threads",
    "principal.builder.class",
];

/// Settings that may carry a SASL mechanism's name in front
/// (`DynamicBrokerConfig.LISTENER_MECHANISM_CONFIGS`).
const PER_MECHANISM: &[&str] = &[
    "sasl.login.class",
    "sasl.jaas.config",
    "sasl.login.callback.handler.class",
    "connections.max.reauth.ms",
    "sasl.server.callback.handler.class",
];

/// Whether a listener can have `setting` of its own; else the nearest that it can.
pub(super) fn listener_setting(setting: &str) -> Result<(), Option<&'static str>> {
    let per_listener = |name: &str| {
        PER_LISTENER.contains(&name) || name.starts_with("ssl.") || name.starts_with("sasl.")
    };
    if per_listener(setting) && row(setting).is_some() {
        return Ok(());
    }
    if let Some((_mechanism, rest)) = setting.split_once('.')
        && PER_MECHANISM.contains(&rest)
    {
        return Ok(());
    }
    let names = super::row::rows()
        .map(|row| row.name)
        .filter(|name| per_listener(name));
    Err(nearest(setting, names))
}
