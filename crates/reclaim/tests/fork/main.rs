//! Children of a process: a child inherits the memory, and of all threads only the one that forked.
#![cfg(all(unix, not(any(pysync_loom, pysync_shuttle))))]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;

use pysync_reclaim::{Deadline, Finalize, Finalized, Finalizer, Shared, Spread, away};
use pysync_testing::{fork, watchdog};

struct Probe(Arc<AtomicUsize>);

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn after_fork() {
    // SAFETY: the child has one thread.
    unsafe {
        pysync_parking_lot::after_fork();
        pysync_reclaim::after_fork();
    }
}

/// Calls `job` on a thread of its own, and waits for that. The thread is not std's: in the child of a fork its lock of
/// all threads may be one that another thread of the parent had.
fn elsewhere<F: FnOnce() + Send>(job: F) {
    extern "C" fn run<F: FnOnce()>(job: *mut libc::c_void) -> *mut libc::c_void {
        // SAFETY: a job, which is there until the thread is joined.
        let job = unsafe { &mut *job.cast::<Option<F>>() };
        job.take().expect("one job")();
        std::ptr::null_mut()
    }
    let mut job = Some(job);
    let mut thread = std::mem::MaybeUninit::uninit();
    let place = (&raw mut job).cast();
    // SAFETY: `run` takes a job of that type; the thread is made, and joined once.
    unsafe {
        let made = libc::pthread_create(thread.as_mut_ptr(), std::ptr::null(), run::<F>, place);
        assert_eq!(made, 0, "a thread is made");
        assert_eq!(libc::pthread_join(thread.assume_init(), std::ptr::null_mut()), 0);
    }
}

/// Tells the threads of a scope that they may end, also where an assertion fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Runs `body` beside a thread that has made an object, and does nothing else.
fn beside_an_owner(body: impl FnOnce(Shared<Probe>, Arc<AtomicUsize>)) {
    let drops = Arc::<AtomicUsize>::default();
    let (sender, receiver) = mpsc::channel();
    let (stop, stopped) = mpsc::channel::<()>();
    let owner = thread::spawn({
        let drops = drops.clone();
        move || {
            sender.send(Shared::new(Probe(drops))).unwrap();
            _ = stopped.recv();
        }
    });
    body(receiver.recv().unwrap(), drops);
    drop(stop);
    owner.join().unwrap();
}

/// The owner does not exist in the child: who drops merges.
#[test]
fn a_child_drops_the_objects_of_owners_that_it_has_not() {
    let _watchdog = watchdog();
    beside_an_owner(|handle, drops| {
        let mut handle = Some(handle);
        fork(|| {
            after_fork();
            drop(handle.take());
            drops.load(SeqCst) == 1
        });
        // The parent's own is as it was.
        drop(handle);
        assert_eq!(drops.load(SeqCst), 0);
    });
}

/// What is in the inbox of such an owner is dropped in the child.
#[test]
fn a_child_settles_the_inboxes_of_others() {
    let _watchdog = watchdog();
    beside_an_owner(|handle, drops| {
        let kept = handle.clone();
        drop(kept);
        drop(handle);
        assert_eq!(drops.load(SeqCst), 0);
        fork(|| {
            after_fork();
            drops.load(SeqCst) == 1
        });
    });
}

/// The child's thread owns what it has owned, also if it was away at the fork.
#[test]
fn a_child_owns_what_its_thread_has_owned() {
    let _watchdog = watchdog();
    let drops = Arc::<AtomicUsize>::default();
    let mut handle = Some(Shared::new(Probe(drops.clone())));
    let body = |handle: &mut Option<Shared<Probe>>| {
        fork(|| {
            after_fork();
            let first = handle.take().unwrap();
            let second = first.clone();
            elsewhere(move || drop(second));
            drop(first);
            drops.load(SeqCst) == 1
        });
    };
    body(&mut handle);
    away(|| body(&mut handle));
    drop(handle);
    assert_eq!(drops.load(SeqCst), 1);
}

#[test]
fn a_child_uses_spread_objects() {
    let _watchdog = watchdog();
    beside_an_owner(|handle, drops| {
        let base = Shared::spread(&Shared::new(Probe(drops.clone())));
        let share = Spread::share(&base);
        let (mut base, mut share, mut handle) = (Some(base), Some(share), Some(handle));
        fork(|| {
            after_fork();
            // The owner cannot object any more.
            let other = Shared::spread(handle.as_ref().unwrap());
            drop((base.take(), handle.take()));
            assert_eq!(drops.load(SeqCst), 0);
            let share = share.take();
            elsewhere(move || drop(share));
            drop(other);
            drops.load(SeqCst) == 2
        });
        drop((base, share, handle));
        assert_eq!(drops.load(SeqCst), 1);
    });
}

struct Core(Arc<AtomicUsize>);

impl Finalize for Core {
    fn finalize(self) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// The child has no thread. What was queued is the parent's; what the child drops it finalizes, once it has
/// started its own.
#[test]
fn a_child_starts_its_finalizers_anew() {
    let _watchdog = watchdog();
    let finalizer = Finalizer::new("forks").unwrap();
    let (blocked, unblock) = mpsc::channel::<()>();
    struct Block(mpsc::Receiver<()>);
    impl Finalize for Block {
        fn finalize(self) {
            _ = self.0.recv();
        }
    }
    drop(Finalized::new_on(&finalizer, Block(unblock)));
    let ran = Arc::<AtomicUsize>::default();
    drop(Finalized::new_on(&finalizer, Core(ran.clone())));
    let mut live = Some(Finalized::new_on(&finalizer, Core(ran.clone())));
    fork(|| {
        after_fork();
        // SAFETY: the child has one thread.
        unsafe { finalizer.after_fork() }.unwrap();
        assert_eq!(finalizer.queued(), 0, "what was queued is the parent's");
        drop(live.take());
        let left = finalizer.drain(Deadline::NEVER).left;
        let ended = finalizer.shutdown(Deadline::NEVER);
        (left, ended.left, ran.load(SeqCst)) == (0, 0, 1)
    });
    // Without a thread nothing is finalized, and that is told.
    fork(|| {
        after_fork();
        drop(live.take());
        finalizer.drain(Deadline::NOW).left == 3 && ran.load(SeqCst) == 0
    });
    drop(blocked);
    drop(live);
    assert_eq!(finalizer.shutdown(Deadline::NEVER).left, 0);
    assert_eq!(ran.load(SeqCst), 2);
    // One that was shut down stays so.
    fork(|| {
        after_fork();
        // SAFETY: as above.
        unsafe { finalizer.after_fork() }.unwrap();
        drop(Finalized::new_on(&finalizer, Core(ran.clone())));
        ran.load(SeqCst) == 3
    });
}

/// Children of a process whose threads are busy with objects and finalizers.
#[test]
fn children_of_a_busy_process() {
    let _watchdog = watchdog();
    let finalizer = Finalizer::new("busy").unwrap();
    let stop = AtomicBool::new(false);
    let drops = Arc::<AtomicUsize>::default();
    let shared = Shared::new(Probe(drops.clone()));
    let base = Shared::spread(&Shared::new(0));
    thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                while !stop.load(SeqCst) {
                    drop(shared.clone());
                    drop(Spread::share(&base));
                    let own = Shared::new(0);
                    drop(own.clone());
                    drop(Finalized::new_on(&finalizer, Core(drops.clone())));
                }
            });
        }
        let _stop = Stop(&stop);
        for _ in 0..20 {
            fork(|| {
                after_fork();
                // SAFETY: the child has one thread.
                unsafe { finalizer.after_fork() }.unwrap();
                drop(shared.clone());
                drop(Spread::share(&base));
                let ran = Arc::<AtomicUsize>::default();
                drop(Finalized::new_on(&finalizer, Core(ran.clone())));
                finalizer.drain(Deadline::NEVER).left == 0 && ran.load(SeqCst) == 1
            });
        }
    });
    assert_eq!(finalizer.shutdown(Deadline::NEVER).left, 0);
}
