//! Behaviours over cowns.

use pysync_boc::{Cown, Runtime, fire, read, when};

use super::engine::Engine;

/// `OUTCOME`: each behaviour has an outcome, which is dropped at once.
pub(super) struct Ours<const OUTCOME: bool>(pub(super) Runtime);

/// Asks on the engine's runtime, or on that of the behaviour that runs.
macro_rules! ask {
    ($from:expr, $cowns:expr, $body:expr) => {
        match $from {
            None if OUTCOME => drop(when($cowns, $body)),
            None => _ = fire($cowns, $body),
            Some(Self(runtime)) if OUTCOME => drop(runtime.when($cowns, $body)),
            Some(Self(runtime)) => _ = runtime.fire($cowns, $body),
        }
    };
}

impl<const OUTCOME: bool> Engine for Ours<OUTCOME> {
    const NAME: &'static str = if OUTCOME { "pysync when" } else { "pysync" };
    type Cown<T: Send + Sync + 'static> = Cown<T>;
    type Shared<T: Send + Sync + 'static> = Cown<T>;

    fn new(workers: usize) -> Self {
        Self(Runtime::builder().workers(workers).build().expect("threads for the workers"))
    }

    fn cown<T: Send + Sync + 'static>(value: T) -> Cown<T> {
        Cown::new(value)
    }

    fn shared<T: Send + Sync + 'static>(value: T) -> Cown<T> {
        Cown::new(value)
    }

    #[inline]
    fn free(from: Option<&Self>, body: impl FnOnce() + Send + 'static) {
        ask!(from, (), move |()| body());
    }

    #[inline]
    fn one<T: Send + Sync + 'static>(
        from: Option<&Self>,
        cown: Cown<T>,
        body: impl FnOnce(&mut T) + Send + 'static,
    ) {
        ask!(from, cown, body);
    }

    #[inline]
    fn two<T: Send + Sync + 'static, U: Send + Sync + 'static>(
        from: Option<&Self>,
        cowns: (Cown<T>, Cown<U>),
        body: impl FnOnce(&mut T, &mut U) + Send + 'static,
    ) {
        ask!(from, cowns, move |(a, b): (&mut T, &mut U)| body(a, b));
    }

    #[inline]
    fn read<T: Send + Sync + 'static>(
        from: Option<&Self>,
        shared: Cown<T>,
        body: impl FnOnce(&T) + Send + 'static,
    ) {
        ask!(from, read(&shared), body);
    }

    #[inline]
    fn write<T: Send + Sync + 'static>(
        from: Option<&Self>,
        shared: Cown<T>,
        body: impl FnOnce(&mut T) + Send + 'static,
    ) {
        Self::one(from, shared, body);
    }
}
