//! Parameters in the path.

use super::sources::{Pair, decoded};

/// A path whose segments may be parameters: `/clips/{id}/{size}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(Box<str>),
    Name(Box<str>),
}

impl PathPattern {
    /// Reads a pattern: it begins with `/`, and a name in braces is a whole segment. None where it
    /// is something else, or has a name twice.
    pub fn parse(text: &str) -> Option<Self> {
        let segments: Vec<Segment> = text
            .strip_prefix('/')?
            .split('/')
            .map(|segment| match segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
                Some(name) if !name.is_empty() && !name.contains(['{', '}']) => {
                    Some(Segment::Name(name.into()))
                }
                _ if segment.contains(['{', '}']) => None,
                _ => Some(Segment::Literal(segment.into())),
            })
            .collect::<Option<_>>()?;
        let pattern = Self { segments };
        let names: Vec<_> = pattern.names().collect();
        let distinct = names.iter().enumerate().all(|(at, name)| !names[..at].contains(name));
        distinct.then_some(pattern)
    }

    /// The names of its parameters.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Name(name) => Some(&**name),
            Segment::Literal(_) => None,
        })
    }

    /// Whether a path is one of these.
    pub fn matches(&self, path: &str) -> bool {
        self.pairs(path).is_some()
    }

    /// The parameters of a path; none where it is another one.
    pub(super) fn pairs<'a>(&self, path: &'a str) -> Option<Result<Vec<Pair<'a>>, &'static str>>
    where
        Self: 'a,
    {
        let found: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        if found.len() != self.segments.len() {
            return None;
        }
        let mut pairs = Vec::new();
        for (segment, text) in self.segments.iter().zip(found) {
            match segment {
                Segment::Literal(literal) if **literal == *text => {}
                Segment::Literal(_) => return None,
                Segment::Name(name) => match decoded(text, false) {
                    Ok(value) => pairs.push((name.clone().into_string().into(), value)),
                    Err(reason) => return Some(Err(reason)),
                },
            }
        }
        Some(Ok(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_whole() {
        let pattern = PathPattern::parse("/clips/{id}/x").unwrap();
        let pairs = pattern.pairs("/clips/a%20b/x").unwrap().unwrap();
        assert_eq!(pairs, [("id".into(), "a b".into())]);
        for other in ["/clips/a", "/clips/a/y", "/clips/a/x/", "clips/a/x", "/"] {
            assert!(pattern.pairs(other).is_none(), "{other}");
        }
        for bad in ["", "a", "/a{b}", "/{}", "/{a}/{a}", "/{a"] {
            assert!(PathPattern::parse(bad).is_none(), "{bad}");
        }
    }
}
