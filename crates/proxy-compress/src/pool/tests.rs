use super::*;

const SETTINGS: Settings = Settings { level: 3, len: None, live: false };

#[test]
fn encoders_go_back_and_come_again() {
    let pool = EncoderPool::default();
    for coding in [Coding::Gzip, Coding::Zstd] {
        drop(pool.take(coding, SETTINGS).expect("an encoder"));
        let idle = pool.idle();
        let lease = pool.take(coding, SETTINGS).expect("an encoder");
        assert_eq!((pool.idle(), pool.in_use()), (idle - 1, 1), "{coding}");
        drop(lease);
        assert_eq!((pool.idle(), pool.in_use()), (idle, 0), "{coding}");
    }
    drop(pool.take(Coding::Brotli, SETTINGS).expect("an encoder"));
    assert_eq!((pool.idle(), pool.in_use()), (2, 0));
}

#[test]
fn both_limits_hold() {
    let limits = EncoderLimits { in_use: 10 << 20, idle: 1 << 20 };
    let pool = EncoderPool::new(limits, None);
    for coding in Coding::ALL {
        let mut leases = Vec::new();
        while let Ok(lease) = pool.take(coding, SETTINGS) {
            leases.push(lease);
            assert!(leases.len() < 100, "{coding}");
        }
        assert!(leases.len() > 1, "{coding}: {}", leases.len());
        drop(leases);
        assert!(pool.idle_size() <= limits.idle, "{coding}");
        assert!(pool.take(coding, SETTINGS).is_ok(), "what was given back can be had again");
    }
}

#[test]
fn long_streams_leave_half_of_it_to_others() {
    let pool = EncoderPool::new(EncoderLimits { in_use: 8 << 20, idle: 0 }, None);
    let live = Settings { live: true, ..SETTINGS };
    let mut leases = Vec::new();
    while let Ok(lease) = pool.take(Coding::Zstd, live) {
        leases.push(lease);
        assert!(leases.len() < 100);
    }
    assert!(leases.len() > 1 && pool.take(Coding::Gzip, SETTINGS).is_ok());
    // Nor do pages that take more than half of it keep out those who listen.
    drop(leases);
    let mut pages = Vec::new();
    while let Ok(lease) = pool.take(Coding::Gzip, SETTINGS) {
        pages.push(lease);
        if pages.len() * 320 * 1024 > 5 << 20 {
            break;
        }
    }
    assert!(pool.take(Coding::Zstd, live).is_ok());
}

#[test]
fn a_stream_gets_none_that_holds_more_than_it_counts() {
    let pool = EncoderPool::default();
    let mut large = pool.take(Coding::Zstd, Settings { level: 6, ..SETTINGS }).expect("one");
    let content = vec![b'a'; 100_000];
    large.encoder().expect("it").write(&content, &mut Vec::with_capacity(1000)).expect("ok");
    drop(large);
    assert!(pool.idle_size() > 2 << 20, "{}", pool.idle_size());
    let live = Settings { live: true, ..SETTINGS };
    drop(pool.take(Coding::Zstd, live).expect("one"));
    assert_eq!(pool.idle(), 2, "it got another");
    let again = pool.take(Coding::Zstd, Settings { level: 6, ..SETTINGS }).expect("one");
    assert_eq!(pool.idle(), 1);
    drop(again);
}

#[test]
fn one_in_whose_use_there_was_a_panic_is_not_used_again() {
    let pool = EncoderPool::default();
    let of_thread = pool.clone();
    let panicked = std::thread::spawn(move || {
        let _lease = of_thread.take(Coding::Gzip, SETTINGS).expect("one");
        panic!("in the middle of it");
    });
    assert!(panicked.join().is_err());
    assert_eq!((pool.idle(), pool.in_use()), (0, 0));
}

#[test]
fn a_large_one_is_not_kept() {
    let limits = EncoderLimits { idle: 100 << 10, ..EncoderLimits::default() };
    let pool = EncoderPool::new(limits, None);
    drop(pool.take(Coding::Gzip, SETTINGS).expect("an encoder"));
    assert_eq!((pool.idle(), pool.idle_size()), (0, 0));
}
