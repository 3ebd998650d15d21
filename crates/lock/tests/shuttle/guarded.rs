use std::time::Duration;

use pysync_lock::guarded::{Mutex, OnceCell, RwLock, SeqLock};
use pysync_testing::model::TryOut;

#[derive(Default)]
struct Shared {
    total: Mutex<usize>,
    pair: RwLock<(usize, usize)>,
    point: SeqLock<[usize; 3]>,
    cell: OnceCell<usize>,
}

fn use_all(s: &Shared) {
    *s.total.lock() += 1;
    if let Some(mut total) = s.total.try_lock_for(Duration::from_millis(5)) {
        *total += 1;
    }
    {
        let mut pair = s.pair.write();
        pair.0 += 1;
        shuttle::thread::yield_now();
        pair.1 += 1;
    }
    let pair = s.pair.read();
    assert_eq!(pair.0, pair.1);
    drop(pair);
    let value = s.cell.get_or_try_init(|| if *s.total.lock() % 2 == 0 { Ok(7) } else { Err(()) });
    assert!(matches!(value, Ok(7) | Err(())));
    let [a, b, c] = s.point.read();
    assert!(a == b && b == c, "torn");
    s.point.write([a + 1; 3]);
}

#[test]
fn guarded_types_together() {
    TryOut::new("guarded types, 3 threads", 16_000).run(Shared::default, [use_all; 3], |shared| {
        assert!((3..=6).contains(&*shared.total.lock()));
        assert_eq!(*shared.pair.read(), (3, 3));
        let [a, b, c] = shared.point.read();
        assert!((1..=3).contains(&a) && a == b && b == c);
    });
}
