//! One that gives up takes no wake from another.

use super::*;

#[test]
fn a_thread_that_gave_up_takes_no_wake_from_another() {
    // There is one wake, and the waiter that gets it passes it on. If one that gave up were still
    // queued, or got the wake without saying so, another would wait for ever.
    fn impatient(word: &AtomicU32) {
        if park(word, 0, SOON, no_arg(), false) == ParkStatus::Ok {
            word.store(1, SeqCst);
            unpark_all(word);
        }
    }
    fn patient(word: &AtomicU32) {
        while word.load(SeqCst) == 0 && park(word, 0, None, no_arg(), false) != ParkStatus::Ok {}
        word.store(1, SeqCst);
        unpark_all(word);
    }
    fn wake(word: &AtomicU32) {
        unpark(word, |unparked| {
            if unparked.is_none() {
                word.store(1, SeqCst);
            }
        });
    }
    let bodies = [impatient, patient, patient, impatient, wake];
    try_out("a timeout and another waiter").run(AtomicU32::default, bodies, |_| {});
}

#[test]
fn unpark_all_and_those_who_give_up() {
    fn timed(word: &AtomicU8) {
        for _ in 0..2 {
            park(word, 0, SOON, no_arg(), false);
        }
    }
    fn untimed(word: &AtomicU8) {
        while word.load(SeqCst) == 0 {
            park(word, 0, None, no_arg(), false);
        }
    }
    fn wake(word: &AtomicU8) {
        unpark_all(word);
        unpark_all_with(word, |_| word.store(1, SeqCst));
    }
    let bodies = [timed, untimed, untimed, timed, wake];
    try_out("unpark_all, timeouts and signals").run(AtomicU8::default, bodies, |word| {
        unpark_all_with(word, |any| assert!(!any, "left behind"));
    });
}

#[test]
fn a_lock_whose_waiters_give_up_and_come_back() {
    /// A lock of one byte: 0 free, 1 held, 2 held and a thread may be parked.
    type Lock = (AtomicU8, Section);

    fn enter((word, section): &Lock, timeout: Option<Duration>) {
        if word.compare_exchange(0, 1, SeqCst, SeqCst).is_err() {
            while word.swap(2, SeqCst) != 0 {
                park(word, 2, timeout, no_arg(), false);
            }
        }
        section.enter();
        if word.compare_exchange(1, 0, SeqCst, SeqCst).is_err() {
            unpark(word, |_| word.store(0, SeqCst));
        }
    }
    fn patient(lock: &Lock) {
        enter(lock, None);
    }
    fn impatient(lock: &Lock) {
        enter(lock, SOON);
    }
    let bodies = [patient, impatient, patient, impatient];
    try_out("byte lock").run(Lock::default, bodies, |(_, section)| {
        assert_eq!(section.entered(), 4);
    });
}

#[test]
fn a_lock_that_is_handed_off() {
    // The word stays locked when a waiter is woken, so a wake that went to one that gave up
    // would be the end of the lock.
    /// 0 free, 1 held, 2 held and a thread may be parked.
    type Lock = (AtomicU8, Section);

    fn lock(word: &AtomicU8, timeout: Option<Duration>) -> bool {
        if word.compare_exchange(0, 1, SeqCst, SeqCst).is_ok() {
            return true;
        }
        loop {
            if word.swap(2, SeqCst) == 0 {
                return true;
            }
            match park(word, 2, timeout, no_arg(), false) {
                ParkStatus::Ok => return true,
                ParkStatus::Timeout => return false,
                ParkStatus::Again | ParkStatus::Interrupted => {}
            }
        }
    }
    fn unlock(word: &AtomicU8) {
        if word.compare_exchange(1, 0, SeqCst, SeqCst).is_err() {
            unpark(word, |unparked| {
                if unparked.is_none() {
                    word.store(0, SeqCst);
                }
            });
        }
    }
    fn enter((word, section): &Lock, timeout: Option<Duration>) {
        if lock(word, timeout) {
            section.enter();
            unlock(word);
        }
    }
    fn patient(lock: &Lock) {
        enter(lock, None);
    }
    fn impatient(lock: &Lock) {
        enter(lock, SOON);
    }
    let bodies = [patient, impatient, patient, impatient];
    try_out("byte lock with hand-off").run(Lock::default, bodies, |(word, section)| {
        assert!((2..=4).contains(&section.entered()));
        assert_eq!(word.load(SeqCst), 0, "handed to a thread that had given up");
    });
}

#[test]
fn strangers_that_give_up_leave_the_others_where_they_are_found() {
    // Three addresses in one bucket, each with a waiter that stays and one that gives up, which
    // changes the tree of their queues. The waiters that stay are woken.
    type State = [AtomicU8; 3];

    fn stay(word: &AtomicU8) {
        while word.load(SeqCst) == 0 {
            park(word, 0, None, no_arg(), false);
        }
    }
    fn give_up(word: &AtomicU8) {
        let status = park(word, 0, SOON, no_arg(), false);
        assert!(status != ParkStatus::Ok || word.load(SeqCst) == 1);
    }
    fn wake(word: &AtomicU8) {
        word.store(1, SeqCst);
        unpark_all(word);
    }
    try_out("three addresses in a bucket").run(
        State::default,
        [
            |words| stay(&words[0]),
            |words| stay(&words[1]),
            |words| stay(&words[2]),
            |words| words.iter().for_each(give_up),
            |words| words.iter().rev().for_each(give_up),
            |words| words.iter().for_each(wake),
        ],
        |words| {
            for word in words {
                unpark(word, |unparked| assert!(unparked.is_none()));
            }
        },
    );
}
