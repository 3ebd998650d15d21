//! What a thread sleeps on.

use super::*;

type State = (Parker, Data);

fn state() -> State {
    (Parker::new(), Data::new())
}

#[test]
fn publication() {
    exhaustive("semaphore, publication", || {
        run(
            state(),
            &[
                |(semaphore, data)| {
                    data.set(7);
                    semaphore.wakeup();
                },
                |(semaphore, data)| {
                    assert_eq!(semaphore.wait(None, false), ParkStatus::Ok);
                    assert_eq!(data.get(), 7);
                },
            ],
        );
    });
}

#[test]
fn two_wakeups_end_two_waits() {
    fn wake((semaphore, _): &State) {
        semaphore.wakeup();
    }
    bounded("semaphore, 2 wakeups", || {
        run(
            state(),
            &[wake, wake, |(semaphore, _)| {
                assert_eq!(semaphore.wait(None, false), ParkStatus::Ok);
                assert_eq!(semaphore.wait(None, false), ParkStatus::Ok);
            }],
        );
    });
}

#[test]
fn a_wakeup_is_not_lost_to_a_timeout() {
    exhaustive("semaphore, timeout", || {
        run(
            state(),
            &[
                |(semaphore, data)| {
                    data.set(7);
                    semaphore.wakeup();
                },
                |(semaphore, data)| {
                    if semaphore.wait(SOON, false) == ParkStatus::Timeout {
                        assert_eq!(semaphore.wait(None, false), ParkStatus::Ok);
                    }
                    assert_eq!(data.get(), 7);
                },
            ],
        );
    });
}
