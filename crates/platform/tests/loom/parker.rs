//! What a thread sleeps on.

use std::time::Duration;

use pysync_platform::{ParkStatus, Parker};
use pysync_testing::model::{Data, Explore};

const SOON: Option<Duration> = Some(Duration::from_millis(1));

type State = (Parker, Data);

fn publish((parker, data): &State) {
    data.set(7);
    parker.wakeup();
}

#[test]
fn publication() {
    fn wait((parker, data): &State) {
        assert_eq!(parker.wait(None, false), ParkStatus::Ok);
        assert_eq!(data.get(), 7);
    }
    Explore::new("parker, publication").run(State::default, [publish, wait], |_| {});
}

#[test]
fn two_wakeups_end_two_waits() {
    fn wake(parker: &Parker) {
        parker.wakeup();
    }
    fn wait_twice(parker: &Parker) {
        assert_eq!(parker.wait(None, false), ParkStatus::Ok);
        assert_eq!(parker.wait(None, false), ParkStatus::Ok);
    }
    let bodies = [wake, wake, wait_twice];
    Explore::new("parker, 2 wakeups").bounded().run(Parker::default, bodies, |parker| {
        assert_eq!(parker.wait(SOON, false), ParkStatus::Timeout, "one was made up");
    });
}

#[test]
fn a_wakeup_is_not_lost_to_a_timeout() {
    fn wait_in_time((parker, data): &State) {
        if parker.wait(SOON, false) == ParkStatus::Timeout {
            assert_eq!(parker.wait(None, false), ParkStatus::Ok);
        }
        assert_eq!(data.get(), 7);
    }
    Explore::new("parker, timeout").run(State::default, [publish, wait_in_time], |_| {});
}

/// Two others and a last one, woken together.
#[derive(Default)]
struct Three {
    others: [Parker; 2],
    last: Parker,
    data: Data,
}

impl Three {
    fn wait(&self, parker: &Parker) {
        assert_eq!(parker.wait(None, false), ParkStatus::Ok);
        assert_eq!(self.data.get(), 7);
    }

    fn wake_all(&self) {
        self.data.set(7);
        let others = self.others.iter().map(|parker| &raw const *parker);
        // SAFETY: they stay until all threads have ended, and the last is not among the others.
        unsafe { Parker::wakeup_all(others, &raw const self.last) };
    }

    /// Each wakeup has been taken by its own waiter.
    fn none_is_left(&self) {
        for parker in self.others.iter().chain([&self.last]) {
            assert_eq!(parker.wait(SOON, false), ParkStatus::Timeout);
        }
    }
}

#[test]
fn wakeup_all_wakes_the_others_and_the_last() {
    // Four threads, so at most two preemptions.
    Explore::new("parker, wakeup_all").preemptions(2).run(
        Three::default,
        [|s| s.wait(&s.others[0]), |s| s.wait(&s.others[1]), |s| s.wait(&s.last), Three::wake_all],
        Three::none_is_left,
    );
}
