//! A value that arrives in pieces, of which a bounded part is kept.

use super::Bounds;

/// The part of a value that is kept.
#[derive(Debug, Default)]
pub struct Window {
    kept: Vec<u8>,
    /// Whether something before what is kept was said already.
    cut: bool,
}

impl Window {
    /// Adds a piece; `say` is called with each window that is full.
    pub fn add(&mut self, mut piece: &[u8], bounds: &Bounds, mut say: impl FnMut(&[u8])) {
        while !piece.is_empty() {
            let room = bounds.window.saturating_sub(self.kept.len()).max(1);
            let (now, later) = piece.split_at(room.min(piece.len()));
            self.kept.extend_from_slice(now);
            piece = later;
            if self.kept.len() >= bounds.window {
                say(&self.kept);
                let keep_from = self.kept.len() - bounds.overlap.min(self.kept.len() / 2);
                self.kept.drain(..keep_from);
                self.cut = true;
            }
        }
    }

    /// What is kept.
    pub fn kept(&self) -> &[u8] {
        &self.kept
    }

    /// Whether nothing was added since the last [`clear`](Self::clear).
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty() && !self.cut
    }

    /// Begins a new value.
    pub fn clear(&mut self) {
        self.kept.clear();
        self.cut = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Every piece as long as the overlap is said whole in some window.
        #[test]
        fn nothing_is_cut_in_two(
            text in proptest::collection::vec(any::<u8>(), 1..400),
            step in 1usize..50,
            at in 0usize..400,
        ) {
            let bounds = Bounds { window: 40, overlap: 10, depth: 1 };
            let mut window = Window::default();
            let mut said = Vec::new();
            for piece in text.chunks(step) {
                window.add(piece, &bounds, |w| said.push(w.to_vec()));
            }
            said.push(window.kept().to_vec());
            let at = at.min(text.len() - 1);
            let part = &text[at..text.len().min(at + 10)];
            prop_assert!(said.iter().any(|w| w.windows(part.len()).any(|p| p == part)));
            prop_assert!(said.iter().all(|w| w.len() <= 40));
        }
    }
}
