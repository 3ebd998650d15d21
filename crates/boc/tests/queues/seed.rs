//! The tests of bocpy's pull request 6 and of its `test_message_queue.py`, by their names. All of those
//! have timeouts, with which its receivers never park. So each is here as it is there, and once more
//! with several receivers that are parked without a deadline before anything is sent.

use std::thread;
use std::time::{Duration, Instant};

use crate::common::*;
use pysync_boc::{Queues, ReceiveError};
use pysync_testing::{random, wait_until, watchdog};

/// Which receivers there are.
#[derive(Clone, Copy)]
enum As {
    /// One, with a deadline and at work from the start.
    There,
    /// So many, without a deadline, and parked before the first message is sent.
    Parked(usize),
}

const BOTH: [As; 2] = [As::There, As::Parked(4)];

impl As {
    fn receivers(self) -> usize {
        match self {
            Self::There => 1,
            Self::Parked(receivers) => receivers,
        }
    }

    fn timeout(self) -> Option<Duration> {
        match self {
            Self::There => Some(Duration::from_secs(30)),
            Self::Parked(_) => None,
        }
    }

    /// A pause between two messages: a while as there, or until all receivers are parked again.
    fn pause(self, queues: &Queues<u32>, tag: &str, micros: u64) {
        match self {
            Self::There => thread::sleep(Duration::from_micros(micros)),
            // Now and then a message comes while some of them are on their way to park.
            Self::Parked(_) if random(4) == 0 => {}
            Self::Parked(receivers) => wait_for_receivers(queues, tag, receivers),
        }
    }
}

/// What receivers of `tags` have got, each for itself: the index of the tag and the message. They end
/// when `produce` has returned and what it has sent is received.
fn received(
    how: As,
    queues: &Queues<u32>,
    tags: &[&str],
    produce: impl FnOnce(),
) -> Vec<Vec<(usize, u32)>> {
    thread::scope(|scope| {
        let receive = || {
            let mut received = Vec::new();
            loop {
                match queues.receive(tags, how.timeout()) {
                    Ok(message) => received.push((message.index, message.message)),
                    Err(ReceiveError::Closed) => break received,
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let receivers: Vec<_> = (0..how.receivers()).map(|_| scope.spawn(receive)).collect();
        if let As::Parked(count) = how {
            tags.iter().for_each(|tag| wait_for_receivers(queues, tag, count));
        }
        produce();
        tags.iter().for_each(|tag| queues.close(tag));
        receivers.into_iter().map(|receiver| receiver.join().unwrap()).collect()
    })
}

/// Asserts that the messages are `0..count`, each once, and that each receiver has got them in order.
fn assert_all_in_order(received: &[Vec<(usize, u32)>], count: u32) {
    for one in received {
        assert!(one.is_sorted_by_key(|&(_, message)| message), "out of order: {one:?}");
    }
    let mut all: Vec<u32> = received.iter().flatten().map(|&(_, message)| message).collect();
    all.sort_unstable();
    assert!(all.iter().copied().eq(0..count), "{} of {count} messages", all.len());
}

/// A message of one of several producers.
fn of_producer(producer: u32, number: u32) -> u32 {
    producer << 16 | number
}

/// Asserts that each of `producers` has got `count` messages through, each once, and that each receiver
/// has got those of one producer in order.
fn assert_producers_in_order(received: &[Vec<(usize, u32)>], producers: u32, count: u32) {
    for producer in 0..producers {
        let of_it = |one: &Vec<(usize, u32)>| -> Vec<(usize, u32)> {
            let its = one.iter().filter(|&&(_, message)| message >> 16 == producer);
            its.map(|&(index, message)| (index, message & 0xffff)).collect()
        };
        assert_all_in_order(&received.iter().map(of_it).collect::<Vec<_>>(), count);
    }
}

/// `TestLostWakeStress`: a wake that is lost leaves a receiver asleep beside a message.
mod test_lost_wake_stress {
    use super::*;

    #[test]
    fn single_producer_random_delays() {
        let _watchdog = watchdog();
        for how in BOTH {
            let queues = Queues::default();
            let received = received(how, &queues, &["stress"], || {
                for number in 0..200 {
                    how.pause(&queues, "stress", 100 + random(4_900) as u64);
                    queues.send("stress", number).unwrap();
                }
            });
            assert_all_in_order(&received, 200);
        }
    }

    #[test]
    fn bursty_producer() {
        let _watchdog = watchdog();
        for how in BOTH {
            let queues = Queues::default();
            let received = received(how, &queues, &["burst"], || {
                for number in 0..10 * 50 {
                    if number % 50 == 0 {
                        how.pause(&queues, "burst", 20_000);
                    }
                    queues.send("burst", number).unwrap();
                }
            });
            assert_all_in_order(&received, 10 * 50);
        }
    }

    #[test]
    fn repeated_single_message_wake() {
        let _watchdog = watchdog();
        for how in BOTH {
            let queues = Queues::default();
            for number in 0..20 {
                let tag = format!("single {}", number % 2);
                let received = received(how, &queues, &[&tag], || {
                    how.pause(&queues, &tag, 1_000 + random(9_000) as u64);
                    queues.send(&tag, 0).unwrap();
                });
                assert_all_in_order(&received, 1);
                queues.set_tags(&[]).unwrap();
            }
        }
    }
}

/// `TestMultiTagBackoff`: what comes on one of several tags.
mod test_multi_tag_backoff {
    use super::*;

    #[test]
    fn second_tag_hit() {
        let _watchdog = watchdog();
        let queues = Queues::default();
        queues.send("b", 0).unwrap();
        assert_eq!(queues.receive(["a", "b"], millis(30_000)).unwrap().index, 1);
        for _ in 0..20 {
            let queues = Queues::default();
            let how = As::Parked(3);
            let received = received(how, &queues, &["a", "b"], || queues.send("b", 0).unwrap());
            assert_eq!(received.concat(), [(1, 0)]);
        }
    }

    #[test]
    fn delayed_arrival() {
        let _watchdog = watchdog();
        for how in BOTH {
            let queues = Queues::default();
            let tags = ["a", "b", "c"];
            let received = received(how, &queues, &tags, || {
                how.pause(&queues, "c", 50_000);
                queues.send("c", 0).unwrap();
            });
            assert_eq!(received.concat(), [(2, 0)]);
        }
    }

    #[test]
    fn per_tag_fifo_of_interleaved_messages() {
        let _watchdog = watchdog();
        for how in BOTH {
            let queues = Queues::default();
            let received = received(how, &queues, &["a", "b"], || {
                for number in 0..5 {
                    queues.send("a", of_producer(0, number)).unwrap();
                    queues.send("b", of_producer(1, number)).unwrap();
                }
            });
            assert_producers_in_order(&received, 2, 5);
            assert!(received.concat().iter().all(|&(tag, message)| tag as u32 == message >> 16));
        }
    }

    #[test]
    fn timeout_on_several_tags() {
        let queues = Queues::<u32>::default();
        let started = Instant::now();
        let timeout = queues.receive(["a", "b"], millis(50)).unwrap_err();
        assert_eq!(timeout, ReceiveError::Timeout);
        assert!(started.elapsed() >= Duration::from_millis(50));
    }

    #[test]
    fn interleaved_producers() {
        let _watchdog = watchdog();
        for how in BOTH {
            let (queues, tags) = (Queues::default(), ["a", "b", "c"]);
            let received = received(how, &queues, &tags, || {
                thread::scope(|scope| {
                    for (producer, tag) in (0..).zip(tags) {
                        let queues = &queues;
                        scope.spawn(move || {
                            for number in 0..100 {
                                queues.send(tag, of_producer(producer, number)).unwrap();
                            }
                        });
                    }
                });
            });
            assert_producers_in_order(&received, 3, 100);
        }
    }
}

/// `TestTimeoutAccuracy`. A deadline is never early. The machine may make it late, so that it only has to
/// be in time once.
mod test_timeout_accuracy {
    use super::*;

    /// The bound that bocpy's tests set.
    const LATE: Duration = Duration::from_millis(100);

    /// How long `wait` takes, at best.
    fn best(enough: Duration, wait: impl Fn()) -> Duration {
        let mut best = Duration::MAX;
        for _ in 0..50 {
            let started = Instant::now();
            wait();
            best = best.min(started.elapsed());
            if best <= enough {
                break;
            }
        }
        best
    }

    #[test]
    fn lower_and_upper_bound() {
        let _watchdog = watchdog();
        let queues = Queues::<u32>::default();
        for timeout in [50, 100, 200].map(Duration::from_millis) {
            for tags in [&["a"][..], &["a", "b"]] {
                let took = best(timeout + LATE, || {
                    let started = Instant::now();
                    let error = queues.receive(tags, Some(timeout)).unwrap_err();
                    assert_eq!(error, ReceiveError::Timeout);
                    assert!(started.elapsed() >= timeout, "too early");
                });
                assert!(took <= timeout + LATE, "{took:?} for {timeout:?}");
            }
        }
    }

    /// The same with messages that come to other receivers all the time.
    #[test]
    fn lower_and_upper_bound_beside_messages_for_others() {
        let _watchdog = watchdog();
        let queues = Queues::default();
        let timeout = Duration::from_millis(50);
        let others = received(As::Parked(2), &queues, &["b"], || {
            thread::scope(|scope| {
                let timed = scope.spawn(|| {
                    best(timeout + LATE, || {
                        let started = Instant::now();
                        _ = queues.receive(["a", "c"], Some(timeout)).unwrap_err();
                        assert!(started.elapsed() >= timeout, "too early");
                    })
                });
                while !timed.is_finished() {
                    let _ = queues.send("b", 0);
                }
                assert!(timed.join().unwrap() <= timeout + LATE);
            });
        });
        assert!(!others.concat().is_empty());
    }

    #[test]
    fn zero_timeout_immediacy() {
        let queues = Queues::<u32>::default();
        for tags in [&["a"][..], &["a", "b", "c", "d"]] {
            let enough = Duration::from_millis(10);
            let took = best(enough, || {
                assert_eq!(queues.receive(tags, NOW).unwrap_err(), ReceiveError::Timeout);
            });
            assert!(took <= enough, "{took:?}");
        }
    }
}

/// What else `test_message_queue.py` does with several threads.
mod test_message_queue {
    use super::*;

    #[test]
    fn fifo_of_5000() {
        let _watchdog = watchdog();
        for how in [As::There, As::Parked(1)] {
            let queues = Queues::default();
            let received = received(how, &queues, &["fifo"], || {
                (0..5_000).for_each(|number| queues.send("fifo", number).unwrap());
            });
            assert_all_in_order(&received, 5_000);
        }
    }

    fn producers(producers: u32, count: u32) {
        let _watchdog = watchdog();
        for how in BOTH {
            let queues = Queues::default();
            let received = received(how, &queues, &["many"], || {
                thread::scope(|scope| {
                    for producer in 0..producers {
                        let queues = &queues;
                        scope.spawn(move || {
                            for number in 0..count {
                                queues.send("many", of_producer(producer, number)).unwrap();
                            }
                        });
                    }
                });
            });
            assert_producers_in_order(&received, producers, count);
        }
    }

    #[test]
    fn eight_producers_of_200() {
        producers(8, 200);
    }

    #[test]
    fn four_producers_of_300_with_fifo_per_producer() {
        producers(4, 300);
    }

    #[test]
    fn twenty_set_tags_cycles() {
        let queues = Queues::default();
        for cycle in 0..20_u32 {
            let names = ["a".to_owned(), format!("of cycle {cycle}")];
            let names = names.each_ref().map(String::as_str);
            assert_eq!(queues.set_tags(&names).unwrap(), usize::from(cycle > 0));
            names.iter().for_each(|name| queues.send(name, cycle).unwrap());
            assert_eq!(queues.receive(names[1], NOW).unwrap().message, cycle);
            assert_eq!(
                queues.receive([names[1], names[1]], NOW).unwrap_err(),
                ReceiveError::Timeout
            );
        }
    }
}

/// What no test there does: the tags change, and are emptied, while receivers are parked on them.
mod while_parked {
    use super::*;

    /// Receivers of these tags, parked, that end at the first message.
    fn parked(queues: &Queues<u32>, count: usize, tags: &[&str], then: impl FnOnce()) -> Vec<u32> {
        thread::scope(|scope| {
            let receive = || queues.receive(tags, None).unwrap().message;
            let receivers: Vec<_> = (0..count).map(|_| scope.spawn(receive)).collect();
            tags.iter().for_each(|tag| wait_for_receivers(queues, tag, count));
            then();
            let mut messages: Vec<_> =
                receivers.into_iter().map(|receiver| receiver.join().unwrap()).collect();
            messages.sort_unstable();
            messages
        })
    }

    /// The receivers stay through all cycles, and are on the new queues after each.
    #[test]
    fn twenty_set_tags_cycles() {
        const COUNT: usize = 4;

        let _watchdog = watchdog();
        let queues = Queues::default();
        for tags in [&["a"][..], &["a", "b"]] {
            let messages = parked(&queues, COUNT, tags, || {
                for cycle in 0..20 {
                    // In another slot each time, or, without a fixed set, claimed again.
                    let names = [&["a", "b"][..], &["x", "b", "a"], &[], &["b", "y", "z", "a"]];
                    assert_eq!(queues.set_tags(names[cycle % 4]).unwrap(), 0);
                    if cycle % 3 > 0 {
                        tags.iter().for_each(|tag| wait_for_receivers(&queues, tag, COUNT));
                    }
                }
                for number in 0..COUNT {
                    let tag = tags[number % tags.len()];
                    queues.send(tag, number as u32).unwrap();
                }
            });
            assert!(messages.into_iter().eq(0..COUNT as u32));
        }
    }

    /// A message that is drained is gone; receivers that its sender has woken park again.
    #[test]
    fn drain() {
        const COUNT: usize = 3;

        let _watchdog = watchdog();
        let queues = Queues::default();
        for tags in [&["a"][..], &["a", "b"]] {
            let messages = parked(&queues, COUNT, tags, || {
                for _ in 0..200 {
                    assert_eq!(queues.drain(tags), 0);
                    assert!(tags.iter().all(|tag| receivers(&queues, tag) == COUNT));
                }
                let mut received = 0;
                while received < COUNT {
                    queues.send(tags[0], 7).unwrap();
                    received += 1 - queues.drain(tags);
                    wait_until(|| receivers(&queues, tags[0]) == COUNT - received);
                }
            });
            assert_eq!(messages, [7; COUNT]);
        }
    }
}
