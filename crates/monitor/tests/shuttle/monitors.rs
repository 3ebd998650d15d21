//! Rings of threads, attempts in attempts, timed entries, and conditions that are handed over meanwhile: each wait ends,
//! and the values are as if the threads had come one by one.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use pysync_monitor::{AsDeadlock, Deadlock, EnterError, Monitor, Stopped, attempt, branch};
use pysync_platform::{Deadline, LockFlags, Native};
use pysync_testing::model::{Data, TryOut};
use shuttle::rand::Rng;

/// So many monitors, and how often they have been added to.
struct Monitors<const N: usize> {
    all: [Monitor<Data>; N],
    added: AtomicUsize,
}

impl<const N: usize> Default for Monitors<N> {
    fn default() -> Self {
        Self { all: [(); N].map(|()| Monitor::default()), added: AtomicUsize::new(0) }
    }
}

/// Soon for a waiter: a timed wait gives up now and then.
const SOON: Duration = Duration::from_millis(1);

/// A number below another.
fn below(end: usize) -> usize {
    shuttle::rand::thread_rng().gen_range(0..end)
}

impl<const N: usize> Monitors<N> {
    fn added(&self, count: usize) {
        self.added.fetch_add(count, Relaxed);
    }

    /// Enters two monitors, one inside of the other, and adds one to each.
    fn both(&self, outer: usize, inner: usize) -> Result<(), Deadlock> {
        self.all[outer].enter(|a| {
            self.all[inner].enter(|b| {
                a.add_one();
                b.add_one();
                self.added(2);
            })
        })?
    }

    /// All threads have ended.
    fn are_left(&self) {
        let value = |monitor: &Monitor<Data>| monitor.try_enter(|value| value.get());
        let sum: u32 = self.all.iter().map(|it| value(it).expect("a thread is inside")).sum();
        assert_eq!(sum as usize, self.added.load(Relaxed));
    }
}

/// Tries until it does not lose. Each time the loser is the youngest, and as old as the time before.
fn again<R, E: AsDeadlock>(mut f: impl FnMut() -> Result<R, E>) -> Result<R, E> {
    let mut age = None;
    attempt(|| {
        let result = f();
        if let Some(deadlock) = result.as_ref().err().and_then(AsDeadlock::as_deadlock) {
            let links = deadlock.cycle();
            let mine = links[deadlock.victim()].age;
            assert!(links.iter().all(|link| link.age <= mine), "the youngest loses");
            assert_eq!(*age.get_or_insert(mine), mine, "an attempt keeps its age");
        }
        result
    })
}

/// Each enters its own monitor and that of the next one, twice.
#[test]
fn a_ring() {
    fn go<const N: usize>(m: &Monitors<N>, at: usize) {
        for _ in 0..2 {
            again(|| m.both(at, (at + 1) % N)).unwrap();
        }
    }
    fn four<const AT: usize>(m: &Monitors<4>) {
        go(m, AT);
    }
    TryOut::new("ring of 3", 1_500).run_in(
        Monitors::<3>::default,
        go,
        [0, 1, 2],
        Monitors::are_left,
    );
    let bodies: [fn(&Monitors<4>); 4] = [four::<0>, four::<1>, four::<2>, four::<3>];
    TryOut::new("ring of 4", 1_500).run(Monitors::default, bodies, Monitors::are_left);
}

/// Others come between who enter one monitor only, and take it from those that have been woken.
#[test]
fn a_ring_with_barging() {
    fn go(m: &Monitors<3>, at: usize) {
        match at {
            0..3 => again(|| m.both(at, (at + 1) % 3)).unwrap(),
            _ => {
                for at in 0..3 {
                    let has_entered = m.all[at].try_enter(|value| value.add_one()).is_some();
                    m.added(has_entered.into());
                    m.all[at].enter(|value| value.add_one()).unwrap();
                    m.added(1);
                }
            }
        }
    }
    TryOut::new("ring of 3, barging", 3_000).run_in(
        Monitors::default,
        go,
        [0, 1, 2, 3],
        Monitors::are_left,
    );
}

/// Three monitors in any order, the innermost by an attempt of its own: that passes on what it cannot pass.
#[test]
fn attempts_in_attempts() {
    fn go(m: &Monitors<3>, _: ()) {
        let (first, turns) = (below(3), 1 + below(2));
        let [a, b, c] = [0, turns, 2 * turns].map(|turn| (first + turn) % 3);
        again(|| {
            m.all[a].enter(|value| {
                value.add_one();
                m.added(1);
                attempt(|| m.both(b, c))
            })?
        })
        .unwrap();
    }
    let model = TryOut::new("attempts in attempts", 3_000);
    model.run_in(Monitors::default, go, [(); 3], Monitors::are_left);
}

/// The inner entries are for a time, or may be ended by a signal.
#[test]
fn a_ring_of_timed_entries() {
    fn go(m: &Monitors<3>, at: usize) {
        let next = (at + 1) % 3;
        let enter_next = || {
            let flags = match below(3) {
                0 => LockFlags::FAIL_IF_INTERRUPTED,
                1 => LockFlags::HANDLE_SIGNALS,
                _ => LockFlags::DETACH,
            };
            let until = Deadline::after(if below(2) == 0 { Some(SOON) } else { None });
            let inside = m.all[at].enter(|a| {
                let result = m.all[next].enter_in::<Native, _>(until, flags, |b| {
                    a.add_one();
                    b.add_one();
                    m.added(2);
                });
                match &result {
                    Err(EnterError::Timeout) => assert!(!until.is_never()),
                    Err(EnterError::Interrupted) => {
                        assert!(flags.contains(LockFlags::FAIL_IF_INTERRUPTED));
                    }
                    _ => {}
                }
                result
            });
            inside.expect("a thread that is inside of nothing is in no cycle")
        };
        for _ in 0..3 {
            _ = again(enter_next);
        }
    }
    TryOut::new("ring of 3, timed", 10_000).run_in(
        Monitors::default,
        go,
        [0, 1, 2],
        Monitors::are_left,
    );
}

/// Two wait for the first monitor to be ready, one of them inside of the second, in a branch that is cancelled at some time.
/// What one is handed it has, and what one is not handed it has not.
#[test]
fn conditions_are_handed_over_while_they_are_cancelled() {
    fn waits(m: &Monitors<2>) {
        _ = branch::<(), Stopped>(|b| {
            b.spawn(|| {
                m.all[0].enter(|inside| {
                    inside.wait_until(|value| value.get() > 0)?.add_one();
                    m.added(1);
                    Ok(())
                })?
            });
            b.spawn(|| {
                again(|| -> Result<(), Stopped> {
                    m.all[1].enter(|_| {
                        m.all[0].enter(|inside| {
                            let wait = |value: &Data| value.get() > 0;
                            let (inside, _) = inside.wait_until_for(SOON, wait)?;
                            inside.add_one();
                            m.added(1);
                            Ok(())
                        })?
                    })?
                })
            });
            for _ in 0..below(3) {
                shuttle::thread::yield_now();
            }
            b.cancel();
            Ok(())
        });
    }
    fn makes_ready(m: &Monitors<2>) {
        again(|| m.both(0, 1)).unwrap();
    }
    let model = TryOut::new("conditions, cancelled", 3_000);
    model.run(Monitors::default, [waits, makes_ready, makes_ready], Monitors::are_left);
}

/// A buffer of one place, and for each of two that wait for it to be full one that fills it. The waits may be over at any
/// time, and begin again.
#[test]
fn a_buffer_of_one() {
    fn wait(m: &Monitors<1>, ready: fn(&Data) -> bool, change: fn(&mut u32)) {
        m.all[0]
            .enter(|mut inside| {
                loop {
                    let (again, is_ready) = match below(3) {
                        0 => inside.wait_until_for(SOON, ready).unwrap(),
                        1 => (inside.wait_until(ready).unwrap(), true),
                        _ => {
                            let flags = LockFlags::HANDLE_SIGNALS;
                            inside.wait_until_in::<Native>(Deadline::NEVER, flags, ready).unwrap()
                        }
                    };
                    assert_eq!(ready(&again), is_ready);
                    if is_ready {
                        break again.update(change);
                    }
                    inside = again;
                }
            })
            .unwrap();
    }
    fn fill(m: &Monitors<1>) {
        wait(m, |value| value.get() == 0, |value| *value = 1);
    }
    fn empty(m: &Monitors<1>) {
        wait(m, |value| value.get() == 1, |value| *value = 0);
    }
    let model = TryOut::new("buffer of 1", 3_000);
    model.run(Monitors::default, [fill, fill, empty, empty], Monitors::are_left);
}

/// Three orders that make no cycle. One that is put together from waits of different times is none.
#[test]
fn none_loses_where_there_is_no_cycle() {
    fn go(m: &Monitors<3>, at: usize) {
        for _ in 0..3 {
            match at {
                0 => m.both(0, 1).unwrap(),
                1 => m.both(2, 0).unwrap(),
                _ => {
                    for at in [1, 2] {
                        m.all[at].enter(|value| value.add_one()).unwrap();
                        m.added(1);
                    }
                }
            }
        }
    }
    let model = TryOut::new("no cycle", 20_000);
    model.run_in(Monitors::default, go, [0, 1, 2], Monitors::are_left);
}

/// A thread waits in monitors that are gone after the wait, and others want what it is inside of, and follow it.
#[test]
fn a_monitor_is_gone_while_its_waiter_is_followed() {
    fn waits(m: &Monitors<1>) {
        let wait_in_one_that_goes = || {
            let mut monitor = Box::new(MaybeUninit::new(Monitor::<Data>::default()));
            // SAFETY: made above.
            let alive = unsafe { monitor.assume_init_ref() };
            // A signal ends the wait, and the thread is not inside then; or the time does, and it is.
            let flags = LockFlags::FAIL_IF_INTERRUPTED;
            let result = alive.enter(|inside| {
                let until = Deadline::after(Some(SOON));
                inside.wait_until_in::<Native>(until, flags, |_: &Data| false).map(|it| it.1)
            });
            assert!(matches!(result, Ok(Ok(false) | Err(Stopped::Interrupted))));
            // SAFETY: it is not used again.
            unsafe {
                monitor.assume_init_drop();
                // A thread that still looks at it does not find a monitor.
                monitor.as_mut_ptr().cast::<u8>().write_bytes(0x55, size_of::<Monitor<Data>>());
            }
            std::mem::forget(monitor);
        };
        m.all[0]
            .enter(|value| {
                wait_in_one_that_goes();
                wait_in_one_that_goes();
                value.add_one();
                m.added(1);
            })
            .unwrap();
    }
    fn enters(m: &Monitors<1>) {
        m.all[0].enter(|value| value.add_one()).unwrap();
        m.added(1);
    }
    let model = TryOut::new("a monitor is gone", 80_000);
    model.run(Monitors::default, [waits, enters, enters], Monitors::are_left);
}
