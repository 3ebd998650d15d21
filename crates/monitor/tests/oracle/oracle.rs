//! Replays what the threads have noted into a plain graph, and judges it.
//!
//! (a) Every attempt has ended, and every thread with it. (b) Each abort names a cycle that was there at some moment
//! between the victim's want and its abort, and the victim is its youngest. (c) Each cycle of the replay ends by a wait
//! that is lost or given up, soon after its last edge. (d) The oldest is never aborted, but for cycles through a join; and
//! an attempt keeps its age for as long as it is tried. (e) The values are as if the attempts had run one by one.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::Counts;
use crate::programs::Ran;
use crate::recorder::{Cycle, Event, Log, Note, Place, Task, Told};

const SOON: Duration = Duration::from_millis(50);

/// What a thread waits for.
#[derive(Clone, Debug)]
enum For {
    Place(Place),
    /// And then to enter again, if it has a deadline.
    Condition(Place),
    Threads(Vec<Task>),
}

impl For {
    fn place(&self) -> Option<Place> {
        match self {
            Self::Place(place) | Self::Condition(place) => Some(*place),
            Self::Threads(_) => None,
        }
    }
}

/// When a thread waited, and what it was inside of.
#[derive(Debug)]
struct Wait {
    is_for: For,
    holds: Vec<Place>,
    /// The number of the attempt of this thread.
    attempt: usize,
    from: usize,
    to: usize,
}

/// A thread in the replay.
#[derive(Debug, Default)]
struct Thread {
    holds: Vec<Place>,
    attempt: usize,
    waits: Vec<Wait>,
    is_waiting: bool,
    since: Option<Instant>,
    has_begun: bool,
    has_ended: bool,
}

impl Thread {
    fn begin_wait(&mut self, note: &Note, is_for: For) {
        assert!(!self.is_waiting, "one wait at a time");
        let (holds, attempt) = (self.holds.clone(), self.attempt);
        self.waits.push(Wait { is_for, holds, attempt, from: note.at, to: usize::MAX });
        (self.is_waiting, self.since) = (true, Some(note.when));
    }

    fn end_wait(&mut self, note: &Note) {
        assert!(self.is_waiting, "it waits");
        self.waits.last_mut().unwrap().to = note.at;
        self.is_waiting = false;
    }

    fn is_for(&self) -> Option<&For> {
        self.waits.last().filter(|_| self.is_waiting).map(|wait| &wait.is_for)
    }

    fn leave(&mut self, place: Place) {
        assert_eq!(self.holds.pop(), Some(place), "what is left is the innermost");
    }
}

/// A cycle of the replay that has not ended.
struct Open {
    /// The thread whose wait has closed it, and since when.
    closer: Task,
    since: Instant,
    threads: Vec<Task>,
}

#[derive(Default)]
struct Replay {
    threads: HashMap<Task, Thread>,
    /// Who is inside.
    owners: HashMap<Place, Task>,
    open: Vec<Open>,
    slowest: Duration,
    slow: usize,
    cycles: usize,
}

impl Replay {
    fn next(&self, task: Task) -> Vec<Task> {
        match self.threads.get(&task).and_then(Thread::is_for) {
            None => Vec::new(),
            Some(For::Place(place) | For::Condition(place)) => {
                self.owners.get(place).copied().filter(|owner| *owner != task).into_iter().collect()
            }
            Some(For::Threads(tasks)) => {
                let runs = |task: &&Task| {
                    self.threads.get(task).is_some_and(|it| it.has_begun && !it.has_ended)
                };
                tasks.iter().filter(runs).copied().collect()
            }
        }
    }

    /// A cycle through a thread, which has just begun to wait.
    fn cycle_of(&self, task: Task) -> Option<Vec<Task>> {
        let (mut path, mut seen) = (vec![(task, self.next(task))], vec![task]);
        while let Some((_, rest)) = path.last_mut() {
            match rest.pop() {
                None => _ = path.pop(),
                Some(next) if next == task => {
                    return Some(path.into_iter().map(|(task, _)| task).collect());
                }
                Some(next) if seen.contains(&next) => (),
                Some(next) => {
                    seen.push(next);
                    path.push((next, self.next(next)));
                }
            }
        }
        None
    }

    fn look(&mut self, task: Task, since: Instant) {
        if let Some(threads) = self.cycle_of(task) {
            self.cycles += 1;
            self.open.push(Open { closer: task, since, threads });
        }
    }

    /// A thread waits no more.
    fn close(&mut self, task: Task, note: &Note) {
        let is_broken = matches!(note.event, Event::Lost(..) | Event::GaveUp | Event::Cancelled);
        let mut at = 0;
        while at < self.open.len() {
            if !self.open[at].threads.contains(&task) {
                at += 1;
                continue;
            }
            let open = self.open.swap_remove(at);
            assert!(is_broken, "{task} got on though it was in a cycle: {:?}", open.threads);
            let took = note.when.saturating_duration_since(open.since);
            self.slowest = self.slowest.max(took);
            self.slow += usize::from(took > SOON);
            // There may be another one, through another child of a thread that joins.
            if open.closer != task {
                self.look(open.closer, open.since);
            }
        }
    }

    fn step(&mut self, task: Task, note: &Note) {
        let thread = self.threads.entry(task).or_default();
        thread.has_begun = true;
        match &note.event {
            Event::Begins => thread.attempt += 1,
            Event::Wants(place) => {
                thread.begin_wait(note, For::Place(*place));
                self.look(task, note.when);
            }
            Event::Waits(place) => {
                thread.leave(*place);
                thread.begin_wait(note, For::Condition(*place));
                assert_eq!(self.owners.remove(place), Some(task));
                self.look(task, note.when);
            }
            Event::Joins(tasks) => {
                thread.begin_wait(note, For::Threads(tasks.clone()));
                self.look(task, note.when);
            }
            Event::Got(place) => {
                thread.end_wait(note);
                thread.holds.push(*place);
                let before = self.owners.insert(*place, task);
                assert_eq!(before, None, "two threads are inside of {place}");
                self.close(task, note);
            }
            Event::Lost(..) | Event::GaveUp | Event::Cancelled => {
                thread.end_wait(note);
                self.close(task, note);
            }
            Event::Joined => {
                thread.end_wait(note);
                // Threads that never began have noted nothing.
                self.close(task, note);
            }
            Event::Leaves(place) => {
                thread.leave(*place);
                assert_eq!(self.owners.remove(place), Some(task));
            }
            Event::Commits(_) | Event::StillFalse => (),
            Event::Ends => {
                assert!(!thread.is_waiting && thread.holds.is_empty(), "an end has left all");
                thread.has_ended = true;
            }
        }
    }
}

/// The moments in which a thread waited so, between two.
fn moments(waits: &[&Wait], (from, to): (usize, usize)) -> Vec<(usize, usize)> {
    let cut = waits.iter().map(|wait| (wait.from.max(from), wait.to.min(to)));
    cut.filter(|(from, to)| from <= to).collect()
}

fn common(a: &[(usize, usize)], b: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let pairs = a.iter().flat_map(|a| b.iter().map(move |b| (a.0.max(b.0), a.1.min(b.1))));
    pairs.filter(|(from, to)| from <= to).collect()
}

/// What is known of the ages: each is of one attempt, and each attempt has one.
#[derive(Default)]
struct Ages {
    of: HashMap<(Task, usize), usize>,
    whose: HashMap<usize, (Task, usize)>,
}

impl Ages {
    fn are(&mut self, task: Task, wait: &Wait, age: usize) {
        let attempt = (task, wait.attempt);
        let known = *self.of.entry(attempt).or_insert(age);
        assert_eq!(known, age, "an attempt keeps its age: {attempt:?}");
        let known = *self.whose.entry(age).or_insert(attempt);
        assert_eq!(known, attempt, "no two attempts have one age");
    }
}

/// Judges what one loser was told, and when.
fn abort(
    (task, want, lost): (Task, &Wait, usize),
    cycle: &Cycle,
    (logs, threads): (&[Log], &HashMap<Task, Thread>),
    ages: Option<&mut Ages>,
) {
    let links = &cycle.links;
    assert!(links.len() > 1, "no thread enters twice here");
    let can_lose = links.iter().filter(|link| link.wants.is_some());
    let youngest = can_lose.max_by_key(|link| link.age).unwrap();
    let victim = &links[cycle.victim];
    assert_eq!((victim.thread, victim.age), (youngest.thread, youngest.age), "{cycle:?}");
    let me = logs.iter().find(|log| log.task == task).unwrap();
    assert_eq!(victim.thread, me.thread, "the victim is told: {cycle:?}");
    assert!(want.is_for.place().is_some_and(|place| victim.wants == Some(place)));
    let oldest = links.iter().map(|link| link.age).min().unwrap();
    assert!(cycle.has_join() || victim.age > oldest, "the oldest has lost: {cycle:?}");

    // The threads that have had the number while the victim waited.
    let waits_of = |told: &Told| -> Vec<(Task, &Wait)> {
        let had = logs.iter().filter(|log| log.thread == told.thread);
        let waits = had.flat_map(|log| {
            let waits = &threads[&log.task].waits;
            // They are in order, and of one thread no two are at the same time.
            let first = waits.partition_point(|wait| wait.to < want.from);
            let meet = waits[first..].iter().take_while(|wait| wait.from <= lost);
            meet.map(|wait| (log.task, wait))
        });
        waits
            .filter(|(_, wait)| {
                let is_it = match (&wait.is_for, told.wants) {
                    (For::Condition(place), Some(wants)) => *place == wants,
                    (For::Place(place), Some(wants)) => *place == wants && !told.is_for_condition,
                    (For::Threads(tasks), None) => tasks.iter().any(|task| {
                        logs.iter().any(|log| log.task == *task && log.thread == told.waits_for)
                    }),
                    _ => false,
                };
                let holds = told.holds.is_none_or(|place| wait.holds.contains(&place));
                is_it && holds
            })
            .collect()
    };
    let mut when = vec![(want.from, lost)];
    let mut known = Vec::new();
    for (at, link) in links.iter().enumerate() {
        let next = &links[(at + 1) % links.len()];
        assert_eq!(link.waits_for, next.thread, "each waits for the next: {cycle:?}");
        assert_eq!(link.wants, next.holds, "it is inside of that: {cycle:?}");
        let waits = waits_of(link);
        assert!(!waits.is_empty(), "{} did not wait so: {cycle:?}", link.thread);
        let its: Vec<&Wait> = waits.iter().map(|(_, wait)| *wait).collect();
        when = common(&when, &moments(&its, (want.from, lost)));
        if let [(task, wait)] = waits[..] {
            known.push((task, wait, link.age));
        }
    }
    assert!(!when.is_empty(), "they did not wait at the same time: {cycle:?}");
    if let Some(ages) = ages {
        known.into_iter().for_each(|(task, wait, age)| ages.are(task, wait, age));
    }
}

/// The transfers one after the other, in the order in which each was inside of all that it needed.
fn values(notes: &[(Task, &Note)], balances: &[i64]) -> usize {
    let (mut bank, mut commits) = (vec![0; balances.len()], 0);
    for (task, note) in notes {
        let Event::Commits(changes) = &note.event else { continue };
        commits += 1;
        for (place, read, change) in changes {
            assert_eq!(*read, bank[*place], "{task} has read at {place} what was not there");
            bank[*place] += change;
        }
    }
    assert_eq!(bank, balances, "as if one by one");
    assert_eq!(bank.iter().sum::<i64>(), 0, "what is transferred stays");
    commits
}

/// Judges a run.
pub(crate) fn check(ran: &Ran, counts: &mut Counts) {
    let mut notes: Vec<(Task, &Note)> =
        ran.logs.iter().flat_map(|log| log.notes.iter().map(|note| (log.task, note))).collect();
    notes.sort_by_key(|(_, note)| note.at);
    let mut replay = Replay::default();
    notes.iter().for_each(|(task, note)| replay.step(*task, note));
    assert!(replay.open.is_empty() && replay.owners.is_empty());
    assert!(replay.threads.values().all(|thread| thread.has_ended));

    let mut ages = ran.has_ages.then(Ages::default);
    for (task, note) in &notes {
        let Event::Lost(cycle) = &note.event else { continue };
        let waits = &replay.threads[task].waits;
        let want = &waits[waits.partition_point(|wait| wait.to < note.at)];
        abort((*task, want, note.at), cycle, (&ran.logs, &replay.threads), ages.as_mut());
        counts.aborts += 1;
        counts.aborts_by_joins += usize::from(cycle.has_join());
        counts.aborts_by_conditions += usize::from(cycle.has_condition());
        counts.lost_conditions += usize::from(cycle.links[cycle.victim].is_for_condition);
    }
    for (_, note) in &notes {
        match note.event {
            Event::Waits(_) => counts.waits += 1,
            Event::Joins(_) => counts.joins += 1,
            Event::GaveUp => counts.gave_up += 1,
            Event::StillFalse => counts.still_false += 1,
            Event::Cancelled => counts.cancelled += 1,
            _ => {}
        }
    }
    counts.commits += values(&notes, &ran.balances);
    counts.cycles += replay.cycles;
    counts.slow_cycles += replay.slow;
    counts.slowest = counts.slowest.max(replay.slowest);
}
