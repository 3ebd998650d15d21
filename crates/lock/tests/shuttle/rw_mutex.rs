use std::sync::atomic::Ordering::SeqCst;

use pysync_lock::RwMutex;
use pysync_testing::model::TryOut;
use shuttle::sync::atomic::AtomicUsize;

/// Two words that only a writer may make differ.
#[derive(Default)]
struct Shared {
    lock: RwMutex,
    words: [AtomicUsize; 2],
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

/// Nothing is left in the word that would keep a thread out.
fn is_free(s: &Shared) {
    assert!(s.lock.try_read_lock(), "a bit without a writer");
    s.lock.read_unlock();
    assert!(s.lock.try_write_lock());
    s.lock.write_unlock();
}

#[test]
fn rw_mutex_readers_and_writers_exclude_each_other_and_lose_no_wake() {
    let bodies = [read, write, read_twice, write, read];
    TryOut::new("rw mutex, 5 threads", 32_000).run(Shared::default, bodies, |s| {
        assert_eq!(s.words[0].load(SeqCst), 2);
        is_free(s);
    });
}

#[test]
fn rw_mutex_attempts_among_waiters() {
    let bodies = [read, write, try_both, read_twice, try_both];
    TryOut::new("rw mutex, attempts", 32_000).run(Shared::default, bodies, is_free);
}

#[test]
fn rw_mutex_many() {
    let mut bodies = [read as fn(&Shared); 12];
    bodies[2] = write;
    bodies[5] = write;
    bodies[8] = read_twice;
    bodies[9] = try_both;
    TryOut::new("rw mutex, 12 threads", 4_000).run(Shared::default, bodies, is_free);
}
