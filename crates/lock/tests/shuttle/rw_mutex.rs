use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use pysync_lock::RwMutex;
use shuttle::sync::atomic::AtomicUsize;

use crate::try_out::{run, try_out};

/// Two words that only a writer may make differ.
struct Shared {
    lock: RwMutex,
    words: [AtomicUsize; 2],
}

fn shared() -> Arc<Shared> {
    Arc::new(Shared { lock: RwMutex::new(), words: [AtomicUsize::new(0), AtomicUsize::new(0)] })
}

fn write(s: &Shared) {
    s.lock.write_lock();
    write_both(s);
    s.lock.write_unlock();
}

fn write_both(s: &Shared) {
    let value = s.words[0].load(SeqCst) + 1;
    s.words[0].store(value, SeqCst);
    s.words[1].store(value, SeqCst);
}

fn read(s: &Shared) {
    s.lock.read_lock();
    read_both(s);
    s.lock.read_unlock();
}

fn read_both(s: &Shared) {
    assert_eq!(s.words[0].load(SeqCst), s.words[1].load(SeqCst), "half a write");
}

fn read_twice(s: &Shared) {
    read(s);
    read(s);
}

fn try_both(s: &Shared) {
    if s.lock.try_read_lock() {
        read_both(s);
        s.lock.read_unlock();
    }
    if s.lock.try_write_lock() {
        write_both(s);
        s.lock.write_unlock();
    }
}

/// Nothing is left in the word that would keep anybody out.
fn is_free(s: &Shared) {
    assert!(s.lock.try_read_lock(), "a bit without a writer");
    s.lock.read_unlock();
    assert!(s.lock.try_write_lock());
    s.lock.write_unlock();
}

#[test]
fn rw_mutex_readers_and_writers_exclude_each_other_and_lose_no_wake() {
    try_out("rw mutex, 5 threads", 16_000, || {
        let shared = shared();
        run(&shared, [read, write, read_twice, write, read]);
        assert_eq!(shared.words[0].load(SeqCst), 2);
        is_free(&shared);
    });
}

#[test]
fn rw_mutex_attempts_among_waiters() {
    try_out("rw mutex, attempts", 16_000, || {
        let shared = shared();
        run(&shared, [read, write, try_both, read_twice, try_both]);
        is_free(&shared);
    });
}

#[test]
fn rw_mutex_many() {
    try_out("rw mutex, 12 threads", 2_000, || {
        let shared = shared();
        let mut bodies = [read as fn(&Shared); 12];
        bodies[2] = write;
        bodies[5] = write;
        bodies[8] = read_twice;
        bodies[9] = try_both;
        run(&shared, bodies);
        is_free(&shared);
    });
}
