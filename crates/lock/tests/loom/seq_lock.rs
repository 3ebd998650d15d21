//! gh-121368: loom lets a relaxed load see any store that coherence allows, so a copy without the
//! fences is torn here as it would be on hardware that reorders.

use std::sync::atomic::Ordering::Relaxed;

use loom::sync::atomic::AtomicUsize;
use pysync_lock::SeqLock;
use pysync_testing::model::Explore;

#[derive(Default)]
struct Shared {
    lock: SeqLock,
    words: [AtomicUsize; 2],
}

fn write(s: &Shared) {
    s.lock.lock_write();
    let value = s.words[0].load(Relaxed) + 1;
    s.words[0].store(value, Relaxed);
    s.words[1].store(value, Relaxed);
    s.lock.unlock_write();
}

fn read_once(s: &Shared) -> Option<usize> {
    let sequence = s.lock.begin_read();
    let copy = [s.words[0].load(Relaxed), s.words[1].load(Relaxed)];
    s.lock.end_read(sequence).then(|| {
        assert_eq!(copy[0], copy[1], "torn");
        // What was published with the sequence is what is seen with it.
        assert_eq!(copy[0] * 2, sequence as usize, "stale");
        copy[0]
    })
}

fn read(s: &Shared) {
    _ = read_once(s);
}

fn model(name: &str) -> Explore {
    Explore::new(format!("seq lock, {name}"))
}

#[test]
fn seq_lock_a_reader_accepts_no_torn_copy() {
    model("writer and reader")
        .run(Shared::default, [write, read], |s| assert_eq!(read_once(s), Some(1)));
}

#[test]
fn seq_lock_a_reader_between_two_writes_accepts_no_torn_copy() {
    fn write_twice(s: &Shared) {
        write(s);
        write(s);
    }

    model("2 writes and a reader").preemptions(3).run(Shared::default, [write_twice, read], |s| {
        assert_eq!(read_once(s), Some(2));
    });
}

/// The second writer builds on the first one's data.
#[test]
fn seq_lock_two_writers_exclude_each_other() {
    model("2 writers").run(Shared::default, [write, write], |s| assert_eq!(read_once(s), Some(2)));
}

#[test]
fn seq_lock_two_writers_and_a_reader() {
    model("2 writers and a reader").preemptions(1).run(
        Shared::default,
        [write, write, read],
        |s| {
            assert_eq!(read_once(s), Some(2));
        },
    );
}

#[test]
fn seq_lock_an_abandoned_write_is_as_if_it_had_not_been() {
    fn abandon(s: &Shared) {
        s.lock.lock_write();
        assert_eq!(s.words[0].load(Relaxed), s.words[1].load(Relaxed));
        s.lock.abandon_write();
    }

    model("an abandoned write and a reader").run(Shared::default, [abandon, read], |s| {
        assert_eq!(read_once(s), Some(0));
    });
    // The next writer must not miss what came before the abandoned write.
    model("an abandoned write and a writer").run(Shared::default, [abandon, write], |s| {
        assert_eq!(read_once(s), Some(1));
    });
    model("a write, an abandoned one, a reader").preemptions(1).run(
        Shared::default,
        [write, abandon, read],
        |s| {
            assert_eq!(read_once(s), Some(1));
        },
    );
}
