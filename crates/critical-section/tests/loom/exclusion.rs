//! Sections exclude each other, and threads that lock the mutex itself.

use super::*;

fn of_a(s: &Shared, _: &Attached) {
    s.a.section(nothing);
}

fn of_both(s: &Shared, _: &Attached) {
    s.section2(false, nothing);
}

fn of_both_swapped(s: &Shared, _: &Attached) {
    s.section2(true, nothing);
}

#[test]
fn one_mutex() {
    check("sections of one mutex, 2 threads", EXHAUSTIVE, [of_a, of_a], [4, 0]);
    check("sections of one mutex, 3 threads", Some(3), [of_a, of_a, of_a], [6, 0]);
}

#[test]
fn a_section_and_a_lock() {
    fn section(s: &Shared) {
        of_a(s, &ThreadState::attach());
    }
    fn lock(s: &Shared) {
        s.a.mutex.lock();
        s.a.data.add_one();
        s.a.mutex.unlock();
    }
    with_and_without_hand_offs("a section and a lock", EXHAUSTIVE, |model| {
        model.run(Shared::default, [section, lock], |s| s.assert([3, 0]));
    });
}

#[test]
fn two_mutexes_in_either_order() {
    let two: [Body; 2] = [of_both, of_both_swapped];
    check("sections of two mutexes, 2 threads", EXHAUSTIVE, two, [4, 4]);
    let three: [Body; 3] = [of_both, of_both_swapped, of_both];
    check("sections of two mutexes, 3 threads", Some(3), three, [6, 6]);
}

#[test]
fn one_and_two_mutexes() {
    check("sections of one and of two mutexes", EXHAUSTIVE, [of_both, of_a], [4, 2]);
}
