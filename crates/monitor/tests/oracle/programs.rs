//! What the threads do: transfers between accounts that are entered in random orders.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use pysync_monitor::{
    AsDeadlock, Condition, Deadlock, EnterError, Inside, Monitor, Stopped, attempt, branch,
};

use crate::recorder::{Cycle, Event, Log, Place, Task};

const NAMES: [&str; 16] =
    ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"];

/// How much of what there is: the last ones in percent.
pub(crate) struct Shape {
    pub(crate) threads: usize,
    pub(crate) monitors: usize,
    pub(crate) attempts: usize,
    pub(crate) is_repeated: bool,
    pub(crate) timed: usize,
    pub(crate) leaves: usize,
    pub(crate) waits: usize,
    pub(crate) yields: usize,
    pub(crate) joins: usize,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            threads: 2,
            monitors: 2,
            attempts: 20,
            is_repeated: true,
            timed: 0,
            leaves: 0,
            waits: 0,
            yields: 10,
            joins: 0,
        }
    }
}

/// What has happened in one run.
pub(crate) struct Ran {
    pub(crate) logs: Vec<Log>,
    /// What is in the accounts in the end.
    pub(crate) balances: Vec<i64>,
    pub(crate) has_ages: bool,
}

/// The value of a monitor.
#[derive(Default)]
struct Account {
    balance: i64,
    /// What a thread waits for here. A feeder makes them, and each wait takes one.
    tokens: usize,
    /// The feeder is to end.
    is_over: bool,
}

impl Account {
    fn has_token(&self) -> bool {
        self.tokens > 0
    }
}

static HAS_TOKEN: Condition<Account> = Condition::new("a token", Account::has_token);

/// Numbers that look random, the same for the same seed.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end
    }

    fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// What a thread does inside of one account before it enters the next.
#[derive(Clone, Copy, PartialEq)]
enum Act {
    Nothing,
    Yield,
    Leave,
    /// For a closure of its own.
    Wait,
    /// For the condition that others wait for as well.
    WaitShared,
    WaitFor(Duration),
}

impl Act {
    fn takes_token(self) -> bool {
        matches!(self, Self::Wait | Self::WaitShared | Self::WaitFor(_))
    }
}

struct Step {
    place: Place,
    /// Enters for a time only.
    timeout: Option<Duration>,
    act: Act,
    change: i64,
}

/// A transfer.
struct Plan {
    steps: Vec<Step>,
    /// What threads do that are joined inside of all the accounts.
    children: Vec<Plan>,
}

impl Plan {
    fn new(shape: &Shape, random: &mut Random, is_child: bool) -> Self {
        let mut places: Vec<Place> = (0..shape.monitors).collect();
        for at in (1..places.len()).rev() {
            places.swap(at, random.below(at + 1));
        }
        places.truncate(if is_child { 1 + random.below(2) } else { 2 + random.below(4) });
        let mut steps: Vec<Step> = places
            .into_iter()
            .map(|place| {
                // A short time runs out now and then, and a long one is there to be lost.
                let time = |random: &mut Random| match random.below(2) {
                    0 => Duration::from_micros(random.below(2_000) as u64),
                    _ => Duration::from_secs(3_600),
                };
                let timeout = random.percent(shape.timed).then(|| time(random));
                let act = match () {
                    () if random.percent(shape.waits) => match random.below(3) {
                        0 => Act::WaitFor(time(random)),
                        1 => Act::WaitShared,
                        _ => Act::Wait,
                    },
                    () if random.percent(shape.leaves) => Act::Leave,
                    () if random.percent(shape.yields) => Act::Yield,
                    () => Act::Nothing,
                };
                Step { place, timeout, act, change: random.below(100) as i64 }
            })
            .collect();
        steps[0].change = -steps[1..].iter().map(|step| step.change).sum::<i64>();
        let mut children = Vec::new();
        if !is_child && random.percent(shape.joins) {
            let count = 1 + random.below(3);
            children.extend((0..count).map(|_| Self::new(shape, random, true)));
        }
        Self { steps, children }
    }
}

/// Why an attempt has ended without its transfer.
#[derive(Debug)]
enum Stop {
    Deadlock(Deadlock),
    /// The thread has lost, which it has not noted yet.
    New(Deadlock),
    GaveUp,
    /// A child has failed.
    Joined,
}

impl From<Deadlock> for Stop {
    fn from(deadlock: Deadlock) -> Self {
        Self::New(deadlock)
    }
}

impl AsDeadlock for Stop {
    fn as_deadlock(&self) -> Option<&Deadlock> {
        match self {
            Self::Deadlock(deadlock) => Some(deadlock),
            _ => None,
        }
    }
}

struct World {
    monitors: Vec<Monitor<Account>>,
    tasks: AtomicUsize,
    logs: Mutex<Vec<Log>>,
    is_repeated: bool,
}

impl World {
    fn task(&self) -> Task {
        self.tasks.fetch_add(1, SeqCst)
    }

    /// Makes one transfer.
    fn transfer(&self, plan: &Plan, log: &mut Log) -> Result<(), Stop> {
        log.note(Event::Begins);
        if !self.is_repeated {
            return Enters { world: self, plan, log, read: Vec::new() }.from(0);
        }
        let result = attempt(|| Enters { world: self, plan, log, read: Vec::new() }.from(0));
        if let Err(Stop::Deadlock(deadlock)) = &result {
            assert!(deadlock.has_join(), "it would have been repeated");
        }
        result
    }

    fn keep(&self, mut log: Log) {
        log.note(Event::Ends);
        self.logs.lock().unwrap().push(log);
    }
}

/// A try of a transfer.
struct Enters<'a> {
    world: &'a World,
    plan: &'a Plan,
    log: &'a mut Log,
    /// What was in the accounts that the thread is inside of.
    read: Vec<i64>,
}

impl<'a> Enters<'a> {
    fn lost(&mut self, deadlock: Deadlock) -> Stop {
        self.log.note(Event::Lost(Cycle::of(&deadlock)));
        Stop::Deadlock(deadlock)
    }

    fn gave_up(&mut self) -> Stop {
        self.log.note(Event::GaveUp);
        Stop::GaveUp
    }

    /// Enters the account of this step, and from there the others.
    fn from(&mut self, index: usize) -> Result<(), Stop> {
        let plan = self.plan;
        let Some(step) = plan.steps.get(index) else { return self.inside_of_all() };
        let (place, monitor) = (step.place, &self.world.monitors[step.place]);
        self.log.note(Event::Wants(place));
        match step.timeout {
            None => match monitor.with(|inside| self.inside(index, inside)) {
                Err(Stop::New(deadlock)) => Err(self.lost(deadlock)),
                result => result,
            },
            Some(time) => match monitor.enter_for(time, |inside| self.inside(index, inside)) {
                Ok(result) => result,
                Err(EnterError::Deadlock(deadlock)) => Err(self.lost(deadlock)),
                Err(EnterError::Timeout) => Err(self.gave_up()),
                Err(EnterError::Interrupted) => unreachable!("no flag asks for it"),
            },
        }
    }

    fn inside(&mut self, index: usize, inside: Inside<'_, Account>) -> Result<(), Stop> {
        let step = &self.plan.steps[index];
        self.log.note(Event::Got(step.place));
        let mut inside = self.act(step, inside)?;
        self.read.push(inside.balance);
        let (change, taken) = (step.change, usize::from(step.act.takes_token()));
        let write = move |account: &mut Account| {
            account.balance += change;
            account.tokens -= taken;
        };
        let is_undone = step.timeout.is_none();
        if is_undone {
            write(&mut inside);
            inside.undo(move |account| {
                account.balance -= change;
                account.tokens += taken;
            });
        }
        let result = self.from(index + 1);
        if result.is_ok() && !is_undone {
            // All that could fail is over.
            write(&mut inside);
        }
        self.log.note(Event::Leaves(step.place));
        result
    }

    fn act<'m>(
        &mut self,
        step: &Step,
        inside: Inside<'m, Account>,
    ) -> Result<Inside<'m, Account>, Stop> {
        let place = step.place;
        match step.act {
            Act::Yield => thread::yield_now(),
            Act::Leave => {
                self.log.note(Event::Leaves(place));
                let left = inside.leave(|| {
                    thread::yield_now();
                    self.log.note(Event::Wants(place));
                });
                let (inside, ()) = left.map_err(|deadlock| self.lost(deadlock))?;
                self.log.note(Event::Got(place));
                return Ok(inside);
            }
            act if act.takes_token() && !inside.has_token() => return self.wait(step, inside),
            // It has what it would wait for, and stays inside.
            Act::Wait => {
                let waited = inside.wait_until(Account::has_token);
                return Ok(waited.expect("true at once"));
            }
            _ => {}
        }
        Ok(inside)
    }

    /// Waits for a token, of which there is none.
    fn wait<'m>(
        &mut self,
        step: &Step,
        inside: Inside<'m, Account>,
    ) -> Result<Inside<'m, Account>, Stop> {
        self.log.note(Event::Waits(step.place));
        let waited = match step.act {
            Act::WaitFor(time) => inside.wait_until_for(time, Account::has_token),
            Act::WaitShared => inside.wait_for(&HAS_TOKEN).map(|inside| (inside, true)),
            _ => inside.wait_until(Account::has_token).map(|inside| (inside, true)),
        };
        let (inside, is_true) = waited.map_err(|stopped| match stopped {
            Stopped::Deadlock(deadlock) => self.lost(deadlock),
            Stopped::Cancelled(_) => {
                self.log.note(Event::Cancelled);
                Stop::GaveUp
            }
            Stopped::Interrupted => unreachable!("no flag asks for it"),
        })?;
        self.log.note(Event::Got(step.place));
        assert_eq!(is_true, inside.has_token(), "a condition is as it is said to be on return");
        if is_true {
            return Ok(inside);
        }
        self.log.note(Event::StillFalse);
        self.log.note(Event::Leaves(step.place));
        Err(Stop::GaveUp)
    }

    fn inside_of_all(&mut self) -> Result<(), Stop> {
        let (world, plan) = (self.world, self.plan);
        if !plan.children.is_empty() {
            let joined = branch(|b| {
                let tasks = plan.children.iter().map(|plan| {
                    let task = world.task();
                    b.spawn(move || {
                        let mut log = Log::new(task);
                        let result = world.transfer(plan, &mut log);
                        world.keep(log);
                        result
                    });
                    task
                });
                let tasks = tasks.collect();
                self.log.note(Event::Joins(tasks));
                Ok::<_, Stop>(())
            });
            self.log.note(Event::Joined);
            joined.map_err(|_| Stop::Joined)?;
        }
        let writes = plan.steps.iter().zip(&self.read);
        let writes = writes.map(|(step, read)| (step.place, *read, step.change));
        self.log.note(Event::Commits(writes.collect()));
        Ok(())
    }
}

/// Makes a token in an account whenever there is none, until it is told to end. It is inside of nothing else, so that
/// it always gets on.
fn feed(monitor: &Monitor<Account>) {
    let token = |inside: Inside<'_, Account>| {
        let inside = inside.wait_until(|account| account.is_over || account.tokens == 0)?;
        // Others find that there is none, and wait.
        let (mut inside, ()) = inside.leave(|| (0..3).for_each(|_| thread::yield_now()))?;
        inside.tokens += 1;
        Ok::<_, Stopped>(inside.is_over)
    };
    while !monitor.with(token).expect("it has nothing to lose") {}
}

pub(crate) fn run(shape: &Shape, seed: u64) -> Ran {
    let world = World {
        monitors: NAMES[..shape.monitors]
            .iter()
            .map(|name| Monitor::named(name, Account::default()))
            .collect(),
        tasks: AtomicUsize::new(0),
        logs: Mutex::default(),
        is_repeated: shape.is_repeated,
    };
    thread::scope(|scope| {
        let world = &world;
        let fed = &world.monitors[..if shape.waits > 0 { shape.monitors } else { 0 }];
        let feeders: Vec<_> = fed.iter().map(|monitor| scope.spawn(|| feed(monitor))).collect();
        let threads: Vec<_> = (0..shape.threads)
            .map(|id| {
                scope.spawn(move || {
                    let mut random = Random::new(seed.wrapping_mul(1_000) + id as u64);
                    let mut log = Log::new(world.task());
                    for _ in 0..shape.attempts {
                        let plan = Plan::new(shape, &mut random, false);
                        _ = world.transfer(&plan, &mut log);
                    }
                    world.keep(log);
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let end = |monitor: &Monitor<Account>| monitor.enter(|mut account| account.is_over = true);
        fed.iter().for_each(|monitor| end(monitor).unwrap());
        feeders.into_iter().for_each(|feeder| feeder.join().unwrap());
    });
    let balance = |monitor: &Monitor<Account>| monitor.try_enter(|account| account.balance);
    let balances = world.monitors.iter().map(|monitor| balance(monitor).expect("it is free"));
    Ran {
        balances: balances.collect(),
        logs: world.logs.into_inner().unwrap(),
        has_ages: shape.is_repeated,
    }
}
