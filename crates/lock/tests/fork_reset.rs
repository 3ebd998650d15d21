//! Children of a process whose other threads held these locks: in the child nobody will unlock
//! them, and it resets them.
#![cfg(all(unix, not(any(pysync_loom, pysync_shuttle))))]

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::thread;
use std::time::Duration;

use common::*;
use pysync_lock::{Event, Mutex, OnceFlag, RecursiveMutex, RwMutex, SeqLock, guarded};
use pysync_parking_lot::register_fork_handler;
use pysync_testing::{fork, wait_until, watchdog, watchdog_for};

/// What a thread that is gone held stays held until the child resets it.
#[test]
fn locks_that_others_hold_can_be_reset_in_the_child() {
    let _watchdog = watchdog();
    register_fork_handler();
    let (mutex, written, read) = (Mutex::new(), RwMutex::new(), RwMutex::new());
    let (recursive, once, seq) = (RecursiveMutex::new(), OnceFlag::new(), SeqLock::new());
    let guarded_seq = guarded::SeqLock::new([1_u64; 4]);
    let (held, finish) = (Event::new(), Event::new());
    let waits = [
        waited(|| {
            mutex.lock();
            mutex.unlock();
        }),
        waited(|| {
            written.read_lock();
            written.read_unlock();
        }),
        waited(|| {
            read.write_lock();
            read.write_unlock();
        }),
        waited(|| {
            recursive.lock();
            recursive.unlock();
        }),
        waited(|| assert_eq!(once.call_once(|| Err("called twice")), Ok(()))),
    ];
    thread::scope(|scope| {
        scope.spawn(|| {
            mutex.lock();
            written.write_lock();
            read.read_lock();
            recursive.lock();
            recursive.lock();
            seq.lock_write();
            let result = once.call_once(|| {
                held.notify();
                finish.wait();
                Ok::<(), ()>(())
            });
            assert_eq!(result, Ok(()));
            mutex.unlock();
            written.write_unlock();
            read.read_unlock();
            recursive.unlock();
            recursive.unlock();
            seq.unlock_write();
        });
        held.wait();
        park_all(scope, &waits);
        for _ in 0..100 {
            fork(|| {
                assert!(!mutex.try_lock() && !written.try_read_lock() && !read.try_write_lock());
                assert!(!recursive.is_locked_by_current_thread());
                // SAFETY: the only thread of the child, and no guards.
                unsafe {
                    mutex.after_fork();
                    written.after_fork();
                    read.after_fork();
                    recursive.after_fork();
                    once.after_fork();
                }
                exercise_mutex(&mutex);
                exercise_rw(&written);
                exercise_rw(&read);
                exercise_recursive(&recursive);
                exercise_once(&once);
                assert!(seq.after_fork());
                assert!(!seq.after_fork());
                assert!(seq.end_read(seq.begin_read()));
                seq.lock_write();
                seq.unlock_write();
                // Nobody was writing this one.
                // SAFETY: the only thread of the child, which is not writing.
                assert!(!unsafe { guarded_seq.after_fork([2; 4]) });
                guarded_seq.read() == [1; 4]
            });
        }
        finish.notify();
    });
    assert!(once.is_initialized());
    assert_eq!(seq.begin_read(), 2);
}

#[test]
fn a_recursive_mutex_that_the_forking_thread_holds_can_be_kept_or_reset() {
    let _watchdog = watchdog();
    register_fork_handler();
    let mutex = RecursiveMutex::new();
    (0..3).for_each(|_| mutex.lock());
    let before = recursive_parts(&mutex);
    fork(|| {
        assert_eq!(recursive_parts(&mutex), before);
        (0..3).for_each(|_| mutex.unlock());
        exercise_recursive(&mutex);
        true
    });
    // gh-126688: the ident may have changed.
    fork(|| {
        // SAFETY: the only thread of the child, and no guards.
        unsafe { mutex.after_fork() };
        assert!(!mutex.is_locked_by_current_thread());
        exercise_recursive(&mutex);
        true
    });
    (0..3).for_each(|_| mutex.unlock());
    assert_eq!(recursive_parts(&mutex), (0, 0, 0));
}

#[test]
fn a_once_flag_that_is_done_stays_done_in_the_child() {
    let _watchdog = watchdog();
    register_fork_handler();
    let once = OnceFlag::new();
    assert_eq!(once.call_once(|| Ok::<(), ()>(())), Ok(()));
    fork(|| {
        // SAFETY: the only thread of the child.
        unsafe { once.after_fork() };
        once.is_initialized() && once.call_once(|| Err(())) == Ok(())
    });
}

/// Threads at every point of every operation, some of them with a bucket locked.
#[test]
fn children_of_a_busy_process_can_reset_and_use_its_locks() {
    let _watchdog = watchdog_for(Duration::from_secs(120));
    register_fork_handler();
    let (mutex, rw, recursive) = (Mutex::new(), RwMutex::new(), RecursiveMutex::new());
    let guarded_seq = guarded::SeqLock::new([0_u64; 4]);
    let (stop, turns) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for i in 0..6_u64 {
            let (mutex, rw, recursive, stop) = (&mutex, &rw, &recursive, &stop);
            let (guarded_seq, turns) = (&guarded_seq, &turns);
            scope.spawn(move || {
                for j in i.. {
                    if stop.load(Relaxed) {
                        break;
                    }
                    mutex.lock();
                    // Long enough that others park.
                    thread::yield_now();
                    mutex.unlock();
                    if j % 3 == 0 {
                        rw.write_lock();
                        guarded_seq.write([j; 4]);
                        rw.write_unlock();
                    } else {
                        rw.read_lock();
                        thread::yield_now();
                        rw.read_unlock();
                    }
                    recursive.lock();
                    recursive.lock();
                    recursive.unlock();
                    recursive.unlock();
                    turns.fetch_add(1, Relaxed);
                }
            });
        }
        for _ in 0..200 {
            let turn = turns.load(Relaxed);
            wait_until(|| turns.load(Relaxed) > turn + 5);
            fork(|| {
                // SAFETY: the only thread of the child, and no guards.
                unsafe {
                    mutex.after_fork();
                    rw.after_fork();
                    recursive.after_fork();
                }
                exercise_mutex(&mutex);
                exercise_rw(&rw);
                exercise_recursive(&recursive);
                // SAFETY: as above.
                unsafe { guarded_seq.after_fork([7; 4]) };
                let copy = guarded_seq.read();
                assert!(copy.iter().all(|&word| word == copy[0]), "torn: {copy:?}");
                true
            });
        }
        stop.store(true, Relaxed);
    });
    println!("200 forks among {} turns", turns.into_inner());
    assert_eq!((mutex_bits(&mutex), rw_bits(&rw)), (0, 0));
}

#[test]
fn guarded_locks_can_be_reset_in_the_child() {
    let _watchdog = watchdog();
    register_fork_handler();
    let (mutex, rw) = (guarded::Mutex::new(1), guarded::RwLock::new(2));
    let (held, finish) = (Event::new(), Event::new());
    thread::scope(|scope| {
        scope.spawn(|| {
            let _guards = (mutex.lock(), rw.write());
            held.notify();
            finish.wait();
        });
        held.wait();
        fork(|| {
            assert!(mutex.try_lock().is_none() && rw.try_read().is_none());
            // SAFETY: the only thread of the child, which has no guards.
            unsafe {
                mutex.raw().get().after_fork();
                rw.raw().get().after_fork();
            }
            *mutex.lock() + *rw.read() == 3
        });
        finish.notify();
    });
}

/// A7. The child's first thread is given the stack, and the thread locals, of the holder that is
/// gone, so that it must be told apart by more than an address; and once reset, the mutex is as new.
#[test]
fn a_guarded_reentrant_mutex_can_be_reset_in_the_child() {
    let _watchdog = watchdog();
    register_fork_handler();
    let mutex = guarded::ReentrantMutex::new(AtomicUsize::new(0));
    let (held, finish) = (Event::new(), Event::new());
    let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            let _guards = (mutex.lock(), mutex.lock());
            held.notify();
            finish.wait();
        });
        held.wait();
        fork(|| {
            let owns = || mutex.is_owned_by_current_thread() || mutex.try_lock().is_some();
            let before = thread::scope(|scope| scope.spawn(owns).join().unwrap());
            assert!(!before && mutex.is_locked());
            // SAFETY: the only thread of the child, which has no guards.
            unsafe { mutex.after_fork() };
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        for _ in 0..500 {
                            let outer = mutex.lock();
                            let _inner = mutex.lock();
                            most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
                            outer.fetch_add(1, Relaxed);
                            thread::yield_now();
                            inside.fetch_sub(1, SeqCst);
                        }
                    });
                }
            });
            !mutex.is_locked() && most.load(SeqCst) == 1 && mutex.lock().load(Relaxed) == 1_500
        });
        finish.notify();
    });
    assert!(!mutex.is_locked());
}

/// A15.
#[test]
fn a_guarded_once_cell_can_be_reset_in_the_child() {
    let _watchdog = watchdog();
    register_fork_handler();
    let (cell, full) = (guarded::OnceCell::new(), guarded::OnceCell::new());
    full.set(5).unwrap();
    let (held, finish) = (Event::new(), Event::new());
    thread::scope(|scope| {
        scope.spawn(|| {
            let made = cell.get_or_init(|| {
                held.notify();
                finish.wait();
                String::from("the parent's")
            });
            assert_eq!(made, "the parent's");
        });
        held.wait();
        fork(|| {
            // SAFETY: the only thread of the child, which fills neither.
            unsafe {
                cell.after_fork();
                full.after_fork();
            }
            assert_eq!(full.get(), Some(&5));
            cell.get().is_none() && cell.get_or_init(|| "the child's".into()) == "the child's"
        });
        finish.notify();
    });
}

/// A5, one layer up: the waiter of a mutex forks in a signal handler. In the child the holder is
/// gone; the child resets the mutex, and its wait ends with the mutex locked.
#[cfg(all(target_os = "linux", not(pysync_portable)))]
#[test]
fn a_waiter_that_forks_in_a_signal_handler_gets_the_mutex_that_the_child_resets() {
    use pysync_testing::{Sleeper, ThreadId, child_succeeds};
    use std::sync::OnceLock;
    use std::sync::atomic::AtomicI32;

    static MUTEX: Mutex = Mutex::new();
    static CHILD: AtomicI32 = AtomicI32::new(-1);

    extern "C" fn fork_here(_: libc::c_int) {
        // SAFETY: the child goes on as the parent does.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // SAFETY: the only thread of the child, which does not hold it.
            unsafe { MUTEX.after_fork() };
        }
        CHILD.store(pid, SeqCst);
    }

    let _watchdog = watchdog();
    register_fork_handler();
    for flags in [0, libc::SA_RESTART] {
        CHILD.store(-1, SeqCst);
        // SAFETY: a zeroed sigaction is an empty one.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = fork_here as extern "C" fn(libc::c_int) as usize;
            action.sa_flags = flags;
            assert_eq!(libc::sigaction(libc::SIGUSR2, &action, std::ptr::null_mut()), 0);
        }
        let (sleeper, target) = (Sleeper::new(), OnceLock::new());
        MUTEX.lock();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                target.set(ThreadId::current()).unwrap();
                sleeper.enter();
                MUTEX.lock();
                match CHILD.load(SeqCst) {
                    0 => {
                        MUTEX.unlock();
                        // SAFETY: ends the child.
                        unsafe { libc::_exit(i32::from(MUTEX.is_locked())) };
                    }
                    pid => child_succeeds(pid),
                }
                MUTEX.unlock();
            });
            sleeper.wait_until_asleep();
            // SAFETY: joined by the scope.
            unsafe { target.get().unwrap().send(libc::SIGUSR2) };
            wait_until(|| CHILD.load(SeqCst) != -1);
            MUTEX.unlock();
            waiter.join().unwrap();
        });
        assert!(!MUTEX.is_locked());
    }
}
