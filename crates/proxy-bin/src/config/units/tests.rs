//! What is read, and how it is shown.

use super::*;

fn shown<T: Unit>(text: &str) -> Option<String> {
    let matches = regex::Regex::new(T::PATTERN).unwrap().is_match(text);
    let parsed = T::parse(text);
    assert_eq!(matches, parsed.is_some(), "the pattern and the reader agree on {text}");
    parsed.map(|value| value.to_string())
}

#[test]
fn sizes_carry_a_unit() {
    for (text, bytes) in [
        ("0B", 0),
        ("256B", 256),
        ("64KiB", 65_536),
        ("64 KiB", 65_536),
        ("10MB", 10_000_000),
        ("1kB", 1_000),
        ("1KB", 1_000),
        ("2GiB", 2 << 30),
        ("999999999999999999TiB", u64::MAX),
    ] {
        assert_eq!(Size::parse(text).map(Size::bytes), Some(bytes), "{text}");
    }
    for text in ["", "64", "KiB", "-1KiB", "1.5KiB", "64kib", "64KiB ", "64  KiB", "+1B"] {
        assert_eq!(shown::<Size>(text), None, "{text}");
    }
    assert_eq!(shown::<Size>("1024KiB").unwrap(), "1MiB");
    assert_eq!(shown::<Size>("1500B").unwrap(), "1500B");
    assert_eq!(serde_json::from_str::<Size>("512").unwrap().bytes(), 512);
    assert!(serde_json::from_str::<Size>("-1").is_err());
}

#[test]
fn times_carry_a_unit() {
    for (text, millis) in [("1500ms", 1500), ("30s", 30_000), ("10m", 600_000), ("2d", 172_800_000)]
    {
        assert_eq!(Period::parse(text).unwrap().duration(), Duration::from_millis(millis));
        assert_eq!(shown::<Period>(text).unwrap(), text);
    }
    for text in ["30", "s", "1.5s", "-1s", "30S", "1h30m", "9999999999s"] {
        assert_eq!(shown::<Period>(text), None, "{text}");
    }
    // The longest are days that 64 bits of nanoseconds can count.
    for text in ["999999999ms", "999999999s", "99999999m", "999999h", "99999d"] {
        let longest = Period::parse(text).unwrap().duration();
        assert!(u64::try_from(longest.as_nanos()).is_ok(), "{text}");
    }
    for text in ["9999999999ms", "100000000m", "1000000h", "100000d"] {
        assert_eq!(shown::<Period>(text), None, "{text}");
    }
    assert_eq!(Period::default().to_string(), "0s");
    assert!(serde_json::from_str::<Period>("30").is_err());
}

#[test]
fn shares_and_rates() {
    assert!((Share::parse("20%").unwrap().fraction() - 0.2).abs() < f64::EPSILON);
    assert_eq!(shown::<Share>("101%"), None);
    assert_eq!(shown::<Share>("100%").unwrap(), "100%");
    assert_eq!(Rate::parse("30/m").unwrap().parts(), (30, Duration::from_secs(60)));
    assert_eq!(Rate::parse("30/min").unwrap().parts(), (30, Duration::from_secs(60)));
    assert_eq!(shown::<Rate>("30/d").unwrap(), "30/d");
    assert_eq!(shown::<Rate>("30/w"), None);
    assert_eq!(shown::<Rate>("100/s").unwrap(), "100/s");
}

#[test]
fn none_lifts_a_limit() {
    let limit: Limit<Size> = serde_json::from_str("\"none\"").unwrap();
    assert_eq!((limit, limit.to_string()), (Limit::Unlimited, "none".to_owned()));
    let limit: Limit<Size> = serde_json::from_str("\"1MiB\"").unwrap();
    assert_eq!(limit.some().map(Size::bytes), Some(1 << 20));
}
