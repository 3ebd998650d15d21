use pysync_lock::RwMutex;
use pysync_testing::model::{Data, Explore};

#[derive(Default)]
struct Shared {
    lock: RwMutex,
    a: Data,
    b: Data,
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
fn check<const N: usize>(name: &str, bodies: [fn(&Shared); N]) {
    let model = model(name);
    let model = if N == 2 { model } else { model.preemptions(2) };
    model.run(Shared::default, bodies, is_free);
}

fn model(name: &str) -> Explore {
    Explore::new(format!("rw mutex, {name}"))
}

/// The threads that are gone have left nothing in the word that would keep others out.
fn is_free(s: &Shared) {
    assert!(!s.lock.is_locked());
    assert!(s.lock.try_read_lock(), "a bit without a writer");
    assert_eq!(s.a.get(), s.b.get());
    s.lock.read_unlock();
    assert!(s.lock.try_write_lock());
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

    model("2 readers").run(Shared::default, [read_and_stay; 2], |s| {
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

    let two = model("a reader again and a writer").preemptions(3);
    two.run(Shared::default, [read_twice, write], is_free);
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
