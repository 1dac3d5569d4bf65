//! Who is called first, who is shed, and that nobody starves.

use std::collections::HashMap;

use futures_util::FutureExt as _;
use proxy_testkit::ManualClock;

use super::*;
use Priority::{High, Low, Normal};

fn queue(most: usize) -> (Queue, ManualClock) {
    let clock = ManualClock::new();
    (Queue::new(most, Arc::new(clock.clone())), clock)
}

/// Who is told something, by its place in `waiting`.
fn told(waiting: &mut [Waiting<'_>]) -> Vec<(usize, Call)> {
    let tell = |(at, own): (usize, &mut Waiting<'_>)| match own.state {
        State::Queued(_) => own.called().now_or_never().map(|call| (at, call)),
        _ => None,
    };
    waiting.iter_mut().enumerate().filter_map(tell).collect()
}

#[test]
fn a_higher_class_comes_first_and_its_own_order_holds() {
    let (queue, _) = queue(100);
    let classes = [Low, Normal, High, High];
    let mut waiting: Vec<_> = classes.iter().map(|class| queue.enter(*class).unwrap()).collect();
    for expected in [2, 3, 1, 0] {
        queue.next();
        assert_eq!(told(&mut waiting), [(expected, Call::Come)]);
        waiting[expected].state = State::Gone;
        queue.lock().called -= 1;
    }
}

#[test]
fn under_lasting_overload_each_class_gets_its_part() {
    let (queue, _) = queue(10_000);
    let mut waiting: Vec<_> =
        (0..3 * 640).map(|n| queue.enter(Priority::ALL[n % 3]).unwrap()).collect();
    (0..640).for_each(|_| queue.next());
    let mut served: HashMap<Priority, usize> = HashMap::new();
    for (at, _) in told(&mut waiting) {
        *served.entry(waiting[at].class).or_default() += 1;
    }
    assert_eq!([served[&Low], served[&Normal], served[&High]], [40, 120, 480]);
}

#[test]
fn a_full_queue_sheds_the_lowest_that_came_last() {
    let (queue, _) = queue(4);
    let classes = [Low, Low, Low, Normal];
    let mut waiting: Vec<_> = classes.iter().map(|class| queue.enter(*class).unwrap()).collect();
    assert!(queue.enter(Low).is_none(), "nobody is shed for one of the same class");
    waiting.push(queue.enter(High).unwrap());
    assert_eq!(told(&mut waiting), [(2, Call::Shed)]);
    waiting.push(queue.enter(Normal).unwrap());
    assert_eq!(told(&mut waiting), [(1, Call::Shed)]);
    // One place is each class's own.
    waiting.push(queue.enter(High).unwrap());
    assert_eq!(told(&mut waiting), [(5, Call::Shed)]);
    assert!(queue.enter(High).is_none());
    assert_eq!(queue.len(), 4);
}

#[test]
fn the_low_get_their_share_of_a_queue_that_is_full_of_others() {
    let (queue, _) = queue(32);
    let mut waiting: Vec<_> = (0..32).map(|_| queue.enter(High).unwrap()).collect();
    for shed in [31, 30] {
        waiting.push(queue.enter(Low).unwrap());
        assert_eq!(told(&mut waiting), [(shed, Call::Shed)]);
    }
    assert!(queue.enter(Low).is_none(), "two of 32 places are its own");
}

#[test]
fn what_became_free_for_one_that_was_called_is_not_for_newcomers() {
    let (queue, _) = queue(4);
    let mut first = queue.enter(Normal).unwrap();
    queue.next();
    assert_eq!(queue.len(), 1, "it has not come so far");
    assert_eq!(first.called().now_or_never(), Some(Call::Come));
    assert_eq!(queue.len(), 1);
    drop(first);
    assert_eq!(queue.len(), 0);
}

#[test]
fn who_was_called_and_can_not_come_calls_the_next() {
    let (queue, clock) = queue(4);
    let first = queue.enter(Normal).unwrap();
    let mut second = [queue.enter(Normal).unwrap()];
    queue.next();
    drop(first);
    assert_eq!(told(&mut second), [(0, Call::Come)]);
    // And in vain: it goes back to where it was, before those that came later.
    clock.advance(Duration::from_millis(1));
    let mut later = queue.enter(Normal).unwrap();
    second[0].again();
    queue.next();
    assert_eq!(told(&mut second), [(0, Call::Come)]);
    assert_eq!(later.called().now_or_never(), None);
}

#[test]
fn who_is_called_in_vain_keeps_its_place() {
    let (queue, _) = queue(2);
    let mut first = [queue.enter(Normal).unwrap()];
    queue.next();
    assert_eq!(told(&mut first), [(0, Call::Come)]);
    let second = queue.enter(Normal).unwrap();
    assert!(queue.enter(Normal).is_none(), "the first may have to come back");
    first[0].again();
    assert_eq!(queue.len(), 2);
    drop(second);
    queue.next();
    assert_eq!(told(&mut first), [(0, Call::Come)]);
}
