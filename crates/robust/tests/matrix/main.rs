//! Every call, in every state, by the owner, by another thread, and by one that comes after the owner's
//! death. [`Model::call`] says what is to be expected.
#![cfg(all(
    target_os = "linux",
    target_pointer_width = "64",
    not(miri),
    not(any(pysync_loom, pysync_shuttle))
))]

#[path = "../common/mod.rs"]
mod common;
mod model;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use common::*;
use model::*;
use pysync_robust::{Error, Kind, Ownership, RawMutex, SIZE, Timeout};
use pysync_testing::watchdog_for;

/// Does the call.
fn call(mutex: RawMutex, call: Call) -> Result<Answer, Error> {
    let done = |()| Answer::Done;
    match call {
        Call::Attach => mutex.attach().map(done),
        Call::Initialize(kind) => mutex.initialize(kind).map(done),
        Call::Open(kind, timeout) => mutex.open(kind, timeout).map(Answer::Initialized),
        Call::Acquire(timeout) => mutex.acquire(timeout).map(Answer::Acquired),
        Call::Release => mutex.release().map(done),
        Call::MakeConsistent => mutex.make_consistent().map(done),
        Call::GiveUp => mutex.give_up().map(done),
        Call::Destroy => mutex.destroy().map(done),
        Call::State => mutex.state().map(Answer::Is),
    }
}

const KINDS: [Kind; 2] = [Kind::Plain, Kind::Recursive];
const AFTER: Timeout = Timeout::After(Duration::from_millis(1));
const TIMEOUTS: [Timeout; 3] = [Timeout::Try, AFTER, Timeout::Never];

fn every_call() -> Vec<Call> {
    let mut calls = vec![Call::Attach, Call::State];
    for kind in KINDS {
        calls.push(Call::Initialize(kind));
        calls.extend(TIMEOUTS.map(|timeout| Call::Open(kind, timeout)));
    }
    calls.extend(TIMEOUTS.map(Call::Acquire));
    calls.extend([Call::Release, Call::MakeConsistent, Call::GiveUp, Call::Destroy]);
    calls
}

/// Each state that can be named, whether there can be such a mutex or not. If it is held, then by
/// thread 0.
fn every_state() -> impl Iterator<Item = Model> {
    use Header::*;
    use Phase::*;

    let mut states = vec![Model::ZEROES];
    let mut vary = |change: &dyn Fn(Model) -> Vec<Model>| {
        states = states.iter().copied().flat_map(change).collect();
    };
    vary(&|m| [Zeroes, Garbage, Ready, Lost, Retired].map(|phase| Model { phase, ..m }).into());
    vary(&|m| {
        [Ours, OtherBoot, Elsewhere, Damaged, OtherLayout]
            .map(|header| Model { header, ..m })
            .into()
    });
    let claims = [Claim::None, Claim::Alive, Claim::Dead, Claim::Elsewhere];
    vary(&|m| claims.map(|claim| Model { claim, ..m }).into());
    vary(&|m| KINDS.map(|kind| Model { kind, ..m }).into());
    vary(&|m| {
        let holder = |levels| if levels == 0 { Holder::None } else { Holder::Thread(0) };
        [0, 1, 2].map(|levels| Model { levels, holder: holder(levels), ..m }).into()
    });
    vary(&|m| [false, true].map(|inconsistent| Model { inconsistent, ..m }).into());
    states.into_iter()
}

/// Why there can be no such mutex.
fn impossible(model: &Model) -> Option<&'static str> {
    let is_mutex = !matches!(model.phase, Phase::Zeroes | Phase::Garbage);
    let (is_held, is_plain) = (model.levels > 0, model.kind == Kind::Plain);
    if !is_mutex && (!is_plain || is_held || model.inconsistent || model.header != Header::Ours) {
        Some("what is no mutex has no kind, owner or header")
    } else if is_plain && model.levels > 1 {
        Some("a plain mutex is acquired once")
    } else if is_plain && model.phase == Phase::Lost && is_held {
        Some("who gives up a plain mutex has released it")
    } else if model.phase == Phase::Retired && is_held {
        Some("a mutex that is held is not destroyed (killed while it destroys: tests/process)")
    } else if model.inconsistent && model.phase != Phase::Ready {
        Some("what is given up or destroyed is not to be repaired")
    } else if model.inconsistent && !is_held {
        Some("who has it from a dead owner does not release it as it is")
    } else if model.header == Header::OtherBoot && is_held {
        Some("no owner outlives the boot (the word of one that did not: header.rs)")
    } else {
        None
    }
}

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Owner,
    Other,
    /// A thread that was started after the owner's death.
    Heir,
}

/// The claims that stand in the blocks.
struct Claims {
    alive: Initialiser,
    dead: Initialiser,
    elsewhere: u64,
}

impl Claims {
    fn new() -> Self {
        let [alive, dead] = [(); 2].map(|()| Initialiser::start(Kind::Plain));
        dead.kill();
        let bytes = Bytes::zeroed();
        bytes.mutex().initialize(Kind::Plain).unwrap();
        let boot = bytes.u64(BOOT).load(SeqCst);
        let elsewhere = alive.claim_but(boot, |named| named ^ 1 << 30);
        Self { alive, dead, elsewhere }
    }
}

/// Makes bytes that are as `model` says, held by `owner`.
fn build(model: &Model, owner: &Actor, claims: &Claims) -> Bytes {
    let bytes = Bytes::zeroed();
    let mutex = bytes.mutex();
    if model.phase == Phase::Garbage {
        bytes.write([0xa5; SIZE]);
    } else if model.phase != Phase::Zeroes {
        mutex.initialize(model.kind).unwrap();
        if model.inconsistent {
            in_a_short_life(move || take(mutex));
        }
        let gives_up = model.phase == Phase::Lost;
        let levels = model.levels + u32::from(gives_up);
        let died = model.inconsistent;
        let how = if died { Ownership::OwnerDied } else { Ownership::Clean };
        owner.run(move || {
            for level in 0..levels {
                assert_eq!(mutex.acquire(Timeout::Try), Ok(how), "level {level}");
            }
            if gives_up {
                mutex.give_up().unwrap();
            }
        });
        if model.phase == Phase::Retired {
            mutex.destroy().unwrap();
        }
    }
    match model.header {
        Header::Ours => {}
        Header::OtherBoot => _ = bytes.u64(BOOT).fetch_xor(0xdead, SeqCst),
        Header::Elsewhere => _ = bytes.u64(NAMESPACE).fetch_xor(0xdead, SeqCst),
        Header::Damaged => {}
        Header::OtherLayout => {
            bytes.u32(LAYOUT).fetch_xor(OTHER_LAYOUT, SeqCst);
            bytes.u64(STATE).fetch_xor((OTHER_LAYOUT & 0xff_ffff).into(), SeqCst);
        }
    }
    if model.header == Header::Damaged {
        bytes.u64(CHECK).fetch_xor(0xdead, SeqCst);
    } else if model.header != Header::Ours {
        bytes.seal();
    }
    match model.claim {
        Claim::None => {}
        Claim::Alive => bytes.u64(CLAIM).store(claims.alive.claim(), SeqCst),
        Claim::Dead => bytes.u64(CLAIM).store(claims.dead.claim(), SeqCst),
        Claim::Elsewhere => bytes.u64(CLAIM).store(claims.elsewhere, SeqCst),
    }
    bytes
}

/// Looks whether the mutex is what `model` says: at its state, by an attempt to acquire it, and by
/// releases of its holder.
fn probe(mut model: Model, mutex: RawMutex, actors: &[&Actor]) {
    // SAFETY: only asks.
    let me = unsafe { libc::gettid() } as u32;
    for by_me in [Call::State, Call::Attach, Call::Acquire(Timeout::Try), Call::State] {
        assert_eq!(Some(call(mutex, by_me)), model.call(by_me, me), "then {by_me:?}");
    }
    while let Holder::Thread(holder) = model.holder {
        let expected = model.call(Call::Release, holder);
        let released = match actors.iter().find(|actor| actor.id() == holder) {
            Some(actor) => actor.run(move || call(mutex, Call::Release)),
            None => call(mutex, Call::Release),
        };
        assert_eq!(Some(released), expected, "then a release");
        if released.is_err() {
            break;
        }
        assert_eq!(Some(call(mutex, Call::State)), model.call(Call::State, me), "then the state");
    }
}

/// Says what a test was at if it fails.
struct Context<F: Fn() -> String>(F);

impl<F: Fn() -> String> Drop for Context<F> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0());
        }
    }
}

#[test]
fn every_call_in_every_state_by_everyone_does_what_the_model_says() {
    let _watchdog = watchdog_for(Duration::from_secs(300));
    let (claims, other) = (Claims::new(), Actor::new());
    let (mut cases, mut states) = (0, 0);
    let mut left_out = BTreeMap::<_, usize>::new();
    let mut leave_out = |why, cells| *left_out.entry(why).or_default() += cells;
    let calls = every_call();
    for state in every_state() {
        if let Some(why) = impossible(&state) {
            leave_out(why, 3 * calls.len());
            continue;
        }
        states += 1;
        for who in [Who::Owner, Who::Other, Who::Heir] {
            if state.levels == 0 && who != Who::Other {
                leave_out("a mutex without a holder has no owner, living or dead", calls.len());
                continue;
            }
            for call_ in calls.iter().copied() {
                let owner = Actor::new();
                let mut model = state;
                if model.levels > 0 {
                    model.holder = Holder::Thread(owner.id());
                }
                if who == Who::Heir {
                    model.dies(owner.id());
                }
                let me = match who {
                    Who::Owner => owner.id(),
                    Who::Other => other.id(),
                    Who::Heir => 0, // It has no id yet.
                };
                let before = model;
                if model.call(call_, me).is_none() {
                    leave_out("it would wait for ever (contention.rs)", 1);
                    continue;
                }
                let bytes = build(&state, &owner, &claims);
                let mutex = bytes.mutex();
                let _context = Context(|| format!("{call_:?} by {who:?} of {before:?}"));
                let mut model = before;
                let mut does = |by: &Actor, others: &[&Actor]| {
                    let expected = model.call(call_, by.id());
                    assert_eq!(Some(by.run(move || call(mutex, call_))), expected);
                    probe(model, mutex, others);
                };
                match who {
                    Who::Owner => does(&owner, &[&owner]),
                    Who::Other => does(&other, &[&owner, &other]),
                    Who::Heir => {
                        owner.die();
                        let heir = Actor::new();
                        does(&heir, &[&heir]);
                    }
                }
                bytes.check_canaries();
                cases += 1;
            }
        }
    }
    println!("{cases} cases: {states} states, {} calls, 3 callers", calls.len());
    for (why, cells) in left_out {
        println!("{cells} left out: {why}");
    }
    assert!(cases > 3_000, "so few are no matrix");
}

/// Three threads, which call what they like and die now and then.
#[test]
fn long_walks_go_as_the_model_says() {
    const WALKS: u64 = 100;
    const STEPS: usize = 200;
    let _watchdog = watchdog_for(Duration::from_secs(300));
    let mut calls = every_call();
    // They would end most of the lives too early.
    let rare = [Call::Destroy, Call::GiveUp];
    calls.retain(|call| !rare.contains(call));
    calls.extend([Call::Acquire(Timeout::Try); 6]);
    calls.extend([Call::Release; 4]);
    let (mut done, mut deaths) = (0, 0);
    for seed in 0..WALKS {
        let mut random = Random::new(seed);
        let mut actors = [(); 3].map(|()| Actor::new());
        let (bytes, mut model) = (Bytes::zeroed(), Model::ZEROES);
        let mutex = bytes.mutex();
        for step in 0..STEPS {
            let which = random.below(actors.len());
            if random.below(30) == 0 {
                let dead = std::mem::replace(&mut actors[which], Actor::new());
                model.dies(dead.id());
                dead.die();
                deaths += 1;
            }
            let actor = &actors[which];
            let calls = if random.below(20) == 0 { &rare[..] } else { &calls[..] };
            let call_ = random.pick(calls);
            let before = model;
            let Some(expected) = model.call(call_, actor.id()) else { continue };
            let result = actor.run(move || call(mutex, call_));
            assert_eq!(result, expected, "walk {seed}, step {step}: {call_:?} of {before:?}");
            let state = model.call(Call::State, 0);
            assert_eq!(Some(call(mutex, Call::State)), state, "walk {seed}, after step {step}");
            done += 1;
        }
        bytes.check_canaries();
    }
    println!("{done} calls and {deaths} deaths in {WALKS} walks");
}
