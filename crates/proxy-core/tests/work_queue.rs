//! Work in the background: bounded, and not lost to a panic.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proxy_testkit::CollectedTasks;

use proxy_core::{Work, WorkQueue};

fn counting(done: &Arc<AtomicUsize>) -> Work {
    let done = Arc::clone(done);
    Box::new(move || {
        done.fetch_add(1, Ordering::Relaxed);
    })
}

#[test]
fn so_much_waits_and_no_more() {
    let (tasks, done) = (CollectedTasks::new(), Arc::new(AtomicUsize::new(0)));
    let queue = WorkQueue::new(Arc::new(tasks.clone()), 2, 3);
    let taken = (0..5).filter(|_| queue.push(counting(&done))).count();
    assert_eq!((taken, tasks.started(), queue.waiting()), (3, 2, 3));
    tasks.run_until_stalled();
    assert_eq!((done.load(Ordering::Relaxed), queue.waiting()), (3, 0));
    assert!(queue.push(counting(&done)));
    tasks.run_until_stalled();
    assert_eq!(done.load(Ordering::Relaxed), 4);
}

#[test]
fn a_panic_and_an_end_leave_it_of_use() {
    let (tasks, done) = (CollectedTasks::new(), Arc::new(AtomicUsize::new(0)));
    let queue = WorkQueue::new(Arc::new(tasks.clone()), 1, 3);
    queue.push(Box::new(|| panic!("broken work")));
    assert!(catch_unwind(AssertUnwindSafe(|| tasks.run_until_stalled())).is_err());
    queue.push(counting(&done));
    tasks.abort_all();
    assert_eq!(queue.waiting(), 0);
    queue.push(counting(&done));
    tasks.run_until_stalled();
    assert_eq!(done.load(Ordering::Relaxed), 1);
}
