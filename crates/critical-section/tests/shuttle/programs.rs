//! Programs of random steps.

use shuttle::rand::{Rng, thread_rng};

use super::*;

fn steps(s: &Shared, attached: &Attached, depth: u32) {
    let mut random = thread_rng();
    let a = &s.objects[random.gen_range(0..3)];
    let b = &s.objects[random.gen_range(0..3)];
    let inner = || {
        if depth > 0 {
            steps(s, attached, depth - 1);
        }
    };
    match random.gen_range(0..5) {
        0 | 1 => critical_section(&a.mutex, || {
            a.add_one();
            inner();
            assert_held(&a.mutex);
            assert!(a.mutex.is_locked());
        }),
        2 => critical_section2(&a.mutex, &b.mutex, || {
            b.add_one();
            inner();
            assert!(a.mutex.is_locked() && b.mutex.is_locked());
        }),
        3 => {
            attached.detached(thread::yield_now);
            inner();
        }
        _ => {
            s.plain.lock();
            thread::yield_now();
            s.plain.unlock();
            inner();
        }
    }
}

#[test]
fn random_programs() {
    let program: Body = |s, attached| steps(s, attached, 4);
    try_out("random programs").run_in(
        Shared::default,
        attached,
        [program; 3],
        Shared::assert_unlocked,
    );
}
