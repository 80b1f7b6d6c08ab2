//! One seed, from the first start to the last stop.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use odradek_engine::io::sim::SimWorld;

use crate::admin::Admin;
use crate::damage;
use crate::fleeting::Owner;
use crate::groups::Committer;
use crate::life::{Cast, Length, live};
use crate::members::{Company, Member};
use crate::oracle::Oracle;
use crate::plan::{End, Plan, TRANSACTORS};
use crate::producer::Producer;
use crate::reports;
use crate::script::Script;
use crate::snare::Snare;
use crate::state_file::meddle;
use crate::story;
use crate::transactor::Transactor;

const PLAIN_PRODUCERS: u32 = 3;
const MEMBERS: u32 = 3;
/// Steps before a node serves, until it is known.
const STEPS_TO_SERVE: u64 = 1_000;
const HOUR_NS: u64 = 3_600_000_000_000;

/// What happened in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Of all that happened.
    pub hash: u64,
    /// Of what there was how much: faults, requests, lives.
    pub counts: BTreeMap<String, u64>,
    /// Simulated time.
    pub nanos: u64,
}

impl Report {
    fn count(&mut self, what: &str, by: u64) {
        *self.counts.entry(what.to_owned()).or_default() += by;
    }

    /// Takes in another run's counts.
    pub fn add(&mut self, other: &Report) {
        for (what, count) in &other.counts {
            self.count(what, *count);
        }
        self.nanos += other.nanos;
    }
}

/// Runs a seed for so many simulated hours (0: a handful of lives), or panics. `quiet`: the world
/// prints nothing of it.
pub fn run(seed: u64, hours: f64, script: &Rc<Script>, quiet: bool) -> Report {
    reports::listen(|| lives(seed, hours, script, quiet))
}

fn lives(seed: u64, hours: f64, script: &Rc<Script>, quiet: bool) -> Report {
    story::begin();
    let mut plan = Plan::of(seed);
    let world = SimWorld::new(seed);
    if quiet {
        world.hush();
    }
    world.make_dir("/data");
    let cast = Rc::new(cast(&mut plan, script));
    let mut rng = plan.rng.clone();
    let (plan, mut old) = (&cast.plan, None);
    let begun = world.now();
    let until = begun + (hours * HOUR_NS as f64) as u64;
    let mut report = Report::default();
    for life in 0.. {
        let mut rng = rng.fork();
        let last = life >= plan.lives && world.now() >= until;
        let mut length = length(&mut rng, last, hours > 0.0);
        interrupt(&mut length, &cast, &mut rng);
        if !script.wants("life") && !last {
            continue;
        }
        story::tell(
            world.now(),
            format_args!(
                "life {life}: {} shards, at most {:?} or {} steps, then {:?}{}",
                plan.shards,
                length.time,
                length.steps,
                length.end,
                length
                    .asked
                    .map_or(String::new(), |asked| format!(" {asked:?} into a stop"))
            ),
        );
        live(&world, &cast, rng.fork(), &length);
        report.count(&format!("{:?}", length.end), 1);
        if length.asked.is_some() {
            report.count("stops cut off", 1);
        }
        if last {
            break;
        }
        if plan.meddling && script.wants("state file") {
            meddle(&world, &mut rng, &mut old);
        }
        if plan.corrupting && script.wants("damage") {
            damage::at_rest(&world, plan, &cast.oracle, &mut rng);
        }
    }
    report.hash = world.trace_hash();
    report.nanos = world.now() - begun;
    sum_up(&mut report, &world, &cast);
    report
}

fn sum_up(report: &mut Report, world: &SimWorld, cast: &Cast) {
    for (fault, count) in world.faults() {
        report.count(fault, count);
    }
    let (oracle, admin) = (cast.oracle.borrow(), cast.admin.borrow());
    for (what, count) in &oracle.damages {
        report.count(what, *count);
    }
    for (by, count) in &oracle.detections {
        report.count(&format!("damage noticed {by}"), *count);
    }
    report.count("records acknowledged", oracle.acknowledged);
    report.count("records consumed", oracle.read);
    report.count("moves", admin.moves);
    report.count("records deleted", admin.deletions);
    report.count("settings changed", admin.changes);
    report.count("topics deleted", cast.owner.borrow().deletions);
    let commits = cast.committers.iter().map(|one| one.borrow().commits);
    report.count("commits", commits.sum());
    for (in_the_middle_of, count) in cast.kills.borrow().iter() {
        report.count(&format!("kills during {in_the_middle_of}"), *count);
    }
    let company = cast.company.borrow();
    report.count("shares told to members", company.shares.told);
    report.count("members left", company.left);
    report.count("records compacted", oracle.emptied);
    report.count(
        "records of transactions compacted",
        oracle.emptied_of_transactions,
    );
    let ledger = &oracle.ledger;
    report.count("transactions committed", ledger.commits);
    report.count("transactions aborted", ledger.aborts);
    report.count("records of transactions read", ledger.read);
    report.count("ends of transactions found out", ledger.found_out);
    for transactor in &cast.transactors {
        let transactor = transactor.borrow();
        report.count("producers fenced", transactor.fenced);
        report.count("transactions out of time", transactor.lapsed);
        report.count("offsets in transactions", transactor.offsets);
    }
}

fn cast(plan: &mut Plan, script: &Rc<Script>) -> Cast {
    let oracle = Rc::new(RefCell::new(Oracle::new(plan)));
    let mut producers = Vec::new();
    for number in 0..PLAIN_PRODUCERS {
        producers.push(Producer::plain(number, plan.rng.fork()));
    }
    let homes = [("plain", 0), ("small", 0), ("small", 1)];
    for (number, home) in (PLAIN_PRODUCERS..).zip(homes) {
        producers.push(Producer::idempotent(number, plan.rng.fork(), home));
    }
    let keyed = PLAIN_PRODUCERS + homes.len() as u32;
    producers.push(Producer::keyed(keyed, plan.rng.fork()));
    let transactors = TRANSACTORS.map(|number| Transactor::new(number, plan.rng.fork()));
    let transactors = transactors.map(|one| Rc::new(RefCell::new(one))).collect();
    let committers = (0..2).map(|number| Committer::new(number, plan.rng.fork()));
    let committers = committers.map(|one| Rc::new(RefCell::new(one))).collect();
    let company = Rc::new(RefCell::new(Company::default()));
    let members = (0..MEMBERS).map(|number| Member::new(number, plan.rng.fork(), &company));
    let members = members.map(|one| Rc::new(RefCell::new(one))).collect();
    let (admin, owner) = (Admin::new(plan.rng.fork()), Owner::new(plan.rng.fork()));
    let seeded = Plan {
        shards: plan.shards,
        durable: plan.durable,
        lag_ms: plan.lag_ms,
        lives: plan.lives,
        topics: plan.topics.clone(),
        settings: plan.settings.clone(),
        meddling: plan.meddling,
        corrupting: plan.corrupting,
        value_bytes_max: plan.value_bytes_max,
        rng: plan.rng.clone(),
    };
    let shared = |producer| Rc::new(RefCell::new(producer));
    Cast {
        plan: Rc::new(seeded),
        script: script.clone(),
        oracle,
        producers: producers.into_iter().map(shared).collect(),
        transactors,
        committers,
        members,
        company,
        admin: Rc::new(RefCell::new(admin)),
        owner: Rc::new(RefCell::new(owner)),
        steps_to_serve: Cell::new(STEPS_TO_SERVE),
        kills: RefCell::default(),
    }
}

/// Has a life that is to end by force do so in the middle of something, more often than by chance.
fn interrupt(length: &mut Length, cast: &Cast, rng: &mut crate::plan::Rng) {
    if length.last || length.end.is_stop() {
        return;
    }
    let recovers = cast.oracle.borrow().must_recover();
    if recovers && rng.one_in(2) && cast.script.wants("kill during recovery") {
        length.steps = rng.range(1, cast.steps_to_serve.get().max(1));
    } else if rng.one_in(3) && cast.script.wants("kill in the middle") {
        length.snare = Some(Snare::draw(rng));
    }
}

fn length(rng: &mut crate::plan::Rng, last: bool, long: bool) -> Length {
    let end = match last {
        true => End::Stop,
        false => rng.pick(&[
            End::Stop,
            End::StopThenCut,
            End::Kill,
            End::Kill,
            End::Cut,
            End::Cut,
        ]),
    };
    let pace = match long {
        true => rng.pick(&[1, 10, 100, 1_000]),
        false => rng.pick(&[1, 1, 1, 1, 1, 1, 30]),
    };
    // Some lives end while they still recover; the last one gets to see what is left.
    let micros = match rng.range(0, 5) {
        _ if last => 100_000,
        0 => rng.range(10, 5_000),
        1 => rng.range(5_000, 50_000),
        2 => rng.range(100_000, 300_000),
        _ => rng.range(20_000, 100_000),
    };
    // A kill may come at any await, also at one that takes no time.
    let steps = match !last && !end.is_stop() && rng.one_in(3) {
        true => rng.pick(&[100, 1_000, 10_000]),
        false => u64::MAX,
    };
    let asked = match !last && !end.is_stop() && rng.one_in(6) {
        true => Some(Duration::from_micros(rng.range(1, 10_000))),
        false => None,
    };
    Length {
        time: Duration::from_micros(micros * pace),
        snare: None,
        steps: match steps {
            u64::MAX => u64::MAX,
            most => rng.range(1, most),
        },
        end,
        asked,
        last,
        pace,
    }
}
