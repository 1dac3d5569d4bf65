//! [`Priority`]: whose requests wait less, and are shed last, where an upstream is overloaded.
//!
//! A class says nothing while there is room. Where requests [wait](crate::cluster) for an endpoint,
//! those of a higher class are served first, and where the queue is full those of the lowest class
//! go. It rides in the extensions of a request; who has none is [`Normal`](Priority::Normal).

use http::{HeaderMap, HeaderName, Request};

/// The class of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Background work, prefetches: the first to be shed.
    Low,
    /// What most requests have.
    #[default]
    Normal,
    /// What is served first, and shed last.
    High,
}

impl Priority {
    /// All, the lowest first.
    pub const ALL: [Self; 3] = [Self::Low, Self::Normal, Self::High];

    /// The class that a request carries.
    pub fn of<B>(request: &Request<B>) -> Self {
        request.extensions().get().copied().unwrap_or_default()
    }

    /// Gives a request this class.
    pub fn mark<B>(self, request: &mut Request<B>) {
        match self {
            // What nobody carries costs nothing.
            Self::Normal => drop(request.extensions_mut().remove::<Self>()),
            own => drop(request.extensions_mut().insert(own)),
        }
    }

    /// Its word in configurations, fields and metrics.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    /// The class of this word, in any case of letters.
    pub fn from_token(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|own| own.token().eq_ignore_ascii_case(word))
    }

    /// The class of an urgency (RFC 9218 section 4.1): 0 to 2 are high, 3 and 4, of which 3 is the
    /// default of all responses, normal, 5 to 7 low.
    pub const fn of_urgency(urgency: u8) -> Option<Self> {
        match urgency {
            0..=2 => Some(Self::High),
            3 | 4 => Some(Self::Normal),
            5..=7 => Some(Self::Low),
            _ => None,
        }
    }
}

/// How the requests of a route get their class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriorityRules {
    /// The class of the route.
    pub class: Priority,
    /// The field in which clients may ask for another one: `priority`, whose urgency counts
    /// (RFC 9218 section 5), or any other, which holds a [word](Priority::token).
    pub field: Option<HeaderName>,
}

impl PriorityRules {
    /// The class of a request. A client that is `trusted` gets what it asks for; any other may
    /// only give way, or everybody would be the most urgent of all.
    pub fn class(&self, fields: &HeaderMap, trusted: bool) -> Priority {
        let asked = self.field.as_ref().and_then(|name| asked(name, fields));
        match asked {
            Some(asked) if trusted => asked,
            Some(asked) => asked.min(self.class),
            None => self.class,
        }
    }
}

fn asked(name: &HeaderName, fields: &HeaderMap) -> Option<Priority> {
    let lines = || fields.get_all(name).iter().filter_map(|line| line.to_str().ok());
    if name.as_str() != "priority" {
        return lines().next_back().and_then(|line| Priority::from_token(line.trim()));
    }
    // A dictionary of structured fields (RFC 9651 section 3.2), of which one member counts: the last
    // of its name. Its other value types are no urgency, and neither is a number out of range.
    let members = lines().flat_map(|line| line.split(','));
    let urgency = members.filter_map(|member| member.trim().strip_prefix("u=")).next_back()?;
    let digits = urgency.split(';').next().unwrap_or_default().trim();
    digits.parse().ok().and_then(Priority::of_urgency)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(class: Priority, name: &str, value: &str, trusted: bool) -> Priority {
        let name: HeaderName = name.parse().unwrap();
        let fields = [(name.clone(), value.parse().unwrap())].into_iter().collect();
        PriorityRules { class, field: Some(name) }.class(&fields, trusted)
    }

    #[test]
    fn urgencies_are_read_as_rfc_9218_has_them() {
        use Priority::{High, Low, Normal};
        for (value, expected) in [
            ("u=0", High),
            ("u=2, i", High),
            ("i, u=3", Normal),
            ("u=4;x=1", Normal),
            ("u=5", Low),
            ("u=1, u=7", Low),
            // Out of range, of another type, not there: as if nothing was said.
            ("u=8", Normal),
            ("u=-1", Normal),
            ("u=high", Normal),
            ("i", Normal),
            ("", Normal),
        ] {
            assert_eq!(class(Normal, "priority", value, true), expected, "{value}");
        }
        assert_eq!(class(Normal, "x-class", "HIGH", true), High);
        assert_eq!(class(Normal, "x-class", "u=0", true), Normal);
    }

    #[test]
    fn who_is_not_trusted_may_only_give_way() {
        use Priority::{High, Low, Normal};
        assert_eq!(class(Normal, "priority", "u=0", false), Normal);
        assert_eq!(class(Normal, "priority", "u=7", false), Low);
        assert_eq!(class(High, "priority", "u=3", false), Normal);
        assert_eq!(class(Low, "priority", "u=0", true), High);
    }

    #[test]
    fn a_class_rides_in_a_request() {
        let mut request = Request::new(());
        assert_eq!(Priority::of(&request), Priority::Normal);
        for class in Priority::ALL {
            class.mark(&mut request);
            assert_eq!(Priority::of(&request), class);
            assert_eq!(Priority::from_token(class.token()), Some(class));
        }
    }
}
