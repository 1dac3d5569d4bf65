//! Schemas that would put a value before themselves without end.

use std::collections::HashMap;

use super::check::{Check, Node, NodeId};

#[derive(Clone, Copy, PartialEq)]
enum State {
    New,
    /// On the way to where we are.
    Open,
    Done,
}

/// A schema that comes back to itself with the same value. `dynamic` says what a dynamic reference
/// may lead to, by resource and anchor.
pub(super) fn circle(nodes: &[Node], dynamic: &HashMap<(u32, u32), NodeId>) -> Option<usize> {
    let next = |node: usize| -> Vec<NodeId> {
        let Node::Checks(all) = &nodes[node] else { return Vec::new() };
        all.checks.iter().flat_map(|check| of_the_same_value(check, dynamic)).collect()
    };
    let mut states = vec![State::New; nodes.len()];
    for start in 0..nodes.len() {
        if states[start] != State::New {
            continue;
        }
        states[start] = State::Open;
        let mut way = vec![(start, next(start))];
        while let Some((node, left)) = way.last_mut() {
            let Some(to) = left.pop().map(|to| to as usize) else {
                states[*node] = State::Done;
                way.pop();
                continue;
            };
            match states[to] {
                State::Open => return Some(to),
                State::Done => {}
                State::New => {
                    states[to] = State::Open;
                    way.push((to, next(to)));
                }
            }
        }
    }
    None
}

/// The schemas that the same value is put before.
fn of_the_same_value(check: &Check, dynamic: &HashMap<(u32, u32), NodeId>) -> Vec<NodeId> {
    match check {
        Check::AllOf(all) | Check::AnyOf(all) | Check::OneOf(all) => all.to_vec(),
        Check::Not(one) | Check::Ref(one) => vec![*one],
        Check::DynamicRef { anchor, own } => {
            let of_its_name = dynamic.iter().filter(|((_, name), _)| name == anchor);
            of_its_name.map(|(_, to)| *to).chain([*own]).collect()
        }
        Check::If { condition, then, otherwise } => {
            [Some(*condition), *then, *otherwise].into_iter().flatten().collect()
        }
        Check::DependentSchemas(all) => all.iter().map(|(_, one)| *one).collect(),
        _ => Vec::new(),
    }
}
