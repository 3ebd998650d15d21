use std::sync::atomic::Ordering::SeqCst;

use pysync_lock::OnceFlag;
use pysync_testing::model::{Section, TryOut};
use shuttle::sync::atomic::AtomicUsize;

#[derive(Default)]
struct Shared {
    once: OnceFlag,
    section: Section,
    done: AtomicUsize,
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
    let bodies = [fail, succeed, fail, succeed, fail];
    TryOut::new("once flag, 5 threads", 32_000).run(Shared::default, bodies, |s| {
        assert!(s.once.is_initialized());
        assert!((1..=4).contains(&s.section.entered()));
    });
}

#[test]
fn once_flag_many() {
    let mut bodies = [succeed as fn(&Shared); 12];
    bodies[1] = fail;
    bodies[6] = fail;
    TryOut::new("once flag, 12 threads", 4_000).run(Shared::default, bodies, |s| {
        assert_eq!(s.done.load(SeqCst), 1);
    });
}
