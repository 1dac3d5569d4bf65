//! What of a value some schema has spoken of: `unevaluatedItems` and `unevaluatedProperties` judge
//! the rest (JSON Schema Core 2020-12, 11).

/// The members, or the items, of one value that were evaluated, by their places.
#[derive(Debug, Default)]
pub(super) struct Seen {
    all: bool,
    /// A bit for each place.
    places: Vec<u64>,
}

impl Seen {
    /// Places in one word.
    const WORD: usize = u64::BITS as usize;

    pub(super) fn one(&mut self, place: usize) {
        let word = place / Self::WORD;
        if self.places.len() <= word {
            self.places.resize(word + 1, 0);
        }
        self.places[word] |= 1 << (place % Self::WORD);
    }

    /// Those before this one.
    pub(super) fn first(&mut self, count: usize) {
        (0..count).for_each(|place| self.one(place));
    }

    pub(super) fn all(&mut self) {
        *self = Self { all: true, places: Vec::new() };
    }

    pub(super) fn has(&self, place: usize) -> bool {
        let word = self.places.get(place / Self::WORD);
        self.all || word.is_some_and(|word| word & (1 << (place % Self::WORD)) != 0)
    }

    /// Words that [`Seen::add`] has to look at.
    pub(super) fn words(&self) -> usize {
        self.places.len()
    }

    pub(super) fn add(&mut self, mut other: Self) {
        if self.all || other.all {
            return self.all();
        }
        if self.places.len() < other.places.len() {
            std::mem::swap(&mut self.places, &mut other.places);
        }
        self.places.iter_mut().zip(other.places).for_each(|(own, other)| *own |= other);
    }
}
