//! Locks in statics, as a program has them. A static outlives an execution, and its lock begins
//! each one unlocked: every model here leaves it locked, and would hang in the next execution
//! otherwise. The first use of such a lock comes before all others, which may hide an ordering; the
//! other models judge those.

use std::mem::forget;
use std::sync::atomic::Ordering::Relaxed;

use loom::sync::atomic::AtomicUsize;
use pysync_lock::{Event, Mutex, OnceFlag, RawMutex, RecursiveMutex, RwMutex, SeqLock, guarded};
use pysync_testing::model::{Data, Explore};

/// Two threads that each add one to data with a static's lock held, and a last look that keeps it.
fn two_add_one(name: &str, add_one: fn(&Data), lock: fn()) {
    let model = Explore::new(format!("static {name}")).preemptions(3);
    model.run(Data::default, [add_one, add_one], move |data| {
        lock();
        assert_eq!(data.get(), 2);
    });
}

#[test]
fn static_mutex() {
    static MUTEX: Mutex = Mutex::new();

    fn add_one(data: &Data) {
        MUTEX.lock();
        data.add_one();
        MUTEX.unlock();
    }

    two_add_one("mutex", add_one, || MUTEX.lock());
}

#[test]
fn static_raw_mutex() {
    static MUTEX: RawMutex = RawMutex::new();

    fn add_one(data: &Data) {
        MUTEX.lock();
        data.add_one();
        MUTEX.unlock();
    }

    two_add_one("raw mutex", add_one, || MUTEX.lock());
}

#[test]
fn static_recursive_mutex() {
    static MUTEX: RecursiveMutex = RecursiveMutex::new();

    fn add_one(data: &Data) {
        MUTEX.lock();
        MUTEX.lock();
        data.add_one();
        MUTEX.unlock();
        MUTEX.unlock();
    }

    two_add_one("recursive mutex", add_one, || MUTEX.lock());
}

#[test]
fn static_rw_mutex() {
    static LOCK: RwMutex = RwMutex::new();

    fn add_one(data: &Data) {
        LOCK.read_lock();
        data.get();
        LOCK.read_unlock();
        LOCK.write_lock();
        data.add_one();
        LOCK.write_unlock();
    }

    two_add_one("rw mutex", add_one, || LOCK.write_lock());
}

#[test]
fn static_seq_lock() {
    static LOCK: SeqLock = SeqLock::new();

    fn add_one(data: &Data) {
        LOCK.lock_write();
        data.add_one();
        LOCK.unlock_write();
    }

    two_add_one("seq lock", add_one, || LOCK.lock_write());
}

#[test]
fn static_event() {
    static EVENT: Event = Event::new();

    fn notify(data: &Data) {
        assert!(!EVENT.is_set(), "set in an execution before");
        data.add_one();
        EVENT.notify();
    }

    fn wait(data: &Data) {
        EVENT.wait();
        assert_eq!(data.get(), 1);
    }

    Explore::new("static event").run(Data::default, [notify, wait], |_| assert!(EVENT.is_set()));
}

#[test]
fn static_once_flag() {
    static ONCE: OnceFlag = OnceFlag::new();

    fn call(data: &Data) {
        let result = ONCE.call_once(|| {
            data.add_one();
            Ok::<(), ()>(())
        });
        assert_eq!(result, Ok(()));
        assert_eq!(data.get(), 1, "called in an execution before");
    }

    Explore::new("static once flag").run(Data::default, [call, call], |_| {});
}

#[test]
fn static_guarded_mutex() {
    static MUTEX: guarded::Mutex<()> = guarded::Mutex::new(());

    two_add_one(
        "guarded mutex",
        |data| {
            let _guard = MUTEX.lock();
            data.add_one();
        },
        || forget(MUTEX.lock()),
    );
}

#[test]
fn static_guarded_rw_lock() {
    static LOCK: guarded::RwLock<()> = guarded::RwLock::new(());

    two_add_one(
        "guarded rw lock",
        |data| {
            drop(LOCK.read());
            let _guard = LOCK.write();
            data.add_one();
        },
        || forget(LOCK.write()),
    );
}

#[test]
fn static_guarded_reentrant_mutex() {
    static MUTEX: guarded::ReentrantMutex<()> = guarded::ReentrantMutex::new(());

    two_add_one(
        "guarded reentrant mutex",
        |data| {
            let _outer = MUTEX.lock();
            let _inner = MUTEX.lock();
            data.add_one();
        },
        || forget(MUTEX.lock()),
    );
}

#[test]
fn static_guarded_seq_lock() {
    static LOCK: guarded::SeqLock<[usize; 2]> = guarded::SeqLock::new([3, 3]);

    fn write(_: &()) {
        LOCK.write([4, 4]);
    }

    fn read(_: &()) {
        assert!(matches!(LOCK.try_read(), None | Some([3, 3] | [4, 4])), "torn");
    }

    Explore::new("static guarded seq lock").preemptions(3).run(
        || (),
        [write, read],
        |()| {
            assert_eq!(LOCK.read(), [4, 4]);
        },
    );
}

#[test]
fn static_guarded_once_cell() {
    static CELL: guarded::OnceCell<u32> = guarded::OnceCell::new();

    fn fill(calls: &AtomicUsize) {
        let value = CELL.get_or_init(|| {
            calls.fetch_add(1, Relaxed);
            7
        });
        assert_eq!(*value, 7);
    }

    Explore::new("static guarded once cell").run(AtomicUsize::default, [fill, fill], |calls| {
        assert_eq!(calls.load(Relaxed), 1, "full from an execution before");
    });
}
