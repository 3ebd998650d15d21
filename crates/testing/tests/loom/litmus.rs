//! What loom 0.7 overlooks, and what the kit makes of it. A test that fails here after an update of
//! loom is good news.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::Ordering::Relaxed;

use loom::sync::atomic::AtomicU32;
use pysync_platform::{ParkStatus, Parker};
use pysync_testing::model::{Data, Explore};

/// Two unlike threads: one loads, the other loads and stores.
#[derive(Default)]
struct Shared {
    word: AtomicU32,
    seen: Data,
}

fn load(s: &Shared) {
    s.seen.set(s.word.load(Relaxed));
}

fn load_and_store(s: &Shared) {
    s.word.load(Relaxed);
    s.word.store(1, Relaxed);
}

/// The values that the first thread has seen in some execution.
type Seen = Mutex<BTreeSet<u32>>;

fn note(seen: &Seen, s: &Shared) {
    seen.lock().unwrap().insert(s.seen.get());
}

fn all(seen: &Seen) -> Vec<u32> {
    seen.lock().unwrap().iter().copied().collect()
}

#[test]
fn one_start_does_not_show_the_store_to_the_load() {
    static SEEN: Seen = Mutex::new(BTreeSet::new());

    loom::model(|| {
        let shared = std::sync::Arc::new(Shared::default());
        let other = loom::thread::spawn({
            let shared = std::sync::Arc::clone(&shared);
            move || load_and_store(&shared)
        });
        load(&shared);
        other.join().unwrap();
        note(&SEEN, &shared);
    });
    assert_eq!(all(&SEEN), [0], "loom has learnt it: the starts need no permutation");
}

#[test]
fn every_start_shows_the_store_to_the_load() {
    static SEEN: Seen = Mutex::new(BTreeSet::new());

    let model = || Explore::new("a load, a load and a store");
    model().run(Shared::default, [load, load_and_store], |s| note(&SEEN, s));
    assert_eq!(all(&SEEN), [0, 1]);

    SEEN.lock().unwrap().clear();
    model().run_beside(Shared::default, load, [load_and_store], |s| note(&SEEN, s));
    assert_eq!(all(&SEEN), [0, 1]);
}

/// The second thread starts when the first one wakes it, whatever order they are started in.
#[test]
fn no_start_shows_the_store_behind_a_wait_to_the_load() {
    static SEEN: Seen = Mutex::new(BTreeSet::new());

    #[derive(Default)]
    struct Asleep {
        parker: Parker,
        shared: Shared,
    }

    fn wake_and_load(s: &Asleep) {
        s.parker.wakeup();
        load(&s.shared);
    }

    fn wait_and_load_and_store(s: &Asleep) {
        assert_eq!(s.parker.wait(None, false), ParkStatus::Ok);
        load_and_store(&s.shared);
    }

    let bodies: [fn(&Asleep); 2] = [wake_and_load, wait_and_load_and_store];
    Explore::new("a load, a load and a store behind a wait")
        .run(Asleep::default, bodies, |s| note(&SEEN, &s.shared));
    assert_eq!(all(&SEEN), [0], "loom has learnt it");
}
