//! The scheduler with three and four threads, any of which a signal may disturb in its sleep: workers that
//! park, are woken one by one and take from each other, stops and quiescers at any time.
//!
//! A task that no worker comes for shows as a deadlock.

use std::sync::Arc;
use std::time::Duration;

use pysync_boc::scheduler_model::{
    self, Followers, Pending, Workers, prepare, schedule, schedule_on, submit_all,
};
use pysync_boc::{Bounds, Deadline, Lane, LockFlags, Runtime};
use pysync_lock::Event;
use pysync_platform::Native;
use pysync_testing::model::{Data, TryOut};
use shuttle::sync::atomic::{AtomicUsize, Ordering::SeqCst};

const JOBS: usize = 6;

#[derive(Default)]
struct Log {
    ran: [Data; JOBS],
    given_up: [Data; JOBS],
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

    fn have_run(&self, jobs: usize) {
        for index in 0..jobs {
            assert_eq!((self.ran[index].get(), self.given_up[index].get()), (1, 0), "job {index}");
        }
    }
}

struct World {
    runtime: Runtime,
    workers: Workers,
    lane: Arc<Lane>,
    log: Arc<Log>,
    /// A behaviour of another runtime that is gone.
    orphan: std::sync::Mutex<Option<Pending>>,
    was_counted: Data<u32>,
}

impl World {
    fn new(workers: usize) -> Self {
        assert_eq!(scheduler_model::lives(), 0, "the schedule before has left a runtime");
        let (runtime, workers) = scheduler_model::runtime(workers);
        Self {
            runtime,
            workers,
            lane: Arc::new(Lane::new()),
            log: Arc::default(),
            orphan: std::sync::Mutex::default(),
            was_counted: Data::default(),
        }
    }

    fn with(workers: usize, body: fn(&Arc<Log>, &mut Followers)) -> Self {
        let world = Self::new(workers);
        let log = Arc::clone(&world.log);
        assert!(schedule(&world.runtime, move |_, followers| body(&log, followers)));
        world
    }

    fn job(&self, index: usize) -> impl FnOnce(bool, &mut Followers) + Send + use<> {
        counting(&self.log, index)
    }
}

fn counting(log: &Arc<Log>, index: usize) -> impl FnOnce(bool, &mut Followers) + Send + use<> {
    let log = Arc::clone(log);
    move |runs, _| log.count(index, runs)
}

fn own() -> Runtime {
    Runtime::current().expect("in a body")
}

fn worker_0(world: &World) {
    world.workers.work(0);
}

fn worker_1(world: &World) {
    world.workers.work(1);
}

fn worker_2(world: &World) {
    world.workers.work(2);
}

fn stop(world: &World) {
    assert_eq!(world.runtime.stop(None).still_running, 0);
}

/// Bursts from outside, with two workers that go to sleep in between.
#[test]
fn pushes_from_outside_find_the_workers() {
    fn push(world: &World) {
        for round in 0..3 {
            submit_all((0..2).map(|i| {
                prepare(&world.runtime, None, world.job(2 * round + i)).expect("not stopped")
            }));
            world.runtime.quiesce(None).unwrap();
            world.log.have_run(2 * round + 2);
        }
        world.runtime.stop(None);
    }
    let model = TryOut::new("2 workers, 3 bursts from outside", 4_000);
    model.run(|| World::new(2), [worker_0, worker_1, push], |_| ());
}

/// A body waits for two that it has asked for, which wait for each other: both other workers must come.
#[test]
fn one_push_wakes_one_worker_and_two_wake_two() {
    fn ask(log: &Arc<Log>, _: &mut Followers) {
        for index in 0..2 {
            let log = Arc::clone(log);
            assert!(schedule(&own(), move |runs, _| {
                log.count(index, runs);
                log.events[index].notify();
                log.events[1 - index].wait();
                if log.arrived.fetch_add(1, SeqCst) == 1 {
                    log.events[2].notify();
                }
            }));
        }
        log.events[2].wait();
        own().stop(None);
    }
    let model = TryOut::new("2 by a worker that goes on, 3 workers", 8_000);
    let bodies = [worker_0, worker_1, worker_2];
    model.run(|| World::with(3, ask), bodies, |world| world.log.have_run(2));
}

/// A worker takes several at once, and stays with the first. Another comes for the rest.
#[test]
fn what_is_between_two_queues_is_not_lost() {
    fn push(world: &World) {
        let log = &world.log;
        let bodies = (0..5).map(|index| {
            let log = Arc::clone(log);
            let body = move |runs, _: &mut Followers| {
                log.count(index, runs);
                match index {
                    0 => log.events[0].wait(),
                    2 => log.events[0].notify(),
                    _ => (),
                }
            };
            prepare(&world.runtime, None, body).expect("not stopped")
        });
        submit_all(bodies);
        world.runtime.quiesce(None).unwrap();
        log.have_run(5);
        world.runtime.stop(None);
    }
    let model = TryOut::new("5 from outside, one waits for another", 6_000);
    model.run(|| World::new(2), [worker_0, worker_1, push], |_| ());
}

/// Chains, each of which makes itself ready again, and more than a worker may run in a row.
#[test]
fn each_runs_once_on_one_of_two_workers() {
    fn follow(log: &Arc<Log>, index: usize, followers: &mut Followers) {
        log.count(index, true);
        if index + 2 < JOBS {
            let next = Arc::clone(log);
            let body = move |_, followers: &mut Followers| follow(&next, index + 2, followers);
            followers.add(prepare(&own(), None, body).expect("not stopped"));
        }
    }
    fn two_chains(log: &Arc<Log>, followers: &mut Followers) {
        for index in 0..2 {
            let log = Arc::clone(log);
            let body = move |_, followers: &mut Followers| follow(&log, index, followers);
            followers.add(prepare(&own(), None, body).expect("not stopped"));
        }
    }
    fn check(world: &World) {
        world.runtime.quiesce(None).unwrap();
        world.log.have_run(JOBS);
        stop(world);
    }
    let model = TryOut::new("2 chains of 3, 2 workers", 6_000);
    model.run(|| World::with(2, two_chains), [worker_0, worker_1, check], |_| ());
}

/// A stop at any time, by two threads, against a push from outside and one by a worker.
#[test]
fn a_stop_loses_nothing() {
    fn nested(log: &Arc<Log>, _: &mut Followers) {
        if !schedule(&own(), counting(log, 0)) {
            log.count(0, false);
        }
    }
    fn ask(world: &World) {
        for index in 1..3 {
            let was_counted = schedule(&world.runtime, world.job(index));
            world.was_counted.update(|counted| *counted += u32::from(was_counted));
        }
    }
    fn stop_in_time(world: &World) {
        world.runtime.stop(Some(Duration::from_millis(1)));
    }
    let is_over = |world: &World| {
        world.runtime.quiesce(None).unwrap();
        let executed = |index: usize| world.log.ran[index].get() + world.log.given_up[index].get();
        // The nested one is given up with its parent, or counted.
        assert!(executed(0) <= 1);
        assert_eq!(executed(1) + executed(2), world.was_counted.get());
    };
    let model = TryOut::new("2 stops, pushes", 6_000);
    model.run(|| World::with(1, nested), [worker_0, ask, stop_in_time, stop], is_over);
    let model = TryOut::new("stop, pushes, 2 workers", 6_000);
    model.run(|| World::with(2, nested), [worker_0, worker_1, ask, stop], is_over);
}

/// Behaviours of a runtime that is gone, which a body of another one makes ready.
#[test]
fn a_runtime_lives_as_long_as_what_is_pending() {
    fn waiting() -> World {
        let world = World::new(1);
        let (gone, workers) = scheduler_model::runtime(1);
        let pending = prepare(&gone, None, world.job(0)).expect("not stopped");
        let ended = shuttle::thread::spawn(move || workers.work(0));
        drop(gone);
        ended.join().unwrap();
        *world.orphan.lock().unwrap() = Some(pending);
        world
    }
    fn release(world: &World) {
        let orphan = world.orphan.lock().unwrap().take().expect("one");
        assert!(schedule(&world.runtime, move |_, followers| followers.add(orphan)));
        world.runtime.quiesce(None).unwrap();
        world.runtime.stop(None);
    }
    let is_over = |world: &World| {
        assert_eq!(world.log.given_up[0].get(), 1);
        assert_eq!(scheduler_model::lives(), 1);
    };
    let model = TryOut::new("release of what a dropped runtime has left", 2_000);
    model.run(waiting, [worker_0, release], is_over);
}

/// The last handle goes in a body: the last worker gives up the rest, and frees the runtime.
#[test]
fn the_last_handle_may_go_in_a_body() {
    let model = TryOut::new("last handle in a body, 2 workers", 4_000);
    model.run_model(|| {
        assert_eq!(scheduler_model::lives(), 0);
        let (runtime, workers) = scheduler_model::runtime(2);
        let log: Arc<Log> = Arc::default();
        let threads = [0, 1].map(|index| shuttle::thread::spawn(move || workers.work(index)));
        for index in 0..2 {
            assert!(schedule(&runtime, counting(&log, index)));
        }
        let last = runtime.clone();
        assert!(schedule(&runtime, move |_, _| drop(last)));
        drop(runtime);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        for index in 0..2 {
            assert_eq!(log.ran[index].get() + log.given_up[index].get(), 1);
        }
        assert_eq!(scheduler_model::lives(), 0);
    });
}

/// Each of three sees the end of what it has asked for, though others wait, in time or not.
#[test]
fn quiescers_see_the_end_of_what_they_have_asked_for() {
    fn ask(world: &World, index: usize) {
        let log = Arc::clone(&world.log);
        assert!(schedule(&world.runtime, move |runs, followers| {
            log.count(index, runs);
            let next = counting(&log, index + 3);
            followers.add(prepare(&own(), None, next).expect("not stopped"));
        }));
        let timeout = (index == 2).then_some(Duration::from_millis(1));
        let is_quiet = world.runtime.quiesce(timeout).is_ok();
        if is_quiet {
            let have_run = (world.log.ran[index].get(), world.log.ran[index + 3].get());
            assert_eq!(have_run, (1, 1));
        }
        if world.log.arrived.fetch_add(1, SeqCst) == 2 {
            world.runtime.quiesce(None).unwrap();
            world.runtime.stop(None);
        }
    }
    let model = TryOut::new("3 quiescers", 6_000);
    let bodies: [fn(&World); 4] = [worker_0, |s| ask(s, 0), |s| ask(s, 1), |s| ask(s, 2)];
    model.run(|| World::new(1), bodies, |world| world.log.have_run(JOBS));
}

/// One pumps a lane until nothing is pending, and is told to look once more for each that is pushed there.
/// Another one only waits until nothing is pending, and sleeps on.
#[test]
fn a_thread_pumps_its_lane_until_nothing_is_pending() {
    fn push(log: &Arc<Log>, lane: &Lane, index: usize) {
        let next = log.clone();
        // Its end makes one ready that a worker runs.
        assert!(schedule_on(&own(), lane, move |runs, followers| {
            next.count(index, runs);
            let last = counting(&next, index + 2);
            followers.add(prepare(&own(), None, last).expect("not stopped"));
        }));
    }
    fn world() -> World {
        let world = World::new(1);
        for index in 0..2 {
            let (log, lane) = (world.log.clone(), world.lane.clone());
            assert!(schedule(&world.runtime, move |_, _| {
                push(&log, &lane, index);
                own().recheck();
            }));
        }
        world
    }
    fn pump(world: &World) {
        let flags = LockFlags::empty();
        let is_over = || !world.lane.is_empty();
        while !world.runtime.quiesce_or_in::<Native>(Deadline::NEVER, flags, is_over).unwrap() {
            assert!(world.lane.pump(Bounds { max: Some(1), ..Bounds::default() }).executed <= 1);
        }
        ended(world);
    }
    fn wait(world: &World) {
        world.runtime.quiesce(None).unwrap();
        ended(world);
    }
    fn ended(world: &World) {
        world.log.have_run(4);
        if world.log.arrived.fetch_add(1, SeqCst) == 1 {
            world.runtime.stop(None);
        }
    }
    let model = TryOut::new("lane pumped by a quiescer, 1 worker", 6_000);
    model.run(world, [worker_0, pump, wait], |_| ());
}

/// The thread of a lane sleeps, with or without a timeout, while two others push.
#[test]
fn pushes_find_the_thread_of_a_lane() {
    fn pump(world: &World) {
        let mut executed = 0;
        while executed < 4 {
            let timeout = (executed % 2 == 1).then_some(Duration::from_millis(1));
            if world.lane.wait(timeout) {
                let bounds = Bounds { max: Some(3), ..Bounds::default() };
                executed += world.lane.pump(bounds).executed;
            }
        }
        world.log.have_run(4);
    }
    fn push(world: &World, first: usize) {
        for index in first..first + 2 {
            assert!(schedule_on(&world.runtime, &world.lane, world.job(index)));
        }
        world.runtime.quiesce(None).unwrap();
    }
    let model = TryOut::new("lane, 2 that push", 6_000);
    let bodies: [fn(&World); 3] = [pump, |s| push(s, 0), |s| push(s, 2)];
    model.run(|| World::new(0), bodies, |_| ());
}
