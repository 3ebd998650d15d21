//! The scheduler: workers that park against pushes, theft, the end of a runtime and the moment in which
//! nothing is pending. Tasks have no cowns here, and workers are threads of the model.
//!
//! A task that no worker comes for shows as a deadlock: the thread that waits for it sleeps, and so do all
//! workers. A runtime that is left, or freed too often, shows in the next execution.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use loom::sync::atomic::{
    AtomicUsize,
    Ordering::{AcqRel, Relaxed},
};
use pysync_boc::scheduler_model::{
    self, Followers, Pending, Workers, prepare, schedule, schedule_on, submit_all,
};
use pysync_boc::{Bounds, Deadline, Lane, LockFlags, Runtime};
use pysync_lock::Event;
use pysync_platform::Native;
use pysync_testing::model::{Data, Explore};

/// What the bodies have done.
#[derive(Default)]
struct Log {
    ran: [Data; 4],
    given_up: [Data; 4],
    events: [Event; 3],
    arrived: AtomicUsize,
}

impl Log {
    fn count(&self, index: usize, runs: bool) {
        match runs {
            true => self.ran[index].add_one(),
            false => self.given_up[index].add_one(),
        }
    }

    /// How often a body has run, or has been given up.
    fn executed(&self, index: usize) -> u32 {
        self.ran[index].get() + self.given_up[index].get()
    }

    fn have_run(&self, jobs: usize) {
        for index in 0..jobs {
            assert_eq!((self.ran[index].get(), self.given_up[index].get()), (1, 0), "job {index}");
        }
    }
}

struct World {
    runtime: Runtime,
    workers: Workers,
    lane: Lane,
    log: Arc<Log>,
    was_counted: Data<bool>,
}

impl World {
    fn new(workers: usize) -> Self {
        assert_eq!(scheduler_model::lives(), 0, "the execution before has left a runtime");
        let (runtime, workers) = scheduler_model::runtime(workers);
        Self {
            runtime,
            workers,
            lane: Lane::new(),
            log: Arc::default(),
            was_counted: Data::default(),
        }
    }

    /// One with a behaviour that is ready: `body` is what it does.
    fn with(workers: usize, body: fn(&Arc<Log>, &mut Followers)) -> Self {
        let world = Self::new(workers);
        assert!(schedule(&world.runtime, calling(&world.log, body)));
        world
    }

    /// A body that counts.
    fn job(&self, index: usize) -> impl FnOnce(bool, &mut Followers) + Send + use<> {
        counting(&self.log, index)
    }
}

fn counting(log: &Arc<Log>, index: usize) -> impl FnOnce(bool, &mut Followers) + Send + use<> {
    let log = Arc::clone(log);
    move |runs, _| log.count(index, runs)
}

fn calling(
    log: &Arc<Log>,
    body: fn(&Arc<Log>, &mut Followers),
) -> impl FnOnce(bool, &mut Followers) + Send + use<> {
    let log = Arc::clone(log);
    move |_, followers| body(&log, followers)
}

/// Called in a body: the runtime that it runs in.
fn own() -> Runtime {
    Runtime::current().expect("in a body")
}

fn worker_0(world: &World) {
    world.workers.work(0);
}

fn worker_1(world: &World) {
    world.workers.work(1);
}

fn stop(world: &World) {
    assert_eq!(world.runtime.stop(None).still_running, 0);
}

/// The worker is about to park, or has, when a thread outside pushes. The end of the wait publishes what
/// the body has done.
#[test]
fn a_push_from_outside_finds_the_worker() {
    fn push(world: &World) {
        let runtime = &world.runtime;
        assert!(schedule(runtime, world.job(0)));
        runtime.quiesce(None).unwrap();
        world.log.have_run(1);
        runtime.stop(None);
    }
    let model = Explore::new("1 worker, push from outside").preemptions(2);
    model.run(|| World::new(1), [worker_0, push], |_| ());
}

/// One of two workers runs it, and stops the other.
#[test]
fn a_push_from_outside_finds_one_of_two_workers() {
    fn push(world: &World) {
        assert!(schedule(
            &world.runtime,
            calling(&world.log, |log, _| {
                log.count(0, true);
                own().stop(None);
            })
        ));
    }
    let model = Explore::new("2 workers, push from outside").preemptions(0);
    model.run(|| World::new(2), [worker_0, worker_1, push], |world| world.log.have_run(1));
}

/// The body waits for the one that it has asked for: no other thread than the idle worker can run that.
#[test]
fn what_a_body_asks_for_is_not_hidden_behind_it() {
    fn ask_and_wait(log: &Arc<Log>, _: &mut Followers) {
        let asked = Arc::clone(log);
        assert!(schedule(&own(), move |runs, _| {
            asked.count(0, runs);
            asked.events[0].notify();
        }));
        log.events[0].wait();
        log.have_run(1);
        own().stop(None);
    }
    let model = Explore::new("push by a worker that goes on").preemptions(1);
    model.run(|| World::with(2, ask_and_wait), [worker_0, worker_1], |_| ());
}

/// Two are ready by one release, and each waits for the other.
#[test]
fn what_a_release_makes_ready_is_not_hidden_behind_each_other() {
    fn follow(log: &Arc<Log>, followers: &mut Followers) {
        for index in 0..2 {
            let log = Arc::clone(log);
            let body = move |runs, _: &mut Followers| {
                log.count(index, runs);
                log.events[index].notify();
                log.events[1 - index].wait();
                if index == 0 {
                    own().stop(None);
                }
            };
            followers.add(prepare(&own(), None, body).expect("not stopped"));
        }
    }
    let model = Explore::new("2 ready by one release").preemptions(1);
    model.run(|| World::with(2, follow), [worker_0, worker_1], |world| world.log.have_run(2));
}

/// A worker that takes two, and stays with the first, leaves the other one to the other worker, though that
/// one has looked into all queues while the two were in none.
#[test]
fn what_is_between_two_queues_is_not_lost() {
    fn three() -> World {
        let world = World::new(2);
        let bodies: [fn(&Arc<Log>, &mut Followers); 3] = [
            |log, _| {
                log.events[0].wait();
                log.have_run(1);
                own().stop(None);
            },
            |log, _| {
                log.count(0, true);
                log.events[0].notify();
            },
            |_, _| (),
        ];
        submit_all(bodies.map(|body| {
            prepare(&world.runtime, None, calling(&world.log, body)).expect("not stopped")
        }));
        world
    }
    let model = Explore::new("3 from outside, one waits for another").preemptions(1);
    model.run(three, [worker_0, worker_1], |_| ());
}

/// Three that a body has pushed, half of which the other worker takes. The last one of them stops both.
#[test]
fn each_runs_once_on_one_of_two_workers() {
    fn ask(log: &Arc<Log>, _: &mut Followers) {
        for index in 0..3 {
            let log = Arc::clone(log);
            assert!(schedule(&own(), move |runs, _| {
                log.count(index, runs);
                if log.arrived.fetch_add(1, AcqRel) == 2 {
                    own().stop(None);
                }
            }));
        }
    }
    let model = Explore::new("3 by a worker, and a thief").preemptions(1);
    model.run(|| World::with(2, ask), [worker_0, worker_1], |world| world.log.have_run(3));
}

/// A stop at any time: what was counted runs or is given up, and the rest was refused.
#[test]
fn a_stop_loses_nothing() {
    fn ask(world: &World) {
        let was_counted = schedule(&world.runtime, world.job(0));
        world.was_counted.set(was_counted);
    }
    fn agrees(world: &World) {
        assert_eq!(world.log.executed(0), u32::from(world.was_counted.get()));
        world.runtime.quiesce(Some(Duration::ZERO)).unwrap();
    }
    let model = Explore::new("stop, push from outside").preemptions(1);
    model.run(|| World::new(1), [worker_0, ask, stop], agrees);

    fn nested(log: &Arc<Log>, _: &mut Followers) {
        if !schedule(&own(), counting(log, 0)) {
            log.count(1, false);
        }
    }
    let model = Explore::new("stop, push by a worker").preemptions(2);
    model.run(
        || World::with(1, nested),
        [worker_0, stop],
        |world| assert_eq!(world.log.executed(0) + world.log.executed(1), 1),
    );
    fn stop_at_once(world: &World) {
        world.runtime.stop(Some(Duration::ZERO));
    }
    let model = Explore::new("stop without a wait, push by a worker").preemptions(2);
    model.run(
        || World::with(1, nested),
        [worker_0, stop_at_once],
        |world| assert_eq!(world.log.executed(0) + world.log.executed(1), 1),
    );
}

/// A behaviour waits for a cown when its runtime is stopped and dropped. Who makes it ready gives it up, and
/// frees the runtime.
#[test]
fn a_runtime_lives_as_long_as_what_is_pending() {
    /// Whose handle is dropped.
    struct Left {
        handle: Mutex<Option<Runtime>>,
        pending: Mutex<Option<Pending>>,
        workers: Workers,
        log: Arc<Log>,
    }
    fn waiting() -> Left {
        let World { runtime, workers, log, .. } = World::new(1);
        let pending = prepare(&runtime, None, counting(&log, 0));
        let handle = Mutex::new(Some(runtime));
        Left { handle, pending: Mutex::new(pending), workers, log }
    }
    fn release(left: &Left) {
        let pending = left.pending.lock().unwrap().take();
        pending.expect("one").submit();
    }
    fn drop_handle(left: &Left) {
        let handle = left.handle.lock().unwrap().take();
        drop(handle);
    }
    fn work(left: &Left) {
        left.workers.work(0);
    }
    let is_over = |left: &Left| {
        assert_eq!(left.log.executed(0), 1);
        assert_eq!(scheduler_model::lives(), 0);
    };
    let model = Explore::new("last handle, release").preemptions(1);
    model.run(waiting, [work, drop_handle, release], is_over);
}

/// Two who have asked for one each, and wait until nothing is pending.
#[test]
fn a_quiescer_sees_the_end_of_what_it_has_asked_for() {
    fn ask(world: &World, index: usize) {
        let runtime = &world.runtime;
        assert!(schedule(runtime, world.job(index)));
        runtime.quiesce(None).unwrap();
        assert_eq!(world.log.ran[index].get(), 1);
        if world.log.arrived.fetch_add(1, AcqRel) == 1 {
            runtime.stop(None);
        }
    }
    let model = Explore::new("2 quiescers").preemptions(0);
    model.run(|| World::new(1), [worker_0, |s| ask(s, 0), |s| ask(s, 1)], |_| ());

    /// What follows is pending before that which it follows has ended.
    fn chain(log: &Arc<Log>, followers: &mut Followers) {
        log.count(0, true);
        followers.add(prepare(&own(), None, counting(log, 1)).expect("not stopped"));
    }
    fn look(world: &World) {
        let runtime = &world.runtime;
        if runtime.quiesce(Some(Duration::ZERO)).is_ok() {
            world.log.have_run(2);
        }
        runtime.quiesce(None).unwrap();
        world.log.have_run(2);
        runtime.stop(None);
    }
    let model = Explore::new("quiescer, chain of 2").preemptions(2);
    model.run(|| World::with(1, chain), [worker_0, look], |_| ());
}

/// A behaviour is pending all the time. What the quiescer waits for besides comes as it is about to park, or
/// has.
#[test]
fn a_quiescer_is_told_to_look_once_more() {
    fn wait_for_either(world: &World) {
        let (runtime, arrived) = (&world.runtime, &world.log.arrived);
        assert!(schedule_on(runtime, &world.lane, world.job(0)));
        // Ordering: Relaxed, so that only the fences of the two sides bring them together.
        let is_over = || arrived.load(Relaxed) == 1;
        let ended = runtime.quiesce_or_in::<Native>(Deadline::NEVER, LockFlags::empty(), is_over);
        assert_eq!(ended, Ok(false));
        assert_eq!(world.lane.pump(Bounds::default()).executed, 1);
    }
    fn tell(world: &World) {
        world.log.arrived.fetch_add(1, Relaxed);
        world.runtime.recheck();
    }
    let model = Explore::new("quiescer, something else").bounded();
    model.run(|| World::new(0), [wait_for_either, tell], |world| world.log.have_run(1));
}

/// The thread of the lane is about to park, or has, when another pushes.
#[test]
fn a_push_finds_the_thread_of_a_lane() {
    fn pump(world: &World) {
        assert!(world.lane.wait(None));
        assert_eq!(world.lane.pump(Bounds::default()).executed, 1);
        world.log.have_run(1);
    }
    fn push(world: &World) {
        assert!(schedule_on(&world.runtime, &world.lane, world.job(0)));
    }
    fn push_and_quiesce(world: &World) {
        push(world);
        world.runtime.quiesce(None).unwrap();
        world.log.have_run(1);
    }
    let model = Explore::new("lane, push").bounded();
    model.run(|| World::new(0), [pump, push], |_| ());
    let model = Explore::new("lane, push and quiesce").bounded();
    model.run(|| World::new(0), [pump, push_and_quiesce], |_| ());
}
