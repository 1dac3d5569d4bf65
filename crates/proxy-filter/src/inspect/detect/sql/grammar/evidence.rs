//! What the tokens that were read are evidence of.

use super::super::token::Mark;
use super::super::words::Call;
use super::{Kind, PLAIN, Reader, Select, State};
use crate::inspect::detect::Signal;

impl Reader<'_> {
    /// `AND left = right`.
    pub(super) fn condition(&mut self, right: Kind) {
        let left = self.logic.unwrap_or(Kind::Name);
        let constant = |kind| matches!(kind, Kind::Constant | Kind::String);
        let sure = self.broken_out()
            || !self.is_condition && constant(left) && constant(right)
            || !self.is_condition
                && self.plain_start()
                && (constant(left) || constant(right) || self.tokens.commented)
            // `1 AND SUBSTRING(x, 1, 1) = y`
            || !self.is_condition
                && self.called
                && (self.plain_start() || self.first == Some(Kind::Call));
        self.signals.add(if sure { Signal::SqlCondition } else { Signal::SqlFilter });
    }

    /// What was selected is followed by what follows an operand: it is a query, and no prose.
    pub(super) fn confirm_select(&mut self) {
        match self.select {
            Some(Select::Union) => self.signals.add(Signal::SqlUnion),
            Some(Select::Sub) => self.signals.add(Signal::SqlSubselect),
            Some(Select::Statement) if self.broken_out() => {
                self.signals.add(Signal::SqlStatement);
            }
            Some(Select::Statement) if self.syntax => self.signals.add(Signal::SqlQuery),
            _ => {}
        }
    }

    pub(super) fn comment(&mut self, mark: Mark, rest: usize) {
        let dashes = mark == Mark::Dashes;
        let at_operand = matches!(self.state, State::After | State::Statement);
        if !at_operand {
            return;
        }
        if self.broken_out() {
            // A hash with words behind it is rather the colour or the heading of something, a
            // slash with a star a pattern of paths.
            let plain = self.context == PLAIN;
            if rest == 0 || dashes && (rest <= 5 || plain) || self.closed > 0 {
                self.signals.add(Signal::SqlComment);
            }
        } else if rest == 0 && dashes && matches!(self.first, Some(Kind::Group | Kind::Call)) {
            self.signals.add(Signal::SqlComment);
        } else if self.first == Some(Kind::Constant) {
            self.signals.add(Signal::SqlTail);
        }
    }

    /// The text has ended, or the rest of it is cut off by a comment.
    pub(super) fn end(&mut self, cut: bool) {
        if matches!(self.state, State::After | State::Operand) && self.syntax {
            match self.select {
                Some(Select::Union) => self.signals.add(Signal::SqlUnion),
                Some(Select::Sub) if self.broken_out() || cut => {
                    self.signals.add(Signal::SqlSubselect);
                }
                Some(Select::Statement) if self.broken_out() => {
                    self.signals.add(Signal::SqlStatement);
                }
                _ => {}
            }
        }
        if self.logic_open
            && !self.compared
            && self.state == State::After
            && let Some(kind) = self.logic
            && (cut && self.broken_out()
                || self.open_string && self.context == PLAIN
                || self.closed > 0 && kind != Kind::Name)
        {
            self.signals.add(Signal::SqlBoolean);
        }
        // `) like (`: the parentheses of the statement around.
        let opened = self.first == Some(Kind::Group) && self.state == State::Operand;
        if self.closed > 0 && (self.first.is_none() || opened) && self.compared {
            self.signals.add(Signal::SqlExpression);
        }
        if self.state == State::Statement && self.context == PLAIN {
            self.signals.add(Signal::SqlComment);
        }
        // `x' ^ 'y`: both ends are closed by the statement around.
        if self.expression && self.state == State::After && self.open_string {
            self.signals.add(Signal::SqlExpression);
        }
    }

    pub(super) fn called(&mut self, call: Call) {
        self.syntax = true;
        self.called |= self.logic_open && call != Call::Unknown;
        if call == Call::Dangerous {
            self.pending_call();
        }
        if call != Call::Unknown {
            self.confirm_select();
        }
    }

    /// A function that waits or reads was called, in a place where it would be.
    pub(super) fn pending_call(&mut self) {
        self.signals.add(Signal::SqlFunction);
    }
}
