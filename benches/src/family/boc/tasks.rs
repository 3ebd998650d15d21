//! Tasks of tokio that lock what they name, in the order of addresses, and wait without a thread.

use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Mutex, RwLock};

use super::engine::Engine;

pub(super) struct Tokio(pub(super) Runtime);

impl Tokio {
    #[inline]
    fn spawn(from: Option<&Self>, task: impl Future<Output = ()> + Send + 'static) {
        match from {
            None => drop(tokio::spawn(task)),
            Some(Self(runtime)) => drop(runtime.spawn(task)),
        }
    }
}

impl Engine for Tokio {
    const NAME: &'static str = "tokio";
    type Cown<T: Send + Sync + 'static> = Arc<Mutex<T>>;
    type Shared<T: Send + Sync + 'static> = Arc<RwLock<T>>;

    fn new(workers: usize) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(workers).build();
        Self(runtime.expect("threads for the runtime"))
    }

    fn cown<T: Send + Sync + 'static>(value: T) -> Self::Cown<T> {
        Arc::new(Mutex::new(value))
    }

    fn shared<T: Send + Sync + 'static>(value: T) -> Self::Shared<T> {
        Arc::new(RwLock::new(value))
    }

    #[inline]
    fn free(from: Option<&Self>, body: impl FnOnce() + Send + 'static) {
        Self::spawn(from, async move { body() });
    }

    #[inline]
    fn one<T: Send + Sync + 'static>(
        from: Option<&Self>,
        cown: Self::Cown<T>,
        body: impl FnOnce(&mut T) + Send + 'static,
    ) {
        Self::spawn(from, async move { body(&mut *cown.lock().await) });
    }

    #[inline]
    fn two<T: Send + Sync + 'static, U: Send + Sync + 'static>(
        from: Option<&Self>,
        (first, second): (Self::Cown<T>, Self::Cown<U>),
        body: impl FnOnce(&mut T, &mut U) + Send + 'static,
    ) {
        Self::spawn(from, async move {
            let (mut a, mut b);
            if Arc::as_ptr(&first).addr() < Arc::as_ptr(&second).addr() {
                a = first.lock().await;
                b = second.lock().await;
            } else {
                b = second.lock().await;
                a = first.lock().await;
            }
            body(&mut a, &mut b);
        });
    }

    #[inline]
    fn read<T: Send + Sync + 'static>(
        from: Option<&Self>,
        shared: Self::Shared<T>,
        body: impl FnOnce(&T) + Send + 'static,
    ) {
        Self::spawn(from, async move { body(&*shared.read().await) });
    }

    #[inline]
    fn write<T: Send + Sync + 'static>(
        from: Option<&Self>,
        shared: Self::Shared<T>,
        body: impl FnOnce(&mut T) + Send + 'static,
    ) {
        Self::spawn(from, async move { body(&mut *shared.write().await) });
    }
}
