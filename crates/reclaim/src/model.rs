//! What models need besides.

use std::sync::Arc;

use pysync_platform::{Deadline, Native};

use crate::finalize::queue;
use crate::shared::header::Header;
use crate::shared::node;
use crate::{Drained, Finalize, Finalized, Spread};

/// The calling thread ends: another one may take its node.
pub fn end_of_thread() {
    node::end::end_of_thread();
}

/// Whether each thread counts the handles of the object in its row.
pub fn is_spread<T: Send + Sync>(base: &Spread<T>) -> bool {
    // SAFETY: the base is a handle.
    unsafe { Header::of(base.header()) }.is_spread()
}

/// A finalizer whose thread is one of the model.
#[derive(Clone)]
pub struct Queue(Arc<queue::Queue>);

#[allow(missing_docs, clippy::new_without_default)]
impl Queue {
    pub fn new() -> Self {
        Self(Arc::new(queue::Queue::new()))
    }

    /// Is the thread until the queue is closed.
    pub fn work(&self) {
        self.0.work();
    }

    pub fn finalized<C: Finalize>(&self, core: C) -> Finalized<C> {
        Finalized::in_queue(&self.0, core)
    }

    pub fn drain(&self, deadline: Deadline) -> Drained {
        self.0.drain::<Native>(deadline)
    }

    pub fn close(&self) {
        self.0.close();
    }

    pub fn queued(&self) -> usize {
        self.0.queued()
    }
}
