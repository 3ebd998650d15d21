//! What a waiter and the thread that wakes it tell each other.

use super::*;

/// On the stack of a waiter.
#[derive(Default)]
struct Letter {
    question: Data,
    answer: Data,
}

/// The word, and what the two threads of a model have come to.
#[derive(Default)]
struct State {
    word: AtomicU8,
    /// Whether the waker found a waiter.
    answered: Data<bool>,
    /// How the wait ended.
    status: Data<Option<ParkStatus>>,
}

fn answer(state: &State) {
    unpark(&state.word, |unparked| {
        state.word.store(1, Relaxed);
        let Some(unparked) = unparked else { return };
        state.answered.set(true);
        // SAFETY: the waiter's, until it is woken.
        let letter = unsafe { &*unparked.park_arg.cast::<Letter>() };
        letter.answer.set(letter.question.get() + 1);
    });
}

fn ask(word: &AtomicU8, timeout: Option<Duration>) -> ParkStatus {
    let letter = Letter::default();
    letter.question.set(6);
    let park_arg = (&raw const letter).cast_mut().cast();
    let status = park(word, 0, timeout, park_arg, false);
    let expected = if status == ParkStatus::Ok { 7 } else { 0 };
    assert_eq!(letter.answer.get(), expected, "{status:?}");
    status
}

#[test]
fn letters_are_read_and_answered() {
    fn wait(state: &State) {
        state.status.set(Some(ask(&state.word, None)));
    }
    Explore::new("park argument").run(State::default, [wait, answer], |state| {
        let status = if state.answered.get() { ParkStatus::Ok } else { ParkStatus::Again };
        assert_eq!(state.status.get(), Some(status));
    });
}

#[test]
fn a_letter_is_answered_in_time_or_not_at_all() {
    // The is_unparking handshake: a waiter that gives up when it has been taken off its queue
    // already must wait for the wake, which is going to touch it.
    fn wait(state: &State) {
        state.status.set(Some(ask(&state.word, SOON)));
    }
    Explore::new("park argument and timeout").run(State::default, [wait, answer], |state| {
        assert_eq!(state.status.get() == Some(ParkStatus::Ok), state.answered.get());
    });
}

#[test]
fn two_letters_of_which_one_times_out() {
    fn wait(state: &State) {
        ask(&state.word, SOON);
    }
    Explore::new("park argument and timeout, 2 waiters").bounded().run(
        State::default,
        [wait, wait, answer],
        |_| {},
    );
}
