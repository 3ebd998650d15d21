//! A wake that dies with the woken, step by step: two sleep, the owner releases and so wakes the first,
//! a third thread is quicker, the first dies before it could say that others sleep, and the third
//! releases without a wake, since it has seen no waiter. The second must not sleep for ever.

use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use pysync_robust::{Error, Kind, Ownership, Timeout};
use pysync_testing::{wait_until, watchdog};

use crate::common::{Memory, child};
use crate::trace::{At, Traced};

const GOT_IT: usize = 0;

/// False if the second one's sleep has ended in between, so that it has announced itself again.
fn try_to_lose_a_wake(memory: &Memory) -> bool {
    let mutex = memory.mutex();
    let acquire = || assert_eq!(mutex.acquire(Timeout::Never), Ok(Ownership::Clean));
    memory.cell(GOT_IT).store(0, SeqCst);
    acquire();

    let mut first = Traced::new(|| (), acquire);
    // Up to the entry of the call that sleeps. It lasts until the wake, so that the wake is its own.
    while !first.is_about_to_sleep() {
        assert_eq!(first.go_to_border(), At::Stopped);
    }
    let mut registers = first.registers();
    registers.r10 = 0;
    first.set_registers(&registers);
    first.go_to_border_asleep();
    // The second is behind it, and sleeps as long as it likes.
    let second = child(|| {
        acquire();
        memory.cell(GOT_IT).store(1, SeqCst);
        mutex.release().unwrap();
    });
    second.wait_until_asleep(memory);

    mutex.release().unwrap();
    let third = mutex.acquire(Timeout::Try);
    assert_eq!(first.arrive(), At::Stopped);
    assert_eq!(first.registers().rax, 0, "the first was woken");
    first.kill();
    if third == Err(Error::Busy) {
        second.succeeds();
        return false;
    }
    assert_eq!(third, Ok(Ownership::Clean));
    let is_lost = !memory.has_waiters();
    mutex.release().unwrap();

    let began = Instant::now();
    let has_it = || memory.cell(GOT_IT).load(SeqCst) == 1;
    wait_until(|| has_it() || began.elapsed() > Duration::from_secs(2));
    assert!(has_it(), "the second sleeps for ever");
    if is_lost {
        println!("the second has the mutex {:?} after the wake was lost", began.elapsed());
    }
    second.succeeds();
    is_lost
}

#[test]
fn dies_with_the_woken() {
    let _watchdog = watchdog();
    let memory = Memory::with_mutex(Kind::Plain);
    assert!((0..100).any(|_| try_to_lose_a_wake(&memory)), "the second was quicker each time");
    assert!(memory.is_sound());
}
