//! loom: do sections exclude, publish, let go and resume under every order of steps? Two threads
//! exhaustively where that ends in seconds, else within a bound of preemptions.
//!
//! `RUSTFLAGS="--cfg pysync_loom" cargo test --release -p pysync-critical-section --test loom -- --nocapture`
//!
//! What a section guards is a `loom::cell::UnsafeCell`, which reports two accesses that nothing
//! orders. A wake that is lost, or a thread that sleeps with its mutexes locked, shows as a
//! deadlock. Each model runs without hand-offs and with nothing but hand-offs.
#![cfg(pysync_loom)]

use std::sync::atomic::{AtomicUsize as PlainUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex as PlainMutex, PoisonError};

use loom::cell::UnsafeCell;
use loom::thread;
use pysync_critical_section::{
    Attached, ThreadState, assert_held, critical_section, critical_section2,
};
use pysync_lock::{Event, Mutex};
use pysync_platform::model::set_clock_step;

const EXHAUSTIVE: Option<usize> = None;
/// Past the millisecond after which a mutex is handed over.
const ALWAYS_HAND_OFF: u64 = 2_000_000;

/// Every order of steps, with at most `preemptions` of them if there is a bound; first with no
/// unlock that hands over, then with all of them doing so.
fn check(name: &str, preemptions: Option<usize>, model: fn()) {
    for (step, hand_offs) in [(0, "no hand-offs"), (ALWAYS_HAND_OFF, "hand-offs")] {
        check_with(step, &format!("{name}, {hand_offs}"), preemptions, model);
    }
}

fn check_with(step: u64, name: &str, preemptions: Option<usize>, model: fn()) {
    // The clock is the process's, so one model at a time.
    static CLOCK: PlainMutex<()> = PlainMutex::new(());
    let _clock = CLOCK.lock().unwrap_or_else(PoisonError::into_inner);
    set_clock_step(step);
    let executions = Arc::new(PlainUsize::new(0));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.max_branches = 10_000;
    builder.check({
        let executions = Arc::clone(&executions);
        move || {
            executions.fetch_add(1, Relaxed);
            model();
        }
    });
    println!("{name}: {} executions", executions.load(Relaxed));
}

/// Data with no protection of its own.
struct Data(UnsafeCell<u32>);

// SAFETY: loom checks each access.
unsafe impl Sync for Data {}

impl Data {
    fn new() -> Self {
        Self(UnsafeCell::new(0))
    }

    fn get(&self) -> u32 {
        // SAFETY: loom reports a write at the same time.
        self.0.with(|value| unsafe { *value })
    }

    fn add_one(&self) {
        // SAFETY: loom reports any access at the same time.
        self.0.with_mut(|value| unsafe { *value += 1 });
    }
}

/// A mutex and what it guards.
struct Object {
    mutex: Mutex,
    data: Data,
}

impl Object {
    fn new() -> Self {
        Self { mutex: Mutex::new(), data: Data::new() }
    }

    /// A section of the object: it writes, does what `inner` does, and writes again.
    fn section(&self, inner: impl FnOnce()) {
        critical_section(&self.mutex, || {
            self.data.add_one();
            inner();
            self.data.add_one();
        });
    }
}

/// Two objects that lie in the order of their addresses.
struct Shared {
    a: Object,
    b: Object,
    event: Event,
}

fn shared() -> Arc<Shared> {
    Arc::new(Shared { a: Object::new(), b: Object::new(), event: Event::new() })
}

impl Shared {
    /// A section of both objects, named in either order.
    fn section2(&self, swapped: bool, inner: impl FnOnce()) {
        let (a, b) = (&self.a, &self.b);
        let (first, second) = if swapped { (b, a) } else { (a, b) };
        critical_section2(&first.mutex, &second.mutex, || {
            a.data.add_one();
            b.data.add_one();
            inner();
            a.data.add_one();
            b.data.add_one();
        });
    }

    fn assert(&self, of_a: u32, of_b: u32) {
        assert_eq!((self.a.data.get(), self.b.data.get()), (of_a, of_b));
        assert!(!self.a.mutex.is_locked() && !self.b.mutex.is_locked());
    }
}

/// Runs each body on an attached thread of its own, the last one on this one.
fn attached<const N: usize>(bodies: [fn(&Shared, &Attached); N]) -> Arc<Shared> {
    let shared = shared();
    let (own, others) = bodies.split_last().unwrap();
    let threads: Vec<_> = others
        .iter()
        .map(|&body| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || body(&shared, &ThreadState::attach()))
        })
        .collect();
    own(&shared, &ThreadState::attach());
    for thread in threads {
        thread.join().unwrap();
    }
    shared
}

fn nothing() {}

mod exclusion {
    use super::*;

    fn of_a(s: &Shared, _: &Attached) {
        s.a.section(nothing);
    }

    fn of_both(s: &Shared, _: &Attached) {
        s.section2(false, nothing);
    }

    fn of_both_swapped(s: &Shared, _: &Attached) {
        s.section2(true, nothing);
    }

    #[test]
    fn one_mutex() {
        check("sections of one mutex, 2 threads", EXHAUSTIVE, || {
            attached([of_a, of_a]).assert(4, 0);
        });
        check("sections of one mutex, 3 threads", Some(3), || {
            attached([of_a, of_a, of_a]).assert(6, 0);
        });
    }

    #[test]
    fn a_section_and_a_lock() {
        check("a section and a lock", EXHAUSTIVE, || {
            let s = shared();
            let other = thread::spawn({
                let s = Arc::clone(&s);
                move || {
                    s.a.mutex.lock();
                    s.a.data.add_one();
                    s.a.mutex.unlock();
                }
            });
            of_a(&s, &ThreadState::attach());
            other.join().unwrap();
            s.assert(3, 0);
        });
    }

    #[test]
    fn two_mutexes_in_either_order() {
        check("sections of two mutexes, 2 threads", EXHAUSTIVE, || {
            attached([of_both, of_both_swapped]).assert(4, 4);
        });
        check("sections of two mutexes, 3 threads", Some(3), || {
            attached([of_both, of_both_swapped, of_both]).assert(6, 6);
        });
    }

    #[test]
    fn one_and_two_mutexes() {
        check("sections of one and of two mutexes", EXHAUSTIVE, || {
            attached([of_both, of_a]).assert(4, 2);
        });
    }
}

mod nesting {
    use super::*;

    fn a_b(s: &Shared, _: &Attached) {
        s.a.section(|| s.b.section(nothing));
    }

    fn b_a(s: &Shared, _: &Attached) {
        s.b.section(|| s.a.section(nothing));
    }

    #[test]
    fn opposite_orders() {
        check("opposite nestings, 2 threads", Some(6), || {
            attached([a_b, b_a]).assert(4, 4);
        });
        check("opposite nestings, and a third thread", Some(3), || {
            attached([a_b, b_a, |s, _| s.section2(true, nothing)]).assert(6, 6);
        });
    }

    #[test]
    fn a_section_that_wakes_itself() {
        // The inner section waits for what its own thread's outer one holds.
        fn a_b_a(s: &Shared, _: &Attached) {
            s.a.section(|| s.b.section(|| s.a.section(nothing)));
        }
        check("a mutex taken over from an outer section", EXHAUSTIVE, || {
            attached([a_b_a]).assert(4, 2);
        });
        check("the same, and another thread", Some(4), || {
            attached([a_b_a, |s, _| s.a.section(nothing)]).assert(6, 2);
        });
    }

    #[test]
    fn a_section_of_two_around_one_that_blocks() {
        fn one_in_two(s: &Shared, _: &Attached) {
            let inner = Object::new();
            s.section2(true, || inner.section(nothing));
        }
        fn two_in_one(s: &Shared, _: &Attached) {
            s.b.section(|| s.section2(false, nothing));
        }
        check("two in one and one in two", Some(4), || {
            attached([one_in_two, two_in_one]).assert(4, 6);
        });
    }
}

mod suspension {
    use super::*;

    #[test]
    fn detached() {
        fn detach(s: &Shared, attached: &Attached) {
            s.a.section(|| {
                attached.detached(nothing);
                assert_held(&s.a.mutex);
            });
        }
        check("detached, and a section", Some(6), || {
            attached([|s, _| s.a.section(nothing), detach]).assert(4, 0);
        });
        check("detached, 2 threads", Some(5), || {
            attached([detach, detach]).assert(4, 0);
        });
        check("detached, and two sections", Some(3), || {
            let section = |s: &Shared, _: &Attached| s.a.section(nothing);
            attached([section, section, detach]).assert(6, 0);
        });
    }

    #[test]
    fn a_wait() {
        // The event happens in a section of the mutex that the waiting thread has let go of.
        check("a wait in a section", Some(5), || {
            attached([
                |s, _| s.a.section(|| s.event.wait()),
                |s, _| s.a.section(|| s.event.notify()),
            ])
            .assert(4, 0);
        });
    }

    #[test]
    fn a_wait_in_nested_sections() {
        check("a wait in nested sections", Some(4), || {
            attached([
                |s, _| s.a.section(|| s.b.section(|| s.event.wait())),
                |s, _| s.b.section(|| s.a.section(|| s.event.notify())),
            ])
            .assert(4, 4);
        });
    }

    #[test]
    fn a_wait_in_a_section_of_two() {
        // gh-155400: one resumes both, the other holds the second and wants the first.
        check("a wait in a section of two", Some(4), || {
            attached([
                |s, _| s.section2(false, || s.event.wait()),
                |s, _| {
                    s.event.notify();
                    s.b.section(|| s.a.section(nothing));
                },
            ])
            .assert(4, 4);
        });
    }
}

mod stopping {
    use super::*;

    /// A thread's state in another's hands.
    #[derive(Clone, Copy)]
    struct State(*const ThreadState);

    // SAFETY: the thread outlives its use, since it joins those that it gives this to.
    unsafe impl Send for State {}

    impl State {
        /// This thread's.
        fn own() -> Self {
            Self(ThreadState::attach().state())
        }

        fn get(&self) -> &ThreadState {
            // SAFETY: as above.
            unsafe { &*self.0 }
        }
    }

    /// Spawns a thread that may stop this one.
    fn spawn_with_own_state(
        s: &Arc<Shared>,
        body: fn(&Shared, &ThreadState),
    ) -> thread::JoinHandle<()> {
        let (s, state) = (Arc::clone(s), State::own());
        thread::spawn(move || body(&s, state.get()))
    }

    /// Writes what the thread writes while it is attached, if it can be stopped.
    fn stop_and_start(s: &Shared, state: &ThreadState) {
        if state.try_stop() {
            s.a.data.add_one();
            state.start();
        }
    }

    #[test]
    fn a_thread_is_attached_or_stopped() {
        check_with(0, "stop and attach", EXHAUSTIVE, || {
            let s = shared();
            let stopper = spawn_with_own_state(&s, stop_and_start);
            for _ in 0..2 {
                let _attached = ThreadState::attach();
                s.a.data.add_one();
            }
            stopper.join().unwrap();
            assert!(matches!(s.a.data.get(), 2 | 3));
        });
        check_with(0, "stop twice and attach", Some(7), || {
            let s = shared();
            let stopper = spawn_with_own_state(&s, |s, state| {
                stop_and_start(s, state);
                stop_and_start(s, state);
            });
            let attached = ThreadState::attach();
            s.a.data.add_one();
            attached.detached(nothing);
            s.a.data.add_one();
            drop(attached);
            stopper.join().unwrap();
            assert!(matches!(s.a.data.get(), 2..=4));
        });
    }

    #[test]
    fn whoever_finds_a_thread_stopped_sees_what_it_did() {
        // Two that stop it and only read, and nobody who starts it before they are done.
        fn stop_and_read(s: &Shared, state: &ThreadState) {
            if state.try_stop() {
                assert!(s.a.data.get() <= 1);
            }
        }
        check_with(0, "two stoppers", EXHAUSTIVE, || {
            let s = shared();
            let attached = ThreadState::attach();
            let stoppers = [(); 2].map(|()| {
                let (s, state) = (Arc::clone(&s), State(attached.state()));
                thread::spawn(move || stop_and_read(&s, state.get()))
            });
            s.a.data.add_one();
            drop(attached);
            for stopper in stoppers {
                stopper.join().unwrap();
            }
        });
    }

    #[test]
    fn a_stopped_thread_keeps_its_place_in_the_queue() {
        // It waits for the mutex, may be stopped there, and may have been handed it.
        check("stop a thread that waits for a section", Some(5), || {
            let s = shared();
            let stopper = spawn_with_own_state(&s, |s, state| {
                let _attached = ThreadState::attach();
                s.a.section(|| {
                    if state.try_stop() {
                        s.b.data.add_one();
                        state.start();
                    }
                });
            });
            {
                let _attached = ThreadState::attach();
                s.b.data.add_one();
                s.a.section(nothing);
                s.b.data.add_one();
            }
            stopper.join().unwrap();
            assert_eq!(s.a.data.get(), 4);
            assert!(!s.a.mutex.is_locked());
        });
    }
}
