//! What a thread sleeps on.

use std::time::Duration;

use pysync_platform::{ParkStatus, Parker};
use pysync_testing::model::TryOut;

const SOON: Option<Duration> = Some(Duration::from_millis(1));

/// Waits until a wakeup comes; signals end no wait.
fn wait(parker: &Parker) {
    while parker.wait(None, false) != ParkStatus::Ok {}
}

fn is_empty(parker: &Parker) {
    assert_ne!(parker.wait(SOON, false), ParkStatus::Ok, "one was made up");
}

#[test]
fn every_wakeup_is_taken_once() {
    const WAKEUPS: usize = 4;

    fn take_all(parker: &Parker) {
        let mut taken = 0;
        while taken < WAKEUPS {
            let timeout = if taken % 2 == 0 { SOON } else { None };
            match parker.wait(timeout, false) {
                ParkStatus::Ok => taken += 1,
                ParkStatus::Timeout => assert!(timeout.is_some()),
                ParkStatus::Interrupted => {}
                ParkStatus::Again => panic!("a parker has no word"),
            }
        }
    }
    fn wake(parker: &Parker) {
        (0..WAKEUPS / 2).for_each(|_| parker.wakeup());
    }
    TryOut::new("parker", 20_000).run(Parker::default, [take_all, wake, wake], is_empty);
}

#[test]
fn wakeup_all_wakes_the_others_and_the_last() {
    type State = [Parker; 4];

    fn wake_all(parkers: &State) {
        let [others @ .., last] = parkers;
        let others = others.iter().map(|parker| &raw const *parker);
        // SAFETY: they stay until all threads have ended, and the last is not among the others.
        unsafe { Parker::wakeup_all(others, last) };
    }
    TryOut::new("parker, wakeup_all", 20_000).run(
        State::default,
        [|s| wait(&s[0]), |s| wait(&s[1]), |s| wait(&s[2]), |s| wait(&s[3]), wake_all],
        |parkers| parkers.iter().for_each(is_empty),
    );
}
