//! A thread that stops all others, as a collector does.

use shuttle::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::SeqCst};

use super::*;

/// The threads' states, for each other to stop.
#[derive(Default)]
struct World {
    shared: Shared,
    states: [AtomicPtr<ThreadState>; 3],
    entered: AtomicUsize,
    left: AtomicUsize,
    done: Event,
    never: Event,
    stopped: AtomicBool,
}

impl World {
    fn enter(&self, id: usize, attached: &Attached) {
        self.states[id].store(attached.state().cast_mut(), SeqCst);
        self.entered.fetch_add(1, SeqCst);
        while self.entered.load(SeqCst) < 3 {
            attached.detached(thread::yield_now);
        }
    }

    /// Waits, detached, until no thread needs this one's state any more.
    fn leave(&self, attached: Attached) {
        drop(attached);
        if self.left.fetch_add(1, SeqCst) == 2 {
            self.done.notify();
        }
        self.done.wait();
    }

    fn others(&self, own: usize) -> impl Iterator<Item = &ThreadState> {
        let others = self.states.iter().enumerate().filter(move |(id, _)| *id != own);
        // SAFETY: all have entered, and none leaves before all have.
        others.map(|(_, state)| unsafe { &*state.load(SeqCst) })
    }

    fn stop(&self, own: usize) {
        while self.others(own).filter(|state| !state.try_stop()).count() > 0 {
            assert!(!self.never.wait_timed(SOON, false));
            thread::yield_now();
        }
        self.stopped.store(true, SeqCst);
    }

    fn start(&self, own: usize) {
        self.stopped.store(false, SeqCst);
        self.others(own).for_each(ThreadState::start);
    }

    /// Stops the others from a section, and writes without one what their sections guard.
    fn collect(&self, id: usize) {
        let [a, b, _] = &self.shared.objects;
        a.section(|| {
            self.stop(id);
            b.data.add_one();
            self.start(id);
        });
    }

    fn work(&self, attached: &Attached) {
        let [a, b, _] = &self.shared.objects;
        let work = |object: &Object| {
            object.section(|| assert!(!self.stopped.load(SeqCst)));
        };
        attached.detached(thread::yield_now);
        work(b);
        a.section(|| work(b));
        work(a);
    }
}

#[test]
fn stop_the_world() {
    fn run(world: &World, id: usize) {
        let attached = ThreadState::attach();
        world.enter(id, &attached);
        if id == 0 {
            world.collect(id);
        } else {
            world.work(&attached);
        }
        world.leave(attached);
    }
    try_out("gh-118332: stop the world from a section").run_in(
        World::default,
        run,
        [0, 1, 2],
        |world| world.shared.assert([10, 9, 0]),
    );
}
