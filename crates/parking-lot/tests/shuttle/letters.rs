//! What a waiter is told, by its status and by the one who wakes it, always agrees.

use super::*;

struct State {
    word: AtomicU8,
    /// How many callbacks found somebody.
    sent: AtomicUsize,
    /// How many waits were woken.
    woken: AtomicUsize,
    waiters: usize,
    /// How many of them are through.
    done: AtomicUsize,
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
    state.done.fetch_add(1, SeqCst);
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
    while state.done.load(SeqCst) < state.waiters {
        answer(state);
        thread::yield_now();
    }
}

fn none_is_lost(waiters: usize) {
    let state = State {
        word: AtomicU8::new(0),
        sent: AtomicUsize::new(0),
        woken: AtomicUsize::new(0),
        waiters,
        done: AtomicUsize::new(0),
    };
    let mut bodies: Vec<fn(&State)> = vec![answer_some, answer_all];
    bodies.resize(2 + waiters, wait_some);
    let state = run(state, &bodies);
    assert_eq!(state.sent.load(SeqCst), state.woken.load(SeqCst));
    unpark(&state.word, |unparked| assert!(unparked.is_none(), "left behind"));
}

#[test]
fn a_wake_and_a_timeout_or_a_signal_are_either_but_never_neither() {
    check("letters, 1 waiter", || none_is_lost(1));
    check("letters, 3 waiters", || none_is_lost(3));
}
