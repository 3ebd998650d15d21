//! Biased counts: drops, merges and ends of the owner, in every order.

use pysync_reclaim::{Shared, away, model};

use super::{Model, World};

fn drop_0(w: &World) {
    let handle = w.take(0);
    handle.read();
    drop(handle);
}

fn drop_1(w: &World) {
    let handle = w.take(1);
    handle.read();
    drop(handle);
}

fn drop_2(w: &World) {
    let handle = w.take(2);
    handle.read();
    drop(handle);
}

fn collected(w: &World) {
    Shared::collect();
    w.is_dropped();
}

#[test]
fn the_owner_and_another_thread_drop() {
    Model::new("drop, drop").run(|| World::new(2), drop_0, [drop_1], collected);
}

#[test]
fn the_owner_and_two_threads_drop() {
    let model = Model::new("drop, 2 drops").preemptions(2);
    model.run(|| World::new(3), drop_0, [drop_1, drop_2], collected);
}

/// The owner merges the object while another thread gives its handle up, and has none of its own.
#[test]
fn the_owner_collects_while_others_drop() {
    fn collect(w: &World) {
        drop_0(w);
        Shared::collect();
    }
    let model = Model::new("collect, 2 drops").preemptions(2);
    model.run(|| World::new(3), collect, [drop_1, drop_2], collected);
}

/// A clone of another thread comes to the owner, so that the counts stand crosswise.
#[test]
fn a_foreign_clone_is_dropped_by_the_owner() {
    fn send(w: &World) {
        let handle = w.take(1);
        *w.way.lock().unwrap() = Some(handle.clone());
        drop(handle);
    }
    fn receive(w: &World) {
        drop_0(w);
        let received = w.way.lock().unwrap().take();
        if let Some(handle) = received {
            handle.read();
        }
    }
    fn after(w: &World) {
        drop(w.way.lock().unwrap().take());
        collected(w);
    }
    Model::new("foreign clone").run(|| World::new(2), receive, [send], after);
}

/// The case in which `biasedrc` frees an object that its owner has in its queue: another thread clones and
/// drops after the object has been queued.
#[test]
fn a_clone_comes_back_after_the_object_is_queued() {
    fn clone_and_drop(w: &World) {
        drop(w.take(1));
        let handle = w.take(2);
        let back = handle.clone();
        drop(handle);
        back.read();
        drop(back);
    }
    fn drop_and_collect(w: &World) {
        drop(w.take(0));
        Shared::collect();
    }
    Model::new("queued, clone").run(
        || World::new(3),
        drop_and_collect,
        [clone_and_drop],
        collected,
    );
    // The owner has dropped its handle before.
    fn state() -> World {
        let world = World::new(3);
        drop(world.take(0));
        world
    }
    fn collect(_: &World) {
        Shared::collect();
    }
    Model::new("queued, clone, no handle").run(state, collect, [clone_and_drop], collected);
}

/// The owner ends: its droppers merge what it leaves.
#[test]
fn the_owner_ends_while_others_drop() {
    fn end(w: &World) {
        drop_0(w);
        model::end_of_thread();
    }
    Model::new("end, drop").run(|| World::new(2), end, [drop_1], World::is_dropped);
    let model = Model::new("end, 2 drops").preemptions(2);
    model.run(|| World::new(3), end, [drop_1, drop_2], World::is_dropped);
}

/// The owner is away for a while: its droppers merge meanwhile, and it goes on with what they leave.
#[test]
fn the_owner_goes_away_and_comes_back() {
    fn go(w: &World) {
        let handle = w.take(0);
        away(|| ());
        handle.read();
        let another = handle.clone();
        drop(handle);
        drop(another);
    }
    Model::new("away, drop").run(|| World::new(2), go, [drop_1], collected);
    let model = Model::new("away, 2 drops").preemptions(2);
    model.run(|| World::new(3), go, [drop_1, drop_2], collected);
}

/// The owner uses its own handle while it is away.
#[test]
fn an_owner_that_is_away_counts_as_others_do() {
    fn go(w: &World) {
        away(|| {
            let handle = w.take(0);
            let another = handle.clone();
            drop(handle);
            another.read();
        });
    }
    Model::new("away with a handle").preemptions(3).run(|| World::new(2), go, [drop_1], collected);
}

/// A thread takes the node of one that has ended, once that has no objects.
#[test]
fn a_thread_inherits_the_node_of_another_one() {
    fn end(w: &World) {
        let handle = w.take(0);
        let another = handle.clone();
        drop(handle);
        *w.way.lock().unwrap() = Some(another);
        model::end_of_thread();
    }
    fn inherit(w: &World) {
        // It may get the node of the other one.
        let own = Shared::new(());
        let handle = w.take(1);
        let another = handle.clone();
        drop(handle);
        another.read();
        drop(another);
        drop(own);
        model::end_of_thread();
    }
    fn after(w: &World) {
        drop(w.way.lock().unwrap().take());
        w.is_dropped();
    }
    Model::new("end, inherit").run(|| World::new(2), end, [inherit], after);
}

/// Alone is alone: what `get_mut` gives is ordered after all that others did.
#[test]
fn get_mut_is_after_the_drops_of_others() {
    fn get(w: &World) {
        let mut handle = w.take(0);
        if let Some(probe) = Shared::get_mut(&mut handle) {
            probe.0.value.set(0);
        }
        drop(handle);
    }
    Model::new("get_mut, drop").run(|| World::new(2), get, [drop_1], collected);
    fn get_other(w: &World) {
        let mut handle = w.take(1);
        if let Some(probe) = Shared::get_mut(&mut handle) {
            probe.0.value.set(0);
        }
        drop(handle);
    }
    fn end(w: &World) {
        drop_0(w);
        model::end_of_thread();
    }
    Model::new("end, get_mut").run(|| World::new(2), end, [get_other], World::is_dropped);
}

/// A thread wants to know the sum of an object that the owner, on its way out, has in its inbox.
#[test]
fn get_mut_meets_the_end_of_the_owner() {
    fn end(w: &World) {
        drop_0(w);
        model::end_of_thread();
    }
    fn get(w: &World) {
        drop(w.take(1));
        let mut handle = w.take(2);
        if let Some(probe) = Shared::get_mut(&mut handle) {
            probe.0.value.set(0);
        }
        drop(handle);
    }
    Model::new("end, drop and get_mut").run(|| World::new(3), end, [get], World::is_dropped);
}

/// A clone is dropped by its maker after the owner has got all other handles: the count in the shared word
/// alone orders the two.
#[test]
fn a_count_orders_what_the_owner_does_after_it() {
    fn once(w: &World) {
        let handle = w.take(1);
        let another = handle.clone();
        *w.way.lock().unwrap() = Some(handle);
        another.read();
        drop(another);
    }
    fn get(w: &World) {
        drop_0(w);
        let received = w.way.lock().unwrap().take();
        if let Some(mut handle) = received {
            if let Some(probe) = Shared::get_mut(&mut handle) {
                probe.0.value.set(0);
            }
        }
    }
    fn after(w: &World) {
        drop(w.way.lock().unwrap().take());
        collected(w);
    }
    Model::new("counted once").run(|| World::new(2), get, [once], after);

    fn twice(w: &World) {
        let handle = w.take(1);
        let (second, third) = (handle.clone(), handle.clone());
        w.put(1, handle);
        *w.way.lock().unwrap() = Some(second);
        third.read();
        drop(third);
    }
    fn drop_all(w: &World) {
        drop_0(w);
        let received = w.way.lock().unwrap().take();
        if let Some(handle) = received {
            // It has been put there before.
            drop(w.take(1));
            drop(handle);
        }
    }
    fn after_twice(w: &World) {
        drop(w.handles[1].lock().unwrap().take());
        after(w);
    }
    Model::new("counted twice").preemptions(3).run(
        || World::new(2),
        drop_all,
        [twice],
        after_twice,
    );
}

/// Of two that try to unwrap, at most one gets the value, and nothing is dropped twice.
#[test]
fn the_value_is_unwrapped_once() {
    fn unwrap_0(w: &World) {
        drop(Shared::try_unwrap(w.take(0)));
    }
    fn unwrap_1(w: &World) {
        drop(Shared::try_unwrap(w.take(1)));
    }
    Model::new("2 unwraps").run(|| World::new(2), unwrap_0, [unwrap_1], collected);
}
