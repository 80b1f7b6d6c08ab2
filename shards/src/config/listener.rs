//! Listeners: where the node listens and what it tells its clients.

use super::ConfigError;
use super::Warning;
use super::table::Values;

/// One address of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Name in upper case, unique in the node.
    pub name: String,
    /// Host name or address without brackets. Empty: every address of the machine or, in an
    /// advertised listener, whatever name the node finds for itself.
    pub host: String,
    /// Port; 0 is any free one.
    pub port: u16,
}

impl Listener {
    fn parse(setting: &str, text: &str) -> Result<Self, ConfigError> {
        let parsed = text.split_once("://").and_then(|(name, address)| {
            let (host, port) = address.rsplit_once(':')?;
            let host = host
                .strip_prefix('[')
                .and_then(|h| h.strip_suffix(']'))
                .unwrap_or(host);
            let listener_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            let host_name = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
            let fits =
                !name.is_empty() && name.chars().all(listener_name) && host.chars().all(host_name);
            let (name, host) = (name.to_ascii_uppercase(), host.to_owned());
            fits.then_some(Self {
                name,
                host,
                port: port.parse().ok()?,
            })
        });
        parsed.ok_or_else(|| {
            ConfigError::invalid(
                setting,
                text,
                "expected NAME://host:port, port from 0 to 65535",
            )
        })
    }
}

/// Listeners to open, and those to advertise: by names a subset of the first.
pub(super) struct Listeners {
    pub open: Vec<Listener>,
    pub advertised: Vec<Listener>,
}

/// Works out both lists. A controller's listeners are left out of them with a warning.
///
/// # Errors
/// A text that is no listener, a name or port given twice, a protocol other than PLAINTEXT, an
/// advertised name that is not open, no listener left.
pub(super) fn listeners(
    values: &Values,
    warnings: &mut Vec<Warning>,
) -> Result<Listeners, ConfigError> {
    let mut open: Vec<Listener> = Vec::new();
    for text in &values.listeners_given {
        let listener = Listener::parse("listeners", text)?;
        if is_controller(values, &listener) {
            let message = format!("{text} is not opened: the controller is embedded in the node");
            warnings.push(Warning::new("listeners", message));
            continue;
        }
        require_plaintext(values, &listener, text)?;
        if let Some(other) = open.iter().find(|other| other.name == listener.name) {
            let reason = format!("the name {} is given twice", other.name);
            return Err(ConfigError::invalid("listeners", text, reason));
        }
        if let Some(other) = open.iter().find(|o| o.port != 0 && o.port == listener.port) {
            let reason = format!("port {} is already that of {}", other.port, other.name);
            return Err(ConfigError::invalid("listeners", text, reason));
        }
        open.push(listener);
    }
    if open.is_empty() {
        let given = values.listeners_given.join(",");
        return Err(ConfigError::invalid(
            "listeners",
            &given,
            "no listener for clients is left",
        ));
    }
    let mut advertised = Vec::new();
    for text in values.advertised_given.iter().flatten() {
        let invalid = |reason: String| ConfigError::invalid("advertised.listeners", text, reason);
        let listener = Listener::parse("advertised.listeners", text)?;
        if is_controller(values, &listener) {
            continue;
        }
        if !open.iter().any(|other| other.name == listener.name) {
            return Err(invalid(format!("listeners has no {}", listener.name)));
        }
        if listener.host == "0.0.0.0" {
            return Err(invalid("clients cannot connect to 0.0.0.0".to_owned()));
        }
        advertised.push(listener);
    }
    if advertised.is_empty() {
        advertised.clone_from(&open);
    }
    Ok(Listeners { open, advertised })
}

fn is_controller(values: &Values, listener: &Listener) -> bool {
    values
        .controller_listener_names
        .iter()
        .any(|name| name.eq_ignore_ascii_case(&listener.name))
}

fn require_plaintext(values: &Values, listener: &Listener, text: &str) -> Result<(), ConfigError> {
    const MAP: &str = "listener.security.protocol.map";
    let mut protocol = None;
    for entry in values
        .protocol_map
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
    {
        let Some((name, value)) = entry.rsplit_once(':') else {
            return Err(ConfigError::invalid(MAP, entry, "expected NAME:PROTOCOL"));
        };
        let known = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];
        let Some(value) = known
            .iter()
            .find(|known| known.eq_ignore_ascii_case(value.trim()))
        else {
            let reason = format!("expected one of {}", known.join(", "));
            return Err(ConfigError::invalid(MAP, entry, reason));
        };
        if name.trim().eq_ignore_ascii_case(&listener.name) {
            protocol = Some(*value);
        }
    }
    match protocol {
        Some("PLAINTEXT") => Ok(()),
        Some(other) => {
            let reason = format!("{other} is not supported yet, only PLAINTEXT is");
            Err(ConfigError::invalid("listeners", text, reason))
        }
        None => {
            let reason = format!("{MAP} has no protocol for {}", listener.name);
            Err(ConfigError::invalid("listeners", text, reason))
        }
    }
}
