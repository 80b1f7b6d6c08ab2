//! What goes wrong while the node runs: each kind for a while, now and then.

use odradek_engine::io::sim::{SimFaults, SimWorld};

use crate::plan::Rng;
use crate::site::Site;
use crate::story;

/// What can be switched on. The names are those of the script's classes.
const KINDS: [&str; 9] = [
    "failing flushes",
    "failing writes",
    "failing reads",
    "a full disk",
    "short transfers",
    "a slow disk",
    "cut sockets",
    "stalled sockets",
    "clock jumps",
];

/// These have no errors, so that a run gets on: a node cannot do without them. In some lives they
/// have.
const SPARED: [&str; 4] = ["__cluster_metadata", "meta.properties", ".tmp", "strategy"];

/// Nothing goes wrong any more.
pub fn calm(world: &SimWorld) {
    world.set_faults(|faults| *faults = SimFaults::default());
}

/// Makes trouble until the life ends.
pub async fn trouble(site: Site, mut rng: Rng) {
    let mut kinds: Vec<&'static str> = KINDS.to_vec();
    kinds.retain(|_| rng.one_in(3));
    let spare = !rng.one_in(4);
    if kinds.is_empty() {
        return;
    }
    while !site.closing.get() {
        site.pause(&mut rng, 30_000).await;
        let kind = rng.pick(&kinds);
        if site.closing.get() || !site.script.wants(kind) {
            continue;
        }
        story::tell(site.world.now(), format_args!("trouble: {kind}"));
        begin(&site, &mut rng, kind, spare);
        site.pause(&mut rng, 20_000).await;
        calm(&site.world);
        story::tell(site.world.now(), format_args!("no more trouble"));
    }
}

fn begin(site: &Site, rng: &mut Rng, kind: &str, spare: bool) {
    let rate = rng.pick(&[2, 10, 50]);
    let room = rng.pick(&[0, 10_000, 200_000]);
    let full = site.world.disk_used() + room;
    site.oracle.borrow_mut().rough = true;
    if kind == "clock jumps" {
        let hours = rng.range(0, 48) as i64 - 24;
        return site
            .world
            .set_clock(hours * 3_600_000 + rng.range(0, 1_000) as i64);
    }
    site.world.set_faults(|faults| {
        if spare {
            faults.spared = SPARED.map(str::to_owned).to_vec();
        }
        match kind {
            "failing flushes" => faults.sync_fails = rate,
            "failing writes" => faults.write_fails = rate,
            "failing reads" => faults.read_fails = rate,
            "a full disk" => faults.disk_bytes_max = Some(full),
            "short transfers" => faults.short = rate,
            "a slow disk" => faults.slow_times = rate,
            "cut sockets" => faults.cut = rate * 5,
            "stalled sockets" => faults.stall = rate * 5,
            other => unreachable!("{other} is no kind of trouble"),
        }
    });
}
