//! Which of a route's requests go to another upstream: a canary, or a share.

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, Request};
use proxy_core::matching::ValueTest;
use proxy_core::{Decision, Exchange, Verdict};
use proxy_upstream::balance::{HashKey, Random, SeededRandom};

/// The name in decisions.
const LAYER: &str = "split";

/// Which requests go to which place. Places are the caller's; a clone is the same rules.
///
/// First the tests, in their order; then a point from 0 to 1 is drawn, and the first share that
/// reaches it is taken. Shares lie side by side from 0 on, so that whoever was in a share stays in
/// it when it grows.
#[derive(Clone, Debug)]
pub struct SplitRules {
    by: Option<HashKey>,
    salt: u64,
    tests: Arc<[Tests]>,
    shares: Arc<[(usize, Arc<str>, f64)]>,
}

/// A place, its name, and what must hold for it.
type Tests = (usize, Arc<str>, Vec<SplitTest>);

/// What a field or a cookie must be.
#[derive(Clone, Debug)]
pub struct SplitTest {
    of: Tested,
    is: Arc<ValueTest>,
}

#[derive(Clone, Debug)]
enum Tested {
    Field(HeaderName),
    Cookie(Arc<str>),
}

impl SplitTest {
    /// A field must be so.
    pub fn field(name: HeaderName, is: ValueTest) -> Self {
        Self { of: Tested::Field(name), is: Arc::new(is) }
    }

    /// A cookie must be so.
    pub fn cookie(name: &str, is: ValueTest) -> Self {
        Self { of: Tested::Cookie(name.into()), is: Arc::new(is) }
    }

    fn holds(&self, fields: &HeaderMap) -> bool {
        match &self.of {
            Tested::Field(name) => self.is.holds_for_field(name, fields),
            Tested::Cookie(name) => self.is.holds_for_cookie(name, fields),
        }
    }
}

impl SplitRules {
    /// Nothing goes elsewhere. `name` keeps apart what several rules draw by the same value.
    pub fn new(name: &str, by: Option<HashKey>) -> Self {
        // FNV-1a: the same in every process, so that several proxies agree.
        let salt = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self { by, salt, tests: Arc::default(), shares: Arc::default() }
    }

    /// Requests for which all of these hold go to this place, which is called so.
    #[must_use]
    pub fn only(mut self, place: usize, name: Arc<str>, tests: Vec<SplitTest>) -> Self {
        self.tests = self.tests.iter().cloned().chain([(place, name, tests)]).collect();
        self
    }

    /// This share of the others goes to this place.
    #[must_use]
    pub fn share(mut self, place: usize, name: Arc<str>, share: f64) -> Self {
        self.shares = self.shares.iter().cloned().chain([(place, name, share)]).collect();
        self
    }

    /// Where a request goes; `None`: nowhere else.
    pub fn place<B>(
        &self,
        request: &Request<B>,
        random: &dyn Random,
    ) -> Option<(usize, &Arc<str>, &'static str)> {
        let fields = request.headers();
        for (place, name, tests) in self.tests.iter() {
            if tests.iter().all(|test| test.holds(fields)) {
                return Some((*place, name, "matched"));
            }
        }
        if self.shares.is_empty() {
            return None;
        }
        let mut point = match self.drawn_by(request) {
            Some(hash) => SeededRandom::new(hash ^ self.salt).fraction(),
            None => random.fraction(),
        };
        for (place, name, share) in self.shares.iter() {
            if point < *share {
                return Some((*place, name, "share"));
            }
            point -= share;
        }
        None
    }

    /// The value that decides the place of a request in the shares; `None`: chance does.
    fn drawn_by<B>(&self, request: &Request<B>) -> Option<u64> {
        self.by.as_ref()?.of(request)
    }

    /// What a rehearsal, which is not to draw, says of a request that chance decides about.
    fn undrawn<B>(&self, request: &Request<B>) -> Option<String> {
        let holds = |tests: &[SplitTest]| tests.iter().all(|test| test.holds(request.headers()));
        if self.tests.iter().any(|(_, _, tests)| holds(tests)) || self.drawn_by(request).is_some() {
            return None;
        }
        let share =
            |(_, name, share): &(usize, Arc<str>, f64)| format!("{:.0}% to {name}", share * 100.0);
        let shares: Vec<String> = self.shares.iter().map(share).collect();
        (!shares.is_empty())
            .then(|| format!("by chance: {}; shown as one of the rest", shares.join(", ")))
    }

    /// The same as [`place`](Self::place), written into the record.
    pub(super) fn decide<B>(&self, request: &Request<B>, random: &dyn Random) -> Option<usize> {
        let exchange = Exchange::of(request);
        let decision = |rule: Option<&Arc<str>>, reason| Decision {
            layer: LAYER,
            rule: rule.cloned(),
            verdict: Verdict::Allow,
            reason,
        };
        if let Some(exchange) = exchange.filter(|exchange| exchange.is_rehearsal())
            && let Some(reason) = self.undrawn(request)
        {
            exchange.decide(decision(None, reason.into()));
            return None;
        }
        let placed = self.place(request, random);
        if let Some(exchange) = exchange {
            exchange.decide(match placed {
                Some((_, name, reason)) => decision(Some(name), Cow::Borrowed(reason)),
                None => decision(None, "rest".into()),
            });
        }
        placed.map(|(place, ..)| place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(fields: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder();
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    fn place(rules: &SplitRules, fields: &[(&str, &str)]) -> Option<usize> {
        rules.place(&request(fields), &SeededRandom::new(1)).map(|(place, ..)| place)
    }

    #[test]
    fn the_first_whose_tests_hold_comes_before_all_shares() {
        let canary = HeaderName::from_static("x-canary");
        let never = SplitTest::field(canary.clone(), ValueTest::exact("never"));
        let always = SplitTest::field(canary, ValueTest::Present(true));
        let cookie = SplitTest::cookie("next", ValueTest::exact("1"));
        let rules = SplitRules::new("route", None)
            .only(0, "stable".into(), vec![never])
            .only(1, "next".into(), vec![always])
            .only(1, "next".into(), vec![cookie])
            .share(2, "third".into(), 1.0);
        assert_eq!(place(&rules, &[("x-canary", "never"), ("cookie", "next=1")]), Some(0));
        assert_eq!(place(&rules, &[("x-canary", "always")]), Some(1));
        assert_eq!(place(&rules, &[("cookie", "a=b; next=1")]), Some(1));
        assert_eq!(place(&rules, &[("cookie", "nextx=1; next=2")]), Some(2));
        assert_eq!(place(&SplitRules::new("route", None), &[]), None);
    }

    #[test]
    fn shares_are_kept_by_chance_and_by_value() {
        let rules = |by, share| {
            SplitRules::new("route", by).share(0, "a".into(), share).share(1, "b".into(), 0.3)
        };
        let by = || Some(HashKey::Cookie("sid".into()));
        let random = SeededRandom::new(9);
        let mut counts = [[0_u32; 3]; 2];
        let mut left = 0;
        for n in 0..10_000 {
            let request = request(&[("cookie", &format!("sid={n}"))]);
            for (at, by) in [None, by()].into_iter().enumerate() {
                let placed = rules(by, 0.1).place(&request, &random).map_or(2, |own| own.0);
                counts[at][placed] += 1;
            }
            let of = |share| rules(by(), share).place(&request, &random).map_or(2, |own| own.0);
            assert_eq!(of(0.1), of(0.1), "the same value, the same place");
            left += u32::from(of(0.1) == 0 && of(0.2) != 0);
        }
        for counts in counts {
            assert!((900..1_100).contains(&counts[0]), "{counts:?}");
            assert!((2_850..3_150).contains(&counts[1]), "{counts:?}");
        }
        assert_eq!(left, 0, "who was in a share stays in it when it grows");
        // Without the value it is chance.
        let some = (0..100).filter(|_| rules(by(), 0.5).place(&request(&[]), &random).is_some());
        assert!(some.count() > 50);
    }
}
