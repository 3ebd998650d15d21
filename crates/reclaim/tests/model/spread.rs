//! Spread counts: the zero test, and who notices the last drop.

use std::sync::Mutex;

use pysync_reclaim::{Shared, Spread, away, model};

use super::{Model, World};

fn drop_base(w: &World) {
    drop(w.take_base());
}

fn clone_and_drop(w: &World, index: usize) {
    let handle = w.take(index);
    let another = handle.clone();
    drop(handle);
    another.read();
    drop(another);
}

/// The last drop is noticed, though it is counted in a row while the base is dropped.
#[test]
fn the_last_drop_is_noticed() {
    fn drop_0(w: &World) {
        drop(w.take(0));
    }
    Model::new("drain, drop").run(|| World::spread(1), drop_base, [drop_0], World::is_dropped);
    fn clone_0(w: &World) {
        clone_and_drop(w, 0);
    }
    let model = Model::new("drain, clone and drop").preemptions(2);
    model.run(|| World::spread(1), drop_base, [clone_0], World::is_dropped);
    fn drop_1(w: &World) {
        drop(w.take(1));
    }
    let model = Model::new("drain, 2 drops").preemptions(1);
    model.run(|| World::spread(2), drop_base, [drop_0, drop_1], World::is_dropped);
}

/// A clone travels to another thread, and is dropped there, between the two sums.
#[test]
fn a_clone_travels_while_the_counts_are_summed() {
    fn send(w: &World) {
        let handle = w.take(0);
        *w.way.lock().unwrap() = Some(handle.clone());
        handle.read();
        drop(handle);
    }
    fn receive(w: &World) {
        let received = w.way.lock().unwrap().take();
        if let Some(handle) = received {
            handle.read();
        }
    }
    fn after(w: &World) {
        drop(w.way.lock().unwrap().take());
        w.is_dropped();
    }
    let model = Model::new("drain, clone travels").preemptions(2);
    model.run(|| World::spread(1), drop_base, [send, receive], after);
    fn collect(w: &World) {
        drop_base(w);
        Shared::collect();
    }
    let model = Model::new("drain and collect, clone travels").preemptions(1);
    model.run(|| World::spread(1), collect, [send, receive], after);
}

/// A thread ends, and another one goes on with its row.
#[test]
fn a_row_is_inherited_while_the_counts_are_summed() {
    fn send_and_end(w: &World) {
        let own = Shared::new(());
        let handle = w.take(0);
        *w.way.lock().unwrap() = Some(handle.clone());
        drop(handle);
        drop(own);
        model::end_of_thread();
    }
    fn receive(w: &World) {
        let own = Shared::new(());
        let received = w.way.lock().unwrap().take();
        drop(received);
        drop(own);
        model::end_of_thread();
    }
    fn after(w: &World) {
        drop(w.way.lock().unwrap().take());
        w.is_dropped();
    }
    let model = Model::new("drain, row inherited").preemptions(1);
    model.run(|| World::spread(1), drop_base, [send_and_end, receive], after);
}

/// A thread that is not the owner spreads the object, while the owner drops its handle.
#[test]
fn another_thread_spreads() {
    fn spread(w: &World) {
        let handle = w.take(1);
        let base = Shared::spread(&handle);
        drop(handle);
        let another = Spread::share(&base);
        drop(base);
        another.read();
    }
    fn drop_0(w: &World) {
        drop(w.take(0));
    }
    fn after(w: &World) {
        Shared::collect();
        w.is_dropped();
    }
    let model = Model::new("spread, drop").preemptions(2);
    model.run(|| World::new(2), drop_0, [spread], after);
    fn end(w: &World) {
        drop(w.take(0));
        model::end_of_thread();
    }
    let model = Model::new("spread, end").preemptions(2);
    model.run(|| World::new(2), end, [spread], World::is_dropped);
}

/// A world whose owner counts one handle, the first, and the shared word the others.
fn counted_elsewhere(handles: usize) -> World {
    let world = World::new(1);
    let first = world.take(0);
    let others = away(|| (1..handles).map(|_| Mutex::new(Some(first.clone()))).collect::<Vec<_>>());
    world.put(0, first);
    World { handles: world.handles.into_iter().chain(others).collect(), ..world }
}

fn spread_1(w: &World) {
    let handle = w.take(1);
    *w.base.lock().unwrap() = Some(Shared::spread(&handle));
    handle.read();
    drop(handle);
}

/// The owner merges while another thread spreads: of the two the later one tells the threads to count in
/// their rows.
#[test]
fn a_spread_is_not_lost_to_a_merge() {
    fn merge(w: &World) {
        drop(w.take(0));
    }
    fn after(w: &World) {
        Shared::collect();
        let base = w.take_base();
        assert!(model::is_spread(&base), "the object is not spread");
        drop(base);
        w.is_dropped();
    }
    Model::new("merge, spread").preemptions(3).run(
        || counted_elsewhere(2),
        merge,
        [spread_1],
        after,
    );
}

/// An object is merged, and spread by that, while its spreader has not marked the shared word yet. A thread
/// counts clones in its row and their drops in the shared word, whose count comes to zero.
#[test]
fn rows_count_only_what_the_shared_word_knows_of() {
    /// Of as many handles as the shared word counts, and one.
    fn clone_in_a_row(w: &World) {
        drop(w.take(0));
        let handle = w.take(2);
        let clones = [handle.clone(), handle.clone()];
        away(|| {
            drop(handle);
            drop(clones);
        });
    }
    fn after(w: &World) {
        Shared::collect();
        let base = w.take_base();
        base.read();
        drop(base);
        w.is_dropped();
    }
    let model = Model::new("merge, spread, clones in a row").preemptions(1);
    model.run(|| counted_elsewhere(3), clone_in_a_row, [spread_1], after);
}

/// Two threads spread: the object drains with the last base, and may be spread again.
#[test]
fn an_object_that_drains_is_spread_again() {
    fn spread_0(w: &World) {
        let handle = w.take(0);
        let base = Shared::spread(&handle);
        drop(handle);
        base.read();
    }
    let model = Model::new("drain, spread").preemptions(2);
    model.run(|| World::spread(1), drop_base, [spread_0], World::is_dropped);
}

/// The value is given out only if there is no other handle, and after all that others did with it.
#[test]
fn get_mut_of_an_object_that_drains() {
    fn get(w: &World) {
        drop_base(w);
        let mut handle = w.take(0);
        if let Some(probe) = Shared::get_mut(&mut handle) {
            probe.0.value.set(0);
        }
        drop(Shared::try_unwrap(handle));
    }
    fn clone_1(w: &World) {
        clone_and_drop(w, 1);
    }
    let model = Model::new("get_mut, clone and drop").preemptions(1);
    model.run(|| World::spread(2), get, [clone_1], World::is_dropped);
}
