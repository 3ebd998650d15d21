//! Threads that wait for each other to leave: the last one to be queued sees the others, one loses, and the others go on.

use pysync_monitor::attempt;
use pysync_testing::model::{Explore, Unlock};

use crate::shared::Monitors;

fn first_then_second(m: &Monitors) {
    m.ends.ended(m.enter_both(0, 1), 2);
}

fn second_then_first(m: &Monitors) {
    m.ends.ended(m.enter_both(1, 0), 2);
}

/// Of those that enter two monitors each: at most one has lost, and the values say who has not.
fn at_most_one_lost(m: &Monitors) {
    let [done, lost, _] = m.ends.all();
    assert!(lost <= 1 && done + lost == 2);
    m.are_left([done, done, 0]);
}

#[test]
fn of_two_that_wait_for_each_other_one_loses() {
    let bodies = [first_then_second, second_then_first];
    Explore::new("2 in opposite orders").bounded().run(Monitors::new, bodies, at_most_one_lost);
}

/// The wait of the one is for what it is handed, or woken for, while the other one comes.
#[test]
fn an_owner_leaves_while_it_is_followed() {
    fn first_and_then_both(m: &Monitors) {
        m.get(0).enter(|value| value.add_one()).unwrap();
        second_then_first(m);
    }
    for unlock in [Unlock::Wakes, Unlock::HandsOff] {
        let model = Explore::new("one leaves before it takes both").bounded().unlock(unlock);
        model.run(Monitors::new, [first_then_second, first_and_then_both], |m| {
            let [done, lost, _] = m.ends.all();
            assert!(lost <= 1 && done + lost == 2);
            m.are_left([done + 1, done, 0]);
        });
    }
}

/// A third thread leaves what the other two want, and is no part of their cycle.
#[test]
fn a_hand_off_beside_two_that_wait_for_each_other() {
    fn only_first(m: &Monitors) {
        m.get(0).enter(|value| value.add_one()).unwrap();
    }
    for unlock in [Unlock::Wakes, Unlock::HandsOff] {
        let model = Explore::new("2 in opposite orders, 1 that leaves").preemptions(2);
        let bodies = [first_then_second, second_then_first, only_first];
        model.unlock(unlock).run(Monitors::new, bodies, |m| {
            let [done, lost, _] = m.ends.all();
            assert!(lost <= 1 && done + lost == 2);
            m.are_left([done + 1, done, 0]);
        });
    }
}

/// The loser tries again and gets through, in a model in which it gives way to the other one for no time.
#[test]
fn a_loser_gets_through_at_its_next_try() {
    fn try_both(m: &Monitors, outer: usize, inner: usize) {
        let mut ages = Vec::new();
        let result = attempt(|| {
            let result = m.enter_both(outer, inner);
            if let Err(deadlock) = &result {
                m.ends.lost(deadlock, 2);
                ages.push(deadlock.cycle()[deadlock.victim()].age);
            }
            result
        });
        assert!(ages.iter().all(|age| *age == ages[0]), "an attempt keeps its age");
        m.ends.ended(result, 2);
    }
    let bodies = [|m: &Monitors| try_both(m, 0, 1), |m: &Monitors| try_both(m, 1, 0)];
    let model = Explore::new("2 in opposite orders, again").bounded();
    model.unlock(Unlock::HandsOff).run(Monitors::new, bodies, |m| {
        assert_eq!(m.ends.all()[0], 2);
        m.are_left([2, 2, 0]);
    });
}

/// What a loser leaves goes to the thread that waits there. It does not get it back before that thread has had it.
#[test]
fn a_loser_hands_over_what_it_leaves() {
    fn both_or_none(m: &Monitors, outer: usize, inner: usize) {
        let result = m.enter_both(outer, inner);
        if result.is_err() {
            let value = m.get(outer).try_enter(|value| value.get());
            assert!(value.is_none_or(|value| value == 1), "the loser was quicker");
        }
        m.ends.ended(result, 2);
    }
    let bodies = [|m: &Monitors| both_or_none(m, 0, 1), |m: &Monitors| both_or_none(m, 1, 0)];
    let model = Explore::new("2 in opposite orders, and the loser again").bounded();
    model.run(Monitors::new, bodies, at_most_one_lost);
}

#[test]
fn a_ring_of_three() {
    let bodies = [
        |m: &Monitors| m.ends.ended(m.enter_both(0, 1), 3),
        |m: &Monitors| m.ends.ended(m.enter_both(1, 2), 3),
        |m: &Monitors| m.ends.ended(m.enter_both(2, 0), 3),
    ];
    Explore::new("ring of 3").preemptions(2).run(Monitors::new, bodies, |m| {
        let [done, lost, _] = m.ends.all();
        assert!(lost <= 1 && done + lost == 3);
    });
}
