//! A wait in steps: queue, sleep, leave; and the callbacks of a park.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use common::{park_announced, unpark_one};
use pysync_parking_lot::{
    Deadline, Key, LockFlags, Native, ParkStatus, PendingCallError, Position, RawMutex, Runtime,
    Wait, Waiter, inspect, park_with, unpark, unpark_all,
};
use pysync_testing::{hush_panics, wait_until, watchdog};

const NEVER: Deadline = Deadline::NEVER;

fn soon() -> Deadline {
    Deadline::after(Some(Duration::from_millis(1)))
}

fn wait(deadline: Deadline) -> Wait {
    Wait { deadline, park_arg: null_mut(), detach: false, position: Position::Back }
}

fn parked_on(word: &AtomicU8) -> usize {
    inspect(Key::of(word), |park_args| park_args.count())
}

#[test]
fn an_unpark_between_queue_and_sleep_is_not_lost() {
    let _watchdog = watchdog();
    let word = AtomicU8::new(0);
    let waiter = pin!(Waiter::new(null_mut()));
    let waiter = waiter.as_ref();
    // More than once, since a waiter may be used again.
    for _ in 0..3 {
        assert!(!waiter.is_queued());
        // SAFETY: nothing reads the park arguments of a test's own word.
        assert!(unsafe { waiter.queue(Key::of(&word), Position::Back, || true) });
        assert!(waiter.is_queued() && !waiter.is_unparked());
        assert_eq!(parked_on(&word), 1);
        assert!(unpark_one(&word).is_some());
        assert!(waiter.is_queued() && waiter.is_unparked());
        assert_eq!(parked_on(&word), 0);
        assert_eq!(waiter.sleep::<Native>(soon(), LockFlags::empty()), ParkStatus::Ok);
    }
    // Each unpark has been taken by its own sleep.
    // SAFETY: as above.
    assert!(unsafe { waiter.queue(Key::of(&word), Position::Back, || true) });
    assert_eq!(waiter.sleep::<Native>(soon(), LockFlags::empty()), ParkStatus::Timeout);
    assert_eq!(parked_on(&word), 0, "left behind");
}

/// A look before the sleep changes nothing but the time: the wake is taken once, and a deadline is
/// neither early nor missed.
#[test]
fn a_waiter_that_spins_first_takes_its_unpark_or_times_out() {
    let _watchdog = watchdog();
    let word = AtomicU8::new(0);
    let waiter = pin!(Waiter::new(null_mut()));
    let waiter = waiter.as_ref();
    // SAFETY: nothing reads the park arguments of a test's own word.
    let queue = || assert!(unsafe { waiter.queue(Key::of(&word), Position::Back, || true) });
    for flags in [LockFlags::empty(), LockFlags::DETACH, LockFlags::FAIL_IF_INTERRUPTED] {
        queue();
        assert!(unpark_one(&word).is_some());
        assert_eq!(waiter.spin_then_sleep::<Native>(NEVER, flags), ParkStatus::Ok);

        queue();
        let deadline = soon();
        assert_eq!(waiter.spin_then_sleep::<Native>(deadline, flags), ParkStatus::Timeout);
        assert!(deadline.has_passed());
        assert_eq!(parked_on(&word), 0);
    }
    // Unparked while it spins, or while it sleeps.
    for _ in 0..200 {
        queue();
        std::thread::scope(|scope| {
            scope.spawn(|| assert!(unpark_one(&word).is_some()));
            let status = waiter.spin_then_sleep::<Native>(NEVER, LockFlags::DETACH);
            assert_eq!(status, ParkStatus::Ok);
        });
    }
}

#[test]
fn a_waiter_that_leaves_learns_whether_it_was_unparked() {
    let _watchdog = watchdog();
    let word = AtomicU8::new(0);
    let waiter = pin!(Waiter::new(null_mut()));
    let waiter = waiter.as_ref();
    assert!(!waiter.leave(), "it is on no queue");
    // SAFETY: nothing reads the park arguments of a test's own word.
    assert!(unsafe { waiter.queue(Key::of(&word), Position::Back, || true) });
    assert!(!waiter.leave());
    assert!(!waiter.leave(), "and leaves once");
    assert!(unpark_one(&word).is_none());
    // SAFETY: as above.
    assert!(unsafe { waiter.queue(Key::of(&word), Position::Back, || true) });
    unpark_all(&word);
    assert!(waiter.leave());
    assert!(!waiter.is_queued());
}

#[test]
fn a_waiter_that_is_dropped_leaves() {
    let word = AtomicU8::new(0);
    // Its memory stays, so that the queue can be looked at afterwards whatever is in it.
    let mut place = Box::new(MaybeUninit::new(Waiter::new(null_mut())));
    let waiter = place.as_mut_ptr();
    // SAFETY: the waiter does not move, and is dropped before its memory goes. Nothing reads the park
    // arguments of a test's own word.
    unsafe {
        let pinned = Pin::new_unchecked(&*waiter);
        assert!(pinned.queue(Key::of(&word), Position::Back, || true));
        assert_eq!(parked_on(&word), 1);
        std::ptr::drop_in_place(waiter);
    }
    assert_eq!(parked_on(&word), 0);
}

#[test]
fn a_panic_takes_a_waiter_off_its_queue() {
    let word = AtomicU8::new(0);
    hush_panics("leaves on the way");
    let queue = || {
        let waiter = pin!(Waiter::new(null_mut()));
        // SAFETY: nothing reads the park arguments of a test's own word.
        assert!(unsafe { waiter.as_ref().queue(Key::of(&word), Position::Back, || true) });
        assert_eq!(parked_on(&word), 1);
        panic!("leaves on the way");
    };
    assert!(catch_unwind(AssertUnwindSafe(queue)).is_err());
    assert_eq!(parked_on(&word), 0);
}

#[test]
fn a_waiter_is_queued_only_if_it_is_valid() {
    let word = AtomicU8::new(0);
    let waiter = pin!(Waiter::new(null_mut()));
    // SAFETY: nothing reads the park arguments of a test's own word.
    assert!(!unsafe { waiter.as_ref().queue(Key::of(&word), Position::Back, || false) });
    assert!(!waiter.as_ref().is_queued());
    assert_eq!(parked_on(&word), 0);
}

#[test]
fn misuse_of_a_waiter_is_told() {
    hush_panics("the waiter is");
    let word = AtomicU8::new(0);
    let waiter = pin!(Waiter::new(null_mut()));
    let waiter = waiter.as_ref();
    let message = |f: &dyn Fn()| {
        *catch_unwind(AssertUnwindSafe(f)).unwrap_err().downcast::<String>().unwrap()
    };
    assert_eq!(
        message(&|| _ = waiter.sleep::<Native>(NEVER, LockFlags::empty())),
        "the waiter is not queued"
    );
    // SAFETY: nothing reads the park arguments of a test's own word.
    let queue = || unsafe { waiter.queue(Key::of(&word), Position::Back, || true) };
    assert!(queue());
    assert_eq!(message(&|| _ = queue()), "the waiter is queued already");
    assert!(waiter.is_queued() && parked_on(&word) == 1, "and nothing has changed");
}

#[test]
fn those_in_front_are_unparked_before_the_others_the_last_first() {
    let _watchdog = watchdog();
    let word = AtomicU8::new(0);
    let waiters: [_; 4] =
        std::array::from_fn(|index| Box::pin(Waiter::new(std::ptr::without_provenance_mut(index))));
    for (waiter, position) in
        waiters.iter().zip([Position::Back, Position::Front, Position::Back, Position::Front])
    {
        // SAFETY: nothing reads the park arguments of a test's own word but as numbers.
        assert!(unsafe { waiter.as_ref().queue(Key::of(&word), position, || true) });
    }
    let order = inspect(Key::of(&word), |args| args.map(|arg| arg.addr()).collect::<Vec<_>>());
    assert_eq!(order, [3, 1, 0, 2]);
    for expected in order {
        let unparked = unpark_one(&word).unwrap();
        assert_eq!(unparked.park_arg.addr(), expected);
        assert!(waiters[expected].as_ref().leave());
    }
}

#[test]
fn validate_and_queueing_are_one_step() {
    // Under the bucket lock: an unpark of the key waits for it. The word says "announced" from
    // `validate` on, and the unparker that sees it finds the waiter.
    let _watchdog = watchdog();
    for _ in 0..1000 {
        let word = AtomicU8::new(0);
        thread::scope(|s| {
            s.spawn(|| {
                let validate = || word.compare_exchange(0, 1, SeqCst, SeqCst).is_ok();
                // SAFETY: nothing reads the park arguments of a test's own word.
                let status =
                    unsafe { park_with::<Native>(Key::of(&word), wait(NEVER), validate, || ()) };
                assert_eq!(status, ParkStatus::Ok);
            });
            wait_until(|| word.load(SeqCst) == 1);
            unpark(&word, |unparked| assert!(unparked.is_some(), "announced and not there"));
        });
    }
}

#[test]
fn what_is_not_valid_does_not_sleep() {
    let word = AtomicU8::new(0);
    let before = || panic!("it is not about to sleep");
    // SAFETY: nothing reads the park arguments of a test's own word.
    let status = unsafe { park_with::<Native>(Key::of(&word), wait(NEVER), || false, before) };
    assert_eq!(status, ParkStatus::Again);
}

#[test]
fn before_sleep_may_unpark_its_own_thread() {
    let _watchdog = watchdog();
    let word = AtomicU8::new(0);
    let before = || assert!(unpark_one(&word).is_some());
    // SAFETY: nothing reads the park arguments of a test's own word.
    let status = unsafe { park_with::<Native>(Key::of(&word), wait(NEVER), || true, before) };
    assert_eq!(status, ParkStatus::Ok);
}

thread_local! {
    static STEPS: Cell<&'static str> = const { Cell::new("") };
}

fn step(before: &str, after: &'static str) {
    assert_eq!(STEPS.replace(after), before);
}

/// Says in which order it is called.
struct Ordered;

impl Runtime for Ordered {
    type Detached = ();

    fn detach() -> Option<()> {
        step("unlocked", "detached");
        Some(())
    }

    fn attach((): ()) {
        step("detached", "attached");
    }

    fn make_pending_calls() -> Result<(), PendingCallError> {
        Ok(())
    }

    fn thread_ident() -> u64 {
        1
    }

    fn fatal_error(_: &'static str, message: &str) -> ! {
        panic!("{message}")
    }
}

#[test]
fn a_lock_is_given_up_before_the_thread_detaches() {
    let _watchdog = watchdog();
    let (word, lock) = (AtomicU8::new(0), RawMutex::new());
    lock.lock();
    STEPS.set("locked");
    let validate = || {
        step("locked", "queued");
        true
    };
    let before = || {
        step("queued", "unlocked");
        lock.unlock();
    };
    let wait = Wait { detach: true, ..wait(soon()) };
    // SAFETY: nothing reads the park arguments of a test's own word.
    let status = unsafe { park_with::<Ordered>(Key::of(&word), wait, validate, before) };
    assert_eq!((status, STEPS.get()), (ParkStatus::Timeout, "attached"));

    // And so in steps.
    let waiter = pin!(Waiter::new(null_mut()));
    let waiter = waiter.as_ref();
    STEPS.set("unlocked");
    // SAFETY: as above.
    assert!(unsafe { waiter.queue(Key::of(&word), Position::Back, || true) });
    assert_eq!(waiter.sleep::<Ordered>(soon(), LockFlags::DETACH), ParkStatus::Timeout);
    assert_eq!(STEPS.get(), "attached");
    assert_eq!(parked_on(&word), 0);
}

#[test]
fn inspect_sees_all_who_are_parked_and_wakes_none() {
    let _watchdog = watchdog();
    let (word, queued, woken) = (AtomicU8::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|s| {
        for index in 0..3 {
            let (word, queued, woken) = (&word, &queued, &woken);
            s.spawn(move || {
                let park_arg = std::ptr::without_provenance_mut(index);
                assert_eq!(park_announced(word, 0, None, park_arg, queued), ParkStatus::Ok);
                assert!(woken.load(SeqCst), "inspect has woken it");
            });
            wait_until(|| queued.load(SeqCst) == index + 1);
        }
        let seen = inspect(Key::of(&word), |args| args.map(|arg| arg.addr()).collect::<Vec<_>>());
        assert_eq!(seen, [0, 1, 2]);
        assert_eq!(parked_on(&word), 3);
        woken.store(true, SeqCst);
        unpark_all(&word);
    });
}
