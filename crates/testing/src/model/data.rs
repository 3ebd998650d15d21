use pysync_platform::primitive::UnsafeCell;

/// A value that nothing protects: the checker reports two accesses that the code under test should
/// have kept apart.
///
/// loom reports a write and another access if nothing orders the two, wherever they lie in time.
/// shuttle takes every ordering for the strongest, so that there an access takes two steps, and two
/// accesses that overlap are reported.
#[derive(Debug, Default)]
pub struct Data<T = u32> {
    value: UnsafeCell<T>,
    watch: Watch,
}

// SAFETY: the checkers run one thread at a time, and switch threads only in their own operations;
// `value` is accessed in between. What the code under test fails to keep apart ends the execution.
unsafe impl<T: Send> Sync for Data<T> {}

impl<T> Data<T> {
    /// A value to watch.
    pub fn new(value: T) -> Self {
        Self { value: UnsafeCell::new(value), watch: Watch::default() }
    }

    /// Reads the value.
    pub fn get(&self) -> T
    where
        T: Copy,
    {
        // SAFETY: as for `Sync`.
        self.watch.read(|| self.value.with(|value| unsafe { *value }))
    }

    /// Writes the value.
    pub fn set(&self, new: T) {
        self.update(|value| *value = new);
    }

    /// Reads and writes the value, in one access.
    pub fn update(&self, change: impl FnOnce(&mut T)) {
        // SAFETY: as for `Sync`.
        self.watch.write(|| self.value.with_mut(|value| change(unsafe { &mut *value })));
    }
}

impl Data {
    /// Adds one, in one access.
    pub fn add_one(&self) {
        self.update(|value| *value += 1);
    }
}

/// loom's cell watches by itself.
#[cfg(pysync_loom)]
#[derive(Debug, Default)]
struct Watch(());

#[cfg(pysync_loom)]
impl Watch {
    fn read<R>(&self, access: impl FnOnce() -> R) -> R {
        access()
    }

    fn write<R>(&self, access: impl FnOnce() -> R) -> R {
        access()
    }
}

/// How many accesses are under way: one for each read, and [`WRITE`](Self::WRITE) for a write.
#[cfg(pysync_shuttle)]
#[derive(Debug, Default)]
struct Watch(shuttle::sync::atomic::AtomicUsize);

#[cfg(pysync_shuttle)]
impl Watch {
    const WRITE: usize = 1 << 16;

    fn read<R>(&self, access: impl FnOnce() -> R) -> R {
        self.watched(1, |others| others < Self::WRITE, access)
    }

    fn write<R>(&self, access: impl FnOnce() -> R) -> R {
        self.watched(Self::WRITE, |others| others == 0, access)
    }

    /// Each of the two operations on the atomic lets shuttle switch threads before it.
    #[track_caller]
    fn watched<R>(&self, own: usize, allows: fn(usize) -> bool, access: impl FnOnce() -> R) -> R {
        use shuttle::sync::atomic::Ordering::Relaxed;
        assert!(allows(self.0.fetch_add(own, Relaxed)), "two accesses at a time");
        let result = access();
        self.0.fetch_sub(own, Relaxed);
        result
    }
}

/// A place where only one thread at a time may be, which counts its visits.
#[derive(Debug, Default)]
pub struct Section(Data);

impl Section {
    /// Enters and leaves. The checker reports two threads that are inside at a time.
    pub fn enter(&self) {
        self.0.add_one();
    }

    /// How often a thread has been inside. Not to be called while one may be.
    pub fn entered(&self) -> u32 {
        self.0.get()
    }
}
