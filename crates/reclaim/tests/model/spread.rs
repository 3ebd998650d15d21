//! Spread counts: the zero test, and who notices the last drop.

use pysync_reclaim::{Shared, Spread, model};

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
