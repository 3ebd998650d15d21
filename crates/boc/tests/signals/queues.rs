//! Signals on threads that wait at queues: which flags make them heard, what runs meanwhile, and that no
//! message is lost.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use pysync_boc::{Deadline, LockFlags, Queues, ReceiveError, Received, SendTimedError};
use pysync_parking_lot::PendingCallError;
use pysync_testing::{Target, alone, rain_until, signals_handled, wait_until, watchdog_for};

use crate::cases::*;
use crate::counting::{Counting, Counts, set_pending_calls, take_counts};
use crate::queues_common::*;

/// A thread waits by `wait` under fire once `is_parked`.
fn under_fire<T: Send>(
    case: Case,
    wait: impl FnOnce() -> T + Send,
    is_parked: impl Fn() -> bool,
    wake: impl FnOnce(),
) -> (T, Counts) {
    crate::cases::under_fire(case, wait, |_| is_parked(), wake)
}

/// Each case with and without a deadline.
fn every_way() -> impl Iterator<Item = (Case, Option<Duration>)> {
    cases().flat_map(|case| [(case, None), (case, HOUR)])
}

/// bocpy (b): a signal came through 1.2 s late to a receive with a deadline, and never to one without.
#[test]
fn a_signal_ends_a_receive_only_if_its_flags_ask_for_it() {
    type Receive = fn(&Queues<u32>, &[&str], Deadline, LockFlags) -> Result<u32, ReceiveError>;
    let receives: [Receive; 3] = [
        |queues, tags, deadline, flags| {
            Ok(queues.receive_in::<Counting>(tags, deadline, flags)?.message)
        },
        |queues, tags, deadline, flags| {
            Ok(queues.receive_ordered_in::<Counting>(tags, deadline, flags)?.message)
        },
        |queues, tags, deadline, flags| {
            let mut many = Vec::new();
            queues.receive_many_in::<Counting>(tags, &mut many, 5, deadline, flags)?;
            Ok(many[0])
        },
    ];

    let _alone = alone();
    let queues = &Queues::default();
    for tags in [&["a"][..], &["b", "a", "c"]] {
        for (case, timeout) in every_way() {
            for receive in receives {
                let wait = move || receive(queues, tags, Deadline::after(timeout), case.flags);
                let is_parked = || receivers(queues, "a") == 1;
                let wake = || queues.send("a", 7).unwrap();
                let (received, counts) = under_fire(case, wait, is_parked, wake);
                let expected = if case.is_ended { Err(ReceiveError::Interrupted) } else { Ok(7) };
                assert_eq!(received, expected, "{:?} {tags:?} {timeout:?}", case.flags);
                case.check(counts, (tags, timeout));
                assert!(tags.iter().all(|tag| receivers(queues, tag) == 0));
                assert!(queues.is_empty("a"));
            }
        }
    }
}

/// And a sender that waits for room gets its message back.
#[test]
fn a_signal_ends_a_send_only_if_its_flags_ask_for_it() {
    let _alone = alone();
    let queues = &with_capacity(1);
    queues.send("a", 0).unwrap();
    for (case, timeout) in every_way() {
        let wait = move || {
            let deadline = Deadline::after(timeout);
            queues.send_in::<Counting>("a", 9, deadline, case.flags)
        };
        let is_parked = || senders(queues, "a") == 1;
        let wake = || _ = queues.receive("a", NOW).unwrap();
        let (sent, counts) = under_fire(case, wait, is_parked, wake);
        match sent {
            Ok(()) => assert!(!case.is_ended, "{:?} {timeout:?}", case.flags),
            Err(SendTimedError::Interrupted(message)) => assert!(case.is_ended && message == 9),
            Err(error) => panic!("{error}"),
        }
        case.check(counts, timeout);
        assert_eq!((senders(queues, "a"), queues.len("a")), (0, 1));
    }
}

/// The forms without flags.
#[test]
fn signals_are_waited_through_without_flags() {
    let _alone = alone();
    let queues = &with_capacity(1);
    for (tags, timeout) in [(&["a"][..], None), (&["a", "b"], HOUR)] {
        let (received, _) = under_fire(
            Case::new(NONE, fail, false),
            move || queues.receive(tags, timeout),
            || receivers(queues, "a") == 1,
            || queues.send("a", 1).unwrap(),
        );
        assert_eq!(received, Ok(Received { index: 0, message: 1 }));
        queues.send("a", 2).unwrap();
        let (sent, _) = under_fire(
            Case::new(NONE, fail, false),
            move || queues.send_timed("a", 3, timeout).is_ok(),
            || senders(queues, "a") == 1,
            || assert_eq!(queues.drain("a"), 1),
        );
        assert!(sent);
        assert_eq!(queues.receive("a", NOW).unwrap().message, 3);
    }
}

/// A deadline is kept under fire.
#[test]
fn signals_do_not_put_a_deadline_off() {
    let _alone = alone();
    let queues = &with_capacity(1);
    queues.send("full", 0).unwrap();
    for flags in [NONE, HANDLE, DETACH | HANDLE] {
        // Its deadline ends it.
        let case = Case::new(flags, succeed, true);
        let soon = Deadline::after(millis(20));
        let wait = move || queues.receive_in::<Counting>(["a", "b"], soon, flags);
        let (received, _) = under_fire(case, wait, || true, || {});
        assert_eq!(received.unwrap_err(), ReceiveError::Timeout);
        let soon = Deadline::after(millis(20));
        let wait = move || queues.send_in::<Counting>("full", 1, soon, flags);
        let (sent, _) = under_fire(case, wait, || true, || {});
        assert!(matches!(sent, Err(SendTimedError::Timeout(1))));
    }
    assert_eq!((receivers(queues, "b"), senders(queues, "full")), (0, 0));
}

/// They may use the very queues, as a signal handler of an interpreter would.
#[test]
fn pending_calls_may_use_the_queues() {
    static QUEUES: std::sync::OnceLock<Queues<u32>> = std::sync::OnceLock::new();

    fn send_to_it() -> Result<(), PendingCallError> {
        if !is_raining() {
            return Ok(());
        }
        let queues = QUEUES.get().unwrap();
        assert_eq!(queues.stats().len(), 2);
        queues.drain("a");
        queues.send("b", 5).unwrap();
        Ok(())
    }

    let _alone = alone();
    let queues = QUEUES.get_or_init(Queues::default);
    let wait = || queues.receive_in::<Counting>(["a", "b"], Deadline::NEVER, HANDLE | DETACH);
    let is_parked = || receivers(queues, "b") == 1;
    let case = Case::new(HANDLE | DETACH, send_to_it, true);
    let (received, counts) = under_fire(case, wait, is_parked, || {});
    assert_eq!(received, Ok(Received { index: 1, message: 5 }));
    assert!(counts.pending > 0);
}

#[test]
fn a_pending_call_that_panics_leaves_no_one_parked() {
    fn panic() -> Result<(), PendingCallError> {
        if is_raining() {
            resume_unwind(Box::new("in a pending call"));
        }
        Ok(())
    }

    let _alone = alone();
    let queues = &with_capacity(1);
    queues.send("full", 0).unwrap();
    let receive = || {
        let wait = || queues.receive_in::<Counting>(["a", "b"], Deadline::NEVER, HANDLE | DETACH);
        catch_unwind(AssertUnwindSafe(wait)).map(|_| ()).unwrap_err().downcast_ref().copied()
    };
    let is_parked = || receivers(queues, "b") == 1;
    let (payload, _) = under_fire(Case::new(HANDLE, panic, true), receive, is_parked, || {});
    assert_eq!(payload, Some("in a pending call"));
    assert_eq!((receivers(queues, "a"), receivers(queues, "b")), (0, 0));

    let send = || {
        let wait = || queues.send_in::<Counting>("full", 1, Deadline::NEVER, HANDLE);
        catch_unwind(AssertUnwindSafe(wait)).map(|_| ()).unwrap_err().downcast_ref().copied()
    };
    let is_parked = || senders(queues, "full") == 1;
    let (payload, _) = under_fire(Case::new(HANDLE, panic, true), send, is_parked, || {});
    assert_eq!(payload, Some("in a pending call"));
    assert_eq!((senders(queues, "full"), queues.len("full")), (0, 1));
    queues.send("a", 2).unwrap();
    assert_eq!(
        queues.receive(["a", "full"], None).unwrap().message + queues.drain("full") as u32,
        3
    );
}

/// Receivers leave by signals and deadlines while messages come; each message is received.
#[test]
fn signals_lose_no_message() {
    const RECEIVERS: usize = 6;
    const SIGNALS: usize = 30_000;

    let _alone = alone();
    let _watchdog = watchdog_for(Duration::from_secs(240));
    let (queues, live) = (with_capacity(8), Live::default());
    let [received, interrupted, timeouts] = [const { AtomicUsize::new(0) }; 3];
    let targets: [Target; RECEIVERS] = Default::default();
    let before = signals_handled();
    let sent = raining(|| {
        thread::scope(|scope| {
            for (id, target) in targets.iter().enumerate() {
                let (queues, received, interrupted, timeouts) =
                    (&queues, &received, &interrupted, &timeouts);
                scope.spawn(move || {
                    target.enter();
                    set_pending_calls(if id % 2 == 0 { succeed } else { fail });
                    let flags = [NONE, DETACH, HANDLE, DETACH | HANDLE, FAIL, NONE];
                    let tags = [["a", "b"], ["b", "a"], ["b", "c"]][id % 3];
                    for turn in id.. {
                        let soon = Some(Duration::from_micros(turn as u64 % 100));
                        let deadline = Deadline::after(if turn % 3 == 0 { soon } else { None });
                        let flags = flags[turn / 2 % flags.len()];
                        match queues.receive_in::<Counting>(tags, deadline, flags) {
                            Ok(_) => received,
                            Err(ReceiveError::Timeout) => timeouts,
                            Err(ReceiveError::Interrupted) => interrupted,
                            Err(ReceiveError::Closed) => break,
                            Err(error) => panic!("{error}"),
                        }
                        .fetch_add(1, SeqCst);
                    }
                    let counts = take_counts();
                    assert_eq!(counts.detached, counts.attached);
                });
            }
            let sender = scope.spawn(|| {
                let mut sent = 0;
                while signals_handled() - before < SIGNALS {
                    queues.send_timed(["a", "b", "c"][sent % 3], live.value(sent), None).unwrap();
                    sent += 1;
                    if sent % 5 == 0 {
                        // No later message heals a wake that a signal has taken with it.
                        wait_until(|| received.load(SeqCst) == sent);
                    }
                }
                wait_until(|| received.load(SeqCst) == sent);
                sent
            });
            let ids = targets.each_ref().map(Target::thread);
            // SAFETY: they end once their queues are closed, below.
            unsafe { rain_until(&ids, || sender.is_finished()) };
            ["a", "b", "c"].iter().for_each(|tag| queues.close(*tag));
            sender.join().unwrap()
        })
    });
    let [received, interrupted, timeouts] =
        [received, interrupted, timeouts].map(AtomicUsize::into_inner);
    println!("{sent} sent, {received} received, {interrupted} interrupted, {timeouts} timed out");
    assert_eq!((received, live.count()), (sent, 0));
    assert!(interrupted > 0 && timeouts > 0);
}
