//! A thread as the owner of objects.
//!
//! Objects know their owner by its node. Nodes are never freed, so that a pointer to one may be followed at
//! any time. A later thread takes the node of one that has ended, once no object has that one for its owner
//! any more.

use std::cell::Cell;
use std::ptr;

use pysync_platform::primitive;
use pysync_platform::primitive::atomic::{
    AtomicBool, AtomicPtr, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use super::inbox::Inbox;
use crate::padded::Padded;
use crate::spread::Rows;

/// What a thread has for the objects that it owns, and for the spread ones that it touches.
pub(crate) struct Node {
    /// Where other threads put objects that the owner is to merge.
    pub(crate) inbox: Padded<Inbox>,
    /// The thread's counts of spread objects.
    pub(crate) rows: Padded<Rows>,
    /// How many objects have the node in their owner word, and are not merged. Changed by the owner while it
    /// is there, and else by who merges.
    owned: AtomicUsize,
    /// A thread has the node: set by it, cleared when it ends.
    is_taken: AtomicBool,
    /// The node that was made before this one. Written before this one is published.
    older: AtomicPtr<Node>,
}

/// All nodes, the youngest first. A node is never taken off.
struct Nodes {
    youngest: AtomicPtr<Node>,
}

// A thread that ends finds the list in its place, also while the destructors of thread locals run.
primitive::model_static! {
    static NODES: Nodes = Nodes::new()
}

impl Nodes {
    primitive::const_fn! {
        const fn new() -> Self {
            Self { youngest: AtomicPtr::new(ptr::null_mut()) }
        }
    }
}

/// How the calling thread stands to its node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It has none yet.
    Stranger,
    /// It acts as the owner of its objects.
    Here,
    /// It has one, and acts as any other thread.
    Away,
    /// It has given its node back, and gets no other one.
    Gone,
}

primitive::thread_local! {
    /// The node as whose owner the calling thread acts, or null.
    static ACTING: Cell<*const Node> = Cell::new(ptr::null())
}
primitive::thread_local! {
    /// The node that the calling thread has, or null.
    static MINE: Cell<(*const Node, Standing)> = Cell::new((ptr::null(), Standing::Stranger))
}

/// The node as whose owner the calling thread acts, or null. Objects are compared with it.
#[inline(always)]
pub(crate) fn acting() -> *const Node {
    ACTING.with(Cell::get)
}

/// The node as whose owner the calling thread acts, if it does.
#[inline(always)]
pub(crate) fn acting_node() -> Option<&'static Node> {
    // SAFETY: nodes are never freed.
    unsafe { acting().as_ref() }
}

/// The node as whose owner the calling thread acts, which it gets now if it has none yet; `None` if it is
/// away or about to end.
#[inline]
pub(crate) fn acting_or_new() -> Option<&'static Node> {
    match acting_node() {
        None => become_owner(),
        node => node,
    }
}

#[cold]
fn become_owner() -> Option<&'static Node> {
    if MINE.with(Cell::get).1 != Standing::Stranger || !end::is_heeded() {
        return None;
    }
    let node = Node::all().find(|node| node.try_take()).unwrap_or_else(Node::new);
    MINE.with(|mine| mine.set((node, Standing::Away)));
    come_back(node);
    Some(node)
}

impl Node {
    /// A node that the calling thread has taken.
    fn new() -> &'static Self {
        let node: &'static Self = Box::leak(Box::new(Self {
            inbox: Padded(Inbox::new()),
            rows: Padded(Rows::new()),
            owned: AtomicUsize::new(0),
            is_taken: AtomicBool::new(true),
            older: AtomicPtr::new(ptr::null_mut()),
        }));
        let mut youngest = NODES.youngest.load(Relaxed);
        loop {
            node.older.store(youngest, Relaxed);
            let new = ptr::from_ref(node).cast_mut();
            // Ordering: Release, of the node itself; pairs with the Acquire in `all`. A read-modify-write
            // carries on what was released before it.
            match NODES.youngest.compare_exchange(youngest, new, Release, Relaxed) {
                Ok(_) => return node,
                Err(actual) => youngest = actual,
            }
        }
    }

    /// All nodes that there are. One that is made meanwhile may be missing.
    pub(crate) fn all() -> impl Iterator<Item = &'static Self> {
        // Ordering: Acquire, as above.
        let mut next = NODES.youngest.load(Acquire);
        std::iter::from_fn(move || {
            // SAFETY: null or a node, which are never freed.
            let node: &'static Self = unsafe { next.as_ref() }?;
            next = node.older.load(Relaxed);
            Some(node)
        })
    }

    /// The node's thread has made an object.
    #[inline(always)]
    pub(super) fn owns_one_more(&self) {
        // Ordering: Relaxed, here and below. An object is known to who merges it, and once none is left the
        // number stays 0.
        self.owned.store(self.owned.load(Relaxed) + 1, Relaxed);
    }

    /// The node's thread has an object less, which was not merged.
    #[inline(always)]
    pub(super) fn owns_one_less(&self) {
        self.owned.store(self.owned.load(Relaxed) - 1, Relaxed);
    }

    /// An object is merged. The node's thread may be away, and others merge too.
    pub(super) fn has_merged_one(&self) {
        self.owned.fetch_sub(1, Relaxed);
    }

    fn try_take(&self) -> bool {
        // Ordering: Acquire pairs with the Release of `give_back`: the thread goes on with the rows of the
        // one before.
        !self.is_taken.load(Acquire)
            && self.owned.load(Relaxed) == 0
            && self.is_taken.compare_exchange(false, true, Acquire, Relaxed).is_ok()
    }

    fn give_back(&self) {
        // Ordering: Release, as above.
        self.is_taken.store(false, Release);
    }
}

/// The calling thread acts as the owner of `node`, which it has.
fn come_back(node: &'static Node) {
    node.inbox.open();
    ACTING.with(|acting| acting.set(node));
    MINE.with(|mine| mine.set((node, Standing::Here)));
}

/// The calling thread does not act as the owner of its objects any more, and merges what is in its inbox.
fn leave(node: &'static Node, standing: Standing) {
    ACTING.with(|acting| acting.set(ptr::null()));
    MINE.with(|mine| mine.set((node, standing)));
    node.inbox.close();
}

/// Whether the calling thread acts as the owner of a node.
pub(crate) fn is_here() -> bool {
    !acting().is_null()
}

/// Leaves the node; false if the thread did not act as the owner of one.
pub(crate) fn go_away() -> bool {
    let Some(node) = acting_node() else { return false };
    leave(node, Standing::Away);
    true
}

/// Undoes a [`go_away`] that returned true. Does nothing if the thread has come back already.
pub(crate) fn return_home() {
    if let (node, Standing::Away) = MINE.with(Cell::get) {
        // SAFETY: nodes are never freed.
        come_back(unsafe { &*node });
    }
}

/// Merges what is in the inbox of the calling thread, and drops what that leaves without a handle.
#[inline]
pub(crate) fn empty_inbox() {
    if let Some(node) = acting_node() {
        node.inbox.look();
    }
}

/// The calling thread, which acts as an owner, has an object less, which was not merged.
#[inline(always)]
pub(crate) fn lose_one() {
    if let Some(node) = acting_node() {
        node.owns_one_less();
    }
}

/// The calling thread ends.
fn end_of_thread() {
    let (node, standing) = MINE.with(Cell::get);
    // SAFETY: nodes are never freed.
    let Some(node) = (unsafe { node.as_ref() }) else { return };
    match standing {
        Standing::Here => leave(node, Standing::Gone),
        Standing::Away => MINE.with(|mine| mine.set((node, Standing::Gone))),
        Standing::Stranger | Standing::Gone => return,
    }
    crate::spread::test_all();
    node.give_back();
}

/// The child of a fork has one thread: all nodes but its own have lost theirs.
///
/// # Safety
/// The calling thread is the only one in the process.
pub(crate) unsafe fn after_fork() {
    let (mine, _) = MINE.with(Cell::get);
    for node in Node::all() {
        // SAFETY: the only thread, by contract.
        unsafe { node.inbox.after_fork() };
        if !ptr::eq(node, mine) {
            node.inbox.close();
            node.give_back();
        }
    }
}

#[cfg(not(any(pysync_loom, pysync_shuttle)))]
mod end {
    struct EndOfThread;

    impl Drop for EndOfThread {
        fn drop(&mut self) {
            super::end_of_thread();
        }
    }

    std::thread_local! { static END: EndOfThread = const { EndOfThread } }

    /// Whether the end of the calling thread will be noticed: not if it has been already.
    pub(super) fn is_heeded() -> bool {
        END.try_with(|_| ()).is_ok()
    }
}

#[cfg(any(pysync_loom, pysync_shuttle))]
pub(crate) mod end {
    /// Models say themselves when a thread ends.
    pub(super) fn is_heeded() -> bool {
        true
    }

    pub(crate) fn end_of_thread() {
        super::end_of_thread();
    }
}
