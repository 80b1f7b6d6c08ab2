//! One life of a node: it starts, what it has recovered is judged, clients are let loose, and then
//! it is stopped, killed, or loses its power.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use odradek_engine::io::Io;
use odradek_engine::io::sim::SimWorld;
use odradek_shards::broker::{
    Boot, BootError, Broker, Endpoint, end_changes, log_dirs, start, until_stopped,
};
use odradek_shards::net::Gate;
use odradek_shards::runtime::Mailboxes;

use crate::admin::{Admin, administer};
use crate::chaos;
use crate::committed::read_committed;
use crate::consumer::consume;
use crate::fleeting::{Owner, own};
use crate::groups::{Committer, commit_forever};
use crate::judge::{has_failed, judge, judge_at_rest};
use crate::machine::Machine;
use crate::members::{Company, Member, judge_group, take_part};
use crate::oracle::{Oracle, Stood};
use crate::plan::{End, Plan, Rng};
use crate::producer::{Producer, produce};
use crate::script::Script;
use crate::site::Site;
use crate::snare::{Snare, is_recovering};
use crate::story;
use crate::transactor::{Transactor, transact};

/// Whoever waits longer than this, in virtual time, waits forever.
const PATIENCE: Duration = Duration::from_secs(300);
/// As the node's own.
const CHANGE_PATIENCE: Duration = Duration::from_secs(5);

/// What outlives a life.
pub struct Cast {
    pub plan: Rc<Plan>,
    pub script: Rc<Script>,
    pub oracle: Rc<RefCell<Oracle>>,
    pub producers: Vec<Rc<RefCell<Producer>>>,
    pub transactors: Vec<Rc<RefCell<Transactor>>>,
    pub committers: Vec<Rc<RefCell<Committer>>>,
    pub members: Vec<Rc<RefCell<Member>>>,
    pub company: Rc<RefCell<Company>>,
    pub admin: Rc<RefCell<Admin>>,
    pub owner: Rc<RefCell<Owner>>,
    /// Steps that the last life made before it served.
    pub steps_to_serve: Cell<u64>,
    /// Lives that ended in the middle of something, by what that was.
    pub kills: RefCell<BTreeMap<&'static str, u64>>,
}

/// How one life is to be.
pub struct Length {
    pub time: Duration,
    /// Steps of tasks after which it ends by itself.
    pub steps: u64,
    /// Or at this moment.
    pub snare: Option<Snare>,
    pub end: End,
    /// It was asked to stop so long before its end, which then comes in the middle of that.
    pub asked: Option<Duration>,
    /// All clients come to their end, all logs are read once more.
    pub last: bool,
    pub pace: u64,
}

#[derive(Default)]
struct Serving {
    brokers: RefCell<Vec<Rc<Broker>>>,
    /// The logs were judged, and clients are at work.
    busy: Cell<bool>,
    /// It does not start, as storage fails.
    failed: Cell<bool>,
    /// It was asked to stop.
    asked: Cell<bool>,
}

/// Completes with `None` if `future` does not in time.
pub async fn within<T>(io: &Io, time: Duration, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut over) = (pin!(future), pin!(io.sleep(time)));
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => over.as_mut().poll(context).map(|()| None),
    })
    .await
}

/// One life, from start to end.
pub fn live(world: &SimWorld, cast: &Rc<Cast>, mut rng: Rng, length: &Length) {
    let machine = Machine::new(world, cast.plan.shards);
    let site = Site::new(
        machine.ios[0].clone(),
        world.clone(),
        cast.plan.clone(),
        cast.script.clone(),
        cast.oracle.clone(),
        length.pace,
    );
    let serving = Rc::new(Serving::default());
    let over = Rc::new(Cell::new(false));
    let serve = serve(
        site.clone(),
        machine.ios.clone(),
        machine.spawners.clone(),
        cast.clone(),
        rng.fork(),
        serving.clone(),
    );
    machine.spawners[0].spawn(serve).detach();
    let (time, end, last) = (length.time, length.end, length.last);
    let (asked, spawner) = (length.asked, machine.spawners[0].clone());
    let director = {
        let (site, serving, over) = (site.clone(), serving.clone(), over.clone());
        let company = cast.company.clone();
        let mut rng = rng.fork();
        async move {
            site.io.sleep(time).await;
            if end.is_stop() {
                stop(&site, &serving, last.then_some(&company), &mut rng).await;
            } else if let Some(asked) = asked {
                serving.asked.set(true);
                let brokers = serving.brokers.borrow().clone();
                let stopping = async move {
                    for broker in brokers.into_iter().rev() {
                        broker.request_stop(broker.shard == 0);
                        until_stopped(broker).await;
                    }
                };
                spawner.spawn(stopping).detach();
                site.io.sleep(asked).await;
            }
            over.set(true);
        }
    };
    machine.spawners[0].spawn(director).detach();
    if let Some(snare) = &length.snare {
        snare.lay(world);
    }
    let snare = length.snare.as_ref();
    let (before, snared) = machine.run(&over, &serving.busy, length.steps, snare);
    world.look_away();
    if serving.busy.get() {
        cast.steps_to_serve.set(before);
    }
    // Those that ended by themselves, before they were asked to.
    let end = match (end.is_stop() && !over.get(), end) {
        (true, End::Stop) => End::Kill,
        (true, _) => End::Cut,
        (false, end) => end,
    };
    let standings = standings(&serving.brokers.borrow(), &cast.oracle.borrow());
    if let Some(in_the_middle_of) =
        interrupted(world, cast, end, &serving, snare.filter(|_| snared))
    {
        story::tell(
            world.now(),
            format_args!("in the middle of {in_the_middle_of}"),
        );
        *cast.kills.borrow_mut().entry(in_the_middle_of).or_default() += 1;
    }
    let started = !serving.brokers.borrow().is_empty();
    story::tell(world.now(), format_args!("the life ends: {end:?}"));
    if end.is_cut() {
        world.power_cut();
    } else {
        world.kill_process();
    }
    drop(machine);
    chaos::calm(world);
    let now = world.now();
    let mut oracle = cast.oracle.borrow_mut();
    oracle.ended(end, now, started, serving.asked.get(), &standings);
}

/// What the node is busy with when it is killed.
fn interrupted(
    world: &SimWorld,
    cast: &Cast,
    end: End,
    serving: &Serving,
    snare: Option<&Snare>,
) -> Option<&'static str> {
    if end.is_stop() || serving.failed.get() {
        return None;
    }
    let (oracle, brokers) = (cast.oracle.borrow(), serving.brokers.borrow());
    if !serving.busy.get() && is_recovering(world, &cast.plan, &oracle, &brokers) {
        return Some("recovery");
    }
    snare.map(|snare| snare.what)
}

/// Stops the node once it serves; in the `last` life, not before its clients have come to an end.
async fn stop(site: &Site, serving: &Serving, last: Option<&Rc<RefCell<Company>>>, rng: &mut Rng) {
    let io = &site.io;
    let served = async {
        while !serving.busy.get() && !serving.failed.get() {
            io.sleep(Duration::from_millis(1)).await;
        }
    };
    let served = within(io, PATIENCE, served).await;
    assert!(served.is_some(), "the node does not come to serve");
    if serving.failed.get() {
        return;
    }
    io.sleep(Duration::from_millis(20)).await;
    if last.is_some() {
        chaos::calm(&site.world);
        site.closing.set(true);
        let idle = async {
            while !site.waiting().is_empty() {
                io.sleep(Duration::from_millis(10)).await;
            }
        };
        let idle = within(io, PATIENCE, idle).await;
        assert!(
            idle.is_some(),
            "clients wait forever: {}",
            site.waiting().join("; ")
        );
        // What a full disk took offline comes back.
        io.sleep(Duration::from_secs(3)).await;
    }
    let brokers: Vec<Rc<Broker>> = serving.brokers.borrow().clone();
    if let Some(company) = last {
        judge_at_rest(site, &brokers, rng).await;
        judge_group(site, company, rng, || has_failed(&brokers)).await;
    }
    // As the node does, and it goes on without.
    let _ = within(io, CHANGE_PATIENCE, end_changes(brokers[0].clone())).await;
    for broker in brokers.into_iter().rev() {
        broker.request_stop(broker.shard == 0);
        let shard = broker.shard;
        let stopped = within(io, PATIENCE, until_stopped(broker)).await;
        assert!(stopped.is_some(), "shard {shard} does not stop");
    }
}

/// The partitions that are open, and those whose storage has failed.
fn standings(brokers: &[Rc<Broker>], oracle: &Oracle) -> Vec<Stood> {
    let mut found = Vec::new();
    for broker in brokers {
        for hosted in broker.holdings.open_partitions() {
            let name = hosted.partition.name();
            let Some(partition) = oracle.partition(&name.topic, name.index) else {
                continue;
            };
            let poisoned = hosted.partition.poisoned();
            assert!(
                poisoned.is_none() || oracle.rough || oracle.is_spoiled(partition),
                "{name} is offline though nothing was wrong: {poisoned:?}"
            );
            let standing = hosted.partition.standing();
            found.push((partition, Some(standing), poisoned.is_some()));
        }
        for (id, index) in broker.holdings.failed() {
            let image = broker.holdings.image();
            let topic = image.topic_by_id(id);
            let known = topic.and_then(|topic| oracle.partition(&topic.name, index));
            found.extend(known.map(|partition| (partition, None, true)));
        }
    }
    found
}

/// Starts all shards.
async fn boot(
    site: &Site,
    ios: &[Io],
    spawners: &[odradek_engine::task::Spawner],
) -> Result<Vec<Rc<Broker>>, BootError> {
    let settings = &site.plan.settings;
    let shards = site.plan.shards;
    let advertised = match settings.one_address() {
        true => 1,
        false => shards,
    };
    let endpoint = |shard| Endpoint {
        host: "127.0.0.1".into(),
        port: site.address(shard).port(),
    };
    let endpoints: Arc<[Endpoint]> = (0..advertised).map(endpoint).collect();
    let mail = Mailboxes::new(shards);
    let gate = Gate::new(settings, None);
    let log_dirs = log_dirs(settings);
    let mut brokers: Vec<Rc<Broker>> = Vec::new();
    for (shard, (io, spawner)) in (0..).zip(ios.iter().zip(spawners)) {
        let (listener, _) = io
            .listen(site.address(shard), !site.has_ports())
            .await
            .expect("listening");
        let boot = Boot {
            shard,
            settings: settings.clone(),
            log_dirs: log_dirs.clone(),
            endpoints: endpoints.clone(),
            mail: mail.clone(),
            listeners: vec![listener],
            gate: gate.clone(),
            first: brokers
                .first()
                .map(|first| (first.facts.clone(), first.image())),
        };
        brokers.push(start(io.clone(), spawner.clone(), boot).await?);
    }
    Ok(brokers)
}

/// Starts the node, judges what it has recovered, lets the clients loose.
async fn serve(
    site: Site,
    ios: Vec<Io>,
    spawners: Vec<odradek_engine::task::Spawner>,
    cast: Rc<Cast>,
    mut rng: Rng,
    serving: Rc<Serving>,
) {
    match boot(&site, &ios, &spawners).await {
        Ok(brokers) => *serving.brokers.borrow_mut() = brokers,
        Err(error) => {
            assert!(
                site.oracle.borrow().rough,
                "the node does not start: {error}"
            );
            story::tell(
                site.world.now(),
                format_args!("the node does not start: {error}"),
            );
            return serving.failed.set(true);
        }
    }
    let brokers = serving.brokers.borrow().clone();
    judge(&site, &cast, &brokers, &mut rng).await;
    serving.busy.set(true);
    let spawn = &spawners[0];
    for producer in &cast.producers {
        spawn
            .spawn(produce(site.clone(), producer.clone()))
            .detach();
    }
    for transactor in &cast.transactors {
        let task = transact(site.clone(), transactor.clone());
        spawn.spawn(task).detach();
    }
    spawn
        .spawn(read_committed(site.clone(), rng.fork()))
        .detach();
    for number in 0..2 {
        let rng = rng.fork();
        spawn.spawn(consume(site.clone(), number, rng)).detach();
    }
    for committer in &cast.committers {
        let task = commit_forever(site.clone(), committer.clone());
        spawn.spawn(task).detach();
    }
    for member in &cast.members {
        let task = take_part(site.clone(), member.clone());
        spawn.spawn(task).detach();
    }
    spawn
        .spawn(administer(site.clone(), cast.admin.clone()))
        .detach();
    spawn.spawn(own(site.clone(), cast.owner.clone())).detach();
    if site.script.wants("trouble") && !rng.one_in(3) {
        spawn.spawn(chaos::trouble(site, rng)).detach();
    }
}
