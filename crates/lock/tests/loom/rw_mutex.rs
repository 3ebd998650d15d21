use pysync_lock::RwMutex;

use crate::explore::{Body, Data, EXHAUSTIVE, Unlock, explore};

struct Shared {
    lock: RwMutex,
    a: Data,
    b: Data,
}

fn shared() -> Shared {
    Shared { lock: RwMutex::new(), a: Data::new(), b: Data::new() }
}

fn write(s: &Shared) {
    s.lock.write_lock();
    write_both(s);
    s.lock.write_unlock();
}

fn write_both(s: &Shared) {
    s.a.add_one();
    s.b.add_one();
}

fn read(s: &Shared) {
    s.lock.read_lock();
    assert_eq!(s.a.get(), s.b.get());
    s.lock.read_unlock();
}

/// Two threads in every order, three in those with at most two preemptions.
fn check<const N: usize>(name: &str, bodies: [Body<Shared>; N]) {
    let preemptions = if N == 2 { EXHAUSTIVE } else { Some(2) };
    bounded(name, preemptions, bodies);
}

fn bounded<const N: usize>(name: &str, preemptions: Option<usize>, bodies: [Body<Shared>; N]) {
    let name = format!("rw mutex, {name}");
    explore(&name, Unlock::Wakes, preemptions, shared, bodies, |s| {
        // Whoever is gone has left nothing in the word that would keep others out.
        assert!(!s.lock.is_locked());
        assert!(s.lock.try_read_lock(), "a bit without a writer");
        assert_eq!(s.a.get(), s.b.get());
        s.lock.read_unlock();
        assert!(s.lock.try_write_lock());
    });
}

#[test]
fn rw_mutex_a_reader_and_a_writer_exclude_each_other() {
    check("reader and writer", [read, write]);
}

#[test]
fn rw_mutex_two_writers_exclude_each_other() {
    check("2 writers", [write, write]);
}

#[test]
fn rw_mutex_two_readers_do_not_wait_for_each_other() {
    fn read_and_stay(s: &Shared) {
        s.lock.read_lock();
        assert_eq!(s.a.get(), 0);
    }

    let bodies: [Body<_>; 2] = [read_and_stay; 2];
    explore("rw mutex, 2 readers", Unlock::Wakes, EXHAUSTIVE, shared, bodies, |s| {
        s.lock.read_unlock();
        s.lock.read_unlock();
        assert!(s.lock.try_write_lock());
    });
}

/// The writer's exclusion of readers that have left: their reads come before its writes.
#[test]
fn rw_mutex_the_last_of_two_readers_wakes_the_writer() {
    check("2 readers and a writer", [read, read, write]);
}

#[test]
fn rw_mutex_the_last_reader_wakes_two_writers() {
    check("a reader and 2 writers", [write, read, write]);
}

/// D06: a reader that leaves with others in the queue, or on their way to it. A reader stays
/// behind the writer, and both are woken.
#[test]
fn d06_rw_mutex_a_reader_behind_a_writer_is_not_forgotten() {
    fn read_twice(s: &Shared) {
        read(s);
        read(s);
    }

    bounded("a reader again and a writer", Some(3), [read_twice, write]);
    check("a reader again, a reader, a writer", [read_twice, read, write]);
}

#[test]
fn rw_mutex_attempts_see_the_data_if_they_succeed() {
    fn try_read(s: &Shared) {
        if s.lock.try_read_lock() {
            assert_eq!(s.a.get(), s.b.get());
            s.lock.read_unlock();
        }
    }

    fn try_write(s: &Shared) {
        if s.lock.try_write_lock() {
            write_both(s);
            s.lock.write_unlock();
        }
    }

    check("try_read_lock", [try_read, write]);
    check("try_write_lock", [read, try_write]);
    check("2 try_write_lock", [try_write, try_write]);
    check("attempts and a writer", [try_write, try_read, write]);
}
