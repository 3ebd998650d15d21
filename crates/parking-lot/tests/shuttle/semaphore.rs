//! What a thread sleeps on.

use super::*;

#[test]
fn every_wakeup_is_taken_once() {
    const WAKEUPS: usize = 4;
    check("semaphore", || {
        let semaphore = run(
            Parker::new(),
            &[
                |semaphore| {
                    let mut taken = 0;
                    while taken < WAKEUPS {
                        let timeout = if taken % 2 == 0 { SOON } else { None };
                        match semaphore.wait(timeout, false) {
                            ParkStatus::Ok => taken += 1,
                            ParkStatus::Timeout => assert!(timeout.is_some()),
                            ParkStatus::Interrupted => {}
                            ParkStatus::Again => panic!("a semaphore has no word"),
                        }
                    }
                },
                |semaphore| (0..WAKEUPS / 2).for_each(|_| semaphore.wakeup()),
                |semaphore| (0..WAKEUPS / 2).for_each(|_| semaphore.wakeup()),
            ],
        );
        assert_ne!(semaphore.wait(SOON, false), ParkStatus::Ok, "none was made up");
    });
}
