use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use pysync_lock::OnceFlag;
use shuttle::sync::atomic::AtomicUsize;

use crate::try_out::{Section, run, try_out};

struct Shared {
    once: OnceFlag,
    section: Section,
    done: AtomicUsize,
}

fn shared() -> Arc<Shared> {
    Arc::new(Shared { once: OnceFlag::new(), section: Section::new(), done: AtomicUsize::new(0) })
}

fn succeed(s: &Shared) {
    let result = s.once.call_once(|| {
        s.section.enter();
        s.done.fetch_add(1, SeqCst);
        Ok::<(), ()>(())
    });
    assert_eq!(result, Ok(()));
    assert_eq!(s.done.load(SeqCst), 1);
}

fn fail(s: &Shared) {
    let result = s.once.call_once(|| {
        s.section.enter();
        Err(())
    });
    // Another's success is a success.
    assert!(result.is_err() || s.done.load(SeqCst) == 1);
}

#[test]
fn once_flag_is_done_once_whoever_fails() {
    try_out("once flag, 5 threads", 16_000, || {
        let shared = shared();
        run(&shared, [fail, succeed, fail, succeed, fail]);
        assert!(shared.once.is_initialized());
        assert!((1..=4).contains(&shared.section.entered()));
    });
}

#[test]
fn once_flag_many() {
    try_out("once flag, 12 threads", 2_000, || {
        let shared = shared();
        let mut bodies = [succeed as fn(&Shared); 12];
        bodies[1] = fail;
        bodies[6] = fail;
        run(&shared, bodies);
        assert_eq!(shared.done.load(SeqCst), 1);
    });
}
