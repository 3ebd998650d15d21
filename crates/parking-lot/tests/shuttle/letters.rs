//! What a waiter is told, by its status and by the one who wakes it, always agrees.

use super::*;

#[derive(Default)]
struct State {
    word: AtomicU8,
    /// How many callbacks found a waiter.
    sent: AtomicUsize,
    /// How many waits were woken.
    woken: AtomicUsize,
    /// How many waiters are not through yet.
    waiting: AtomicUsize,
}

fn wait(state: &State, timeout: Option<Duration>) {
    let answers = Cell::new(0);
    let park_arg = (&raw const answers).cast_mut().cast();
    let status = park(&state.word, 0, timeout, park_arg, false);
    let woken = status == ParkStatus::Ok;
    assert_eq!(answers.get(), u32::from(woken), "{status:?}");
    assert!(timeout.is_some() || status != ParkStatus::Timeout);
    state.woken.fetch_add(usize::from(woken), SeqCst);
}

fn wait_some(state: &State) {
    wait(state, SOON);
    wait(state, None);
    wait(state, SOON);
    state.waiting.fetch_sub(1, SeqCst);
}

fn answer(state: &State) {
    unpark(&state.word, |unparked| {
        let Some(unparked) = unparked else { return };
        // SAFETY: the waiter's, until it is woken.
        let answers = unsafe { &*unparked.park_arg.cast::<Cell<u32>>() };
        answers.set(answers.get() + 1);
        state.sent.fetch_add(1, SeqCst);
    });
}

fn answer_some(state: &State) {
    for _ in 0..3 {
        answer(state);
    }
}

fn answer_all(state: &State) {
    while state.waiting.load(SeqCst) > 0 {
        answer(state);
        thread::yield_now();
    }
}

fn waiters(count: usize) -> State {
    State { waiting: AtomicUsize::new(count), ..State::default() }
}

fn none_is_lost(state: &State) {
    assert_eq!(state.sent.load(SeqCst), state.woken.load(SeqCst));
    unpark(&state.word, |unparked| assert!(unparked.is_none(), "left behind"));
}

#[test]
fn a_wake_and_a_timeout_or_a_signal_are_either_but_never_neither() {
    let bodies = [answer_some, answer_all, wait_some];
    try_out("letters, 1 waiter").run(|| waiters(1), bodies, none_is_lost);
    let bodies = [answer_some, answer_all, wait_some, wait_some, wait_some];
    try_out("letters, 3 waiters").run(|| waiters(3), bodies, none_is_lost);
}
