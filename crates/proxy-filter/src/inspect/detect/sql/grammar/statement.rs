//! Statements: what stands after a semicolon, and what `INTO` writes to.

use super::super::token::Token;
use super::super::words::{Call, Word};
use super::{Reader, Select, State};
use crate::inspect::detect::Signal;

impl Reader<'_> {
    pub(super) fn statement(&mut self, token: Token) -> bool {
        let Token::Word(word) = token else {
            if matches!(token, Token::Call(Call::Dangerous | Call::Known)) && self.broken_out() {
                self.signals.add(Signal::SqlStatement);
            }
            return matches!(token, Token::Semicolon);
        };
        match word {
            Word::Select => {
                self.select = Some(Select::Statement);
                self.first = None;
                self.closed += 1;
                self.state = State::Operand;
                true
            }
            Word::Insert
            | Word::Update
            | Word::Delete
            | Word::Define
            | Word::Execute
            | Word::Declare
            | Word::Set
            | Word::Wait
            | Word::If
            | Word::Begin
            | Word::Other => self.object_of(word),
            Word::Shutdown => {
                if self.tokens.next().is_none_or(|t| !matches!(t, Token::Name | Token::Word(_))) {
                    self.signals.add(Signal::SqlStatement);
                }
                false
            }
            _ => false,
        }
    }

    /// Looks at what follows the verb of a statement; gives `false`, for then all is said.
    pub(super) fn object_of(&mut self, verb: Word) -> bool {
        let next = self.tokens.next();
        let sure = match (verb, next) {
            (Word::Insert, Some(Token::Word(Word::Into))) => {
                matches!(self.tokens.next(), Some(Token::Name | Token::Call(_) | Token::Word(_)))
            }
            (Word::Delete, Some(Token::Word(Word::From))) => {
                matches!(self.tokens.next(), Some(Token::Name | Token::Word(Word::Object)))
                    && !matches!(self.tokens.next(), Some(Token::Name))
            }
            (Word::Update, Some(Token::Name)) => {
                matches!(self.tokens.next(), Some(Token::Word(Word::Set)))
            }
            (Word::Define, Some(Token::Word(Word::Object))) => {
                let named = self.tokens.next();
                matches!(named, Some(Token::Name | Token::Call(_) | Token::Word(Word::If)))
                    && self.tokens.next().is_none_or(|t| {
                        matches!(t, Token::Semicolon | Token::Comment { .. } | Token::Open)
                    })
                    || self.broken_out()
            }
            (Word::Define, Some(Token::Call(_))) => self.broken_out(),
            (Word::Execute, Some(Token::Call(Call::Dangerous | Call::Known))) => true,
            (Word::Execute, Some(Token::Name | Token::Call(_))) => {
                let broken = self.broken_out();
                let next = self.tokens.next();
                broken && !matches!(next, Some(Token::Name))
                    || matches!(next, Some(Token::String { .. } | Token::Variable))
            }
            (Word::Execute, Some(Token::Open | Token::Variable | Token::String { .. })) => true,
            (Word::Define, Some(Token::Name)) => false,
            (Word::Declare, Some(Token::Variable)) => true,
            (Word::Set, Some(Token::Variable)) => true,
            (Word::Wait, Some(Token::Word(Word::Delay))) => true,
            (Word::If, Some(Token::Open | Token::Word(Word::Not | Word::Prefix))) => true,
            (Word::If, Some(Token::Number)) => self.broken_out(),
            (Word::Begin, Some(Token::Call(Call::Dangerous) | Token::Word(Word::Declare))) => true,
            (Word::Begin, Some(Token::Name)) => self.broken_out(),
            (Word::Other, Some(Token::Name)) => self.broken_out(),
            _ => false,
        };
        if sure {
            self.signals.add(Signal::SqlStatement);
        }
        false
    }

    pub(super) fn target_of_into(&mut self, token: Token) -> bool {
        match token {
            Token::Variable if self.select.is_none() && !self.broken_out() => false,
            Token::Word(Word::File) | Token::Variable => {
                self.signals.add(Signal::SqlClause);
                self.state = State::Operand;
                true
            }
            Token::Name if self.select.is_some() => {
                self.state = State::After;
                true
            }
            _ => false,
        }
    }
}
