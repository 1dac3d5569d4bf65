//! What the store is compared with: the least recently used goes.

use std::collections::HashMap;

const END: usize = usize::MAX;

pub(super) struct Lru {
    capacity: u64,
    weight: u64,
    places: HashMap<u64, usize>,
    nodes: Vec<Node>,
    free: Vec<usize>,
    newest: usize,
    oldest: usize,
}

struct Node {
    object: u64,
    weight: u64,
    newer: usize,
    older: usize,
}

impl Lru {
    pub(super) fn new(capacity: u64) -> Self {
        Self {
            capacity,
            weight: 0,
            places: HashMap::new(),
            nodes: Vec::new(),
            free: Vec::new(),
            newest: END,
            oldest: END,
        }
    }

    pub(super) fn get(&mut self, object: u64) -> bool {
        let Some(place) = self.places.get(&object).copied() else { return false };
        self.unlink(place);
        self.link(place);
        true
    }

    pub(super) fn insert(&mut self, object: u64, weight: u64) {
        while self.weight + weight > self.capacity {
            let place = self.oldest;
            self.unlink(place);
            self.places.remove(&self.nodes[place].object);
            self.weight -= self.nodes[place].weight;
            self.free.push(place);
        }
        let node = Node { object, weight, newer: END, older: END };
        let place = if let Some(place) = self.free.pop() {
            self.nodes[place] = node;
            place
        } else {
            self.nodes.push(node);
            self.nodes.len() - 1
        };
        self.places.insert(object, place);
        self.weight += weight;
        self.link(place);
    }

    fn link(&mut self, place: usize) {
        self.nodes[place].older = self.newest;
        self.nodes[place].newer = END;
        match self.newest {
            END => self.oldest = place,
            newest => self.nodes[newest].newer = place,
        }
        self.newest = place;
    }

    fn unlink(&mut self, place: usize) {
        let (newer, older) = (self.nodes[place].newer, self.nodes[place].older);
        match newer {
            END => self.newest = older,
            newer => self.nodes[newer].older = older,
        }
        match older {
            END => self.oldest = newer,
            older => self.nodes[older].newer = newer,
        }
    }
}
