//! The own node: `odradek serve` of this same binary.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::Variant;

/// What starts it, and its settings as `name=value`.
pub(super) fn command(
    shards: usize,
    settings: &[String],
    variant: &Variant,
    port: u16,
    data: &Path,
) -> Result<(Command, Vec<String>)> {
    let shards = variant.shards.unwrap_or(shards);
    let mut told = vec![format!("shards={shards}")];
    if variant.node_mode {
        told.push("shards.advertise=node".to_owned());
    }
    let varied = variant.settings.iter().chain(&variant.own_settings);
    told.extend(varied.map(|(name, value)| format!("{name}={value}")));
    told.extend_from_slice(settings);
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("serve");
    let places = [
        format!("listeners=PLAINTEXT://127.0.0.1:{port}"),
        "shards.port.base=0".to_owned(),
        "metrics.listener=127.0.0.1:0".to_owned(),
        format!("log.dirs={}", data.display()),
    ];
    for setting in places.iter().chain(&told) {
        command.args(["--set", setting]);
    }
    Ok((command, told))
}
