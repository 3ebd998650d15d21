//! The nodes of all threads: one for each thread that has entered a monitor, used again when it has ended.

use std::cell::Cell;
use std::ptr;

use pysync_platform::primitive;

use crate::node::Node;
use crate::scope;

primitive::thread_local! {
    static CURRENT: Cell<*const Node> = Cell::new(ptr::null())
}

primitive::thread_local! {
    /// The node that is hidden while the thread waits, or null.
    static HIDDEN: Cell<*const Node> = Cell::new(ptr::null())
}

primitive::thread_local! {
    /// The thread evaluates a condition.
    static EVALUATES: Cell<bool> = Cell::new(false)
}

/// The node of the calling thread.
///
/// # Panics
/// In a condition.
#[inline]
pub(crate) fn current() -> &'static Node {
    let node = CURRENT.with(Cell::get);
    // SAFETY: nodes are never freed.
    match unsafe { node.as_ref() } {
        Some(node) => node,
        None => take(),
    }
}

#[cold]
#[track_caller]
fn take() -> &'static Node {
    assert!(!EVALUATES.with(Cell::get), "a condition must not enter a monitor");
    let node = reserve();
    adopt(node);
    // SAFETY: nodes are never freed.
    if let Some(outer) = unsafe { HIDDEN.with(Cell::get).as_ref() } {
        scope::nest(outer, node);
    }
    node
}

/// While this is there, the node of the calling thread is hidden from code that is not ours. A node has room for one wait,
/// and walkers read what a thread that waits is inside of.
pub(crate) struct Hidden {
    node: *const Node,
    /// What was hidden before.
    outer: *const Node,
    evaluates: bool,
}

impl Hidden {
    /// The thread is about to wait. A hook of its runtime, or a subscriber to events, that enters a monitor meanwhile does
    /// so as another thread, which is cancelled with this one.
    pub(crate) fn while_waiting() -> Self {
        let evaluates = EVALUATES.with(Cell::get);
        let node = CURRENT.with(|current| current.replace(ptr::null()));
        Self { node, outer: HIDDEN.with(|hidden| hidden.replace(node)), evaluates }
    }

    /// The thread is about to evaluate a condition, which cannot enter.
    pub(crate) fn while_evaluating() -> Self {
        let evaluates = EVALUATES.with(|evaluates| evaluates.replace(true));
        let node = CURRENT.with(|current| current.replace(ptr::null()));
        Self { node, outer: HIDDEN.with(Cell::get), evaluates }
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        EVALUATES.with(|evaluates| evaluates.set(self.evaluates));
        HIDDEN.with(|hidden| hidden.set(self.outer));
        let other = CURRENT.with(|current| current.replace(self.node));
        // SAFETY: nodes are never freed.
        let (node, other) = unsafe { (self.node.as_ref(), other.as_ref()) };
        if let Some(other) = other {
            node.into_iter().for_each(|node| scope::unnest(node, other));
            give_back(other);
        }
    }
}

/// A node for a thread that has none yet. Allocates, if there is none of a thread that has ended.
pub(crate) fn reserve() -> &'static Node {
    registry::take_free().unwrap_or_else(|| {
        let node: &'static Node = Box::leak(Box::new(Node::new()));
        registry::add(node);
        node
    })
}

/// Takes back a node that no thread uses.
pub(crate) fn give_back(node: &'static Node) {
    registry::give_back(node);
}

/// The calling thread, which has none, takes a node. It gives the node back when it ends.
pub(crate) fn adopt(node: &'static Node) {
    #[cfg(not(any(pysync_loom, pysync_shuttle)))]
    {
        struct GiveBack;
        impl Drop for GiveBack {
            fn drop(&mut self) {
                let node = CURRENT.with(|current| current.replace(ptr::null()));
                // SAFETY: nodes are never freed.
                if let Some(node) = unsafe { node.as_ref() } {
                    give_back(node);
                }
            }
        }
        std::thread_local! { static GIVE_BACK: GiveBack = const { GiveBack } }
        // A thread that is about to end may come here again. Its node stays taken.
        _ = GIVE_BACK.try_with(|_| ());
    }
    node.begin();
    CURRENT.with(|current| current.set(node));
}

pub(crate) use registry::{after_fork, all, count};

#[cfg(not(any(pysync_loom, pysync_shuttle)))]
mod registry {
    use std::cell::Cell;
    use std::ptr;

    use pysync_platform::primitive::plain::{
        AtomicPtr, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release},
    };

    use crate::global::GlobalLock;
    use crate::node::Node;

    /// The node that was made last, from which each leads to the one before. None is ever taken out.
    static ALL: AtomicPtr<Node> = AtomicPtr::new(ptr::null_mut());
    static COUNT: AtomicUsize = AtomicUsize::new(0);

    /// The nodes of threads that have ended, one leading to the next.
    struct Free {
        lock: GlobalLock,
        first: Cell<*const Node>,
    }
    // SAFETY: the list is accessed with the lock, and nodes are for all threads.
    unsafe impl Sync for Free {}
    static FREE: Free = Free { lock: GlobalLock::new(), first: Cell::new(ptr::null()) };

    pub(super) fn take_free() -> Option<&'static Node> {
        FREE.lock.with(|| {
            // SAFETY: nodes are never freed.
            let first = unsafe { FREE.first.get().as_ref() }?;
            FREE.first.set(first.links.next_free.replace(ptr::null()));
            Some(first)
        })
    }

    pub(super) fn give_back(node: &'static Node) {
        FREE.lock.with(|| node.links.next_free.set(FREE.first.replace(node)));
    }

    pub(super) fn add(node: &'static Node) {
        COUNT.fetch_add(1, Relaxed);
        let this = ptr::from_ref(node).cast_mut();
        let mut first = ALL.load(Relaxed);
        loop {
            node.links.next.set(first);
            // Ordering: Release of the node; pairs with the Acquire of `all`.
            match ALL.compare_exchange_weak(first, this, Release, Relaxed) {
                Ok(_) => return,
                Err(actual) => first = actual,
            }
        }
    }

    /// All nodes, also those without a thread.
    pub(crate) fn all() -> impl Iterator<Item = &'static Node> {
        // SAFETY: nodes are never freed.
        let node = |node: *const Node| unsafe { node.as_ref() };
        std::iter::successors(node(ALL.load(Acquire)), move |it| node(it.links.next.get()))
    }

    /// How many there are.
    pub(crate) fn count() -> usize {
        COUNT.load(Relaxed)
    }

    /// Forgets what other threads waited for. Their nodes are not used again, since monitors may still name them.
    ///
    /// # Safety
    /// The calling thread is the only one in the process.
    pub(crate) unsafe fn after_fork() {
        // SAFETY: by contract.
        unsafe { FREE.lock.after_fork() };
        FREE.first.set(ptr::null());
        let me = super::current();
        all().filter(|node| !ptr::eq(*node, me)).for_each(Node::forget);
    }
}

/// A model's atomics are those of one execution, and no node is used in the next.
#[cfg(any(pysync_loom, pysync_shuttle))]
mod registry {
    use crate::node::Node;

    pub(super) fn take_free() -> Option<&'static Node> {
        None
    }

    pub(super) fn give_back(_: &'static Node) {}

    pub(super) fn add(_: &'static Node) {}

    pub(crate) fn all() -> impl Iterator<Item = &'static Node> {
        std::iter::empty()
    }

    /// More than a model has threads.
    pub(crate) fn count() -> usize {
        16
    }

    pub(crate) unsafe fn after_fork() {}
}
