//! The seam to a runtime: when a wait detaches and attaches its thread, and what it may do there.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::cell::{Cell, RefCell};
use std::ptr::null_mut;
use std::rc::Rc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use common::{BucketMates, unpark_one};
use pysync_parking_lot::{
    Deadline, Native, ParkStatus, Parker, PendingCallError, Runtime, bucket_locks_held, park,
    park_in, unpark, unpark_all,
};
use pysync_testing::{wait_until, watchdog};

const ZERO: Option<Duration> = Some(Duration::ZERO);

/// What the calling thread's runtime does, and what it has seen.
#[derive(Clone, Default)]
struct Script {
    attached: bool,
    detaches: usize,
    attaches: usize,
    on_detach: Option<Rc<dyn Fn()>>,
    on_attach: Option<Rc<dyn Fn()>>,
}

thread_local! {
    static SCRIPT: RefCell<Script> = RefCell::default();
}

/// A runtime that counts.
struct Counting;

impl Runtime for Counting {
    /// Which detach it was.
    type Detached = usize;

    fn detach() -> Option<usize> {
        assert_eq!(bucket_locks_held(), 0, "detached under a bucket lock");
        let script = SCRIPT.with_borrow_mut(|script| {
            script.attached.then(|| {
                script.attached = false;
                script.detaches += 1;
                script.clone()
            })
        })?;
        if let Some(on_detach) = script.on_detach {
            on_detach();
        }
        Some(script.detaches)
    }

    fn attach(detached: usize) {
        assert_eq!(bucket_locks_held(), 0, "attached under a bucket lock");
        let script = SCRIPT.with_borrow(Clone::clone);
        assert!(!script.attached, "attached twice");
        assert_eq!(detached, script.detaches, "attached for another detach");
        if let Some(on_attach) = script.on_attach {
            on_attach();
        }
        SCRIPT.with_borrow_mut(|script| {
            script.attached = true;
            script.attaches += 1;
        });
    }

    fn make_pending_calls() -> Result<(), PendingCallError> {
        Ok(())
    }

    fn thread_ident() -> u64 {
        Native::thread_ident()
    }

    fn fatal_error(function: &'static str, message: &str) -> ! {
        Native::fatal_error(function, message)
    }
}

/// Attaches the calling thread.
fn attached() {
    SCRIPT.set(Script { attached: true, ..Script::default() });
}

/// Attaches the calling thread, and has it call these.
fn attached_with(on_detach: impl Fn() + 'static, on_attach: impl Fn() + 'static) {
    attached();
    SCRIPT.with_borrow_mut(|script| {
        script.on_detach = Some(Rc::new(on_detach));
        script.on_attach = Some(Rc::new(on_attach));
    });
}

/// Detaches, and attaches, of the calling thread so far. It must be as attached as it was.
fn counts(attached: bool) -> (usize, usize) {
    SCRIPT.with_borrow(|script| {
        assert_eq!(script.attached, attached);
        (script.detaches, script.attaches)
    })
}

fn park_counting(word: &AtomicU8, expected: u8, timeout: Option<Duration>) -> ParkStatus {
    park_in::<Counting, _>(word, expected, Deadline::after(timeout), null_mut(), true)
}

#[test]
fn every_detach_has_its_attach() {
    const THREADS: usize = 4;
    const TURNS: usize = 500;
    static WORD: AtomicU8 = AtomicU8::new(0);
    let _watchdog = watchdog();
    let done = AtomicUsize::new(0);
    let [ok, timeout, again] = [const { AtomicUsize::new(0) }; 3];
    thread::scope(|s| {
        for id in 0..THREADS {
            let (done, ok, timeout, again) = (&done, &ok, &timeout, &again);
            s.spawn(move || {
                attached();
                let mut parks = 0;
                for turn in 0..TURNS {
                    let limit = Duration::from_micros(((turn + id) % 5 * 20) as u64);
                    let expected = u8::from(turn % 10 == 0);
                    let count = match park_counting(&WORD, expected, Some(limit)) {
                        ParkStatus::Ok => ok,
                        ParkStatus::Timeout => timeout,
                        ParkStatus::Again => again,
                        ParkStatus::Interrupted => panic!("nobody sends signals"),
                    };
                    count.fetch_add(1, SeqCst);
                    parks += usize::from(expected == 0);
                    assert_eq!(counts(true), (parks, parks));
                }
                done.fetch_add(1, SeqCst);
            });
        }
        while done.load(SeqCst) < THREADS {
            unpark(&WORD, |_| assert!(bucket_locks_held() > 0));
            unpark_all(&WORD);
            thread::yield_now();
        }
    });
    let [ok, timeout, again] = [ok, timeout, again].map(AtomicUsize::into_inner);
    println!("{ok} woken, {timeout} timed out, {again} not parked");
    assert_eq!(again, THREADS * TURNS / 10);
    assert_eq!(ok + timeout + again, THREADS * TURNS);
}

#[test]
fn neither_happens_with_a_bucket_lock_held() {
    // `Counting` asserts as much in debug builds; this one would hang in any.
    static MATES: BucketMates = BucketMates::new();
    let _watchdog = watchdog();
    let use_the_bucket = || {
        let [word, mate, _] = MATES.get(20);
        unpark_all(mate);
        unpark(mate, |unparked| assert!(unparked.is_none()));
        assert_eq!(park(mate, 0, ZERO, null_mut(), false), ParkStatus::Timeout);
        assert_eq!(park(word, 1, None, null_mut(), false), ParkStatus::Again);
    };
    let [word, ..] = MATES.get(20);
    attached_with(use_the_bucket, use_the_bucket);
    assert_eq!(park_counting(word, 0, ZERO), ParkStatus::Timeout);

    attached_with(
        move || {
            use_the_bucket();
            assert!(unpark_one(word).is_some());
        },
        use_the_bucket,
    );
    assert_eq!(park_counting(word, 0, None), ParkStatus::Ok);
    assert_eq!(counts(true), (1, 1));
}

#[test]
fn a_thread_detaches_only_if_it_is_attached_asked_to_and_going_to_wait() {
    let _watchdog = watchdog();
    let word = AtomicU8::new(0);
    attached();
    assert_eq!(park_counting(&word, 1, None), ParkStatus::Again);
    assert_eq!(counts(true), (0, 0));

    let now = Deadline::after(ZERO);
    let status = park_in::<Counting, _>(&word, 0, now, null_mut(), false);
    assert_eq!(status, ParkStatus::Timeout);
    assert_eq!(counts(true), (0, 0));

    SCRIPT.with_borrow_mut(|script| script.attached = false);
    assert_eq!(park_counting(&word, 0, ZERO), ParkStatus::Timeout);
    assert_eq!(counts(false), (0, 0), "PR 116483: it was not attached");

    SCRIPT.with_borrow_mut(|script| script.attached = true);
    assert_eq!(park_counting(&word, 0, ZERO), ParkStatus::Timeout);
    assert_eq!(counts(true), (1, 1));
}

#[test]
fn a_thread_is_queued_when_it_detaches_and_stays_so_while_it_sleeps() {
    static WORD: AtomicU8 = AtomicU8::new(0);
    static DETACHED: AtomicUsize = AtomicUsize::new(0);
    let _watchdog = watchdog();
    thread::scope(|s| {
        let waiter = s.spawn(|| {
            let count = || {
                DETACHED.fetch_add(1, SeqCst);
            };
            attached_with(count, || {});
            assert_eq!(park_counting(&WORD, 0, None), ParkStatus::Ok);
            assert_eq!(counts(true), (1, 1));
        });
        wait_until(|| DETACHED.load(SeqCst) == 1);
        assert!(unpark_one(&WORD).is_some());
        waiter.join().unwrap();
    });
}

#[test]
fn a_detach_may_unpark_the_thread_itself() {
    static WORD: AtomicU8 = AtomicU8::new(0);
    let _watchdog = watchdog();
    for timeout in [None, ZERO, Some(Duration::from_secs(3600))] {
        attached_with(
            || unpark(&WORD, |unparked| assert!(unparked.is_some(), "it is queued first")),
            || {},
        );
        assert_eq!(park_counting(&WORD, 0, timeout), ParkStatus::Ok);
        assert_eq!(counts(true), (1, 1));

        attached_with(|| unpark_all(&WORD), || {});
        assert_eq!(park_counting(&WORD, 0, timeout), ParkStatus::Ok);
    }
}

#[test]
fn gh_137433_the_bucket_is_clean_when_the_thread_attaches() {
    static WORD: AtomicU8 = AtomicU8::new(0);
    thread_local!(static FOUND: Cell<Option<bool>> = const { Cell::new(None) });
    let _watchdog = watchdog();
    for micros in [0, 0, 10, 1_000] {
        attached_with(|| {}, || FOUND.set(Some(unpark_one(&WORD).is_some())));
        let status = park_counting(&WORD, 0, Some(Duration::from_micros(micros)));
        assert_eq!(status, ParkStatus::Timeout);
        assert_eq!(FOUND.take(), Some(false), "its entry was still in the bucket");
        assert_eq!(counts(true), (1, 1));
    }
}

#[test]
fn gh_137433_a_thread_that_never_attaches_again_holds_up_nobody() {
    // At shutdown an attach hangs for good. Here it hangs until the test is over.
    static WORD: AtomicU8 = AtomicU8::new(0);
    static SHUTDOWN: AtomicU8 = AtomicU8::new(0);
    static ATTACHING: AtomicUsize = AtomicUsize::new(0);
    let _watchdog = watchdog();
    thread::scope(|s| {
        for timeout in [ZERO, None] {
            s.spawn(move || {
                attached_with(
                    || {},
                    || {
                        ATTACHING.fetch_add(1, SeqCst);
                        park(&SHUTDOWN, 0, None, null_mut(), false);
                    },
                );
                park_counting(&WORD, 0, timeout);
            });
        }
        wait_until(|| {
            unpark_all(&WORD);
            ATTACHING.load(SeqCst) == 2
        });
        assert!(unpark_one(&WORD).is_none());
        assert_eq!(park(&WORD, 0, ZERO, null_mut(), false), ParkStatus::Timeout);
        SHUTDOWN.store(1, SeqCst);
        unpark_all(&SHUTDOWN);
    });
}

#[test]
fn a_wait_within_an_attach_or_a_detach_is_a_wait_of_its_own() {
    static WORD: AtomicU8 = AtomicU8::new(0);
    static OTHER: AtomicU8 = AtomicU8::new(0);
    let _watchdog = watchdog();
    let nested = || {
        assert_eq!(park_counting(&OTHER, 0, ZERO), ParkStatus::Timeout);
        assert_eq!(park_counting(&WORD, 0, ZERO), ParkStatus::Timeout);
    };
    attached_with(nested, nested);
    assert_eq!(park_counting(&WORD, 0, ZERO), ParkStatus::Timeout);
    assert_eq!(counts(true), (1, 1), "the thread was detached in the nested waits");
}

#[test]
fn a_semaphore_detaches_around_its_wait_if_asked_to() {
    let _watchdog = watchdog();
    let semaphore = Parker::new();
    attached();
    assert_eq!(semaphore.wait_in::<Counting>(Deadline::after(ZERO), false), ParkStatus::Timeout);
    assert_eq!(counts(true), (0, 0));
    assert_eq!(semaphore.wait_in::<Counting>(Deadline::after(ZERO), true), ParkStatus::Timeout);
    assert_eq!(counts(true), (1, 1));
    semaphore.wakeup();
    assert_eq!(semaphore.wait_in::<Counting>(Deadline::after(None), true), ParkStatus::Ok);
    assert_eq!(counts(true), (2, 2));
    SCRIPT.with_borrow_mut(|script| script.attached = false);
    assert_eq!(semaphore.wait_in::<Counting>(Deadline::after(ZERO), true), ParkStatus::Timeout);
    assert_eq!(counts(false), (2, 2));
}
