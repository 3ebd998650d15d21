//! shuttle: is the protocol right under random schedules, with signals, timeouts and hand-offs
//! thrown in at random? A deadlock, a lost wake or a section that does not exclude fails.
//!
//! `RUSTFLAGS="--cfg pysync_shuttle" cargo test --release -p pysync-critical-section --test shuttle -- --nocapture`
#![cfg(pysync_shuttle)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32 as PlainU32, AtomicUsize as PlainUsize, Ordering::Relaxed};
use std::time::Duration;

use pysync_critical_section::{
    Attached, ThreadState, assert_held, critical_section, critical_section2,
};
use pysync_lock::{Event, LockFlags, LockStatus, Mutex, RwMutex};
use pysync_parking_lot::{ParkStatus, Parker};
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering::SeqCst};
use shuttle::thread;

const RANDOM: usize = 8_000;
const PCT: usize = 3_000;
const SOON: Option<Duration> = Some(Duration::from_millis(1));

/// Runs the model under schedules that are random, and under such as have few preemptions.
fn check(name: &str, model: fn()) {
    let executions = Arc::new(PlainUsize::new(0));
    let counted = || {
        let executions = Arc::clone(&executions);
        move || {
            executions.fetch_add(1, Relaxed);
            model();
        }
    };
    shuttle::check_random(counted(), RANDOM);
    for depth in [2, 3, 5] {
        shuttle::check_pct(counted(), PCT, depth);
    }
    println!("{name}: {} executions", executions.load(Relaxed));
}

/// A mutex, and a number that is written in two steps in its sections.
struct Object {
    mutex: Mutex,
    number: AtomicU32,
    /// What the number should be.
    writes: PlainU32,
}

impl Object {
    fn new() -> Self {
        Self { mutex: Mutex::new(), number: AtomicU32::new(0), writes: PlainU32::new(0) }
    }

    fn add_one(&self) {
        assert!(self.mutex.is_locked());
        let number = self.number.load(SeqCst);
        self.number.store(number + 1, SeqCst);
        self.writes.fetch_add(1, Relaxed);
    }

    fn section(&self, inner: impl FnOnce()) {
        critical_section(&self.mutex, || {
            self.add_one();
            inner();
            assert_held(&self.mutex);
            self.add_one();
        });
    }
}

fn section2(a: &Object, b: &Object, inner: impl FnOnce()) {
    critical_section2(&a.mutex, &b.mutex, || {
        a.add_one();
        b.add_one();
        inner();
        assert_held(&a.mutex);
        assert_held(&b.mutex);
        a.add_one();
        b.add_one();
    });
}

struct Shared {
    objects: [Object; 3],
    event: Event,
    plain: Mutex,
}

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            objects: std::array::from_fn(|_| Object::new()),
            event: Event::new(),
            plain: Mutex::new(),
        })
    }

    /// Nothing is locked, and no write was lost.
    fn assert_sound(&self) {
        for object in &self.objects {
            assert!(!object.mutex.is_locked());
            assert_eq!(object.number.load(SeqCst), object.writes.load(Relaxed));
        }
        assert!(!self.plain.is_locked());
    }

    fn assert(&self, numbers: [u32; 3]) {
        assert_eq!(self.objects.each_ref().map(|object| object.number.load(SeqCst)), numbers);
        self.assert_sound();
    }
}

/// Runs each body on an attached thread of its own.
fn attached<const N: usize>(bodies: [fn(&Shared, &Attached); N]) -> Arc<Shared> {
    let shared = Shared::new();
    let threads = bodies.map(|body| {
        let shared = Arc::clone(&shared);
        thread::spawn(move || body(&shared, &ThreadState::attach()))
    });
    for thread in threads {
        thread.join().unwrap();
    }
    shared
}

fn nothing() {}

fn nest(outer: &Object, inner: &Object) {
    outer.section(|| inner.section(nothing));
}

#[test]
fn opposite_nestings() {
    check("opposite nestings", || {
        attached([
            |s, _| (0..2).for_each(|_| nest(&s.objects[0], &s.objects[1])),
            |s, _| (0..2).for_each(|_| nest(&s.objects[1], &s.objects[0])),
        ])
        .assert([8, 8, 0]);
    });
}

#[test]
fn nestings_in_a_circle() {
    check("nestings in a circle", || {
        attached([
            |s, _| nest(&s.objects[0], &s.objects[1]),
            |s, _| nest(&s.objects[1], &s.objects[2]),
            |s, _| nest(&s.objects[2], &s.objects[0]),
        ])
        .assert([4, 4, 4]);
    });
}

#[test]
fn sections_of_two() {
    check("sections of two in a circle", || {
        attached([
            |s, _| section2(&s.objects[0], &s.objects[1], nothing),
            |s, _| section2(&s.objects[2], &s.objects[1], nothing),
            |s, _| section2(&s.objects[2], &s.objects[0], nothing),
        ])
        .assert([4, 4, 4]);
    });
    check("sections of one and of two, nested", || {
        attached([
            |s, _| section2(&s.objects[0], &s.objects[1], || s.objects[2].section(nothing)),
            |s, _| s.objects[2].section(|| section2(&s.objects[1], &s.objects[0], nothing)),
            |s, _| nest(&s.objects[1], &s.objects[0]),
        ])
        .assert([6, 6, 4]);
    });
    check("gh-156910: sections of two in sections of two", || {
        attached([
            |s, _| {
                section2(&s.objects[0], &s.objects[1], || {
                    section2(&s.objects[1], &s.objects[2], nothing);
                });
            },
            |s, _| {
                section2(&s.objects[2], &s.objects[1], || {
                    section2(&s.objects[0], &s.objects[2], nothing);
                });
            },
        ])
        .assert([4, 6, 6]);
    });
}

#[test]
fn taken_over() {
    check("a mutex taken over from an outer section", || {
        fn a_b_a(s: &Shared, _: &Attached) {
            let [a, b, _] = &s.objects;
            a.section(|| b.section(|| a.section(nothing)));
        }
        attached([a_b_a, a_b_a, |s, _| s.objects[0].section(nothing)]).assert([10, 4, 0]);
    });
}

#[test]
fn detached() {
    check("detached in nested sections", || {
        fn body(outer: &Object, inner: &Object, attached: &Attached) {
            outer.section(|| {
                inner.section(|| attached.detached(thread::yield_now));
                attached.detached(nothing);
            });
        }
        attached([
            |s, a| body(&s.objects[0], &s.objects[1], a),
            |s, a| body(&s.objects[1], &s.objects[0], a),
            |s, _| section2(&s.objects[0], &s.objects[1], nothing),
        ])
        .assert([6, 6, 0]);
    });
    check("attached inside detached", || {
        fn body(s: &Shared, attached: &Attached) {
            let [a, b, _] = &s.objects;
            a.section(|| {
                attached.detached(|| {
                    let _inner = ThreadState::attach();
                    assert_held(&a.mutex);
                    b.section(nothing);
                });
            });
        }
        attached([body, body]).assert([4, 4, 0]);
    });
}

#[test]
fn waits() {
    check("a wait that a section of the same mutex ends", || {
        attached([
            |s, _| nest_wait(s),
            |s, _| s.objects[0].section(|| s.objects[1].section(|| s.event.notify())),
        ])
        .assert([4, 4, 0]);
    });
    check("timed waits in sections", || {
        attached([
            |s, _| {
                section2(&s.objects[0], &s.objects[1], || {
                    let _ = s.event.wait_timed(SOON, true);
                });
            },
            |s, _| {
                s.objects[1].section(|| {
                    if s.plain.lock_timed(SOON, LockFlags::DETACH) == LockStatus::Acquired {
                        s.plain.unlock();
                    }
                });
            },
            |s, _| {
                s.plain.lock();
                s.objects[1].section(nothing);
                s.plain.unlock();
                s.event.notify();
            },
        ])
        .assert([2, 6, 0]);
    });
    check("interrupted waits in sections", || {
        fn body(s: &Shared, _: &Attached) {
            s.objects[0].section(|| {
                let flags = LockFlags::DETACH | LockFlags::FAIL_IF_INTERRUPTED;
                match s.plain.lock_flags(flags) {
                    LockStatus::Acquired => s.plain.unlock(),
                    status => assert_eq!(status, LockStatus::Interrupted),
                }
            });
        }
        attached([body, body, |s, _| {
            s.plain.lock();
            s.objects[0].section(nothing);
            s.plain.unlock();
        }])
        .assert([6, 0, 0]);
    });
}

fn nest_wait(s: &Shared) {
    s.objects[0].section(|| s.objects[1].section(|| s.event.wait()));
}

#[test]
fn other_primitives() {
    check("semaphore and rwmutex in sections", || {
        let state = Arc::new((Shared::new(), Parker::new(), RwMutex::new()));
        let spawn = |body: fn(&(Arc<Shared>, Parker, RwMutex))| {
            let state = Arc::clone(&state);
            thread::spawn(move || {
                let _attached = ThreadState::attach();
                body(&state);
            })
        };
        let threads = [
            spawn(|(s, semaphore, rw)| {
                s.objects[0].section(|| {
                    while semaphore.wait(None, true) != ParkStatus::Ok {}
                    rw.read_lock();
                    rw.read_unlock();
                });
            }),
            spawn(|(s, semaphore, rw)| {
                rw.write_lock();
                semaphore.wakeup();
                rw.write_unlock();
                s.objects[0].section(nothing);
            }),
            spawn(|(s, _, rw)| {
                s.objects[0].section(|| {
                    rw.write_lock();
                    rw.write_unlock();
                });
            }),
        ];
        for thread in threads {
            thread.join().unwrap();
        }
        state.0.assert([6, 0, 0]);
    });
}

#[test]
fn random_programs() {
    fn steps(s: &Shared, attached: &Attached, depth: u32) {
        let mut random = thread_rng();
        let a = &s.objects[random.gen_range(0..3)];
        let b = &s.objects[random.gen_range(0..3)];
        let inner = || {
            if depth > 0 {
                steps(s, attached, depth - 1);
            }
        };
        match random.gen_range(0..5) {
            0 | 1 => critical_section(&a.mutex, || {
                a.add_one();
                inner();
                assert_held(&a.mutex);
                assert!(a.mutex.is_locked());
            }),
            2 => critical_section2(&a.mutex, &b.mutex, || {
                b.add_one();
                inner();
                assert!(a.mutex.is_locked() && b.mutex.is_locked());
            }),
            3 => {
                attached.detached(thread::yield_now);
                inner();
            }
            _ => {
                s.plain.lock();
                thread::yield_now();
                s.plain.unlock();
                inner();
            }
        }
    }

    check("random programs", || {
        let body = |s: &Shared, attached: &Attached| steps(s, attached, 4);
        attached([body, body, body]).assert_sound();
    });
}

/// What a collector does, over the other threads' states.
struct World {
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

    /// Waits, detached, until nobody needs this thread's state any more.
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
}

#[test]
fn stop_the_world() {
    check("gh-118332: stop the world from a section", || {
        let world = Arc::new(World {
            states: Default::default(),
            entered: AtomicUsize::new(0),
            left: AtomicUsize::new(0),
            done: Event::new(),
            never: Event::new(),
            stopped: AtomicBool::new(false),
        });
        let shared = Shared::new();
        let threads = [0, 1, 2].map(|id| {
            let (world, s) = (Arc::clone(&world), Arc::clone(&shared));
            thread::spawn(move || {
                let attached = ThreadState::attach();
                world.enter(id, &attached);
                let [a, b, _] = &s.objects;
                if id == 0 {
                    a.section(|| {
                        world.stop(id);
                        // Nobody else runs: what they guard can be written without.
                        let number = b.number.load(SeqCst);
                        thread::yield_now();
                        b.number.store(number + 1, SeqCst);
                        b.writes.fetch_add(1, Relaxed);
                        world.start(id);
                    });
                } else {
                    let work = |object: &Object| {
                        object.section(|| assert!(!world.stopped.load(SeqCst)));
                    };
                    attached.detached(thread::yield_now);
                    work(b);
                    a.section(|| work(b));
                    work(a);
                }
                world.leave(attached);
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
        shared.assert([10, 9, 0]);
    });
}
