//! What the queues have to tell.

/// What one queue has seen and holds, at about the time of the call. See
/// [`Queues::stats`](super::Queues::stats).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStats {
    /// Its name.
    pub name: String,
    /// How many messages it holds.
    pub len: usize,
    /// How many it may hold.
    pub capacity: usize,
    /// How many have been sent since it has this name.
    pub sent: u64,
    /// How many of these have been received or drained.
    pub received: u64,
    /// How many attempts to send have found it full.
    pub full: u64,
    /// How many receivers are parked on it now, on other queues too maybe.
    pub parked_receivers: usize,
    /// How many senders are parked on it now, until there is room.
    pub parked_senders: usize,
    /// Whether it has been closed.
    pub is_closed: bool,
}
