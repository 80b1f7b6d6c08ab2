//! How soon does a group coordinator answer again when it has millions of commits to read?
//!
//! Groups commit the offsets of many partitions again and again, so that `__consumer_offsets` holds
//! many records of few keys (it is not compacted meanwhile); then the server is stopped, or killed,
//! and started. Counted is from the start of the process until every group's offsets can be had,
//! beside a start with nothing to read. Target: a million records a second and shard.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::findings::Better;
use super::{Scenario, Stage};
use crate::contest::{Contestant, Server, Variant};
use crate::drive::Commits;

pub(super) const SCENARIO: Scenario = Scenario {
    number: 14,
    name: "group-load",
    question: "How soon does a group coordinator answer again when it has millions of commits to read?",
    needs: Some("a server that is started here, for its starts"),
    run,
};

const TOPIC: &str = "committed";
/// So many that every partition of `__consumer_offsets` has some.
const GROUPS: usize = 100;

fn run(stage: &mut Stage) -> Result<()> {
    let server = &mut stage.start(&Variant {
        settings: vec![("log.cleaner.enable", "false".to_owned())],
        ..Variant::default()
    })?;
    if !server.can_restart() {
        stage.skip("all of it: the server was not started here");
        return Ok(());
    }
    let partitions = stage.amount(1000, 100);
    let times = stage.scaled(100, 2) as i64;
    let topic = stage.topic_name(TOPIC);
    stage.topic(server, &topic, partitions, &[])?;
    let mut commits = Commits::new(&topic, partitions, GROUPS);
    let shards = match stage.contestant {
        Contestant::Odradek { shards, .. } => *shards,
        _ => 1,
    };

    commits.commit(&mut server.admin()?, 1, || stage.check_interrupt())?;
    let nothing = again(server, &commits, false)?;
    stage.figure(
        "a record for each key: until all answer",
        "s",
        Better::Less,
        nothing.as_secs_f64(),
    );

    let records = (times * GROUPS as i64 * i64::from(partitions)) as f64;
    eprintln!("  {}: {records} commits ...", server.label());
    commits.commit(&mut server.admin()?, times, || stage.check_interrupt())?;
    stage.figure("committed", "records", Better::Neither, records);
    for (how, kill) in [("stopped", false), ("killed", true)] {
        stage.check_interrupt()?;
        let took = again(server, &commits, kill)?;
        let name = format!("{how}: until all answer");
        stage.figure(&name, "s", Better::Less, took.as_secs_f64());
        let rate = |seconds: f64| records / seconds / shards as f64;
        let name = format!("{how}: records a second and shard, from the process's start");
        stage.figure(&name, "records/s", Better::More, rate(took.as_secs_f64()));
        let name = format!("{how}: the same, less a start with little to read (goal: 1 million)");
        match took.checked_sub(nothing).filter(|beyond| !beyond.is_zero()) {
            Some(beyond) => {
                stage.figure(&name, "records/s", Better::More, rate(beyond.as_secs_f64()));
            }
            None => stage.skip(&format!("{name}: it took no longer than that")),
        }
        let peak = server.usage().ok().map(|usage| usage.rss_peak_bytes);
        stage.memory(how, server, peak);
    }
    Ok(())
}

/// From the process's start until every group's offsets can be had.
fn again(server: &mut Server, commits: &Commits, kill: bool) -> Result<Duration> {
    match kill {
        true => server.kill()?,
        false => drop(server.stop()?),
    }
    let began = Instant::now();
    server.restart()?;
    commits.until_answered(&mut server.admin()?)?;
    Ok(began.elapsed())
}
