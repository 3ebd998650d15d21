//! A wait in steps, and the callbacks of a park.

use std::pin::pin;
use std::ptr::null_mut;

use loom::sync::atomic::{AtomicU8, Ordering::*};
use pysync_parking_lot::{
    Choice, Deadline, Key, LockFlags, Native, ParkStatus, Position, RawMutex, Wait, Waiter,
    park_with, unpark, unpark_filter,
};
use pysync_testing::model::{Data, Explore};

use crate::model::{SOON, park_on};

/// 0 until it happens, then 1; what it publishes; and whether the notifier found a waiter.
#[derive(Default)]
struct Event {
    word: AtomicU8,
    data: Data,
    found: Data,
}

impl Event {
    fn key(&self) -> Key {
        Key::of(&self.word)
    }

    /// The word's own orderings are as weak as can be.
    fn notify(&self) {
        unpark(&self.word, |unparked| {
            self.data.set(7);
            self.word.store(1, Relaxed);
            self.found.set(unparked.is_some().into());
        });
    }

    /// Notifies by the filter of a given waiter, whose argument is null.
    fn notify_given(&self) {
        let filter = |arg: *mut ()| if arg.is_null() { Choice::Unpark } else { Choice::Skip };
        unpark_filter(self.key(), filter, |result| {
            self.data.set(7);
            self.word.store(1, Relaxed);
            self.found.set(u32::from(result.unparked == 1));
        });
    }

    fn has_not_happened(&self) -> bool {
        self.word.load(Relaxed) == 0
    }
}

#[test]
fn validate_runs_under_the_bucket_lock() {
    fn wait(e: &Event) {
        let wait = Wait {
            deadline: Deadline::NEVER,
            park_arg: null_mut(),
            detach: false,
            position: Position::Back,
        };
        // SAFETY: no code reads the park arguments of a model's own words.
        unsafe { park_with::<Native>(e.key(), wait, || e.has_not_happened(), || ()) };
        assert_eq!(e.data.get(), 7);
    }
    Explore::new("validate, unpark").run(Event::default, [wait, Event::notify], |_| ());
    Explore::new("validate, filter").run(Event::default, [wait, Event::notify_given], |_| ());
}

#[test]
fn a_place_in_the_queue_is_kept_between_the_steps() {
    fn wait(e: &Event) {
        let waiter = pin!(Waiter::new(null_mut()));
        let waiter = waiter.as_ref();
        // SAFETY: no code reads the park arguments of a model's own words.
        unsafe { waiter.queue(e.key(), Position::Back, || true) };
        // Queued first, so that it may look as it likes: the notifier finds it, or it sees the word.
        if e.has_not_happened() {
            assert_eq!(waiter.sleep::<Native>(Deadline::NEVER, LockFlags::empty()), ParkStatus::Ok);
            assert_eq!(e.data.get(), 7);
        }
    }
    /// With an edge from the word to the look, which `wait` needs, as its look is under no lock.
    fn notify(e: &Event) {
        e.data.set(7);
        e.word.store(1, SeqCst);
        loom::sync::atomic::fence(SeqCst);
        unpark(&e.word, |_| ());
    }
    fn wait_fenced(e: &Event) {
        let waiter = pin!(Waiter::new(null_mut()));
        let waiter = waiter.as_ref();
        // SAFETY: no code reads the park arguments of a model's own words.
        unsafe { waiter.queue(e.key(), Position::Back, || true) };
        loom::sync::atomic::fence(SeqCst);
        if e.word.load(Acquire) == 0 {
            assert_eq!(waiter.sleep::<Native>(Deadline::NEVER, LockFlags::empty()), ParkStatus::Ok);
        }
        assert_eq!(e.data.get(), 7);
    }
    Explore::new("steps, unpark in a callback").run(Event::default, [wait, Event::notify], |_| ());
    Explore::new("steps, fences").run(Event::default, [wait_fenced, notify], |_| ());
}

#[test]
fn who_leaves_or_gives_up_knows_whether_it_was_unparked() {
    fn queued(e: &Event, end: impl FnOnce(std::pin::Pin<&Waiter>) -> bool) {
        let waiter = pin!(Waiter::new(null_mut()));
        // SAFETY: no code reads the park arguments of a model's own words.
        if unsafe { waiter.as_ref().queue(e.key(), Position::Back, || e.has_not_happened()) } {
            let unparked = end(waiter.as_ref());
            // Unparked, it sees what its waker did, and that is over.
            assert!(!unparked || e.found.get() == 1);
            if !unparked {
                // It is off the queue: no later unpark finds it.
                e.word.store(2, Relaxed);
            }
        }
    }
    fn leave(e: &Event) {
        queued(e, |waiter| waiter.leave());
    }
    fn give_up(e: &Event) {
        queued(e, |waiter| {
            let status = waiter.sleep::<Native>(Deadline::after(SOON), LockFlags::empty());
            status == ParkStatus::Ok
        });
    }
    fn notify_once(e: &Event) {
        unpark(&e.word, |unparked| e.found.set(unparked.is_some().into()));
    }
    fn agree(e: &Event) {
        assert_eq!(e.found.get() == 1, e.word.load(Relaxed) == 0);
    }
    Explore::new("leave, unpark").run(Event::default, [leave, notify_once], agree);
    Explore::new("give up, unpark").run(Event::default, [give_up, notify_once], agree);
}

#[test]
fn a_lock_that_is_given_up_before_the_sleep() {
    #[derive(Default)]
    struct State {
        lock: RawMutex,
        ready: Data,
        word: AtomicU8,
    }
    fn wait(s: &State) {
        s.lock.lock();
        if s.ready.get() == 0 {
            // Queued before the lock is free: the notifier cannot come between the two.
            assert_eq!(park_on(Key::of(&s.word), None, || s.lock.unlock()), ParkStatus::Ok);
            s.lock.lock();
        }
        assert_eq!(s.ready.get(), 1);
        s.lock.unlock();
    }
    fn notify(s: &State) {
        s.lock.lock();
        s.ready.set(1);
        s.lock.unlock();
        unpark(&s.word, |_| ());
    }
    Explore::new("lock given up before the sleep").run(State::default, [wait, notify], |_| ());
    let bodies = [wait, notify, notify];
    Explore::new("the same, 2 notifiers").preemptions(2).run(State::default, bodies, |_| ());
}
