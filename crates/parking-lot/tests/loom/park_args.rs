//! What a waiter and the thread that wakes it tell each other.

use super::*;

/// On the stack of a waiter.
struct Letter {
    question: Data,
    answer: Data,
}

/// What the callback found, and whether anybody was there.
fn answer(word: &AtomicU8) -> bool {
    let mut anybody = false;
    unpark(word, |unparked| {
        word.store(1, Relaxed);
        let Some(unparked) = unparked else { return };
        anybody = true;
        // SAFETY: the waiter's, until it is woken.
        let letter = unsafe { &*unparked.park_arg.cast::<Letter>() };
        letter.answer.set(letter.question.get() + 1);
    });
    anybody
}

fn ask(word: &AtomicU8, timeout: Option<Duration>) -> ParkStatus {
    let letter = Letter { question: Data::new(), answer: Data::new() };
    letter.question.set(6);
    let park_arg = (&raw const letter).cast_mut().cast();
    let status = park(word, 0, timeout, park_arg, false);
    let expected = if status == ParkStatus::Ok { 7 } else { 0 };
    assert_eq!(letter.answer.get(), expected, "{status:?}");
    status
}

#[test]
fn letters_are_read_and_answered() {
    exhaustive("park argument", || {
        let word = Arc::new(AtomicU8::new(0));
        let waiter = thread::spawn({
            let word = Arc::clone(&word);
            move || ask(&word, None)
        });
        let answered = answer(&word);
        let status = waiter.join().unwrap();
        assert_eq!(status, if answered { ParkStatus::Ok } else { ParkStatus::Again });
    });
}

#[test]
fn a_letter_is_answered_in_time_or_not_at_all() {
    // The is_unparking handshake: a waiter that gives up when it has been taken off its queue
    // already must wait for the wake, which is going to touch it.
    exhaustive("park argument and timeout", || {
        let word = Arc::new(AtomicU8::new(0));
        let waiter = thread::spawn({
            let word = Arc::clone(&word);
            move || ask(&word, SOON)
        });
        let answered = answer(&word);
        let status = waiter.join().unwrap();
        assert_eq!(status == ParkStatus::Ok, answered);
    });
}

#[test]
fn two_letters_of_which_one_times_out() {
    bounded("park argument and timeout, 2 waiters", || {
        run(
            AtomicU8::new(0),
            &[
                |word| {
                    ask(word, SOON);
                },
                |word| {
                    ask(word, SOON);
                },
                |word| {
                    answer(word);
                },
            ],
        );
    });
}
