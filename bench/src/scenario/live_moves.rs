//! How long does a live move hold up its producer?
//!
//! One partition of a node of two shards, produced to as fast as it answers: 1 MiB requests, five
//! in flight on one connection, which stays where it is (the old core passes requests on). Meanwhile
//! the partition moves to and fro. What counts is the longest time without an ack around each move,
//! from its request until a little after the new leader is known: goal, at most 50 ms. The longest
//! time without an ack away from all moves says what of it the disk does.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use odradek_wire::produce::ProduceRequest;

use super::findings::Better;
use super::{Scenario, Stage};
use crate::contest::{Server, Variant};
use crate::drive::{Batch, Frames, Pipeline, Work, now_ms};
use crate::machine::wait_until_quiet;
use crate::record::Spread;

pub(super) const SCENARIO: Scenario = Scenario {
    number: 15,
    name: "live-moves",
    question: "How long does a live move hold up its producer?",
    needs: Some(
        "several brokers to move between: the own node's shards, AlterPartitionReassignments",
    ),
    run,
};

const SHARDS: usize = 2;
const MOVES: usize = 24;
/// Between two moves, and before the first.
const PAUSE: Duration = Duration::from_millis(120);
/// After a move what it held up still counts as its own.
const AFTER: Duration = Duration::from_millis(60);

/// From the request until the new leader is known.
type Move = (Instant, Instant);

fn run(stage: &mut Stage) -> Result<()> {
    if !stage.contestant.is_odradek() {
        stage.skip(
            "all: the driver does not look for another leader, and only the own node passes on \
             what is sent to the old one",
        );
        return Ok(());
    }
    let server = stage.start(&Variant {
        shards: Some(SHARDS),
        ..Variant::default()
    })?;
    for (what, acks) in [("acks=1", 1), ("acks=all", -1)] {
        moved(stage, &server, what, acks)?;
    }
    Ok(())
}

fn moved(stage: &mut Stage, server: &Server, what: &str, acks: i16) -> Result<()> {
    stage.check_interrupt()?;
    eprintln!("  {}: moves beside produce {what} ...", server.label());
    wait_until_quiet(stage.place.quiet_seconds)?;
    let topic = stage.topic_name(&format!("live-moves{acks}"));
    let leader = stage.topic(server, &topic, 1, &[])?[0].leader;
    let version = server.admin()?.version::<ProduceRequest>(12)?;
    let over = Arc::new(AtomicBool::new(false));
    let producing = {
        let (over, topic) = (over.clone(), topic.clone());
        std::thread::spawn(move || {
            let acked = produce(leader, &topic, acks, version, &over);
            over.store(true, Ordering::Relaxed);
            acked
        })
    };
    let moves = to_and_fro(stage, server, &topic, &over);
    over.store(true, Ordering::Relaxed);
    let acked = producing.join().ok().context("the producer's thread")?;
    let acked = acked.with_context(|| stage.blame(what, server))?;
    let moves = moves?;
    server.admin()?.delete_topic(&topic)?;

    let gaps = Gaps::of(&acked, &moves);
    let held = Spread::of(gaps.around.iter().copied()).context("no move")?;
    stage.findings.notes.push(format!(
        "{what}: {} moves, {} acks of 1 MiB, longest wait around a move {} ms",
        moves.len(),
        acked.len(),
        held.show(1)
    ));
    let name = |which: &str| format!("produce {what}: {which}");
    let (less, told) = (Better::Less, Better::Neither);
    let worst = name("longest time without an ack around a move, worst (goal: 50)");
    stage.figure(&worst, "ms", less, held.max);
    let median = name("longest time without an ack around a move, median (goal: 50)");
    stage.figure(&median, "ms", less, held.median);
    let away = name("longest time without an ack away from moves");
    stage.figure(&away, "ms", told, gaps.away);
    let took = Spread::of(moves.iter().map(|(from, to)| (*to - *from).as_secs_f64()));
    let took = took.map_or(f64::NAN, |took| 1e3 * took.median);
    let known = name("a move, until the new leader is known, median");
    stage.figure(&known, "ms", less, took);
    Ok(())
}

fn to_and_fro(stage: &Stage, server: &Server, topic: &str, over: &AtomicBool) -> Result<Vec<Move>> {
    let mut admin = server.admin()?;
    let mut moves = Vec::new();
    for _ in 0..stage.amount(MOVES, 3) {
        stage.pause(PAUSE)?;
        if over.load(Ordering::Relaxed) {
            break;
        }
        let layout = admin.layout(topic)?;
        let other = layout.brokers.iter().find(|id| **id != layout.leaders[0]);
        let from = Instant::now();
        admin.move_to(topic, 0, *other.context("no broker to move to")?)?;
        moves.push((from, Instant::now()));
    }
    stage.pause(PAUSE)?;
    Ok(moves)
}

/// Produces until it is over; when each ack came.
fn produce(
    leader: SocketAddr,
    topic: &str,
    acks: i16,
    version: i16,
    over: &AtomicBool,
) -> Result<Vec<Instant>> {
    let batch = Batch::build(1024, 1 << 20, now_ms())?;
    let mut acked = Acked {
        frames: Frames::new(topic, &[0], &batch, acks, version)?,
        at: Vec::new(),
    };
    let more = |_| !over.load(Ordering::Relaxed);
    Pipeline::open(leader)?.run_while(&mut acked, more)?;
    ensure!(acked.at.len() > 1, "it acked {} requests", acked.at.len());
    Ok(acked.at)
}

/// Produce requests, and when their acks came.
struct Acked {
    frames: Frames,
    at: Vec<Instant>,
}

impl Work for Acked {
    fn request(
        &mut self,
        at: usize,
        correlation: i32,
        out: &mut Vec<u8>,
    ) -> Result<Option<Rc<[u8]>>> {
        self.frames.request(at, correlation, out)
    }

    fn reply(&mut self, at: usize, reply: &[u8]) -> Result<u64> {
        let worth = self.frames.reply(at, reply)?;
        self.at.push(Instant::now());
        Ok(worth)
    }
}

/// Times without an ack, milliseconds.
#[derive(Debug, PartialEq)]
struct Gaps {
    /// The longest that overlaps each move, or the time right after it.
    around: Vec<f64>,
    /// The longest of all others.
    away: f64,
}

impl Gaps {
    fn of(acked: &[Instant], moves: &[Move]) -> Self {
        let mut around = vec![0.0; moves.len()];
        let mut away = 0.0f64;
        for pair in acked.windows(2) {
            let ms = (pair[1] - pair[0]).as_secs_f64() * 1e3;
            let mut near = false;
            for (longest, (from, to)) in around.iter_mut().zip(moves) {
                if pair[0] <= *to + AFTER && pair[1] >= *from {
                    *longest = ms.max(*longest);
                    near = true;
                }
            }
            if !near {
                away = away.max(ms);
            }
        }
        Self { around, away }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_counts_for_the_move_that_it_overlaps() {
        let zero = Instant::now();
        let at = |ms: u64| zero + Duration::from_millis(ms);
        // 10 ms apart, but 40 around the first move and 30 where there is none.
        let acked: Vec<_> = [0, 10, 50, 60, 200, 230, 240, 300, 310].map(at).to_vec();
        let moves = [(at(20), at(25)), (at(301), at(302))];
        let gaps = Gaps::of(&acked, &moves);
        // 60..200 overlaps what follows the first move.
        assert_eq!(gaps.around, vec![140.0, 10.0]);
        assert_eq!(gaps.away, 60.0);
        assert_eq!(Gaps::of(&acked, &[]).away, 140.0);
    }
}
