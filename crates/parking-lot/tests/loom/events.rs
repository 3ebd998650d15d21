//! Word, wake and bucket publish what they should, and no wake is lost.

use super::*;

/// 0 until it happens, then 1; and what it publishes.
type State = (AtomicU8, Data);

fn wait((word, data): &State) {
    while word.load(Acquire) == 0 {
        park(word, 0, None, no_arg(), false);
    }
    assert_eq!(data.get(), 7);
}

fn notify((word, data): &State) {
    data.set(7);
    word.store(1, Release);
    unpark_all(word);
}

#[test]
fn store_then_unpark_all() {
    Explore::new("event, 2 threads").run(State::default, [wait, notify], |_| {});
    Explore::new("event, 2 waiters").bounded().run(State::default, [wait, wait, notify], |_| {});
}

#[test]
fn store_then_unpark() {
    fn notify((word, data): &State) {
        data.set(7);
        word.store(1, Release);
        unpark(word, |_| {});
    }
    Explore::new("event, unpark").run(State::default, [wait, notify], |_| {});
}

#[test]
fn a_word_changed_in_the_callback() {
    fn notify((word, data): &State) {
        unpark_all_with(word, |_| {
            data.set(7);
            word.store(1, Release);
        });
    }
    Explore::new("event in a callback, 2 threads").run(State::default, [wait, notify], |_| {});
    Explore::new("event in a callback, 2 waiters").bounded().run(
        State::default,
        [wait, wait, notify],
        |_| {},
    );
}

#[test]
fn the_bucket_and_the_wake_publish_whatever_the_word_does() {
    // The word's own orderings are as weak as can be. A park that returns has either been
    // woken, or has seen the word changed under the bucket lock, after the callback.
    fn wait((word, data): &State) {
        let status = park(word, 0, None, no_arg(), false);
        assert!(matches!(status, ParkStatus::Ok | ParkStatus::Again));
        assert_eq!(data.get(), 7);
    }
    fn notify_one((word, data): &State) {
        unpark(word, |_| {
            data.set(7);
            word.store(1, Relaxed);
        });
    }
    fn notify_all((word, data): &State) {
        unpark_all_with(word, |_| {
            data.set(7);
            word.store(1, Relaxed);
        });
    }
    Explore::new("publication by unpark").run(State::default, [wait, notify_one], |_| {});
    Explore::new("publication by unpark_all, 1 waiter").run(
        State::default,
        [wait, notify_all],
        |_| {},
    );
    Explore::new("publication by unpark_all, 2 waiters").bounded().run(
        State::default,
        [wait, wait, notify_all],
        |_| {},
    );
}
