//! Biased counts: who drops a value, when, and that it is dropped once.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;

use pysync_platform::{Deadline, Native, ParkStatus, Parker, Runtime};
use pysync_reclaim::{Reclaiming, Shared, away};
use pysync_testing::{Sleeper, hush_panics, wait_until, watchdog};

/// Counts its drops, and tells on which thread the last one was.
struct Probe(Arc<Log>);

#[derive(Default)]
struct Log {
    drops: AtomicUsize,
    by: Mutex<Option<thread::ThreadId>>,
}

impl Log {
    fn drops(&self) -> usize {
        self.drops.load(SeqCst)
    }

    fn is_by_me(&self) -> bool {
        *self.by.lock().unwrap() == Some(thread::current().id())
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        *self.0.by.lock().unwrap() = Some(thread::current().id());
        self.0.drops.fetch_add(1, SeqCst);
    }
}

fn probe() -> (Shared<Probe>, Arc<Log>) {
    let log = Arc::<Log>::default();
    (Shared::new(Probe(log.clone())), log)
}

/// Runs `f` on a thread that has ended when this returns.
fn elsewhere<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    thread::scope(|s| s.spawn(f).join().unwrap())
}

#[test]
fn the_last_handle_of_the_owner_drops_the_value() {
    let (first, log) = probe();
    let second = first.clone();
    assert!(Shared::ptr_eq(&first, &second) && Shared::as_ptr(&first) == &raw const *second);
    drop(first);
    assert_eq!(log.drops(), 0);
    drop(second);
    assert_eq!(log.drops(), 1);
}

#[test]
fn a_value_whose_last_handle_another_thread_drops_is_the_owners_to_drop() {
    let (handle, log) = probe();
    elsewhere(move || drop(handle));
    assert_eq!(log.drops(), 0, "only the owner knows that it has no handle");
    Shared::collect();
    assert_eq!((log.drops(), log.is_by_me()), (1, true));
}

/// Each of the owner's moments: `new`, a drop of any object, `collect`, `away`, the end.
#[test]
fn an_owner_looks_into_its_inbox() {
    let _watchdog = watchdog();
    let others = std::cell::RefCell::new(vec![Shared::new(0)]);
    let moments: [(&str, &dyn Fn()); 4] = [
        ("new", &|| drop(Shared::new(()))),
        ("a last drop", &|| drop(others.borrow_mut().pop())),
        ("collect", &Shared::collect),
        ("away", &|| away(|| ())),
    ];
    for (name, moment) in moments {
        let (handle, log) = probe();
        elsewhere(move || drop(handle));
        assert_eq!(log.drops(), 0, "{name}");
        moment();
        assert_eq!((log.drops(), log.is_by_me()), (1, true), "{name}");
    }
    let log = elsewhere(|| {
        let (handle, log) = probe();
        elsewhere(move || drop(handle));
        assert_eq!(log.drops(), 0);
        log
    });
    assert_eq!((log.drops(), log.is_by_me()), (1, false));
}

/// The object is in the inbox, and its owner drops handles: the last drop does not wait for another call.
#[test]
fn the_owners_own_drop_settles_what_others_have_dropped() {
    let (handle, log) = probe();
    let clones: Vec<_> = (0..4).map(|_| handle.clone()).collect();
    elsewhere(move || drop(clones));
    drop(handle);
    assert_eq!(log.drops(), 1);
}

#[test]
fn an_object_of_a_thread_that_has_ended_is_dropped_by_others() {
    let (handle, log) = elsewhere(probe);
    let clone = handle.clone();
    drop(handle);
    assert_eq!(log.drops(), 0);
    drop(clone);
    assert_eq!((log.drops(), log.is_by_me()), (1, true));
    // With handles that the owner counted.
    let (handles, log) = elsewhere(|| {
        let (handle, log) = probe();
        (vec![handle.clone(), handle.clone(), handle], log)
    });
    elsewhere(move || drop(handles));
    assert_eq!(log.drops(), 1);
}

#[test]
fn an_object_of_a_thread_that_is_away_is_dropped_by_others() {
    let _watchdog = watchdog();
    let (handle, log) = probe();
    away(|| {
        elsewhere(move || drop(handle));
        assert_eq!((log.drops(), log.is_by_me()), (1, false));
    });
    // What is made and used inside has no owner.
    let (outer, outer_log) = probe();
    let (handle, log) = away(|| {
        let clone = outer.clone();
        drop(clone);
        away(|| ());
        probe()
    });
    assert_eq!(elsewhere(|| handle.0.drops()), 0);
    drop((outer, handle));
    assert_eq!((outer_log.drops(), log.drops()), (1, 1));
}

/// An owner that sleeps in a lock or queue of pysync is away, if the runtime says so.
#[test]
fn an_owner_that_sleeps_detached_is_away() {
    let _watchdog = watchdog();
    let parker = Arc::new(Parker::new());
    let sleeper = Arc::new(Sleeper::new());
    let (sender, receiver) = mpsc::channel();
    let owner = thread::spawn({
        let (parker, sleeper) = (parker.clone(), sleeper.clone());
        move || {
            let (handle, log) = probe();
            sender.send((handle, log)).unwrap();
            sleeper.enter();
            let status = parker.wait_in::<Reclaiming<Native>>(Deadline::NEVER, true);
            assert_eq!(status, ParkStatus::Ok);
            // It is an owner again.
            let (handle, log) = probe();
            elsewhere(move || drop(handle));
            assert_eq!(log.drops(), 0);
        }
    });
    let (handle, log) = receiver.recv().unwrap();
    sleeper.wait_until_asleep();
    drop(handle);
    assert_eq!((log.drops(), log.is_by_me()), (1, true));
    parker.wakeup();
    owner.join().unwrap();
}

#[test]
fn a_runtime_that_reclaims_is_the_one_inside_otherwise() {
    assert_eq!(Reclaiming::<Native>::thread_ident(), Native::thread_ident());
    assert_eq!(Reclaiming::<Native>::make_pending_calls(), Ok(()));
    // Nothing to detach: the thread owns nothing.
    elsewhere(|| assert!(Reclaiming::<Native>::detach().is_none()));
}

/// The bug of `biasedrc` 0.1: an object that its owner has in its queue is freed by a thread that clones a
/// handle and drops both. A reference in the queue keeps it.
#[test]
fn an_object_that_is_queued_is_not_freed_early() {
    for _ in 0..100 {
        let (first, log) = probe();
        let second = first.clone();
        drop(first);
        // The owner counts one, and has no handle.
        elsewhere(|| {
            let third = second.clone();
            drop(second);
            assert_eq!(log.drops(), 0);
            drop(third);
            assert_eq!(log.drops(), 0, "it is in the inbox of the owner");
        });
        let again = Shared::new([0_u8; 64]);
        assert_eq!(log.drops(), 1);
        drop(again);
    }
}

/// Clones of another thread that are dropped by the owner, until the counts stand crosswise.
#[test]
fn counts_may_stand_crosswise() {
    let (first, log) = probe();
    let mut foreign = elsewhere(|| (0..100).map(|_| first.clone()).collect::<Vec<_>>());
    drop(first);
    let own: Vec<_> = (0..100).map(|_| foreign[0].clone()).collect();
    elsewhere(move || drop(own));
    foreign.truncate(1);
    assert_eq!(log.drops(), 0);
    drop(foreign);
    Shared::collect();
    assert_eq!(log.drops(), 1);
}

#[test]
fn get_mut_and_try_unwrap_want_the_only_handle() {
    let mut first = Shared::new(vec![1]);
    Shared::get_mut(&mut first).unwrap().push(2);
    let second = first.clone();
    assert_eq!(Shared::get_mut(&mut first), None);
    let mut first = Shared::try_unwrap(first).unwrap_err();
    elsewhere(move || drop(second));
    // The other one is in the inbox.
    Shared::get_mut(&mut first).unwrap().push(3);
    assert_eq!(Shared::try_unwrap(first), Ok(vec![1, 2, 3]));

    // Of a thread that has ended, and of one that runs.
    let mut orphan = elsewhere(|| Shared::new(1));
    *Shared::get_mut(&mut orphan).unwrap() += 1;
    assert_eq!(Shared::try_unwrap(orphan), Ok(2));
    let own = Shared::new(1);
    elsewhere(move || {
        let mut own = own;
        assert_eq!(Shared::get_mut(&mut own), None, "its owner may have others");
        assert!(Shared::try_unwrap(own).is_err());
    });
}

#[test]
fn a_value_that_was_unwrapped_is_not_dropped_with_its_handle() {
    let (handle, log) = probe();
    let value = Shared::try_unwrap(handle).ok().unwrap();
    Shared::collect();
    assert_eq!(log.drops(), 0);
    drop(value);
    assert_eq!(log.drops(), 1);
}

/// A destructor that clones, makes and drops other objects, of the same owner and of others.
#[test]
fn destructors_may_use_handles() {
    struct Chain(Option<Shared<Chain>>, Shared<Probe>);
    impl Drop for Chain {
        fn drop(&mut self) {
            drop(self.1.clone());
            drop(self.0.take());
            drop(Shared::new(1));
            Shared::collect();
        }
    }
    let (end, log) = probe();
    let mut chain = Shared::new(Chain(None, end.clone()));
    for _ in 0..100 {
        chain = Shared::new(Chain(Some(chain), end.clone()));
    }
    drop(end);
    elsewhere(move || drop(chain));
    assert_eq!(log.drops(), 0);
    Shared::collect();
    assert_eq!(log.drops(), 1);
}

/// A handle in a thread local is dropped when its thread has given its node back.
#[test]
fn handles_in_thread_locals() {
    struct Late(Option<Shared<Probe>>, Option<mpsc::Sender<Shared<Probe>>>);
    impl Drop for Late {
        fn drop(&mut self) {
            let kept = self.0.take().unwrap();
            let another = kept.clone();
            drop(kept);
            // A new one has no owner.
            let (made, _) = probe();
            drop(made.clone());
            self.1.take().unwrap().send(made).unwrap();
            drop(another);
        }
    }
    thread_local! {
        static LATE: std::cell::RefCell<Option<Late>> = const { std::cell::RefCell::new(None) };
    }
    for has_node_first in [false, true] {
        let (sender, receiver) = mpsc::channel();
        let log = elsewhere(|| {
            if has_node_first {
                drop(Shared::new(0));
            }
            LATE.with(|_| ());
            let (kept, log) = probe();
            LATE.set(Some(Late(Some(kept), Some(sender))));
            log
        });
        wait_until(|| log.drops() == 1);
        let made = receiver.recv().unwrap();
        let log = made.0.clone();
        drop(made);
        assert_eq!((log.drops(), log.is_by_me()), (1, true));
    }
}

/// The objects of threads that have ended are no other thread's to wait for, however many come after.
#[test]
fn objects_of_threads_that_have_ended_have_no_owner() {
    let mut kept: Vec<(Shared<Probe>, Arc<Log>)> = Vec::new();
    for round in 0..20 {
        kept.push(elsewhere(|| {
            let own = probe();
            for (handle, _) in &kept {
                drop(handle.clone());
            }
            own
        }));
        assert_eq!(kept.len(), round + 1);
    }
    // A thread that runs, and looks after nothing.
    let (sender, receiver) = mpsc::channel::<()>();
    let is_there = Barrier::new(2);
    thread::scope(|s| {
        s.spawn(|| {
            let own = Shared::new(0);
            is_there.wait();
            let receiver = receiver;
            _ = receiver.recv();
            drop(own);
        });
        is_there.wait();
        for (handle, log) in kept {
            drop(handle);
            assert_eq!((log.drops(), log.is_by_me()), (1, true));
        }
        drop(sender);
    });
}

/// A destructor in the inbox panics: the others have been dropped.
#[test]
fn a_destructor_that_panics_keeps_no_other_from_its_end() {
    const MESSAGE: &str = "a destructor of the test";
    hush_panics(MESSAGE);
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("{MESSAGE}");
        }
    }
    let (before, before_log) = probe();
    let (after, after_log) = probe();
    let panics = Shared::new(Panics);
    elsewhere(move || {
        drop(before);
        drop(panics);
        drop(after);
    });
    assert!(catch_unwind(Shared::collect).is_err());
    assert_eq!((before_log.drops(), after_log.drops()), (1, 1));

    // The closure of `away` panics: the thread is back.
    let (handle, log) = probe();
    _ = catch_unwind(AssertUnwindSafe(|| away(|| std::panic::panic_any("in the test"))));
    elsewhere(move || drop(handle));
    assert_eq!(log.drops(), 0, "the owner is not away any more");
    Shared::collect();
    assert_eq!(log.drops(), 1);
}

/// A thread makes objects, and does nothing else; another one drops them. They do not pile up.
#[test]
fn a_producer_frees_what_its_consumer_has_dropped() {
    let _watchdog = watchdog();
    let log = Arc::<Log>::default();
    let (sender, receiver) = mpsc::sync_channel(4);
    let consumer = thread::spawn(move || receiver.into_iter().for_each(drop));
    for _ in 0..1000 {
        sender.send(Shared::new(Probe(log.clone()))).unwrap();
    }
    assert!(log.drops() > 900, "{} of 1000", log.drops());
    drop(sender);
    consumer.join().unwrap();
    Shared::collect();
    assert_eq!(log.drops(), 1000);
}

#[test]
fn many_threads_drop_at_once() {
    let _watchdog = watchdog();
    for _ in 0..50 {
        let (handle, log) = probe();
        let barrier = Barrier::new(8);
        thread::scope(|s| {
            for _ in 0..8 {
                let handle = handle.clone();
                let barrier = &barrier;
                s.spawn(move || {
                    barrier.wait();
                    drop(handle.clone());
                    drop(handle);
                });
            }
        });
        assert_eq!(log.drops(), 0);
        drop(handle);
        assert_eq!(log.drops(), 1);
    }
}

#[test]
fn a_handle_looks_like_its_value() {
    use std::collections::HashMap;
    let handle = Shared::new("a".to_string());
    assert_eq!((format!("{handle}"), format!("{handle:?}")), ("a".into(), "\"a\"".into()));
    assert!(handle == Shared::from("a".to_string()) && handle > Shared::default());
    let map = HashMap::from([(handle.clone(), 1)]);
    assert_eq!(map[&*handle], 1);
    assert_eq!(handle.as_ref().len(), 1);
}
